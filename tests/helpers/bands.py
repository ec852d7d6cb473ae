"""Small bands, songs and data sets of trios for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.band.config import BandConfig
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.band.sampling import Sampled, sample

STEPS = 256


def small_band(context: int = 1024, seed: int = 0, style_size: int = 5) -> Band:
    """One in which everything reacts to everything; as drawn, nothing would."""
    band = Band(
        BandConfig(
            width=32,
            heads=4,
            listener_layers=1,
            player_layers=2,
            context=context,
            style_size=style_size,
        )
    )
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in band.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.4, generator=generator)
    return band.eval()


def sample_song(
    band: Band, given: Tensor, controls: Controls | None = None, candidates: int = 1, **how: Any
) -> Sampled:
    """Candidates of one song (steps, 3), each with draws of its own."""
    rows = given.expand(candidates, *given.shape)
    return sample(band, rows, controls, numbers=range(candidates), **how)


def random_tokens(steps: int, batch: int = 1, seed: int = 0) -> Tensor:
    """(batch, steps, 3) classes."""
    rng = np.random.default_rng(seed)
    parts = [rng.integers(0, depth, (batch, steps)) for depth in DEPTHS]
    return torch.from_numpy(np.stack(parts, axis=-1))


def hide(tokens: Tensor, *parts: str) -> Tensor:
    """The tokens with those parts hidden."""
    hidden = tokens.clone()
    for part in parts:
        hidden[..., PARTS.index(part)] = HIDDEN
    return hidden


def full_controls(steps: int, batch: int = 1, seed: int = 0) -> Controls:
    """Something said of everything."""
    generator = torch.Generator().manual_seed(seed)
    return Controls(
        chords=torch.randint(0, 49, (batch, steps), generator=generator),
        density=torch.randint(0, 8, (batch, steps, 3), generator=generator),
        style=torch.randn(batch, 1, 5, generator=generator),
    )


def write_windows(
    path: Path, rows: list[dict[str, Any]], songs: list[str], **columns: np.ndarray
) -> Path:
    """A data set of trios, as build-dataset writes it.

    Args:
        path: where to write it.
        rows: of each window tokens (256, 3), song, bar, and if need be instruments, start and
            transposition.
        songs: their paths.
        columns: further ones, as they are.
    """
    with h5py.File(path, "w") as file:
        file.attrs["format_version"] = 1
        file["songs"] = songs
        file["tokens"] = np.stack([row["tokens"] for row in rows]).astype(np.int16)
        for name, usual in (
            ("song", 0),
            ("bar", 0),
            ("instruments", (0, 1, 2)),
            ("transposition", 0),
        ):
            file[name] = np.array([row.get(name, usual) for row in rows], np.int32)
        file["start"] = np.array([row.get("start", 2.0 * row["bar"]) for row in rows])
        for name, values in columns.items():
            file[name] = values
    return path


def song_windows(
    notes: np.ndarray, bars: list[int], **columns: int | tuple[int, ...]
) -> list[dict[str, Any]]:
    """Rows for :func:`write_windows`: the windows of (steps, 3) tokens that begin at those bars."""
    return [{"tokens": notes[16 * bar : 16 * bar + STEPS], "bar": bar, **columns} for bar in bars]


def groove_song(bars: int, seed: int = 0) -> np.ndarray:
    """(steps, 3) tokens of a song with several drums, a bass and a melody in the middle range."""
    rng = np.random.default_rng(seed)
    steps = 16 * bars
    tokens = np.zeros((steps, 3), np.int64)
    tokens[::4, 0] = rng.integers(40, 60, len(tokens[::4]))
    tokens[::8, 1] = rng.integers(15, 30, len(tokens[::8]))
    tokens[::4, 2] = rng.integers(1, 8, len(tokens[::4]))
    return tokens
