#!/usr/bin/env python3
"""Make the songs beside this file: invented beats, each around one rule of the conversion.

What Magenta makes of them is in golden.npz; make_groove_golden.py says how that was made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import mido
import numpy as np

HERE = Path(__file__).resolve().parent
BEAT = 480
BAR = 4 * BEAT
STEP = BEAT // 4
DRUM_CHANNEL = 9
KICK, SNARE, HAT, OPEN_HAT, RIDE = 36, 38, 42, 46, 51
ROLAND_KIT = (22, 26, 36, 37, 38, 40, *range(42, 54), 55, 57, 58, 59)

Hit = tuple[int, int, int]  # tick, pitch, velocity
Event = tuple[int, mido.Message | mido.MetaMessage]


def beat(bars: Iterable[int], seed: int, cymbal: int = HAT, looseness: int = 0) -> list[Hit]:
    """A rock beat of varied loudness, whose hits miss the grid by up to `looseness` ticks."""
    rng = random.Random(seed)
    hits = []
    for bar in bars:
        for eighth in range(8):
            struck = [cymbal] + [KICK] * (eighth % 4 == 0) + [SNARE] * (eighth % 4 == 2)
            for pitch in struck:
                tick = bar * BAR + eighth * 2 * STEP + rng.randint(-looseness, looseness)
                hits.append((max(tick, 0), pitch, rng.randint(20, 127)))
    return hits


def scattered(bars: int, seed: int, pitches: tuple[int, ...]) -> list[Hit]:
    """Every pitch twice or more, anywhere between the steps."""
    rng = random.Random(seed)
    chosen = [*pitches, *pitches, *(rng.choice(pitches) for _ in range(40))]
    return [(rng.randrange(bars * BAR - STEP), pitch, rng.randint(1, 127)) for pitch in chosen]


def events(hits: Iterable[Hit], channel: int = DRUM_CHANNEL, length: int = 30) -> list[Event]:
    timed: list[Event] = []
    for tick, pitch, velocity in hits:
        timed.append(
            (tick, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
        )
        timed.append((tick + length, mido.Message("note_off", channel=channel, note=pitch)))
    return timed


def tempo(tick: int, bpm: float) -> Event:
    return tick, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))


def metre(tick: int, numerator: int, denominator: int) -> Event:
    return tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def song(*tracks: Iterable[Event], resolution: int = BEAT) -> mido.MidiFile:
    """A file of these tracks; the first holds tempo and metre. Notes end before others start."""
    midi = mido.MidiFile(type=1, ticks_per_beat=resolution)
    for timed in tracks:
        written, now = mido.MidiTrack(), 0
        for tick, message in sorted(
            timed, key=lambda event: (event[0], event[1].type == "note_on")
        ):
            scaled = tick * resolution // BEAT
            written.append(message.copy(time=scaled - now))
            now = scaled
        midi.tracks.append(written)
    return midi


def straight() -> mido.MidiFile:
    """On the grid, 9 bars: what does not fill a window is dropped."""
    return song([tempo(0, 100), metre(0, 4, 4)], events(beat(range(9), 1)))


def loose() -> mido.MidiFile:
    """Off the grid by up to half a step and a bit, at an odd tempo and resolution."""
    hits = beat(range(4), 2, RIDE, looseness=STEP // 2 + 4)
    return song([tempo(0, 97.3), metre(0, 4, 4)], events(hits), resolution=220)


def halfway() -> mido.MidiFile:
    """Exactly between two steps, and a tick to either side; the last one opens a new bar."""
    places = [(step * STEP + STEP // 2 + step % 3 - 1, HAT, 40 + step) for step in range(63)]
    last = (4 * BAR - STEP // 2, SNARE, 90)
    return song([tempo(0, 120), metre(0, 4, 4)], events([*places, last], length=3))


def crowded() -> mido.MidiFile:
    """Several hits of one drum on a step, in one track and in two, some equally loud."""
    rng = random.Random(3)
    first, second = [], []
    for step in range(0, 2 * 16, 2):
        velocity = rng.randint(30, 90)
        first += [(step * STEP + 20, SNARE, velocity), (step * STEP + 5, 40, velocity)]
        first += [(step * STEP + 1, OPEN_HAT, 70), (step * STEP + 40, OPEN_HAT, 71)]
        second += [(step * STEP + 3, 37, velocity + step % 3), (step * STEP + 9, KICK, 127)]
    return song([tempo(0, 90), metre(0, 4, 4)], events(first, length=4), events(second, length=4))


def roland_kit() -> mido.MidiFile:
    """All pitches of the Groove MIDI Dataset's kit."""
    return song([tempo(0, 133), metre(0, 4, 4)], events(scattered(4, 4, ROLAND_KIT), length=1))


def general_midi() -> mido.MidiFile:
    """Percussion of General MIDI that the kit has not: cowbell, congas, claves ..."""
    general = (*range(26, 51), 51, 52, *range(53, 56), 56, 57, *range(58, 88))
    hits = scattered(4, 5, general)
    return song([tempo(0, 120), metre(0, 4, 4)], events(hits, length=1))


def no_drum() -> mido.MidiFile:
    """A melody beside the drums, with pitches of no drum; the file's first of them is 93."""
    tune = [(step * STEP, pitch, 80) for step, pitch in enumerate((60, 93, 20, 100))]
    return song([], events(beat(range(2), 6)), events(tune, channel=0))


def tune_as_drums() -> mido.MidiFile:
    """Notes of another channel count as drums where their pitches are such."""
    tune = [(step * 2 * STEP, pitch, 60 + step) for step, pitch in enumerate((36, 40, 43, 47) * 8)]
    return song([], events(tune, channel=0), events(beat(range(2), 7)))


def pause() -> mido.MidiFile:
    """Two empty bars in the middle are a window, too; neither tempo nor metre is given."""
    return song([], events(beat([0, 1, 4, 5, 6, 7], 8)))


def one_bar() -> mido.MidiFile:
    """Too short for a window, though its last note lasts long."""
    return song([tempo(0, 80)], events(beat([0], 9), length=2 * BAR))


def said_again() -> mido.MidiFile:
    """Tempo and metre repeated, and others on a track where they do not count: no change."""
    conductor = [tempo(0, 110), metre(0, 4, 4), tempo(BAR, 110), metre(BAR, 4, 4)]
    return song(conductor, [*events(beat(range(2), 10)), tempo(BAR, 60), metre(BAR, 3, 4)])


def two_two() -> mido.MidiFile:
    """As long as 4/4."""
    return song([tempo(0, 110), metre(0, 2, 2)], events(beat(range(2), 11)))


def late_metre() -> mido.MidiFile:
    """4/4 is what holds before it is said."""
    return song([tempo(0, 110), metre(BAR, 4, 4)], events(beat(range(2), 12)))


def late_eight() -> mido.MidiFile:
    """8/8 is as long as 4/4, but said late it is a change from it."""
    return song([tempo(0, 110), metre(BAR, 8, 8)], events(beat(range(4), 13)))


def waltz() -> mido.MidiFile:
    return song([tempo(0, 110), metre(0, 3, 4)], events(beat(range(4), 14)))


def tempo_change() -> mido.MidiFile:
    return song([tempo(0, 110), tempo(8 * BAR, 111)], events(beat(range(8), 15)))


def metre_change() -> mido.MidiFile:
    """From 4/4 to what is as long."""
    return song([metre(0, 4, 4), metre(4 * BAR, 8, 8)], events(beat(range(8), 16)))


SONGS: tuple[Callable[[], mido.MidiFile], ...] = (
    straight,
    loose,
    halfway,
    crowded,
    roland_kit,
    general_midi,
    no_drum,
    tune_as_drums,
    pause,
    one_bar,
    said_again,
    two_two,
    late_metre,
    late_eight,
    waltz,
    tempo_change,
    metre_change,
)


def samples() -> np.ndarray:
    """(3, 32, 27) float32 like a model's: hits (over 0.5), velocities and offsets everywhere.

    The values go to their limits and, in the last sample, beyond them.
    """
    rng = random.Random(17)
    rows = np.zeros((3, 32, 3, 9), np.float32)
    for index in np.ndindex(3, 32, 9):
        sample, step, drum = index
        low, high = (0.0, 1.0) if sample < 2 else (-0.2, 1.3)
        rows[sample, step, 0, drum] = rng.choice([0, 0, 0, 0.49, 0.5, 0.51, 1, 1])
        rows[sample, step, 1, drum] = rng.choice([low, high, low + rng.random() * (high - low)])
        rows[sample, step, 2, drum] = rng.choice([-1, 1, 0, 2 * rng.random() - 1]) * high
    return rows.reshape(3, 32, 27)


def main(folder: Path = HERE) -> None:
    for make in SONGS:
        make().save(folder / f"{make.__name__}.mid")


if __name__ == "__main__":
    main()
