"""Dense and LSTM layers as ONNX nodes.

ONNX has LSTM gates in the order input, output, forget, cell; ours are in the order input, forget,
cell, output. ONNX adds two biases for each gate, and nothing to the forget gate at run time: our
1.0 goes into its bias.

Shape names: B batch, T steps, D input width, H units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from musicvae_torch.model.lstm import BidirectionalLSTM, InitialState, LSTMStack, LSTMWeights
from musicvae_torch.onnx.graph import Graph, Value


class Direction(NamedTuple):
    """Weights of one direction of an LSTM layer, in our order of gates, and the sum of the biases:
    (4H, D), (4H, H) and (4H,)."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: LSTMWeights) -> Direction:
        return cls(layer.weight_ih, layer.weight_hh, layer.full_bias)


class Ran(NamedTuple):
    """Results of an LSTM layer: the outputs of all steps (T, B, directions * H), and the last
    output and cell of each direction (directions, B, H)."""

    outputs: Value
    hidden: Value
    cell: Value


def linear(graph: Graph, layer: nn.Linear | InitialState, value: Value) -> Value:
    """A dense layer on the last dimension of a tensor of any number of dimensions."""
    product = graph.op("MatMul", value, graph.weight(layer.weight.t()))
    return graph.op("Add", product, graph.weight(layer.bias))


def lstm(
    graph: Graph,
    directions: Sequence[Direction],
    inputs: Value,
    state: tuple[Value, Value] | None = None,
    lengths: Value = "",
) -> Ran:
    """One layer.

    Args:
        directions: the forward direction, or the forward and the backward one.
        inputs: (T, B, D).
        state: initial h and c, (directions, B, H) each; None: zeros.
        lengths: (B,) int32, at least 1; empty: all steps count. A backward direction starts at the
            last step that counts.
    """
    units = directions[0].weight_hh.shape[1]
    biases = torch.stack([_reorder(each.bias) for each in directions])
    outputs, hidden, cell = graph.ops(
        3,
        "LSTM",
        inputs,
        graph.weight(torch.stack([_reorder(each.weight_ih) for each in directions])),
        graph.weight(torch.stack([_reorder(each.weight_hh) for each in directions])),
        graph.weight(torch.cat([biases, torch.zeros_like(biases)], dim=1)),
        lengths,
        *(state or ()),
        hidden_size=units,
        direction="forward" if len(directions) == 1 else "bidirectional",
    )
    side_by_side = graph.op("Transpose", outputs, perm=[0, 2, 1, 3])
    return Ran(graph.reshape(side_by_side, 0, 0, len(directions) * units), hidden, cell)


def _reorder(gates: Tensor) -> Tensor:
    """(4H, ...): input, forget, cell, output → input, output, forget, cell."""
    i, f, g, o = gates.detach().chunk(4)
    return torch.cat([i, o, f, g])


def bidirectional(
    graph: Graph, layers: BidirectionalLSTM, inputs: Value, lengths: Value = ""
) -> tuple[Value, Value]:
    """Stacked bidirectional layers.

    Args:
        inputs: (T, B, D).
        lengths: (B,) int64, at least 0; empty: all steps count.

    Returns:
        Outputs of all steps, (T, B, 2H), and the embedding, (B, 2H): zeros for a length of 0.
    """
    at_least_one = ""
    if lengths:
        # An empty sequence runs for one step, whose result is discarded.
        at_least_one = graph.cast(graph.op("Max", lengths, graph.ints(1)), "int32")
    ran = Ran(inputs, "", "")
    for layer in layers.layers:
        pair = cast(dict[str, LSTMWeights], layer)
        directions = [Direction.of(pair["fw"]), Direction.of(pair["bw"])]
        ran = lstm(graph, directions, ran.outputs, lengths=at_least_one)
    embedding = join_directions(graph, ran.hidden, layers.embedding_size)
    if lengths:
        counts = graph.cast(graph.op("Greater", lengths, graph.ints(0)), "float32")
        embedding = graph.op("Mul", embedding, graph.unsqueeze(counts, 1))
    return ran.outputs, embedding


def join_directions(graph: Graph, hidden: Value, width: int) -> Value:
    """(2, B, H) → (B, 2H = width)."""
    return graph.reshape(graph.op("Transpose", hidden, perm=[1, 0, 2]), -1, width)


def initial_state(graph: Graph, layer: InitialState, embedding: Value) -> Value:
    """All layers' initial states as one vector: c, h, c, h along the last dimension."""
    return graph.op("Tanh", linear(graph, layer, embedding))


def stack(
    graph: Graph, layers: LSTMStack, inputs: Value, state: Value
) -> tuple[Value, list[Value]]:
    """Unidirectional layers over a sequence.

    Args:
        inputs: (T, B, D).
        state: (B, 2 * units of all layers), as :func:`initial_state` gives it.

    Returns:
        Outputs of all steps, (T, B, H), and the parts of the new state, (B, units) each.
    """
    sizes = [layer.units for layer in layers for _ in ("c", "h")]
    blocks = graph.split(graph.unsqueeze(state, 0), sizes)
    new_blocks: list[Value] = []
    for layer, c, h in zip(layers, blocks[0::2], blocks[1::2], strict=True):
        inputs, *last = lstm(graph, [Direction.of(layer)], inputs, (h, c))
        new_blocks += [graph.op("Squeeze", value, graph.ints(0)) for value in reversed(last)]
    return inputs, new_blocks
