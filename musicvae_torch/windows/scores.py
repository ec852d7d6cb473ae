"""How well a batch is reconstructed: sums, from which shares of the whole data set are made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.performance import DEPTH as EVENT_DEPTH
from musicvae_torch.converters.trio import DEPTHS, PARTS
from musicvae_torch.midi.vocabulary import DRUM_DEPTH, MELODY_DEPTH
from musicvae_torch.model.heads import NADEHead
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import ModelBatch

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
    """What of a batch the likeliest choices get right, each given the true ones before it.

    Args:
        logits: (batch, steps, logit depth), as :meth:`MusicVAE.teacher_force` gives them.

    Returns:
        As :func:`row_counts`; of a NADE, bits are given the true ones before them in their row.
    """
    return row_counts(model.config, _likeliest_rows(model, logits, batch.targets), batch)


def _likeliest_rows(model: MusicVAE, logits: Tensor, targets: Tensor) -> Tensor:
    """Rows of :func:`row_counts`."""
    if model.config.output == "nade":
        head = model.decoder.cores[0].head
        assert isinstance(head, NADEHead)
        return head.probabilities(logits, targets.to(logits)) >= 0.5
    if model.config.output == "groove":
        hits, velocities, offsets = logits.chunk(3, dim=-1)
        played = [torch.sigmoid(velocities), torch.tanh(offsets)]
        return torch.cat([(hits >= 0).to(logits), *played], dim=-1)
    return logits


def row_counts(config: MusicVAEConfig, rows: Tensor, batch: ModelBatch) -> Counts:
    """What of a batch is right in rows that were decoded of it, or guessed.

    Args:
        config: of the rows.
        rows: (batch, steps, output_depth), as :meth:`MusicVAE.decode` gives them; of one-hot
            parts, the largest number of each is its choice.
        batch: the truth.

    Returns:
        Of one-hot parts ``accuracy_PART``, the share of steps that are right, those without an
        event among them. Of a NADE ``accuracy_drums``, the share of steps all of whose bits are
        right, and ``precision_drums`` and ``recall_drums``, of single bits (Magenta's metrics).
        Of grooves ``accuracy_hits``, the share of drums and steps that are rightly struck or not,
        ``precision_hits`` and ``recall_hits``, and of true hits ``rmse_velocity`` (of 0 to 1) and
        ``rmse_offset`` (in halves of a step). Steps beyond a window's length do not count.
    """
    counts = steps_that_count(batch)
    if config.output == "nade":
        return _bit_counts(rows.bool(), batch.targets.bool(), counts)
    if config.output == "groove":
        return _groove_counts(rows, batch.targets, counts)
    depths = config.output_depths
    targets = batch.targets
    if targets.shape[-1] == len(depths) and not targets.is_floating_point():
        truths = targets.unbind(-1)
    else:
        truths = tuple(part.argmax(-1) for part in targets.split(depths, -1))
    found: Counts = {}
    parts = zip(part_names(config), rows.split(depths, -1), truths, strict=True)
    for name, guess, truth in parts:
        right = (guess.argmax(-1) == truth) & counts
        found[f"accuracy_{name}"] = right.sum(), counts.sum()
    return found


def _bit_counts(guess: Tensor, bits: Tensor, counts: Tensor) -> Counts:
    right = (guess == bits).all(-1) & counts
    return {
        "accuracy_drums": (right.sum(), counts.sum()),
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
        "accuracy_hits": (((struck == truth) & counts).sum(), counts.sum()),
        **_precision_and_recall("hits", struck, truth),
        f"{ROOT}velocity": ((wrong_velocity * truth).sum(), truth.sum()),
        f"{ROOT}offset": ((wrong_offset * truth).sum(), truth.sum()),
    }


def _precision_and_recall(name: str, guess: Tensor, truth: Tensor) -> Counts:
    both = (guess & truth).sum()
    return {f"precision_{name}": (both, guess.sum()), f"recall_{name}": (both, truth.sum())}


def add_counts(sums: dict[str, Tensor], counts: Counts) -> None:
    """Add a batch's counts to sums, as :func:`to_scores` takes them, in float64."""
    for name, (counted, whole) in counts.items():
        added = torch.stack([counted.double(), whole.double().to(counted.device)])
        sums[name] = sums[name] + added if name in sums else added


def to_scores(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sums by name, (2,) each: what was counted, and out of how much; 0 of nothing is 0."""
    scores = {}
    for name, (counted, whole) in ((name, pair.unbind()) for name, pair in sums.items()):
        share = counted / whole.clamp(min=1)
        scores[name] = share.sqrt() if name.startswith(ROOT) else share
    return scores
