"""Running a training with Lightning's Trainer, so that it can be stopped and goes on exactly."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.multiprocessing.spawn import ProcessExitedException

from musicvae_torch.errors import OptionError
from musicvae_torch.io.hardware import Hardware
from musicvae_torch.kernels.recurrence import compile_recurrence
from musicvae_torch.training.averaging import ExponentialAverage
from musicvae_torch.training.memory import keep_freed_memory
from musicvae_torch.training.options import TrainingOptions
from musicvae_torch.training.resuming import check_resumable

SAVE_EVERY = 60.0  # seconds
STOPPED = 130  # exit status of a process that was asked to stop

# Warnings of Lightning that do not concern the user.
_HARMLESS = ("LeafSpec", "Checkpoint directory", "does not have many workers", "Starting from v1.9")


class KeepLast(Checkpoint):
    """Saves the checkpoint from which a stopped training goes on: now and then, and when it stops.

    It saves only between two steps where no validation is due, and after a validation: from
    anywhere else Lightning would go on with a step, or part of a validation, left out. The first
    Ctrl-C, or SIGTERM, ends the training at the next such place; the second at once.

    Args:
        path: of the checkpoint.
        validate_every: steps between validations.
    """

    def __init__(self, path: Path, validate_every: int) -> None:
        self.path = path
        self.validate_every = validate_every
        self.saved = time.monotonic()
        self.asked = False
        self._handlers: dict[int, Any] = {}
        self._trainer: lightning.Trainer | None = None

    def __getstate__(self) -> dict[str, Any]:
        # For another process, which has handlers and a trainer of its own.
        return self.__dict__ | {"_handlers": {}, "_trainer": None}

    def install(self, trainer: lightning.Trainer) -> None:
        """Handle SIGINT and SIGTERM by stopping the training, until :meth:`restore`."""
        self._trainer = trainer
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self.handle_signal)
            if before != self.handle_signal:
                self._handlers.setdefault(number, before)

    def restore(self) -> None:
        """Put back the handlers that :meth:`install` replaced."""
        self._trainer = None
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        self._handlers = {}

    def handle_signal(self, number: int, _frame: FrameType | None) -> None:
        """Ask the training to stop at the next safe place; the second signal stops it at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        trainer = self._trainer
        processes = getattr(getattr(trainer, "strategy", None), "launcher", None)
        if number == signal.SIGTERM:  # which, unlike Ctrl-C, reaches only this process
            for process in getattr(processes, "procs", []):
                os.kill(process.pid, number)
        if trainer is None or trainer.global_rank == 0:
            message = "\nstopping after this step or validation (once more: at once)"
            print(message, file=sys.stderr, flush=True)

    def on_train_start(self, trainer: lightning.Trainer, *_: object) -> None:
        self.install(trainer)  # in each process, and after Lightning's own handlers

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        _module: lightning.LightningModule,
        _outputs: object,
        _batch: object,
        index: int,
    ) -> None:
        if (index + 1) % trainer.accumulate_grad_batches:
            return  # amid a step
        if trainer.global_step % self.validate_every == 0:
            return  # a validation is due
        if self._agree(trainer, self.asked or time.monotonic() - self.saved >= SAVE_EVERY):
            self._save(trainer)
            self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, *_: object) -> None:
        self._save(trainer)
        self._stop_if_asked(trainer)

    def on_train_end(self, trainer: lightning.Trainer, *_: object) -> None:
        self._save(trainer)

    def _stop_if_asked(self, trainer: lightning.Trainer) -> None:
        if self._agree(trainer, self.asked):
            # With "ddp", the first process reports the stop; the others must not seem to fail.
            spawned = hasattr(trainer.strategy.launcher, "_start_method")
            raise SystemExit(STOPPED if spawned or trainer.is_global_zero else 0)

    @staticmethod
    def _agree(trainer: lightning.Trainer, any_asks: bool) -> bool:
        """Whether any process asks for it: all must save, and stop, at the same step."""
        return bool(trainer.strategy.reduce_boolean_decision(any_asks, all=False))

    def _save(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        self.saved = time.monotonic()


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    options: TrainingOptions,
    work: str | Path,
    device: str | Hardware = "auto",
    monitor: str = "val/nats",
) -> Path:
    """Train until `options.steps`, or go on where a training in `work` was stopped.

    Args:
        module, data: the training, and its windows.
        options: steps, clipping, validation.
        work: folder for checkpoints (the last and the best), for the metrics.csv of each start, and
            for TensorBoard's files.
        device: "auto", "cpu" or "cuda"; or the whole hardware.
        monitor: the validation score whose lowest value is the best.

    Returns:
        The best checkpoint so far. If several processes train, only the first returns; the others
        of strategy "ddp" end here.

    Raises:
        OptionError: `work` holds the training of another model, or one with another optimiser,
            score or error of grooves, or with an average where this has none, or the reverse; or
            the hardware is not there.
        KeyboardInterrupt: the training was stopped, by Ctrl-C or SIGTERM; its state is in `work`.
    """
    work = Path(work)
    hardware = device if isinstance(device, Hardware) else Hardware(device)
    machine = hardware.trainer_arguments()
    naming: dict[str, Any] = {"filename": "best", "enable_version_counter": False}
    best = ModelCheckpoint(work, monitor=monitor, **naming)
    last = work / "last.ckpt"
    validate_every = min(options.validate_every, options.steps)  # at least once, to have a best
    resumes = last.is_file()
    if resumes:
        check_resumable(last, module, monitor, options)
    if machine["accelerator"] == "cpu":
        keep_freed_memory()
        if options.fuse:
            compile_recurrence()
    keep = KeepLast(last, validate_every)
    averages = [ExponentialAverage(options.average)] if options.average else []
    if not getattr(rank_zero_only, "rank", 0):
        print(_described(machine, options), file=sys.stderr, flush=True)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    trainer = _trainer(
        machine,
        max_steps=options.steps,
        # Lightning counts batches here.
        val_check_interval=validate_every * options.accumulate,
        check_val_every_n_epoch=None,
        accumulate_grad_batches=options.accumulate,
        use_distributed_sampler=False,
        callbacks=[best, keep, TQDMProgressBar(refresh_rate=10), *averages],
        logger=_loggers(work),
        log_every_n_steps=50,
        num_sanity_val_steps=0,
    )
    with _stops_as_asked(keep, trainer), warnings.catch_warnings():
        for harmless in _HARMLESS:
            warnings.filterwarnings("ignore", f".*{harmless}")
        trainer.fit(module, data, ckpt_path=str(last) if resumes else None)
    if not trainer.is_global_zero:
        raise SystemExit(0)
    return Path(best.best_model_path)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's does not recommend its authors' other products."""
    return "Tip: For seamless cloud" not in record.getMessage()


def _described(machine: dict[str, Any], options: TrainingOptions) -> str:
    """On what a training runs, by :meth:`Hardware.trainer_arguments`."""
    gpu = machine["accelerator"] == "gpu"
    device = f"cuda ({torch.cuda.get_device_name()})" if gpu else "cpu"
    idle = "; fuse is for CPUs and does nothing here" if gpu and options.fuse else ""
    return f"training on {device}, precision {machine['precision']}{idle}"


def _trainer(machine: dict[str, Any], **arguments: Any) -> lightning.Trainer:
    """A Trainer on hardware of :meth:`Hardware.trainer_arguments`.

    Raises:
        OptionError: Lightning knows no such strategy or precision, or has not so many devices.
    """
    try:
        return lightning.Trainer(**machine, **arguments)
    except (ValueError, MisconfigurationException) as error:
        raise OptionError(" ".join(str(error).split())) from None


@contextmanager
def _stops_as_asked(keep: KeepLast, trainer: lightning.Trainer) -> Iterator[None]:
    """A context in which the exceptions that end a stopped training become KeyboardInterrupt."""
    keep.install(trainer)
    try:
        yield
    except SystemExit:  # ours, or Lightning's answer to a second Ctrl-C
        if not trainer.is_global_zero:
            raise
        raise KeyboardInterrupt from None
    except ProcessExitedException as error:
        if error.exit_code != STOPPED:
            raise
        raise KeyboardInterrupt from None
    finally:
        keep.restore()


def _loggers(work: Path) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(work, name="log")]
    if find_spec("tensorboard"):
        # One folder for all starts: TensorBoard joins their curves.
        loggers.append(TensorBoardLogger(work, name="", version="tensorboard"))
    return loggers
