"""What sounds, and where the band begins and ends: notes that hang, pedals, hits of no length,
notes that are a little early or late, and music that follows no beat."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from odd_songs import FLUTE, HITS, heard, left, new_starts, read, read_bytes
from raw_midi import (
    BAR,
    QUARTER,
    SIXTEENTH,
    Timed,
    beat,
    chunk,
    conductor,
    control,
    line,
    metre,
    note,
    notes,
    off,
    on,
    parse,
    part,
    program,
    smf,
    tempo,
    tune,
)

from musicvae_torch.cli.dataset import build_main
from surrogate import Accompanist, AccompanyOptions
from surrogate.cli.accompany import main as accompany_command

HALF = SIXTEENTH // 2
EARLY_OR_LATE = [1, 5, 20, 50, 59]  # ticks, fewer than HALF


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    """The pair that ships."""
    return Accompanist.from_pretrained(device="cpu")


# Hits of no length.


@pytest.mark.parametrize("ending", ["at once", "velocity 0", "never", "half of them"])
def test_a_hit_counts_by_its_onset(tmp_path: Path, ending: str) -> None:
    lengths = {"half of them": 30}
    events: list[Timed] = []
    for start, _, pitch in beat():
        end = start + (lengths.get(ending, 0) if pitch == 42 else 0)
        events.append((start, on(9, pitch)))
        if ending != "never":
            events.append((end, on(9, pitch, 0) if ending == "velocity 0" else off(9, pitch)))
    content = smf(conductor(), part("Tune", 0, tune(), FLUTE), chunk(events, 8 * BAR))
    score = read_bytes(tmp_path, content)
    (drums,) = [track for track in score.tracks if track.is_drum]
    assert len(drums.notes) == HITS
    assert sorted(row[:2] for row in drums.notes[["start", "pitch"]].tolist()) == sorted(
        (start, pitch) for start, _, pitch in beat()
    )
    assert (drums.notes["end"] > drums.notes["start"]).all()
    assert score.to_bytes() == content


def test_hits_of_no_length_make_room(accompanist: Accompanist, tmp_path: Path) -> None:
    score = read(tmp_path, part("Tune", 0, tune(), FLUTE), part("", 9, beat(length=0)))
    result = accompanist.accompany(score)
    assert left(result, 9) == 0 and [len(track.notes) for track in result.replaced] == [HITS]


def test_a_hit_that_is_struck_twice_before_its_end(tmp_path: Path) -> None:
    events = [(0, on(9, 36)), (100, on(9, 36)), (200, off(9, 36)), (300, off(9, 36))]
    (track,) = read(tmp_path, chunk(events)).tracks
    assert track.notes["start"].tolist() == [0, 100]


def test_pitched_notes_of_no_length_stay_in_the_file(
    accompanist: Accompanist, tmp_path: Path
) -> None:
    """Whether or not they are heard, no other note is lost or ends elsewhere for them."""
    rows = tune()
    lengthless = line([(start + 10, start + 10, 100) for start, _, _ in rows])
    events = [(0, program(0, FLUTE)), *line(rows), *lengthless]
    content = smf(conductor(), chunk(events))
    score = read_bytes(tmp_path, content)
    assert [row for row in heard(score) if row[2] != 100] == rows
    assert score.to_bytes() == content
    assert left(accompanist.accompany(score), 0) == 2 * len(rows)


def test_a_pitch_struck_twice_before_one_note_off(tmp_path: Path) -> None:
    events = [(0, on(0, 60)), (480, on(0, 60)), (960, off(0, 60)), (1000, off(0, 60))]
    assert heard(read(tmp_path, chunk(events))) == [(0, 960, 60), (480, 960, 60)]


# Notes that hang.


def test_a_hanging_note_sounds_to_the_end_of_its_track(tmp_path: Path) -> None:
    content = smf(conductor(), chunk([*note(0, 0, 400, 60), (480, on(0, 64))], 5000))
    score = read_bytes(tmp_path, content)
    assert heard(score) == [(0, 400, 60), (480, 5000, 64)] and score.to_bytes() == content


def test_a_hanging_note_in_the_middle(tmp_path: Path) -> None:
    events = [(0, on(0, 60)), *line([(480, 900, 62), (960, 1400, 64)])]
    rows = heard(read(tmp_path, chunk(events, 1920)))
    assert rows == [(0, 1920, 60), (480, 900, 62), (960, 1400, 64)]


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_notes_that_a_controller_ends(tmp_path: Path, number: int) -> None:
    events: list[Timed] = [
        (at + when, data)
        for at in range(0, 4 * QUARTER, QUARTER)
        for when, data in ((0, on(0, 60 + at // QUARTER)), (400, control(0, number, 0)))
    ]
    content = smf(conductor(), chunk(events, 8 * QUARTER))
    score = read_bytes(tmp_path, content)
    assert heard(score) == [(at * QUARTER, at * QUARTER + 400, 60 + at) for at in range(4)]
    assert score.to_bytes() == content


@pytest.mark.parametrize(("channel", "number"), [(1, 123), (0, 121), (0, 122), (0, 7)])
def test_controllers_that_end_no_note(tmp_path: Path, channel: int, number: int) -> None:
    events = [(0, on(0, 60)), (400, control(channel, number, 0)), (800, off(0, 60))]
    assert heard(read(tmp_path, chunk(events))) == [(0, 800, 60)]


def test_the_band_plays_under_a_hanging_last_note(accompanist: Accompanist, tmp_path: Path) -> None:
    events = [(0, program(0, FLUTE)), *line(tune()), (8 * BAR, on(0, 72))]
    starts = new_starts(accompanist.accompany(read(tmp_path, chunk(events, 12 * BAR))))
    for bar in range(12):
        assert any(bar * BAR <= start < (bar + 1) * BAR for start in starts), bar
    assert max(starts) < 12 * BAR


# Pedals.

LAST = 8 * BAR  # the last note is struck, for 20 ticks
FILE_END = 12 * BAR


def pedalled(*moves: Timed, other: tuple[Timed, ...] = ()) -> list[bytes]:
    """Eight bars and a last note, with controllers in its own chunk and in another."""
    events = [(0, program(0, 0)), *line(tune()), *note(0, LAST, LAST + 20, 72), *moves]
    return [conductor(*other, end=FILE_END), chunk(events, FILE_END)]


HELD = {
    "never lifted": pedalled((LAST + 5, control(0, 64, 127))),
    "just down": pedalled((LAST + 5, control(0, 64, 64))),
    "down before the note": pedalled((7 * BAR, control(0, 64, 127))),
    "in another chunk": pedalled(other=((LAST + 5, control(0, 64, 127)),)),
    "half down, then down": pedalled(
        (LAST + 2, control(0, 64, 40)), (LAST + 10, control(0, 64, 100))
    ),
}
NOT_HELD = {
    "no pedal": pedalled(),
    "half down": pedalled((LAST + 5, control(0, 64, 63))),
    "lifted": pedalled((LAST + 5, control(0, 64, 127)), (LAST + 900, control(0, 64, 0))),
    "reset": pedalled((LAST + 5, control(0, 64, 127)), (LAST + 900, control(0, 121, 0))),
    "sostenuto": pedalled((LAST + 5, control(0, 66, 127))),
    "soft pedal": pedalled((LAST + 5, control(0, 67, 127))),
    "of another channel": pedalled((LAST + 5, control(1, 64, 127))),
    "down after the note": pedalled((LAST + 40, control(0, 64, 127))),
    "lifted in another chunk": pedalled(
        (LAST + 5, control(0, 64, 127)), other=((LAST + 900, control(0, 64, 0)),)
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_a_pedalled_note_sounds_as_long_as_the_pedal_holds(
    accompanist: Accompanist, tmp_path: Path, name: str
) -> None:
    starts = new_starts(accompanist.accompany(read(tmp_path, *HELD[name])))
    for bar in range(12):
        assert any(bar * BAR <= start < (bar + 1) * BAR for start in starts), bar
    assert max(starts) < FILE_END


@pytest.mark.parametrize("name", NOT_HELD)
def test_what_holds_no_note(accompanist: Accompanist, tmp_path: Path, name: str) -> None:
    starts = new_starts(accompanist.accompany(read(tmp_path, *NOT_HELD[name])))
    assert LAST <= max(starts) < LAST + BAR


def test_pedals_stay_in_the_file(tmp_path: Path) -> None:
    for chunks in (*HELD.values(), *NOT_HELD.values()):
        assert read(tmp_path, *chunks).to_bytes() == smf(*chunks)


# Notes that are a little early or late.


@pytest.mark.parametrize("over", EARLY_OR_LATE)
def test_a_late_end_adds_no_bar(accompanist: Accompanist, tmp_path: Path, over: int) -> None:
    rows = [*tune()[:-1], (8 * BAR - QUARTER, 8 * BAR + over, 71)]
    starts = new_starts(accompanist.accompany(read(tmp_path, part("", 0, rows, FLUTE))))
    assert 7 * BAR <= max(starts) < 8 * BAR


def test_an_end_past_half_a_sixteenth_is_in_the_next_bar(
    accompanist: Accompanist, tmp_path: Path
) -> None:
    rows = [*tune()[:-1], (8 * BAR - QUARTER, 8 * BAR + QUARTER, 71)]
    starts = new_starts(accompanist.accompany(read(tmp_path, part("", 0, rows, FLUTE))))
    assert 8 * BAR <= max(starts) < 9 * BAR


@pytest.mark.parametrize("early", EARLY_OR_LATE)
@pytest.mark.parametrize("bar", [1, 4])
def test_an_early_start_adds_no_bar(
    accompanist: Accompanist, tmp_path: Path, early: int, bar: int
) -> None:
    first, *others = tune(8, bar)
    rows = [(first[0] - early, *first[1:]), *others]
    starts = new_starts(accompanist.accompany(read(tmp_path, part("", 0, rows, FLUTE))))
    assert bar * BAR <= min(starts) < (bar + 1) * BAR
    assert max(starts) < (bar + 8) * BAR


@pytest.mark.parametrize("over", EARLY_OR_LATE)
def test_a_late_end_in_the_bar_of_another_metre(
    accompanist: Accompanist, tmp_path: Path, over: int
) -> None:
    rows = [*tune()[:-1], (8 * BAR - QUARTER, 8 * BAR + over, 71)]
    waltz = conductor((8 * BAR, metre(3, 4)))
    starts = new_starts(accompanist.accompany(read(tmp_path, waltz, part("", 0, rows, FLUTE))))
    assert 7 * BAR <= max(starts) < 8 * BAR


@pytest.mark.parametrize("over", EARLY_OR_LATE)
@pytest.mark.parametrize(("above", "below"), [(3, 4), (6, 8), (5, 4)])
def test_a_late_end_in_any_metre(
    accompanist: Accompanist, tmp_path: Path, above: int, below: int, over: int
) -> None:
    bar = BAR * above // below
    rows = [
        (at * QUARTER, (at + 1) * QUARTER - 30, 60 + at % 7) for at in range(8 * bar // QUARTER)
    ]
    rows[-1] = (rows[-1][0], 8 * bar + over, 72)
    head = conductor((0, metre(above, below)))
    starts = new_starts(accompanist.accompany(read(tmp_path, head, part("", 0, rows, FLUTE))))
    assert max(starts) < 8 * bar


@pytest.mark.parametrize("off_by", [0, *EARLY_OR_LATE])
def test_a_pickup_that_is_early_or_late(
    accompanist: Accompanist, tmp_path: Path, off_by: int
) -> None:
    """A quarter before the first full bar, in a bar of its own; it ends too late by as much."""
    moved = [(start + QUARTER, end + QUARTER, pitch) for start, end, pitch in tune()]
    end = QUARTER + 8 * BAR
    rows = [(0, QUARTER + off_by, 67), *moved[:-1], (moved[-1][0], end + off_by, 71)]
    head = conductor((0, metre(1, 4)), (QUARTER, metre(4, 4)))
    starts = new_starts(accompanist.accompany(read(tmp_path, head, part("", 0, rows, FLUTE))))
    assert min(starts) >= 0 and max(starts) < end


@pytest.mark.parametrize("resolution", [24, 96, 960])
def test_early_and_late_at_any_resolution(
    accompanist: Accompanist, tmp_path: Path, resolution: int
) -> None:
    scale = Fraction(resolution, QUARTER)
    off_by = resolution // 8 - 1
    rows = [(int(start * scale), int(end * scale), pitch) for start, end, pitch in tune(8, 1)]
    bar = 4 * resolution
    rows[0] = (bar - off_by, *rows[0][1:])
    rows[-1] = (rows[-1][0], 9 * bar + off_by, rows[-1][2])
    score = read_bytes(tmp_path, smf(part("", 0, rows, FLUTE), resolution=resolution))
    result = accompanist.accompany(score)
    factor = parse(result.score.to_bytes()).division // resolution
    starts = new_starts(result)
    assert min(starts) >= bar * factor and max(starts) < 9 * bar * factor


# Ticks in which no sixteenth falls on one.


@pytest.mark.parametrize("resolution", [1, 3, 25, 97, 9999, 32767])
def test_bands_at_any_resolution(accompanist: Accompanist, tmp_path: Path, resolution: int) -> None:
    """New notes are within a tick of a sixteenth, and the song's own stay where they were."""
    rows = [(at * resolution, (at + 1) * resolution, 60 + at % 7) for at in range(32)]
    content = smf(part("", 0, rows, FLUTE), resolution=resolution)
    # Even and on the grid; a drummer plays beside it.
    result = accompanist.accompany(read_bytes(tmp_path, content), AccompanyOptions(feel=0))
    written = parse(result.score.to_bytes())
    assert written.division % resolution == 0
    factor = written.division // resolution
    assert [event.tick for event in written.tracks[0].events if event.is_note_on] == [
        start * factor for start, _, _ in rows
    ]
    starts = np.array(new_starts(result))
    grid = written.division / 4
    assert np.abs(starts - np.round(starts / grid) * grid).max() <= 1
    assert max(starts) < 32 * written.division


# Music that follows no beat.

TRUE_TEMPO = 87.3


def transcribed(scatter: float, quarters_a_minute: float = TRUE_TEMPO) -> bytes:
    """Sixteen bars at a tempo, in a file that says 120; onsets are scattered by some seconds."""
    generator = np.random.default_rng(3)
    ticks = QUARTER * 120 / quarters_a_minute
    late = 0.04 * QUARTER * 2  # seconds before the first note, in ticks of 120 a minute
    rows = []
    for start, end, pitch in tune(16):
        moved = late + float(generator.normal(0, scatter)) * QUARTER * 2
        first, last = (round(at / QUARTER * ticks + moved) for at in (start, end))
        rows.append((max(first, 0), max(last, first + 1), pitch))
    return smf(chunk([(0, tempo(120)), *line(sorted(rows))]))


def off_beat(starts: list[int], quarters_a_minute: float) -> float:
    """Mean distance of onsets from sixteenths of a tempo, in sixteenths; .25 is chance."""
    sixteenth = SIXTEENTH * 120 / quarters_a_minute
    phases = (np.array(starts) - 0.04 * QUARTER * 2) / sixteenth
    return float(np.abs(phases - np.round(phases)).mean())


def test_what_follows_no_beat_is_told(accompanist: Accompanist, tmp_path: Path) -> None:
    for content, is_free in (
        (transcribed(0.005), True),
        (transcribed(0.0), True),
        (transcribed(0.005, 120), False),
        (smf(conductor(), part("", 0, tune(16), FLUTE)), False),
    ):
        notes = accompanist.accompany(read_bytes(tmp_path, content)).notes
        assert any("beat" in line for line in notes) == is_free, notes


@pytest.mark.parametrize("wish", [TRUE_TEMPO, "auto"])
def test_a_tempo_that_is_given_or_found(
    accompanist: Accompanist, tmp_path: Path, wish: str | float
) -> None:
    """The band is with the tune, and the tune sounds when it did."""
    score = read_bytes(tmp_path, transcribed(0.005))
    result = accompanist.accompany(score, AccompanyOptions(beat=wish, feel=0))
    before = np.sort(score.seconds(score.tracks[0].notes["start"]))
    after = np.sort(result.score.seconds(result.score.tracks[0].notes["start"]))
    assert np.abs(before - after).max() < 0.003
    played = result.score.seconds(np.array(new_starts(result)))
    assert off_beat((played * 2 * QUARTER).tolist(), TRUE_TEMPO) < 0.1
    untold = accompanist.accompany(score)
    played = untold.score.seconds(np.array(new_starts(untold)))
    assert off_beat((played * 2 * QUARTER).tolist(), TRUE_TEMPO) > 0.15


def test_the_command_finds_the_beat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "song.mid", tmp_path / "out.mid"
    path.write_bytes(transcribed(0.005))
    assert accompany_command([str(path), "-o", str(out)]) == 0
    assert "note: " in capsys.readouterr().out
    for wish in ("auto", "87.3", "file"):
        assert accompany_command([str(path), "-o", str(out), "--beat", wish]) == 0
    for wish in ("0", "-3", "nan", "allegro"):
        try:
            status = accompany_command([str(path), "-o", str(out), "--beat", wish])
        except SystemExit as ended:  # by the parser of arguments
            status = int(ended.code or 0)
        assert status == 2, wish


# Files by other endings.


def test_karaoke_and_riff_files_are_songs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "midi"
    folder.mkdir()
    for index, suffix in enumerate((".mid", ".kar", ".rmi", ".KAR")):
        rows = [
            (start, end, pitch + index * (1 + start // BAR % 3)) for start, end, pitch in tune(16)
        ]
        parts = [part("", 0, rows, 0), part("", 1, [(s, e, p - 24) for s, e, p in rows], 33)]
        (folder / f"{index}{suffix}").write_bytes(smf(*parts, part("", 9, beat(16))))
    assert build_main([str(folder), "-o", str(tmp_path / "set.h5"), "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "4 songs" in said.out + said.err
    assert accompany_command([str(folder), "-o", str(tmp_path / "bands")]) == 0
    assert len(list((tmp_path / "bands").iterdir())) == 4


@pytest.mark.parametrize("length", [0, 1, 30])
def test_nothing_is_cut_to_the_length_of_a_last_hit(
    accompanist: Accompanist, tmp_path: Path, length: int
) -> None:
    """Beside given drums, however short their hits are, a last new note is no blip."""
    last = [(8 * BAR, 8 * BAR + length, 49)]
    score = read_bytes(tmp_path, smf(conductor(), part("Kit", 9, beat(8, length=length) + last)))
    result = accompanist.accompany(score, AccompanyOptions(given=("drums",)))
    played = [one for track in parse(result.score.to_bytes()).tracks for one in notes(track)]
    ends = [one.end - one.start for one in played if one.channel != 9 and one.start >= 8 * BAR]
    assert all(length >= SIXTEENTH for length in ends)
    assert max(one.end for one in played if one.channel != 9) <= 8 * BAR + SIXTEENTH


def test_a_last_short_note_before_a_bar_line_adds_no_bar(
    accompanist: Accompanist, tmp_path: Path
) -> None:
    """It begins half a sixteenth before the line, and is over before it."""
    events = [*line(tune()), *note(0, 8 * BAR - 60, 8 * BAR - 2, 72)]
    starts = new_starts(accompanist.accompany(read(tmp_path, chunk(events, 8 * BAR))))
    assert max(starts) < 8 * BAR
