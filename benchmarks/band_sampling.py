#!/usr/bin/env python3
"""How near sampled bands are to real ones, by temperature, nucleus, guidance and log-odds.

    python benchmarks/band_sampling.py MIDI_FOLDER [--seeds 2] [--setting 1,1,1,1,0,0 ...]

The melodies of 16-bar windows of real songs get a bass and drums, in the surrogate's style and with
the chords that the melody suggests, as by `accompany`. The first rows are the real parts and the
defaults; each setting is a row more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from band_ablations import melody_chords
from tqdm import tqdm

from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.options import programs
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.sampling import Sampling, sample
from surrogate.encoder.refine import hide
from surrogate.evaluation.columns import Truth
from surrogate.evaluation.metrics import notes_per_bar
from surrogate.evaluation.tables import markdown
from surrogate.evaluation.windows import EvaluationWindows, read_evaluation_windows
from surrogate.generators.band import LOG_ODDS
from surrogate.options import BAND, AccompanyOptions
from surrogate.pipeline import Accompanist

BATCH = 32
COLUMNS = (
    "bass on kick beyond chance",
    "bars with toms",
    "distinct drum bars in 16",
    "bass repeats",
    "drums repeats",
    "bass in key",
    "bass in harmony",
)


def default_sampling() -> Sampling:
    """How `accompany` samples."""
    options = AccompanyOptions().by(BAND)
    assert options.top_p is not None and options.guidance is not None
    odds = tuple(LOG_ODDS.get(part, 0.0) for part in PARTS)
    return Sampling(options.temperatures, options.top_p, options.guidance, odds)


def setting(text: str) -> Sampling:
    """A setting of six numbers: see --help."""
    bass, drums, top_p, guidance, *odds = map(float, text.split(","))
    return Sampling((1.0, bass, drums), top_p, guidance, (0.0, *odds))


def play(
    accompanist: Accompanist,
    windows: EvaluationWindows,
    sampling: Sampling,
    style: torch.Tensor | None,
    seed: int,
) -> np.ndarray:
    """Bands for the melodies of windows: (windows, steps, 3) classes.

    Args:
        style: (windows, z_size); None: no style.
    """
    assert accompanist.band is not None
    given = hide(torch.from_numpy(windows.tokens), ("melody",), HIDDEN)
    chords = np.stack([melody_chords(tokens[:, 0]) for tokens in windows.tokens])
    played = []
    for at in tqdm(range(0, len(given), BATCH), leave=False):
        own = slice(at, at + BATCH)
        controls = Controls(
            torch.from_numpy(chords[own]), style=None if style is None else style[own, None]
        )
        numbers = range(at, at + len(given[own]))
        sampled = sample(
            accompanist.band, given[own], controls, seed=seed, numbers=numbers, sampling=sampling
        )
        played.append(sampled.tokens.numpy())
    return np.concatenate(played)


def scored(windows: EvaluationWindows, bands: np.ndarray) -> list[str]:
    """Means over windows and over several bands for each, (bands * windows, steps, 3), of the
    columns and of notes and hits a bar."""
    truths = [Truth(real, ("bass", "drums")) for real in windows.tokens]
    scores = [truths[index % len(truths)].compare(band) for index, band in enumerate(bands)]
    means = [float(np.nanmean([row[column] for row in scores])) for column in COLUMNS]
    notes = [
        np.mean([notes_per_bar(band[:, PARTS.index(part)], part) for band in bands])
        for part in ("bass", "drums")
    ]
    return [*(f"{mean:.2f}" for mean in means), *(f"{mean:.1f}" for mean in notes)]


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser of the arguments that :func:`read_windows` reads."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="MIDI files")
    parser.add_argument("--max-songs", type=int, default=96, metavar="N")
    parser.add_argument("--melody-programs", type=programs, default=programs("0-31,56-87"))
    parser.add_argument("--seed", type=int, default=1)
    return parser


def read_windows(arguments: argparse.Namespace) -> EvaluationWindows:
    """A window of each song, drawn at random."""
    return read_evaluation_windows(
        arguments.folder,
        max_songs=arguments.max_songs,
        max_windows=1,
        melody_programs=arguments.melody_programs,
        seed=arguments.seed,
        progress=True,
    )


@torch.no_grad()
def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--setting",
        nargs="*",
        default=[],
        metavar="T,T,P,G,O,O",
        help="temperatures of bass and drums, top-p, guidance, log-odds of bass notes and of hits",
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="bands for each melody")
    parser.add_argument("--band", type=Path, metavar="FOLDER", help="(default: shipped)")
    arguments = parser.parse_args()
    windows = read_windows(arguments)
    accompanist = Accompanist.from_pretrained(device="cpu", band=arguments.band)
    assert accompanist.surrogate is not None
    style = accompanist.surrogate.predict(torch.from_numpy(windows.tokens), ("melody",))[0]
    rows = [["real", *scored(windows, windows.tokens)]]
    settings = {"the defaults": default_sampling()}
    settings |= {text: setting(text) for text in arguments.setting}
    for name, sampling in tqdm(settings.items(), unit="row"):
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        bands = [play(accompanist, windows, sampling, style, seed) for seed in seeds]
        rows.append([name, *scored(windows, np.concatenate(bands))])
    print(f"{len(windows.tokens)} windows of {len(windows.songs)} songs\n")
    print(markdown([*COLUMNS, "bass notes a bar", "drum hits a bar"], rows))


if __name__ == "__main__":
    main()
