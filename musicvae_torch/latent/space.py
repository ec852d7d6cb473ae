"""Sampling from the prior, and interpolating between latents along arcs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.errors import OptionError
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import TEMPERATURE, decode_tokens

_PARALLEL = 1e-6  # sine of an angle, up to which an arc counts as a line


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """Spherical interpolation: along the arc from one latent to the other, by equal angles.

    The length changes from the one's to the other's. Interpolation is linear between latents of
    the same direction, of opposite ones (which many arcs join), or of length 0.

    Args:
        start, end: (..., z_size).
        share: of the way, 0 to 1; a number, or of a shape that broadcasts with (..., 1).

    Returns:
        (..., z_size), exactly `start` and `end` at 0 and 1.
    """
    kind = start.dtype
    # In float64, in which opposite latents are recognised.
    start, end = start.double(), end.double()
    share = torch.as_tensor(share, dtype=start.dtype, device=start.device)
    if share.dim() and share.dim() < start.dim():
        share = share[..., None]
    lengths = start.norm(dim=-1, keepdim=True) * end.norm(dim=-1, keepdim=True)
    cosine = (start * end).sum(-1, keepdim=True) / lengths.clamp_min(torch.finfo(start.dtype).tiny)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    curved = (sine > _PARALLEL) & (lengths > 0)
    safe = torch.where(curved, sine, torch.ones_like(sine))
    first = torch.where(curved, torch.sin((1 - share) * angle) / safe, 1 - share)
    second = torch.where(curved, torch.sin(share * angle) / safe, share)
    between = first * start + second * end
    return torch.where(share <= 0, start, torch.where(share >= 1, end, between)).to(kind)


def interpolate(latents: Tensor, steps: int, loop: bool = False) -> Tensor:
    """Interpolate from latent to latent by :func:`slerp`.

    Args:
        latents: (points, z_size), at least two.
        steps: from one point to the next, both included; at least 2.
        loop: interpolate from the last to the first, too; the first is not repeated.

    Returns:
        ((points - 1) * (steps - 1) + 1, z_size), of a loop (points * (steps - 1), z_size).

    Raises:
        ValueError: too few points or steps, or another shape.
    """
    if latents.dim() != 2 or len(latents) < 2:
        raise ValueError(f"wanted at least two latents, not a shape of {tuple(latents.shape)}")
    if steps < 2:
        raise OptionError(f"steps are counted with both ends: at least 2, not {steps}")
    ends = torch.cat([latents[1:], latents[:1]]) if loop else latents[1:]
    shares = torch.linspace(0, 1, steps, dtype=latents.dtype, device=latents.device)[:-1, None]
    legs = [slerp(a, b, shares) for a, b in zip(latents, ends, strict=False)]
    return torch.cat(legs if loop else [*legs, latents[-1:]])


def sample(
    model: MusicVAE,
    n: int,
    *,
    length: int | None = None,
    temperature: float = TEMPERATURE,
    spread: float = 1.0,
    controls: Tensor | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Decode latents drawn from the prior.

    Args:
        model: any.
        n: how many windows, at least 1.
        length, temperature, controls: as for :meth:`MusicVAE.decode`.
        spread: standard deviation of the latents; below 1 they are nearer to the average music.
        seed: of the latents and of decoding.

    Returns:
        (n, steps, parts) tokens of the config's converter, whose ``from_tokens`` makes MIDI.

    Raises:
        ValueError: n or spread out of range, or as :meth:`MusicVAE.decode`.
    """
    if n < 1:
        raise OptionError(f"n must be at least 1, not {n}")
    if not spread >= 0:
        raise OptionError(f"spread must be 0 or more, not {spread}")
    # Drawn on the CPU, so that a seed gives the same latents on any device.
    z = torch.randn(n, model.config.z_size, generator=torch.Generator().manual_seed(seed))
    return decode_tokens(
        model,
        spread * z.to(model.device),
        length=length,
        temperature=temperature,
        controls=controls,
        seed=seed,
    )
