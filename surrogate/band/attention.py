"""Transformer blocks: attention with rotary positions and a learned bias by distance.

Rotary positions: Su et al. 2021, "RoFormer". The bias is one number for each head and each
distance in steps, as in Raffel et al. 2020 ("T5") but with no buckets, so that a head can learn to
look exactly one bar back, or two, or eight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

ROTARY_BASE = 10_000.0
# Queries at a time. Keys beyond the context of all of them are skipped.
_BLOCK = 256
# Adam moves an entry by about its rate a step. Biases learn this much faster, because they must
# become as large as scores to single out a distance.
_BIAS = 8.0


class Rotation:
    """Cosines and sines of rotary positions.

    Attributes:
        cos, sin: (steps, head width / 2).
    """

    def __init__(self, positions: Tensor, head_width: int) -> None:
        speeds = ROTARY_BASE ** (-torch.arange(0, head_width, 2, device=positions.device).double())
        speeds = speeds ** (1 / head_width)
        angles = positions.double()[:, None] * speeds
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate queries or keys (..., steps, head width)."""
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        one, other = x.chunk(2, -1)
        return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


class Attention(nn.Module):
    """Multi-head self-attention over steps that are less than `context` apart.

    Args:
        width: of inputs and outputs.
        heads: their number, by which the width is divided.
        context: steps; those as far away or farther are not attended to.
        causal: whether no step attends to later ones.
    """

    def __init__(self, width: int, heads: int, context: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.context, self.causal = heads, context, causal
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)
        # In units of _BIAS, by distance; if not causal, from `context` - 1 steps ahead to as many
        # back.
        self.bias = nn.Parameter(torch.zeros(heads, context if causal else 2 * context - 1))

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """(batch, steps, width) → the same shape."""
        q, k, v = self._heads(x)
        q, k = rotation(q), rotation(k)
        steps, ahead = x.shape[1], 0 if self.causal else self.context - 1
        blocks = []
        for first in range(0, steps, _BLOCK):
            last = min(first + _BLOCK, steps)
            start, stop = max(0, first - self.context + 1), min(last + ahead, steps)
            # With a batch dimension, as scaled_dot_product_attention takes its fast path for four
            # dimensions alone.
            mask = self.mask(range(first, last), range(start, stop)).to(q.dtype)[None]
            seen = k[:, :, start:stop], v[:, :, start:stop]
            blocks.append(functional.scaled_dot_product_attention(q[:, :, first:last], *seen, mask))
        attended = blocks[0] if len(blocks) == 1 else torch.cat(blocks, 2)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out

    def biases(self) -> Tensor:
        """The term of the scores at each distance: (heads, distances)."""
        return _BIAS * self.bias

    def mask(self, queries: range, keys: range) -> Tensor:
        """The term of the scores of those steps: (heads, queries, keys), minus infinity where a
        query does not attend."""
        # The distance falls by one from key to key and rises by one from query to query, so that
        # all rows are slices of one line of distances.
        farthest = queries.stop - 1 - keys.start
        nearest = queries.start - (keys.stop - 1)
        least = 0 if self.causal else 1 - self.context
        pads = farthest - (self.context - 1), least - nearest  # which crops where it is negative
        line = functional.pad(self.biases().flip(-1), pads, value=float("-inf"))
        return line.unfold(-1, len(keys), 1).flip(-2)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (batch, heads, steps, head width)."""
        qkv: Tensor = self.qkv(x)
        return qkv.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()


class Block(nn.Module):
    """Attention and a two-layer network, each on a residual branch with a norm before it; both
    branches begin at zero. Arguments are those of :class:`Attention`."""

    def __init__(self, width: int, heads: int, context: int, causal: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, context, causal)
        self.norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """(batch, steps, width) → the same shape."""
        x = x + self.attention(self.attention_norm(x), rotation)
        added: Tensor = self.down(functional.gelu(self.up(self.norm(x))))
        return x + added
