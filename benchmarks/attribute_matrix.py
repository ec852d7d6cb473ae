#!/usr/bin/env python3
"""What attribute vectors do to real songs, to a surrogate's latents too; and by which method.

    python benchmarks/attribute_matrix.py DATA.h5 [--windows 100] [--plot OUT] [--learn TRAIN.h5]

DATA.h5 holds songs that the vectors were not learnt of. Two kinds of latents are moved: means of
the trio's posterior, and what the surrogate makes of each window's melody. Prints Markdown: of the
vectors stored beside the MusicVAE, both tables of each kind; with --learn, instead, how all
methods compare that are learnt of TRAIN.h5.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from musicvae_torch.attribute_vectors import AttributeVectors, Effects
    from surrogate import Accompanist


def latents_of(pair: Accompanist, arguments: argparse.Namespace) -> dict[str, Tensor]:
    """(windows, z_size) of the same windows, by kind."""
    from musicvae_torch.attribute_vectors.learning import draw_windows, posterior_means
    from musicvae_torch.dataset.format import take_windows
    from musicvae_torch.dataset.reading import read_windows

    model = pair.musicvae
    windows = read_windows(arguments.data, model.config, "validation", apart=True)
    rows, _ = draw_windows(windows, arguments.windows, arguments.seed)
    drawn = take_windows(windows, rows)
    heard = torch.from_numpy(drawn.tokens.astype(np.int64)).to(model.device)
    assert pair.surrogate is not None
    with torch.no_grad():
        predicted = pair.surrogate.posterior_mean(heard, ("melody",))
    encoded = torch.from_numpy(posterior_means(model, drawn, progress=True))
    return {"posterior means": encoded.to(model.device), "surrogate, melody given": predicted}


def learn_all(pair: Accompanist, arguments: argparse.Namespace) -> dict[str, AttributeVectors]:
    """Vectors of each method, of the same draws."""
    from musicvae_torch.attribute_vectors import METHODS, learn_directions
    from musicvae_torch.attribute_vectors.learning import MAX_WINDOWS, as_vectors, draw_sample
    from musicvae_torch.dataset.reading import read_windows

    model = pair.musicvae
    windows = read_windows(arguments.learn, model.config, "train")
    sample = draw_sample(model, windows, MAX_WINDOWS, arguments.seed, progress=True)
    learnt = {name: learn_directions(sample.latents, sample.values, name) for name in METHODS}
    return {name: as_vectors(directions, {}) for name, directions in learnt.items()}


def comparison(effects: Mapping[str, Effects]) -> str:
    """The change that each method and attribute causes, in brackets the root mean square of what
    should stay, and "no" if the attribute does not rise throughout."""
    lines = [
        f"| moved | {' | '.join(effects)} |",
        f"| --- |{' --- |' * len(effects)}",
    ]
    first = next(iter(effects.values()))
    for index, name in enumerate(first.names):
        cells = []
        for found in effects.values():
            sides = np.array(list(found.side_effects(name).values()))
            rms = float(np.sqrt(np.nanmean(sides**2)))
            rises = "" if found.rises(name) else "; no"
            cells.append(f"{found.matrix()[index, index]:+.2f} ({rms:.2f}{rises})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA.h5", help="songs to measure on")
    parser.add_argument("--windows", type=int, default=100, metavar="N", help="(default: 100)")
    parser.add_argument("--temperature", type=float, default=0.5, metavar="T")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strengths", type=numbers, metavar="X,X,...")
    parser.add_argument("--plot", type=Path, metavar="OUT", help="folder for pictures")
    parser.add_argument("--learn", type=Path, metavar="TRAIN.h5", help="compare the methods")
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--surrogate", type=Path, metavar="FOLDER", help="(default: shipped)")
    arguments = parser.parse_args()

    from musicvae_torch.attribute_vectors import AttributeVectors, measure_effects
    from musicvae_torch.attribute_vectors.effects import STRENGTHS
    from musicvae_torch.attribute_vectors.picture import draw_matrix
    from musicvae_torch.io.checkpoint import shipped_checkpoint
    from surrogate import Accompanist
    from surrogate.encoder.loading import DEFAULT_MUSICVAE

    home = arguments.musicvae or shipped_checkpoint(DEFAULT_MUSICVAE)
    pair = Accompanist.from_pretrained(home, arguments.surrogate)
    if arguments.learn:
        vectors = learn_all(pair, arguments)
    else:
        vectors = {"stored": AttributeVectors.load(home)}
    for kind, z in latents_of(pair, arguments).items():
        found = {
            method: measure_effects(
                pair.musicvae,
                own,
                z,
                strengths=arguments.strengths or STRENGTHS,
                temperature=arguments.temperature,
                seed=arguments.seed,
                progress=True,
            )
            for method, own in vectors.items()
        }
        print(f"\n{kind}, {len(z)} windows, temperature {arguments.temperature:g}:\n")
        print(comparison(found) if arguments.learn else found["stored"], flush=True)
        if arguments.plot:
            for method, effects in found.items():
                name = f"{method}-{kind.split(',')[0].replace(' ', '-')}.png"
                draw_matrix(effects, arguments.plot / name, kind)


if __name__ == "__main__":
    main()
