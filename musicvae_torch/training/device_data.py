"""Windows in the memory of the device that trains, so that batches are drawn there.

A data set of a hundred thousand trios has 150 MB of tokens. With them in its memory, a GPU does not
wait for windows to be picked, shifted and copied.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.augment import Transpose, transpose, transpose_melody, transposer
from musicvae_torch.dataset.format import Windows
from musicvae_torch.midi.vocabulary import FIRST_NOTE, MELODY_DEPTH
from musicvae_torch.windows.tensors import ModelBatch

# Share of a device's free memory that tokens may take.
_SHARE = 0.25
# How many parts have pitches, by the function that shifts them.
_LINES: dict[Transpose | None, int] = {transpose: 2, transpose_melody: 1}


class DeviceWindows:
    """The tokens of a data set on a device.

    Args:
        windows: of a config that :func:`fits` accepts.
        config: of the windows.
        device: where to keep them.
    """

    def __init__(self, windows: Windows, config: MusicVAEConfig, device: torch.device) -> None:
        self._windows = windows
        self._lines = _LINES[transposer(config)]
        self._tokens = torch.from_numpy(windows.tokens).to(device)

    def batch(self, rows: np.ndarray, semitones: np.ndarray) -> ModelBatch:
        """The windows of some rows, each shifted by its own number of semitones, (batch,) both: the
        batch that :class:`WindowsDataModule` would make."""
        device, windows = self._tokens.device, self._windows
        classes = self._tokens[torch.from_numpy(rows).to(device)].long()
        if semitones.any():
            shifts = torch.from_numpy(semitones).to(device)
            classes = shifted_classes(classes, shifts, self._lines)
        columns = (
            None if column is None else torch.from_numpy(column[rows]).to(device)
            for column in (windows.posterior_mean, windows.posterior_stddev)
        )
        lengths = None
        if windows.length is not None:
            lengths = torch.from_numpy(windows.length[rows].astype(np.int64)).to(device)
        return ModelBatch(classes, classes, lengths, None, *columns)


def shifted_classes(classes: Tensor, semitones: Tensor, lines: int) -> Tensor:
    """Shift many windows; see :func:`musicvae_torch.dataset.augment.transpose`.

    Args:
        classes: (batch, steps, parts) int64.
        semitones: (batch,).
        lines: parts with pitches, which come first.
    """
    pitched = classes[..., :lines]
    notes = pitched >= FIRST_NOTE
    shifted = pitched + semitones[:, None, None] * notes
    outside = notes & ((shifted < FIRST_NOTE) | (shifted >= MELODY_DEPTH))
    stays = outside.flatten(1).any(1)[:, None, None]
    return torch.cat([torch.where(stays, pitched, shifted), classes[..., lines:]], dim=-1)


def fits(windows: Windows, config: MusicVAEConfig, device: torch.device) -> bool:
    """Whether windows can be drawn on a device: one with memory of its own, which is large enough,
    and windows whose tokens are what the model reads, of melodies or trios."""
    if device.type != "cuda" or config.output != "categorical" or config.control_depth:
        return False
    parts = len(config.output_depths)
    if config.input_depth != config.output_depth or windows.tokens.shape[2] != parts:
        return False
    if transposer(config) not in _LINES:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return windows.tokens.nbytes <= _SHARE * free
