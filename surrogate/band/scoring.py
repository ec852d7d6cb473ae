"""The likelihood of songs by a band, teacher-forced."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from surrogate.band.model import HIDDEN, Band, Controls


@torch.no_grad()
def nats_of(
    band: Band,
    given: Tensor,
    tokens: Tensor,
    controls: Controls | None = None,
    past: Tensor | None = None,
) -> Tensor:
    """The negative log-likelihood of hidden tokens, in nats.

    Args:
        band: in evaluation mode.
        given, tokens, past: as for :meth:`surrogate.band.model.Band.forward`.
        controls: how to play; None: anyhow.

    Returns:
        (batch, steps, 3); 0 where a token is given, or not there.
    """
    rows = band(given, tokens, controls or Controls(), past)
    losses = [
        # Classes along the second dimension.
        functional.cross_entropy(logits.mT, own, ignore_index=HIDDEN, reduction="none")
        for logits, own in zip(rows, tokens.unbind(-1), strict=True)
    ]
    return torch.where(given == HIDDEN, torch.stack(losses, -1), 0)
