"""The rows of evaluate-accompaniment that decode a latent: how each finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.converters.trio import PARTS
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import NO_EVENT
from musicvae_torch.model.vae import MusicVAE
from surrogate.band.model import Band
from surrogate.encoder.model import Surrogate
from surrogate.encoder.refine import (
    UNKNOWN,
    RefineOptions,
    hide,
    part_indices,
    refine,
    refine_prediction,
)

ENCODER = "encoder that hears all"
OURS = "our surrogate"
OURS_REFINED = "our surrogate, refined"
REFINED = "refinement alone"
BASELINE = "the seed's surrogate"
BATCH = 128


@dataclass(frozen=True)
class Networks:
    """What is compared.

    Attributes:
        musicvae: of trios.
        surrogate: of it; None: its rows are left out.
        baseline: another surrogate of it, as that of accompany-music-vae; None: left out.
        without_latent: the same MusicVAE, trained on until its latent said nothing; None: left out.
        attributes: directions of the latent, for the bands of `accompany`; None: there are none.
        band: a band network; None: its rows are left out.
        styled: whether it was trained on latents of the MusicVAE.
    """

    musicvae: MusicVAE
    surrogate: Surrogate | None = None
    baseline: Surrogate | None = None
    without_latent: MusicVAE | None = None
    attributes: AttributeVectors | None = None
    band: Band | None = None
    styled: bool = True


@dataclass(frozen=True)
class EvaluateOptions:
    """How to compare.

    Attributes:
        given: the parts that are heard; the others are hidden.
        seed: of the prior's sample, of other songs' latents and of the bootstrap; the first of
            those of `accompany`.
        seeds: how many bands of each window `accompany` makes; 0: none.
        refine: how to refine.
        progress: show a progress bar.
    """

    given: tuple[str, ...] = ("melody",)
    seed: int = 0
    seeds: int = 3
    refine: RefineOptions = field(default_factory=RefineOptions)
    progress: bool = False

    def __post_init__(self) -> None:
        if len(part_indices(self.given)) == len(PARTS):
            raise OptionError(f"given are {', '.join(self.given)}: that leaves nothing to generate")

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(part for part in PARTS if part not in self.given)


def ways_to_a_latent(
    networks: Networks,
    tokens: Tensor,
    posterior: Normal,
    song: np.ndarray,
    options: EvaluateOptions,
    notes: list[str],
) -> dict[str, Callable[[], Tensor]]:
    """By the row's name, what finds latents (windows, z_size); what is left out goes to `notes`."""
    vae, mean = networks.musicvae, posterior.mean
    sources: dict[str, Callable[[], Tensor]] = {ENCODER: lambda: mean}
    climb = partial(_refined, vae, tokens, options)
    for name, surrogate in ((OURS, networks.surrogate), (BASELINE, networks.baseline)):
        if surrogate is None:
            notes.append(f"No row of {name}: none was given.")
            continue
        heard = tuple(part for part in options.given if part in surrogate.hears)
        if not heard:
            notes.append(f"No row of {name}: it hears {' and '.join(surrogate.hears)} only.")
            continue
        if heard != options.given:
            notes.append(f"Of what is given, {name} hears {' and '.join(heard)} only.")
        sources[name] = partial(predict, surrogate, tokens, heard)
        if name == OURS:
            sources[OURS_REFINED] = partial(climb, surrogate)
            sources[REFINED] = climb
    sources.setdefault(REFINED, climb)
    alone = f"encoder, {' and '.join(options.given)} alone"
    for name, by in ((f"{alone} (others rest)", NO_EVENT), (f"{alone} (others zero)", UNKNOWN)):
        hidden = hide(tokens, options.given, by)
        sources[name] = partial(_encoded_mean, vae, hidden)
    generator = torch.Generator().manual_seed(options.seed)
    sample = torch.randn(mean.shape, generator=generator).to(mean)  # alike on every device
    sources["the prior's mean"] = lambda: torch.zeros_like(mean)
    sources["a sample of the prior"] = lambda: sample
    if song[0] == song[-1]:
        notes.append("No row of another song's latent: there is one song only.")
    else:
        others = torch.from_numpy(other_songs(song, options.seed)).to(mean.device)
        sources["another song's latent"] = lambda: mean[others]
    return sources


def other_songs(song: np.ndarray, seed: int) -> np.ndarray:
    """For each window (windows,) of ascending songs, of which there are at least two, the index
    of a random one of another song."""
    rng = np.random.default_rng(seed)
    firsts, ends = np.searchsorted(song, song), np.searchsorted(song, song, side="right")
    # Counted from the end of the window's own song on, around.
    shifts = rng.integers(0, len(song) - (ends - firsts))
    return (ends + shifts) % len(song)


def batches(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(BATCH) for tensor in tensors), strict=True)


@torch.no_grad()
def encode_all(musicvae: MusicVAE, tokens: Tensor) -> Normal:
    found = [musicvae.encode(batch) for (batch,) in batches(tokens)]
    mean, stddev = (torch.cat([getattr(it, name) for it in found]) for name in ("mean", "stddev"))
    return Normal(mean, stddev, validate_args=False)


def _encoded_mean(musicvae: MusicVAE, tokens: Tensor) -> Tensor:
    return encode_all(musicvae, tokens).mean


@torch.no_grad()
def predict(surrogate: Surrogate, tokens: Tensor, given: tuple[str, ...]) -> Tensor:
    """(windows, z_size), the means that a surrogate predicts from given parts of tokens (windows,
    steps, 3)."""
    return torch.cat([surrogate.posterior_mean(batch, given) for (batch,) in batches(tokens)])


def _refined(
    musicvae: MusicVAE,
    tokens: Tensor,
    options: EvaluateOptions,
    surrogate: Surrogate | None = None,
) -> Tensor:
    given, how = options.given, options.refine
    if surrogate is None:
        return refine(musicvae, tokens, given, options=how, progress=options.progress).z
    return refine_prediction(musicvae, surrogate, tokens, given, how, options.progress).z
