"""The check of accompanied songs: it passes what is right, and finds each kind of fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kept_messages import Verdict, check
from raw_midi import (
    BAR,
    Timed,
    bass_line,
    beat,
    chunk,
    conductor,
    control,
    gs_part_mode,
    line,
    meta,
    named,
    program,
    smf,
    tune,
)

TUNE = tune(8, 1)  # bars 1 to 8
MARKER = (480, meta(6, b"Verse"))
EXTRA = b"XFKM\0\0\0\3abc"
FLUTE: list[Timed] = [(0, named("Flute")), (0, program(0, 73)), (0, control(0, 7, 99))]
FLUTE_CHUNK = chunk([*FLUTE, *line(TUNE)])
# Drums, of which the first and the last bar are outside; and on its channel a controller.
KIT: list[Timed] = [(0, named("Kit")), (0, control(9, 7, 90))]
HEAD = conductor(MARKER, end=9 * BAR)
SONG = smf(HEAD, FLUTE_CHUNK, chunk([*KIT, *line(beat(10), 9)]), EXTRA)
HITS = 12
LINES = [f"replaced: track 1: 'Kit' drums: {8 * HITS} of {10 * HITS} notes"]
OUTSIDE = [*line(beat(1), 9), *line(beat(1, 9), 9)]


def band(
    head: bytes = HEAD,
    flute: bytes = FLUTE_CHUNK,
    kit: bytes = chunk([*KIT, *OUTSIDE]),
    bass: bytes = chunk([(0, named("bass")), *line(bass_line(8, 1), 1)]),
    drums: bytes = chunk([(0, named("drums")), *line(beat(8, 1), 9)]),
    after: bytes = EXTRA,
    count: int = 5,
) -> bytes:
    return smf(head, flute, kit, bass, drums, after, count=count)


def faults(result: bytes, song: bytes = SONG, lines: list[str] = LINES) -> set[str]:
    notes = np.array([(row[0], row[2]) for row in TUNE], [("start", int), ("pitch", int)])
    melody = SimpleNamespace(chunk=1, notes=notes)
    heard: Any = SimpleNamespace(
        melody=SimpleNamespace(tracks=(0,)),
        song=SimpleNamespace(tracks=[melody], resolution=480),
    )
    return {kind for kind, _ in check(Verdict("song.mid"), song, result, lines, heard)}


def test_what_is_right() -> None:
    assert faults(band()) == set()


def test_ticks_may_be_finer() -> None:
    finer = [
        chunk([(tick * 2, data) for tick, data in events])
        for events in (
            [(0, meta(1, b"a"))],
            [*FLUTE, *line(TUNE)],
            [(0, named("bass")), *line(bass_line(8, 1), 1)],
            [(0, named("drums")), *line(beat(8, 1), 9)],
        )
    ]
    song = smf(chunk([(0, meta(1, b"a"))]), FLUTE_CHUNK)
    assert faults(smf(*finer, resolution=960), song, []) == set()
    assert "message moved" in faults(smf(*finer, resolution=480), song, [])


def moved(by: int) -> bytes:
    (first, *rest) = TUNE
    return chunk([*FLUTE, *line([(first[0] + by, *first[1:]), *rest])])


# Its note-on is not where it was, its note-off is.
MOVED_NOTE = {"message moved", "deleted note not told"}
LOUDER = chunk([*FLUTE, *line(TUNE[:5]), *line(TUNE[5:], 0, 97)])
WRONG = {
    "a marker": (band(head=conductor(end=9 * BAR)), {"message lost"}),
    "a controller": (band(flute=chunk([*FLUTE[:2], *line(TUNE)])), {"message lost"}),
    "a moved note": (band(flute=moved(1)), MOVED_NOTE),
    "another velocity": (band(flute=LOUDER), {"message moved", "deleted note not told"}),
    "another order": (
        band(flute=chunk([FLUTE[0], FLUTE[2], FLUTE[1], *line(TUNE)])),
        {"message moved", "message lost"},
    ),
    "a message that was not there": (
        band(head=conductor(MARKER, (481, meta(6, b"B")), end=9 * BAR)),
        {"message moved"},
    ),
    "a note-off of a note that stays": (
        band(flute=chunk([*FLUTE, *line(TUNE)[:-1]], TUNE[-1][1])),
        {"message lost"},
    ),
    "a controller of a channel on which notes stay": (
        band(kit=chunk([KIT[0], *OUTSIDE])),
        {"message lost"},
    ),
    "a foreign chunk": (band(after=b""), {"chunk lost"}),
    "another foreign chunk": (band(after=EXTRA[:-1] + b"d"), {"chunk lost"}),
    "a hit too many": (
        band(kit=chunk([*KIT, *OUTSIDE[:-2]], OUTSIDE[-1][0])),
        {"deleted note not told"},
    ),
    "a bass too early": (
        band(bass=chunk([(0, named("bass")), *line(bass_line(9), 1)])),
        {"new note outside"},
    ),
    "drums too late": (
        band(drums=chunk([(0, named("drums")), *line(beat(9, 1), 9)])),
        {"new note outside"},
    ),
    "a bass on the channel of drums": (
        band(bass=chunk([(0, named("bass")), *line(bass_line(8, 1), 9)])),
        {"bass on a drum channel"},
    ),
    "a wrong count": (band(count=4), {"irregular result"}),
    "a chunk of another name": (
        band(drums=chunk([(0, named("Drums")), *line(beat(8, 1), 9)])),
        {"message moved"},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(name: str) -> None:
    result, kinds = WRONG[name]
    assert faults(result) == kinds


def test_a_bass_on_a_channel_that_the_file_made_drums() -> None:
    head = conductor(MARKER, (60, gs_part_mode(1, 1)), end=9 * BAR)
    song = smf(head, FLUTE_CHUNK, chunk([*KIT, *line(beat(10), 9)]), EXTRA)
    assert faults(band(head=head), song) == {"bass on a drum channel"}


def test_a_chunk_of_which_names_alone_are_left_may_go() -> None:
    own = chunk([*KIT, *line(beat(10), 9)])
    lines = [f"replaced: track 1: 'Kit' drums, {10 * HITS} notes"]
    without = smf(
        HEAD,
        FLUTE_CHUNK,
        chunk([(0, named("bass")), *line(bass_line(8, 1), 1)]),
        chunk([(0, named("drums")), *line(beat(8, 1), 9)]),
        EXTRA,
    )
    assert faults(without, smf(HEAD, FLUTE_CHUNK, own, EXTRA), lines) == set()
    lyrics = chunk([*KIT, (480, meta(5, b"la")), *line(beat(10), 9)])
    song = smf(HEAD, FLUTE_CHUNK, lyrics, EXTRA)
    assert "message lost" in faults(without, song, lines)


@pytest.mark.parametrize("late", [-59, -1, 0, 1, 59])
def test_a_note_that_is_early_or_late_adds_no_bar(late: int) -> None:
    """The melody's last note ends around a bar line: no new note may begin behind it."""
    rows = [*TUNE[:-1], (TUNE[-1][0], 9 * BAR + late, TUNE[-1][2])]
    flute = chunk([*FLUTE, *line(rows)])
    song = smf(HEAD, flute, chunk([*KIT, *line(beat(10), 9)]), EXTRA)
    assert faults(band(flute=flute), song) == set()
    more = chunk(
        [(0, named("bass")), *line([*bass_line(8, 1), (9 * BAR, 9 * BAR + late + 60, 36)], 1)]
    )
    assert faults(band(flute=flute, bass=more), song) == {"new note outside"}
