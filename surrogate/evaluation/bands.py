"""Rows of evaluate-accompaniment of the band network: the likelihood of the hidden parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.midi.vocabulary import PARTS
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.scoring import nats_of
from surrogate.encoder.refine import hide
from surrogate.evaluation.task import BATCH, Task

BAND = "band network"
NO_STYLE = f"{BAND}, without a style"
OWN_STYLE = f"{BAND}, style of another window"
OTHER_STYLE = f"{BAND}, another song's style"
NOTHING_GIVEN = f"{BAND}, nothing given"


def band_nats(task: Task) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each row, and (windows, hidden parts) nats a step; NaN if a window has no such
    style. Without a band network there are no rows."""
    if task.networks.band is None:
        task.notes.append(f"No rows of a {BAND}: none was given.")
        return
    tokens, options = task.tokens, task.options
    given = hide(tokens, options.given, HIDDEN)
    for name, style in _styles(task):
        yield name, _nats(task, given, tokens, style)
    missing = hide(tokens, options.hidden, HIDDEN)  # those parts are neither given nor played
    yield NOTHING_GIVEN, _nats(task, torch.full_like(tokens, HIDDEN), missing, None)


def _styles(task: Task) -> Iterator[tuple[str, Tensor | None]]:
    """The name of each style, and (windows, z_size); NaN for windows that have none."""
    given, surrogate, notes = task.options.given, task.networks.surrogate, task.notes
    if not task.networks.styled:
        notes.append(f"The {BAND} was not trained on this MusicVAE's latents: it has no style.")
    elif surrogate is None or not set(given) <= set(surrogate.input_parts):
        notes.append(f"No row of the {BAND} in the surrogate's style: none takes all that is given")
    else:
        yield BAND, surrogate.predict(task.tokens, given)[0]
    yield NO_STYLE, None
    if not task.networks.styled:
        return
    others = another_window(task.windows.song)
    mean = task.posterior.mean
    style = mean[torch.from_numpy(others).to(mean.device)]
    style[torch.from_numpy(others == np.arange(len(others)))] = torch.nan
    yield OWN_STYLE, style
    if not task.has_one_song:
        yield OTHER_STYLE, task.mean_of_other_songs()


def another_window(song: np.ndarray) -> np.ndarray:
    """The index of the window that follows each in its song, or, after the last one, of the first;
    its own index if the song has no other."""
    rows = np.arange(len(song))
    first = np.searchsorted(song, song)
    last = np.searchsorted(song, song, side="right") - 1
    return np.where(rows < last, rows + 1, first)


def _nats(task: Task, given: Tensor, tokens: Tensor, style: Tensor | None) -> np.ndarray:
    """(windows, hidden parts) nats a step."""
    band = task.networks.band
    assert band is not None
    hidden = [PARTS.index(part) for part in task.options.hidden]
    rows = []
    for at in range(0, len(tokens), BATCH):
        own = slice(at, at + BATCH)
        controls = Controls(style=None if style is None else style[own, None])
        rows.append(nats_of(band, given[own], tokens[own], controls)[..., hidden].mean(1))
    return torch.cat(rows).double().cpu().numpy()
