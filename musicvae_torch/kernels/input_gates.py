"""The input's share of an LSTM layer's gates; that of one-hot rows is looked up.

Shape names: B batch, T steps, H units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from musicvae_torch.kernels.gemm import BFLOAT16, INT8, Product, ProductCache, apply, linear
from musicvae_torch.model.terms import OneHot, Term


def project(terms: Sequence[Term], weight: Tensor, bias: Tensor) -> Tensor:
    """The terms' share of the gates, for all steps at once, with a gradient.

    Args:
        terms: of widths that add up to the weight's.
        weight: (4H, D).
        bias: (4H,).

    Returns:
        (T, B, 4H)
    """
    looked_up, constant, dense = _sort(terms, weight)
    still = bias
    for rows, columns in constant:
        still = still + linear(rows, columns)
    if looked_up:
        projected = _look_up(looked_up, still)
    elif still is bias:
        (inputs, columns), *dense = dense
        projected = linear(inputs, columns, bias)
    else:
        projected = still.unsqueeze(0)
    for inputs, columns in dense:
        projected = projected + linear(inputs, columns)
    return projected


def _look_up(looked_up: Sequence[tuple[OneHot, Tensor]], still: Tensor) -> Tensor:
    """The share of one-hot terms, and what is the same at every step: (T, B, 4H).

    Args:
        looked_up: terms, each with its columns of the weight, (4H, depth).
        still: (4H,), or (B, 4H): one more table, in which each sequence has a row of its own.
    """
    # One row more than classes: the zeros that class -1 stands for.
    tables = [functional.pad(columns.t(), (0, 0, 0, 1)) for _, columns in looked_up]
    indices = [term.classes.t() % (term.depth + 1) for term, _ in looked_up]
    if still.dim() == 1:
        tables[0] = tables[0] + still
    else:
        tables.append(still)
        indices.append(torch.arange(len(still), device=still.device).expand_as(indices[0]))
    rows = torch.stack([index.flatten() for index in indices])
    sums: Tensor = apply(_Sums, rows, *tables)
    return sums.view(*indices[0].shape, sums.shape[1])


class _Sums(torch.autograd.Function):
    """Sums of rows of several tables, in one pass: PyTorch's own sum of look-ups is as quick only
    without a gradient."""

    @staticmethod
    def forward(ctx: Any, indices: Tensor, *tables: Tensor) -> Tensor:
        """indices (tables, N) int64, tables of (rows, W) → (N, W)."""
        ctx.save_for_backward(indices)
        ctx.rows = [len(table) for table in tables]
        starts = torch.tensor([sum(ctx.rows[:index]) for index in range(len(tables))])
        bags = (indices + starts.to(indices.device)[:, None]).t()
        return functional.embedding_bag(bags, torch.cat(tables), mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        gather = torch.ops.aten.embedding_dense_backward.default
        tables = zip(indices, ctx.rows, ctx.needs_input_grad[1:], strict=True)
        return None, *(
            gather(grads, index, rows, -1, False) if wanted else None
            for index, rows, wanted in tables
        )


class Rows:
    """Sums of one-hot rows' shares of the gates, of layers side by side.

    Args:
        weights: (4H, sum of depths) of each layer.
        depths: for each layer, the widths of the one-hot rows that it reads side by side.
    """

    def __init__(self, weights: Sequence[Tensor], depths: Sequence[Sequence[int]]) -> None:
        # One row more than classes: the zeros that class -1 stands for.
        self._table = functional.pad(torch.cat(list(weights), dim=1).t(), (0, 0, 0, 1))
        self._nothing = len(self._table) - 1
        self.parts = max(len(own) for own in depths)
        widths = [depth for own in depths for depth in own]
        starts = iter([sum(widths[:part]) for part in range(len(widths))])
        # Layers that read fewer rows than others read class -1 beside them.
        indices = [[next(starts) for _ in own] + [0] * (self.parts - len(own)) for own in depths]
        self._starts = torch.tensor(indices, device=self._table.device).unsqueeze(1)

    def __call__(self, classes: Tensor) -> Tensor:
        """(layers, rows, parts) int64, -1 for no class → (layers, rows, 4H)."""
        indices = torch.where(classes < 0, self._nothing, classes + self._starts)
        indices = indices.flatten(0, -2)
        if self.parts == 1:
            sums = self._table.index_select(0, indices.squeeze(1))
        elif self._table.is_cuda:  # where embedding_bag makes tensors of its own for each call
            rows = self._table.index_select(0, indices.flatten())
            sums = rows.view(*indices.shape, -1).sum(1)
        else:
            sums = functional.embedding_bag(indices, self._table, mode="sum")
        return sums.view(*classes.shape[:-1], self._table.shape[1])


class Projection:
    """:func:`project` without a gradient, some steps at a time.

    Args:
        terms, weight, bias: as of :func:`project`.
        dtype: precision of products with vectors that differ from step to step.
        products: where those are kept for further calls.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        weight: Tensor,
        bias: Tensor,
        dtype: str,
        products: ProductCache,
    ) -> None:
        self._bias = self._still = bias.detach()
        self._dense: list[tuple[Tensor, Product]] = []
        looked_up, constant, dense = _sort(terms, weight.detach())
        for rows, columns in constant:
            self._still = self._still + functional.linear(rows, columns)
        for inputs, columns in dense:
            key = ("input", columns.storage_offset(), columns.shape[1])
            # A layer's outputs lie between -1 and 1, but a caller's numbers may not.
            wide = dtype == INT8 and bool((inputs.abs() > 1).any())
            own = BFLOAT16 if wide else dtype
            self._dense.append((inputs, products.prepare(key, [weight], columns.detach, own)))
        self._rows: Rows | None = None
        if looked_up:
            self._classes = torch.stack([term.classes.t() for term, _ in looked_up], dim=-1)
            depths = [term.depth for term, _ in looked_up]
            self._rows = Rows([torch.cat([own for _, own in looked_up], dim=1)], [depths])

    def __call__(self, start: int, stop: int, rows: int) -> Tensor:
        """The first `rows` sequences' shares at the steps from `start` to before `stop`, (steps,
        rows, 4H), which the caller may overwrite."""
        still = self._still if self._still.dim() == 1 else self._still[:rows]
        if self._rows is not None:
            classes = self._classes[start:stop, :rows]
            shares = self._rows(classes.flatten(0, 1).unsqueeze(0))
            shares = shares.view(*classes.shape[:2], len(self._bias)).add_(still)
        else:
            shares = still.expand(stop - start, rows, -1).clone()
        for term, product in self._dense:
            inputs = term[start:stop, :rows].flatten(0, 1)
            shares = product(inputs, shares.flatten(0, 1)).view_as(shares)
        return shares


WithColumns = list[tuple[Tensor, Tensor]]  # terms, each with its columns of the weight (4H, width)


def _sort(
    terms: Sequence[Term], weight: Tensor
) -> tuple[list[tuple[OneHot, Tensor]], WithColumns, WithColumns]:
    """Terms by kind, each with its columns of the weight: one-hot ones; rows (B, width) that are
    the same at every step; and rows that differ from step to step, (T, B, width)."""
    looked_up, constant, dense = [], [], []
    widths = [term.depth if isinstance(term, OneHot) else term.shape[-1] for term in terms]
    for term, columns in zip(terms, torch.split(weight, widths, dim=1), strict=True):
        if isinstance(term, OneHot):
            looked_up.append((term, columns))
        elif columns.shape[1] and term.shape[1] == 1:
            constant.append((term[:, 0], columns))
        elif columns.shape[1]:
            dense.append((term.transpose(0, 1), columns))
    return looked_up, constant, dense
