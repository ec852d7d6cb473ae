"""Counts of what was reconstructed right, from which the scores of any number of windows follow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.performance import DEPTH as EVENT_DEPTH
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.midi.vocabulary import DRUM_DEPTH, MELODY_DEPTH, PARTS
from musicvae_torch.model.heads import NADEHead
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import ModelBatch

# By name of a score: what was counted in each window, and out of how much, (batch,) each.
Counts = dict[str, tuple[Tensor, Tensor]]

ROOT = "rmse_"  # scores of this name are the root of their share
_PART_NAMES = {
    DEPTHS: PARTS,
    (MELODY_DEPTH,): ("melody",),
    (DRUM_DEPTH,): ("drums",),
    (EVENT_DEPTH,): ("events",),
}


def part_names(config: MusicVAEConfig) -> tuple[str, ...]:
    """The names of a config's parts in scores."""
    if config.output != "categorical":
        return ("drums",)
    numbers = tuple(str(part) for part in range(len(config.output_depths)))
    return _PART_NAMES.get(config.output_depths, numbers)


def steps_that_count(batch: ModelBatch) -> Tensor:
    """(batch, steps) bool: those within the windows' lengths."""
    shape = batch.targets.shape[:2]
    if batch.lengths is None:
        return torch.ones(shape, dtype=torch.bool, device=batch.targets.device)
    ends = batch.lengths.view(shape[0], -1, 1)
    steps = torch.arange(shape[1] // ends.shape[1], device=ends.device)
    return (steps < ends).flatten(1)


def reconstruction_counts(model: MusicVAE, logits: Tensor, batch: ModelBatch) -> Counts:
    """:func:`row_counts` of the likeliest choices, each given the true ones before it: of a NADE,
    also the true bits before it in its row.

    Args:
        logits: (batch, steps, logit depth), as :meth:`MusicVAE.teacher_force` gives them.
    """
    rows = logits
    if model.config.output == "nade":
        head = model.decoder.cores[0].head
        assert isinstance(head, NADEHead)
        rows = head.probabilities(logits, batch.targets.to(logits)) >= 0.5
    elif model.config.output == "groove":
        hits, velocities, offsets = logits.chunk(3, dim=-1)
        rows = torch.cat([hits >= 0, torch.sigmoid(velocities), torch.tanh(offsets)], dim=-1)
    return row_counts(model.config, rows, batch)


def row_counts(config: MusicVAEConfig, rows: Tensor, batch: ModelBatch) -> Counts:
    """How much of a batch is right in rows that were decoded or guessed.

    Args:
        config: of the rows.
        rows: (batch, steps, output_depth), as :meth:`MusicVAE.decode` gives them, where the largest
            number of a one-hot part is its choice; or their classes.
        batch: the truth.

    Returns:
        For one-hot parts ``accuracy_PART``, the share of steps that are right, with or without an
        event. For a NADE ``accuracy_drums``, the share of steps with all bits right, and
        ``precision_drums`` and ``recall_drums`` of single bits (Magenta's metrics). For grooves
        ``accuracy_hits``, the share of drums and steps that are rightly struck or not,
        ``precision_hits`` and ``recall_hits``, and for true hits ``rmse_velocity`` (of 0 to 1) and
        ``rmse_offset`` (in halves of a step). Steps beyond a window's length do not count.
    """
    counts = steps_that_count(batch)
    if config.output == "nade":
        return _bit_counts(rows.bool(), batch.targets.bool(), counts)
    if config.output == "groove":
        return _groove_counts(rows, batch.targets, counts)
    found: Counts = {}
    guesses, truths = _classes(config, rows), _classes(config, batch.targets)
    for name, guess, truth in zip(part_names(config), guesses, truths, strict=True):
        right = (guess == truth) & counts
        found[f"accuracy_{name}"] = right.sum(1), counts.sum(1)
    return found


def _classes(config: MusicVAEConfig, rows: Tensor) -> tuple[Tensor, ...]:
    """The class of each one-hot part, (batch, steps) each, of classes or rows."""
    depths = config.output_depths
    if rows.shape[-1] == len(depths) and not rows.is_floating_point():
        return rows.unbind(-1)
    return tuple(part.argmax(-1) for part in torch.split(rows, list(depths), dim=-1))


def _bit_counts(guess: Tensor, bits: Tensor, counts: Tensor) -> Counts:
    right = (guess == bits).all(-1) & counts
    return {
        "accuracy_drums": (right.sum(1), counts.sum(1)),
        **_precision_and_recall("drums", guess & counts[..., None], bits & counts[..., None]),
    }


def _groove_counts(rows: Tensor, targets: Tensor, counts: Tensor) -> Counts:
    hits, velocities, offsets = rows.chunk(3, dim=-1)
    true_hits, true_velocities, true_offsets = targets.chunk(3, dim=-1)
    counts = counts[..., None].expand_as(hits)
    struck, truth = (hits > 0.5) & counts, (true_hits > 0.5) & counts
    wrong_velocity = (velocities - true_velocities) ** 2
    wrong_offset = (offsets - true_offsets) ** 2
    return {
        "accuracy_hits": (_total((struck == truth) & counts), _total(counts)),
        **_precision_and_recall("hits", struck, truth),
        f"{ROOT}velocity": (_total(wrong_velocity * truth), _total(truth)),
        f"{ROOT}offset": (_total(wrong_offset * truth), _total(truth)),
    }


def _precision_and_recall(name: str, guess: Tensor, truth: Tensor) -> Counts:
    both = _total(guess & truth)
    return {
        f"precision_{name}": (both, _total(guess)),
        f"recall_{name}": (both, _total(truth)),
    }


def _total(values: Tensor) -> Tensor:
    """(batch, steps, drums) → (batch,)"""
    return values.flatten(1).sum(1)


def add_counts(sums: dict[str, Tensor], counts: Counts) -> None:
    """Add a batch's counts to sums, as :func:`to_scores` takes them, in float64."""
    for name, (counted, whole) in counts.items():
        added = torch.stack([counted.double().sum(), whole.double().sum().to(counted.device)])
        sums[name] = sums[name] + added if name in sums else added


def to_scores(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores of sums by name, (2,) each: what was counted, and out of how much. 0 of 0 is 0."""
    scores = {}
    for name, (counted, whole) in sums.items():
        share = counted / whole.clamp(min=1)
        scores[name] = share.sqrt() if name.startswith(ROOT) else share
    return scores
