"""How well a model of any config reconstructs windows, and baselines that need no model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.performance import DEPTH as EVENT_DEPTH
from musicvae_torch.errors import DatasetError
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import model_batches
from musicvae_torch.windows.scores import (
    ROOT,
    add_counts,
    reconstruction_counts,
    row_counts,
    to_scores,
)
from musicvae_torch.windows.tensors import ModelBatch

Scores = dict[str, float]  # by part; see reconstruction_accuracy

_SILENT, _BAR_BEFORE = "always no event", "the bar before"
_ERRORS = {"velocity": "velocity error", "offset": "timing error"}


def reconstruction_accuracy(
    model: MusicVAE,
    tokens: np.ndarray,
    batch_size: int = 64,
    progress: bool = False,
    *,
    lengths: np.ndarray | None = None,
) -> dict[str, Scores]:
    """Reconstruct windows from the posterior's mean, and count what comes back right.

    Args:
        model: of any config.
        tokens: (windows, steps, parts), as the config's converter or a data set has them.
        batch_size: windows at a time.
        progress: show a progress bar.
        lengths: (windows, segments) steps that count, of bars of several tracks; None: steps whose
            token is not -1. All steps of other windows count.

    Returns:
        Scores of the config's parts, for "teacher forced" (each step given the true ones before it)
        and for "decoded freely" (the likeliest tokens, fed back). A melody, a bass, drums of
        classes and the events of a bar of several tracks have the share of steps that are right,
        "no event" included. Drums of a NADE have the share of steps all of whose drums are right,
        and "drums precision" and "drums recall" of single hits. Grooves have "hits", the share of
        drums and steps that are rightly struck or not, "hits precision" and "hits recall", and, of
        the true hits, the root mean square "velocity error" (of 0 to 1) and "timing error" (in
        halves of a step).

    Raises:
        OptionError: there are no windows, or they are not of the config's shape.
    """
    sums: dict[str, dict[str, Tensor]] = {"teacher forced": {}, "decoded freely": {}}
    for own in _batches(model.config, tokens, lengths, batch_size, progress):
        batch = own.on(model.device)
        with torch.no_grad():
            z = model.encode(batch.inputs, batch.lengths, batch.controls).mean
            logits = model.teacher_force(z, batch.targets, batch.controls)
            rows = model.decode(z, temperature=0, controls=batch.controls)
        add_counts(sums["teacher forced"], reconstruction_counts(model, logits, batch))
        add_counts(sums["decoded freely"], row_counts(model.config, rows, batch))
    return {name: _named(own) for name, own in sums.items()}


def baseline_accuracy(
    tokens: np.ndarray, config: MusicVAEConfig | None = None, batch_size: int = 1024
) -> dict[str, Scores]:
    """Scores of baselines that need no model: always "no event", and the bar before repeated.

    Args:
        tokens: as for :func:`reconstruction_accuracy`.
        config: of the tokens; None: trios.
        batch_size: windows at a time.

    Returns:
        The scores of both; empty for bars of several tracks, whose tokens are no steps in time.
        "No event" has no errors of velocity and timing.

    Raises:
        OptionError: there are no windows.
    """
    config = config or get_config("hier-trio_16bar")
    if config.output_depths == (EVENT_DEPTH,):
        return {}
    sums: dict[str, dict[str, Tensor]] = {_SILENT: {}, _BAR_BEFORE: {}}
    for batch in _batches(config, tokens, None, batch_size):
        rows = _target_rows(config, batch.targets)
        silence = torch.zeros_like(rows)  # of zeros the first is the largest: class 0, no event
        counts = row_counts(config, silence, batch)
        if config.output == "groove":
            counts = {name: pair for name, pair in counts.items() if not name.startswith(ROOT)}
        add_counts(sums[_SILENT], counts)
        before = torch.cat([silence[:, :STEPS_PER_BAR], rows[:, :-STEPS_PER_BAR]], dim=1)
        add_counts(sums[_BAR_BEFORE], row_counts(config, before, batch))
    return {name: _named(own) for name, own in sums.items()}


def _batches(
    config: MusicVAEConfig,
    tokens: np.ndarray,
    lengths: np.ndarray | None,
    batch_size: int,
    progress: bool = False,
) -> Iterator[ModelBatch]:
    if not len(tokens):
        raise DatasetError("there are no windows to score")
    if lengths is None and config.output_depths == (EVENT_DEPTH,):
        segments = config.encoder_level_lengths[1]
        lengths = (tokens[..., 0].reshape(len(tokens), segments, -1) >= 0).sum(-1)
    return model_batches(config, tokens, lengths, batch_size=batch_size, progress=progress)


def _target_rows(config: MusicVAEConfig, targets: Tensor) -> Tensor:
    """Targets as rows of numbers."""
    if config.output != "categorical":
        return targets
    parts = zip(targets.unbind(-1), config.output_depths, strict=True)
    return torch.cat([torch.nn.functional.one_hot(part, depth) for part, depth in parts], dim=-1)


def _named(sums: dict[str, Tensor]) -> Scores:
    """Scores by their names in tables."""
    scores = {}
    for name, score in to_scores(sums).items():
        kind, _, part = name.partition("_")
        column = part if kind == "accuracy" else f"{part} {kind}"
        scores[_ERRORS.get(part, column)] = float(score)
    return scores


def accuracy_table(rows: dict[str, Scores]) -> str:
    """Rows of scores as a Markdown table, a column for each part that any of them has."""
    columns = list(dict.fromkeys(part for scores in rows.values() for part in scores))
    body = [
        [name, *(f"{scores[part]:.3f}" if part in scores else "–" for part in columns)]
        for name, scores in rows.items()
    ]
    return markdown_table(["", *columns], body)
