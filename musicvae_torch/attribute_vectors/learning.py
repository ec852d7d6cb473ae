"""Learning and measuring attribute vectors, on a data set or a folder of MIDI files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicvae_torch.analysis.attributes import ATTRIBUTES, measure, window_parts
from musicvae_torch.attribute_vectors.directions import METHODS, Directions, learn_directions
from musicvae_torch.attribute_vectors.effects import Effects, measure_effects
from musicvae_torch.attribute_vectors.vectors import AttributeVectors
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.batches import draw_batches
from musicvae_torch.dataset.format import Windows, take_windows
from musicvae_torch.dataset.reading import read_windows
from musicvae_torch.errors import OptionError
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.io.devices import pick_device
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import TEMPERATURE, encode_tokens
from musicvae_torch.windows.tensors import token_width, window_controls

MAX_WINDOWS = 10_000


def learn_attributes(
    data: str | Path,
    musicvae: str | Path,
    *,
    method: str = METHODS[0],
    max_windows: int = MAX_WINDOWS,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> AttributeVectors:
    """Learn a direction for each attribute that a model's windows have.

    Windows are drawn as in training with ``--draw sources``: a top-level folder, in proportion to
    the root of the number of its songs; one of its songs; one of that song's windows. Their latents
    are the means of the model's posterior, from the data set if it holds them. Songs that are set
    aside to validate on are left out.

    Args:
        data: data set of build-dataset, or a folder of MIDI files.
        musicvae: checkpoint folder.
        method: see :mod:`musicvae_torch.attribute_vectors.directions`.
        max_windows: the most windows to draw.
        seed: of the draw.
        device: "auto", "cpu" or "cuda".
        progress: show progress bars.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: its windows have no attributes.
        DatasetError: the data cannot be read, are of another config, or too little to learn from.
        OptionError: there is no such device or method.
    """
    if max_windows < 1:
        raise OptionError(f"max_windows must be at least 1, not {max_windows}")
    model = MusicVAE.from_pretrained(musicvae, pick_device(device))
    check_config(model.config)
    sha256 = weights_sha256(musicvae)
    windows = read_windows(data, model.config, "train", posteriors_of=sha256, progress=progress)
    sample = draw_sample(model, windows, max_windows, seed, progress)
    learnt = learn_directions(sample.latents, sample.values, method)
    record = {
        "method": method,
        "data": Path(data).name,
        "windows": sample.windows,
        "songs": sample.songs,
        "seed": seed,
        "left_out": list(learnt.left_out),
        "musicvae": Path(musicvae).resolve().name,
        "sha256": sha256,
    }
    return as_vectors(learnt, record)


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws of a data set's windows; a window may be drawn several times.

    Attributes:
        latents: (draws, z_size) float32, the posterior's means.
        values: (draws,) of each attribute, NaN where undefined.
        windows, songs: how many different ones were drawn.
    """

    latents: np.ndarray
    values: dict[str, np.ndarray]
    windows: int
    songs: int


def draw_sample(
    model: MusicVAE, windows: Windows, max_windows: int, seed: int, progress: bool = False
) -> Sample:
    """Draw, encode and measure; for arguments see :func:`learn_attributes`."""
    rows, counts = draw_windows(windows, max_windows, seed)
    drawn = take_windows(windows, rows)
    values = measure(window_parts(model.config, drawn.tokens))
    latents = posterior_means(model, drawn, progress)
    return Sample(
        latents.repeat(counts, axis=0),
        {name: column.repeat(counts) for name, column in values.items()},
        len(rows),
        len(np.unique(drawn.song)),
    )


def as_vectors(learnt: Directions, record: dict[str, Any]) -> AttributeVectors:
    """Attribute vectors of directions; `record` is as for :class:`AttributeVectors`."""
    names = ("directions", "means", "stddevs", "r2")
    arrays = {name: torch.from_numpy(getattr(learnt, name).astype(np.float32)) for name in names}
    units = tuple(ATTRIBUTES[name].unit for name in learnt.names)
    return AttributeVectors(learnt.names, **arrays, units=units, record=record)


def measure_attributes(
    data: str | Path,
    musicvae: str | Path,
    vectors: AttributeVectors,
    *,
    max_windows: int = 100,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Effects:
    """Measure the effects of vectors on real windows, whose posterior means are moved and decoded.

    Args:
        data: as for :func:`learn_attributes`, but if songs are set aside, only those are taken.
            Windows do not overlap, and are drawn in the same way.
        musicvae: checkpoint folder of the vectors' model.
        vectors: to measure.
        max_windows: the most windows to draw.
        temperature: of decoding.
        seed: of the draw and of sampling.
        device: "auto", "cpu" or "cuda".
        progress: show progress bars.

    Raises:
        CheckpointError, ConfigError, DatasetError, ValueError: as :func:`learn_attributes`.
    """
    if max_windows < 1:
        raise OptionError(f"there must be at least 1 window to measure on, not {max_windows}")
    model = MusicVAE.from_pretrained(musicvae, pick_device(device))
    check_config(model.config)
    windows = read_windows(data, model.config, "validation", apart=True, progress=progress)
    rows, _ = draw_windows(windows, max_windows, seed)
    drawn = take_windows(windows, rows)
    return measure_effects(
        model,
        vectors,
        torch.from_numpy(posterior_means(model, drawn, progress)).to(model.device),
        temperature=temperature,
        seed=seed,
        controls=window_controls(model.config, drawn.tokens),
        progress=progress,
    )


def check_config(config: MusicVAEConfig) -> None:
    """Raise ConfigError, before any work, if a config's windows have no attributes."""
    window_parts(config, np.zeros((1, config.max_seq_len, token_width(config)), np.int16))


def draw_windows(windows: Windows, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw windows by source, song and window: `most`, or as many as there are. Returns their rows,
    sorted, and how often each was drawn."""
    count = min(most, len(windows.tokens))
    picks, _ = next(draw_batches(windows, count, seed, draw="sources"))
    return np.unique(picks, return_counts=True)


def posterior_means(model: MusicVAE, windows: Windows, progress: bool = False) -> np.ndarray:
    """(windows, z_size) float32, from the data set if it holds them."""
    if windows.posterior_mean is not None:
        return windows.posterior_mean
    posterior = encode_tokens(model, windows.tokens, windows.length, progress=progress)
    return posterior.mean.cpu().numpy()
