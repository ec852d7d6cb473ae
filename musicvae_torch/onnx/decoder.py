"""The decoder as ONNX graphs: what it starts from, one step, and one step's choice.

A consumer runs the first once, and then the other two by turns: the loop is the consumer's, which
may stop at any step, choose otherwise, or change what is fed back.
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
    """A latent → of each segment, its embedding and the state to begin it in."""
    config, decoder = model.config, model.decoder
    graph = Graph("decoder_start", "what each segment of a window is decoded from")
    z = graph.input("z", "float32", ("batch", config.z_size), "latents")
    if decoder.conductor is None:
        embeddings = graph.unsqueeze(z, 1)
    else:
        embeddings = _conduct(graph, decoder.conductor, z, decoder.segments)
    states = [initial_state(graph, core.initial_state, embeddings) for core in _cores(model)]
    graph.output(
        "embeddings",
        embeddings,
        "float32",
        ("batch", decoder.segments, embedding_size(config)),
        "what the decoder reads at every step of a segment",
    )
    graph.output(
        "states",
        graph.concat(states),
        "float32",
        ("batch", decoder.segments, state_size(config)),
        "the state before the first step of a segment",
    )
    return graph


def _conduct(graph: Graph, conductor: Conductor, z: Value, segments: int) -> Value:
    # Its start state alone drives the conductor: the input is one zero a step.
    batch = graph.op("Slice", graph.op("Shape", z), graph.ints(0), graph.ints(1))
    shape = graph.concat([graph.ints(segments), batch, graph.ints(1)], axis=0)
    silence = graph.op("Expand", graph.floats(0.0), shape)
    state = initial_state(graph, conductor.initial_state, z)
    outputs, _ = stack(graph, conductor.layers, silence, state)
    return graph.op("Transpose", outputs, perm=[1, 0, 2])


def step_graph(model: MusicVAE) -> Graph:
    """The row before, the segment's embedding, the controls, the state → logits, the new state."""
    config = model.config
    graph = Graph("decoder_step", "one step of the decoder")
    previous = graph.input(
        "previous", "float32", ("batch", config.output_depth), "the row of the step before"
    )
    embedding = graph.input(
        "embedding", "float32", ("batch", embedding_size(config)), "of the segment"
    )
    after = [embedding]
    if config.control_depth:
        shape = ("batch", config.control_depth)
        after.append(graph.input("control", "float32", shape, "the condition of the step"))
    size = state_size(config)
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
    depth = model.decoder.logit_depth
    graph.output(
        "logits", graph.concat(logits), "float32", ("batch", depth), _LOGITS[config.output]
    )
    graph.output("new_state", graph.concat(blocks), "float32", ("batch", size), "after this step")
    return graph


_LOGITS = {
    "categorical": "of the classes of each part, side by side, before the softmax",
    "nade": "biases of the NADE's hidden units, and then of its bits",
    "groove": "of hits, velocities and offsets, before sigmoid, sigmoid and tanh",
}


def sample_graph(model: MusicVAE) -> Graph:
    """Logits, temperatures, and numbers drawn evenly → the step's row."""
    config = model.config
    cores = _cores(model)
    draws = draws_of(config)
    graph = Graph("decoder_sample", "the choice of one step")
    logits = graph.input(
        "logits", "float32", ("batch", model.decoder.logit_depth), "as decoder_step gives them"
    )
    temperatures = graph.input(
        "temperatures",
        "float32",
        (len(config.output_depths),),
        "of each part: divides the logits; 0 takes the likeliest",
    )
    places = graph.input(
        "places", "float32", ("batch", draws), "drawn evenly from [0, 1), they make samples"
    )
    parts = [len(core.head.depths) for core in cores]
    rows = [
        draw(graph, core.head, *own)
        for core, *own in zip(
            cores,
            graph.split(logits, [core.head.logit_depth for core in cores]),
            graph.split(temperatures, parts, axis=0),
            graph.split(places, parts if config.output == "categorical" else [draws]),
            strict=True,
        )
    ]
    graph.output(
        "row",
        graph.concat(rows),
        "float32",
        ("batch", config.output_depth),
        "the parts side by side, as decoder_step reads them next",
    )
    return graph


def embedding_size(config: MusicVAEConfig) -> int:
    """Width of a segment's embedding."""
    return config.dec_rnn_size[-1] if config.is_hierarchical_decoder else config.z_size


def state_size(config: MusicVAEConfig) -> int:
    """Numbers that the decoder keeps from step to step: c and h of each layer of each core."""
    return 2 * sum(config.dec_rnn_size) * len(config.core_depths)


def _cores(model: MusicVAE) -> list[CoreDecoder]:
    return [cast(CoreDecoder, core) for core in model.decoder.cores]
