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
from dataclasses import replace
from itertools import product
from pathlib import Path

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
from surrogate.encoder.model import SurrogateEncoder
from surrogate.encoder.refine import RefineOptions, refine
from surrogate.evaluation.metrics import bootstrap_interval

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
    given = tuple(arguments.given.split(","))
    heard = [index for index, part in enumerate(PARTS) if part in given]
    hidden = [index for index in range(len(PARTS)) if index not in heard]
    tokens = torch.from_numpy(draw(arguments.data, arguments.windows, arguments.seed)).to(device)
    print(f"{len(tokens)} windows, {', '.join(given)} given; nats a step, higher is better")
    print("| start | prior | weight | rate | most steps | steps | given | hidden | gain |")
    print("| --- |" * 1 + " --- |" * 8)
    roads: dict[str, tuple[Tensor, Normal | None]] = {}
    zeros = torch.zeros(len(tokens), musicvae.config.z_size, device=device)
    roads["zero | standard"] = zeros, None
    with torch.no_grad():
        if isinstance(surrogate, SurrogateEncoder):
            predicted = surrogate.posterior(tokens, given)
            roads["surrogate | standard"] = predicted.mean, None
            roads["surrogate | surrogate's"] = predicted.mean, predicted
        else:
            roads["surrogate | standard"] = surrogate.posterior_mean(tokens, given), None
        encoded = likelihoods(musicvae, musicvae.encode(tokens).mean, tokens)
    print(
        f"| encoder | | | | | | {encoded[:, heard].sum(1).mean():.4f} | "
        f"{encoded[:, hidden].sum(1).mean():.4f} | |"
    )
    combinations = list(product(RATES, STEPS, WEIGHTS))
    with tqdm(total=len(roads) * len(combinations), unit="row") as bar:
        for name, (start, prior) in roads.items():
            before = likelihoods(musicvae, start, tokens)
            bar.write(
                f"| {name} | | | | 0 | {before[:, heard].sum(1).mean():.4f} | "
                f"{before[:, hidden].sum(1).mean():.4f} | |"
            )
            for rate, steps, weight in combinations:
                options = replace(
                    RefineOptions(), learning_rate=rate, steps=steps, prior_weight=weight
                )
                found = refine(musicvae, tokens, given, start, prior, options)
                after = likelihoods(musicvae, found.z, tokens)
                gain = (after - before)[:, hidden].sum(1)
                low, high = bootstrap_interval(gain, seed=0)
                bar.write(
                    f"| {name} | {weight:g} | {rate:g} | {steps} | "
                    f"{found.steps.float().mean():.0f} | {after[:, heard].sum(1).mean():.4f} | "
                    f"{after[:, hidden].sum(1).mean():.4f} | "
                    f"{gain.mean():+.4f} ({low:+.4f} to {high:+.4f}) |"
                )
                bar.update()


if __name__ == "__main__":
    main()
