#!/usr/bin/env python3
"""What products of lower precision cost a MusicVAE: how far they move what it says.

    python benchmarks/reduced_weights.py DATA.h5 [--musicvae FOLDER] [--windows 256]

For windows of a data set, beside float32: the posterior's KL divergence, in nats a window, and its
mean's distance in standard deviations; the loss under teacher forcing; the share of tokens of which
another is the likeliest; and that of samples at temperature .5, drawn with the same numbers, which
go ways of their own once they differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from musicvae_torch import MusicVAE
from musicvae_torch.dataset import read_dataset
from musicvae_torch.io.checkpoint import shipped_checkpoint

DTYPES = ("float32", "bfloat16", "int8")
BATCH = 64  # windows


class Outputs(NamedTuple):
    """What a model says of windows.

    Attributes:
        mean, stddev: (windows, z_size) of the posterior.
        nats: (windows,) loss under teacher forcing.
        likeliest, drawn: (windows, steps, parts) classes: the likeliest under teacher forcing, and
            samples.
    """

    mean: Tensor
    stddev: Tensor
    nats: Tensor
    likeliest: Tensor
    drawn: Tensor

    @property
    def posterior(self) -> Normal:
        """The distribution of the latents."""
        return Normal(self.mean, self.stddev)


@torch.no_grad()
def outputs_of(
    model: MusicVAE, windows: Tensor, dtype: str, seed: int, latents: Tensor | None = None
) -> Outputs:
    """What the model says with its weights in a precision.

    Args:
        model: of one-hot parts.
        windows: (windows, steps, parts) classes.
        dtype: of DTYPES.
        seed: of the samples.
        latents: (windows, z_size) to decode; None: the posterior's mean.
    """
    model.multiply_in(dtype)
    depths, found = model.config.output_depths, []
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(windows), BATCH):
        rows = slice(first, first + BATCH)
        posterior = model.encode(windows[rows])
        z = posterior.mean if latents is None else latents[rows]
        logits = model.teacher_force(z, windows[rows])
        decoded = model.decode(z, temperature=0.5, generator=generator)
        classes = [
            torch.stack([part.argmax(-1) for part in values.split(depths, -1)], -1)
            for values in (logits, decoded)
        ]
        losses = model.part_losses(logits, windows[rows]).sum((1, 2))
        found.append(Outputs(posterior.mean, posterior.stddev, losses, *classes))
    return Outputs(*map(torch.cat, zip(*found, strict=True)))


def row(dtype: str, found: Outputs, exact: Outputs) -> str:
    """A row of the table: how far outputs are from those in float32."""
    divergence = kl_divergence(exact.posterior, found.posterior).sum(-1).mean()
    distance = ((found.mean - exact.mean) / exact.stddev).abs().mean()
    likeliest, drawn = (
        float((ours != theirs).float().mean())
        for ours, theirs in ((found.likeliest, exact.likeliest), (found.drawn, exact.drawn))
    )
    return (
        f"| {dtype} | {divergence:.2g} | {distance:.2g} | {found.nats.mean():.2f} | "
        f"{likeliest:.2%} | {drawn:.2%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="made by build-dataset")
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--windows", type=int, default=256, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of windows")
    arguments = parser.parse_args()
    folder = arguments.musicvae or shipped_checkpoint("trio_16bar_small")
    model = MusicVAE.from_pretrained(folder)
    if model.config.output != "categorical" or model.config.control_depth:
        raise SystemExit(f"{folder}: wanted a model of one-hot parts without controls")
    everything = read_dataset(arguments.data).tokens
    order = np.random.default_rng(arguments.seed).permutation(len(everything))
    windows = torch.from_numpy(everything[np.sort(order[: arguments.windows])]).long()
    exact = outputs_of(model, windows, DTYPES[0], arguments.seed)
    print(f"{folder.name}, {len(windows)} windows of {arguments.data.name}\n")
    print("| weights | KL, nats | mean, sigmas | loss, nats | other likeliest | other samples |")
    print("| --- " * 6 + "|")
    for dtype in DTYPES:
        # From float32's latents, so that all but the posterior is of the decoder alone.
        found = outputs_of(model, windows, dtype, arguments.seed, exact.mean)
        print(row(dtype, found, exact))


if __name__ == "__main__":
    main()
