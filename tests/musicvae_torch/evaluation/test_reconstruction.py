"""Reconstruction accuracy and its baselines, of every config, on cases worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import torch
from made_up import made_up, tiny
from magenta_models import Golden

from musicvae_torch.cli.evaluate_musicvae import main as evaluate_main
from musicvae_torch.config import CONFIGS
from musicvae_torch.converters.base import from_one_hot
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.evaluation.reconstruction import (
    accuracy_table,
    baseline_accuracy,
    reconstruction_accuracy,
)
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import model_batch

NADE = ("drums", "drums precision", "drums recall")
GROOVE = ("hits", "hits precision", "hits recall", "velocity error", "timing error")


def test_baselines() -> None:
    tokens = np.zeros((1, 256, 3), np.uint16)
    tokens[0, ::16, 0] = 40  # a melody of one note at the start of every bar
    tokens[0, 0, 1] = 20  # a bass note in the first bar alone
    scores = baseline_accuracy(tokens)
    assert scores["always no event"] == {"melody": 240 / 256, "bass": 255 / 256, "drums": 1.0}
    assert scores["the bar before"] == {"melody": 255 / 256, "bass": 254 / 256, "drums": 1.0}


def test_both_ways_of_decoding(golden: Golden) -> None:
    """Counted over batches, as it comes out when one window at a time is compared."""
    model = golden.model
    tokens = from_one_hot(golden.reference["inputs"].numpy(), DEPTHS).astype(np.int64)
    right: dict[str, list[float]] = {"teacher forced": [], "decoded freely": []}
    with torch.no_grad():
        for window in torch.from_numpy(tokens).split(1):
            z = model.encode(window).mean
            for way, rows in (
                ("teacher forced", model.teacher_force(z, window)),
                ("decoded freely", model.decode(z, temperature=0)),
            ):
                drums = rows[..., 180:].argmax(-1)
                right[way].append((drums == window[..., 2]).float().mean().item())
    scores = reconstruction_accuracy(model, tokens, batch_size=3)
    for way, shares in right.items():
        assert scores[way]["drums"] == pytest.approx(np.mean(shares), abs=1e-6)


def test_the_table_has_a_row_for_each_model() -> None:
    table = accuracy_table({"a model": {"melody": 0.5, "bass": 0.25, "drums": 1.0}})
    assert table.splitlines()[-1] == "| a model | 0.500 | 0.250 | 1.000 |"


def test_table_of_different_parts() -> None:
    table = accuracy_table({"a model": {"hits": 0.5, "timing error": 0.25}, "none": {"hits": 1.0}})
    assert table.splitlines() == [
        "| | hits | timing error |",
        "| --- | --- | --- |",
        "| a model | 0.500 | 0.250 |",
        "| none | 1.000 | – |",
    ]


def columns(name: str) -> tuple[str, ...]:
    if name.startswith("groovae"):
        return GROOVE
    if name.startswith("nade"):
        return NADE
    if "trio" in name:
        return ("melody", "bass", "drums")
    if "multiperf" in name:
        return ("events",)
    return ("drums",) if "drums" in name else ("melody",)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config(name: str) -> None:
    """Its own parts, and free decoding as it comes out by the converter's notes of it."""
    torch.manual_seed(0)
    config = tiny(name)
    model, windows = MusicVAE(config).eval(), made_up(config, 5)
    scores = reconstruction_accuracy(model, windows.tokens, batch_size=2, lengths=windows.length)
    assert list(scores) == ["teacher forced", "decoded freely"]
    for own in scores.values():
        assert tuple(own) == columns(name)
        assert all(0 <= score <= 1 for score in own.values())

    batch = model_batch(config, windows.tokens, windows.length)
    z = model.encode(batch.inputs, batch.lengths, batch.controls).mean
    rows = model.decode(z, temperature=0, controls=batch.controls).numpy()
    truth = get_converter(config).outputs(windows.tokens).astype(np.float32)
    counts = np.ones(rows.shape[:2], bool)
    if windows.length is not None:
        counts = (np.arange(64) < windows.length[..., None]).reshape(counts.shape)
    free = scores["decoded freely"]
    if config.output == "groove":
        wrong = rows - truth
        struck = truth[..., :9] == 1
        assert free["hits"] == pytest.approx((wrong[..., :9] == 0).mean())
        for part, error in (("velocity", wrong[..., 9:18]), ("timing", wrong[..., 18:])):
            square = np.mean(error[struck] ** 2)
            assert free[f"{part} error"] == pytest.approx(square**0.5, abs=1e-5)
        return
    first = 0
    for part, depth in zip(columns(name), config.output_depths, strict=False):
        same = rows[..., first : first + depth] == truth[..., first : first + depth]
        right = same.all(-1)
        assert free[part] == pytest.approx(right[counts].mean())
        first += depth


def test_the_end_of_a_track_s_events_needs_no_lengths() -> None:
    config = tiny("hier-multiperf_vel_1bar_med")
    model, windows = MusicVAE(config).eval(), made_up(config, 3)
    known = reconstruction_accuracy(model, windows.tokens, lengths=windows.length)
    assert reconstruction_accuracy(model, windows.tokens) == known
    assert baseline_accuracy(windows.tokens, config) == {}


def test_baselines_of_a_groove() -> None:
    tokens = np.zeros((1, 32, 27), np.float32)
    tokens[0, [0, 16], 0] = 1  # a bass drum at the start of both bars
    tokens[0, [0, 16], 9] = 0.5, 0.75  # the second harder
    tokens[0, [0, 16], 18] = 0.25, 0.25
    scores = baseline_accuracy(tokens, tiny("groovae_2bar_humanize"))
    assert scores["always no event"] == {
        "hits": pytest.approx(1 - 2 / 288), "hits precision": 0, "hits recall": 0,
    }  # fmt: skip
    assert scores["the bar before"] == {
        "hits": pytest.approx(1 - 1 / 288),
        "hits precision": 1,
        "hits recall": 0.5,
        "velocity error": pytest.approx(((0.5**2 + 0.25**2) / 2) ** 0.5),
        "timing error": pytest.approx((0.25**2 / 2) ** 0.5),
    }


def test_nothing_to_score() -> None:
    config = tiny("cat-mel_2bar_small")
    with pytest.raises(ValueError, match="there are no windows to score"):
        reconstruction_accuracy(MusicVAE(config), np.zeros((0, 32, 1), np.int16))


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Two songs of a melody alone, of 8 bars."""
    (tmp_path / "midi").mkdir()
    for number in range(2):
        melody = pretty_midi.Instrument(0)
        for beat in range(32):
            pitch = 60 + (beat * (3 + number)) % 12
            melody.notes.append(pretty_midi.Note(90, pitch, beat / 2, beat / 2 + 0.5))
        midi = pretty_midi.PrettyMIDI(initial_tempo=120)
        midi.instruments.append(melody)
        midi.write(str(tmp_path / f"midi/{number}.mid"))
    return tmp_path / "midi"


def test_the_command_prints_accuracies_of_folders_and_data_sets(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a folder of songs, and of a data set with songs set aside."""
    config = tiny("cat-mel_2bar_small")
    MusicVAE(config).save_pretrained(tmp_path / "model")
    data = tmp_path / "data.h5"
    build_dataset(songs, data, BuildOptions(WindowOptions(config), validation=0.5))
    printed = []
    for source, split in ((songs, "all"), (data, "validation")):
        assert evaluate_main([str(tmp_path / "model"), str(source), "--device", "cpu"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"windows of {source} ({split})" in lines[0]
        assert lines[1] == "| | melody |" and len(lines) == 7
        printed.append(lines)
    # Quarter notes: a step in four has an event.
    assert printed[0][5] == "| always no event | 0.750 |"
    MusicVAE(tiny("cat-drums_2bar_small")).save_pretrained(tmp_path / "drums")
    assert evaluate_main([str(tmp_path / "drums"), str(data)]) == 2
    assert "holds windows of cat-mel_2bar_small" in capsys.readouterr().err
