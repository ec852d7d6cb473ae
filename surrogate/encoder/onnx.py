"""Surrogate encoders as ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.onnx.encoder import posterior, read_levels
from musicvae_torch.onnx.folder import write_graphs
from musicvae_torch.onnx.graph import Graph, Value
from musicvae_torch.onnx.layers import Direction, join_directions, linear, lstm
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.encoder.model import Surrogate, SurrogateEncoder
from surrogate.encoder.pooling import HEADS, PooledEncoder


def export_surrogate(
    network: Surrogate, out: str | Path, records: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write a surrogate encoder of either kind as ONNX.

    Args:
        out: a folder, made if need be: surrogate.onnx and manifest.json.
        records: further JSON data for the manifest.

    Returns:
        The files, the manifest last.

    Raises:
        GraphError: the graph would be too large for one file.
        OSError: a file cannot be written.
    """
    if isinstance(network, SurrogateEncoder):
        graph = _encoder_graph(network)
    else:
        assert isinstance(network, PointSurrogate)
        graph = _point_graph(network)
    manifest = {
        "kind": network.kind,
        "config": network.config.to_dict(),
        "parts": list(PARTS),
        "depths": dict(zip(network.input_parts, network.depths, strict=True)),
    }
    return write_graphs(out, [graph], {**(records or {}), **manifest})


def _start(network: Surrogate, about: str) -> tuple[Graph, Value]:
    graph = Graph("surrogate", about)
    shape = ("batch", network.config.max_seq_len, len(PARTS))
    what = f"classes of {', '.join(PARTS)}; -1 is a row of zeros"
    return graph, graph.input("tokens", "int64", shape, what)


def _encoder_graph(network: SurrogateEncoder) -> Graph:
    """Tokens, and which parts are given → the predicted posterior."""
    graph, tokens = _start(network, "the posterior of a trio, predicted from some of its parts")
    hides = len(network.input_parts) > 1
    if hides:
        what = f"whether {', '.join(PARTS)} are given"
        given = graph.input("given", "bool", ("batch", len(PARTS)), what)
    rows = []
    for part, depth in zip(network.input_parts, network.depths, strict=True):
        index = PARTS.index(part)
        classes = _column(graph, tokens, index)
        if hides:  # the class that stands for a hidden part
            is_given = graph.op("Gather", given, graph.ints(index), axis=1)
            classes = graph.op("Where", is_given, classes, graph.ints(depth))
        rows.append(_one_hot(graph, classes, depth + hides))
    encoder = network.encoder
    outputs, embedding = read_levels(graph, encoder, graph.concat(rows))
    if encoder.pooling != "last":
        embedding = _pool(graph, encoder, outputs)
    posterior(graph, encoder, embedding, network.config.z_size)
    return graph


def _pool(graph: Graph, encoder: PooledEncoder, outputs: Value) -> Value:
    """The top level's outputs (bars, batch, width) → (batch, width)."""
    if encoder.query is None:
        return graph.op("ReduceMean", outputs, axes=[0], keepdims=0)
    weights = graph.op("Softmax", linear(graph, encoder.query, outputs), axis=0)
    width = encoder.query.in_features
    shares = graph.reshape(outputs, 0, 0, HEADS, width // HEADS)
    weighted = graph.op("Mul", shares, graph.unsqueeze(weights, 3))
    summed = graph.op("ReduceSum", weighted, graph.ints(0), keepdims=0)
    return graph.reshape(summed, -1, width)


def _point_graph(network: PointSurrogate) -> Graph:
    """Tokens → the predicted mean."""
    graph, tokens = _start(network, "the mean of a trio's posterior, predicted from its melody")
    melody = _column(graph, tokens, PARTS.index("melody"))
    rows = _one_hot(graph, melody, network.config.input_depth)
    outputs, hidden = graph.op("Transpose", rows, perm=[1, 0, 2]), ""
    for layer in network.layers:
        outputs, hidden, _ = lstm(graph, _directions(layer), outputs)
    embedding = join_directions(graph, hidden, network.mean.in_features)
    mean = linear(graph, network.mean, embedding)
    graph.output("mean", mean, "float32", ("batch", network.config.z_size), "the mean")
    return graph


def _directions(layer: nn.Module) -> list[Direction]:
    """Both directions of PyTorch's own layer, whose two biases add up."""
    weights = dict(layer.named_parameters())
    return [
        Direction(
            weights[f"weight_ih_l0{end}"],
            weights[f"weight_hh_l0{end}"],
            weights[f"bias_ih_l0{end}"] + weights[f"bias_hh_l0{end}"],
        )
        for end in ("", "_reverse")
    ]


def _column(graph: Graph, tokens: Value, index: int) -> Value:
    """One part's classes: (batch, steps)."""
    return graph.op("Gather", tokens, graph.number(index), axis=2)


def _one_hot(graph: Graph, classes: Value, depth: int) -> Value:
    """(batch, steps) classes → (batch, steps, depth) rows; of class -1, zeros."""
    # ONNX counts -1 from the end: it is made a class of its own, and that column dropped.
    raised = graph.op("Add", classes, graph.ints(1))
    rows = graph.op("OneHot", raised, graph.ints(depth + 1), graph.floats(0.0, 1.0), axis=-1)
    return graph.op("Slice", rows, graph.ints(1), graph.ints(depth + 1), graph.ints(2))
