"""The decoder as ONNX graphs: the start of each segment, one step, and the choice of a step's row.

A consumer runs the first graph once, and then the other two in turn. The loop is the consumer's,
which may stop at any step, choose otherwise, or change what is fed back.
"""

from __future__ import annotations

from typing import cast

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.decoder import Conductor, CoreDecoder
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.onnx.graph import Graph, Value
from musicvae_torch.onnx.heads import draw, draws_of
from musicvae_torch.onnx.layers import initial_state, linear, stack


def start_graph(model: MusicVAE) -> Graph:
    """A latent → for each segment, its embedding and the state in which it begins."""
    config, decoder = model.config, model.decoder
    graph = Graph("decoder_start", "what each segment of a window is decoded from")
    z = graph.input("z", "float32", ("batch", config.z_size), "latents")
    if decoder.conductor is None:
        embeddings = graph.unsqueeze(z, 1)
    else:
        embeddings = _conduct(graph, decoder.conductor, z, decoder.segments)
    states = [initial_state(graph, core.initial_state, embeddings) for core in _cores(model)]
    about = "what the decoder reads at every step of a segment"
    shape = ("batch", decoder.segments, embedding_size(config))
    graph.output("embeddings", embeddings, "float32", shape, about)
    about = "the state before the first step of a segment"
    shape = ("batch", decoder.segments, state_size(config))
    graph.output("states", graph.concat(states), "float32", shape, about)
    return graph


def _conduct(graph: Graph, conductor: Conductor, z: Value, segments: int) -> Value:
    # The conductor depends on its initial state alone: its input is a zero at each step.
    batch = graph.op("Slice", graph.op("Shape", z), graph.ints(0), graph.ints(1))
    shape = graph.concat([graph.ints(segments), batch, graph.ints(1)], axis=0)
    silence = graph.op("Expand", graph.floats(0.0), shape)
    state = initial_state(graph, conductor.initial_state, z)
    outputs, _ = stack(graph, conductor.layers, silence, state)
    return graph.op("Transpose", outputs, perm=[1, 0, 2])


def step_graph(model: MusicVAE) -> Graph:
    """The previous row, the segment's embedding, controls, the state → logits, the new state."""
    config, size = model.config, state_size(model.config)
    graph = Graph("decoder_step", "one step of the decoder")
    shape = ("batch", config.output_depth)
    previous = graph.input("previous", "float32", shape, "the row of the step before")
    shape = ("batch", embedding_size(config))
    after = [graph.input("embedding", "float32", shape, "of the segment")]
    if config.control_depth:
        shape = ("batch", config.control_depth)
        after.append(graph.input("control", "float32", shape, "the condition of the step"))
    state = graph.input("state", "float32", ("batch", size), "after the step before")
    cores = _cores(model)
    rows = graph.split(previous, [sum(core.head.depths) for core in cores])
    states = graph.split(state, [size // len(cores)] * len(cores))
    logits, blocks = [], []
    for core, row, own in zip(cores, rows, states, strict=True):
        inputs = graph.unsqueeze(graph.concat([row, *after]), 0)
        hidden, new_blocks = stack(graph, core.layers, inputs, own)
        logits.append(linear(graph, core.output, graph.op("Squeeze", hidden, graph.ints(0))))
        blocks += new_blocks
    shape = ("batch", model.decoder.logit_depth)
    graph.output("logits", graph.concat(logits), "float32", shape, _LOGITS[config.output])
    graph.output("new_state", graph.concat(blocks), "float32", ("batch", size), "after this step")
    return graph


_LOGITS = {
    "categorical": "of the classes of each part, side by side, before the softmax",
    "nade": "biases of the NADE's hidden units, and then of its bits",
    "groove": "of hits, velocities and offsets, before sigmoid, sigmoid and tanh",
}


def sample_graph(model: MusicVAE) -> Graph:
    """Logits, temperatures and uniforms → the step's row."""
    config, cores, draws = model.config, _cores(model), draws_of(model.config)
    graph = Graph("decoder_sample", "the choice of one step")
    shape = ("batch", model.decoder.logit_depth)
    logits = graph.input("logits", "float32", shape, "as decoder_step gives them")
    about = "of each part: divides the logits; 0 takes the likeliest"
    temperatures = graph.input("temperatures", "float32", (len(config.output_depths),), about)
    about = "drawn evenly from [0, 1), they make samples"
    uniforms = graph.input("places", "float32", ("batch", draws), about)
    parts = [len(core.head.depths) for core in cores]
    rows = [
        draw(graph, core.head, *own)
        for core, *own in zip(
            cores,
            graph.split(logits, [core.head.logit_depth for core in cores]),
            graph.split(temperatures, parts, axis=0),
            graph.split(uniforms, parts if config.output == "categorical" else [draws]),
            strict=True,
        )
    ]
    about = "the parts side by side, as decoder_step reads them next"
    graph.output("row", graph.concat(rows), "float32", ("batch", config.output_depth), about)
    return graph


def embedding_size(config: MusicVAEConfig) -> int:
    """Width of a segment's embedding."""
    return config.dec_rnn_size[-1] if config.is_hierarchical_decoder else config.z_size


def state_size(config: MusicVAEConfig) -> int:
    """Width of the decoder's state: c and h of each layer of each core."""
    return 2 * sum(config.dec_rnn_size) * len(config.core_depths)


def _cores(model: MusicVAE) -> list[CoreDecoder]:
    return [cast(CoreDecoder, core) for core in model.decoder.cores]
