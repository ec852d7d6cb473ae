"""The LSTM recurrence for CPUs: its gradients, in both precisions, plain and fused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from musicvae_torch import recurrence
from musicvae_torch.recurrence import compile_recurrence, recur

STEPS, BATCH, UNITS = 5, 3, 4


def problem(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(STEPS, BATCH, 4 * UNITS), (4 * UNITS, UNITS), (BATCH, UNITS), (BATCH, UNITS)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


def outputs_and_gradients(tensors: list[Tensor]) -> list[Tensor]:
    outputs, cell = recur(*tensors)
    weights = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    loss = (outputs * weights).sum() + (cell * cell).sum()
    return [outputs, cell, *torch.autograd.grad(loss, tensors)]


@pytest.fixture
def fused() -> Iterator[None]:
    compile_recurrence()
    yield
    recurrence._Fused.advance = staticmethod(recurrence._advance)
    recurrence._Fused.retreat = staticmethod(recurrence._retreat)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(recur, problem(torch.float64))


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
    assert recurrence._Fused.advance is not recurrence._advance
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
