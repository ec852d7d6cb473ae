#!/usr/bin/env python3
"""How refinement should be set: what the parts that it cannot see say of the latents it finds.

    python benchmarks/refinement_experiment.py DATA.h5 [--musicvae FOLDER] [--surrogate FOLDER]
        [--given melody] [--windows 256] [--seed 0]

On windows drawn from the data set, one a song as far as they go, latents are refined from zero,
from the surrogate's mean, and from there with the surrogate's distribution as the prior, at
several weights of the prior, learning rates and numbers of steps. A row each: the log-likelihood
of the given and of the hidden parts in nats a step, and the gain in the latter over the start of
the row's own road with its 95 % interval over songs (paired bootstrap). Choose by data that is
set aside to validate on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch.dataset.format import read_dataset
from musicvae_torch.io.checkpoint import shipped_checkpoint
from musicvae_torch.io.devices import pick_device
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.loading import DEFAULT_MUSICVAE, DEFAULT_SURROGATE, load_surrogate
from surrogate.encoder.model import Surrogate, SurrogateEncoder
from surrogate.encoder.refine import RefineOptions, refine
from surrogate.evaluation.tables import Estimate

WEIGHTS = (3.0, 10.0, 30.0)
RATES = (0.01,)
STEPS = (10, 40)


def draw(path: Path, count: int, seed: int) -> np.ndarray:
    """(count, steps, 3) tokens of as many songs as there are, a window each."""
    windows = read_dataset(path, None)
    order = np.random.default_rng(seed).permutation(len(windows.tokens))
    _, firsts = np.unique(windows.song[order], return_index=True)
    picks = np.random.default_rng(seed).permutation(order[firsts])[:count]
    tokens: np.ndarray = windows.tokens[np.sort(picks)]
    return tokens.astype(np.int64)


@torch.no_grad()
def likelihoods(musicvae: MusicVAE, z: Tensor, tokens: Tensor) -> np.ndarray:
    """(windows, parts) log-likelihood a step."""
    batches = zip(z.split(128), tokens.split(128), strict=True)
    return np.concatenate(
        [
            -musicvae.part_nll(own, real, range(len(PARTS))).mean(1).cpu().numpy()
            for own, real in batches
        ]
    )


def starts_of(
    surrogate: Surrogate, tokens: Tensor, given: Sequence[str], z_size: int
) -> dict[str, tuple[Tensor, Normal | None]]:
    """Where refinement may start, (windows, z_size), and with which prior (None: the standard
    normal), by the first two cells of its rows."""
    zeros = torch.zeros(len(tokens), z_size, device=tokens.device)
    starts: dict[str, tuple[Tensor, Normal | None]] = {"zero | standard": (zeros, None)}
    with torch.no_grad():
        if isinstance(surrogate, SurrogateEncoder):
            predicted = surrogate.posterior(tokens, given)
            starts["surrogate | standard"] = predicted.mean, None
            starts["surrogate | surrogate's"] = predicted.mean, predicted
        else:
            starts["surrogate | standard"] = surrogate.posterior_mean(tokens, given), None
    return starts


class Task(NamedTuple):
    """What all settings are compared on: a model, (windows, steps, 3) classes and given parts."""

    musicvae: MusicVAE
    tokens: Tensor
    given: tuple[str, ...]

    def likelihoods(self, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(windows,) log-likelihood a step, of the given and of the hidden parts."""
        nats = likelihoods(self.musicvae, z, self.tokens)
        is_given = np.isin(PARTS, self.given)
        return nats[:, is_given].sum(1), nats[:, ~is_given].sum(1)

    def refined_row(
        self, start: Tensor, prior: Normal | None, options: RefineOptions, before: np.ndarray
    ) -> str:
        """Refine with these options; the cells of the row from the weight on.

        Args:
            start, prior: see :func:`starts_of`.
            options: of the refinement.
            before: (windows,) log-likelihood of the hidden parts from the start.
        """
        found = refine(self.musicvae, self.tokens, self.given, start, prior, options)
        given, hidden = self.likelihoods(found.z)
        gain = Estimate.of(hidden - before, seed=0).text(4, sign=True)
        return (
            f"{options.prior_weight:g} | {options.learning_rate:g} | {options.steps} | "
            f"{found.steps.float().mean():.0f} | {given.mean():.4f} | {hidden.mean():.4f} | {gain}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA.h5")
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER")
    parser.add_argument("--surrogate", type=Path, metavar="FOLDER")
    parser.add_argument("--given", default="melody", help="parts, such as drums or melody,drums")
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    musicvae = MusicVAE.from_pretrained(
        arguments.musicvae or shipped_checkpoint(DEFAULT_MUSICVAE), device
    )
    surrogate = load_surrogate(arguments.surrogate or shipped_checkpoint(DEFAULT_SURROGATE), device)
    tokens = torch.from_numpy(draw(arguments.data, arguments.windows, arguments.seed)).to(device)
    task = Task(musicvae, tokens, tuple(arguments.given.split(",")))
    print(f"{len(tokens)} windows, {', '.join(task.given)} given; nats a step, higher is better")
    print("| start | prior | weight | rate | most steps | steps | given | hidden | gain |")
    print("| --- |" + " --- |" * 8)
    starts = starts_of(surrogate, tokens, task.given, musicvae.config.z_size)
    with torch.no_grad():
        given, hidden = task.likelihoods(musicvae.encode(tokens).mean)
    print(f"| encoder | | | | | | {given.mean():.4f} | {hidden.mean():.4f} | |")
    settings = [
        replace(RefineOptions(), learning_rate=rate, steps=steps, prior_weight=weight)
        for rate, steps, weight in product(RATES, STEPS, WEIGHTS)
    ]
    with tqdm(total=len(starts) * len(settings), unit="row") as bar:
        for name, (start, prior) in starts.items():
            given, hidden = task.likelihoods(start)
            bar.write(f"| {name} | | | | 0 | {given.mean():.4f} | {hidden.mean():.4f} | |")
            for options in settings:
                bar.write(f"| {name} | {task.refined_row(start, prior, options, hidden)} |")
                bar.update()


if __name__ == "__main__":
    main()
