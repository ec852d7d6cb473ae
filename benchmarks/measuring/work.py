"""What a network cannot do without: weights to be read, and numbers to be multiplied.

A stage is one product that is repeated, of some rows with the same weights: no run of it is quicker
than its weights come out of memory, nor than its multiplications take.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from measuring import machine
from musicvae_torch.config import MusicVAEConfig

SIZES = {"float32": 4, "TF32": 4, "bfloat16": 2, "int8": 1}


class Machine(Protocol):
    """What can be done on it in a second: :mod:`measuring.machine` measures a CPU,
    :mod:`measuring.gpu` a GPU."""

    def reading(self, size: int) -> float:
        """Bytes, of as many that are read again and again."""

    def multiplying(self, dtype: str) -> float:
        """Multiplications (and additions) in large products."""


class Stage(NamedTuple):
    """A product: times it is repeated, rows each time, numbers of its weights."""

    repeats: int
    rows: int
    weights: int

    def seconds(self, dtype: str, on: Machine = machine) -> float:
        """The least time there is for it on a machine."""
        size = self.weights * SIZES[dtype]
        read = self.repeats * size / on.reading(size)
        return max(read, self.repeats * self.rows * self.weights / on.multiplying(dtype))


def layers_of(units: tuple[int, ...], steps: int, rows: int, dense: int) -> list[Stage]:
    """Stages of a stack whose lowest layer multiplies inputs of width `dense` (one-hot rows are
    looked up): input products of all steps at once, recurrent ones step by step."""
    stages = []
    for size in units:
        if dense:
            stages.append(Stage(1, steps * rows, 4 * size * dense))
        stages.append(Stage(steps, rows, 4 * size * size))
        dense = size
    return stages


def encoding(config: MusicVAEConfig, batch: int) -> list[Stage]:
    units = config.enc_rnn_size
    levels = config.encoder_level_lengths or (config.max_seq_len,)
    stages, dense, steps = [], 0, config.max_seq_len
    for length in levels:
        rows = batch * steps // length
        for index, size in enumerate(units):
            below = dense if index == 0 else 2 * units[index - 1]
            for _ in range(2):  # directions
                if below:
                    stages.append(Stage(1, length * rows, 4 * size * below))
                stages.append(Stage(length, rows, 4 * size * size))
        dense, steps = 2 * units[-1], steps // length
    return [*stages, Stage(1, batch, 2 * 2 * units[-1] * config.z_size)]


def _decoding(config: MusicVAEConfig, batch: int) -> tuple[list[Stage], int, int]:
    """Stages before the core decoders, and their segments and steps a segment."""
    units = config.dec_rnn_size
    segments, steps = config.decoder_level_lengths or (1, config.max_seq_len)
    stages = []
    if config.decoder_level_lengths:
        stages.append(Stage(1, batch, 2 * sum(units) * config.z_size))
        stages += layers_of(units, segments, batch, 0)
    width = units[-1] if config.decoder_level_lengths else config.z_size
    for _ in config.core_depths:
        stages.append(Stage(1, batch * segments, (4 * units[0] + 2 * sum(units)) * width))
    return stages, segments, steps


def teacher_forcing(config: MusicVAEConfig, batch: int) -> list[Stage]:
    stages, segments, steps = _decoding(config, batch)
    for depths in config.core_depths:
        rows = batch * segments
        stages += layers_of(config.dec_rnn_size, steps, rows, 0)
        stages.append(Stage(1, rows * steps, sum(depths) * config.dec_rnn_size[-1]))
    return stages


def sampling(config: MusicVAEConfig, batch: int) -> list[Stage]:
    """Every step reads all of the core decoders' weights: one stage, as none of them can stay."""
    stages, segments, steps = _decoding(config, batch)
    units = config.dec_rnn_size
    weights = 0
    for depths in config.core_depths:
        below = (0, *units[:-1])
        weights += sum(4 * size * (size + lower) for size, lower in zip(units, below, strict=True))
        weights += sum(depths) * units[-1]
    return [*stages, Stage(segments * steps, batch, weights)]


STAGES = {"encode": encoding, "teacher-forced pass": teacher_forcing, "sample": sampling}


def training(config: MusicVAEConfig, batch: int) -> list[Stage]:
    """Two products of a backward pass for each of a forward one."""
    stages = [*encoding(config, batch), *teacher_forcing(config, batch)]
    return [stage._replace(repeats=3 * stage.repeats) for stage in stages]


STAGES["train"] = training


def limit(
    operation: str, config: MusicVAEConfig, batch: int, dtype: str, on: Machine = machine
) -> float:
    """The least time that an operation can take on a machine, in seconds."""
    return sum(stage.seconds(dtype, on) for stage in STAGES[operation](config, batch))
