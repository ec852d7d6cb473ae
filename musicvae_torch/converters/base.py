"""What every converter has in common: windows of a song, and the way there and back.

The rules of each family of Magenta's configs are in files of their own (``melody.py``,
``drums.py``, ``trio.py`` ...); :func:`musicvae_torch.get_converter` picks among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.notes import Song, transpose_song
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section, common_time_sections, sections
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from musicvae_torch.options import MODES


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of a song in the form that a model takes, and where it was found.

    Attributes:
        tokens: (steps, parts), a compact form of the arrays that networks take: int16 classes of
            one-hot rows or rolls (-1: a row of zeros), float32 for grooves.
        length: steps that are in use; for multitrack windows (segments,) ints.
        start: seconds from the song's beginning.
        bar: bars from the beginning of its section (a stretch of one tempo and metre).
        instruments: indices of the tracks that it was made from.
        converter: that made it.
    """

    tokens: np.ndarray
    length: int | np.ndarray
    start: float
    bar: int
    instruments: tuple[int, ...]
    converter: Converter = field(repr=False)

    @property
    def inputs(self) -> np.ndarray:
        """(steps, input_depth) for the encoder."""
        return self.converter.inputs(self.tokens)

    @property
    def outputs(self) -> np.ndarray:
        """(steps, output_depth) that the decoder is to give back."""
        return self.converter.outputs(self.tokens)

    @property
    def controls(self) -> np.ndarray:
        """(steps, control_depth) on which encoder and decoder are conditioned."""
        return self.converter.controls(self.tokens)


class Converter(ABC):
    """MIDI ↔ arrays, by the rules of one of Magenta's configs.

    Attributes:
        rules: of the config; each converter has rules of its own type.
        steps: length of a window.
        mode: one of MODES.
        token_dtype: of its windows' tokens.
        complete: whether windows cover whole songs: identical ones, of which Magenta gives one, and
            a groove's last bars, which it leaves out, filled up with silence.
        rng: source of randomness of mode "train".
    """

    token_dtype: type = np.int16
    complete = False

    def __init__(self, rules: Any, steps: int, mode: str = "eval", seed: int | None = None) -> None:
        if mode not in MODES:
            raise OptionError(f"unknown converter mode {mode!r}; choose one of: {', '.join(MODES)}")
        self.rules = rules
        self.steps = steps
        self.mode = mode
        self.rng = np.random.default_rng(seed)

    @property
    def transpose_range(self) -> int:
        """The most semitones, either way, by which a song is shifted in mode "train"."""
        return int(getattr(self.rules, "transpose_range", 0))

    def to_tensors(
        self, midi: str | Path | pretty_midi.PrettyMIDI | Song, max_windows: int | None = None
    ) -> list[Window]:
        """The windows of a song.

        Args:
            midi: a file, what was parsed from one, or a song.
            max_windows: most windows, in order of position; in mode "train" drawn at random, first
                within each section and then among all. Magenta takes 5 of melodies, drums and
                trios, in CPython's set order for the first two.

        Returns:
            Windows in order of section, then track, then bar. In mode "train" those of the song
            after a random transposition, where the config has one.

        Raises:
            MidiError: the file is unreadable, or Magenta too would fail on it.
        """
        song = load_song(midi)
        if self.mode == "train" and self.transpose_range:
            most = self.transpose_range
            song = transpose_song(song, int(self.rng.integers(-most, most + 1)))
        try:
            found = [self._limited(windows, max_windows) for windows in self.song_windows(song)]
        except MidiError as error:
            name = midi if isinstance(midi, str | Path) else "the song"
            raise type(error)(f"{name}: {error}") from None
        return self._limited([window for windows in found for window in windows], max_windows)

    def _limited(self, windows: list[Window], most: int | None) -> list[Window]:
        if most is None or len(windows) <= most:
            return windows
        if self.mode != "train":
            return windows[:most]
        picks = self.rng.choice(len(windows), most, replace=False)
        return [windows[pick] for pick in sorted(picks)]

    def from_tensors(self, samples: Any, controls: Any = None, qpm: float = DEFAULT_QPM) -> Any:
        """What a model decoded → MIDI, with the programs and the velocity that Magenta writes.

        Args:
            samples: (steps, output_depth), or several of them in an array or a list.
            controls: (steps, control_depth) for all samples, or as many as there are samples.
            qpm: quarter notes per minute; Magenta writes 120.

        Returns:
            A pretty_midi.PrettyMIDI for one sample, a list of them for several.

        Raises:
            ValueError: neither one control for all samples nor one for each.
        """
        if not isinstance(samples, list | tuple):
            samples = np.asarray(samples)
            if samples.ndim == 2:
                return self.from_tokens(self.to_tokens(samples, _array(controls)), qpm)
        if not isinstance(controls, list | tuple):
            controls = _array(controls)
            if controls is None or controls.ndim == 2:
                controls = [controls] * len(samples)
        if len(controls) != len(samples):
            raise ValueError(f"{len(controls)} controls for {len(samples)} samples")
        return [
            self.from_tokens(self.to_tokens(np.asarray(sample), _array(control)), qpm)
            for sample, control in zip(samples, controls, strict=True)
        ]

    def why_none(self, song: Song) -> str:
        """The reason, in a few words, why :meth:`song_windows` finds none: "no notes", "metre or
        tempo" (which leave no section that is long enough), "too short", "no melody" and the like
        (of the section that lacks fewest parts), or "no N bars on end" that fit."""
        if not len(song.notes):
            return "no notes"
        long = [s for s in self.sections(song) if _bars(s) >= self.window_bars]
        if not long:
            whole = sum(map(_bars, sections(song)))
            return "metre or tempo" if whole >= self.window_bars else "too short"
        missing = min((self.missing_parts(section) for section in long), key=len)
        if missing:
            return f"no {missing[0]}"
        return f"no {self.window_bars} bars on end" if self.window_bars > 1 else "no bar that fits"

    @property
    def window_bars(self) -> int:
        """Length of a window."""
        return self.steps // STEPS_PER_BAR

    def sections(self, song: Song) -> list[Section]:
        """The stretches of a song that may hold windows."""
        return common_time_sections(song)

    def missing_parts(self, section: Section) -> list[str]:
        """Names of the parts that a window needs and no track of the section plays."""
        return []

    def song_windows(self, song: Song) -> list[list[Window]]:
        """All windows of a song, grouped by section; raises as :meth:`section_windows`."""
        return [self.section_windows(section, song.pedals) for section in self.sections(song)]

    @abstractmethod
    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """All windows of a section. `pedals`, of PEDAL_DTYPE, are the whole song's.

        Raises:
            MidiError: Magenta too would fail on it.
        """

    def window(
        self, tokens: np.ndarray, section: Section, bar: int, instruments: Sequence[int]
    ) -> Window:
        """A window of full length that begins at a bar of a section."""
        start = section.seconds(bar * STEPS_PER_BAR)
        return Window(tokens, self.steps, start, bar, tuple(instruments), self)

    def inputs(self, tokens: np.ndarray) -> np.ndarray:
        """(..., steps, parts) tokens → (..., steps, input_depth)."""
        return self.outputs(tokens)

    @abstractmethod
    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        """(..., steps, parts) tokens → (..., steps, output_depth)."""

    def controls(self, tokens: np.ndarray) -> np.ndarray:
        """(..., steps, parts) tokens → (..., steps, control_depth)."""
        return np.zeros((*tokens.shape[:-1], 0), bool)

    @abstractmethod
    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        """(..., steps, output_depth) → (..., steps, parts); inverse of :meth:`outputs`."""

    @abstractmethod
    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        """(steps, parts) tokens of one window → MIDI."""


def _bars(section: Section) -> int:
    """Bars of four quarters, the last one cut or not."""
    return -(-section.steps // (4 * section.steps_per_quarter))


def _array(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values)


def one_hot(tokens: np.ndarray, depths: Sequence[int], dtype: type = bool) -> np.ndarray:
    """(..., parts) classes → (..., sum of depths) one-hot rows, one part beside the other; of
    class -1 a row of zeros."""
    rows = np.zeros((*tokens.shape[:-1], sum(depths)), dtype)
    offsets = np.cumsum((0, *depths[:-1]))
    np.put_along_axis(rows, np.maximum(tokens, 0) + offsets, tokens >= 0, axis=-1)
    return rows


def from_one_hot(rows: np.ndarray, depths: Sequence[int]) -> np.ndarray:
    """(..., sum of depths) → (..., parts) int16 classes; inverse of :func:`one_hot`."""
    parts = np.split(rows, np.cumsum(depths)[:-1], axis=-1)
    return np.stack([part.argmax(-1) for part in parts], axis=-1).astype(np.int16)
