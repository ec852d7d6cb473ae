"""How well a batch is reconstructed: sums, from which shares of the whole data set are made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.heads import NADEHead
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.performance import DEPTH as EVENT_DEPTH
from musicvae_torch.notes.trio import DEPTHS, PARTS
from musicvae_torch.notes.vocabulary import DRUM_DEPTH, MELODY_DEPTH
from musicvae_torch.training.data import ModelBatch

# Of each score what was counted, and out of how much.
Counts = dict[str, tuple[Tensor, Tensor]]

ROOT = "rmse_"  # scores of this name are the root of their share
_PART_NAMES = {
    DEPTHS: PARTS,
    (MELODY_DEPTH,): ("melody",),
    (DRUM_DEPTH,): ("drums",),
    (EVENT_DEPTH,): ("events",),
}


def part_names(config: MusicVAEConfig) -> tuple[str, ...]:
    """What the parts of a config's output are called in scores."""
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
    places = torch.arange(shape[1] // ends.shape[1], device=ends.device)
    return (places < ends).flatten(1)


def reconstruction_counts(model: MusicVAE, logits: Tensor, batch: ModelBatch) -> Counts:
    """What of a batch the likeliest choices get right.

    Args:
        logits: (batch, steps, logit depth), as :meth:`MusicVAE.teacher_force` gives them.

    Returns:
        Of one-hot parts ``accuracy_PART``, the share of steps that are right, those without an
        event among them. Of a NADE ``accuracy_drums``, the share of steps all of whose bits are
        right given the true ones before them, and ``precision_drums`` and ``recall_drums``, of
        single bits (Magenta's metrics). Of grooves ``accuracy_hits``, the share of drums and
        steps that are rightly struck or not, ``precision_hits`` and ``recall_hits``, and of
        true hits ``rmse_velocity`` (of 0 to 1) and ``rmse_offset`` (in halves of a step).
    """
    counts = steps_that_count(batch)
    if model.config.output == "nade":
        return _nade_counts(model, logits, batch.targets.bool(), counts)
    if model.config.output == "groove":
        return _groove_counts(logits, batch.targets, counts)
    depths = model.config.output_depths
    targets = batch.targets
    if targets.shape[-1] == len(depths) and not targets.is_floating_point():
        truths = targets.unbind(-1)
    else:
        truths = tuple(part.argmax(-1) for part in targets.split(depths, -1))
    found: Counts = {}
    parts = zip(part_names(model.config), logits.split(depths, -1), truths, strict=True)
    for name, guess, truth in parts:
        right = (guess.argmax(-1) == truth) & counts
        found[f"accuracy_{name}"] = right.sum(), counts.sum()
    return found


def _nade_counts(model: MusicVAE, logits: Tensor, bits: Tensor, counts: Tensor) -> Counts:
    head = model.decoder.cores[0].head
    assert isinstance(head, NADEHead)
    guess = head.probabilities(logits, bits.to(logits)) >= 0.5
    right = (guess == bits).all(-1) & counts
    return {
        "accuracy_drums": (right.sum(), counts.sum()),
        **_precision_and_recall("drums", guess & counts[..., None], bits & counts[..., None]),
    }


def _groove_counts(logits: Tensor, targets: Tensor, counts: Tensor) -> Counts:
    hits, velocities, offsets = logits.chunk(3, dim=-1)
    true_hits, true_velocities, true_offsets = targets.chunk(3, dim=-1)
    counts = counts[..., None].expand_as(hits)
    struck, truth = (hits >= 0) & counts, (true_hits > 0.5) & counts
    wrong_velocity = (torch.sigmoid(velocities) - true_velocities) ** 2
    wrong_offset = (torch.tanh(offsets) - true_offsets) ** 2
    return {
        "accuracy_hits": (((struck == truth) & counts).sum(), counts.sum()),
        **_precision_and_recall("hits", struck, truth),
        f"{ROOT}velocity": ((wrong_velocity * truth).sum(), truth.sum()),
        f"{ROOT}offset": ((wrong_offset * truth).sum(), truth.sum()),
    }


def _precision_and_recall(name: str, guess: Tensor, truth: Tensor) -> Counts:
    both = (guess & truth).sum()
    return {f"precision_{name}": (both, guess.sum()), f"recall_{name}": (both, truth.sum())}


def to_scores(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sums by name, (2,) each: what was counted, and out of how much; 0 of nothing is 0."""
    scores = {}
    for name, (counted, whole) in ((name, pair.unbind()) for name, pair in sums.items()):
        share = counted / whole.clamp(min=1)
        scores[name] = share.sqrt() if name.startswith(ROOT) else share
    return scores
