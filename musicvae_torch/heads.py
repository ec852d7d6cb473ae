"""Output distributions: what a decoder's logits mean, as a loss and as samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.lstm import OneHot, Term


def categorical_loss(logits: Tensor, targets: Term) -> Tensor:
    """Cross entropy of one-hot rows, in nats.

    Args:
        logits: (batch, steps, depth).
        targets: (batch, steps, depth), one-hot; an all-zero row costs nothing, as in TensorFlow.

    Returns:
        (batch, steps)
    """
    if isinstance(targets, OneHot):
        classes = targets.classes
        losses = functional.cross_entropy(
            logits.flatten(0, 1), classes.flatten(), reduction="none", ignore_index=-1
        )
        return losses.view(classes.shape)
    return -(targets.to(logits) * functional.log_softmax(logits, dim=-1)).sum(-1)


def sample_categorical(
    logits: Tensor, temperature: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draw one class per row.

    Args:
        logits: (batch, depth).
        temperature: divides the logits; 0 takes the likeliest class.
        generator: source of randomness, on the logits' device.

    Returns:
        (batch,) int64 classes.
    """
    if temperature == 0:
        return logits.argmax(-1)
    # Shifted first: a tiny temperature then sends the others to minus infinity, not all to it.
    shifted = logits - logits.amax(-1, keepdim=True)
    probabilities = torch.softmax(shifted / max(temperature, 1e-30), dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
