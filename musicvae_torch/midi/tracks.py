"""Tracks of a score: the notes of one player."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pretty_midi

from musicvae_torch.midi.channels import DRUM_CHANNEL

CHORDS = "Chords"  # name of a track chunk all of whose texts are chord symbols
TICK_NOTE = np.dtype(
    [("start", np.int64), ("end", np.int64), ("pitch", np.int16), ("velocity", np.int16)]
)


@dataclass(frozen=True, eq=False)
class Track:
    """The notes of one player in one chunk (MTrk) of the file: on one channel, or on several that
    belong together (MPE, a guitar synthesizer's strings), with one program.

    Attributes:
        index: position in ``Score.tracks``.
        name: of the chunk; may be empty.
        chunk: index among the file's track chunks.
        channel: 0 to 15, the first of its channels.
        program: General MIDI's, from 0; 0 if the file names none.
        notes: of TICK_NOTE, by start, then pitch; at least one, each at least a tick long.
        is_drum: whether it is a drum kit; None: whether it is on channel 10.
        why: the reason, in words, why it is a drum kit, or is none on channel 10, or is on several
            channels; may be empty.
        port: of the chunk; 0 if the file names none.
        note_channels: (notes,) channel of each note.
        ons: (notes,) index of each note's message in the chunk.
        silent: indices of the chunk's note-ons that sound for no time at all.
    """

    index: int
    name: str
    chunk: int
    channel: int
    program: int
    notes: np.ndarray
    is_drum: bool = None  # type: ignore[assignment]
    why: str = ""
    port: int = 0
    note_channels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    ons: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    silent: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.is_drum is None:
            object.__setattr__(self, "is_drum", self.channel == DRUM_CHANNEL)

    @property
    def channels(self) -> tuple[int, ...]:
        """All that its notes are on."""
        return tuple(np.unique(self.note_channels).tolist()) or (self.channel,)

    @property
    def sound(self) -> str:
        """Name of its instrument in General MIDI; "drums" for a kit."""
        if self.is_drum:
            return "drums"
        return str(pretty_midi.program_to_instrument_name(self.program))

    def __str__(self) -> str:
        name = f" {self.name.strip()!r}" if self.name.strip() else ""
        count = f"{len(self.notes)} note{'s' * (len(self.notes) != 1)}"
        return f"track {self.index}:{name} {self.sound}, {count}"
