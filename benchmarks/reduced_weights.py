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
from typing import Any

DTYPES = ("float32", "bfloat16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="made by build-dataset")
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--windows", type=int, default=256, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of windows")
    arguments = parser.parse_args()

    import numpy as np
    import torch

    from musicvae_torch import MusicVAE
    from musicvae_torch.dataset import read_dataset
    from musicvae_torch.io.checkpoint import shipped_checkpoint

    folder = arguments.musicvae or shipped_checkpoint("trio_16bar_small")
    model = MusicVAE.from_pretrained(folder)
    if model.config.output != "categorical" or model.config.control_depth:
        raise SystemExit(f"{folder}: wanted a model of one-hot parts without controls")
    everything = read_dataset(arguments.data).tokens
    rng = np.random.default_rng(arguments.seed)
    chosen = rng.permutation(len(everything))[: arguments.windows]
    windows = torch.from_numpy(everything[np.sort(chosen)]).long()

    @torch.no_grad()
    def say(dtype: str) -> dict[str, Any]:
        model.multiply_in(dtype)
        found: list[tuple[Any, ...]] = []
        generator = torch.Generator().manual_seed(arguments.seed)
        for part in windows.split(64):
            posterior = model.encode(part)
            # From float32's latent, so that a line is of the decoder alone.
            z = exact["posterior"][0][64 * len(found) :][: len(part)] if exact else posterior.mean
            logits = model.teacher_force(z, part)
            losses = model.part_losses(logits, part).sum((1, 2))
            likeliest = [own.argmax(-1) for own in logits.split(model.config.output_depths, -1)]
            rows = model.decode(z, temperature=0.5, generator=generator)
            drawn = [own.argmax(-1) for own in rows.split(model.config.output_depths, -1)]
            both = torch.stack(likeliest), torch.stack(drawn)
            found.append((posterior.mean, posterior.stddev, losses, *both))
        means, stddevs, nats, likely_, drawn_ = zip(*found, strict=True)
        return {
            "posterior": (torch.cat(means), torch.cat(stddevs)),
            "nats": float(torch.cat(nats).mean()),
            "tokens": torch.cat(likely_, dim=1),
            "drawn": torch.cat(drawn_, dim=1),
        }

    exact: dict[str, Any] = {}
    exact = say(DTYPES[0])
    likely = torch.distributions.Normal(*exact["posterior"])
    print(f"{folder.name}, {len(windows)} windows of {arguments.data.name}\n")
    print("| weights | KL, nats | mean, sigmas | loss, nats | other likeliest | other samples |")
    print("| --- " * 6 + "|")
    for dtype in DTYPES:
        found = say(dtype)
        moved = torch.distributions.Normal(*found["posterior"])
        divergence = torch.distributions.kl_divergence(likely, moved).sum(-1).mean()
        distance = ((moved.mean - likely.mean) / likely.stddev).abs().mean()
        others = [float((found[key] != exact[key]).float().mean()) for key in ("tokens", "drawn")]
        print(
            f"| {dtype} | {divergence:.2g} | {distance:.2g} | {found['nats']:.2f} | "
            f"{others[0]:.2%} | {others[1]:.2%} |"
        )


if __name__ == "__main__":
    main()
