"""The player of a band network, a few steps at a time, with a cache of keys and values.

A few steps together cost hardly more than one, because the weights are read once. So sampling
drafts the next few, lets the player run all of them, and accepts them up to the first whose draw
differs from its draft (:mod:`surrogate.band.drafts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.kernels.gemm import prepare
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.band.attention import Block
from surrogate.band.model import Band, Controls, Head, all_vectors


class Stepper:
    """The logits of :class:`Band`, some steps at a time.

    Args:
        band: the network; no gradient flows.
        given: (batch, steps, 3) tokens that are known beforehand, HIDDEN elsewhere.
        controls: for each row, or one for all.
        most: steps to run together, at most.
    """

    def __init__(self, band: Band, given: Tensor, controls: Controls, most: int = 1) -> None:
        player, (_, steps, _) = band.player, given.shape
        rotation, dtype = band.rotation(steps, given.device), band.weight_dtype
        self._inputs = player.inputs(band.listener(given, controls, rotation), controls.style)
        self._start = player.start
        self._past = all_vectors(player.parts)
        self._turns = torch.complex(rotation.cos, rotation.sin)[:, None]
        self._ring = _Ring(steps, band.config.context, most)
        blocks = [block for block in player.blocks if isinstance(block, Block)]
        self._blocks = self._steps_of(blocks, len(given), dtype)
        self._heads = [_HeadSteps(band.heads[part], dtype) for part in PARTS]  # type: ignore[arg-type]
        self._step = 0
        self._hidden = self._inputs[:, :1]

    def run(self, past: Tensor) -> None:
        """Run the next n steps.

        Args:
            past: (batch, n, 3) tokens of the step before each of them, HIDDEN for what is
                forgotten. Those before the song's first step are ignored, as there are none.
        """
        first, last = self._step, self._step + past.shape[1]
        x = self._remembered(past)
        if not first:
            x[:, 0] = self._start
        x = (x + self._inputs[:, first:last]).flatten(0, 1)
        view = self._ring.view(first, last, past.device)
        for block in self._blocks:
            x = block(x, self._turns[first:last], view)
        self._hidden = x.view(*past.shape[:2], -1)

    def _steps_of(self, blocks: Sequence[Block], batch: int, dtype: str) -> Sequence[_BlockSteps]:
        return [_BlockSteps(block, self._ring, batch, dtype) for block in blocks]

    def _remembered(self, past: Tensor) -> Tensor:
        """The vectors of tokens (batch, n, 3), summed over the parts: (batch, n, width)."""
        x = self._past[0][past[..., 0]]
        for part in range(1, len(PARTS)):
            x += self._past[part][past[..., part]]
        return x

    def logits(self, part: int, tokens: Tensor) -> Tensor:
        """The logits of a part at these steps: (batch, n, depth).

        Args:
            part: 0 to 2, of PARTS.
            tokens: (batch, n, 3) of the same steps; only those of the parts before are looked at.
        """
        logits = self._heads[part](self._hidden.flatten(0, 1), tokens.flatten(0, 1))
        return logits.view(*tokens.shape[:2], -1)

    def accept(self, count: int) -> None:
        """Go on after the first `count` of these steps, and discard the others."""
        self._step += count


class FixedStepper(Stepper):
    """A :class:`Stepper` of single steps that does the same operations at each of them, on tensors
    that stay where they are, as a CUDA graph must.

    Therefore the number of the step is a tensor, and attention also reads slots that hold no step
    yet, which its biases mask.

    Attributes:
        at: (1,) int64, the next step.
    """

    def __init__(self, band: Band, given: Tensor, controls: Controls) -> None:
        super().__init__(band, given, controls)
        self.at = torch.zeros(1, dtype=torch.int64, device=given.device)
        self.use_slots(self._ring.slots)

    def use_slots(self, count: int) -> None:
        """Attend to the last `count` slots, until this is called again. These are the slots of the
        song's first `count` steps; later steps must not run, unless these are all slots."""
        slots = self._ring.slots
        self._slots = torch.arange(max(slots - count, 0), slots, device=self.at.device)

    def run(self, past: Tensor) -> None:
        x = torch.where(self.at == 0, self._start, self._remembered(past))
        x = (x + self._inputs.index_select(1, self.at)).flatten(0, 1)
        view = self._ring.fixed_view(self.at, self._slots)
        turns = self._turns.index_select(0, self.at)
        for block in self._blocks:
            x = block(x, turns, view)
        self._hidden = x.unsqueeze(1)

    def accept(self, count: int) -> None:
        self.at.add_(count)

    def _steps_of(self, blocks: Sequence[Block], batch: int, dtype: str) -> Sequence[_BlockSteps]:
        return [_FixedBlockSteps(block, self._ring, batch, dtype) for block in blocks]


class _View(NamedTuple):
    """The slots of a ring that n steps attend to.

    Attributes:
        own: (n,) slots for their own keys and values.
        first: the first slot that holds a step.
        distances: the distance in steps from that slot to the first of the n steps.
    """

    own: Tensor
    first: int
    distances: int


class _FixedView(NamedTuple):
    """The slots that one step attends to, among others that must be masked.

    Attributes:
        own: (1,) the slot for its own keys and values.
        distances: (slots,) the distances in steps of the last slots, modulo the ring's length.
        reached: (slots,) bool, whether the slot holds a step.
    """

    own: Tensor
    distances: Tensor
    reached: Tensor


class _Ring:
    """Slots for the keys and values of the last `context` steps, and of the `most` that run.

    Step t lies t + 1 slots before the end, modulo the ring's length, so that the distance rises
    from slot to slot. For a song shorter than the ring, only the ring's end is stored.
    """

    def __init__(self, steps: int, context: int, most: int) -> None:
        self.length = context + most
        self.slots = min(self.length, steps)

    def view(self, first: int, last: int, device: torch.device) -> _View:
        """The slots that the steps from `first` to before `last` attend to."""
        own = self.slots - 1 - torch.arange(first, last, device=device) % self.length
        seen = max(self.slots - last, 0)
        slot = seen + self.length - self.slots
        return _View(own, seen, (first + 1 + slot) % self.length)

    def fixed_view(self, step: Tensor, slots: Tensor) -> _FixedView:
        """:meth:`view` of the step (1,), of the last slots, whose numbers are given."""
        distances = (step + 1 + self.length - self.slots + slots) % self.length
        return _FixedView(self.slots - 1 - step % self.length, distances, distances <= step)

    def biases(self, by_distance: Tensor) -> Tensor:
        """Terms of the scores, (heads, distances): the bias of each distance, repeated for each
        turn of the ring; minus infinity beyond the context, where steps to come lie, too."""
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
        self._biases = self._lay_out(attention.biases().detach(), ring)

    def __call__(self, x: Tensor, turns: Tensor, view: _View | _FixedView) -> Tensor:
        """(batch * n, width) → the same shape."""
        block = self._block
        x = self._out(self._attend(self._qkv(block.attention_norm(x)), turns, view), x)
        return self._down(functional.gelu(self._up(block.norm(x))), x)

    def _attend(self, qkv: Tensor, turns: Tensor, view: _View | _FixedView) -> Tensor:
        heads = qkv.view(self._batch, len(turns), 3, self._heads, self._width)
        pairs = heads[:, :, :2].view(self._batch, len(turns), -1, self._width // 2, 2)
        torch.view_as_complex(pairs).mul_(turns)
        attended = self._attended(heads[:, :, 0], heads[:, :, 1:].permute(2, 0, 3, 1, 4), view)
        return attended.transpose(1, 2).reshape(len(qkv), -1)

    def _attended(self, queries: Tensor, own: Tensor, view: Any) -> Tensor:
        """(batch, heads, n, head width), of queries (batch, n, heads, head width) and of the steps'
        own keys and values, (2, batch, heads, n, head width)."""
        steps = queries.shape[1]
        self._kept[:, :, :, view.own] = own
        keys, values = self._keys[:, view.first :], self._values[:, view.first :]
        biases = self._biases[:, view.distances :].unfold(-1, keys.shape[1], 1)[:, :steps]
        queries = queries.transpose(1, 2).reshape(len(keys), steps, self._width)
        scores = torch.baddbmm(biases, queries, keys.mT, alpha=self._width**-0.5)
        attended = torch.bmm(scores.softmax(-1), values)
        return attended.view(self._batch, self._heads, steps, -1)

    def _lay_out(self, biases: Tensor, ring: _Ring) -> Tensor:
        """Biases by distance, (heads, distances), as :meth:`_attended` reads them."""
        return ring.biases(biases).repeat(self._batch, 1)


class _FixedBlockSteps(_BlockSteps):
    """A causal block of a :class:`FixedStepper`."""

    def __init__(self, block: Block, ring: _Ring, batch: int, dtype: str) -> None:
        super().__init__(block, ring, batch, dtype)
        self._kept.zero_()  # because attention reads all of it

    def _attended(self, queries: Tensor, own: Tensor, view: Any) -> Tensor:
        self._kept.index_copy_(3, view.own, own)
        keys, values = self._kept[:, :, :, -len(view.distances) :]
        biases = self._biases.index_select(1, view.distances)
        mask = biases.masked_fill(~view.reached, float("-inf"))[None, :, None]
        attend = functional.scaled_dot_product_attention
        return attend(queries.transpose(1, 2), keys, values, mask)

    def _lay_out(self, biases: Tensor, ring: _Ring) -> Tensor:
        return ring.biases(biases)[:, : ring.length]


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """The weight of queries, keys and values, with its rows reordered: the two numbers of a query
    or key that :class:`Rotation` turns together lie side by side, as a complex number does."""
    pairs = weight.detach().view(3, heads, 2, -1, weight.shape[1])
    turned = pairs[:2].transpose(2, 3).reshape(-1, weight.shape[1])
    return torch.cat([turned, pairs[2].reshape(-1, weight.shape[1])])


class _HeadSteps:
    """A :class:`Head` whose sums over traits are computed once."""

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
