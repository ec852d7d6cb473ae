"""Training of every config: batches, scores, draws, shifts, and a step with a validation."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dataset_files import write
from made_up import made_up, tiny

from musicvae_torch.config import CONFIGS
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import Windows, read_sides
from musicvae_torch.dataset.augment import default_shift, transposer
from musicvae_torch.dataset.batches import draw_batches
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.training import (
    ModelBatch,
    MusicVAETraining,
    TrainingOptions,
    WindowsDataModule,
    fit,
    model_batch,
)
from musicvae_torch.windows.scores import reconstruction_counts, to_scores

pytestmark = [
    pytest.mark.usefixtures("quiet_lightning"),
    pytest.mark.filterwarnings("ignore:You are trying to `self.log"),
]


SCORES = {
    "categorical": {"kl", "kl_bits", "nats"},
    "nade": {"kl", "kl_bits", "nats", "accuracy_drums", "precision_drums", "recall_drums"},
    "groove": {
        *("kl", "kl_bits", "nats", "accuracy_hits", "precision_hits", "recall_hits"),
        *("rmse_velocity", "rmse_offset"),
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_trains(name: str, tmp_path: Path) -> None:
    config = tiny(name)
    options = TrainingOptions.of(config, batch_size=3, steps=2, validate_every=2)
    torch.manual_seed(0)
    module = MusicVAETraining(config, options)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    data = WindowsDataModule(made_up(config, 7), made_up(config, 5, seed=1), options, config)
    best = torch.load(fit(module, data, options, tmp_path, "cpu"), weights_only=True)
    expected = set(SCORES[config.output])
    if config.output == "categorical":
        parts = {90: ["melody"], 512: ["drums"], 490: ["events"]}
        three = ["melody", "bass", "drums"]
        names = three if len(config.output_depths) == 3 else parts[config.output_depth]
        expected |= {f"accuracy_{part}" for part in names}
    if options.hyperparameters.samples:
        expected |= {f"{score}_sampled" for score in expected if not score.startswith("kl")}
    scores = best["validation_scores"]
    assert set(scores) == {f"val/{score}" for score in expected}
    assert all(math.isfinite(score) and score >= 0 for score in scores.values())
    assert all(score <= 1 for key, score in scores.items() if "accuracy" in key)
    for key, value in module.state_dict().items():
        # The conductor's input weights read zeros.
        still = key == "model.decoder.conductor.layers.0.weight_ih"
        assert torch.equal(value, before[key]) == still, key


@pytest.mark.parametrize("name", CONFIGS)
def test_batches_are_what_the_converter_gives(name: str) -> None:
    config = tiny(name)
    windows, converter = made_up(config, 4), get_converter(config)
    batch = model_batch(config, windows.tokens, windows.length)
    model = MusicVAETraining(config, TrainingOptions.of(config)).model.eval()
    inputs, targets = (
        torch.from_numpy(np.asarray(make(windows.tokens), np.float32))
        for make in (converter.inputs, converter.outputs)
    )
    controls = torch.from_numpy(converter.controls(windows.tokens).astype(np.float32))
    lengths = None if windows.length is None else torch.from_numpy(windows.length.astype(int))
    dense = ModelBatch(inputs, targets, lengths, controls if config.control_depth else None)
    assert batch.inputs.shape[:2] == dense.inputs.shape[:2] == (4, config.max_seq_len)
    losses = []
    for one in (batch, dense):
        with torch.no_grad():
            z = model.encode(one.inputs, one.lengths, one.controls).mean
            logits = model.teacher_force(z, one.targets, one.controls)
            losses.append(model.reconstruction_loss(logits, one.targets, one.lengths))
    assert torch.allclose(losses[0], losses[1], rtol=1e-5)


def counted(config_name: str, logits: torch.Tensor, batch: ModelBatch) -> dict[str, float]:
    config = tiny(config_name)
    model = MusicVAETraining(config, TrainingOptions.of(config)).model
    counts = reconstruction_counts(model, logits, batch)
    sums = {
        name: torch.stack([one.double().sum(), all_.double().sum()])
        for name, (one, all_) in counts.items()
    }
    return {name: float(score) for name, score in to_scores(sums).items()}


def test_accuracy_by_hand() -> None:
    truth = torch.tensor([[[1], [1], [2]], [[0], [0], [0]]])
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 0, 2], [0, 0, 5]]), 90).float()
    both = ModelBatch(truth, truth)
    assert counted("cat-mel_2bar_small", logits, both) == {"accuracy_melody": pytest.approx(4 / 6)}
    shorter = both._replace(lengths=torch.tensor([2, 1]))
    assert counted("cat-mel_2bar_small", logits, shorter) == {
        "accuracy_melody": pytest.approx(2 / 3)
    }


def test_accuracy_of_segments_counts_within_their_lengths() -> None:
    truth = torch.zeros(1, 512, 1, dtype=torch.int64)
    logits = torch.zeros(1, 512, 490)
    logits[0, 64:66, 7] = 1.0  # wrong on the first two steps of the second segment
    batch = ModelBatch(truth, truth, torch.tensor([[2, 3, 0, 0, 0, 0, 0, 1]]))
    scores = counted("hier-multiperf_vel_1bar_med", logits, batch)
    assert scores == {"accuracy_events": pytest.approx(4 / 6)}


def test_scores_of_grooves_by_hand() -> None:
    targets, logits = torch.zeros(1, 2, 27), torch.full((1, 2, 27), -20.0)
    logits[..., 18:] = 0.0  # offsets of 0
    targets[0, 0, [0, 9, 18]] = torch.tensor([1.0, 0.8, 0.3])
    targets[0, 1, [1, 10, 19]] = torch.tensor([1.0, 0.5, -0.4])
    logits[0, 0, 0], logits[0, 0, 9] = 20.0, 0.0  # struck, at a velocity of a half
    logits[0, 1, 5] = 20.0  # struck, but is not to be
    assert counted("groovae_4bar", logits, ModelBatch(targets, targets)) == {
        "accuracy_hits": pytest.approx(16 / 18),
        "precision_hits": pytest.approx(1 / 2),
        "recall_hits": pytest.approx(1 / 2),
        "rmse_velocity": pytest.approx(math.sqrt((0.3**2 + 0.5**2) / 2)),
        "rmse_offset": pytest.approx(math.sqrt((0.3**2 + 0.4**2) / 2)),
    }


def test_scores_of_nades_by_hand() -> None:
    bits = torch.zeros(1, 2, 9)
    bits[0, 0, :3] = 1
    logits = torch.zeros(1, 2, 14)
    logits[..., 5:] = -20.0
    logits[0, 0, 5:8] = 20.0  # the first step is all right
    logits[0, 1, 5] = 20.0  # the second has one bit too many
    config = tiny("nade-drums_2bar_reduced")
    model = MusicVAETraining(config, TrainingOptions.of(config)).model
    torch.nn.init.zeros_(dict(model.named_parameters())["decoder.cores.0.head.w_dec"])
    counts = reconstruction_counts(model, logits, ModelBatch(bits, bits))
    assert {name: (int(a.sum()), int(b.sum())) for name, (a, b) in counts.items()} == {
        "accuracy_drums": (1, 2),
        "precision_drums": (3, 4),
        "recall_drums": (3, 3),
    }


def test_melodies_and_their_chords_are_shifted() -> None:
    shift = transposer(tiny("cat-mel_2bar_med_chords"))
    assert shift is not None
    # No chord, C, B, C minor (class 13) and B diminished (48).
    tokens = np.array([[0, 0], [1, 1], [40, 12], [41, 13], [2, 48]], np.int16)
    assert shift(tokens, 1).tolist() == [[0, 0], [1, 2], [41, 1], [42, 14], [3, 37]]
    assert shift(shift(tokens, 2), -2).tolist() == tokens.tolist()
    assert shift(tokens, -1) is tokens  # the lowest note has nowhere to go


def test_multitrack_bars_are_shifted_but_for_drums() -> None:
    shift = transposer(tiny("hier-multiperf_vel_1bar_med"))
    assert shift is not None
    tokens = np.full((8, 64, 1), -1, np.int16)
    # Program, note on, time shift, velocity, note off, END; of a piano and of drums.
    for track, program in enumerate((360, 488)):
        tokens[track, :6, 0] = [program, 60, 300, 355, 128 + 60, 489]
    shifted = shift(tokens.reshape(512, 1), 3).reshape(8, 64)
    assert shifted[0, :6].tolist() == [360, 63, 300, 355, 128 + 63, 489]
    assert np.array_equal(shifted[1:], tokens[1:, :, 0])
    tokens[0, 1, 0] = 126
    assert shift(tokens.reshape(512, 1), 3).tolist() == tokens.reshape(512, 1).tolist()


def test_only_what_has_pitches_is_shifted() -> None:
    still = {name for name in CONFIGS if transposer(tiny(name)) is None}
    assert still == {name for name in CONFIGS if "drums" in name or name.startswith("groovae")}
    assert {default_shift(tiny(name)) for name in still} == {0}
    config = tiny("groovae_4bar")
    options = TrainingOptions(max_transpose=5)
    with pytest.raises(ValueError, match="'groovae_4bar' has nothing to transpose: max_transpose"):
        WindowsDataModule(made_up(config, 3), made_up(config, 3), options, config)


@pytest.mark.parametrize("name", ["groovae_4bar", "groovae_2bar_tap_fixed_velocity_note_dropout"])
def test_drums_of_grooves_fall_silent(name: str) -> None:
    config = tiny(name)
    windows = made_up(config, 6)
    windows.tokens[..., :9] = 1  # every drum, all the time
    options = TrainingOptions.of(config, batch_size=200, silence_drums=0.3, draw="windows")
    data = WindowsDataModule(windows, windows, options, config)
    batch = next(iter(data.train_dataloader()))
    rows, _ = next(draw_batches(windows, 200, options.seed, draw="windows"))
    whole = data.batch(windows, rows, windows.tokens[rows])
    sounds = batch.targets[:, 0, :9].bool()
    assert abs(float(sounds.float().mean()) - 0.7) < 0.05
    assert (
        len(torch.unique(sounds.float(), dim=0)) > 50
    )  # drums and windows are drawn by themselves
    kept = sounds[:, None].repeat(1, 1, 3)
    assert torch.equal(batch.targets, whole.targets * kept)
    if name == "groovae_4bar":
        assert torch.equal(batch.inputs, whole.inputs * kept)
    assert torch.equal(next(iter(data.val_dataloader())).targets, whole_of(data).targets)


def whole_of(data: WindowsDataModule) -> ModelBatch:
    rows = np.arange(len(data.validation.tokens))
    return data.batch(data.validation, rows, data.validation.tokens)


def test_only_grooves_have_drums_to_silence() -> None:
    config = tiny("cat-drums_2bar_small")
    options = TrainingOptions.of(config, silence_drums=0.1)
    with pytest.raises(ValueError, match="'cat-drums_2bar_small' is of no grooves: silence_drums"):
        WindowsDataModule(made_up(config, 3), made_up(config, 3), options, config)


def test_only_grooves_have_errors_to_choose() -> None:
    config = tiny("cat-drums_2bar_small")
    options = TrainingOptions.of(config, groove_error="absolute")
    with pytest.raises(OptionError, match="'cat-drums_2bar_small' is of no grooves: groove_error"):
        WindowsDataModule(made_up(config, 3), made_up(config, 3), options, config)
    groove = tiny("groovae_4bar")
    options = TrainingOptions.of(groove, groove_error="absolute")
    WindowsDataModule(made_up(groove, 3), made_up(groove, 3), options, groove)


def shares(windows: Windows, **options: Any) -> np.ndarray:
    """How often each song is drawn."""
    draws = islice(draw_batches(windows, 100, 3, **options), 100)
    songs = np.concatenate([windows.song[picks] for picks, _ in draws])
    return np.bincount(songs, minlength=len(windows.songs)) / len(songs)


def test_draws_by_windows_songs_and_sources() -> None:
    # Four songs of one folder, of 1, 2, 3 and 4 windows, and one of another, of 10.
    song = np.repeat(np.arange(5), [1, 2, 3, 4, 10])
    songs = ["x/a.mid", "x/y/b.mid", "x/c.mid", "x/d.mid", "z/e.mid"]
    windows = Windows(np.zeros((20, 4, 3), np.int16), song, songs)
    expected = {
        ("windows", 0.5): [0.05, 0.1, 0.15, 0.2, 0.5],
        ("songs", 0.5): [0.2] * 5,
        ("sources", 0.0): [0.125] * 4 + [0.5],
        ("sources", 0.5): [1 / 6] * 4 + [1 / 3],  # the roots of 4 and 1
        ("sources", 1.0): [0.2] * 5,
    }
    for (draw, temper), wanted in expected.items():
        assert np.abs(shares(windows, draw=draw, temper=temper) - wanted).max() < 0.02, draw
    with pytest.raises(ValueError, match="unknown way to draw 'bars'; choose one of: songs"):
        shares(windows, draw="bars")


def test_each_rank_draws_its_own() -> None:
    windows = made_up(tiny("cat-mel_2bar_small"), 50)
    first, again, other = (
        np.stack([picks for picks, _ in islice(draw_batches(windows, 20, 3, rank=rank), 3)])
        for rank in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not (first == other).all(1).any()
    # A lone process draws as from the seed and the number alone.
    rng = np.random.default_rng([3, 0])
    songs = rng.choice(3, 20)
    assert np.array_equal(windows.song[first[0]], songs)


def test_windows_to_validate_on_do_not_overlap(tmp_path: Path) -> None:
    windows = made_up(tiny("cat-mel_2bar_small"), 9)
    windows = replace(windows, song=np.array([0, 0, 0, 0, 0, 0, 0, 1, 1]))
    path = write(
        tmp_path / "data.h5",
        windows,
        # Bars 0, 1, 2 and 5 of a track; 1 of another; 4, of a later section; a copy; a new song.
        bar=np.array([0, 1, 2, 5, 1, 4, 7, 0, 1]),
        instruments=np.array([[0]] * 4 + [[1]] + [[0]] * 4),
        transposition=np.array([0, 0, 0, 0, 0, 0, 2, -1, -1]),
    )
    training, validation = read_sides(path, path, apart=2)
    assert np.array_equal(validation.tokens, windows.tokens[[0, 2, 3, 4, 5, 7]])
    assert len(training.tokens) == 9


@pytest.mark.parametrize(
    ("stored", "wanted", "message"),
    [
        ("groovae_4bar", "groovae_4bar", None),
        ("groovae_2bar_humanize", "groovae_2bar_add_closed_hh", None),
        ("cat-drums_2bar_small", "nade-drums_2bar_reduced", None),
        ("cat-drums_2bar_small", "cat-mel_2bar_small", "holds windows of cat-drums_2bar_small"),
        ("nade-drums_2bar_full", "nade-drums_2bar_reduced", "which nade-drums_2bar_reduced does"),
        ("cat-mel_2bar_small", "cat-mel_2bar_med_chords", r"tokens have shape \(4, 32, 1\), want"),
        ("groovae_2bar_humanize", "groovae_4bar", r"wanted \(n, 64, 27\)"),
        (
            "groovae_2bar_humanize",
            "groovae_2bar_tap_fixed_velocity_note_dropout",
            r"wanted \(n, 32, 36\)",
        ),
    ],
)
def test_data_sets_of_like_tokens_will_do(
    tmp_path: Path, stored: str, wanted: str, message: str | None
) -> None:
    path = write(tmp_path / "data.h5", made_up(tiny(stored), 4), stored)
    config = tiny(wanted)
    options = TrainingOptions.of(config)
    if message is None:
        assert WindowsDataModule.read(path, config, options, path).training.tokens.shape[0] == 4
        return
    with pytest.raises(DatasetError, match=message):
        WindowsDataModule.read(path, config, options, path)
