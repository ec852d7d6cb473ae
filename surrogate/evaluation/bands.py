"""Rows of evaluate-accompaniment of the band network: what hidden parts cost it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.converters.trio import PARTS
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.band.scoring import nats_of
from surrogate.encoder.refine import hide
from surrogate.evaluation.ways import BATCH, EvaluateOptions, Networks, other_songs, predict

BAND = "band network"
NO_STYLE = f"{BAND}, without a style"
OWN_STYLE = f"{BAND}, style of another window"
OTHER_STYLE = f"{BAND}, another song's style"
NOTHING_GIVEN = f"{BAND}, hearing nothing"


def band_nats(
    networks: Networks,
    tokens: Tensor,
    posterior: Normal,
    song: np.ndarray,
    options: EvaluateOptions,
    notes: list[str],
) -> Iterator[tuple[str, np.ndarray]]:
    """Each row's name, with what the hidden parts cost: (windows, hidden parts), in nats a step;
    NaN where a window has no such style.

    Args:
        networks: of which the band network is one, or there are no rows.
        tokens: (windows, steps, 3) classes.
        posterior: of the windows, by the MusicVAE's encoder.
        song: (windows,) ascending numbers of their songs.
        options: what is given.
        notes: what is left out is added to them.
    """
    band = networks.band
    if band is None:
        notes.append(f"No rows of a {BAND}: none was given.")
        return
    given = hide(tokens, options.given, HIDDEN)
    styles = dict(_styles(networks, tokens, posterior.mean, song, options, notes))
    for name, style in styles.items():
        yield name, _nats(band, given, tokens, style, options)
    missing = hide(tokens, options.hidden, HIDDEN)  # those parts are neither given nor played
    yield NOTHING_GIVEN, _nats(band, torch.full_like(tokens, HIDDEN), missing, None, options)


def _styles(
    networks: Networks,
    tokens: Tensor,
    mean: Tensor,
    song: np.ndarray,
    options: EvaluateOptions,
    notes: list[str],
) -> Iterator[tuple[str, Tensor | None]]:
    """(windows, z_size) each; NaN for windows that have none."""
    surrogate = networks.surrogate
    if not networks.styled:
        notes.append(f"The {BAND} was not trained on this MusicVAE's latents: it has no style.")
    elif surrogate is None or not set(options.given) <= set(surrogate.input_parts):
        notes.append(f"No row of the {BAND} in the surrogate's style: none takes all that is given")
    else:
        yield BAND, predict(surrogate, tokens, options.given)
    yield NO_STYLE, None
    if not networks.styled:
        return
    others = another_window(song)
    style = mean[torch.from_numpy(others).to(mean.device)]
    style[torch.from_numpy(others == np.arange(len(others)))] = torch.nan
    yield OWN_STYLE, style
    if song[0] != song[-1]:
        yield OTHER_STYLE, mean[torch.from_numpy(other_songs(song, options.seed)).to(mean.device)]


def another_window(song: np.ndarray) -> np.ndarray:
    """For each window the next of its song, after the last the first: its own index, where the song
    has no other."""
    rows = np.arange(len(song))
    first = np.searchsorted(song, song)
    last = np.searchsorted(song, song, side="right") - 1
    return np.where(rows < last, rows + 1, first)


def _nats(
    band: Band, given: Tensor, tokens: Tensor, style: Tensor | None, options: EvaluateOptions
) -> np.ndarray:
    """(windows, hidden parts) nats a step."""
    hidden = [PARTS.index(part) for part in options.hidden]
    rows = []
    for at in range(0, len(tokens), BATCH):
        own = slice(at, at + BATCH)
        controls = Controls(style=None if style is None else style[own, None])
        rows.append(nats_of(band, given[own], tokens[own], controls)[..., hidden].mean(1))
    return torch.cat(rows).double().cpu().numpy()
