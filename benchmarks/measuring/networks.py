"""The networks that benchmarks/gpu.py runs, and what it has them do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from measuring.work import Machine, Stage, limit
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ModelBatch, MusicVAETraining, TrainingOptions
from surrogate.band.config import BandConfig
from surrogate.band.model import Band, Controls
from surrogate.band.sampling import sample
from surrogate.training.band.data import BandBatch
from surrogate.training.band.module import BandTraining, melody_given, token_losses

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
FULL = "hierdec-trio_16bar"
SONG_BARS = 64
_STEPS = 16


@dataclass
class Task:
    """Something to time.

    Attributes:
        call: does it once.
        unit: what it does `count` of, such as windows.
        limit: the least time it can take on a machine, in seconds.
    """

    call: Callable[[], object]
    unit: str
    count: int
    limit: Callable[[str, Machine], float]


class Trio:
    """A MusicVAE of trios.

    Args:
        model: on the CPU.
        device: where it runs.
    """

    operations = ("encode", "teacher-forced pass", "sample", "train")

    def __init__(self, model: MusicVAE, device: torch.device) -> None:
        self.model, self.device = model.to(device), device
        self._training: Callable[[ModelBatch], object] | None = None

    def task(self, operation: str, batch: int, dtype: str) -> Task:
        config, device = self.model.config, self.device
        shape = batch, config.max_seq_len
        parts = [torch.randint(0, depth, shape, device=device) for depth in config.output_depths]
        windows, z = torch.stack(parts, -1), torch.randn(batch, config.z_size, device=device)
        self.model.multiply_in("bfloat16" if dtype == "bfloat16" else "float32")
        calls: dict[str, Callable[[], object]] = {
            "encode": lambda: self.model.encode(windows).mean,
            "teacher-forced pass": lambda: self.model.teacher_force(z, windows),
            "sample": lambda: self.model.decode(z, temperature=0.5),
        }
        if operation == "train":
            step = _training_step(MusicVAETraining(config, _options(), self.model), device, dtype)
            call: Callable[[], object] = lambda: step(ModelBatch(windows, windows))  # noqa: E731
        else:
            call = _without_gradient(calls[operation])
        return Task(
            call, "windows", batch, lambda kind, on: limit(operation, config, batch, kind, on)
        )


class Bands:
    """A band network; "sample" plays the bass and drums of songs of 64 bars."""

    operations = ("teacher-forced pass", "sample", "train")

    def __init__(self, band: Band, device: torch.device, bars: int = SONG_BARS) -> None:
        self.band, self.device, self.bars = band.to(device), device, bars

    def task(self, operation: str, batch: int, dtype: str) -> Task:
        self.band.multiply_in("bfloat16" if dtype == "bfloat16" else "float32")
        if operation == "sample":
            return self._play(batch)
        lesson = melody_given(_songs(batch, 16, self.device))
        style = torch.zeros(batch, self.band.config.style_size, device=self.device)
        lesson = lesson._replace(style=style)
        if operation == "train":
            step = _training_step(
                BandTraining(self.band.config, _options(), self.band), self.device, dtype
            )
            call: Callable[[], object] = lambda: step(lesson)  # noqa: E731
        else:
            low = dtype == "bfloat16"

            def forced() -> object:
                with _autocast(self.device, low):
                    return token_losses(self.band, lesson, style[:, None])

            call = _without_gradient(forced)
        passes = 3 if operation == "train" else 1
        stage = Stage(passes, batch * 16 * _STEPS, self._weights())
        return Task(call, "windows", batch, stage.seconds)

    def _play(self, batch: int) -> Task:
        songs = melody_given(_songs(batch, self.bars, self.device)).given
        steps, config = songs.shape[1], self.band.config
        stage = Stage(steps, batch, self._weights())
        # Keys and values of all steps so far, in float32.
        seen = sum(min(step, config.context) for step in range(steps))
        read = 2 * 4 * batch * config.width * config.player_layers * seen

        def least(dtype: str, on: Machine) -> float:
            return stage.seconds(dtype, on) + read / on.reading(read)

        call = _without_gradient(lambda: sample(self.band, songs, Controls(), numbers=range(batch)))
        return Task(call, f"bands of {self.bars} bars", batch, least)

    def _weights(self) -> int:
        """Numbers of the matrices by which a step is multiplied."""
        return sum(weight.numel() for weight in self.band.matrices())


def networks(
    names: Sequence[str], device: torch.device, tiny: bool
) -> dict[str, Callable[[], Trio | Bands]]:
    """Networks by name, made when they are called: "full", "default" and "band"; if `tiny`, of a
    few units, to try things out."""
    sizes: dict[str, Any] = {"enc_rnn_size": (8,), "dec_rnn_size": (8,), "z_size": 4}

    def trio(config: MusicVAEConfig) -> Trio:
        torch.manual_seed(0)
        return Trio(MusicVAE(config).eval(), device)

    def shipped() -> Trio:
        if tiny:
            return trio(get_config("hier-trio_16bar", **sizes))
        return Trio(MusicVAE.from_pretrained(CHECKPOINTS / "trio_16bar_small"), device)

    def band() -> Bands:
        if tiny:
            small = BandConfig(width=16, heads=2, listener_layers=1, player_layers=1, style_size=4)
            return Bands(Band(small).eval(), device, bars=1)
        return Bands(Band.from_pretrained(CHECKPOINTS / "trio_16bar_small_band").eval(), device)

    every: dict[str, Callable[[], Trio | Bands]] = {
        "full": lambda: trio(get_config(FULL, **sizes) if tiny else get_config(FULL)),
        "default": shipped,
        "band": band,
    }
    return {name: every[name] for name in names}


def _songs(batch: int, bars: int, device: torch.device) -> Tensor:
    """(batch, steps, 3) classes drawn at random."""
    shape = batch, bars * _STEPS
    parts = [torch.randint(0, depth, shape, device=device) for depth in (90, 90, 512)]
    return torch.stack(parts, -1)


def _options() -> TrainingOptions:
    return TrainingOptions(optimizer="adam")


def _autocast(device: torch.device, low: bool) -> Any:
    return torch.autocast(device.type, torch.bfloat16) if low else nullcontext()


def _without_gradient(call: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return call()

    return run


def _training_step(
    module: MusicVAETraining | BandTraining, device: torch.device, dtype: str
) -> Callable[[Any], object]:
    """Forward and backward pass, clipping and the optimiser's step, as in a training."""
    from musicvae_torch.training.optimizer import clip_gradients

    module = module.to(device).train()
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[assignment]
    optimizer = module.configure_optimizers()

    def step(batch: ModelBatch | BandBatch) -> object:
        with _autocast(device, dtype == "bfloat16"):
            loss = module.training_step(batch, 0)  # type: ignore[arg-type]
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(module.parameters(), 1.0, 1e6)
        optimizer.step()
        return loss

    return step
