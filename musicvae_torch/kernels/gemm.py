"""Products with a weight that many steps share, on CPUs as fast as memory allows.

An LSTM multiplies a few rows by the same weight at every step, and reading the weight from memory
takes most of the time. PyTorch's plain product reads a weight as it lies; oneDNN, which comes with
PyTorch, can lay out a copy for the processor once, and is then several times as fast. The copy
lives as long as the product, which is one call of a network. Training uses it too, in
:func:`linear` and the LSTM's recurrence.

Without oneDNN, on GPUs and in float64, products are PyTorch's plain ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from musicvae_torch.errors import OptionError
from musicvae_torch.options import DTYPES

FLOAT32, BFLOAT16, INT8 = DTYPES

# oneDNN chooses a layout by an expected number of rows. The layout for 64 is as quick as any from 1
# row to 1024; layouts for fewer rows are up to three times slower for more.
_EXPECTED_ROWS = 64
# For no more multiplications than this, PyTorch's plain product is faster than oneDNN's.
_SMALL = 1 << 18
# From this number of rows on, laying out a weight saves time.
_WORTH_PACKING = 8
# The rows of a weight's gradient are shared out among so many images, if their number allows it.
_IMAGES = 64
# Numbers from -1 to 1 as bytes: oneDNN's fast products want them unsigned.
_LEVELS, _ZERO = 127, 128


class Product:
    """x (M, K) → x @ weightᵀ + bias, as PyTorch does it; no gradient flows.

    Args:
        weight: (N, K), in the precision to multiply in; results are in the inputs' own.
        bias: (N,); None: zeros.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The product of x (M, K), with `other` (M, N) added to it."""
        if not torch.is_autocast_enabled("cpu"):
            return self._multiply(x, other)
        # Autocast would try to cast the weight, and cannot once it is laid out.
        with torch.autocast("cpu", enabled=False):
            return self._multiply(x, other)

    def _multiply(self, x: Tensor, other: Tensor | None) -> Tensor:
        result = functional.linear(x.to(self._weight.dtype), self._weight).to(x.dtype)
        return self._add(result, other)

    def _add(self, result: Tensor, other: Tensor | None) -> Tensor:
        if self._bias is not None:
            result += self._bias
        # Not in place: `other` may be more precise.
        return result if other is None else result + other


def _laid_out(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _EXPECTED_ROWS)
    return packed


class _PackedProduct(Product):
    """A float32 product whose weight is laid out for the processor."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight, bias)
        self._size = weight.numel()
        self._plain = self._weight if self._size <= _SMALL else None
        self._weight = _laid_out(self._weight)

    def _multiply(self, x: Tensor, other: Tensor | None) -> Tensor:
        rows = x.float()
        if self._plain is not None and len(x) * self._size <= _SMALL:
            result: Tensor = functional.linear(rows, self._plain, self._bias)
            return result.to(x.dtype) if other is None else result.add_(other)
        linear = torch.ops.mkldnn._linear_pointwise
        if other is None:
            result = linear.default(rows, self._weight, self._bias, "none", [], "")
            return result.to(x.dtype)
        result = linear.binary(rows, other.float(), self._weight, self._bias, "add")
        return result


class _HalfProduct(Product):
    """A product of bfloat16 weights and inputs, with float32 sums that are rounded before the bias
    is added."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight, bias)
        self._weight = _laid_out(self._weight.bfloat16())

    def _multiply(self, x: Tensor, other: Tensor | None) -> Tensor:
        linear = torch.ops.mkldnn._linear_pointwise.default
        result = linear(x.bfloat16(), self._weight, None, "none", [], "")
        return self._add(result.float(), other)


class _ByteProduct(Product):
    """A product of int8 weights, with a scale for each row, and inputs in 127ths. Inputs must lie
    between -1 and 1, as an LSTM's outputs do. Sums are exact."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight, bias)
        least = torch.finfo(torch.float32).tiny
        self._scales = self._weight.abs().amax(dim=1).clamp(min=least) / _LEVELS
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        levels = (self._weight / self._scales[:, None]).round_().to(torch.int8)
        shape = [_EXPECTED_ROWS, weight.shape[1]]
        self._weight = torch.ops.onednn.qlinear_prepack(levels, shape)

    def _multiply(self, x: Tensor, other: Tensor | None) -> Tensor:
        levels = (x * _LEVELS).round_().add_(_ZERO).to(torch.uint8)
        weight = (self._weight, self._scales, self._zeros)
        linear = torch.ops.onednn.qlinear_pointwise.default
        nothing_after: Any = (1.0, 0, torch.float32, "none", [], "")
        return self._add(linear(levels, 1 / _LEVELS, _ZERO, *weight, None, *nothing_after), other)


def prepare(weight: Tensor, bias: Tensor | None = None, dtype: str = FLOAT32) -> Product:
    """The fastest product there is here for a weight.

    Args:
        weight: (N, K), read now; changes to it later do not show.
        bias: (N,); None: zeros.
        dtype: precision to multiply in, of DTYPES, where the weight is float32; inputs of
            int8 products must lie between -1 and 1.

    Raises:
        OptionError: int8 is asked for where it cannot be had.
    """
    if weight.dtype != torch.float32:
        return Product(weight, bias)
    kinds: dict[str, type[Product]]
    kinds = {FLOAT32: _PackedProduct, BFLOAT16: _HalfProduct, INT8: _ByteProduct}
    if _packs(weight, kind := kinds[dtype]):
        return kind(weight, bias)
    if dtype == INT8:
        refuse_int8(weight.device)
    return Product(weight.bfloat16() if dtype == BFLOAT16 else weight, bias)


def refuse_int8(device: torch.device) -> NoReturn:
    """Say, in an OptionError, what int8 products on that device would want."""
    if device.type != "cpu":
        raise OptionError(
            f"int8 products are for CPUs, and the weights are on {device}; take bfloat16 or "
            "float32, or the CPU"
        )
    raise OptionError(
        "int8 weights want an x86 processor with VNNI and a PyTorch with oneDNN; use bfloat16"
    )


def _packs(weight: Tensor, kind: type[Product]) -> bool:
    """Whether there is a kind of product for such a weight."""
    return (weight.dtype, weight.device.type) == (torch.float32, "cpu") and works(kind)  # type: ignore[arg-type]


class ProductCache:
    """Products of low precision that stay for further calls, as long as their weights do.

    They take half of the weights' memory or a quarter. Products in float32, which would take as
    much again, are made for each call.
    """

    def __init__(self) -> None:
        self._products: dict[Hashable, tuple[Hashable, Product, list[Tensor]]] = {}

    def prepare(
        self,
        key: Hashable,
        sources: Sequence[Tensor],
        weight: Callable[[], Tensor],
        dtype: str,
        bias: Tensor | None = None,
    ) -> Product:
        """:func:`prepare`, unless the cache has that product.

        Args:
            key: tells the cache's products apart.
            sources: what the weight and the bias are made of. Once one of them is changed or
                replaced, the product is made again. (A change through ``.data`` goes unnoticed.)
            weight: makes the weight.
            dtype, bias: as for :func:`prepare`.
        """
        if dtype == FLOAT32 or any(source.is_inference() for source in sources):
            return prepare(weight(), bias, dtype)
        state = tuple((source.data_ptr(), source._version) for source in sources)
        known = self._products.get((key, dtype))
        if known is None or known[0] != state:
            # The sources are kept, so that no other tensor gets their memory, and thus their state.
            own = [source.detach() for source in sources]
            known = self._products[key, dtype] = (state, prepare(weight(), bias, dtype), own)
        return known[1]


# The cache of each layer, as long as the layer lives. Copies and files of layers have none.
_caches: WeakKeyDictionary[object, ProductCache] = WeakKeyDictionary()


def products_of(layer: object) -> ProductCache:
    """The cache of a layer's products."""
    return _caches.setdefault(layer, ProductCache())


def forget_products(layer: object) -> None:
    """Discard a layer's products, so that they are prepared again when needed."""
    _caches.pop(layer, None)


def check_weight_dtype(dtype: str, device: torch.device) -> None:
    """Raise an OptionError if there is no such precision, or not on that device."""
    if dtype not in DTYPES:
        raise OptionError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
    prepare(torch.zeros(1, 1, device=device), dtype=dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``functional.linear`` of x (..., K), in the fastest way that there is for as many rows. It
    has a gradient, but no second one."""
    rows = x.flatten(0, -2)
    elsewhere = x.device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if elsewhere or len(rows) < _WORTH_PACKING:
        return functional.linear(x, weight, bias)
    return torch.unflatten(apply(_Linear, rows, weight, bias), 0, x.shape[:-1])


def apply(function: type[torch.autograd.Function], *inputs: Any) -> Any:
    """The result of a function with a backward pass of its own; PyTorch has no types for this."""
    return function.apply(*inputs)


def weight_gradient(grads: Tensor, inputs: Tensor) -> Tensor:
    """The gradient (N, K) of a weight by which inputs (M, K) were multiplied, from the gradients
    `grads` (M, N) of the products: the sum of the outer products of all rows."""
    if grads.numel() * inputs.shape[1] <= _SMALL or not _packs(grads, _PackedProduct):
        return grads.t() @ inputs
    # A convolution by single pixels is a product by its weight, and oneDNN computes its gradient in
    # half the time of this matrix product, if there are 16 images or more.
    images = math.gcd(len(grads), _IMAGES)
    pixels, pixel_grads = (
        rows.view(images, 1, -1, rows.shape[1]).permute(0, 3, 1, 2) for rows in (inputs, grads)
    )
    size = (grads.shape[1], inputs.shape[1], 1, 1)
    gradient: Tensor = conv2d_weight(pixels, size, pixel_grads)
    return gradient.flatten(1)


class _Linear(torch.autograd.Function):
    """rows (M, K), weight (N, K), bias (N,) or None → (M, N)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return prepare(weight, bias)(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        grads = grads.contiguous()
        return (
            prepare(weight.t())(grads) if wanted[0] else None,
            weight_gradient(grads, rows) if wanted[1] else None,
            grads.sum(0) if wanted[2] else None,
        )


@lru_cache
def works(kind: type[Product]) -> bool:
    """Whether a kind of product is available here and gives right results."""
    if not torch.backends.mkldnn.is_available():
        return False
    # The largest values there are, as processors without VNNI clip sums of bytes' products; and so
    # many that a product is no longer a small one.
    size = math.isqrt(_SMALL)
    signs = torch.ones(size, dtype=torch.float32, device="cpu")
    signs[1::2] = -1
    x, other = signs.new_ones(2, size), 3 * signs.expand(2, size)
    try:
        product = kind(signs[:, None].expand(size, size), 5 * signs)
        results = product(x), product(x, other)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    wanted = (size + 5) * signs.expand(2, size)
    return all(
        torch.allclose(result, right, rtol=1e-4)
        for result, right in zip(results, (wanted, wanted + other), strict=True)
    )
