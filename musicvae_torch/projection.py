"""The input's share of an LSTM layer's gates, for one-hot rows by looking them up.

Shape names: B batch, T steps, H units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.products import Product, prepare
from musicvae_torch.terms import OneHot, Term, term_width


def project(terms: Sequence[Term], weight: Tensor, bias: Tensor) -> Tensor:
    """What terms contribute to the gates, for all steps at once, with a gradient.

    Args:
        terms: of widths that add up to the weight's.
        weight: (4H, D).
        bias: (4H,).

    Returns:
        (T, B, 4H)
    """
    projected = None
    for term, columns in zip(terms, _columns(terms, weight), strict=True):
        if columns.shape[1] == 0:
            continue
        share = _project_term(term, columns, bias if projected is None else None)
        projected = share if projected is None else projected + share
    assert projected is not None
    return projected


def _project_term(term: Term, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not isinstance(term, OneHot):
        return functional.linear(term.transpose(0, 1), weight, bias)
    # One row more than classes: the zeros that class -1 stands for.
    rows = functional.pad(weight.t(), (0, 0, 0, 1))
    rows = rows if bias is None else rows + bias
    return functional.embedding(term.classes.t() % (term.depth + 1), rows)


class Rows:
    """Sums of one-hot rows' shares of the gates, of layers side by side: a table has a row for
    each class.

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
        places = [[next(starts) for _ in own] + [0] * (self.parts - len(own)) for own in depths]
        self._starts = torch.tensor(places, device=self._table.device).unsqueeze(1)

    def __call__(self, classes: Tensor) -> Tensor:
        """(layers, rows, parts) int64, -1 for no class → (layers, rows, 4H)."""
        places = torch.where(classes < 0, self._nothing, classes + self._starts)
        sums = functional.embedding_bag(places.flatten(0, -2), self._table, mode="sum")
        return sums.view(*classes.shape[:-1], self._table.shape[1])


class Projection:
    """:func:`project` without a gradient, some steps at a time.

    Args:
        terms, weight, bias: as of :func:`project`.
        dtype: precision of products with vectors that differ from step to step.
    """

    def __init__(self, terms: Sequence[Term], weight: Tensor, bias: Tensor, dtype: str) -> None:
        self._bias = self._still = bias.detach()
        self._dense: list[tuple[Tensor, Product]] = []
        one_hot: list[OneHot] = []
        looked_up: list[Tensor] = []
        for term, columns in zip(terms, _columns(terms, weight.detach()), strict=True):
            if isinstance(term, OneHot):
                one_hot.append(term)
                looked_up.append(columns)
            elif columns.shape[1] and term.shape[1] == 1:
                self._still = self._still + functional.linear(term[:, 0], columns)
            elif columns.shape[1]:
                self._dense.append((term.transpose(0, 1), prepare(columns, dtype=dtype)))
        if one_hot:
            self._classes = torch.stack([term.classes.t() for term in one_hot], dim=-1)
            depths = [term.depth for term in one_hot]
            self._rows = Rows([torch.cat(looked_up, dim=1)], [depths])
        self._has_rows = bool(one_hot)

    def __call__(self, start: int, stop: int, rows: int) -> Tensor:
        """Of the steps from `start` to before `stop`, of the first `rows` sequences:
        (steps, rows, 4H), the caller's to write to."""
        still = self._still if self._still.dim() == 1 else self._still[:rows]
        if self._has_rows:
            classes = self._classes[start:stop, :rows]
            shares = self._rows(classes.flatten(0, 1).unsqueeze(0))
            shares = shares.view(*classes.shape[:2], len(self._bias)).add_(still)
        else:
            shares = still.expand(stop - start, rows, -1).clone()
        for term, product in self._dense:
            inputs = term[start:stop, :rows].flatten(0, 1)
            shares = product(inputs, shares.flatten(0, 1)).view_as(shares)
        return shares


def _columns(terms: Sequence[Term], weight: Tensor) -> tuple[Tensor, ...]:
    """The weight's columns that each term meets."""
    return weight.split([term_width(term) for term in terms], dim=1)
