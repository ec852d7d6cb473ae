"""Drafts of the next steps of a band, for speculative decoding.

With drafts of the next steps, the band network runs all of them together, and its draws are
accepted up to the first that differs from its draft (Leviathan et al. 2023, "Fast inference from
transformers via speculative decoding"). The uniforms that decide the draws are drawn beforehand, so
the result is the same as one step at a time. As bands repeat themselves, drafts are copies of
earlier bars, as in Saxena's "prompt lookup decoding" (2023), and need no second network.
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
        (rows, steps, parts) tokens of 1, 2, 4 or 8 bars earlier, whichever lag predicted the last
        two bars best; no event where the song had not begun then.
    """
    device, first = tokens.device, steps.start
    lags = torch.tensor([lag for lag in _LAGS if lag < first] or _LAGS[:1], device=device)
    past = torch.arange(max(first - _COMPARED, 0), first, device=device)
    earlier = past - lags[:, None]
    alike = (tokens[:, earlier.clamp(min=0)] == tokens[:, None, past]).all(-1) & (earlier >= 0)
    best = lags[alike.sum(-1).argmax(-1)] if first else lags.expand(len(tokens))
    wanted = torch.arange(first, steps.stop, device=device) - best[:, None]
    # All is known one bar back, as no more than a bar is drafted at a time.
    found = tokens.gather(1, wanted.clamp(min=0)[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.where(wanted[..., None] >= 0, found, NO_EVENT)


def accepted_steps(drawn: Tensor, drafts: Tensor) -> int:
    """The number of steps to accept, given draws and their drafts, (rows, steps, parts) each: those
    at which all rows are as drafted, and the first at which one is not."""
    alike = (drawn == drafts).all(-1).all(0)
    return min(int(alike.long().cumprod(0).sum()) + 1, len(alike))
