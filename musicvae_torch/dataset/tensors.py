"""Tokens of windows, as converters make them → what the model takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.registry import get_converter

Batch = tuple[Tensor, Tensor | None, Tensor | None]  # inputs, lengths, controls


class ModelBatch(NamedTuple):
    """What a MusicVAE takes of a batch of windows.

    Attributes:
        inputs: of the encoder, (batch, steps, input_depth); or classes (batch, steps, parts).
        targets: of the decoder, (batch, steps, output_depth); or classes.
        lengths: (batch, segments) steps that count; None: all.
        controls: (batch, steps, control_depth); None: the config has none.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    controls: Tensor | None = None

    def on(self, device: torch.device) -> ModelBatch:
        """The same on a device."""
        moved = (None if part is None else part.to(device) for part in self)
        return ModelBatch(*moved)  # type: ignore[arg-type]


def model_batch(
    config: MusicVAEConfig, tokens: np.ndarray, lengths: np.ndarray | None = None
) -> ModelBatch:
    """A batch of a config's windows.

    Args:
        tokens: (batch, steps, parts), as the config's converter has them.
        lengths: (batch, segments) steps that count; None: all.
    """
    inputs, length_tensor, controls = encoder_arguments(config, tokens, lengths)
    targets = target_tensor(config, tokens)
    return ModelBatch(inputs, targets, length_tensor, controls)


def encoder_arguments(
    config: MusicVAEConfig, tokens: np.ndarray, lengths: np.ndarray | None
) -> Batch:
    """What :meth:`MusicVAE.encode` takes of windows: classes where it can, which is faster.

    Args:
        config: of the model.
        tokens: (windows, steps, parts) of the config's converter.
        lengths: (windows,) or (windows, segments) steps that count; None: all.

    Returns:
        Inputs, lengths and controls, on the CPU; None where there are none.
    """
    if config.output == "categorical" and config.input_depth == config.output_depth:
        inputs = _classes(config, tokens)
    else:
        inputs = torch.from_numpy(get_converter(config).inputs(tokens).astype(np.float32))
    counts = None if lengths is None else torch.from_numpy(lengths.astype(np.int64))
    return inputs, counts, window_controls(config, tokens)


def target_tensor(config: MusicVAEConfig, tokens: np.ndarray) -> Tensor:
    """What :meth:`MusicVAE.teacher_force` takes as targets of windows (windows, steps, parts):
    classes where it can."""
    if config.output == "categorical":
        return _classes(config, tokens)
    rows = get_converter(config).outputs(tokens)
    return torch.from_numpy(np.ascontiguousarray(rows, np.float32))


def window_controls(config: MusicVAEConfig, tokens: np.ndarray) -> Tensor | None:
    """(windows, steps, control_depth) that the model is told of windows besides; None: nothing."""
    if not config.control_depth:
        return None
    return torch.from_numpy(get_converter(config).controls(tokens).astype(np.float32))


def _classes(config: MusicVAEConfig, tokens: np.ndarray) -> Tensor:
    return torch.from_numpy(tokens[..., : len(config.output_depths)].astype(np.int64))


def has_converter(config: MusicVAEConfig) -> bool:
    """Whether it is known how windows of a config are made of notes, and notes of them."""
    try:
        get_converter(config)
    except ValueError:
        return False
    return True


def token_width(config: MusicVAEConfig) -> int:
    """Numbers that stand for a step of a config's window."""
    if not has_converter(config):
        return len(config.output_depths)
    outputs = np.zeros((1, config.output_depth), np.float32)
    controls = np.zeros((1, config.control_depth), bool) if config.control_depth else None
    return get_converter(config).to_tokens(outputs, controls).shape[-1]
