#!/usr/bin/env python3
"""How near GrooVAEs and simpler players come to drummers, on the Groove MIDI Dataset.

    python benchmarks/groove.py GROOVE_FOLDER [--split validation] [--humanise FOLDER ...]

GROOVE_FOLDER is the unpacked data set, with its info.csv. Every player is given the hits of
two-bar windows that do not overlap, and says how hard and when each is struck. Prints Markdown:
errors as means over performances with 95 % bootstrap intervals, what each loses to the last
network (paired, by performance), and distances between distributions, drum by drum.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from measuring.groove_baselines import (
    Baseline,
    DrumAndStep,
    MedianOfDrumAndStep,
    NearestNeighbours,
    Quantised,
)

from musicvae_torch import MusicVAE, get_converter
from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.dataset.splits import SPLITS, TABLE
from musicvae_torch.errors import MidiError
from musicvae_torch.evaluation.grooves import (
    Performances,
    distribution_distances,
    hits_of,
    mean_errors,
)
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.midi.fast import read_song
from musicvae_torch.windows.encoding import play_hits
from surrogate.evaluation.metrics import bootstrap_interval

CONFIG = "groovae_2bar_humanize"
NAMES = ("kick", "snare", "closed hat", "open hat", *(f"{at} tom" for at in ("low", "mid", "high")))
NAMES += ("crash", "ride")


def read_performances(folder: Path, split: str, hop_bars: int) -> Performances:
    """The windows of a split's performances in 4/4; what is shorter than a window is left out."""
    converter = get_converter(CONFIG, hop_bars=hop_bars)
    tokens, qpm, performance = [], [], []
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    for number, row in enumerate(rows):
        try:
            song = read_song(folder / row["midi_filename"])
            windows = [window for found in converter.song_windows(song) for window in found]
        except MidiError:
            continue
        for window in windows:
            if window.tokens[:, :DRUMS].any():
                tokens.append(window.tokens)
                qpm.append(converter.sections(song)[0].qpm)
                performance.append(number)
    return Performances(np.stack(tokens), np.array(qpm), np.array(performance))


def errors_table(true: Performances, players: Mapping[str, np.ndarray]) -> str:
    """Mean absolute errors by player, and how much more they are than the last player's."""
    own = hits_of(true)
    errors = {name: mean_errors(own, hits_of(true, rows)) for name, rows in players.items()}
    *_, best = errors.values()
    body = []
    for name, pair in errors.items():
        cells = []
        for values, theirs in zip(pair, best, strict=True):
            cells += [_interval(values), "" if values is theirs else _interval(values - theirs)]
        body.append([name, *cells])
    header = ["", "timing, ms", "more than the last", "velocity", "more than the last"]
    return markdown_table(header, body)


def distances_table(true: Performances, players: Mapping[str, np.ndarray], kind: int) -> str:
    """Wasserstein distances by player and drum; kind 0: timing in ms, 1: velocity."""
    own = hits_of(true)
    body = []
    for name, rows in players.items():
        distances = distribution_distances(own, hits_of(true, rows))[kind]
        body.append([name, *(f"{d:.1f}" for d in distances), f"{np.nanmean(distances):.1f}"])
    return markdown_table(["", *NAMES, "mean"], body)


def _interval(values: np.ndarray) -> str:
    low, high = bootstrap_interval(values, seed=0)
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="GROOVE_FOLDER")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--humanise", nargs="*", default=[], metavar="FOLDER", help="networks")
    arguments = parser.parse_args()
    train = read_performances(arguments.folder, "train", hop_bars=1)
    true = read_performances(arguments.folder, arguments.split, hop_bars=2)
    baselines: dict[str, Baseline] = {
        "on the grid, mean velocity": Quantised(train),
        "mean of drum and step": DrumAndStep(train),
        "median of drum and step": MedianOfDrumAndStep(train),
        "normal draw of drum and step": DrumAndStep(train, seed=0),
        "nearest neighbour": NearestNeighbours(train, 1),
        "mean of 20 nearest neighbours": NearestNeighbours(train, 20),
        "median of 20 nearest neighbours": NearestNeighbours(train, 20, median=True),
    }
    players = {name: baseline.play(true.hits) for name, baseline in baselines.items()}
    for folder in arguments.humanise:
        players[folder] = play_hits(MusicVAE.from_pretrained(folder), true.hits)
    count = len(np.unique(true.performance))
    print(f"{count} performances, {len(true.tokens)} windows, {true.hits.sum()} hits\n")
    print(errors_table(true, players))
    print(f"\nTiming, Wasserstein distance in ms:\n\n{distances_table(true, players, 0)}")
    print(f"\nVelocity, Wasserstein distance:\n\n{distances_table(true, players, 1)}")


if __name__ == "__main__":
    main()
