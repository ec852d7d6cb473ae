"""The encoder as an ONNX graph."""

from __future__ import annotations

from math import prod
from typing import cast

from musicvae_torch.model.encoder import Encoder
from musicvae_torch.model.lstm import BidirectionalLSTM
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.onnx.graph import Graph, Value
from musicvae_torch.onnx.layers import bidirectional, linear


def encoder_graph(model: MusicVAE) -> Graph:
    """Rows, the number of them that count, and controls → the posterior."""
    config = model.config
    graph = Graph("encoder", "the posterior over the latent of windows of music")
    steps: int | str = config.max_seq_len if config.is_hierarchical_encoder else "steps"
    shape: tuple[int | str, ...] = ("batch", steps, config.input_depth)
    inputs = [graph.input("rows", "float32", shape, "what the encoder reads")]
    if config.is_hierarchical_encoder:
        segment_steps = config.encoder_level_lengths[0]
        shape = ("batch", config.max_seq_len // segment_steps)
        about = f"steps that count in each segment, 0 to {segment_steps}"
    else:
        shape, about = ("batch",), "steps that count, 0 to steps"
    lengths = graph.input("lengths", "int64", shape, about)
    if config.control_depth:
        shape = ("batch", steps, config.control_depth)
        inputs.append(graph.input("controls", "float32", shape, "the condition of each step"))
    if config.is_hierarchical_encoder:
        lengths = graph.reshape(lengths, -1)
    _, embedding = read_levels(graph, model.encoder, graph.concat(inputs), lengths)
    posterior(graph, model.encoder, embedding, config.z_size)
    return graph


def read_levels(
    graph: Graph, encoder: Encoder, rows: Value, lengths: Value = ""
) -> tuple[Value, Value]:
    """Run all levels of an encoder.

    Args:
        rows: (batch, steps, width).
        lengths: int64 steps that count in each lowest segment, (batch * segments,); empty: all.

    Returns:
        The top level's outputs, (its steps, batch, 2H), and its last states, (batch, 2H).
    """
    levels = [cast(BidirectionalLSTM, level) for level in encoder.levels]
    steps = prod(encoder.level_lengths)
    for level, segment_steps in zip(levels[:-1], encoder.level_lengths[:-1], strict=True):
        segments = graph.reshape(rows, -1, segment_steps, level.input_size)
        _, embedding = bidirectional(graph, level, _steps_first(graph, segments), lengths)
        steps //= segment_steps
        rows = graph.reshape(embedding, -1, steps, level.embedding_size)
        lengths = ""  # upper levels read every segment, even an empty one
    return bidirectional(graph, levels[-1], _steps_first(graph, rows), lengths)


def posterior(graph: Graph, encoder: Encoder, embedding: Value, z_size: int) -> None:
    """Add the outputs `mean` and `stddev`, from an encoder's last states, (batch, 2H)."""
    shape = ("batch", z_size)
    graph.output("mean", linear(graph, encoder.mean, embedding), "float32", shape, "the mean")
    spread = graph.op("Softplus", linear(graph, encoder.stddev, embedding))
    graph.output("stddev", spread, "float32", shape, "the standard deviation")


def _steps_first(graph: Graph, rows: Value) -> Value:
    return graph.op("Transpose", rows, perm=[1, 0, 2])
