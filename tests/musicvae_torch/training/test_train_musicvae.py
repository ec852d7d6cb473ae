"""The command train-musicvae, fine-tuning, folders of MIDI files, and several processes."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import write
from made_up import made_up, tiny
from magenta_models import MODELS
from paths import EXAMPLES

from convert_weights.conversion import convert
from musicvae_torch.cli.train_musicvae import main as train_main
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset import Windows, read_dataset
from musicvae_torch.io.checkpoint import read_config, weights_sha256
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import (
    Hardware,
    ModelBatch,
    MusicVAETraining,
    TrainingOptions,
    WindowsDataModule,
    fit,
    musicvae,
    train_musicvae,
)

pytestmark = pytest.mark.usefixtures("quiet_lightning")


def small(*arguments: str) -> list[str]:
    return [*arguments, "--steps", "1", "--batch-size", "2", "--device", "cpu"]


SIZES = ["--encoder", "8", "--decoder", "8", "--latent", "4"]


def test_a_folder_of_midi_files_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, work = tmp_path / "model", tmp_path / "model.training"
    arguments = ["-o", str(out), "--config", "cat-mel_2bar_small", *SIZES, "--seed", "4"]
    assert train_main(small(str(EXAMPLES), *arguments)) == 0, capsys.readouterr().err
    data = read_dataset(work / "data.h5")
    record = read_config(out)["training"]
    sides = record["data"]
    # Those that overlap are not validated on.
    assert sides["training"]["songs"] + sides["validation"]["songs"] == len(data.songs)
    assert sides["training"]["windows"] + sides["validation"]["windows"] < len(data.tokens)
    # Magenta's for this config, and what was said.
    options = record["options"]
    assert (options["max_beta"], options["beta_rate"], options["seed"]) == (0.2, 0.99999, 4)
    assert (options["sampling_schedule"], options["max_transpose"]) == ("inverse_sigmoid", 5)
    assert MusicVAE.from_pretrained(out).config == tiny("cat-mel_2bar_small")

    # A training goes on with the data set that it began with.
    monkeypatch.setattr(musicvae, "build_dataset", lambda *_: pytest.fail("built once more"))
    assert train_main([*small(str(EXAMPLES), *arguments), "--steps", "2"]) == 0
    assert read_config(out)["training"]["options"]["steps"] == 2


def test_a_training_advertises_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        arguments = ["-o", str(tmp_path / "model"), "--config", "cat-mel_2bar_small", *SIZES]
        assert train_main(small(str(EXAMPLES), *arguments)) == 0
    assert "max_steps" in caplog.text and "Tip" not in caplog.text


def test_a_folder_without_windows_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "midi").mkdir()
    assert train_main(small(str(tmp_path / "midi"), "-o", str(tmp_path / "model"))) == 2
    error = capsys.readouterr().err
    none = "no MIDI file (.mid, .midi, .kar, .rmi, .smf) at any depth"
    assert error == f"train-musicvae: {tmp_path / 'midi'}: {none}\n"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Magenta's own weights of a small groove, and of windows of another length than ours."""
    folder = tmp_path_factory.mktemp("converted") / "groove"
    convert(MODELS / "groovae_2bar_humanize", "groovae_2bar_humanize", folder)
    return folder


@pytest.fixture
def grooves(tmp_path: Path) -> Path:
    name = "groovae_2bar_humanize"
    return write(tmp_path / "grooves.h5", made_up(tiny(name), 6), name)


def test_fine_tuning_goes_on_from_a_converted_checkpoint(
    tmp_path: Path, converted: Path, grooves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-o", str(tmp_path / "fine"), "--init", str(converted), "--learning-rate", "1e-4"]
    arguments = small(str(grooves), "--validation", str(grooves), *arguments)
    assert train_main(arguments) == 0, capsys.readouterr().err
    before, after = MusicVAE.from_pretrained(converted), MusicVAE.from_pretrained(tmp_path / "fine")
    assert before.config == after.config
    pairs = list(zip(before.parameters(), after.parameters(), strict=True))
    assert any(not torch.equal(ours, theirs) for ours, theirs in pairs)
    # One step moves a weight by about the learning rate at most.
    assert max(float((ours - theirs).detach().abs().max()) for ours, theirs in pairs) < 1.1e-4
    record = read_config(tmp_path / "fine")["training"]
    expected = {"musicvae": "groove", "sha256": weights_sha256(converted)}
    assert record["initialised_from"] == expected
    assert record["options"]["dropout_keep_prob"] == 0.3
    # What a stopped training began with is remembered.
    longer = [part for part in arguments if part not in ("--init", str(converted))]
    sizes = after.config.enc_rnn_size, after.config.dec_rnn_size
    longer += ["--config", "groovae_2bar_humanize", "--steps", "2"]
    longer += ["--encoder", ",".join(map(str, sizes[0])), "--latent", str(after.config.z_size)]
    assert train_main([*longer, "--decoder", ",".join(map(str, sizes[1]))]) == 0
    assert read_config(tmp_path / "fine")["training"]["initialised_from"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--encoder", "7"],
            "its enc_rnn_size is (6,), not (7,); the sizes of a checkpoint cannot be changed",
        ),
        (["--latent", "9"], "its z_size is 3, not 9"),
        (["--config", "groovae_4bar"], "is a groovae_2bar_humanize, not a groovae_4bar"),
    ],
)
def test_other_sizes_than_the_checkpoints_are_one_line(
    tmp_path: Path,
    converted: Path,
    grooves: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    given = ["-o", str(tmp_path / "fine"), "--init", str(converted), *arguments]
    assert train_main(small(str(grooves), *given)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"train-musicvae: {converted}: {message}") and error.count("\n") == 1
    with pytest.raises(ValueError, match="its dec_rnn_size is"):
        train_musicvae(
            grooves,
            grooves,
            tmp_path / "fine",
            replace(read_model(converted), dec_rnn_size=(3,)),
            TrainingOptions(),
            init=converted,
        )


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9")
@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ([], ["--optimizer", "muon"], "optimizer adam, and muon is asked now; ask for adam, or"),
        (["--optimizer", "muon"], [], "optimizer muon, and adam is asked now; ask for muon, or"),
        (
            [],
            ["--latent", "5"],
            # The mean's layer reads both directions of the last of 8 units.
            "a model of other sizes: model.encoder.mean.weight is of shape (4, 16) there, and of "
            "shape (5, 16) in what is asked now; ask for the same, or",
        ),
        ([], ["--encoder", "8,8"], "layers.1.fw.weight_ih is missing there, and of shape (32, 16)"),
        ([], ["--precision", "bf16-mixed", "--steps", "2", "--batch-size", "3"], None),
        (["--optimizer", "muon"], ["--optimizer", "muon", "--schedule", "cosine"], None),
    ],
)
def test_going_on_otherwise_than_begun(
    tmp_path: Path,
    grooves: Path,
    capsys: pytest.CaptureFixture[str],
    before: list[str],
    now: list[str],
    message: str | None,
) -> None:
    """What makes the saved state unfit is told in a line; what does not goes on."""
    line = [str(grooves), "-o", str(tmp_path / "model"), "--config", "groovae_2bar_humanize"]
    line = small(*line, *SIZES, "--validation", str(grooves))
    assert train_main([*line, *before]) == 0
    stored = (tmp_path / "model.training" / "last.ckpt").read_bytes()
    capsys.readouterr()
    assert train_main([*line, *now]) == (2 if message else 0)
    error = capsys.readouterr().err
    if message:
        assert error.startswith(f"train-musicvae: {tmp_path / 'model.training'}: the training here")
        assert message in error and error.endswith("another one for the work\n")
        assert error.count("\n") == 1
        assert (tmp_path / "model.training" / "last.ckpt").read_bytes() == stored


def read_model(folder: Path) -> MusicVAEConfig:
    return MusicVAE.from_pretrained(folder).config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampling", "exponential"], "a sampling rate of schedule exponential is between 0"),
        (["--keep", "0"], "dropout_keep_prob must be above 0"),
        (["--strategy", "fsdp"], "strategy 'fsdp' splits the model"),
        (["--precision", "16-mixed"], "precision '16-mixed' needs cuda"),
        (["--devices", "0"], "--devices: must be at least 1, not 0"),
        (["--accumulate", "0"], "--accumulate: must be at least 1, not 0"),
        (["--transpose", "2"], "config 'groovae_2bar_humanize' has nothing to transpose"),
        (["--config", "groove"], "unknown config 'groove'"),
        (["--init", "nowhere"], "nowhere: no checkpoint here"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path,
    grooves: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    given = ["-o", str(tmp_path / "model"), "--config", "groovae_2bar_humanize", *SIZES]
    given += ["--validation", str(grooves)]
    assert train_main(small(str(grooves), *given, *arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"train-musicvae: {message}") and error.count("\n") == 1


def test_what_tensorboard_shows(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny("cat-mel_2bar_small")
    for steps in (2, 4):  # the second start goes on in the same curves
        options = TrainingOptions.of(config, batch_size=2, steps=steps, validate_every=1)
        data = WindowsDataModule(made_up(config, 4), made_up(config, 4), options, config)
        fit(MusicVAETraining(config, options), data, options, tmp_path, "cpu")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("val/nats")] == [1, 2, 3, 4]
    assert "val/accuracy_melody_sampled" in events.Tags()["scalars"]


class Ranked(MusicVAETraining):
    """Writes what each process reads, and what it ends with."""

    def __init__(self, options: TrainingOptions, notes: Path) -> None:
        torch.manual_seed(0)
        super().__init__(tiny("cat-mel_2bar_med_chords"), options)
        self.notes = notes

    def training_step(self, batch: ModelBatch, index: int) -> torch.Tensor:
        path = self.notes / f"{self.global_rank}-{self.global_step}.npy"
        np.save(path, batch.inputs.numpy())
        np.save(self.notes / f"noise-{path.name}", self.posterior_noise(2).numpy())
        return super().training_step(batch, index)

    def on_train_end(self) -> None:
        np.save(
            self.notes / f"weights-{self.global_rank}.npy", self.model.encoder.mean.weight.detach()
        )


# Forked, as what is spawned imports everything once more.
@pytest.mark.skipif(sys.platform != "linux", reason="needs a fork that is safe")
@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_together(tmp_path: Path) -> None:
    config = tiny("cat-mel_2bar_med_chords")
    options = TrainingOptions.of(config, batch_size=2, steps=3, validate_every=3)
    data = WindowsDataModule(made_up(config, 20), made_up(config, 5, seed=1), options, config)
    hardware = Hardware("cpu", devices=2, strategy="ddp_fork")
    best = fit(Ranked(options, tmp_path), data, options, tmp_path / "work", hardware)

    kinds = ("", "noise-")
    read = {
        (kind, rank, step): np.load(tmp_path / f"{kind}{rank}-{step}.npy")
        for kind in kinds
        for rank in (0, 1)
        for step in range(3)
    }
    for kind in kinds:
        assert len({read[kind, rank, step].tobytes() for rank in (0, 1) for step in range(3)}) == 6
    weights = [np.load(tmp_path / f"weights-{rank}.npy") for rank in (0, 1)]
    assert np.array_equal(*weights)
    # All five windows count, and each once.
    stored = torch.load(best, weights_only=True)
    alone = MusicVAETraining(config, options)
    alone.load_state_dict(stored["state_dict"])
    alone.eval()
    windows: Windows = data.validation
    with torch.no_grad():
        _, nats, _ = alone.elbo_terms(data.batch(windows, np.arange(5), windows.tokens), None)
    assert stored["validation_scores"]["val/nats"] == pytest.approx(float(nats.mean()), rel=1e-6)
