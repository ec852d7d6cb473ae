"""How well a trio model gives back what it read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import STEPS_PER_BAR

Scores = dict[str, float]  # part → share of its steps that are right


def reconstruction_accuracy(
    model: MusicVAE, tokens: np.ndarray, batch_size: int = 64, progress: bool = False
) -> dict[str, Scores]:
    """Share of all steps, "no event" included, that come back right from the posterior's mean.

    Args:
        model: of trios.
        tokens: (windows, 256, 3) classes.
        batch_size: windows at a time.
        progress: show a progress bar.

    Returns:
        For "teacher forced" (each step given the true ones before it) and for "decoded freely"
        (the likeliest tokens, fed back), the accuracy of each part.
    """
    right = {"teacher forced": np.zeros(len(PARTS)), "decoded freely": np.zeros(len(PARTS))}
    starts = range(0, len(tokens), batch_size)
    for start in tqdm(starts, unit="batch", disable=None if progress else True):
        batch = torch.from_numpy(tokens[start : start + batch_size].astype(np.int64))
        for name, guess in _guesses(model, batch.to(model.device)):
            right[name] += (guess.cpu() == batch).sum((0, 1)).numpy()
    steps = tokens.shape[0] * tokens.shape[1]
    return {
        name: dict(zip(PARTS, (count / steps).tolist(), strict=True))
        for name, count in right.items()
    }


@torch.no_grad()
def _guesses(model: MusicVAE, batch: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Classes (batch, steps, parts) by each way of decoding."""
    depths = model.config.output_depths
    z = model.encode(batch).mean
    ways = {"teacher forced": model.teacher_force(z, batch)}
    ways["decoded freely"] = model.decode(z, temperature=0)
    for name, rows in ways.items():
        yield name, torch.stack([part.argmax(-1) for part in rows.split(depths, -1)], -1)


def baseline_accuracy(tokens: np.ndarray) -> dict[str, Scores]:
    """What needs no model: always "no event", and the bar before once more.

    Args:
        tokens: (windows, 256, 3) classes.
    """
    bar_before = np.zeros_like(tokens)
    bar_before[:, STEPS_PER_BAR:] = tokens[:, :-STEPS_PER_BAR]
    guesses = {"always no event": np.zeros_like(tokens), "the bar before": bar_before}
    return {
        name: dict(zip(PARTS, (guess == tokens).mean((0, 1)).tolist(), strict=True))
        for name, guess in guesses.items()
    }


def accuracy_table(rows: dict[str, Scores]) -> str:
    """Rows of scores as a Markdown table."""
    lines = [f"| | {' | '.join(PARTS)} |", f"| --- |{' --- |' * len(PARTS)}"]
    lines += [
        f"| {name} | {' | '.join(f'{scores[part]:.3f}' for part in PARTS)} |"
        for name, scores in rows.items()
    ]
    return "\n".join(lines)
