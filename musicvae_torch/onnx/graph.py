"""Writing an ONNX graph node by node.

The networks are written out rather than traced: ``torch.onnx.export`` unrolls the recurrence of
``musicvae_torch.kernels.recurrence`` into a node for every operation of every step (5,161 of them
for an encoder of 32 steps), where ONNX has one operator for a whole LSTM layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor

from musicvae_torch.errors import MusicVAEError

# ONNX Runtime has known it since 1.12.
OPSET = 17
_IR_VERSION = 8
_LARGEST = 2_000_000_000  # bytes; protobuf can hold a little more in one message

Value = str  # the name of a tensor in the graph
Shape = Sequence[int | str]  # a size that is not fixed has a name


class GraphError(MusicVAEError, ValueError):
    """A network that cannot be written as ONNX."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph; `dtype` is NumPy's name of its type, `about` its meaning."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    about: str

    def proto(self) -> onnx.ValueInfoProto:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return helper.make_tensor_value_info(self.name, element, list(self.shape), self.about)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; the field names are the keys."""
        return {**vars(self), "shape": list(self.shape)}


@dataclass
class Graph:
    """A graph that grows by calls, each of which returns the name of the tensor that it computes.

    Attributes:
        name: of the graph.
        about: what it computes, in words.
        inputs, outputs: in their order.
    """

    name: str
    about: str
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _weights: list[onnx.TensorProto] = field(default_factory=list)
    _numbers: dict[tuple[Any, ...], Value] = field(default_factory=dict)
    _names: count[int] = field(default_factory=count)

    def input(self, name: str, dtype: str, shape: Shape, about: str) -> Value:
        self.inputs.append(Port(name, dtype, tuple(shape), about))
        return name

    def output(self, name: str, value: Value, dtype: str, shape: Shape, about: str) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"give_{name}"))
        self.outputs.append(Port(name, dtype, tuple(shape), about))

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """Add a node with one output. An empty name stands for an input that is left out."""
        return self.ops(1, kind, *inputs, **attributes)[0]

    def ops(self, outputs: int, kind: str, *inputs: Value, **attributes: Any) -> list[Value]:
        """Add a node with several outputs."""
        names = [self._name(kind) for _ in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, name=f"make_{names[0]}", **attributes)
        self._nodes.append(node)
        return names

    def weight(self, values: Tensor | np.ndarray) -> Value:
        """Stored floats. If half precision holds them exactly, they are stored so, and made float32
        when the graph is loaded."""
        if isinstance(values, Tensor):
            values = values.detach().cpu().numpy()
        values = np.ascontiguousarray(values, np.float32)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            return self.op("Cast", self._store(half, "half"), to=onnx.TensorProto.FLOAT)
        return self._store(values, "weight")

    def floats(self, *values: float) -> Value:
        """A vector of constants, float32; equal constants are stored once."""
        return self._constant(np.array(values, np.float32))

    def ints(self, *values: int) -> Value:
        """A vector of constants, int64, such as axes and shapes."""
        return self._constant(np.array(values, np.int64))

    def number(self, value: int) -> Value:
        """One number, int64."""
        return self._constant(np.array(value, np.int64))

    def cast(self, value: Value, dtype: str) -> Value:
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def concat(self, values: Sequence[Value], axis: int = -1) -> Value:
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def split(self, value: Value, sizes: Sequence[int], axis: int = -1) -> list[Value]:
        if len(sizes) == 1:
            return [value]
        return self.ops(len(sizes), "Split", value, self.ints(*sizes), axis=axis)

    def reshape(self, value: Value, *shape: int) -> Value:
        """Reshape; a size of -1 takes what is left, and 0 keeps the old size."""
        return self.op("Reshape", value, self.ints(*shape))

    def unsqueeze(self, value: Value, axis: int) -> Value:
        return self.op("Unsqueeze", value, self.ints(axis))

    def body(self, name: str) -> Graph:
        """A graph for an attribute of a node of this graph, whose values it sees; names differ."""
        return Graph(name, "", _names=self._names)

    def proto(self) -> onnx.GraphProto:
        return helper.make_graph(
            self._nodes,
            self.name,
            [port.proto() for port in self.inputs],
            [port.proto() for port in self.outputs],
            self._weights,
            self.about,
        )

    def check_size(self) -> None:
        """Raise GraphError if the graph is too large for one file."""
        size = sum(len(weight.raw_data) for weight in self._weights)
        if size > _LARGEST:
            raise GraphError(
                f"{self.name}: has {size / 1e9:.1f} GB of weights, more than the 2 GB that an ONNX "
                "file can hold"
            )

    def model(self) -> onnx.ModelProto:
        """The graph for a file, checked with its shapes; see :meth:`check_size`."""
        model = helper.make_model(
            self.proto(),
            producer_name="musicvae-torch",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, kind: str) -> Value:
        return f"{kind.lower()}_{next(self._names)}"

    def _store(self, values: np.ndarray, kind: str) -> Value:
        name = self._name(kind)
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _constant(self, values: np.ndarray) -> Value:
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._numbers:
            self._numbers[key] = self._store(values, "constant")
        return self._numbers[key]
