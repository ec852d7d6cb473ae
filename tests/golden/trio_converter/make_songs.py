#!/usr/bin/env python3
"""Make the songs beside this file: invented notes, each song around one rule of the conversion.

What Magenta makes of them is in golden.npz; make_golden.py says how that was made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import mido

HERE = Path(__file__).resolve().parent
BEAT = 480
BAR = 4 * BEAT
STEP = BEAT // 4
DRUM_CHANNEL = 9
KICK, SNARE, HAT, RIDE = 36, 38, 42, 51
SCALE = (0, 2, 4, 7, 9, 12, 14, 16)

Note = tuple[int, int, int]  # start tick, end tick, pitch
Event = tuple[int, mido.Message | mido.MetaMessage]


def melody(bars: Iterable[int], seed: int, lowest: int = 60) -> list[Note]:
    """A wandering tune on the sixteenth grid, with rests; every bar begins with a note."""
    rng = random.Random(seed)
    notes = []
    for bar in bars:
        step = 0
        while step < 16:
            length = 1 + int(rng.random() * 5)
            if step == 0 or rng.random() < 0.8:
                pitch = lowest + SCALE[int(rng.random() * len(SCALE))]
                end = bar * BAR + min(step + length, 16) * STEP
                notes.append((bar * BAR + step * STEP, end, pitch))
            step += length
    return notes


def bass(bars: Iterable[int], seed: int) -> list[Note]:
    """A note on every beat, some of them short."""
    rng = random.Random(seed)
    notes = []
    for bar in bars:
        root = 36 + SCALE[int(rng.random() * len(SCALE))]
        for beat in range(4):
            start = bar * BAR + beat * BEAT
            notes.append((start, start + (BEAT if rng.random() < 0.5 else 2 * STEP), root))
    return notes


def drums(bars: Iterable[int], cymbal: int = HAT) -> list[Note]:
    """A plain rock beat."""
    hits = []
    for bar in bars:
        for eighth in range(8):
            start = bar * BAR + eighth * 2 * STEP
            hits.append((start, start + STEP, cymbal))
            if eighth % 4 == 0:
                hits.append((start, start + STEP, KICK))
            if eighth % 4 == 2:
                hits.append((start, start + STEP, SNARE))
    return hits


def events(channel: int, program: int, notes: Iterable[Note]) -> Iterator[Event]:
    """A program change in front of the first note, then the notes."""
    notes = list(notes)
    yield min(notes)[0], mido.Message("program_change", channel=channel, program=program)
    for start, end, pitch in notes:
        yield start, mido.Message("note_on", channel=channel, note=pitch, velocity=100)
        yield end, mido.Message("note_on", channel=channel, note=pitch, velocity=0)


def tempo(tick: int, bpm: float) -> Event:
    return tick, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))


def metre(tick: int, numerator: int, denominator: int) -> Event:
    return tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def order(event: Event) -> tuple[int, int]:
    """Notes end before others start, and a program change comes between."""
    tick, message = event
    kinds = {"note_on": 2, "program_change": 1}
    ends = message.type == "note_on" and message.velocity == 0
    return tick, 0 if ends else kinds.get(message.type, 0)


def track(timed: Iterable[Event], resolution: int = BEAT) -> mido.MidiTrack:
    written = mido.MidiTrack()
    now = 0
    for tick, message in sorted(timed, key=order):
        scaled = tick * resolution // BEAT
        written.append(message.copy(time=scaled - now))
        now = scaled
    return written


def song(*tracks: Iterable[Event], resolution: int = BEAT) -> mido.MidiFile:
    """A file of these tracks; the first holds tempo and metre."""
    midi = mido.MidiFile(type=1, ticks_per_beat=resolution)
    midi.tracks = [track(timed, resolution) for timed in tracks]
    return midi


def trio(bars: Iterable[int], seed: int) -> tuple[Iterator[Event], ...]:
    bars = list(bars)
    return (
        events(0, 0, melody(bars, seed)),
        events(1, 33, bass(bars, seed + 1)),
        events(DRUM_CHANNEL, 0, drums(bars)),
    )


def plain() -> mido.MidiFile:
    """20 bars of a trio: 5 windows."""
    return song([tempo(0, 120), metre(0, 4, 4)], *trio(range(20), 1))


def cross_product() -> mido.MidiFile:
    """Two melodies, two basses and two drum kits, among tracks that are none of these."""
    bars = range(17)
    return song(
        [tempo(0, 112), metre(0, 4, 4)],
        events(1, 38, bass(bars, 10)),
        events(0, 25, melody(bars, 11)),
        events(2, 81, melody(bars, 12)),
        events(DRUM_CHANNEL, 0, drums(bars)),
        events(3, 0, melody(bars, 13, lowest=72)),
        events(4, 48, melody(bars, 14)),
        events(5, 32, bass(bars, 15)),
        events(DRUM_CHANNEL, 0, drums(bars, cymbal=RIDE)),
    )


def tempo_change() -> mido.MidiFile:
    """The tempo changes in the middle of a bar, under held notes, and slows down at the end."""
    change = 18 * BAR + 2 * BEAT
    held = (change - BEAT - 70, change + BEAT + 70, 64)
    tune, low, beat = melody(range(38), 20), bass(range(38), 21), drums(range(38))
    ending = [tempo(36 * BAR + beats * BEAT, 130 - 15 * beats) for beats in range(5)]
    return song(
        [tempo(0, 97), tempo(change, 140.5), *ending, metre(0, 4, 4)],
        events(0, 4, [*(note for note in tune if note[0] // BAR != 18), held]),
        events(1, 35, [*low, (change - STEP, change + STEP, 28)]),
        events(DRUM_CHANNEL, 0, beat),
    )


def metre_change() -> mido.MidiFile:
    """17 bars of 4/4, 22 of 3/4, then 4/4 again, with a tempo change on the same tick.

    A 4/4 that is said once more, and a tempo on another track than the first, change nothing.
    """
    waltz, back = 17 * BAR, 17 * BAR + 22 * 3 * BEAT
    conductor = [
        tempo(0, 120),
        metre(0, 4, 4),
        metre(waltz, 3, 4),
        metre(back, 4, 4),
        tempo(back, 90),
        metre(back + 5 * BAR, 4, 4),
    ]
    tune, low, beat = trio(range(51), 30)
    return song(conductor, [*tune, tempo(9 * BAR, 200), metre(9 * BAR, 5, 4)], low, beat)


def gaps() -> mido.MidiFile:
    """The bass rests for one, two, ... six bars: up to four are bridged."""
    rests = {1: 1, 3: 2, 6: 3, 10: 4, 20: 5, 38: 6}
    silent = {first + bar for first, length in rests.items() for bar in range(length)}
    bars = range(58)
    return song(
        [tempo(0, 150), metre(0, 4, 4)],
        events(0, 0, melody(bars, 40)),
        events(1, 33, bass((bar for bar in bars if bar not in silent), 41)),
        events(DRUM_CHANNEL, 0, drums(bars)),
    )


def late_entries() -> mido.MidiFile:
    """Parts that enter late and end early: near the song's ends one sounding part is enough."""
    return song(
        [tempo(0, 120), metre(0, 4, 4)],
        events(0, 0, melody(range(4, 17), 50)),
        events(1, 1, melody(range(5, 20), 51)),
        events(2, 33, bass(range(2, 20), 52)),
        events(3, 34, bass(range(4, 16), 53)),
        events(DRUM_CHANNEL, 0, drums(range(20))),
    )


def polyphony() -> mido.MidiFile:
    """Chords, overlaps, notes shorter than a step, starts halfway between two steps."""
    rng = random.Random(60)

    def scatter(lowest: int, count: int) -> list[Note]:
        notes = []
        for _ in range(count):
            step = int(rng.random() * 17 * 16)
            start = step * STEP + (STEP // 2, 0, int(rng.random() * STEP))[int(rng.random() * 3)]
            length = (5, STEP // 2, 4 * STEP, int(rng.random() * 3 * BEAT) + 1)
            end = start + length[int(rng.random() * len(length))]
            notes.append((start, end, lowest + int(rng.random() * 30)))
        return notes

    return song(
        [tempo(0, 97), metre(0, 4, 4)],
        events(0, 0, scatter(55, 220)),
        events(1, 33, scatter(30, 120)),
        events(DRUM_CHANNEL, 16, scatter(27, 220)),
    )


def pitches() -> mido.MidiFile:
    """Every MIDI pitch in every part; and tracks that hold no pitch that can be written."""

    def climb(stride: int, shift: int) -> list[Note]:
        """All pitches in turn, two at a time."""
        return [
            (index * stride * STEP, (index * stride + 3) * STEP, (pitch + extra) % 128)
            for index, pitch in enumerate(range(128))
            for extra in (0, shift)
        ]

    return song(
        [tempo(0, 240), metre(0, 4, 4)],
        events(0, 11, climb(2, 64)),
        events(1, 36, climb(2, 40)),
        events(DRUM_CHANNEL, 0, climb(2, 9)),
        events(2, 0, [(bar * BAR, bar * BAR + BEAT, 109 + bar) for bar in range(16)]),
        events(DRUM_CHANNEL, 0, [(bar * BAR, bar * BAR + BEAT, 2 + bar) for bar in range(16)]),
    )


def program_changes() -> mido.MidiFile:
    """A track that changes its program is several instruments, each with its own silences."""
    return song(
        [tempo(0, 120), metre(0, 4, 4)],
        [
            *events(0, 0, melody(range(10), 70)),
            *events(0, 80, melody(range(10, 13), 71)),
            *events(0, 0, melody(range(13, 23), 72)),
        ],
        [*events(1, 33, bass(range(20), 73)), *events(1, 1, melody(range(20, 23), 74))],
        [
            *events(DRUM_CHANNEL, 0, drums(range(18))),
            *events(DRUM_CHANNEL, 8, drums(range(18, 23))),
        ],
    )


def two_two() -> mido.MidiFile:
    """2/2 is as long as 4/4 and is taken. All in one track, as in files of format 0."""
    midi = mido.MidiFile(type=0, ticks_per_beat=BEAT)
    parts = [event for part in trio(range(17), 80) for event in part]
    midi.tracks = [track([tempo(0, 100), metre(0, 2, 2), *parts])]
    return midi


def no_metre() -> mido.MidiFile:
    """Neither tempo nor metre: 120 and 4/4. The last note ends just past half a step of bar 17."""
    tune, low, beat = trio(range(16), 90)
    last = events(2, 0, [(15 * BAR, 16 * BAR + STEP // 2 + 1, 60)])
    return song([], tune, low, beat, last)


def fifteen_bars() -> mido.MidiFile:
    """Too short: no window. The last note ends just short of half a step of bar 16."""
    tune, low, beat = trio(range(14), 100)
    last = events(2, 0, [(14 * BAR, 15 * BAR + STEP // 2 - 1, 60)])
    return song([tempo(0, 120), metre(0, 4, 4)], tune, low, beat, last)


def swing() -> mido.MidiFile:
    """A pickup of one beat in a bar of its own, swung eighths, loose timing, an odd resolution."""
    rng = random.Random(110)

    def loose(notes: list[Note]) -> list[Note]:
        moved = []
        for start, end, pitch in notes:
            late = BEAT // 6 if start % BEAT == BEAT // 2 else 0
            begin = max(0, start + BEAT + late + int(rng.random() * 40) - 20)
            moved.append((begin, max(begin + 10, end + BEAT - int(rng.random() * 60)), pitch))
        return moved

    pickup = (240, 470, 67)
    return song(
        [tempo(0, 133), metre(0, 1, 4), metre(BEAT, 4, 4)],
        events(0, 26, [pickup, *loose(melody(range(18), 111))]),
        events(1, 32, loose(bass(range(18), 112))),
        events(DRUM_CHANNEL, 0, loose(drums(range(18), cymbal=RIDE))),
        resolution=220,
    )


def many_tracks() -> mido.MidiFile:
    """130 instruments: the 128th, a melody, still counts; those after it do not."""
    fillers = [
        event
        for channel in (3, 4)
        for index in range(62)
        for event in events(channel, 64 + index, [(index * STEP, index * STEP + STEP, 60)])
    ]
    bars = range(16)
    return song(
        [tempo(0, 120), metre(0, 4, 4)],
        *trio(bars, 120),
        fillers,
        events(5, 5, melody(bars, 123)),
        events(6, 6, melody(bars, 124)),
        events(7, 37, bass(bars, 125)),
    )


def very_long() -> mido.MidiFile:
    """1,030 bars, of which the first 1,024 are read; a note every five bars."""
    starts = range(0, 1030, 5)
    held = [(bar * BAR, (bar + 1 + bar % 7) * BAR - STEP, 48 + bar % 31) for bar in starts]
    hits = [(bar * BAR + bar % 16 * STEP, bar * BAR + bar % 16 * STEP + 1, 49) for bar in starts]
    return song(
        [tempo(0, 300), metre(0, 4, 4)],
        events(0, 0, held),
        events(1, 33, [(start, end, pitch - 12) for start, end, pitch in held]),
        events(DRUM_CHANNEL, 0, hits),
    )


def solo() -> mido.MidiFile:
    """Melodies alone: rests of 15, 16 and 17 steps, the last two of which end a stretch; notes
    that end where a bar begins; and a part that enters late in a bar."""
    rests = (15, 16, 17, 15, 0, 16, 33)
    line: list[Note] = []
    step = 5
    for index, rest in enumerate(rests * 2):
        for number in range(7):
            length = 1 + (index + number) % 5
            pitch = 55 + SCALE[(3 * index + number) % len(SCALE)]
            line.append((step * STEP, (step + length) * STEP, pitch))
            step += length
        step += rest
    full_bars = [(bar * BAR + BEAT, (bar + 1) * BAR, 70 + bar % 3) for bar in range(5, 24)]
    over_bars = [(bar * BAR + BEAT, (bar + 2) * BAR, 50 + bar % 4) for bar in range(0, 20, 2)]
    return song(
        [tempo(0, 120), metre(0, 4, 4)],
        events(0, 40, line),
        events(1, 31, full_bars),
        events(2, 32, over_bars),
    )


def endless() -> mido.MidiFile:
    """One note for 39 bars, then a tune that repeats itself until bar 96, then a new one: beyond
    100 bars a stretch is left out."""
    turn = melody(range(3), 130)
    again = [
        (start + bar * BAR, end + bar * BAR, pitch)
        for bar in range(39, 96, 3)
        for start, end, pitch in turn
    ]
    new = melody(range(96, 108), 131)
    return song([tempo(0, 240)], events(0, 9, [(0, 39 * BAR, 64), *again, *new]))


def beats() -> mido.MidiFile:
    """Drums alone, on two tracks that join: rests of 15 and 16 steps, every percussion pitch,
    and a held hit, which is as short as any other."""
    line: list[Note] = []
    step = 19
    for index, rest in enumerate((14, 15, 16, 0, 31, 14, 15, 40)):
        for number in range(11):
            line.append((step * STEP, (step + 1 + number % 3 * 20) * STEP, 22 + (7 * index) % 66))
            step += 1 + number % 3
        step += rest
    every = [(step * 2 * STEP, step * 2 * STEP + 1, 20 + step) for step in range(70)]
    return song(
        [tempo(0, 133), metre(0, 4, 4)],
        events(DRUM_CHANNEL, 0, line),
        events(DRUM_CHANNEL, 24, every),
    )


def harmony() -> mido.MidiFile:
    """Chords under a melody: all triads and sevenths, keys that change, and parts that say
    nothing of harmony; then 8/8, whose chords Magenta does not infer, and 2/2."""
    kinds: list[tuple[int, ...]] = [
        (0, 4, 7),
        (0, 3, 7),
        (0, 4, 8),
        (0, 3, 6),
        (0, 4, 7, 10),
        (0, 4, 7, 11),
    ]
    kinds += [(0, 3, 7, 10), (0, 3, 6, 10), (0, 5, 7), (0, 1, 2)]
    held: list[Note] = []
    for half in range(52):
        root = (half * 5 + half // 13 * 3) % 12
        for offset in kinds[half * 7 % len(kinds)]:
            held.append((half * 2 * BEAT, (half + 1) * 2 * BEAT - half % 3 * 7, 48 + root + offset))
    bars = range(26)
    return song(
        [tempo(0, 118), metre(0, 4, 4), metre(18 * BAR, 8, 8), metre(22 * BAR, 2, 2)],
        events(0, 48, held),
        events(1, 73, melody(bars, 140)),
        events(2, 98, melody(bars, 141, lowest=61)),
        events(DRUM_CHANNEL, 0, drums(bars)),
    )


def sevenths() -> mido.MidiFile:
    """Two bars four times over C, C7, Cmaj7 and C again: the same class, but chords of their own
    all the same."""
    turn = [(step * STEP, (step + 2) * STEP, pitch) for step, pitch in ((0, 72), (8, 79), (20, 76))]
    tops = ((), (70,), (71,), ())
    times = list(enumerate(tops))
    return song(
        [tempo(0, 120)],
        events(0, 1, [(s + 2 * i * BAR, e + 2 * i * BAR, p) for i, _ in times for s, e, p in turn]),
        events(
            1,
            2,
            [
                (2 * i * BAR, 2 * (i + 1) * BAR, pitch)
                for i, top in times
                for pitch in (60, 64, 67, *top)
            ],
        ),
    )


SONGS: tuple[Callable[[], mido.MidiFile], ...] = (
    plain,
    cross_product,
    tempo_change,
    metre_change,
    gaps,
    late_entries,
    polyphony,
    pitches,
    program_changes,
    two_two,
    no_metre,
    fifteen_bars,
    swing,
    many_tracks,
    very_long,
    solo,
    endless,
    beats,
    harmony,
    sevenths,
)


def main(folder: Path = HERE) -> None:
    for make in SONGS:
        make().save(folder / f"{make.__name__}.mid")


if __name__ == "__main__":
    main()
