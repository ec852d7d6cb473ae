"""A band's player, one step at a time: what it saw is kept, and weights are laid out for speed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.notes.trio import PARTS
from musicvae_torch.products import prepare
from surrogate.band.attention import Block, Rotation
from surrogate.band.model import Band, Controls, Head, all_vectors


class Stepper:
    """A band at play: the logits of :class:`Band`, step after step, at the same cost each.

    Args:
        band: whose weights; no gradient flows.
        given: (batch or 1, steps, 3) tokens that are known beforehand, HIDDEN elsewhere.
        controls: what else is said, of as many.
        batch: how many to play at a time.
    """

    def __init__(self, band: Band, given: Tensor, controls: Controls, batch: int) -> None:
        player, rotation = band.player, band.rotation(given.shape[1], given.device)
        heard = band.listener(given, controls, rotation)
        self._now = player.now(heard, controls.style).expand(batch, -1, -1)
        self._start = player.start
        self._past = all_vectors(player.parts)
        self._blocks = [
            _BlockSteps(block, rotation, batch, band.weight_dtype)
            for block in player.blocks
            if isinstance(block, Block)
        ]
        dtype = band.weight_dtype
        self._heads = [_HeadSteps(band.heads[part], dtype) for part in PARTS]  # type: ignore[arg-type]
        self._step = 0
        self._hidden = self._now[:, 0]

    def step(self, past: Tensor | None) -> None:
        """Go on to the next step, the first being 0.

        Args:
            past: (batch, 3) tokens of the step before, HIDDEN for what is forgotten; None at the
                first.
        """
        x = self._now[:, self._step]
        if past is None:
            x = x + self._start
        else:
            for part, vectors in enumerate(self._past):
                x = x + vectors[past[:, part]]
        for block in self._blocks:
            x = block(x, self._step)
        self._hidden = x
        self._step += 1

    def logits(self, part: int, tokens: Tensor) -> Tensor:
        """What a part may do at this step: (batch, depth).

        Args:
            part: 0 to 2, of PARTS.
            tokens: (batch, 3) of this step; only those of the parts before are looked at.
        """
        return self._heads[part](self._hidden, tokens)


class _BlockSteps:
    """A causal block. Keys and values of the last `context` steps lie in a ring, step t at t modulo
    the context."""

    def __init__(self, block: Block, rotation: Rotation, batch: int, dtype: str) -> None:
        attention = block.attention
        self._block, self._rotation = block, rotation
        self._context, self._heads = attention.context, attention.heads
        layers = attention.qkv, attention.out, block.up, block.down
        self._qkv, self._out, self._up, self._down = (
            prepare(layer.weight, dtype=dtype) for layer in layers
        )
        width = attention.qkv.in_features // self._heads
        self._scale = width**-0.5
        slots = min(self._context, len(rotation.cos))
        rows = batch * self._heads
        self._keys, self._values = attention.bias.new_empty(2, rows, slots, width)
        # At step t slot s is (t - s) modulo the context away: entry s - t of a line that repeats.
        line = attention.biases().detach().flip(-1).roll(1, -1)
        self._bias = line.repeat(batch, 2)[:, None]

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """(batch, width) → the same shape."""
        block = self._block
        x = self._out(self._attend(self._qkv(block.attention_norm(x)), step), x)
        return self._down(functional.gelu(self._up(block.norm(x))), x)

    def _attend(self, qkv: Tensor, step: int) -> Tensor:
        batch = len(qkv)
        q, k, v = qkv.view(batch, 3, self._heads, -1).unbind(1)
        cos, sin = self._rotation.cos[step], self._rotation.sin[step]
        slot, seen = step % self._context, min(step + 1, self._context)
        rows = len(self._keys)
        self._keys[:, slot] = _turn(k, cos, sin).view(rows, -1)
        self._values[:, slot] = v.reshape(rows, -1)
        first = (-step) % self._context
        scores = torch.baddbmm(
            self._bias[:, :, first : first + seen],
            _turn(q, cos, sin).view(rows, 1, -1),
            self._keys[:, :seen].transpose(1, 2),
            alpha=self._scale,
        )
        return torch.bmm(scores.softmax(-1), self._values[:, :seen]).view(batch, -1)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """As :class:`Rotation` does it, of one step."""
    one, other = x.chunk(2, -1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


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
