"""Windows of given parts → the distribution of their latents, by any method."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.errors import OptionError
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.model import Surrogate
from surrogate.encoder.refine import hide, refine, refine_prediction
from surrogate.options import AccompanyOptions


class Latents(NamedTuple):
    """The distribution of the latents of windows, (windows, z_size) each."""

    mean: Tensor
    stddev: Tensor


def check_method(surrogate: Surrogate | None, options: AccompanyOptions) -> None:
    """Raises:
    OptionError: the method needs a surrogate, or one with other input parts.
    """
    if options.method == "refine-only":
        return
    if surrogate is None:
        raise OptionError(
            f"method {options.method!r} needs a surrogate encoder; without one there is refine-only"
        )
    unknown = [part for part in options.given if part not in surrogate.input_parts]
    if unknown:
        raise OptionError(
            f"{', '.join(options.given)} are given, but the surrogate takes "
            f"{', '.join(surrogate.input_parts)} alone; without one there is --method refine-only"
        )


def find_latents(
    musicvae: MusicVAE, surrogate: Surrogate | None, windows: np.ndarray, options: AccompanyOptions
) -> Latents:
    """Find the latents of windows.

    Args:
        musicvae: of trios.
        surrogate: of it; None, where the method needs none.
        windows: (windows, steps, 3) int64 classes, of which the given parts count.
        options: method and given count.

    Returns:
        The surrogate's prediction, or refined latents; these, like the prediction of a point, have
        a standard deviation of 0.
    """
    tokens = hide(torch.from_numpy(windows), options.given, by=0).to(musicvae.device)
    stddev = None
    if options.method == "refine-only" or surrogate is None:
        mean = refine(musicvae, tokens, options.given).z
    elif options.method == "refine":
        mean = refine_prediction(musicvae, surrogate, tokens, options.given).z
    else:
        mean, stddev = surrogate.predict(tokens, options.given)
    return Latents(mean, torch.zeros_like(mean) if stddev is None else stddev)
