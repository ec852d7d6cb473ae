"""MIDI files → songs, fast: to the bit what pretty_midi makes of them.

Facts of pretty_midi 0.2.11 (``PrettyMIDI._load_tempo_changes``, ``_update_tick_to_time``,
``_load_instruments``). Files that break the standard go the long way, through
:func:`musicvae_torch.midi.notes.read_midi`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi

from musicvae_torch.midi.channels import DRUM_CHANNEL
from musicvae_torch.midi.events import Events, IrregularError, read_events
from musicvae_torch.midi.messages import (
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    PROGRAM_CHANGE,
)
from musicvae_torch.midi.notes import (
    NOTE_DTYPE,
    PEDAL_DTYPE,
    SUSTAIN,
    Song,
    read_bytes,
    read_midi,
    to_song,
)


@dataclass(frozen=True)
class _Clock:
    """Ticks → seconds. In arrays of (stretches,), of one tempo each: the ticks and seconds at which
    they begin, and their seconds a tick."""

    ticks: np.ndarray
    seconds: np.ndarray
    scales: np.ndarray

    def __call__(self, ticks: np.ndarray) -> np.ndarray:
        stretch = np.searchsorted(self.ticks, ticks, side="right") - 1
        since = ticks - self.ticks[stretch]
        seconds: np.ndarray = self.seconds[stretch] + self.scales[stretch] * since
        return seconds


@dataclass(frozen=True)
class _Instruments:
    """Programs of channels that have notes, in order of the notes' ends.

    Attributes:
        keys: (instruments,) 128 x channel + program.
        created: (instruments,) number of the event that ends the first note.
        of_notes: (notes,) index of each note's instrument.
    """

    keys: np.ndarray
    created: np.ndarray
    of_notes: np.ndarray


def load_song(midi: str | Path | pretty_midi.PrettyMIDI | Song) -> Song:
    """The song of a file, or of what was parsed from one; raises as :func:`read_song`."""
    if isinstance(midi, Song):
        return midi
    return to_song(midi) if isinstance(midi, pretty_midi.PrettyMIDI) else read_song(midi)


def read_song(path: str | Path) -> Song:
    """Read a MIDI file; the result is that of ``to_song(read_midi(path))``.

    Raises:
        MidiError: the file is missing, unreadable, or no MIDI file.
    """
    try:
        return _song(read_events(read_bytes(path)))
    except IrregularError:
        return to_song(read_midi(path))


def _song(events: Events) -> Song:
    clock = _clock(events)
    begins, ends = _pairs(events)
    instruments = _instruments(events, ends)
    notes = _notes(events, clock, begins, ends, instruments)
    metres = np.array(events.metres, np.float64).reshape(-1, 3)
    metres[:, 0] = clock(metres[:, 0].astype(np.int64))
    return Song(
        notes=notes,
        tempos=np.stack([clock.seconds, 60.0 / (clock.scales * events.resolution)], axis=1),
        time_signatures=metres,
        end=float(notes["end"].max()) if len(notes) else 0.0,
        pedals=_pedals(events, clock, instruments),
    )


def _clock(events: Events) -> _Clock:
    ticks, scales = [0], [60.0 / (120.0 * events.resolution)]
    for tick, tempo in events.tempos:
        scale = 60.0 / ((6e7 / tempo) * events.resolution)
        if tick == 0:
            scales = [scale]
        elif scale != scales[-1]:
            ticks.append(tick)
            scales.append(scale)
    seconds = [0.0]
    for scale, start, end in zip(scales, ticks, ticks[1:], strict=False):
        seconds.append(seconds[-1] + scale * (end - start))
    return _Clock(np.array(ticks), np.array(seconds), np.array(scales))


def _pairs(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the events that begin and end each note, in order of end, then beginning.

    A note-off ends the notes of its channel and pitch that began at earlier ticks. Those that
    began at its own tick go on if it ended others, else they are dropped.
    """
    is_note_on = events.kinds == NOTE_ON
    is_off = (events.kinds == NOTE_OFF) | (is_note_on & (events.second == 0))
    numbers = np.flatnonzero(is_note_on | is_off)
    keys = events.channels[numbers] * 128 + events.first[numbers]
    # Few tracks make for small numbers, which NumPy sorts many times as fast.
    order = np.argsort(keys.astype(np.min_scalar_type(keys.max(initial=0))), kind="stable")
    keys, numbers = keys[order], numbers[order]
    ticks, off = events.ticks[numbers], is_off[numbers]
    next_off = np.where(off, np.arange(len(off)), len(off))
    next_off = np.minimum.accumulate(next_off[::-1])[::-1]
    begins = np.flatnonzero(~off & (next_off < len(off)))
    ends = next_off[begins]
    same_key = keys[begins] == keys[ends]
    begins, ends = begins[same_key], ends[same_key]
    instant = keys[begins[ticks[begins] == ticks[ends]]]
    if len(instant):
        others = ~np.isin(keys[begins], instant)
        by_hand = np.flatnonzero(np.isin(keys, instant))
        pairs = by_hand[_pairs_one_by_one(keys[by_hand], ticks[by_hand], off[by_hand])]
        begins, ends = np.r_[begins[others], pairs[:, 0]], np.r_[ends[others], pairs[:, 1]]
    order = np.argsort(numbers[ends], kind="stable")
    return numbers[begins[order]], numbers[ends[order]]


def _pairs_one_by_one(keys: np.ndarray, ticks: np.ndarray, off: np.ndarray) -> np.ndarray:
    """(notes, 2) indices of beginning and end, by the rule that :func:`_pairs` gives."""
    pairs: list[tuple[int, int]] = []
    open_notes: list[tuple[int, int]] = []
    current = -1
    columns = (column.tolist() for column in (keys, ticks, off))
    for index, (key, tick, is_off) in enumerate(zip(*columns, strict=True)):
        if key != current:
            current, open_notes = key, []
        if not is_off:
            open_notes.append((index, tick))
            continue
        ended = [(begin, index) for begin, began in open_notes if began != tick]
        pairs += ended
        open_notes = [note for note in open_notes if note[1] == tick] if ended else []
    return np.array(pairs, np.int64).reshape(-1, 2)


def _instruments(events: Events, ends: np.ndarray) -> _Instruments:
    keys, appearance, of_notes = np.unique(
        events.channels[ends] * 128 + _programs(events, ends),
        return_index=True,
        return_inverse=True,
    )
    order = np.argsort(appearance)
    return _Instruments(keys[order], ends[appearance[order]], np.argsort(order)[of_notes])


def _programs(events: Events, numbers: np.ndarray) -> np.ndarray:
    """The program that the channel of each of the events `numbers` has at that event."""
    changes = np.flatnonzero(events.kinds == PROGRAM_CHANGE)
    if not len(changes):
        return np.zeros(len(numbers), np.int64)
    changes = changes[np.argsort(events.channels[changes], kind="stable")]
    total = len(events.ticks)
    latest = np.searchsorted(
        events.channels[changes] * total + changes, events.channels[numbers] * total + numbers
    )
    latest = changes[latest - 1]
    set_before = (events.channels[latest] == events.channels[numbers]) & (latest < numbers)
    return np.where(set_before, events.first[latest], 0)


def _notes(
    events: Events, clock: _Clock, begins: np.ndarray, ends: np.ndarray, instruments: _Instruments
) -> np.ndarray:
    """(notes,) of NOTE_DTYPE, grouped by instrument."""
    notes = np.empty(len(begins), NOTE_DTYPE)
    notes["start"] = clock(events.ticks[begins])
    notes["end"] = clock(events.ticks[ends])
    notes["pitch"] = events.first[begins]
    notes["velocity"] = events.second[begins]
    notes["program"] = instruments.keys[instruments.of_notes] % 128
    notes["is_drum"] = events.channels[begins] % 16 == DRUM_CHANNEL
    notes["instrument"] = instruments.of_notes
    # Indexing with [] would do the same to records, twenty times as slowly.
    return notes.take(np.argsort(instruments.of_notes, kind="stable"))


def _pedals(events: Events, clock: _Clock, instruments: _Instruments) -> np.ndarray:
    """(changes,) of PEDAL_DTYPE, grouped by instrument.

    Controls and bends belong to the channel while its current instrument has not ended a note. If a
    channel has any, instruments that come later share all that it has, before and after.
    """
    is_control = events.kinds == CONTROL_CHANGE
    numbers = np.flatnonzero(is_control | (events.kinds == PITCH_BEND))
    is_pedal = is_control[numbers] & (events.first[numbers] == SUSTAIN)
    if not is_pedal.any():
        return np.empty(0, PEDAL_DTYPE)
    never = len(events.ticks)
    created = dict(zip(instruments.keys.tolist(), instruments.created.tolist(), strict=True))
    all_keys = events.channels[numbers] * 128 + _programs(events, numbers)
    keys, of_events = np.unique(all_keys, return_inverse=True)
    is_stray = np.array([created.get(key, never) for key in keys.tolist()])[of_events] > numbers
    channels, firsts = np.unique(all_keys[is_stray] // 128, return_index=True)
    since = dict(zip(channels.tolist(), numbers[is_stray][firsts].tolist(), strict=True))

    def home(key: int) -> int:
        """What holds an instrument's changes: itself, or its channel, written as ~channel."""
        return ~(key // 128) if since.get(key // 128, never) < created[key] else key

    changes = defaultdict(list)
    columns = (column[is_pedal].tolist() for column in (numbers, all_keys, is_stray))
    for number, key, stray in zip(*columns, strict=True):
        changes[~(key // 128) if stray else home(key)].append(number)
    owned = [(index, number) for index, key in enumerate(created) for number in changes[home(key)]]
    owners, numbers = np.array(owned, np.int64).reshape(-1, 2).T
    pedals = np.empty(len(owned), PEDAL_DTYPE)
    pedals["time"] = clock(events.ticks[numbers])
    pedals["instrument"] = owners
    pedals["down"] = events.second[numbers] >= SUSTAIN
    return pedals
