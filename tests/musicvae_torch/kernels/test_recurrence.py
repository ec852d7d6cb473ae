"""The LSTM recurrence for CPUs: its gradients, in both precisions, plain and fused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from musicvae_torch.kernels import gemm as products
from musicvae_torch.kernels import recurrence
from musicvae_torch.kernels.input_gates import project
from musicvae_torch.kernels.recurrence import compile_recurrence, recur
from musicvae_torch.model.terms import OneHot, Term, densify

STEPS, BATCH, UNITS = 5, 3, 4
# Products of a step that are large enough to be by weights laid out for the processor.
LARGE: dict[str, Any] = {"batch": 40, "units": 64}


def problem(
    dtype: torch.dtype = torch.float32, batch: int = BATCH, units: int = UNITS
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(STEPS, batch, 4 * units), (4 * units, units), (batch, units), (batch, units)]
    scale = min(1.0, 4 / units**0.5)
    return [
        (scale * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_()
        for shape in shapes
    ]


def outputs_and_gradients(tensors: list[Tensor], reverse: bool = False) -> list[Tensor]:
    return with_gradients(*recur(*tensors, reverse=reverse), tensors)


def plain_lstm(projected: Tensor, weight: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence as its formulas stand, for autograd to differentiate."""
    outputs = []
    for share in projected:
        i, f, g, o = (share + h @ weight.t()).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), c


def with_gradients(outputs: Tensor, cell: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    loss = (outputs * weights).sum() + (cell * cell).sum()
    return [outputs, cell, *torch.autograd.grad(loss, tensors)]


@pytest.fixture
def fused() -> Iterator[None]:
    compile_recurrence()
    yield
    recurrence._Fused.forward = staticmethod(recurrence._saved_step)
    recurrence._Fused.backward = staticmethod(recurrence.lstm_cell_backward)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(recur, problem(torch.float64))


def test_large_gradients_are_autograd_s_of_the_plain_form() -> None:
    tensors = problem(**LARGE)
    plain = with_gradients(*plain_lstm(*tensors), tensors)
    for near, true in zip(outputs_and_gradients(tensors), plain, strict=True):
        torch.testing.assert_close(near, true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [{}, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_without_onednn_all_is_as_with_it(
    sizes: dict[str, Any], low: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        fast = outputs_and_gradients(problem(**sizes))
        monkeypatch.setattr(products, "works", lambda _: False)
        slow = outputs_and_gradients(problem(**sizes))
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype
        # Sums of another order differ in their last bit, which bfloat16 rounds to a larger one.
        error = (one.float() - other.float()).norm() / other.float().norm()
        assert error < (0.01 if low else 1e-5)


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_backwards_is_forwards_of_what_is_flipped(low: bool) -> None:
    projected, weight, h, c = problem()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        outputs, cell = recur(projected, weight, h, c, reverse=True)
        flipped, same = recur(projected.flip(0), weight, h, c)
        results = (
            with_gradients(outputs, cell, [projected, weight, h, c]),
            with_gradients(flipped.flip(0), same, [projected, weight, h, c]),
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("which", [(0, 1, 2, 3), (0, 2), (0,), (1, 3), (1, 2), (2,)])
def test_looked_up_shares_are_those_of_dense_inputs(which: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    classes = torch.randint(-1, 5, (BATCH, STEPS))
    every: list[Term] = [
        OneHot(classes, 5),
        torch.randn(BATCH, STEPS, 2),
        torch.randn(BATCH, 1, 3),
        OneHot(classes.flip(0).clamp(max=3), 4),
    ]
    terms = [every[index] for index in which]
    width = sum((5, 2, 3, 4)[index] for index in which)
    weight, bias = torch.randn(8, width, requires_grad=True), torch.randn(8, requires_grad=True)
    dense = torch.nn.functional.linear(densify(terms).transpose(0, 1), weight, bias)
    cotangent = torch.randn(dense.shape)
    results = [
        [shares, *torch.autograd.grad((shares * cotangent).sum(), [weight, bias])]
        for shares in (project(terms, weight, bias), dense)
    ]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_outputs_are_those_of_pytorch_s_cell() -> None:
    projected, weight, h, c = problem()
    outputs, cell = recur(projected, weight, h, c)
    nothing = torch.zeros(4 * UNITS, 1)
    for t in range(STEPS):
        # With an input of nothing, the projection stands for a bias, one example at a time.
        pairs = [
            torch.lstm_cell(
                torch.zeros(1, 1), (h[i : i + 1], c[i : i + 1]), nothing, weight, projected[t, i]
            )
            for i in range(BATCH)
        ]
        h, c = (torch.cat(states) for states in zip(*pairs, strict=True))
        torch.testing.assert_close(outputs[t], h)
    torch.testing.assert_close(cell, c)


def test_bfloat16_under_autocast_stays_near_float32() -> None:
    exact = outputs_and_gradients(problem())
    with torch.autocast("cpu", torch.bfloat16):
        coarse = outputs_and_gradients(problem())
    assert coarse[0].dtype == torch.bfloat16 and coarse[1].dtype == torch.float32
    for near, true in zip(coarse, exact, strict=True):
        error = (near.float() - true).norm() / true.norm()
        assert 0 < error < 0.02


def test_fused_arithmetic_agrees_with_plain(request: pytest.FixtureRequest) -> None:
    plain = outputs_and_gradients(problem())
    request.getfixturevalue("fused")
    assert recurrence._Fused.forward is not recurrence._saved_step
    for near, true in zip(outputs_and_gradients(problem()), plain, strict=True):
        torch.testing.assert_close(near, true, rtol=1e-5, atol=1e-6)


def test_fusing_without_a_compiler_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ValueError, match="wants a C\\+\\+ compiler, and there is no no-such-compiler"
    ):
        compile_recurrence()


def test_frozen_weights_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    projected = torch.randn(4, 2, 12, requires_grad=True)
    weight, state = torch.randn(12, 3), torch.zeros(2, 3)
    monkeypatch.setattr("musicvae_torch.kernels.recurrence.weight_gradient", None)
    recur(projected, weight, state, state)[0].sum().backward()
    assert projected.grad is not None
