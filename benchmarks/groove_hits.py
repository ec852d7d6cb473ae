#!/usr/bin/env python3
"""How near drums that GrooVAEs add come to drummers', on the Groove MIDI Dataset.

    python benchmarks/groove_hits.py GROOVE_FOLDER [--split validation] [--tap FOLDER ...]
        [--hats FOLDER ...]

GROOVE_FOLDER is the unpacked data set, with its info.csv. Players of "tap" are given the rhythm of
two-bar windows that do not overlap, with its timing, and make drums of it; players of "hats" are
given all drums but the closed hi-hats, and add those. Prints Markdown: F1 of the hits, and errors
of those that both have, as means over performances with 95 % bootstrap intervals, how they differ
from the last network's (paired, by performance), F1 drum by drum, and how likely the drummers'
hits are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from groove import NAMES, read_performances
from measuring.groove_hit_baselines import Eighths, Neighbours, Player, Rates

from musicvae_torch import MusicVAE, get_converter
from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.dataset.splits import SPLITS
from musicvae_torch.evaluation.grooves import AddedHits, Performances, added_hits
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.midi.vocabulary import CLOSED_HI_HAT, STEPS_PER_BAR
from musicvae_torch.windows.encoding import TEMPERATURE, draw_hits, model_batches
from surrogate.evaluation.metrics import bootstrap_interval

CONFIGS = {"tap": "groovae_2bar_tap_fixed_velocity", "hats": "groovae_2bar_add_closed_hh"}
ADDED = {"tap": list(range(DRUMS)), "hats": [CLOSED_HI_HAT]}
LEAST = 1e-4  # probability of a hit, or of none, so that none is impossible


def network_rows(model: MusicVAE, what: str, tokens: np.ndarray, temperature: float) -> np.ndarray:
    """What a network adds to windows; hats go with the other drums as they are."""
    drums = None if what == "tap" else ADDED[what]
    return draw_hits(model, tokens, drums=drums, temperature=temperature)


@torch.no_grad()
def network_probabilities(model: MusicVAE, tokens: np.ndarray) -> np.ndarray:
    """(windows, steps, 9) of each hit, given those of the steps before it."""
    found = []
    for batch in model_batches(model.config, tokens):
        z = model.encode(batch.inputs, controls=batch.controls).mean
        logits = model.teacher_force(z, batch.targets, batch.controls)
        found.append(torch.sigmoid(logits[..., :DRUMS]).numpy())
    return np.concatenate(found)


def scores_table(scores: Mapping[str, AddedHits], densities: Mapping[str, float]) -> str:
    """F1, errors of timing and velocity, and their differences from the last player's."""
    *_, best = scores.values()
    body = []
    for name, own in scores.items():
        cells = [f"{densities[name]:.1f}"]
        for values, theirs in zip(own[:3], best[:3], strict=True):
            cells.append(_interval(values, 3 if values is own.f1 else 2))
            cells.append(
                "" if own is best else _interval(values - theirs, 3 if values is own.f1 else 2)
            )
        body.append([name, *cells])
    more = "more than the last"
    header = ["", "hits a bar", "F1", more, "timing, ms", more, "velocity", more]
    return markdown_table(header, body)


def drums_table(scores: Mapping[str, AddedHits], drums: Sequence[int]) -> str:
    """F1 by player and drum."""
    body = [[name, *(f"{own.drum_f1[drum]:.3f}" for drum in drums)] for name, own in scores.items()]
    return markdown_table(["", *(NAMES[drum] for drum in drums)], body)


def likelihood_table(
    true: Performances, probabilities: Mapping[str, np.ndarray], drums: Sequence[int]
) -> str:
    """Nats that the drummers' hits cost, a bar."""
    hits, body = true.hits[..., drums], []
    for name, own_chances in probabilities.items():
        chances = own_chances[..., drums].clip(LEAST, 1 - LEAST)
        nats = -np.log(np.where(hits, chances, 1 - chances)).sum((1, 2))
        nats /= hits.shape[1] / STEPS_PER_BAR
        _, own, counts = np.unique(true.performance, return_inverse=True, return_counts=True)
        body.append([name, _interval(np.bincount(own, nats) / counts, 2)])
    return markdown_table(["", "nats a bar"], body)


def _interval(values: np.ndarray, digits: int) -> str:
    values = values[~np.isnan(values)]
    if not len(values):
        return "none"
    low, high = bootstrap_interval(values, seed=0)
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(what: str, train: Performances, true: Performances, folders: Sequence[str]) -> str:
    """The tables of what is added."""
    converter, drums = get_converter(CONFIGS[what]), ADDED[what]
    inputs, given = converter.inputs(train.tokens), converter.inputs(true.tokens)
    has_input = (given[..., :DRUMS] > 0).any((1, 2))
    true = Performances(*(part[has_input] for part in true))
    given = given[has_input]
    tapped = what == "tap"
    rates = Rates(train, inputs, drums, tapped)
    baselines: dict[str, Player] = {} if tapped else {"eighths, mean velocity": Eighths(train)}
    baselines |= {
        "likeliest of the step": rates,
        "nearest neighbour": Neighbours(train, inputs, drums, tapped, 1),
        "most of 20 nearest neighbours": Neighbours(train, inputs, drums, tapped, 20),
    }
    players = {name: baseline.play(given) for name, baseline in baselines.items()}
    probabilities = {"likeliest of the step": rates.probabilities(given)}
    for folder in folders:
        model = MusicVAE.from_pretrained(folder)
        probabilities[folder] = network_probabilities(model, true.tokens)
        for temperature in (TEMPERATURE, 0.0):
            rows = network_rows(model, what, true.tokens, temperature)
            players[f"{folder}, temperature {temperature:g}"] = rows
    bars = len(true.tokens) * true.tokens.shape[1] / STEPS_PER_BAR
    scores = {name: added_hits(true, rows, drums) for name, rows in players.items()}
    densities = {name: float((r[..., drums] > 0.5).sum() / bars) for name, r in players.items()}
    count = len(np.unique(true.performance))
    return (
        f"{what}: {count} performances, {len(true.tokens)} windows, "
        f"{true.hits[..., drums].sum() / bars:.1f} hits a bar\n\n"
        f"{scores_table(scores, densities)}\n\nF1 of all hits:\n\n{drums_table(scores, drums)}\n\n"
        f"{likelihood_table(true, probabilities, drums)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="GROOVE_FOLDER")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    for what in CONFIGS:
        parser.add_argument(f"--{what}", nargs="*", default=[], metavar="FOLDER", help="networks")
    arguments = parser.parse_args()
    train = read_performances(arguments.folder, "train", hop_bars=1)
    true = read_performances(arguments.folder, arguments.split, hop_bars=2)
    for what in CONFIGS:
        print(report(what, train, true, getattr(arguments, what)))


if __name__ == "__main__":
    main()
