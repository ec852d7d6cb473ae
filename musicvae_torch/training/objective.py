"""Magenta's objective (``music_vae.base_model``): the loss of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence


def standard_normal_kl(posterior: Normal) -> Tensor:
    """KL divergence from the prior, summed over dimensions: (batch,), in nats."""
    prior = Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.stddev))
    return kl_divergence(posterior, prior).sum(-1)


def elbo_loss(losses: Tensor, kl: Tensor, free_bits: float, beta: float) -> Tensor:
    """The mean reconstruction loss, plus `beta` times the mean of the KL divergence beyond the free
    bits.

    Args:
        losses, kl: (batch,) of each window, in nats.
        free_bits: of a whole window, not of each dimension.

    Returns:
        ()
    """
    return losses.mean() + beta * (kl - free_bits * math.log(2.0)).clamp(min=0).mean()
