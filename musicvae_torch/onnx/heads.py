"""Drawing a row from a decoder's logits, as ONNX nodes.

Uniforms, random numbers from [0, 1), are an input, as ONNX Runtime's own cannot be seeded from
outside. Classes are drawn as by :func:`musicvae_torch.model.heads.inverse_cdf_sample`.
"""

from __future__ import annotations

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.heads import CategoricalHead, Head, NADEHead
from musicvae_torch.onnx.graph import Graph, Value

# So low a temperature that the likeliest choice is always taken.
_COLDEST = 1e-30


def draws_of(config: MusicVAEConfig) -> int:
    """Uniforms that one row takes: one for each part, bit or drum."""
    if config.output == "categorical":
        return len(config.output_depths)
    return config.output_depth if config.output == "nade" else config.output_depth // 3


def draw(graph: Graph, head: Head, logits: Value, temperatures: Value, uniforms: Value) -> Value:
    """One core's row.

    Args:
        logits: (B, logit_depth).
        temperatures: (parts,).
        uniforms: (B, draws).

    Returns:
        (B, sum of depths) float32.
    """
    if isinstance(head, CategoricalHead):
        count = [1] * len(head.depths)
        parts = zip(
            graph.split(logits, head.depths),
            graph.split(temperatures, count, axis=0),
            graph.split(uniforms, count),
            head.depths,
            strict=True,
        )
        return graph.concat([_category(graph, *part) for part in parts])
    if isinstance(head, NADEHead):
        return _nade(graph, head, logits, temperatures, uniforms)
    hits, velocities, offsets = graph.split(logits, [head.logit_depth // 3] * 3)
    struck = _bits(graph, hits, temperatures, uniforms)
    return graph.concat([struck, graph.op("Sigmoid", velocities), graph.op("Tanh", offsets)])


def _category(graph: Graph, logits: Value, temperature: Value, uniform: Value, depth: int) -> Value:
    """The class in whose share of the probability a uniform (B, 1) lies, as a one-hot row."""
    likeliest = graph.op("ArgMax", logits, axis=-1, keepdims=1)
    # Shifted first, so that a tiny temperature sends all but the likeliest to minus infinity.
    shifted = graph.op("Sub", logits, graph.op("ReduceMax", logits, axes=[-1], keepdims=1))
    chances = graph.op("Softmax", _tempered(graph, shifted, temperature), axis=-1)
    reached = graph.op("CumSum", chances, graph.number(1))
    # Scaled by the sum, which rounding may leave below 1.
    whole = graph.op("Gather", reached, graph.ints(-1), axis=1)
    below = graph.op("LessOrEqual", reached, graph.op("Mul", uniform, whole))
    found = graph.op("ReduceSum", graph.cast(below, "int64"), graph.ints(1), keepdims=1)
    found = graph.op("Min", found, graph.ints(depth - 1))
    chosen = graph.op("Where", _is_zero(graph, temperature), likeliest, found)
    flat = graph.reshape(chosen, -1)
    return graph.op("OneHot", flat, graph.ints(depth), graph.floats(0.0, 1.0), axis=-1)


def _nade(
    graph: Graph, head: NADEHead, logits: Value, temperature: Value, uniforms: Value
) -> Value:
    """Bits one after the other, each given those before it."""
    activation, biases = graph.split(logits, (head.hidden, head.depths[0]))
    body = graph.body("bit")
    hidden = body.input("activation", "float32", ("batch", head.hidden), "")
    bias = body.input("bias", "float32", ("batch",), "")
    encode = body.input("encode", "float32", (head.hidden,), "")
    decode = body.input("decode", "float32", (head.hidden,), "")
    uniform = body.input("place", "float32", ("batch",), "")
    logit = body.op("Add", bias, body.op("MatMul", body.op("Sigmoid", hidden), decode))
    bit = _bits(body, logit, temperature, uniform)
    change = body.op("Mul", body.unsqueeze(bit, 1), encode)
    shape = ("batch", head.hidden)
    body.output("new_activation", body.op("Add", hidden, change), "float32", shape, "")
    body.output("bit", bit, "float32", ("batch",), "")
    _, bits = graph.ops(
        2,
        "Scan",
        activation,
        graph.op("Transpose", biases, perm=[1, 0]),
        graph.weight(head.w_enc),
        graph.weight(head.w_dec),
        graph.op("Transpose", uniforms, perm=[1, 0]),
        body=body.proto(),
        num_scan_inputs=4,
    )
    return graph.op("Transpose", bits, perm=[1, 0])


def _bits(graph: Graph, logits: Value, temperature: Value, uniforms: Value) -> Value:
    """Independent bits, as floats 0 or 1; at temperature 0, whether the logit is at least 0."""
    likelier = graph.op("GreaterOrEqual", logits, graph.floats(0.0))
    chances = graph.op("Sigmoid", _tempered(graph, logits, temperature))
    drawn = graph.op("Less", uniforms, chances)
    # ONNX Runtime's Where takes numbers, not booleans.
    choices = [graph.cast(each, "float32") for each in (likelier, drawn)]
    return graph.op("Where", _is_zero(graph, temperature), *choices)


def _tempered(graph: Graph, logits: Value, temperature: Value) -> Value:
    return graph.op("Div", logits, graph.op("Max", temperature, graph.floats(_COLDEST)))


def _is_zero(graph: Graph, temperature: Value) -> Value:
    return graph.op("Equal", temperature, graph.floats(0.0))
