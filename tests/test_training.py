"""Training: the objective, the schedule, and that a stopped training goes on as if it had not."""

from __future__ import annotations

import csv
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset import Windows
from musicvae_torch.training import MusicVAETraining, TrainingOptions, WindowsDataModule, fit

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


class Stop(Exception):
    """What stops a training here."""


class Recording(MusicVAETraining):
    """Notes the number and tokens of each step, and stops in the training or validation that
    follows so many steps."""

    def __init__(self, options: TrainingOptions, stop: tuple[str, int] | None = None) -> None:
        torch.manual_seed(0)
        super().__init__(CONFIG, options)
        self.stop = stop
        self.seen: list[tuple[int, Tensor]] = []

    def training_step(self, tokens: Tensor, index: int) -> Tensor:
        if self.stop == ("training", self.global_step):
            raise Stop
        self.seen.append((self.global_step, tokens))
        return super().training_step(tokens, index)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        if self.stop == ("validation", self.global_step) and index == 1:
            raise Stop
        super().validation_step(batch, index)


@pytest.fixture(autouse=True)
def quiet_lightning() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def random_windows(count: int, seed: int) -> Windows:
    """A scale of its own for each song, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    song = np.sort(rng.integers(0, 3, count)).astype(np.int32)
    notes = 30 + 10 * song[:, None, None] + rng.integers(0, 3, (count, CONFIG.max_seq_len, 3))
    return Windows(notes.astype(np.uint16), song, ["a.mid", "b.mid", "c.mid"])


def train(module: Recording, work: Path) -> Path:
    data = WindowsDataModule(random_windows(9, seed=1), random_windows(4, seed=2), module.options)
    return fit(module, data, module.options, work, device="cpu")


@pytest.mark.parametrize("free_bits", [0.0, 2.0, 1000.0])
def test_objective(free_bits: float) -> None:
    options = TrainingOptions(max_beta=0.7, free_bits=free_bits, seed=5)
    module = Recording(options)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tokens = torch.from_numpy(random_windows(3, seed=0).tokens.astype(np.int64))
    loss = module.training_step(tokens, 0)

    mean, stddev = (moment.detach().double() for moment in moments(module, tokens))
    kl = 0.5 * (mean**2 + stddev**2 - 1 - 2 * stddev.log()).sum(-1)
    free = (kl - free_bits * math.log(2)).clamp(min=0)
    assert (free == 0).all() if free_bits == 1000 else (free > 0).any()
    z = mean + stddev * module.posterior_noise(3)
    logits = module.model.teacher_force(z.float(), tokens).detach().double()
    nats = torch.zeros(3, dtype=torch.float64)
    for part, scores in enumerate(logits.split(CONFIG.output_depths, -1)):
        chosen = tokens[..., part : part + 1]
        nats -= scores.log_softmax(-1).gather(-1, chosen).sum((1, 2))
    assert float(loss) == pytest.approx(float(nats.mean() + 0.7 * free.mean()), rel=1e-5)


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


def test_learning_rate_schedule() -> None:
    options = TrainingOptions()
    for step in (0, 1, 2, 1000, 200_000):
        expected = (1e-3 - 1e-5) * 0.9999**step + 1e-5
        assert options.learning_rate_at(step) == pytest.approx(expected, rel=1e-12)
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


def test_each_step_has_its_learning_rate(tmp_path: Path) -> None:
    options = TrainingOptions(batch_size=2, steps=3, validate_every=3, decay_rate=0.5)
    rates = []

    class Watched(Recording):
        def optimizer_step(self, *args: object, **kwargs: object) -> None:
            optimizer = self.optimizers()
            assert isinstance(optimizer, torch.optim.Optimizer)
            rates.extend(group["lr"] for group in optimizer.param_groups)
            super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]

    train(Watched(options), tmp_path)
    assert rates == [options.learning_rate_at(step) for step in range(3)]


@pytest.mark.parametrize("stop", [("training", 3), ("training", 4), ("validation", 4)])
def test_a_stopped_training_goes_on_exactly(tmp_path: Path, stop: tuple[str, int]) -> None:
    options = TrainingOptions(batch_size=2, steps=6, validate_every=2, free_bits=0, max_transpose=2)
    whole = Recording(options)
    train(whole, tmp_path / "whole")

    stopped = Recording(options, stop)
    with pytest.raises(Stop):
        train(stopped, tmp_path / "stopped")
    resumed = Recording(options)
    torch.manual_seed(99)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.zero_()
    train(resumed, tmp_path / "stopped")

    assert [step for step, _ in stopped.seen] == list(range(stop[1]))
    assert [step for step, _ in resumed.seen] == list(range(stop[1], 6))
    for (_, ours), (_, theirs) in zip(stopped.seen + resumed.seen, whole.seen, strict=True):
        assert torch.equal(ours, theirs)
    assert len({tokens.numpy().tobytes() for _, tokens in whole.seen}) == 6
    for (name, ours), theirs in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    logged = scores(tmp_path / "whole", "val/nats")
    assert len(logged) == 3 and scores(tmp_path / "stopped", "val/nats") == logged


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


def test_a_training_shorter_than_a_validation_still_has_a_best(tmp_path: Path) -> None:
    options = TrainingOptions(batch_size=2, steps=2, validate_every=500)
    assert train(Recording(options), tmp_path).is_file()
