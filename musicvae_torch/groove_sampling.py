"""Drum hits of GrooVAEs, each with the velocity and the offset of a hit that is certain.

A groove model that learns by squared error, the default, learns velocities and offsets of 0 where a
drum is not struck. So its own values are the probability of the hit times the value: an unlikely
hit that :meth:`MusicVAE.decode` draws, as Magenta does, is hardly heard. Here they are divided by
that probability. A model that learns absolute errors predicts medians, and should have the hits as
controls: they then have a probability of nearly 1, and the division changes little.

Shape names: B batch, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from musicvae_torch.errors import OptionError
from musicvae_torch.model.heads import sample_bits
from musicvae_torch.model.vae import MusicVAE

# Velocities and offsets of hits that are less probable than this are noise.
_LEAST_PROBABILITY = 0.1


@torch.no_grad()
def velocities_and_offsets(
    model: MusicVAE, z: Tensor, hits: Tensor, controls: Tensor | None = None
) -> Tensor:
    """How hard and when a groove model strikes given drum hits: :meth:`MusicVAE.decode` with the
    hits given, and the model's own velocities and offsets fed back.

    Args:
        model: of a groove config.
        z, controls: as for :meth:`MusicVAE.decode`.
        hits: (B, T, drums), 0 or 1, any dtype.

    Returns:
        (B, T, output_depth): the probability that the model would have struck each drum, and the
        velocity (0 to 1) and offset (-1 to 1) of certain hits.

    Raises:
        ValueError: a shape does not fit the config, or it is not of grooves.
    """
    z = model.checks.latents(z)
    hits = model.checks.hits(hits, len(z))
    controls = model.checks.controls(controls, *hits.shape[:2])

    def strike(struck: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        probabilities, velocities, offsets = _certain_hits(logits[0])
        row = torch.cat([probabilities, velocities, offsets], dim=-1)
        return [torch.cat([struck, struck * velocities, struck * offsets], dim=-1)], [row]

    with model.own_precision():
        embedding = model.decoder.embed(z)
        return model.decoder.roll_out(embedding, hits.shape[1], controls, hits, strike)[0]


@torch.no_grad()
def draw_hits(
    model: MusicVAE,
    z: Tensor,
    temperature: float = 1.0,
    controls: Tensor | None = None,
    given: Tensor | None = None,
    drums: Sequence[int] | None = None,
    sounding: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Sample the hits of a groove model: :meth:`MusicVAE.decode` with the velocities and offsets of
    certain hits.

    Args:
        model: of a groove config.
        z, controls, generator: as for :meth:`MusicVAE.decode`.
        temperature: divides the logits; 0 takes the likelier of hit and no hit at every step.
        given: (B, T, output_depth) what is played by the drums that are not drawn; the other drums'
            columns are not read.
        drums: indices of those that are drawn, if there is `given`.
        sounding: (B, T) bool: whether a step has hits or none. One that has hits gets the
            likeliest, if none is drawn. None: that is drawn, too.

    Returns:
        (B, T, output_depth): the rows; velocities and offsets are 0 without a hit.

    Raises:
        OptionError: the temperature is negative.
        ValueError: a shape does not fit the config, or it is not of grooves.
    """
    z = model.checks.latents(z)
    steps = _check_drawing(model, z, temperature, given, drums, sounding)
    controls = model.checks.controls(controls, len(z), steps)

    def strike(fixed: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        probabilities, velocities, offsets = _certain_hits(logits[0])
        struck = sample_bits(logits[0].chunk(3, dim=-1)[0], temperature, generator)
        if sounding is not None:
            likeliest = one_hot(probabilities.argmax(-1), struck.shape[-1]).to(struck)
            struck = torch.where(struck.any(-1, keepdim=True), struck, likeliest)
            struck = struck * fixed[:, :1]
        row = torch.stack([struck, struck * velocities, struck * offsets], dim=1)
        if given is not None:
            row = torch.where(drawn, row, fixed[:, 1:].view(row.shape))
        return [row.flatten(1)], [row.flatten(1)]

    # A mask, as no CUDA graph may contain the copy to the GPU that a list of indices takes.
    every = range(model.config.output_depth // 3)
    drawn = torch.tensor([drums is None or drum in drums for drum in every], device=z.device)
    sounds = z.new_ones(len(z), steps) if sounding is None else sounding.to(z)
    fixed = torch.cat([sounds[..., None], *([] if given is None else [given.to(z)])], dim=-1)
    with model.own_precision():
        embedding = model.decoder.embed(z)
        return model.decoder.roll_out(embedding, steps, controls, fixed, strike, generator)[0]


def _certain_hits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities of a step's hits, and the velocities and offsets that they have if they are
    struck: logits (B, 3 * drums) → (B, drums) each."""
    scores, velocities, offsets = logits.chunk(3, dim=-1)
    probabilities = torch.sigmoid(scores)
    certain = probabilities.clamp(min=_LEAST_PROBABILITY)
    velocities = (torch.sigmoid(velocities) / certain).clamp(max=1)
    offsets = (torch.tanh(offsets) / certain).clamp(-1, 1)
    return probabilities, velocities, offsets


def _check_drawing(
    model: MusicVAE,
    z: Tensor,
    temperature: float,
    given: Tensor | None,
    drums: Sequence[int] | None,
    sounding: Tensor | None,
) -> int:
    """The number of steps to draw; for the errors see :func:`draw_hits`."""
    config = model.config
    if config.output != "groove":
        raise ValueError(f"config {config.name!r} plays no grooves")
    if (given is None) != (drums is None):
        raise ValueError("drums that are given, and those to draw, go together")
    if not temperature >= 0:
        raise OptionError(f"temperature must be 0 or more, not {temperature}")
    steps = config.max_seq_len
    if given is not None:
        if given.dim() != 3 or given.shape[::2] != (len(z), config.output_depth):
            raise ValueError(
                f"given drums have shape {tuple(given.shape)}, wanted ({len(z)}, steps, "
                f"{config.output_depth})"
            )
        steps = given.shape[1]
    if sounding is not None and sounding.shape != (len(z), steps):
        raise ValueError(f"sounding has shape {tuple(sounding.shape)}, wanted {(len(z), steps)}")
    return steps
