"""Training: the objective, the schedule, and that a stopped training goes on as if it had not."""

from __future__ import annotations

import csv
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import lightning
import numpy as np
import pytest
import torch
from made_up import made_up, tiny
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.dataset import Windows
from musicvae_torch.errors import OptionError
from musicvae_torch.io.checkpoint import read_config
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import (
    ModelBatch,
    MusicVAETraining,
    TrainingOptions,
    WindowsDataModule,
    fit,
    fitting,
    train_musicvae,
)
from musicvae_torch.training.averaging import ExponentialAverage

CONFIG = MusicVAEConfig(
    name="tiny",
    max_seq_len=8,
    input_depth=692,
    output_depths=(90, 90, 512),
    z_size=4,
    enc_rnn_size=(8,),
    dec_rnn_size=(8,),
    decoder_level_lengths=(2, 4),
)


# What Lightning says to developers of itself, of folders that are in use, and of single steps.
pytestmark = [
    pytest.mark.usefixtures("quiet_lightning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:You are trying to `self.log"),
]


class Stop(Exception):
    """What stops a training here."""


class Recording(MusicVAETraining):
    """Notes the number and tokens of each step, and stops in the training or validation that
    follows so many steps."""

    stops_with: type[BaseException] = Stop

    def __init__(self, options: TrainingOptions, stop: tuple[str, int] | None = None) -> None:
        torch.manual_seed(0)
        super().__init__(CONFIG, options)
        self.stop = stop
        self.seen: list[tuple[int, Tensor]] = []

    def training_step(self, batch: ModelBatch, index: int) -> Tensor:
        if self.stop == ("training", self.global_step):
            raise self.stops_with
        return super().training_step(self.note(batch), index)

    def note(self, batch: ModelBatch) -> ModelBatch:
        self.seen.append((self.global_step, batch.targets))
        return batch

    def validation_step(self, batch: ModelBatch, index: int) -> None:
        if self.stop == ("validation", self.global_step) and index == 1:
            raise self.stops_with
        super().validation_step(batch, index)


class Later(Recording):
    """One that stands at its second step, where the KL divergence counts."""

    global_step = 1


def random_windows(count: int, seed: int, steps: int = CONFIG.max_seq_len) -> Windows:
    """A scale of its own for each song, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    song = np.sort(rng.integers(0, 3, count)).astype(np.int32)
    notes = 30 + 10 * song[:, None, None] + rng.integers(0, 3, (count, steps, 3))
    return Windows(notes.astype(np.uint16), song, ["a.mid", "b.mid", "c.mid"])


def train(module: Recording, work: Path) -> Path:
    data = WindowsDataModule(random_windows(9, seed=1), random_windows(4, seed=2), module.options)
    return fit(module, data, module.options, work, device="cpu")


@pytest.mark.parametrize(("free_bits", "windows_above"), [(0.0, 3), (6.0, 2), (1000.0, 0)])
def test_objective(free_bits: float, windows_above: int) -> None:
    options = TrainingOptions(max_beta=0.7, free_bits=free_bits, seed=5)
    module = Later(options)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tokens = torch.from_numpy(random_windows(3, seed=0).tokens.astype(np.int64))
    loss = module.training_step(ModelBatch(tokens, tokens), 0)

    mean, stddev = (moment.detach().double() for moment in moments(module, tokens))
    kl = 0.5 * (mean**2 + stddev**2 - 1 - 2 * stddev.log()).sum(-1)
    free = (kl - free_bits * math.log(2)).clamp(min=0)
    assert int((free > 0).sum()) == windows_above
    z = mean + stddev * module.posterior_noise(3)
    logits = module.model.teacher_force(z.float(), tokens).detach().double()
    nats = torch.zeros(3, dtype=torch.float64)
    for part, scores in enumerate(logits.split(CONFIG.output_depths, -1)):
        chosen = tokens[..., part : part + 1]
        nats -= scores.log_softmax(-1).gather(-1, chosen).sum((1, 2))
    assert float(loss.detach()) == pytest.approx(float(nats.mean() + 0.7 * free.mean()), rel=1e-5)


def moments(module: MusicVAETraining, tokens: Tensor) -> tuple[Tensor, Tensor]:
    posterior = module.model.encode(tokens)
    return posterior.mean, posterior.stddev


def test_noise_is_normal_and_of_the_seed_and_step_alone() -> None:
    module = Recording(TrainingOptions(seed=3))
    noise = module.posterior_noise(5000)
    assert noise.shape == (5000, CONFIG.z_size) and noise.dtype == torch.float32
    assert abs(float(noise.mean())) < 0.03 and abs(float(noise.std()) - 1) < 0.03
    torch.manual_seed(99)
    assert torch.equal(module.posterior_noise(5000), noise)
    assert not torch.equal(Recording(TrainingOptions(seed=4)).posterior_noise(5000), noise)

    assert not torch.equal(Later(TrainingOptions(seed=3)).posterior_noise(5000), noise)


def test_learning_rate_schedule() -> None:
    options = TrainingOptions()
    for step in (0, 1, 2, 1000, 200_000):
        expected = (1e-3 - 1e-5) * 0.9999**step + 1e-5
        # Magenta computes it in float32.
        assert options.learning_rate_at(step) == pytest.approx(expected, rel=1e-4)
    assert options.learning_rate_at(0) == pytest.approx(1e-3)


def test_training_learns_and_logs(tmp_path: Path) -> None:
    options = TrainingOptions(
        batch_size=4, steps=40, validate_every=10, free_bits=0, learning_rate=0.02
    )
    module = Recording(options)
    best = train(module, tmp_path)
    assert [step for step, _ in module.seen] == list(range(40))
    nats = scores(tmp_path, "val/nats")
    assert len(nats) == 4 and nats[-1] < 0.8 * nats[0]
    assert nats[0] < 8 * (2 * math.log(90) + math.log(512))  # a guess among all classes
    for part in ("melody", "bass", "drums"):
        assert all(0 <= score <= 1 for score in scores(tmp_path, f"val/accuracy_{part}"))
    state = torch.load(best, map_location="cpu", weights_only=False)["state_dict"]
    assert set(state) == {f"model.{name}" for name in module.model.state_dict()}


def scores(work: Path, column: str) -> list[float]:
    """What a training logged under a name, over all its starts."""
    found = []
    for path in sorted(work.rglob("metrics.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found += [float(row[column]) for row in csv.DictReader(file) if row.get(column)]
    return found


def test_each_step_has_its_learning_rate_and_a_clipped_gradient(tmp_path: Path) -> None:
    options = TrainingOptions(
        batch_size=2, steps=3, validate_every=3, decay_rate=0.5, grad_clip=0.01
    )
    rates: list[float] = []
    norms: list[float] = []

    class Watched(Recording):
        def optimizer_step(self, *args: object, **kwargs: object) -> None:
            optimizer = self.optimizers()
            assert isinstance(optimizer, torch.optim.Optimizer)
            rates.extend(group["lr"] for group in optimizer.param_groups)
            super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]

        def on_train_batch_end(self, *_: object) -> None:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    train(Watched(options), tmp_path)
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)
    assert rates == [options.learning_rate_at(step) for step in range(3)]


OPTIONS = TrainingOptions(batch_size=2, steps=9, validate_every=3, free_bits=0, max_transpose=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Path]:
    """A training that nothing stops, and its folder."""
    module, work = Recording(OPTIONS), tmp_path_factory.mktemp("whole")
    train(module, work)
    return module, work


# Where it stops, the step that it then goes on with, and the seconds between saves.
@pytest.mark.parametrize(
    ("stop", "resumes_at", "save_every"),
    [
        (("training", 5), 5, 0),
        (("training", 5), 3, 1000),
        (("training", 6), 6, 0),
        (("validation", 6), 5, 0),
        (("training", 1), 0, 1000),
    ],
)
def test_a_stopped_training_goes_on_exactly(
    tmp_path: Path,
    whole: tuple[Recording, Path],
    monkeypatch: pytest.MonkeyPatch,
    stop: tuple[str, int],
    resumes_at: int,
    save_every: float,
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", save_every)
    stopped = Recording(OPTIONS, stop)
    with pytest.raises(Stop):
        train(stopped, tmp_path)
    resumed = Recording(OPTIONS)
    torch.manual_seed(99)
    best = train(resumed, tmp_path)

    assert [step for step, _ in stopped.seen] == list(range(stop[1]))
    assert [step for step, _ in resumed.seen] == list(range(resumes_at, 9))
    expect_the_same(resumed, best, *whole)
    expected = scores(whole[1], "val/nats")
    assert len(expected) == 3
    assert scores(tmp_path, "val/nats") == expected


def expect_the_same(resumed: Recording, best: Path, whole: Recording, work: Path) -> None:
    for (step, ours), (_, theirs) in zip(resumed.seen[::-1], whole.seen[::-1], strict=False):
        assert torch.equal(ours, theirs), step
    assert len({tokens.numpy().tobytes() for _, tokens in whole.seen}) == 9
    for (name, ours), theirs in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    kept, expected = (
        torch.load(path, map_location="cpu", weights_only=True)
        for path in (best, work / "best.ckpt")
    )
    assert kept["global_step"] == expected["global_step"]
    assert kept["validation_scores"] == expected["validation_scores"]
    for name, ours in kept["state_dict"].items():
        assert torch.equal(ours, expected["state_dict"][name]), name


@pytest.mark.parametrize("steps", [5, 6])
def test_a_finished_training_can_be_made_longer(
    tmp_path: Path, whole: tuple[Recording, Path], steps: int
) -> None:
    train(Recording(replace(OPTIONS, steps=steps)), tmp_path)
    longer = Recording(OPTIONS)
    best = train(longer, tmp_path)
    assert [step for step, _ in longer.seen] == list(range(steps, 9))
    expect_the_same(longer, best, *whole)
    assert scores(tmp_path, "val/nats") == scores(whole[1], "val/nats")


def test_an_average_of_the_weights_is_validated_and_kept(tmp_path: Path) -> None:
    share = 0.6
    options = replace(OPTIONS, average=share)
    steps: list[dict[str, Tensor]] = []

    class Watched(Recording):
        def on_train_batch_end(self, *_: object) -> None:
            steps.append({name: own.clone() for name, own in self.state_dict().items()})

    module = Watched(options)
    best = train(module, tmp_path / "whole")
    average = steps[0]
    for weights in steps[1:]:
        average = {name: share * own + (1 - share) * weights[name] for name, own in average.items()}
    last = torch.load(tmp_path / "whole" / "last.ckpt", map_location="cpu", weights_only=True)
    for name, own in module.state_dict().items():
        assert torch.allclose(last["state_dict"][name], average[name], atol=1e-7), name
        assert torch.equal(own, steps[-1][name])
    # The score is that of the average.
    module.load_state_dict(last["state_dict"])
    windows = random_windows(4, seed=2).tokens.astype(np.int64)
    batch = torch.from_numpy(windows)
    with torch.no_grad():
        mean, _ = moments(module, batch)
        logits = module.model.teacher_force(mean, batch)
        nats = module.model.reconstruction_loss(logits, batch).mean()
    assert scores(tmp_path / "whole", "val/nats")[-1] == pytest.approx(float(nats), rel=1e-5)

    # Stopped, and made longer, a training goes on from the trained weights and their average.
    with pytest.raises(KeyboardInterrupt):
        stopped = Signalled(replace(options, steps=6), ("training", 3))
        stopped.signals = (signal.SIGINT,)
        train(stopped, tmp_path / "parts")
    train(Recording(replace(options, steps=6)), tmp_path / "parts")
    resumed = Recording(options)
    again = train(resumed, tmp_path / "parts")
    for name, own in resumed.state_dict().items():
        assert torch.equal(own, steps[-1][name]), name
    kept, expected = (
        torch.load(path, map_location="cpu", weights_only=True) for path in (again, best)
    )
    for name, own in expected["state_dict"].items():
        assert torch.equal(kept["state_dict"][name], own), name
    with pytest.raises(OptionError, match="keeps an average of the weights, and none is asked now"):
        train(Recording(OPTIONS), tmp_path / "parts")


def test_the_average_goes_to_the_device_of_the_module() -> None:
    average, module = ExponentialAverage(0.6), Recording(OPTIONS)
    trainer = lightning.Trainer(accelerator="cpu", logger=False)
    average.setup(trainer, module, "fit")
    average.on_train_start(trainer, module.to("meta"))
    held = average._average_model
    assert held is not None and {own.device.type for own in held.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("named", [True, False])
def test_a_training_goes_on_by_the_error_of_grooves_that_it_had(
    tmp_path: Path, named: bool
) -> None:
    config = tiny("groovae_2bar_humanize")
    windows = made_up(config, 4)

    def go_on(error: str, steps: int) -> None:
        options = TrainingOptions.of(config, batch_size=2, steps=steps, groove_error=error)
        data = WindowsDataModule(windows, windows, options, config)
        fit(MusicVAETraining(config, options), data, options, tmp_path, device="cpu")

    go_on("squared", 1)
    if not named:  # as before there was a choice
        last = torch.load(tmp_path / "last.ckpt", weights_only=True)
        del last["groove_error"]
        torch.save(last, tmp_path / "last.ckpt")
    with pytest.raises(OptionError, match="has groove-error squared, and absolute is asked now"):
        go_on("absolute", 2)
    go_on("squared", 2)


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    options = TrainingOptions(batch_size=2, steps=5, validate_every=2)
    first = Recording(options)
    best = train(first, tmp_path)
    before = best.read_bytes()
    logged = scores(tmp_path, "val/nats")
    again = Recording(options)
    assert train(again, tmp_path) == best and best.read_bytes() == before
    assert again.seen == []
    assert scores(tmp_path, "val/nats") == logged
    for ours, theirs in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class Signalled(Recording):
    """Is sent signals in the training or validation that follows so many steps."""

    signals: tuple[signal.Signals, ...] = ()

    def training_step(self, batch: ModelBatch, index: int) -> Tensor:
        if self.stop == ("training", self.global_step):
            self.send()
        return MusicVAETraining.training_step(self, self.note(batch), index)

    def validation_step(self, batch: ModelBatch, index: int) -> None:
        if self.stop == ("validation", self.global_step):
            self.send()
        MusicVAETraining.validation_step(self, batch, index)

    def send(self) -> None:
        self.stop = None
        for number in self.signals:
            signal.raise_signal(number)


# A signal ends the training after its step, or after the validation that is due or under way.
@pytest.mark.parametrize(
    ("stop", "signals", "resumes_at"),
    [
        (("training", 4), (signal.SIGINT,), 5),
        (("training", 5), (signal.SIGTERM,), 6),
        (("validation", 6), (signal.SIGINT,), 6),
        (("training", 0), (signal.SIGINT,), 1),
        (("training", 4), (signal.SIGINT, signal.SIGINT), 3),
    ],
)
def test_ctrl_c_loses_nothing(
    tmp_path: Path,
    whole: tuple[Recording, Path],
    stop: tuple[str, int],
    signals: tuple[signal.Signals, ...],
    resumes_at: int,
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopped = Signalled(OPTIONS, stop)
    stopped.signals = signals
    with pytest.raises(KeyboardInterrupt):
        train(stopped, tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed = Recording(OPTIONS)
    best = train(resumed, tmp_path)
    assert [step for step, _ in resumed.seen] == list(range(resumes_at, 9))
    expect_the_same(resumed, best, *whole)
    assert scores(tmp_path, "val/nats") == scores(whole[1], "val/nats")


def test_all_randomness_goes_on_exactly(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"batch_size": 2, "steps": 6, "validate_every": 4, "accumulate": 2}
    config = tiny("cat-mel_2bar_small")
    options = TrainingOptions.of(
        config, **changes, sampling_rate=2.0, dropout_keep_prob=0.5, draw="sources"
    )

    class Listening(MusicVAETraining):
        stop_at = -1

        def on_train_batch_start(self, batch: object, index: int) -> None:
            super().on_train_batch_start(batch, index)
            if index == self.stop_at:
                signal.raise_signal(signal.SIGINT)

    def run(work: Path, stop_at: int = -1) -> MusicVAETraining:
        torch.manual_seed(0)
        module = Listening(config, options)
        module.stop_at = stop_at
        torch.manual_seed(stop_at)  # which nothing may depend on
        windows = made_up(config, 9), made_up(config, 4, seed=1)
        fit(module, WindowsDataModule(*windows, options, config), options, work, "cpu")
        return module

    expected = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_at=4)  # amid the third step of two batches each
    resumed = run(tmp_path / "stopped")
    for ours, theirs in zip(resumed.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for score in ("val/nats", "val/nats_sampled", "val/kl"):
        assert scores(tmp_path / "stopped", score) == scores(tmp_path / "whole", score)
    assert len(scores(tmp_path / "whole", "val/nats")) == 1


class InOrder(WindowsDataModule):
    """Gives the windows one after the other."""

    def batch(self, windows: Windows, rows: np.ndarray, tokens: np.ndarray) -> ModelBatch:
        self.given = getattr(self, "given", -len(rows)) + len(rows)
        rows = (self.given + np.arange(len(rows))) % len(windows.tokens)
        return super().batch(windows, rows, windows.tokens[rows])


def test_accumulated_batches_are_one_large_one(tmp_path: Path) -> None:
    config = tiny("cat-mel_2bar_med_chords")
    chosen: dict[str, Any] = {"steps": 1, "max_transpose": 0, "grad_clip": 1e9}

    def gradient(batch_size: int, accumulate: int) -> Tensor:
        options = TrainingOptions.of(config, batch_size=batch_size, accumulate=accumulate, **chosen)
        torch.manual_seed(0)
        found: list[Tensor] = []

        class Silent(MusicVAETraining):
            def posterior_noise(self, batch: int, number: int | None = None) -> Tensor:
                return torch.zeros(batch, 4)

            def configure_gradient_clipping(self, *_: object, **__: object) -> None:
                named = dict(self.model.named_parameters())
                gradient = named["decoder.cores.0.output.weight"].grad
                assert gradient is not None
                found.append(gradient.clone())

        module = Silent(config, options)
        data = InOrder(made_up(config, 6), made_up(config, 4), options, config)
        lightning.Trainer(
            limit_val_batches=0,
            max_steps=1,
            accumulate_grad_batches=accumulate,
            logger=False,
            accelerator="cpu",
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, data)
        return found[0]

    assert torch.allclose(gradient(6, 1), gradient(2, 3), atol=1e-6)


SMALL = get_config("hier-trio_16bar", z_size=4, enc_rnn_size=(8,), dec_rnn_size=(8,))


def write_windows(path: Path, count: int, seed: int) -> Path:
    """The parts of a data set's file that training reads."""
    windows = random_windows(count, seed, SMALL.max_seq_len)
    with h5py.File(path, "w") as file:
        file["tokens"], file["song"] = windows.tokens, windows.song
        file.create_dataset("songs", data=windows.songs, dtype=h5py.string_dtype())
    return path


@pytest.mark.parametrize("store", ["float32", "float16"])
def test_the_best_weights_are_kept(tmp_path: Path, store: str) -> None:
    data = write_windows(tmp_path / "train.h5", count=9, seed=1)
    validation = write_windows(tmp_path / "validation.h5", count=4, seed=2)
    # The rate grows tenfold a step, so that the last weights are not the best.
    options = TrainingOptions(batch_size=4, steps=6, validate_every=1, decay_rate=10.0, seed=4)
    out = train_musicvae(
        data, validation, tmp_path / "model", SMALL, options, device="cpu", store=store
    )

    best = torch.load(tmp_path / "model.training" / "best.ckpt", weights_only=True)
    logged = scores(tmp_path / "model.training", "val/nats")
    assert len(logged) == 6 and min(logged) < logged[-1]
    record = read_config(out)["training"]
    assert record["best"]["step"] == best["global_step"] == logged.index(min(logged)) + 1
    assert record["best"]["val/nats"] == pytest.approx(min(logged))
    assert record["data"]["training"] == {"songs": 3, "windows": 9}
    assert record["options"]["seed"] == 4
    model = MusicVAE.from_pretrained(out)
    assert model.config == SMALL
    for name, ours in model.state_dict().items():
        theirs = best["state_dict"][f"model.{name}"]
        assert torch.equal(ours, theirs.to(getattr(torch, store)).float()), name


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    data = write_windows(tmp_path / "data.h5", count=4, seed=1)

    def trained(seed: int, name: str) -> bytes:
        options = TrainingOptions(batch_size=2, steps=1, seed=seed)
        out = train_musicvae(data, data, tmp_path / name, SMALL, options, device="cpu")
        return (out / "model.safetensors").read_bytes()

    first = trained(1, "first")
    assert trained(1, "again") == first and trained(2, "other") != first


def test_a_training_shorter_than_a_validation_still_has_a_best(tmp_path: Path) -> None:
    options = TrainingOptions(batch_size=2, steps=2, validate_every=500)
    assert train(Recording(options), tmp_path).is_file()
