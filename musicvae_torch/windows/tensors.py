"""Tokens of windows, as converters make them → tensors for a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.registry import get_converter


class ModelBatch(NamedTuple):
    """A batch of windows, as a MusicVAE takes it.

    Attributes:
        inputs: of the encoder, (batch, steps, input_depth); or classes (batch, steps, parts).
        targets: of the decoder, (batch, steps, output_depth); or classes.
        lengths: (batch, segments) steps that count; None: all.
        controls: (batch, steps, control_depth); None: the config has none.
        posterior_mean, posterior_stddev: (batch, z_size), where a data set holds them.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    controls: Tensor | None = None
    posterior_mean: Tensor | None = None
    posterior_stddev: Tensor | None = None

    def on(self, device: torch.device) -> ModelBatch:
        """The same on a device."""
        moved = (None if part is None else part.to(device) for part in self)
        return ModelBatch(*moved)  # type: ignore[arg-type]


def model_batch(
    config: MusicVAEConfig, tokens: np.ndarray, lengths: np.ndarray | None = None
) -> ModelBatch:
    """A batch of a config's windows, on the CPU; as classes if the model takes them, which is
    faster.

    Args:
        config: of the model.
        tokens: (batch, steps, parts), as the config's converter has them.
        lengths: (batch,) or (batch, segments) steps that count; None: all.
    """
    one_hot = config.output == "categorical"
    if one_hot:
        targets = torch.from_numpy(tokens[..., : len(config.output_depths)].astype(np.int64))
    else:
        rows = get_converter(config).outputs(tokens)
        targets = torch.from_numpy(np.ascontiguousarray(rows, np.float32))
    inputs = targets
    if not one_hot or config.input_depth != config.output_depth:
        inputs = torch.from_numpy(get_converter(config).inputs(tokens).astype(np.float32))
    counts = None if lengths is None else torch.from_numpy(lengths.astype(np.int64))
    return ModelBatch(inputs, targets, counts, window_controls(config, tokens))


def window_controls(config: MusicVAEConfig, tokens: np.ndarray) -> Tensor | None:
    """The controls of a conditioned model, (windows, steps, control_depth); None for others."""
    if not config.control_depth:
        return None
    return torch.from_numpy(get_converter(config).controls(tokens).astype(np.float32))


def has_converter(config: MusicVAEConfig) -> bool:
    """Whether there is a converter of such a config's windows."""
    try:
        get_converter(config)
    except ValueError:
        return False
    return True


def token_width(config: MusicVAEConfig) -> int:
    """The number of tokens of a step of a config's window."""
    if not has_converter(config):
        return len(config.output_depths)
    outputs = np.zeros((1, config.output_depth), np.float32)
    controls = np.zeros((1, config.control_depth), bool) if config.control_depth else None
    return int(get_converter(config).to_tokens(outputs, controls).shape[-1])
