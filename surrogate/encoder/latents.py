"""From windows of given parts to what is known of their latents, by any method."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.errors import OptionError
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.model import Surrogate, SurrogateEncoder
from surrogate.encoder.refine import hide, refine, refine_prediction
from surrogate.options import AccompanyOptions

BATCH = 64  # windows at a time


class Latents(NamedTuple):
    """Of windows: where the latent likely is, (windows, z_size) each."""

    mean: Tensor
    stddev: Tensor


def check_method(surrogate: Surrogate | None, options: AccompanyOptions) -> None:
    """Raises:
    OptionError: the method needs a surrogate, or one that hears other parts.
    """
    if options.method == "refine-only":
        return
    if surrogate is None:
        raise OptionError(
            f"method {options.method!r} needs a surrogate encoder; without one there is refine-only"
        )
    deaf = [part for part in options.given if part not in surrogate.hears]
    if deaf:
        raise OptionError(
            f"{', '.join(options.given)} are given, but the surrogate hears "
            f"{', '.join(surrogate.hears)} alone; without one there is --method refine-only"
        )


@torch.no_grad()
def find_latents(
    musicvae: MusicVAE,
    surrogate: Surrogate | None,
    windows: np.ndarray,
    options: AccompanyOptions,
) -> Latents:
    """Hear windows.

    Args:
        musicvae: of trios.
        surrogate: of it; None, where the method needs none.
        windows: (windows, steps, 3) int64 classes, of which the given parts count.
        options: method and given count.

    Returns:
        What the surrogate predicts. Refined latents, and those of a surrogate that predicts a
        point, have no spread.
    """
    found = [
        _of_batch(musicvae, surrogate, hide(batch, options.given, by=0), options)
        for batch in torch.from_numpy(windows).to(musicvae.device).split(BATCH)
    ]
    means, stddevs = zip(*found, strict=True)
    return Latents(torch.cat(means), torch.cat(stddevs))


def _of_batch(
    musicvae: MusicVAE, surrogate: Surrogate | None, tokens: Tensor, options: AccompanyOptions
) -> Latents:
    given = options.given
    if options.method == "refine-only" or surrogate is None:
        mean = refine(musicvae, tokens, given).z
    elif options.method == "refine":
        mean = refine_prediction(musicvae, surrogate, tokens, given).z
    elif isinstance(surrogate, SurrogateEncoder):
        posterior = surrogate.posterior(tokens, given)
        return Latents(posterior.mean, posterior.stddev)
    else:
        mean = surrogate.posterior_mean(tokens, given)
    return Latents(mean, torch.zeros_like(mean))
