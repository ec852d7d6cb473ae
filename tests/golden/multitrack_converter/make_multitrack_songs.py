#!/usr/bin/env python3
"""Make the songs beside this file: invented notes, each song around one rule of the conversion.

What Magenta makes of them is in golden.npz; make_multitrack_golden.py says how that was made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import mido

HERE = Path(__file__).resolve().parent
BEAT = 480
BAR = 4 * BEAT
STEP = BEAT // 24
DRUM_CHANNEL = 9
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
SUSTAIN = 64

Note = tuple[int, int, int, int]  # start tick, end tick, pitch, velocity
Event = tuple[int, mido.Message | mido.MetaMessage]


def tune(bars: Iterable[int], seed: int, lowest: int = 60, notes: int = 6) -> list[Note]:
    """In each bar so many notes on sixths and eighths of beats, of all velocities."""
    rng = random.Random(seed)
    played = []
    for bar in bars:
        for _ in range(notes):
            start = bar * BAR + int(rng.random() * 24) * (BEAT // 6)
            start += int(rng.random() * 2) * (BEAT // 8)
            length = (1 + int(rng.random() * 8)) * (BEAT // 8)
            pitch = lowest + SCALE[int(rng.random() * len(SCALE))]
            played.append((start, start + length, pitch, 1 + int(rng.random() * 127)))
    return played


def beat(bars: Iterable[int], cymbal: int = 42) -> list[Note]:
    """Cymbal on the eighths, kick and snare in turn on the beats."""
    hits = []
    for bar in bars:
        for eighth in range(8):
            start = bar * BAR + eighth * (BEAT // 2)
            hits.append((start, start + STEP, cymbal, 60 + eighth))
            if eighth % 2 == 0:
                hits.append((start, start + STEP, 38 if eighth % 4 else 36, 100))
    return hits


def part(channel: int, program: int, notes: Iterable[Note]) -> list[Event]:
    """A program change, then the notes."""
    timed: list[Event] = [(0, mido.Message("program_change", channel=channel, program=program))]
    for start, end, pitch, velocity in notes:
        timed.append(
            (start, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
        )
        timed.append((end, mido.Message("note_off", channel=channel, note=pitch)))
    return timed


def pedal(channel: int, changes: Iterable[tuple[int, int]]) -> list[Event]:
    """Changes as (tick, controller's value)."""
    return [
        (tick, mido.Message("control_change", channel=channel, control=SUSTAIN, value=value))
        for tick, value in changes
    ]


def tempo(tick: int, bpm: float) -> Event:
    return tick, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))


def metre(tick: int, numerator: int, denominator: int) -> Event:
    return tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def song(*tracks: Iterable[Event], resolution: int = BEAT) -> mido.MidiFile:
    """A file of these tracks; the first holds tempo and metre. Notes end before others start."""
    midi = mido.MidiFile(type=1, ticks_per_beat=resolution)
    for timed in tracks:
        written, now = mido.MidiTrack(), 0
        for tick, message in sorted(timed, key=lambda e: (e[0], e[1].type == "note_on")):
            scaled = tick * resolution // BEAT
            written.append(message.copy(time=scaled - now))
            now = scaled
        midi.tracks.append(written)
    return midi


def band() -> mido.MidiFile:
    """Six parts, one of them a bar late; the same program twice; bars that are alike."""
    bars = range(6)
    return song(
        [tempo(0, 97.3), metre(0, 4, 4)],
        part(0, 56, tune(bars, 1, 72)),
        part(1, 33, tune(bars, 2, 36, notes=4)),
        part(2, 0, tune(bars, 3)),
        part(3, 33, tune(bars, 4, 40, notes=3)),
        part(DRUM_CHANNEL, 0, beat(bars)),
        part(4, 0, tune(range(1, 6), 5, 67)),
    )


def crowd() -> mido.MidiFile:
    """In the first bar one track, in the next two, and so on up to ten; two are drum kits."""
    bars = 11
    entries = [
        part(DRUM_CHANNEL, 0, beat(range(entry, bars), 42 + entry))
        if entry in (3, 6)
        else part(entry, 90 - 9 * entry, tune(range(entry, bars), 20 + entry))
        for entry in range(10)
    ]
    return song([tempo(0, 120), metre(0, 4, 4)], *entries)


def many_events() -> mido.MidiFile:
    """Tracks of 63 events, of 64 and of 65, bars of 7 events and of 8: the limits.

    A note is its start, its end, and what time and loudness it needs besides; one too close to
    the bar line is nothing, so its track is but the wait for the bar's end.
    """

    def chord(bar: int, notes: int, beats: int = 2, louder: int = 0) -> list[Note]:
        start = bar * BAR
        velocities = [50] * (notes - louder) + [100, 20, 60][:louder]
        return [(start, start + beats * BEAT, 30 + i, v) for i, v in enumerate(velocities)]

    def nothing(bar: int) -> list[Note]:
        return [(bar * BAR - 8, bar * BAR - 2, 60, 60)]

    dense = [
        *(*chord(0, 29), *chord(1, 29, louder=1), *chord(2, 29, louder=2)),
        *(*chord(3, 30, beats=4), *chord(4, 30), *chord(5, 60)),
        *(*chord(6, 1, beats=4), *chord(7, 2, beats=4), *chord(8, 2), *chord(9, 1)),
    ]
    other = [note for bar in (0, 1, 2, 3, 4, 5, 6, 9) for note in chord(bar, 1, beats=4)]
    other += [*nothing(8), *nothing(9)]
    return song([tempo(0, 120), metre(0, 4, 4)], part(0, 5, dense), part(1, 6, other))


def bar_lines() -> mido.MidiFile:
    """Notes over the line, on it, and just before it: less than half a step is no time at all.

    The third track plays only so close to the line that nothing remains; Magenta takes it for
    drums, in its program's place.
    """
    starts = [bar * BAR + offset for bar in range(8) for offset in (0, BEAT, 3 * BEAT)]
    held = [(start, start + 2 * BEAT, 50 + start // BEAT % 12, 90) for start in starts]
    near = [
        ((bar + 1) * BAR - late, (bar + 1) * BAR + 40, 64, 70)
        for bar in range(7)
        for late in (9, 0)
    ]
    only_near = [((bar + 1) * BAR - 8, (bar + 1) * BAR - 1, 45, 30) for bar in range(6)]
    return song(
        [tempo(0, 131.7), metre(0, 4, 4)],
        part(0, 40, held),
        part(1, 7, [*near, *tune(range(8), 30, 76, notes=2)]),
        part(2, 20, only_near),
        part(DRUM_CHANNEL, 3, beat(range(8))),
    )


def overlaps() -> mido.MidiFile:
    """Notes of one pitch on each other's heels, chords broken within a step, notes of no length."""
    rng = random.Random(40)
    same = []
    for _ in range(70):
        start = int(rng.random() * 8 * BAR)
        same.append(
            (
                start,
                start + 1 + int(rng.random() * BAR),
                60 + int(rng.random() * 3),
                1 + int(rng.random() * 127),
            )
        )
    broken = []
    for chord in range(16):
        for late, pitch in enumerate((67, 60, 72, 64)):
            start = chord * 2 * BEAT + 2 * late
            broken.append((start, start + (3, BEAT)[chord % 2], pitch, 40 + 20 * late))
    return song([tempo(0, 88), metre(0, 4, 4)], part(0, 0, same), part(1, 24, broken))


def pedals() -> mido.MidiFile:
    """The pedal: let go, caught late, over bar lines and changes of tempo, in drums; pressed where
    it is let go; a pitch struck again; let go in silence; never let go, while drums go on."""
    first, second, last = 5 * BAR + BEAT, 10 * BAR, 13 * BAR
    short = [(start, start + BEAT // 4, pitch, 80) for start, _, pitch, _ in tune(range(8), 50)]
    twice = [(note * BEAT, note * BEAT + BEAT // 2, 62 + note % 2, 99) for note in range(32)]
    both = [(note * BEAT, note * BEAT + BEAT, 48, 64) for note in range(0, 32, 3) for _ in range(2)]
    rest = [(second, second + BEAT, 70, 90), (last, last + BEAT, 71, 90)]
    return song(
        [*(tempo(0, 120), tempo(first, 75), tempo(second, 130), tempo(last, 100)), metre(0, 4, 4)],
        part(0, 0, [*short, *rest])
        + pedal(0, [(0, 0), (0, 127), (BEAT, 0), (BEAT, 127), (BAR, 63), (BAR + BEAT, 64)])
        + pedal(0, [(3 * BAR, 0), (3 * BAR + BEAT, 100), (6 * BAR, 0)]),
        part(1, 1, [*twice, *both, *rest])
        + pedal(1, [(2 * BAR, 127), (4 * BAR + 7, 0), (7 * BAR, 127), (11 * BAR + BEAT, 0)])
        + pedal(1, [(last, 127), (last, 0), (last, 127)]),
        part(2, 2, [*rest, *((s + BEAT, e + BEAT, p + 9, v) for s, e, p, v in rest)]),
        part(DRUM_CHANNEL, 0, beat(range(10))) + pedal(DRUM_CHANNEL, [(BAR, 127), (2 * BAR, 0)]),
    )


def changes() -> mido.MidiFile:
    """Tempo changes on and off the bar line, 3/4 between, 2/2, and 8/8, which knows no chords."""
    waltz, fast = 4 * BAR, 4 * BAR + 3 * 3 * BEAT
    cut, eight = fast + 3 * BAR, fast + 6 * BAR
    conductor = [
        *(tempo(0, 110), tempo(BAR + 2 * BEAT + 33, 90), tempo(3 * BAR, 143.7)),
        *(metre(0, 4, 4), metre(waltz, 3, 4), metre(fast, 4, 4), tempo(fast, 201)),
        *(metre(cut, 2, 2), metre(eight, 8, 8), metre(eight + BAR, 8, 8)),
    ]
    bars = range(eight // BAR + 3)
    return song(
        conductor,
        part(0, 73, tune(bars, 60, 74)),
        part(1, 32, tune(bars, 61, 40)),
        part(DRUM_CHANNEL, 0, beat(bars)),
    )


def rubato() -> mido.MidiFile:
    """Off the grid, at a coarse and odd resolution, every velocity; neither tempo nor metre."""
    rng = random.Random(70)

    def loose(notes: list[Note]) -> list[Note]:
        return [
            (max(0, start + int(rng.random() * 40) - 20), end + int(rng.random() * 60), pitch, vel)
            for start, end, pitch, vel in notes
        ]

    every = [(v * BEAT // 4, v * BEAT // 4 + BEAT // 3, 40 + v % 40, v + 1) for v in range(127)]
    return song(
        [],
        part(0, 127, loose(every)),
        part(1, 100, loose(tune(range(8), 71))),
        part(2, 64, tune(range(8), 72, 0, notes=3) + tune(range(8), 73, 115, notes=3)),
        resolution=97,
    )


def harmony() -> mido.MidiFile:
    """Chords of all kinds, half a bar each; the last bars are silent but for drums, or end early.

    At this tempo rounding puts chords just before the bar line or just after it.
    """
    kinds = (
        (0, 4, 7),
        (0, 3, 7),
        (0, 4, 8),
        (0, 3, 6),
        (0, 4, 7, 10),
        (0, 3, 7, 10),
        (0, 3, 6, 10),
    )
    chords = []
    for half in range(28):
        start = half * 2 * BEAT
        chords += [
            (start, start + 2 * BEAT - STEP, 60 + half * 5 % 12 + step, 80)
            for step in kinds[half // 4]
        ]
    bars = range(16)
    return song(
        [tempo(0, 98.5), metre(0, 4, 4)],
        part(0, 0, chords),
        part(1, 52, [(bar * BAR, bar * BAR + BEAT, 48 + bar * 10 % 12, 70) for bar in range(16)]),
        part(2, 11, [(bar * BAR + BEAT, bar * BAR + 2 * BEAT, 72, 70) for bar in (13, 14, 15)]),
        part(3, 120, tune(bars, 80, notes=4)),
        part(DRUM_CHANNEL, 0, beat(range(15))),
    )


SONGS: tuple[Callable[[], mido.MidiFile], ...] = (
    band,
    crowd,
    many_events,
    bar_lines,
    overlaps,
    pedals,
    changes,
    rubato,
    harmony,
)


def main(folder: Path = HERE) -> None:
    for make in SONGS:
        make().save(folder / f"{make.__name__}.mid")


if __name__ == "__main__":
    main()
