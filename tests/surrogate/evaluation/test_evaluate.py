"""evaluate-accompaniment: rows and columns on made-up songs, and finished accompaniments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import torch
from bands import hide, small_band
from trio_songs import STEP, Recorder, small_surrogate, small_vae, song

from musicvae_torch.errors import NoSongsError
from musicvae_torch.midi.score import read_score
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from surrogate import (
    Accompanist,
    AccompanyOptions,
    PointSurrogate,
    SurrogateConfig,
)
from surrogate.band.model import Controls
from surrogate.band.scoring import nats_of
from surrogate.cli.evaluate_accompaniment import main
from surrogate.encoder.refine import RefineOptions
from surrogate.evaluation.against import compare
from surrogate.evaluation.bands import BAND, NO_STYLE, NOTHING_GIVEN, OWN_STYLE
from surrogate.evaluation.columns import Truth
from surrogate.evaluation.evaluate import TRUE_PARTS, evaluate
from surrogate.evaluation.finished import read_band, score_band
from surrogate.evaluation.reports import HIDDEN_NATS, NO_LATENT, Comparison
from surrogate.evaluation.sampled import accompany_windows
from surrogate.evaluation.tables import DASH, Estimate, mean_where, paired_differences, per_song
from surrogate.evaluation.task import EvaluateOptions, Networks, other_songs
from surrogate.evaluation.ways import ENCODER, OURS, OURS_REFINED, REFINED
from surrogate.evaluation.windows import read_evaluation_windows
from surrogate.song.context import analyze


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(3):
        song(seed).write(str(folder / f"{seed}.mid"))
    song(9, bars=3).write(str(folder / "short.mid"))
    (folder / "broken.mid").write_bytes(b"no MIDI at all")
    return folder


BRIEF = EvaluateOptions(seeds=2, refine=RefineOptions(steps=2))
VELOCITY_OVERLAPS = {"bass velocity overlap", "drums velocity overlap"}


def test_windows_of_songs(folder: Path) -> None:
    windows = read_evaluation_windows(folder)
    assert windows.songs == ["0.mid", "1.mid", "2.mid"] and len(windows.tokens) == 6
    assert windows.song.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(windows.skipped) == ["too short", "unreadable"]
    assert "1 unreadable" in str(windows)
    few = [read_evaluation_windows(folder, max_songs=2, max_windows=1, seed=4) for _ in range(2)]
    assert few[0].songs == few[1].songs and len(few[0].songs) == 2 == len(few[0].tokens)
    np.testing.assert_array_equal(few[0].tokens, few[1].tokens)
    with pytest.raises(NoSongsError, match=r"no file has a window.*no melody"):
        read_evaluation_windows(folder, melody_programs=[70])


def test_every_row_and_column(folder: Path) -> None:
    baseline = PointSurrogate(SurrogateConfig(z_size=4, rnn_size=(4, 4))).eval()
    networks = Networks(
        small_vae(), small_surrogate(), baseline, small_vae(), band=small_band(style_size=4)
    )
    result = evaluate(networks, read_evaluation_windows(folder), BRIEF)
    assert len(result.rows) == 19 and not result.notes and result.reference == OURS
    # Columns: of latents, of likelihoods, of notes, and of velocities, which decoders have none of.
    sampled = "`accompany`, 2 seeds"
    assert set(result.rows[ENCODER]) == set(result.columns) - VELOCITY_OVERLAPS
    assert set(result.rows[NO_LATENT]) == set(result.rows[ENCODER]) - set(result.columns[:2])
    assert set(result.rows[sampled]) == set(result.rows[TRUE_PARTS]) == set(result.columns[5:])
    assert not result.rows[ENCODER]["latent RMSE"].any()
    for row in result.rows.values():
        if HIDDEN_NATS in row:
            np.testing.assert_allclose(row[HIDDEN_NATS], row["nats bass"] + row["nats drums"])
    truth = result.rows[TRUE_PARTS]
    # By hand: nothing of the truth differs from itself, and its bass is one note on the scale.
    for column, wanted in {
        "bass right": 1,
        "drum hits F1": 1,
        "drums groove error": 0,
        "bars with toms": 0,
        "distinct drum bars in 16": 1 / 16,
        "bass pitch overlap": 1,
        "drums velocity overlap": 1,
        "bass pitch-class entropy": 0,
        "bass scale consistency": 1,
        # Kicks are on the second and fourth beats, the bass on the others.
        "bass on kick beyond chance": 0,
    }.items():
        assert truth[column].tolist() == [wanted] * 3
    again = evaluate(networks, read_evaluation_windows(folder), BRIEF)
    assert str(result) == str(again) and result.as_json() == again.as_json()
    json.dumps(result.as_json(), allow_nan=False)


def test_likelihood_is_of_the_latents_of_the_row(folder: Path) -> None:
    model, windows = small_vae(), read_evaluation_windows(folder)
    result = evaluate(Networks(model), windows, BRIEF)
    tokens = torch.from_numpy(windows.tokens)
    with torch.no_grad():
        z = model.encode(tokens).mean
        losses = model.part_losses(model.teacher_force(z, tokens), tokens)[..., 1:].sum(-1).mean(1)
    by_song = -losses.view(3, 2).mean(1)
    np.testing.assert_allclose(result.rows[ENCODER][HIDDEN_NATS], by_song.numpy(), rtol=1e-5)


def test_without_a_latent(folder: Path) -> None:
    """The row is of the other model, decoded from zeros; the verdict weighs all rows against it."""
    windows, tokens = (
        read_evaluation_windows(folder),
        torch.from_numpy(read_evaluation_windows(folder).tokens),
    )
    other = small_vae()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
        losses = other.part_nll(torch.zeros(len(tokens), 4), tokens, [1, 2]).mean(1).sum(1)
    options = EvaluateOptions(seeds=0, refine=BRIEF.refine)
    result = evaluate(Networks(small_vae(), without_latent=other), windows, options)
    by_song = -losses.view(3, 2).mean(1)
    np.testing.assert_allclose(result.rows[NO_LATENT][HIDDEN_NATS], by_song.numpy(), rtol=1e-5)
    gain = (result.rows[ENCODER][HIDDEN_NATS] - result.rows[NO_LATENT][HIDDEN_NATS]).mean()
    side = "Better: " if gain > 0 else "Worse: "
    assert f"{ENCODER} {gain:+.2f}" in result.verdict().split(side)[1]
    assert result.verdict() in str(result) and result.as_json()["verdict"] == result.verdict()
    assert "none was given" in str(evaluate(Networks(small_vae()), windows, options))


def test_a_band_network_by_its_styles(folder: Path) -> None:
    """Rows are of the styles that they name; and without the melody, of any melody."""
    windows, band, surrogate = (
        read_evaluation_windows(folder),
        small_band(style_size=4),
        small_surrogate(),
    )
    networks = Networks(small_vae(), surrogate, band=band)
    options = EvaluateOptions(seeds=0, refine=BRIEF.refine)
    rows = evaluate(networks, windows, options).rows
    tokens = torch.from_numpy(windows.tokens)
    given = hide(tokens, "bass", "drums")
    with torch.no_grad():
        mean = networks.musicvae.encode(tokens).mean
        predicted = surrogate.posterior(tokens, ("melody",)).mean
    # Each song has two windows.
    styles = {BAND: predicted, NO_STYLE: None, OWN_STYLE: mean.view(3, 2, 4).flip(1).flatten(0, 1)}
    for name, style in styles.items():
        controls = Controls(style=None if style is None else style[:, None])
        nats = nats_of(band, given, tokens, controls)[..., 1:].sum(-1).mean(1)
        np.testing.assert_allclose(
            rows[name][HIDDEN_NATS], -nats.view(3, 2).mean(1).numpy(), rtol=1e-5
        )
    other = windows.tokens.copy()
    other[..., 0] = 0
    silent = evaluate(networks, replace(windows, tokens=other), options).rows
    np.testing.assert_allclose(silent[NOTHING_GIVEN][HIDDEN_NATS], rows[NOTHING_GIVEN][HIDDEN_NATS])
    assert (silent[NO_STYLE][HIDDEN_NATS] != rows[NO_STYLE][HIDDEN_NATS]).all()
    strange = evaluate(replace(networks, styled=False), windows, options)
    assert BAND not in strange.rows and "it has no style" in str(strange)
    one = evaluate(networks, read_evaluation_windows(folder, max_windows=1), options).rows[
        OWN_STYLE
    ]
    assert np.isnan(one[HIDDEN_NATS]).all()  # there is no other window


def test_given_parts_are_the_real_ones(folder: Path) -> None:
    """Whatever melody a latent decodes to, a band is judged beside the song's own."""
    window = read_evaluation_windows(folder).tokens[0]
    other = window.copy()
    other[:, 0] = 0
    truth = Truth(window, ("bass", "drums"))
    scores, wanted = truth.compare(other), truth.compare(window)
    np.testing.assert_array_equal(list(scores.values()), list(wanted.values()))
    assert scores.keys() == wanted.keys()
    assert not np.isnan(scores["pitch-class entropy"])


def test_mean_over_seeds() -> None:
    nan = np.nan
    means = mean_where(np.array([[1.0, nan, nan], [2.0, 5.0, nan]]))
    np.testing.assert_array_equal(means, [1.5, 5.0, nan])


def test_velocities_of_windows(folder: Path) -> None:
    windows = read_evaluation_windows(folder)
    # Melody on every beat, bass on every other, drums on every beat, all at 80.
    assert windows.velocities.shape == windows.tokens.shape
    for part, every in enumerate((4, 8, 4)):
        own = windows.velocities[0, :, part]
        assert np.flatnonzero(own).tolist() == list(range(0, 256, every)) and own.max() == 80


def test_sampled_bands_of_windows(folder: Path) -> None:
    """They hear nothing but the given parts, and are those that accompany makes."""
    windows = read_evaluation_windows(folder, max_songs=1)
    accompanist = Accompanist(small_vae(), small_surrogate())
    options = AccompanyOptions(seed=5)
    tokens, velocities = accompany_windows(accompanist, windows, options)
    np.testing.assert_array_equal(tokens[..., 0], windows.tokens[..., 0])
    assert not velocities[..., 0].any() and (tokens[..., 1:].any((0, 1))).all()
    hidden = windows.tokens.copy()
    hidden[..., 1:] = 0
    deaf = accompany_windows(accompanist, replace(windows, tokens=hidden), options)
    np.testing.assert_array_equal(deaf[0], tokens)
    # Each note has a velocity, and nothing else.
    np.testing.assert_array_equal(velocities[..., 1] > 0, tokens[..., 1] >= 2)
    np.testing.assert_array_equal(velocities[..., 2] > 0, tokens[..., 2] > 0)


def test_what_cannot_be_is_left_out_and_said(folder: Path) -> None:
    windows = read_evaluation_windows(folder, max_songs=1)
    networks = Networks(small_vae(), small_surrogate())
    options = EvaluateOptions(("drums",), seeds=0, refine=RefineOptions(steps=1))
    result = evaluate(networks, windows, options)
    assert OURS not in result.rows and result.reference == REFINED
    text = str(result)
    assert "it takes melody only" in text and "one song only" in text
    assert "nats melody" in result.columns and "drum hits F1" not in result.columns
    partly = evaluate(networks, windows, replace(BRIEF, given=("melody", "drums")))
    assert OURS_REFINED in partly.rows and "takes melody only" in str(partly)
    with pytest.raises(ValueError, match="nothing is left to generate"):
        EvaluateOptions(("melody", "bass", "drums"))


def test_other_songs() -> None:
    song_of = np.repeat([0, 1, 2], [1, 5, 2])
    for seed in range(20):
        others = other_songs(song_of, seed)
        assert (song_of[others] != song_of).all()
    assert len({other_songs(song_of, seed)[0] for seed in range(99)}) == 7


def test_means_over_songs_and_differences() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, np.nan])
    means = per_song(values, np.array([0, 0, 0, 1, 2]), 3)
    np.testing.assert_array_equal(means, [2.0, 5.0, np.nan])
    assert Estimate.of(means, seed=0).mean == 3.5 and Estimate.of(means, seed=0).songs == 2
    assert Estimate.of(means[2:], seed=0).text(2) == DASH
    # Songs differ far more than the ways do: only the paired interval tells them apart.
    rows = {"a": {"x": np.array([1.0, 10.0, 100.0])}, "b": {"x": np.array([2.0, 11.0, 101.5])}}
    difference = paired_differences(rows, "a", "x", seed=0)["b"]
    assert difference.mean == pytest.approx(3.5 / 3) and difference.low >= 1.0
    assert difference.text(1, sign=True) == "+1.2 (+1.0 to +1.5)"


def test_finished_accompaniments(tmp_path: Path) -> None:
    song(0, bars=20).write(str(tmp_path / "one.mid"))
    song(1, bars=20).write(str(tmp_path / "Two (unstitched).mid"))
    alone = song(2)
    alone.instruments = alone.instruments[:1]
    alone.write(str(tmp_path / "alone.mid"))
    result = compare(Accompanist(small_vae(), small_surrogate()), tmp_path)
    assert result.files == ["Two (unstitched).mid", "one.mid"]
    assert result.decoded.tolist() == [True, False]
    assert len(result.skipped) == 1 and "alone.mid: holds no bass" in result.skipped[0]
    theirs = result.rows["theirs"]
    assert theirs["bass notes a bar"].tolist() == [2.0, 2.0]
    assert theirs["drum hits a bar"].tolist() == [4.0, 4.0]
    assert theirs["bass groove consistency"].tolist() == [1.0, 1.0]
    assert result.rows["ours"]["bars with drums"].tolist() == [1.0, 1.0]
    assert "Files: 1;" in str(result) and "unstitched).mid *" in str(result)
    assert result.as_json()["rows"]["theirs"]["bass notes a bar"]["songs"] == 1
    with pytest.raises(NoSongsError, match="holds no bass"):
        (tmp_path / "only").mkdir()
        alone.write(str(tmp_path / "only/alone.mid"))
        compare(Accompanist(small_vae(), small_surrogate()), tmp_path / "only")


def test_differences_are_ours_less_theirs_and_seeds_differ(tmp_path: Path) -> None:
    song(0, bars=20).write(str(tmp_path / "one.mid"))
    accompanist = Accompanist(small_vae(), small_surrogate())
    accompanist.generator = recorder = Recorder()
    result = compare(accompanist, tmp_path, AccompanyOptions(seed=4, harmony="off"), seeds=3)
    assert [options.seed for options in recorder.asked] == [4, 5, 6]
    # Theirs has two bass notes a bar, ours one; both have four hits.
    table = str(result).split("Ours less theirs, file by file:")[1]
    names, _, values = table.strip().splitlines()[:3]
    cells = dict(zip(names.split(" | "), values.split(" | "), strict=True))
    assert cells["bass notes a bar"].startswith("-1.00")
    assert cells["drum hits a bar"].startswith("0.00")
    # Of their pitches ours has all (36), and of their onset intervals (8 steps) none (16).
    assert result.rows["ours"]["bass pitch overlap"].tolist() == [1.0]
    assert result.rows["ours"]["bass onset interval overlap"].tolist() == [0.0]


def test_a_verdict_needs_an_interval_without_zero(folder: Path) -> None:
    windows = read_evaluation_windows(folder)
    result = evaluate(Networks(small_vae(), without_latent=small_vae()), windows, BRIEF)
    rows = {
        NO_LATENT: {HIDDEN_NATS: np.array([-2.0, -2.0, -2.0])},
        "better": {HIDDEN_NATS: np.array([-1.9, -1.8, -1.9])},
        "mixed": {HIDDEN_NATS: np.array([-1.0, -2.5, -2.2])},
        "worse": {HIDDEN_NATS: np.array([-2.1, -2.2, -2.1])},
    }
    verdict = replace(result, rows=rows).verdict()
    assert "Better: better +0.13. Worse: worse -0.13. Not told apart: mixed +0.10." in verdict


def test_a_band_is_scored_where_the_melody_plays() -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    bar = STEPS_PER_BAR * STEP
    # C, E, G in bars 2 and 3; the bass before and after them does not count.
    pitches = [60, 64, 67, 60]
    melody = [
        pretty_midi.Note(80, p, (2 + i / 2) * bar, (2.5 + i / 2) * bar)
        for i, p in enumerate(pitches)
    ]
    bass = [
        pretty_midi.Note(80, 37, 0.0, bar),
        pretty_midi.Note(80, 37, 4 * bar, 5 * bar),
        pretty_midi.Note(80, 36, 2 * bar, 2.5 * bar),  # C: in key and chord
        pretty_midi.Note(80, 42, 2.5 * bar, 3 * bar),  # F sharp: in neither
    ]
    drums = [pretty_midi.Note(80, 36, at * bar, at * bar + STEP) for at in (1, 3, 4)]
    for program, notes in ((0, melody), (33, bass), (0, drums)):
        midi.instruments.append(pretty_midi.Instrument(program, is_drum=notes is drums))
        midi.instruments[-1].notes = notes
    score = read_score(midi)
    heard = analyze(score, AccompanyOptions(melody=0))
    scores = score_band(heard, read_band(score, heard))
    assert scores["bass in key"] == scores["bass in harmony"] == 0.5
    assert (scores["bass notes a bar"], scores["drum hits a bar"]) == (1.0, 0.5)
    assert (scores["bars with bass"], scores["bars with drums"]) == (0.5, 0.5)
    assert scores["bass groove consistency"] == 1 - 2 / 16


def test_pitches_out_of_range_keep_their_class() -> None:
    """Tokens know pitches 21 to 108; a bass below counts in the octave above."""
    midi = song(0, bars=2)
    midi.instruments[1].notes = [
        pretty_midi.Note(80, pitch, index * STEP, (index + 1) * STEP)
        for index, pitch in enumerate([14, 20, 21, 108, 109, 127, 2])
    ]
    score = read_score(midi)
    heard = analyze(score, AccompanyOptions(melody=0))
    tokens = read_band(score, heard).tokens["bass"][:7]
    assert (tokens + 21 - 2).tolist() == [26, 32, 21, 108, 97, 103, 26]


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_vae().save_pretrained(tmp_path / "vae")
    small_surrogate().save_pretrained(tmp_path / "surrogate")
    pair = ["--musicvae", str(tmp_path / "vae"), "--surrogate", str(tmp_path / "surrogate")]
    brief = ["--max-songs", "2", "--max-windows", "1", "--device", "cpu", *pair]
    out = tmp_path / "scores.json"
    assert main([str(folder), *brief, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 windows of 2 songs" in printed and f"| {OURS_REFINED} | " in printed
    assert json.loads(out.read_text())["rows"][OURS]["bass right"]["songs"] == 2
    assert main(["--against", str(folder), "--device", "cpu", *pair[:2]]) == 0
    assert "theirs" in capsys.readouterr().out
    assert main([str(tmp_path / "vae"), *brief]) == 2
    assert "no MIDI file (.mid, .midi, .kar, .rmi, .smf)" in capsys.readouterr().err
    for wrong, reason in (
        ([], "name a folder of songs"),
        ([str(folder), "--against", str(folder)], "name a folder of songs"),
        ([str(folder), "--given", "kazoo"], "not 'kazoo'"),
        (["--against", str(folder), "--seeds", "0"], "--seeds 0 leaves nothing"),
        ([str(folder), "--seed", "-1"], "--seed: must be at least 0, not -1"),
        ([str(folder), "--seed", "x"], "--seed: wanted a whole number, not 'x'"),
    ):
        assert main(wrong) == 2
        assert reason in capsys.readouterr().err
    (tmp_path / "file").write_text("not a folder")
    assert main([str(folder), "--json", str(tmp_path / "file/scores.json")]) == 2
    assert "file: is a file; name a folder to write into" in capsys.readouterr().err


def test_a_comparison_in_which_one_row_lacks_a_part() -> None:
    one = np.ones(1)
    rows = {"theirs": {"drum hits a bar": 8 * one}, "ours": {"bass notes a bar": 4 * one}}
    text = str(Comparison(["a.mid"], rows, ("ours",), [], 0, 1, np.zeros(1, bool)))
    assert text.splitlines()[-1] == "| a.mid | - / 4.00 | 8.00 / - |"
