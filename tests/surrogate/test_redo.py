"""Bars that are redone: they alone change, and join what stays."""

from __future__ import annotations

import io
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from bands import small_band
from magenta_models import MODELS, load_golden
from paths import EXAMPLES
from small_scores import chunk, score
from trio_songs import small_surrogate, small_vae

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.score import Score, read_score
from musicvae_torch.midi.tracks import Track
from surrogate import Accompanist, AccompanyOptions
from surrogate.arrangement.harmony import chord_texts
from surrogate.arrangement.redo import apart, like, own_kit
from surrogate.cli.accompany import main, report_lines
from surrogate.song.bars import bars_of

QUARTER = 480
NOTE = np.dtype([("start", "i8"), ("end", "i8"), ("pitch", "i2"), ("velocity", "i2")])


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist(small_vae(), small_surrogate(), band=small_band(style_size=4))


def metre(track: mido.MidiTrack, above: int, below: int) -> mido.MidiTrack:
    track.insert(0, mido.MetaMessage("time_signature", numerator=above, denominator=below))
    return track


def trio(bars: int = 12, beats: int = 4, held: tuple[float, float] | None = None) -> Score:
    """A song of quarter notes in some metre of quarters, with a marker and a bend among them."""
    count = bars * beats
    tune = metre(chunk([(n, n + 1, 60 + n % 12) for n in range(count)], 73, 0, "tune"), beats, 4)
    tune.insert(6, mido.MetaMessage("marker", text="here", time=0))
    low: list[tuple[float, float, int]] = [(n, n + 0.9, 36 + n % 5) for n in range(count)]
    if held is not None:
        low = [note for note in low if not held[0] <= note[0] < held[1]] + [(*held, 33)]
    bass = chunk(low, 33, 1, "bass", velocity=91)
    bass.insert(9, mido.Message("pitchwheel", channel=1, pitch=99, time=0))
    hits = [(n, n + 0.25, 42) for n in range(count)] + [
        (n, n + 0.25, 35) for n in range(0, count, 2)
    ]
    return score(tune, bass, chunk(hits, 0, 9, "drums", velocity=64))


def facts(song: Score) -> tuple[list[list[object]], list[list[tuple[int, ...]]]]:
    """By mido: the messages of each track that are no notes, and its notes as (start, end, channel,
    pitch, velocity)."""
    file = mido.MidiFile(file=io.BytesIO(song.to_bytes()))
    others: list[list[object]] = []
    notes: list[list[tuple[int, ...]]] = []
    for track in file.tracks:
        tick, sounding = 0, defaultdict(list)
        others.append([])
        notes.append([])
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note].append((tick, message.velocity))
            elif message.type in ("note_on", "note_off"):
                for begun, velocity in sounding.pop((message.channel, message.note), []):
                    notes[-1].append((begun, tick, message.channel, message.note, velocity))
            elif message.type != "end_of_track":
                others[-1].append((tick, message.copy(time=0)))
        assert not sounding
        notes[-1].sort()
    return others, notes


def outside(notes: list[tuple[int, ...]], bars: np.ndarray) -> list[tuple[int, ...]]:
    return [note for note in notes if not bars[0] <= note[0] < bars[-1]]


@pytest.mark.parametrize("beats", [3, 4])
@pytest.mark.parametrize("pickup", [0, 1])
def test_only_the_bars_change(accompanist: Accompanist, beats: int, pickup: int) -> None:
    before = trio(beats=beats)
    redo = ("bass:4-6,9", "drums:5")
    options = AccompanyOptions(redo=redo, pickup=pickup)
    result = accompanist.accompany(before, options)
    (others, notes), (others_after, after) = facts(before), facts(result.score)
    assert others_after == others and after[0] == notes[0]
    lines = bars_of(before, pickup * QUARTER)
    at = [lines.ticks[number - lines.first :] for number in range(14)]
    for track, spans in ((1, (at[4][:4], at[9][:2])), (2, (at[5][:2],))):
        old, new = notes[track], after[track]
        for span in spans:
            old, new = outside(old, span), outside(new, span)
        assert new == old
        assert len(old) < len(notes[track])
    assert after[1] != notes[1] and after[2] != notes[2]
    # As if none but these bars could change: the same options give the same bars.
    assert accompanist.accompany(before, options).score.to_bytes() == result.score.to_bytes()


def test_other_seeds_give_other_bars(accompanist: Accompanist) -> None:
    made = {
        accompanist.accompany(trio(), AccompanyOptions(redo="bass:4-6", seed=seed)).score.to_bytes()
        for seed in range(3)
    }
    assert len(made) == 3
    several = accompanist.accompany(trio(), AccompanyOptions(redo="bass:4-6", candidates=3))
    assert len({band.score.to_bytes() for band in several.candidates}) == 3


def test_a_note_from_before_sounds_on(accompanist: Accompanist) -> None:
    before = trio(held=(14, 18.5))  # from bar 4 into the third quarter of bar 5
    for seed in range(4):
        options = AccompanyOptions(redo="bass:5-6", seed=seed)
        _, notes = facts(accompanist.accompany(before, options).score)
        held = [note for note in notes[1] if note[3] == 33 and note[0] == 14 * QUARTER]
        assert [note[1] for note in held] == [round(18.5 * QUARTER)]
        new = [note for note in notes[1] if 16 * QUARTER <= note[0] < 24 * QUARTER]
        assert all(note[0] >= 18 * QUARTER + QUARTER // 2 for note in new)
        assert all(note[1] <= 24 * QUARTER for note in new)
    through = AccompanyOptions(redo="bass:5")
    result = accompanist.accompany(trio(held=(14, 21)), through)
    assert "sounds through" in report_lines(result)[-1]
    assert result.score.to_bytes() == trio(held=(14, 21)).to_bytes()


def test_a_new_note_may_sound_as_long_as_the_old_one(accompanist: Accompanist) -> None:
    before = trio(held=(22, 27))  # from bar 6 into bar 7
    for seed in range(4):
        options = AccompanyOptions(redo="bass:6", seed=seed)
        _, notes = facts(accompanist.accompany(before, options).score)
        new = [note for note in notes[1] if 20 * QUARTER <= note[0] < 24 * QUARTER]
        assert all(note[1] <= 27 * QUARTER for note in new)


def test_new_notes_join_the_old(accompanist: Accompanist) -> None:
    """In velocity, and on the same drums: the old ones are even, on the acoustic bass drum."""
    result = accompanist.accompany(trio(), AccompanyOptions(redo=("bass:4-7", "drums:4-7")))
    _, notes = facts(result.score)
    assert {note[4] for note in notes[1]} == {91}
    assert {note[4] for note in notes[2]} == {64}
    assert 36 not in {note[3] for note in notes[2]}


def test_a_fill_among_bars_that_are_redone(accompanist: Accompanist) -> None:
    """It ends in a crash where the drums of the next bar are redone as well."""
    for redo, wanted in (("drums:5-6", {35, 49}), ("drums:5", {35, 42})):
        options = AccompanyOptions(redo=redo, fills=((5, 5),))
        _, notes = facts(accompanist.accompany(trio(), options).score)
        assert {note[3] for note in notes[2] if note[0] == 20 * QUARTER} == wanted


def test_new_notes_join_those_of_a_drummer(accompanist: Accompanist) -> None:
    drummer = load_golden(MODELS / "groovae_2bar_humanize").model
    player = replace(accompanist, groove=drummer)
    bars = ("bass:4-7", "drums:4-7")
    _, notes = facts(player.accompany(trio(), AccompanyOptions(redo=bars)).score)
    assert {note[4] for note in notes[1]} == {91} and {note[4] for note in notes[2]} == {64}
    band = player.accompany(EXAMPLES / "saints.mid")
    redone = player.redo(band, ["bass:9-24", "drums:9-24"], seed=1)
    for part in (1, 2):
        track = redone.score.tracks[part]
        new = np.isin(track.notes["start"] // (4 * redone.score.resolution), range(8, 24))
        velocities = track.notes["velocity"]
        assert velocities[new].mean() == pytest.approx(velocities[~new].mean(), abs=12)
        assert velocities[new].std() == pytest.approx(velocities[~new].std(), abs=12)


def test_the_melody_can_be_redone(accompanist: Accompanist) -> None:
    before = trio()
    result = accompanist.accompany(before, AccompanyOptions(redo="melody:5-6", melody="tune"))
    (others, notes), (others_after, after) = facts(before), facts(result.score)
    assert others == others_after and notes[1:] == after[1:] and notes[0] != after[0]
    span = bars_of(before).ticks[4:7]
    assert outside(notes[0], span) == outside(after[0], span)


def test_a_result_can_be_redone_again_and_again(accompanist: Accompanist) -> None:
    tune = EXAMPLES / "saints.mid"
    options = AccompanyOptions(intro=2, candidates=2, chords="F | C7")
    first = accompanist.accompany(tune, options)
    second = accompanist.redo(first, "bass:3-4", first.candidates[1], seed=3)
    third = accompanist.redo(second, ["drums:9", "bass:5"])
    assert not third.options.intro
    assert first.chart is not None and third.chart is not None
    # The chords stay in their bars, which the intro has shifted.
    assert third.chart.bars == first.chart.bars and third.chart.first == first.chart.first + 2
    (_, notes), (_, after) = facts(first.candidates[1].score), facts(third.score)
    assert len(notes) == len(after) and notes[:2] == after[:2]
    assert third.song.to_bytes() == second.score.to_bytes()
    assert len(third.view().roles) == len(third.score.tracks)
    assert third.losses() == []


def chords_track(song: Score) -> Track:
    (track,) = (track for track in song.tracks if track.name == "chords")
    return track


def pitch_classes(song: Score, bars: range) -> set[int]:
    """Those of the chords that sound in bars of 4/4."""
    track = chords_track(song)
    first, end = (4 * (number - 1) * song.resolution for number in (bars[0], bars[-1] + 1))
    notes = track.notes[(track.notes["start"] < end - 60) & (track.notes["end"] > first + 60)]
    return set((notes["pitch"] % 12).tolist())


@pytest.mark.parametrize("comping", ["guitar", "pad"])
def test_chords_are_redone(accompanist: Accompanist, comping: str) -> None:
    """They get other voicings, each time; the rest of the file stays, message by message."""
    options = AccompanyOptions(chords="C | F | G7 | C", add=("chords",), comping=comping)
    band = accompanist.accompany(EXAMPLES / "saints.mid", options)
    redone = accompanist.redo(band, "chords:9-10", seed=1)
    (others, notes), (others_after, after) = facts(band.score), facts(redone.score)
    assert others == others_after
    where = next(n for n, track in enumerate(notes) if track == notes[-1])
    assert notes[:where] == after[:where] and notes[where] != after[where]
    lines = bars_of(band.score).ticks
    span = lines[8:11]
    # A chord that sounded into these bars ends where they begin.
    old = [
        (start, min(end, span[0]) if start < span[0] else end, *note)
        for start, end, *note in outside(notes[where], span)
    ]
    assert old == outside(after[where], span)
    assert pitch_classes(redone.score, range(9, 10)) == {0, 4, 7}
    assert pitch_classes(redone.score, range(10, 11)) == {5, 9, 0}
    voiced = [
        sorted(n[3] for n in own[where] if lines[8] <= n[0] < lines[9]) for own in (notes, after)
    ]
    assert set(voiced[0]) != set(voiced[1])
    # The track is found by its name in a file that is read again, too.
    again = accompanist.accompany(redone.score, AccompanyOptions(redo="chords:9-10", chords="F"))
    assert pitch_classes(again.score, range(9, 11)) == {5, 9, 0}


def drum_accents(song: Score) -> set[int]:
    """The sixteenths on which kick or snare sounds."""
    drums = next(track for track in song.tracks if track.name == "drums")
    return {round(start / 120) for start, _, pitch, _ in drums.notes.tolist() if pitch in (36, 38)}


def test_redone_chords_follow_redone_drums(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords="C", add=("chords",))
    band = accompanist.accompany(EXAMPLES / "saints.mid", options)
    redone = accompanist.redo(band, ["drums:9-12", "chords:9-12"], seed=5)
    bar = 4 * redone.score.resolution
    struck = {
        round(start / 120) for start in chords_track(redone.score).notes["start"].tolist()
        if 8 * bar <= start < 12 * bar
    }  # fmt: skip
    before, accents = (drum_accents(song.score) for song in (band, redone))
    assert {step for step in before ^ accents if 8 * 16 <= step < 12 * 16}
    assert len(struck) > 1
    assert struck <= accents | {8 * 16}


def test_a_chord_that_sounds_over_the_bar_lines(accompanist: Accompanist) -> None:
    """It ends where the bars begin, and is struck again after them; in them is another chord."""
    options = AccompanyOptions(chords="C", add=("chords",), comping="pad")
    band = accompanist.accompany(EXAMPLES / "saints.mid", options)
    bar = 4 * band.score.resolution
    assert (
        chords_track(band.score).notes["end"] - chords_track(band.score).notes["start"] > 1.9 * bar
    ).any()
    assert band.chart is not None
    bars = list(band.chart.bars)
    bars[9] = ("Ab",)
    changed = accompanist.change_chords(band, replace(band.chart, bars=tuple(bars)))
    for number in range(8, 13):
        wanted = {8, 0, 3} if number == 10 else {0, 4, 7}
        assert pitch_classes(changed.score, range(number, number + 1)) == wanted
    assert changed.chart is not None and changed.chart.bars == tuple(bars)
    assert changed.best.arrangement.changes[1].startswith("chords, bar 10: 3 notes")
    assert changed.view().roles == band.view().roles and changed.view().new == band.view().new


def test_changed_chords_are_changed_as_markers_too(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords="C", add=("chords",), write_chords=True)
    band = accompanist.accompany(EXAMPLES / "saints.mid", options)
    changed = band
    for name in ("Ab", "Fm"):
        chart = " | ".join(name if bar == 8 else "C" for bar in range(32))
        changed = accompanist.change_chords(changed, chart)
    marks = chord_texts(changed.score)
    assert marks is not None and marks.names == ("C", "Fm", "C")
    assert len(changed.score.file.tracks) == len(band.score.file.tracks)
    bass = accompanist.redo(changed, "bass:3")
    assert chord_texts(bass.score).ticks.tolist() == marks.ticks.tolist()  # type: ignore[union-attr]
    for wrong, said in (("| C " * 32, "no bar has other"), ("C | F", "has 2 bars; wanted 32")):
        with pytest.raises(OptionError, match=said):
            accompanist.change_chords(band, wrong)


def test_changed_chords_leave_silent_bars_silent(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords="C", add=("chords",), skip=((3, 4),))
    band = accompanist.accompany(trio(8), options)
    assert pitch_classes(band.score, range(3, 5)) == set()
    chart = "C | C | F | C | F | C | C | C"
    changed = accompanist.change_chords(band, chart)
    assert pitch_classes(changed.score, range(3, 5)) == set()
    assert pitch_classes(changed.score, range(5, 6)) == {5, 9, 0}
    assert changed.chart is not None and changed.chart.bars[2] == ("F",)
    with pytest.raises(OptionError, match=r"no note of chords sounds .*: bars 3"):
        accompanist.change_chords(band, "C | C | F | C | C | C | C | C", parts=("chords",))


def test_an_ending_that_is_made_anew_is_told(accompanist: Accompanist) -> None:
    band = accompanist.accompany(trio(8), AccompanyOptions(chords="C", ending=True))
    line = "bar 8 was made anew without the last hit and held root of the ending"
    assert line in accompanist.redo(band, "bass:8").notes
    assert line not in accompanist.redo(band, "bass:1-7").notes


def test_an_outro_follows_the_chord_of_the_last_bar(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords="C", add=("chords",), intro=1, outro=2)
    band = accompanist.accompany(trio(8), options)
    changed = accompanist.change_chords(band, "C | C | C | C | C | C | C | F")
    assert pitch_classes(changed.score, range(9, 12)) == {5, 9, 0}
    assert pitch_classes(changed.score, range(1, 9)) == {0, 4, 7}


def test_bands_of_other_methods_keep_their_chords(accompanist: Accompanist) -> None:
    band = accompanist.accompany(trio(8), AccompanyOptions(method="surrogate", chords="C"))
    with pytest.raises(OptionError, match="by method 'band' alone, and this one is of 'surrogate'"):
        accompanist.change_chords(band, "F | C | C | C | C | C | C | C")


def test_the_track_of_the_chords(accompanist: Accompanist) -> None:
    with pytest.raises(MidiError, match=r"redo chords: no track is named chords; .*--chords-track"):
        accompanist.accompany(trio(), AccompanyOptions(redo="chords:3"))
    tune = chunk([(n, n + 1, 72) for n in range(32)], 73, 0, "tune")
    pads = [chunk([(0, 32, 60), (0, 32, 64), (0, 32, 67)], 89, n, f"pad {n}") for n in (1, 2)]
    options = AccompanyOptions(redo="chords:3-4", chords_track="pad 1", chords="F", melody=0)
    result = accompanist.accompany(score(tune, *pads), options)
    assert [t.notes.tolist() for t in result.score.tracks[::2]] == [
        t.notes.tolist() for t in score(tune, *pads).tracks[::2]
    ]
    spans = result.score.tracks[1].notes
    bar = 4 * QUARTER
    assert set(spans["start"].tolist()) == {0, 2 * bar, 4 * bar}
    with pytest.raises(MidiError, match="is to play two parts"):
        accompanist.accompany(score(tune, *pads), replace(options, chords_track="tune"))


def test_what_cannot_be_redone_is_told(accompanist: Accompanist) -> None:
    with pytest.raises(MidiError, match=r"redo bass: wanted bars 9-99, but .* bars 1-12"):
        accompanist.accompany(trio(), AccompanyOptions(redo="bass:9-99"))
    alone = score(chunk([(n, n + 1, 60) for n in range(32)], 73))
    with pytest.raises(MidiError, match="redo drums: no track plays drums"):
        accompanist.accompany(alone, AccompanyOptions(redo="drums:2"))
    with pytest.raises(MidiError, match=r"fill: wanted bar 7, but the drums of that bar stay"):
        accompanist.accompany(trio(), AccompanyOptions(redo="drums:8", fills=((7, 7),)))
    without = Accompanist(small_vae(), small_surrogate())
    with pytest.raises(OptionError, match="needs a band network"):
        without.accompany(trio(), AccompanyOptions(redo="bass:2"))
    for wrong in ("bass", "kazoo:2", "bass:5-4", "bass:x"):
        with pytest.raises(OptionError):
            AccompanyOptions(redo=wrong)
    with pytest.raises(OptionError, match="intro is for a new band"):
        AccompanyOptions(redo="bass:2", intro=4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--redo bass:99", "wanted bar 99, but the song has bars 1-"),
        ("--redo bass", "wanted a part and its bars, such as bass:9-16"),
        ("--redo chords:2", "no track is named chords"),
        ("--chords-track 1", "--chords-track: says which track --redo chords:BARS is for"),
        ("--redo bass:2 --method surrogate", "only the band network hears what stays"),
        ("--redo bass:2 --keep given", "--keep: applies to a new band"),
        ("--redo bass:2 --ending", "ending is for a new band"),
        ("--fill 8 --method surrogate", "only the band network hears"),
        ("--fill 80", "fill: wanted bar 80, but the song has bars"),
        ("--intro 4 --beat auto", "intro needs the beats of the file"),
    ],
)
def test_refusals_are_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = tmp_path / "band.mid"
    shutil.copy(EXAMPLES / "saints.mid", song)
    if "99" in words:
        song.write_bytes(trio().to_bytes())
    assert main([str(song), "-o", str(tmp_path / "out.mid"), *words.split()]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and said in errors[0], errors
    assert not (tmp_path / "out.mid").exists()


def test_notes_of_a_pitch_do_not_end_each_other() -> None:
    stays = np.array([(0, 100, 40, 1), (300, 400, 40, 1)], NOTE)
    new = np.array([(50, 70, 40, 2), (200, 350, 40, 2), (300, 310, 40, 2), (320, 330, 41, 2)], NOTE)
    made = apart(new, stays)
    assert made[["start", "end", "pitch"]].tolist() == [
        (50, 100, 40),
        (200, 300, 40),
        (320, 330, 41),
    ]


def test_velocities_and_drums_of_a_part() -> None:
    values = like(np.array([50.0, 60.0]), np.array([40.0, 60.0]), np.array([80, 100]))
    assert values.tolist() == [90.0, 100.0]
    assert like(np.array([50.0]), np.array([40.0, 60.0]), np.array([70, 70])).tolist() == [70.0]
    assert own_kit(np.array([35, 35, 36, 40])) == {36: 35, 38: 40}


def test_reading_what_was_written(accompanist: Accompanist, tmp_path: Path) -> None:
    result = accompanist.accompany(trio(), AccompanyOptions(redo="bass:4-6"))
    result.write(tmp_path / "redone.mid")
    read = read_score(tmp_path / "redone.mid")
    for a, b in zip(read.tracks, result.score.tracks, strict=True):
        assert a.notes.tolist() == b.notes.tolist()
