"""Latents of songs: arcs between them, decoded as Magenta does, and songs through every model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from magenta_models import MODELS, load_golden
from paths import ROOT

from convert_weights.conversion import convert
from musicvae_torch import get_converter
from musicvae_torch.analysis.timeline import place_windows, timeline_of, write_midi
from musicvae_torch.chords.chart import read_chart
from musicvae_torch.cli.latent import main
from musicvae_torch.errors import MidiError
from musicvae_torch.latent import (
    add_hats,
    decode_tokens,
    encode_song,
    humanise,
    interpolate,
    reconstruct,
    sample,
    slerp,
    tap_to_drums,
)
from musicvae_torch.latent.conditions import chords_of_window
from musicvae_torch.model.vae import MusicVAE

TRIO = ROOT / "tests/golden/trio_converter/plain.mid"
GAPS = ROOT / "tests/golden/trio_converter/gaps.mid"
DRUMS = ROOT / "tests/golden/groove_converter/straight.mid"
CONFIGS = sorted(path.name for path in MODELS.iterdir() if path.is_dir())


def model_of(name: str) -> MusicVAE:
    return load_golden(MODELS / name).model


# Arcs.


def test_slerp_by_hand() -> None:
    east, north = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    third = slerp(east, north, 1 / 3)  # 30 degrees
    torch.testing.assert_close(third, torch.tensor([math.sqrt(3), 1.0]))
    # Of other lengths as in Magenta: the sines weigh the ends as they are.
    half = slerp(east, torch.tensor([0.0, 4.0]), 0.5)
    torch.testing.assert_close(half, torch.tensor([1.0, 2.0]) * math.sqrt(2))


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_an_arc_keeps_its_length(seed: int, share: float) -> None:
    ends = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed))
    start, end = ends / ends.norm(dim=-1, keepdim=True) * 3
    between = slerp(start, end, share)
    assert between.norm() == pytest.approx(3, abs=1e-4)
    # By equal angles.
    whole = math.acos(float(start @ end) / 9)
    own = math.acos(min(1.0, float(start @ between) / 9))
    assert own == pytest.approx(share * whole, abs=2e-3)


def test_ends_are_exact() -> None:
    start, end = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(slerp(start, end, 0.0), start) and torch.equal(slerp(start, end, 1.0), end)
    path = interpolate(torch.stack([start, end]), 5)
    assert path.shape == (5, 64)
    assert torch.equal(path[0], start) and torch.equal(path[-1], end)


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 2.0])
def test_latents_without_one_arc_are_joined_by_a_line(factor: float) -> None:
    start = torch.randn(64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        slerp(start, factor * start, 0.25), start * (0.75 + 0.25 * factor), atol=1e-5, rtol=1e-5
    )


def test_a_path_through_several_and_a_loop() -> None:
    points = torch.eye(3)
    path = interpolate(points, 3)
    assert path.shape == (5, 3)
    assert torch.equal(path[::2], points)
    torch.testing.assert_close(path[1], torch.tensor([1.0, 1.0, 0.0]) / math.sqrt(2))
    loop = interpolate(points, 3, loop=True)
    assert loop.shape == (6, 3)
    torch.testing.assert_close(loop[:5], path)
    torch.testing.assert_close(loop[5], torch.tensor([1.0, 0.0, 1.0]) / math.sqrt(2))


@pytest.mark.parametrize(("count", "steps"), [(1, 5), (2, 1), (0, 5)])
def test_no_path(count: int, steps: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        interpolate(torch.ones(count, 3), steps)


# Decoded as Magenta does.


@pytest.mark.parametrize(
    "name",
    [
        "hierdec-trio_16bar",
        "cat-mel_2bar_med_chords",
        "cat-drums_2bar_small",
        "hier-multiperf_vel_1bar_med_chords",
    ],
)
def test_latents_decode_to_magentas_samples(name: str) -> None:
    reference, model = load_golden(MODELS / name).reference, model_of(name)
    controls = reference.get("sample_c_input")
    converter = get_converter(model.config)
    for same_noise in (False, True):
        tokens = decode_tokens(
            model, reference["z"], temperature=0, controls=controls, same_noise=same_noise
        )
        assert np.array_equal(converter.outputs(tokens), reference["samples"].numpy() > 0)
        if controls is not None:
            told = converter.controls(tokens)
            assert np.array_equal(told, np.broadcast_to(controls.numpy() > 0, told.shape))


def test_seeds_reproduce_and_differ() -> None:
    model = model_of("cat-mel_2bar_small")
    one, same, other = (sample(model, 3, temperature=1, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    near = sample(model, 2, temperature=0, spread=0)
    assert np.array_equal(near[0], near[1])
    z = torch.zeros(2, model.config.z_size)
    alike = decode_tokens(model, z, temperature=1, same_noise=True)
    assert np.array_equal(alike[0], alike[1])


# Songs of any length.


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_gives_a_song_back_on_its_timeline(name: str) -> None:
    model = model_of(name)
    result = reconstruct(model, TRIO)
    assert len(result.z) == len(result.nats) == len(result.right) == len(result.tokens)
    assert np.isfinite(result.nats).all() and (result.nats > 0).all()
    assert ((result.right >= 0) & (result.right <= 1)).all()
    assert (result.song.kl > 0).all()
    # Each bar of the song's twenty is covered once, of melodies once by each of the two tracks.
    bars = result.song.converter.window_bars
    covered = [
        (one.window.instruments if "mel" in name else (), bar)
        for one in result.song.placed
        for bar in range(one.bar + one.skip, one.bar + bars)
    ]
    assert len(covered) == len(set(covered))
    assert {bar for _, bar in covered} == set(range(20))
    assert str(result).count("\n") == len(result.z) + 2
    song = pretty_midi.PrettyMIDI(str(TRIO))
    midi = result.midi
    assert midi.get_tempo_changes()[1].tolist() == song.get_tempo_changes()[1].tolist()


def test_a_perfect_model_gives_back_the_very_notes(tmp_path: Path) -> None:
    """The tokens of the windows themselves, laid on the timeline, written and read again."""
    for path in (TRIO, GAPS, ROOT / "tests/golden/trio_converter/tempo_change.mid"):
        song = encode_song(model_of("hierdec-trio_16bar"), path)
        write_midi(song.render_pieces(list(song.tokens)), tmp_path / "again.mid")
        again = encode_song(model_of("hierdec-trio_16bar"), tmp_path / "again.mid")
        assert [one.bar for one in again.placed] == [one.bar for one in song.placed]
        for one, other in zip(song.placed, again.placed, strict=True):
            # Notes that a window before holds on to begin there; else all is the same.
            same = one.window.tokens == other.window.tokens
            assert same[one.skip * 16 :].mean() > 0.98
            assert one.window.start == pytest.approx(other.window.start)


def test_windows_that_are_alike_are_all_there() -> None:
    """Magenta gives a repeated beat once, and a groove's last bars not at all."""
    for name, count in (("cat-drums_2bar_small", 10), ("groovae_4bar", 5)):
        assert len(encode_song(model_of(name), TRIO).placed) == count
    song = encode_song(model_of("groovae_2bar_humanize"), DRUMS)
    assert [one.bar for one in song.placed] == [0, 2, 4, 6, 8]
    assert len(get_converter("groovae_2bar_humanize", "infer").to_tensors(DRUMS)) == 4


def test_windows_of_some_tracks() -> None:
    model = model_of("hier-mel_16bar")
    assert {one.window.instruments for one in encode_song(model, TRIO).placed} == {(0,), (1,)}
    assert {one.window.instruments for one in encode_song(model, TRIO, tracks=[1]).placed} == {(1,)}
    with pytest.raises(ValueError, match="no window of those tracks; there are windows of: 0; 1"):
        encode_song(model, TRIO, tracks=[7])


def test_melodies_that_sound_alike_stay_apart() -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    for pitch in (60, 72):
        track = pretty_midi.Instrument(0)
        track.notes = [
            pretty_midi.Note(80, pitch + step % 5, step / 2, (step + 1) / 2) for step in range(8)
        ]
        midi.instruments.append(track)
    song = encode_song(model_of("cat-mel_2bar_small"), midi)
    again = song.render_pieces(list(song.tokens))
    assert [[(n.pitch, n.start, n.end) for n in track.notes] for track in again.instruments] == [
        [(n.pitch, n.start, n.end) for n in track.notes] for track in midi.instruments
    ]


def test_sampled_posteriors() -> None:
    song = encode_song(model_of("flat-trio_16bar"), TRIO)
    assert torch.equal(song.draw(0, 3), song.mean)
    one, same, other = (song.draw(1.0, seed) for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)
    torch.testing.assert_close(song.draw(2.0, 3) - song.mean, 2 * (one - song.mean))


# Grooves.


def sixteenth(start: float) -> int:
    """The nearest at 120 a minute; an even one, where it is half a sixteenth off, give or take a
    tick, as hits of models are at most."""
    even = 2 * round(start * 4)
    return even if abs(start * 8 - even) < 0.52 else round(start * 8)


def drum_hits(
    midi: pretty_midi.PrettyMIDI, pitches: tuple[int, ...] | None = None
) -> set[tuple[int, int]]:
    """(nearest sixteenth at 120, pitch) of drum notes."""
    return {
        (sixteenth(note.start), note.pitch)
        for track in midi.instruments
        if track.is_drum
        for note in track.notes
        if pitches is None or note.pitch in pitches
    }


def beat(bars: int = 3, qpm: float = 120) -> pretty_midi.PrettyMIDI:
    """Kick, snare and a cowbell of none of the nine drums, beside a piano."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=qpm)
    drums = pretty_midi.Instrument(0, is_drum=True, name="kit")
    piano = pretty_midi.Instrument(3, name="piano")
    for step in range(0, bars * 4):
        start = step * 60 / qpm
        drums.notes.append(pretty_midi.Note(90, 36 if step % 2 == 0 else 38, start, start + 0.1))
        piano.notes.append(pretty_midi.Note(70, 60 + step, start, start + 0.4))
    drums.notes.append(pretty_midi.Note(50, 24, 1.0, 1.1))
    midi.instruments += [piano, drums]
    return midi


@pytest.mark.parametrize("name", ["groovae_2bar_humanize", "groovae_2bar_hits_control_tfds"])
def test_humanised_hits_are_the_songs_own(name: str) -> None:
    song = beat()
    played = humanise(song, model_of(name)).midi
    assert drum_hits(played) == drum_hits(song)
    own = {note.velocity for track in played.instruments if track.is_drum for note in track.notes}
    assert own != {90, 50} and len(own) > 2
    (piano,) = [track for track in played.instruments if not track.is_drum]
    assert [(n.pitch, n.start) for n in piano.notes] == [
        (n.pitch, n.start) for n in song.instruments[0].notes
    ]
    redrawn = humanise(song, model_of(name), redraw=True, temperature=1).midi
    assert drum_hits(redrawn) != drum_hits(song) and (8, 24) in drum_hits(redrawn)


def test_hats_are_added_and_the_rest_stays() -> None:
    song = beat()
    model = model_of("groovae_2bar_add_closed_hh")
    played = add_hats(song, model, temperature=1, seed=1).midi
    assert drum_hits(played, (24, 36, 38)) == drum_hits(song)
    assert drum_hits(played, (42,)) and drum_hits(played) > drum_hits(song)
    again = add_hats(song, model, temperature=1, seed=1).midi
    assert drum_hits(again) == drum_hits(played)


def test_taps_of_any_instrument_become_drums() -> None:
    model = model_of("groovae_2bar_tap_fixed_velocity")
    song = beat()
    of_drums = tap_to_drums(song, model, seed=2).midi
    assert [track.is_drum for track in of_drums.instruments] == [False, True]
    song.instruments = song.instruments[:1]  # a piano alone is what was tapped
    of_piano = tap_to_drums(song, model, seed=2).midi
    assert [track.is_drum for track in of_piano.instruments] == [False, True]
    assert len(of_piano.instruments[0].notes) == len(song.instruments[0].notes)
    assert len(drum_hits(of_piano)) > 10
    assert of_piano.get_end_time() < 8.2  # four bars: the third and the silence after it


def test_bars_of_another_metre_keep_their_drums() -> None:
    song = beat(8)
    song.time_signature_changes = [
        pretty_midi.TimeSignature(4, 4, 0),
        pretty_midi.TimeSignature(3, 4, 4.0),
    ]
    played = humanise(song, model_of("groovae_2bar_humanize")).midi
    assert drum_hits(played) == drum_hits(song)
    late = [n.velocity for n in played.instruments[-1].notes if n.start >= 4]
    assert set(late) == {90}


def test_a_groove_wants_its_model() -> None:
    with pytest.raises(ValueError, match="humanise wants a model of the config groovae_2bar_hum"):
        humanise(DRUMS, model_of("groovae_4bar"))


# Conditions.


def test_chords_of_a_melody_and_of_bars() -> None:
    melody = model_of("cat-mel_2bar_med_chords").config
    rows = chords_of_window(melody, read_chart("C | Am F"), 32)
    assert rows.shape == (32, 49)
    assert rows.argmax(-1).tolist() == [1] * 16 + [1 + 12 + 9] * 8 + [1 + 5] * 8
    bars = model_of("hier-multiperf_vel_1bar_big_chords").config
    rows = chords_of_window(bars, read_chart("C | G"), 512)
    assert rows.shape == (2, 512, 49)
    wanted = np.full(512, 1 + 7)
    wanted[::64] = 0  # where a track's program stands
    assert rows[1].argmax(-1).tolist() == wanted.tolist()
    with pytest.raises(ValueError, match="takes one chord a bar"):
        chords_of_window(bars, read_chart("C G"), 512)
    with pytest.raises(ValueError, match="is not conditioned on chords"):
        chords_of_window(model_of("groovae_4bar").config, read_chart("C"), 64)


# The command.


class Folders:
    """Converted checkpoints by name, made when they are wanted."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __truediv__(self, name: str) -> Path:
        folder = self._home / name
        if not folder.exists():
            convert(MODELS / name, name, folder)
        return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("models"))


def read(path: Path) -> pretty_midi.PrettyMIDI:
    return pretty_midi.PrettyMIDI(str(path))


@pytest.mark.parametrize(
    "name",
    [
        "cat-drums_2bar_small",
        "cat-mel_2bar_med_chords",
        "flat-trio_16bar",
        "groovae_2bar_hits_control_tfds",
        "hier-mel_16bar",
        "hier-multiperf_vel_1bar_big_chords",
        "hier-multiperf_vel_1bar_med",
        "nade-drums_2bar_full",
    ],
)
def test_sample(name: str, folders: Folders, tmp_path: Path) -> None:
    command = ["sample", "-n", "2", "--musicvae", str(folders / name), "--device", "cpu"]
    if "chords" in name:
        assert main([*command, "-o", str(tmp_path / "o")]) == 2
        command += ["--chords", "C | Am | G7 | F"]
    if "control" in name:
        assert main([*command, "-o", str(tmp_path / "o")]) == 2
        command += ["--hits", str(DRUMS)]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    paths = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert paths == ["sample_1.mid", "sample_2.mid"]
    assert main([*command, "-o", str(tmp_path / "again"), "--seed", "0"]) == 0
    for path in paths:
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()
    assert any(track.notes for path in paths for track in read(tmp_path / "out" / path).instruments)


def test_length_and_tempo(folders: Folders, tmp_path: Path) -> None:
    def end(name: str, *options: str) -> float:
        out = tmp_path / "o.mid"
        command = ["sample", "-n", "1", "--temperature", "1", "-o", str(out), *options]
        assert main([*command, "--musicvae", str(folders / name)]) == 0
        return float(read(out).get_end_time())

    assert 14 < end("hierdec-trio_16bar", "--length", "8") <= 16.001
    assert 7 < end("hierdec-trio_16bar", "--length", "8", "--tempo", "240") <= 8.001
    assert 10 < end("cat-mel_2bar_small", "--length", "6") <= 12.001
    chords = ["--chords", "C | F"]
    assert 6 < end("cat-mel_2bar_med_chords", "--length", "4", *chords) <= 8.001
    assert 2 < end("hier-multiperf_vel_1bar_med_chords", *chords) <= 4.001
    assert 4 < end("hier-multiperf_vel_1bar_med_chords", "--length", "3", *chords) <= 6.001
    command = ["sample", "-o", str(tmp_path / "x"), "--musicvae", str(folders / "hier-mel_16bar")]
    assert main([*command, "--length", "17"]) == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["hier-trio_16bar", "cat-mel_2bar_med_chords", "groovae_4bar"])
def test_reconstruct_and_interpolate(
    name: str, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--musicvae", str(folders / name)]
    out = tmp_path / "o.mid"
    assert main(["reconstruct", str(TRIO), "-o", str(out), *own]) == 0
    assert "| bars | tracks | KL, bits | nats a step |" in capsys.readouterr().out
    assert read(out).instruments
    steps = tmp_path / "steps"
    command = ["interpolate", str(TRIO), str(GAPS), "--steps", "3", *own]
    assert main([*command, "-o", str(steps)]) == 0
    names = {path.name for path in steps.iterdir()}
    assert names == {"all.mid", "step_1.mid", "step_2.mid", "step_3.mid"}
    assert main([*command, "--loop", "-o", str(tmp_path / "loop")]) == 0
    assert len(list((tmp_path / "loop").iterdir())) == 5
    assert main([*command, "-o", str(tmp_path / "row.mid")]) == 0
    assert (tmp_path / "row.mid").read_bytes() == (steps / "all.mid").read_bytes()


def test_windows_are_listed_and_chosen(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["interpolate", str(GAPS), "--musicvae", str(folders / "hierdec-trio_16bar")]
    assert main([*command, "--list-windows"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == f"{GAPS}: 10 windows"
    assert listed[8] == "  8: bars 24-39 of tracks 0, 1, 2"
    out = ["--steps", "2", "-o", str(tmp_path / "o.mid")]
    assert main([*command, "--window", "1,8", *out]) == 0
    assert "window 8 of 10, bars 24-39" in capsys.readouterr().out
    two = [command[0], str(TRIO), *command[1:]]
    assert main([*two, "--window", "1,2,3", *out]) == 2
    assert "--window has 3 numbers for 2 files" in capsys.readouterr().err
    for options, message in (
        (["--window", "1,11"], "there is no window 11, only 1 to 10"),
        ([], "needs two files, or one with two windows"),
        (["--window", "1,8", "--steps", "1"], "--steps: must be at least 2, not 1"),
        (["--window", "1,8", "--length", "17"], "length 272 is out of range"),
    ):
        assert main([*command, *out, *options]) == 2
        assert message in capsys.readouterr().err


def test_attribute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the trio that ships and its vectors."""
    command = ["attribute", str(TRIO), "-o", str(tmp_path / "o.mid"), "--temperature", "0"]
    assert main([*command, "--move", "band_density=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "**band_density**" in line]
    unmoved, moved = map(float, row.strip("| ").split(" | ")[-2:])
    assert moved > unmoved + 1
    assert len(read(tmp_path / "o.mid").instruments) == 3
    assert main([*command, "--move", "noise=1"]) == 2
    assert "there is no attribute vector for 'noise'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("humanise", "groovae_2bar_humanize"),
        ("humanize", "groovae_2bar_hits_control_tfds"),
        ("tap", "groovae_2bar_tap_fixed_velocity"),
        ("tap", "groovae_2bar_tap_fixed_velocity_note_dropout"),
        ("hats", "groovae_2bar_add_closed_hh"),
    ],
)
def test_groove(what: str, name: str, folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "o.mid"
    command = ["groove", what, str(DRUMS), "--musicvae", str(folders / name), "-o", str(out)]
    assert main(command) == 0
    first = out.read_bytes()
    assert main(command) == 0 and out.read_bytes() == first
    assert read(out).instruments[0].is_drum
    assert main([*command, "--redraw"]) == (2 if what == "tap" else 0)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("reconstruct nowhere.mid", "musicvae reconstruct: nowhere.mid: no such file"),
        ("reconstruct text.mid", "musicvae reconstruct: text.mid: not readable as a MIDI file"),
        ("reconstruct song.mid -o song.mid", "musicvae reconstruct: song.mid: is the song itself"),
        (
            "reconstruct song.mid --temperature -1",
            "musicvae reconstruct: --temperature: must",
        ),
        ("reconstruct song.mid --spread nan", "musicvae reconstruct: --spread: must be at least 0"),
        ("reconstruct song.mid --musicvae .", "musicvae reconstruct: .: no checkpoint here"),
        ("reconstruct song.mid --device tpu9", "musicvae reconstruct: device 'tpu9' cannot be"),
        ("sample -n 0 -o o", "musicvae sample: -n: must be at least 1"),
        (
            "sample --chords C -o o",
            "musicvae sample: the model 'hier-trio_16bar' is not conditioned on",
        ),
        ("sample --chords H -o o", "musicvae sample: line 1, bar 1: 'H' is no chord symbol"),
        ("sample --length 0 -o o", "musicvae sample: --length: must be at least 1"),
        ("interpolate song.mid song.mid", "musicvae interpolate: name a .mid file or a folder"),
        (
            "interpolate song.mid song.mid -o o --steps 1",
            "musicvae interpolate: --steps: must be at",
        ),
    ],
)
def test_one_line_for_what_cannot_be(
    command: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("song.mid").write_bytes(TRIO.read_bytes())
    Path("text.mid").write_text("no MIDI at all")
    before = sorted(tmp_path.rglob("*"))
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(message) and len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_windows_alike_differ_in_place_alone() -> None:
    from musicvae_torch.midi.fast import load_song

    song = load_song(TRIO)
    every = place_windows(get_converter("cat-drums_2bar_small", complete=True), song)
    distinct = get_converter("cat-drums_2bar_small").to_tensors(song)
    assert {one.window.tokens.tobytes() for one in every} == {
        one.tokens.tobytes() for one in distinct
    }
    assert [one.bar for one in every] == list(range(19)) and len(distinct) < 19


def test_a_timeline_that_no_memory_has_room_for(tmp_path: Path) -> None:
    """Ticks as coarse as can be, made as fine as a groove's."""
    midi = pretty_midi.PrettyMIDI(resolution=1)
    midi.instruments = [pretty_midi.Instrument(0)]
    midi.instruments[0].notes = [pretty_midi.Note(80, 60, 0.0, 40_000.0)]
    midi.write(str(tmp_path / "slow.mid"))
    with pytest.raises(MidiError, match=r"slow.mid: too long, at 8000\d quarter notes"):
        timeline_of(tmp_path / "slow.mid")
