"""The accompaniment of odd songs, by any choice: what stays, where the band is, and its chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch
from small_pairs import RestingVAE, listening_vae, small_surrogate, small_vae
from small_scores import score_of

from musicvae_torch.errors import ChordError, MidiError
from musicvae_torch.midi.score import Score
from surrogate import Accompanist, AccompanyOptions, SurrogateConfig, SurrogateEncoder
from surrogate.accompaniment import Accompaniment
from surrogate.arrangement.fill import bar_steps, fill_silent_bars, only_live
from surrogate.cli.accompany import main as accompany_command

RESOLUTION = 48
QUARTER = RESOLUTION
BAR = 4 * QUARTER


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    """Networks that hear every part, and to which the latent matters."""
    torch.manual_seed(1)
    config = SurrogateConfig(
        z_size=4,
        rnn_size=(8,),
        level_lengths=(16, 16),
        input_depth=692,
        input_parts=("melody", "bass", "drums"),
    )
    return Accompanist(listening_vae(), SurrogateEncoder(config))


def chunk(events: list[tuple[int, Any]]) -> mido.MidiTrack:
    """(tick, message)s in order."""
    track, last = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - last))
        last = tick
    return track


def notes(
    spans: list[tuple[int, int, int]], channel: int = 0, program: int = 0, velocity: int = 70
) -> mido.MidiTrack:
    events: list[tuple[int, Any]] = []
    if channel != 9:
        events.append((0, mido.Message("program_change", channel=channel, program=program)))
    for start, end, pitch in spans:
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        events += [(start, on), (end, mido.Message("note_off", channel=channel, note=pitch))]
    return chunk(events)


def quarters(first: int, count: int, pitch: int = 60) -> list[tuple[int, int, int]]:
    return [(b * QUARTER, (b + 1) * QUARTER, pitch + b % 5) for b in range(first, first + count)]


def conductor(*changes: tuple[int, Any]) -> mido.MidiTrack:
    return chunk(list(changes))


def metre(above: int, below: int) -> mido.MetaMessage:
    return mido.MetaMessage("time_signature", numerator=above, denominator=below)


def song(*chunks: mido.MidiTrack) -> Score:
    return score_of(mido.MidiFile(ticks_per_beat=RESOLUTION, tracks=list(chunks)), "song.mid")


def band(scale: int = 1) -> Score:
    """Four tracks: flute, piano chords, bass, drums."""
    bars = range(20 * scale)
    return song(
        conductor((0, mido.MetaMessage("set_tempo", tempo=444_444)),
                  (5 * BAR, mido.MetaMessage("marker", text="B")),
                  (6 * BAR, mido.MetaMessage("set_tempo", tempo=600_000))),
        notes(quarters(0, 80 * scale), 0, 73, 50),
        notes([(b * BAR, (b + 1) * BAR, p) for b in bars for p in (48, 52, 55)], 1, 0),
        notes([(b * BAR, b * BAR + QUARTER, 36) for b in bars], 2, 34),
        notes([(b * BAR, b * BAR + 6, 36) for b in bars], 9),
    )  # fmt: skip


def rows(score: Score, new: tuple[int, ...] = ()) -> set[tuple[int, ...]]:
    """(chunk's name aside) channel, program, start, end, pitch, velocity of notes not new."""
    return {
        (track.channel, track.program, *note)
        for track in score.tracks
        if track.index not in new
        for note in track.notes.tolist()
    }


def new_notes(result: Accompaniment) -> np.ndarray:
    return np.concatenate([track.notes for track in result.best.tracks])


def test_a_key_that_does_not_exist_is_told(
    accompanist: Accompanist, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = mido.UnknownMetaMessage(0x59, [9, 0])
    path = tmp_path / "song.mid"
    path.write_bytes(song(conductor((0, key)), notes(quarters(0, 80))).to_bytes())
    line = (
        f"{path}: kept as they are: key signature events of bytes 09 00, which do not exist "
        "(in track chunks 0)"
    )
    result = accompanist.accompany(path)
    assert result.notes == (line,) and len(new_notes(result))
    assert b"\xff\x59\x02\x09\x00" in result.score.to_bytes() and result.midi.instruments
    assert accompany_command([str(path), "--list-tracks"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"note: {line}"


@pytest.mark.parametrize(
    ("keep", "channels"), [("others", {0, 1}), ("given", {0}), ("all", {0, 1, 2, 9})]
)
def test_what_stays(accompanist: Accompanist, keep: str, channels: set[int]) -> None:
    before = band()
    result = accompanist.accompany(before, AccompanyOptions(melody="flute", keep=keep))
    wanted = {row for row in rows(before) if row[0] in channels}
    assert rows(result.score, result.best.arrangement.new) == wanted
    assert [track.name for track in result.best.tracks] == ["bass", "drums"]
    replaced = [track.channel for track in result.replaced]
    assert replaced == ([] if keep == "all" else [2, 9])
    assert result.score.file.tracks[0] == before.file.tracks[0]
    assert result.score.end == before.end
    assert result.score.tempos.tolist() == before.tempos.tolist()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (("melody", "drums"), ["bass"]),
        (("melody", "bass"), ["drums"]),
        (("drums",), ["melody", "bass"]),
        (("bass", "drums"), ["melody"]),
    ],
)
def test_any_parts_may_be_given(
    accompanist: Accompanist, given: tuple[str, ...], made: list[str]
) -> None:
    before = band()
    result = accompanist.accompany(before, AccompanyOptions(given=given, melody=0))
    assert [track.name for track in result.best.tracks] == made
    replaced = {0: "melody", 2: "bass", 9: "drums"}
    stays = {row for row in rows(before) if replaced.get(row[0]) not in made}
    assert rows(result.score, result.best.arrangement.new) == stays


def test_a_given_bass_is_no_melody(accompanist: Accompanist) -> None:
    """Though it is the likeliest one, where there is no other."""
    bass = song(notes(quarters(0, 32, 36), 1, 33), notes(quarters(0, 32, 36), 9))
    result = accompanist.accompany(bass, AccompanyOptions(given=("bass",)))
    assert result.melody is None and result.roles == ("bass", "drums")
    assert [track.name for track in result.best.tracks] == ["melody", "drums"]


def test_what_is_given_must_be_there(accompanist: Accompanist) -> None:
    lone = song(notes(quarters(0, 16)))
    with pytest.raises(MidiError, match=r"song.mid: bass is given, but no track is a bass; --list"):
        accompanist.accompany(lone, AccompanyOptions(given=("bass",)))
    with pytest.raises(ValueError, match="bass are given, but the surrogate takes melody alone"):
        Accompanist(small_vae(), small_surrogate()).accompany(
            band(), AccompanyOptions(given=("melody", "bass"))
        )


@pytest.mark.parametrize(
    ("above", "below", "beat"), [(4, 4, 1), (3, 4, 1), (6, 8, 1.5), (5, 4, 1), (2, 4, 1)]
)
def test_the_band_plays_in_every_bar_of_any_metre(
    accompanist: Accompanist, above: int, below: int, beat: float
) -> None:
    length = RESOLUTION * 4 * above // below
    line = [(b * length // 2, (b + 1) * length // 2, 60 + b % 7) for b in range(40)]
    result = accompanist.accompany(song(conductor((0, metre(above, below))), notes(line)))
    made = new_notes(result)
    for bar in range(20):  # it plays in each of the song's bars
        assert ((made["start"] < (bar + 1) * length) & (made["end"] > bar * length)).any()
    assert made["start"].min() >= 0 and made["end"].max() <= 20 * length
    grid = RESOLUTION * beat / 4 if beat == 1 else RESOLUTION / 4
    assert not (made["start"] % grid).any()
    said = [line for line in result.notes if f"{above}/{below}" in line]
    assert bool(said) == ((above, below) != (4, 4))


def test_metres_may_be_refused(accompanist: Accompanist) -> None:
    waltz = song(conductor((0, metre(4, 4)), (BAR, metre(3, 4))), notes(quarters(0, 40)))
    with pytest.raises(MidiError, match=r"in 3/4 from tick 192 on; .* \(--metre fit"):
        accompanist.accompany(waltz, AccompanyOptions(metre="refuse"))
    early = song(conductor((0, metre(4, 4)), (50 * BAR, metre(3, 4))), notes(quarters(0, 40)))
    accompanist.accompany(early, AccompanyOptions(metre="refuse"))  # after the melody's end


@pytest.mark.parametrize("first", [0, 7, 20])
@pytest.mark.parametrize("length", [1, 3, 64, 65, 127])
def test_nothing_before_or_after(accompanist: Accompanist, first: int, length: int) -> None:
    lone = song(notes(quarters(first, length)))
    made = new_notes(accompanist.accompany(lone))
    begins = first * QUARTER // BAR * BAR
    assert made["start"].min() >= begins and made["end"].max() <= (first + length) * QUARTER


def test_a_long_rest_is_one_of_the_band_too(accompanist: Accompanist) -> None:
    lone = song(notes(quarters(0, 40) + quarters(400, 40)))
    for fill in (True, False):
        made = new_notes(accompanist.accompany(lone, AccompanyOptions(fill=fill)))
        assert not ((made["start"] < 80 * BAR) & (made["end"] > 32 * BAR)).any()
        assert (made["start"] >= 100 * BAR).any()


def test_bars_to_be_skipped(accompanist: Accompanist) -> None:
    waltz = song(conductor((0, metre(3, 4))), notes(quarters(0, 60)))
    made = new_notes(
        accompanist.accompany(waltz, AccompanyOptions(skip=((1, 2), (5, 5), (20, 99))))
    )
    bar = 3 * QUARTER
    for first, last in [(0, 2), (4, 5), (19, 20)]:
        assert not ((made["start"] < last * bar) & (made["end"] > first * bar)).any()
    for first, last in [(2, 4), (5, 19)]:
        assert ((made["start"] < last * bar) & (made["end"] > first * bar)).any()


def test_candidates(accompanist: Accompanist) -> None:
    options = AccompanyOptions(candidates=5, variety=1.0, temperature=1.0, seed=4)
    result = accompanist.accompany(band(), options)
    assert sorted(band.number for band in result.candidates) == [0, 1, 2, 3, 4]
    assert all(band.nats_per_step < 0 for band in result.candidates)
    tokens = [band.tokens for band in result.candidates]
    risks = [sum((own != other).mean() for other in tokens) for own in tokens]
    assert risks[0] < np.mean(risks)
    assert len({band.score.to_bytes() for band in result.candidates}) == 5
    one = accompanist.accompany(band(), AccompanyOptions(variety=1.0, temperature=1.0, seed=4))
    zeroth = next(band for band in result.candidates if band.number == 0)
    assert one.best.score.to_bytes() == zeroth.score.to_bytes()
    again = accompanist.accompany(band(), options)
    for first, second in zip(result.candidates, again.candidates, strict=True):
        assert first.score.to_bytes() == second.score.to_bytes()


def test_temperature_of_each_part(accompanist: Accompanist) -> None:
    def tokens(bass: float, drums: float, seed: int) -> np.ndarray:
        temperature = {"bass": bass, "drums": drums}
        options = AccompanyOptions(temperature=temperature, seed=seed)
        return accompanist.accompany(band(), options).best.tokens

    cold, warm = tokens(0, 1, 0), tokens(0, 1, 1)
    assert np.array_equal(cold[:, :2], warm[:, :2]) and not np.array_equal(cold, warm)


def test_many_songs_as_one_by_one(accompanist: Accompanist, tmp_path: Path) -> None:
    songs = [band(), song(notes(quarters(3, 30))), tmp_path / "no.mid", band(2)]
    together = list(accompanist.accompany_batch(songs))
    assert isinstance(together[2], MidiError)
    for index in (0, 1, 3):
        alone = accompanist.accompany(songs[index])
        result = together[index]
        assert isinstance(result, Accompaniment)
        assert result.score.to_bytes() == alone.score.to_bytes()
        np.testing.assert_allclose(result.latents, alone.latents, atol=1e-5)


def test_velocities_follow_the_song(accompanist: Accompanist) -> None:
    def mean(velocity: int, **options: Any) -> float:
        lone = song(notes(quarters(0, 64), velocity=velocity))
        made = new_notes(accompanist.accompany(lone, AccompanyOptions(**options)))
        return float(made["velocity"].mean())

    assert mean(30) < mean(70) < mean(120)
    assert mean(30, dynamics=0) == mean(120, dynamics=0) == 80


def test_chords_by_hand(accompanist: Accompanist) -> None:
    waltz = song(conductor((0, metre(3, 4))), notes(quarters(6, 60)))
    options = AccompanyOptions(chords="C | F#m", harmony="all", temperature=1.0)
    bass = accompanist.accompany(waltz, options).best.tracks[0].notes
    bars = bass["start"] // (3 * QUARTER) - 2  # from the one in which the melody begins
    tones = [{0, 4, 7}, {6, 9, 1}]
    assert len(bass) and all(
        pitch % 12 in tones[bar % 2] for bar, pitch in zip(bars, bass["pitch"], strict=True)
    )
    with pytest.raises(ChordError, match="H7"):
        accompanist.accompany(waltz, AccompanyOptions(chords="H7"))


def test_attributes_need_vectors(accompanist: Accompanist) -> None:
    with pytest.raises(ValueError, match="density: there are no attribute vectors"):
        accompanist.accompany(band(), AccompanyOptions(density=1))


def test_a_result_shows_itself(accompanist: Accompanist) -> None:
    result = accompanist.accompany(band(), AccompanyOptions(melody=0, candidates=2, seed=5))
    song_view, *bands = result.views()
    assert song_view.roles == ("melody", "other", "bass", "drums") and not song_view.new
    assert [view.title for view in bands] == ["Band 1", "Band 2"]
    assert bands[0].roles == ("melody", "other", "bass", "drums") and bands[0].new == {2, 3}
    settings = result.settings()
    assert settings["seed"] == "5" and settings["candidates"] == "2"
    assert "Flute" in settings["melody"]


def test_no_bar_is_left_empty_by_another_metre_or_a_late_end(accompanist: Accompanist) -> None:
    """A waltz has not the model's third beat, a last bar may be a sixteenth long, and a melody may
    begin in the second of the two bars that are one to the model: the band plays in each all the
    same, and before none."""
    waltz = song(conductor((0, metre(3, 4))), notes([*quarters(0, 60), (2880, 2890, 60)]))
    march = song(conductor((0, metre(2, 4))), notes([*quarters(6, 60), (3168, 3172, 60)]))
    for before, length, begins in ((waltz, 3 * QUARTER, 0), (march, BAR, 6 * QUARTER)):
        for seed in range(4):
            result = accompanist.accompany(before, AccompanyOptions(seed=seed, temperature=1.0))
            for track in result.best.tracks:
                starts, ends = track.notes["start"], track.notes["end"]
                assert starts.min() >= begins
                for bar in range(begins // length * length, before.end, length):
                    assert ((starts < bar + length) & (ends > bar)).any(), (track.name, bar)


def test_only_live_steps_are_played() -> None:
    live = np.array([False] * 4 + [True] * 4 + [False] * 4 + [True] * 4 + [True] + [False] * 15)
    notes = [(0, 2, 40), (2, 6, 41), (8, 12, 42), (9, 13, 43), (17, 20, 44)]
    assert only_live(notes, live) == [(4, 6, 41), (9, 13, 43)]
    bars = np.ones(2, bool), [(0, 16, 30)], live, bar_steps(2)
    filled = fill_silent_bars([(8, 12, 42)], *bars)
    assert filled == [(0, 16, 30), (8, 12, 42), (16, 32, 30)]  # nobody hears the one that is there
    assert fill_silent_bars([(4, 5, 42)], *bars)[1] == (16, 32, 30)


@pytest.mark.parametrize(("above", "below"), [(2, 4), (3, 4), (6, 8), (3, 8), (5, 4), (4, 4)])
def test_even_a_resting_decoder_plays_in_every_bar_of_any_metre(above: int, below: int) -> None:
    length = RESOLUTION * 4 * above // below
    line = [(b * length, (b + 1) * length, 60) for b in range(5)]
    silent = Accompanist(RestingVAE(listening_vae().config), small_surrogate())
    result = silent.accompany(song(conductor((0, metre(above, below))), notes(line)))
    for track in result.best.tracks:
        for bar in range(5):
            inside = (track.notes["start"] < (bar + 1) * length) & (
                track.notes["end"] > bar * length
            )
            assert inside.any(), (track.name, bar)
