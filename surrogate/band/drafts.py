"""Drafts of what a band plays next, for speculative decoding.

A band that has drafts of the next steps works out all of them together, and keeps its own draws up
to the first that differs from its draft (Leviathan et al. 2023, "Fast inference from transformers
via speculative decoding"). Draws are decided by numbers drawn beforehand, so what is played is what
it would have played one step at a time. As bands repeat themselves, drafts are copies of earlier
bars, as in Saxena's "prompt lookup decoding" (2023), and no second network is asked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from musicvae_torch.midi.vocabulary import NO_EVENT, STEPS_PER_BAR

_LAGS = tuple(bars * STEPS_PER_BAR for bars in (1, 2, 4, 8))
_COMPARED = 2 * STEPS_PER_BAR  # steps by which lags are compared


def draft(tokens: Tensor, steps: range) -> Tensor:
    """A guess of the tokens at some steps, as if each row went on as before.

    Args:
        tokens: (rows, all steps, parts), of which those before `steps` are known.
        steps: which to guess.

    Returns:
        (rows, steps, parts) tokens of 1, 2, 4 or 8 bars earlier, whichever foretold the last two
        bars best; no event, where nothing was played as long ago.
    """
    device, first = tokens.device, steps.start
    lags = torch.tensor([lag for lag in _LAGS if lag < first] or _LAGS[:1], device=device)
    past = torch.arange(max(first - _COMPARED, 0), first, device=device)
    earlier = past - lags[:, None]
    alike = (tokens[:, earlier.clamp(min=0)] == tokens[:, None, past]).all(-1) & (earlier >= 0)
    best = lags[alike.sum(-1).argmax(-1)] if first else lags.expand(len(tokens))
    wanted = torch.arange(first, steps.stop, device=device) - best[:, None]
    # Within a lag of one bar all is known, as no more is drafted at a time.
    found = tokens.gather(1, wanted.clamp(min=0)[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.where(wanted[..., None] >= 0, found, NO_EVENT)


def as_drafted(drawn: Tensor, drafts: Tensor) -> int:
    """How many steps of all rows hold, given what was drawn and its drafts, (rows, steps, parts):
    those that are as drafted, and the first that is not."""
    alike = (drawn == drafts).all(-1).all(0)
    return min(int(alike.long().cumprod(0).sum()) + 1, len(alike))
