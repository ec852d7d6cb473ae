"""A band's player, a few steps at a time: keys and values are kept, and weights laid out for speed.

A few steps together cost hardly more than one, as the weights are read once. So a band guesses the
next few, works out what it would play at each, and keeps those up to the first that differs from
its guess.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.kernels.gemm import prepare
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.band.attention import Block
from surrogate.band.model import Band, Controls, Head, all_vectors


class Stepper:
    """A band at play: the logits of :class:`Band`, some steps at a time.

    Args:
        band: whose weights; no gradient flows.
        given: (batch, steps, 3) tokens that are known beforehand, HIDDEN elsewhere.
        controls: how to play, for each row or one for all.
        most: steps to work out together, at most.
    """

    def __init__(self, band: Band, given: Tensor, controls: Controls, most: int = 1) -> None:
        player, (batch, steps, _) = band.player, given.shape
        rotation, dtype = band.rotation(steps, given.device), band.weight_dtype
        self._now = player.now(band.listener(given, controls, rotation), controls.style)
        self._start = player.start
        self._past = all_vectors(player.parts)
        self._turns = torch.complex(rotation.cos, rotation.sin)[:, None]
        self._ring = _Ring(steps, band.config.context, most)
        self._blocks = [
            _BlockSteps(block, self._ring, batch, dtype)
            for block in player.blocks
            if isinstance(block, Block)
        ]
        self._heads = [_HeadSteps(band.heads[part], dtype) for part in PARTS]  # type: ignore[arg-type]
        self._step = 0
        self._hidden = self._now[:, :1]

    def look(self, past: Tensor) -> None:
        """Work out the next steps.

        Args:
            past: (batch, n, 3) tokens of the step before each of them, HIDDEN for what is
                forgotten. Before the first of all there is none: what stands there does not matter.
        """
        first, last = self._step, self._step + past.shape[1]
        x = self._past[0][past[..., 0]]
        for part in range(1, len(PARTS)):
            x += self._past[part][past[..., part]]
        if not first:
            x[:, 0] = self._start
        x = (x + self._now[:, first:last]).flatten(0, 1)
        view = self._ring.view(first, last, past.device)
        for block in self._blocks:
            x = block(x, self._turns[first:last], view)
        self._hidden = x.view(*past.shape[:2], -1)

    def logits(self, part: int, tokens: Tensor) -> Tensor:
        """The logits of a part at these steps: (batch, n, depth).

        Args:
            part: 0 to 2, of PARTS.
            tokens: (batch, n, 3) of the same steps; only those of the parts before are looked at.
        """
        logits = self._heads[part](self._hidden.flatten(0, 1), tokens.flatten(0, 1))
        return logits.view(*tokens.shape[:2], -1)

    def keep(self, count: int) -> None:
        """Go on behind the first `count` of these steps, and forget the others."""
        self._step += count


class _View(NamedTuple):
    """The slots of a ring that some steps see.

    Attributes:
        own: (n,) slots in which their own keys and values go.
        first: the first slot with a step that there was.
        distances: how many steps away that slot is from the first of them.
    """

    own: Tensor
    first: int
    distances: int


class _Ring:
    """Slots for the keys and values of the last `context` steps, and of `most` that are looked at.

    Step t lies t + 1 slots before the end, modulo the ring's length, so that from slot to slot the
    distance rises. Where a song is shorter than the ring, there is only its end.
    """

    def __init__(self, steps: int, context: int, most: int) -> None:
        self.length = context + most
        self.slots = min(self.length, steps)

    def view(self, first: int, last: int, device: torch.device) -> _View:
        """The slots that steps `first` to `last` see."""
        own = self.slots - 1 - torch.arange(first, last, device=device) % self.length
        seen = max(self.slots - last, 0)
        slot = seen + self.length - self.slots
        return _View(own, seen, (first + 1 + slot) % self.length)

    def biases(self, by_distance: Tensor) -> Tensor:
        """What is added to scores, (heads, distances): of each distance, over and over; minus
        infinity beyond the context, where also the steps to come are."""
        more = self.length - by_distance.shape[1]
        return functional.pad(by_distance, (0, more), value=float("-inf")).repeat(1, 3)


class _BlockSteps:
    """A causal block, some steps at a time."""

    def __init__(self, block: Block, ring: _Ring, batch: int, dtype: str) -> None:
        attention = block.attention
        self._block, self._batch, self._heads = block, batch, attention.heads
        self._qkv = prepare(_interleaved(attention.qkv.weight, self._heads), dtype=dtype)
        self._out, self._up, self._down = (
            prepare(layer.weight, dtype=dtype) for layer in (attention.out, block.up, block.down)
        )
        self._width = attention.qkv.in_features // self._heads
        size = 2, batch, self._heads, ring.slots, self._width
        self._kept = attention.bias.new_empty(size)
        self._keys, self._values = self._kept.flatten(1, 2)
        self._biases = ring.biases(attention.biases().detach()).repeat(batch, 1)

    def __call__(self, x: Tensor, turns: Tensor, view: _View) -> Tensor:
        """(batch * n, width) → the same shape."""
        block = self._block
        x = self._out(self._attend(self._qkv(block.attention_norm(x)), turns, view), x)
        return self._down(functional.gelu(self._up(block.norm(x))), x)

    def _attend(self, qkv: Tensor, turns: Tensor, view: _View) -> Tensor:
        heads = qkv.view(self._batch, len(turns), 3, self._heads, self._width)
        pairs = heads[:, :, :2].view(self._batch, len(turns), -1, self._width // 2, 2)
        torch.view_as_complex(pairs).mul_(turns)
        self._kept[:, :, :, view.own] = heads[:, :, 1:].permute(2, 0, 3, 1, 4)
        keys, values = self._keys[:, view.first :], self._values[:, view.first :]
        biases = self._biases[:, view.distances :].unfold(-1, keys.shape[1], 1)[:, : len(turns)]
        queries = heads[:, :, 0].transpose(1, 2).reshape(len(keys), len(turns), self._width)
        scores = torch.baddbmm(biases, queries, keys.mT, alpha=self._width**-0.5)
        attended = torch.bmm(scores.softmax(-1), values)
        by_row = attended.view(self._batch, self._heads, len(turns), -1)
        return by_row.transpose(1, 2).reshape(len(qkv), -1)


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """The weight of queries, keys and values, its rows in such an order that the two numbers of
    queries and keys that :class:`Rotation` turns together lie side by side, as a complex number."""
    pairs = weight.detach().view(3, heads, 2, -1, weight.shape[1])
    turned = pairs[:2].transpose(2, 3).reshape(-1, weight.shape[1])
    return torch.cat([turned, pairs[2].reshape(-1, weight.shape[1])])


class _HeadSteps:
    """A head whose sums over traits are made beforehand."""

    def __init__(self, head: Head, dtype: str) -> None:
        self._head = head
        self._vectors = all_vectors(head.hears)
        self._up, self._down = (
            prepare(layer.weight, dtype=dtype) for layer in (head.up, head.down)
        )
        self._out = prepare(head.out_weight(), head.out.bias, dtype)

    def __call__(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for index, vectors in enumerate(self._vectors):
            hidden = hidden + vectors[tokens[:, index]]
        head = self._head
        hidden = self._down(functional.gelu(self._up(head.norm(hidden))), hidden)
        return self._out(head.last_norm(hidden))
