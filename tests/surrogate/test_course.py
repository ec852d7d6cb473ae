"""Intros, endings, outros and drum fills."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
import pytest
from bands import small_band
from small_scores import chunk, score
from trio_songs import small_surrogate, small_vae

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, TOMS
from surrogate import Accompanist, AccompanyOptions
from surrogate.arrangement.drum_fills import fill_log_odds
from surrogate.arrangement.ending import hit_step
from surrogate.arrangement.harmony import song_harmony
from surrogate.song.bars import bars_of
from surrogate.song.context import analyze

QUARTER = 480


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist(small_vae(), small_surrogate(), band=small_band(style_size=4))


def tune(bars: int = 8, above: int = 4, below: int = 4, pickup: bool = False) -> Score:
    """Quarter notes with a tempo, a marker and a controller; the pickup is of one beat."""
    quarters = bars * above * 4 / below
    lead = 4 / below if pickup else 0
    notes = [(n, n + 1, 60 + round(n) % 5) for n in np.arange(0, lead + quarters, 1).tolist()]
    track = chunk(notes, 73, 0, "tune")
    setup = [
        mido.MetaMessage("set_tempo", tempo=400_000),
        mido.MetaMessage("marker", text="verse"),
        mido.Message("control_change", control=7, value=90),
    ]
    metre = mido.MetaMessage("time_signature", numerator=above, denominator=below)
    if pickup:
        setup.append(mido.MetaMessage("time_signature", numerator=1, denominator=below))
    else:
        setup.append(metre)
    track[1:1] = setup
    if not pickup:
        return score(track)
    conductor = mido.MidiTrack([metre.copy(time=round(lead * QUARTER))])
    return score(track, conductor)


def messages(song: Score) -> list[list[tuple[int, mido.Message]]]:
    """By mido, the messages of each track with their ticks."""
    file = mido.MidiFile(file=io.BytesIO(song.to_bytes()))
    found = []
    for track in file.tracks:
        tick, own = 0, []
        for message in track:
            tick += message.time
            own.append((tick, message.copy(time=0)))
        found.append(own)
    return found


def part(song: Score, name: str) -> Track:
    return next(track for track in song.tracks if track.name == name)


@pytest.mark.parametrize(("above", "below"), [(4, 4), (3, 4), (6, 8)])
def test_an_intro_moves_the_song_by_its_bars(
    accompanist: Accompanist, above: int, below: int
) -> None:
    song = tune(above=above, below=below)
    result = accompanist.accompany(song, AccompanyOptions(intro=3))
    bar = QUARTER * 4 * above // below
    stays = ("track_name", "set_tempo", "time_signature", "control_change", "program_change")
    wanted = [
        (tick if not tick and message.type in stays else tick + 3 * bar, message)
        for tick, message in messages(song)[0]
    ]
    assert sorted(map(str, messages(result.score)[0])) == sorted(map(str, wanted))
    for name in ("bass", "drums"):
        notes = part(result.score, name).notes
        bars = notes["start"] // bar
        assert {0, 1, 2} <= set(bars.tolist()), name
        assert notes["end"].max() <= (8 + 3) * bar


def test_a_pickup_is_the_end_of_the_intro(accompanist: Accompanist) -> None:
    """Whether the file has a metre for it, or the user says how long it is."""
    song = tune(pickup=True)
    assert bars_of(song).first == 0
    result = accompanist.accompany(song, AccompanyOptions(intro=2))
    assert result.score.metres.tolist() == [[0, 4, 4], [8 * QUARTER, 4, 4]]
    said = accompanist.accompany(tune(), AccompanyOptions(intro=2, pickup=1))
    for made in (result, said):
        assert part(made.score, "tune").notes["start"][0] == 7 * QUARTER


def test_chords_of_added_bars() -> None:
    """The intro has those of the first bars, the outro those of the last, over and over."""
    written = "C | D | E | F | G | A | B | Eb"
    options = AccompanyOptions(intro=3, outro=10, chords=written)
    song = analyze(tune(), options)
    names = song_harmony(song, [0], written).names_at(np.arange(0, len(song.tokens), 16)).tolist()
    own = written.split(" | ")
    assert names == [*own[:3], *own, *own[-2:], *own]
    assert song.song_bars.first == -2 and song.song_bars.last == 18


def test_an_outro_goes_on_for_its_bars(accompanist: Accompanist) -> None:
    result = accompanist.accompany(tune(), AccompanyOptions(outro=4))
    bars = set((part(result.score, "drums").notes["start"] // (4 * QUARTER)).tolist())
    assert bars == set(range(12))
    assert messages(result.score)[0] == messages(tune())[0]


@pytest.mark.parametrize("method", ["band", "surrogate"])
@pytest.mark.parametrize("outro", [0, 2])
def test_an_ending_is_a_hit_and_a_held_root(
    accompanist: Accompanist, method: str, outro: int
) -> None:
    options = AccompanyOptions(ending=True, outro=outro, chords="D", method=method)
    result = accompanist.accompany(tune(), options)
    end = (8 + outro) * 4 * QUARTER
    # The melody's last note is on the last beat; after an outro there is none in the last bar.
    hit = end - (4 if outro else 1) * QUARTER
    bass = part(result.score, "bass").notes[-1]
    assert (bass["start"], bass["end"], bass["pitch"] % 12) == (hit, end, 2)
    drums = part(result.score, "drums").notes
    assert sorted(drums["pitch"][drums["start"] >= hit].tolist()) == [36, 49]
    assert (drums["start"][drums["start"] >= hit] == hit).all()


def test_the_last_bass_note_is_the_root_of_a_chord_that_is_played(
    accompanist: Accompanist,
) -> None:
    triads = score(chunk([(n, n + 1, (60, 64, 67, 64)[n % 4]) for n in range(32)], 73))
    last_of_melody, root = 4, 0  # E, and the C of C E G E
    for options, wanted in (
        (AccompanyOptions(ending=True), last_of_melody),
        (AccompanyOptions(ending=True, add=("chords",)), root),
        (AccompanyOptions(ending=True, write_chords=True), root),
    ):
        result = accompanist.accompany(triads, options)
        assert part(result.score, "bass").notes[-1]["pitch"] % 12 == wanted


def test_the_hit_is_with_the_last_note_of_the_melody() -> None:
    for last, wanted in ((28, 28), (30, 30), (29.5, 28), (27, 28)):
        notes = [(n, n + 1, 60) for n in range(27)] + [(last, 32, 62)]
        song = analyze(score(chunk(notes, 73)), AccompanyOptions(ending=True))
        assert hit_step(song) == wanted * 4, last


def test_a_fill_is_asked_for_in_the_second_half_of_a_bar(accompanist: Accompanist) -> None:
    options = AccompanyOptions(fills=((3, 3), (8, 8)))
    song = analyze(tune(), options)
    odds = fill_log_odds(song, options.fills)
    asked = np.flatnonzero(odds.any(1))
    assert asked.tolist() == [*range(40, 48), *range(120, 128)]
    tom, hat = 1 << TOMS[0], 1 << 2
    assert odds[40, tom] > odds[40, 1 << TOMS[0] | 1 << TOMS[1]] > odds[40, hat] == odds[40, 0]
    result = accompanist.accompany(tune(), options)
    plain = accompanist.accompany(tune(), AccompanyOptions())
    toms = [DRUM_CLASSES[drum][0] for drum in TOMS]
    shares = []
    for made in (result, plain):
        drums = part(made.score, "drums").notes
        within = np.isin(drums["start"] // (QUARTER // 4), asked)
        shares.append(np.isin(drums["pitch"][within], toms).mean())
    assert shares[0] > shares[1]
    drums = part(result.score, "drums").notes
    assert {36, 49} == set(drums["pitch"][drums["start"] == 12 * QUARTER].tolist())


def test_fills_in_other_metres() -> None:
    for above, below, middle in ((3, 4, 1.5), (6, 8, 1.5)):
        options = AccompanyOptions(fills=((2, 2),))
        song = analyze(tune(above=above, below=below), options)
        steps = np.flatnonzero(fill_log_odds(song, options.fills).any(1)) + song.first_step
        ticks = song.grid.step_ticks[steps]
        bar = QUARTER * 4 * above // below
        assert bar + middle * QUARTER <= ticks.min() and ticks.max() <= 2 * bar


def test_a_fill_before_the_song_and_where_there_is_none(accompanist: Accompanist) -> None:
    song = analyze(tune(), AccompanyOptions(intro=2))
    odds = fill_log_odds(song, ((0, 0),))
    assert np.flatnonzero(odds.any(1)).tolist() == list(range(24, 32))
    with pytest.raises(MidiError, match="fill: wanted bar 9, but the song has bars 1-8"):
        accompanist.accompany(tune(), AccompanyOptions(fills=((9, 9),)))
    with pytest.raises(OptionError, match="needs new drums"):
        AccompanyOptions(fills=((2, 2),), given=("melody", "drums"))
    with pytest.raises(OptionError, match="outro needs the beats of the file"):
        AccompanyOptions(outro=2, beat=90.0)


def test_where_the_melody_rests_the_band_plays_on(accompanist: Accompanist) -> None:
    notes = [(n, n + 1, 60 + n % 5) for n in range(64) if not 16 <= n < 40]
    result = accompanist.accompany(score(chunk(notes, 73, 0, "tune")))
    for name in ("bass", "drums"):
        starts = part(result.score, name).notes["start"]
        assert set(range(4, 10)) <= set((starts // (4 * QUARTER)).tolist()), name


def test_intros_are_written_and_read(accompanist: Accompanist, tmp_path: Path) -> None:
    options = AccompanyOptions(intro=1, outro=1, ending=True, fills=((4, 4),), candidates=2)
    result = accompanist.accompany(tune(), options)
    result.write(tmp_path / "band.mid")
    assert mido.MidiFile(tmp_path / "band.mid").length == pytest.approx(10 * 4 * 0.4, abs=0.5)
    assert len({band.score.to_bytes() for band in result.candidates}) == 2
