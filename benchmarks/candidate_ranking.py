#!/usr/bin/env python3
"""How near the first of several candidates is to the real part, by what candidates are ranked by.

    python benchmarks/candidate_ranking.py MIDI_FOLDER ... [--candidates 4]

The melodies of 16-bar windows of real songs get several bands each, as by `accompany`. The columns
compare the candidate that a ranking puts first with the mean of all candidates, which one drawn at
random has on the average: how much nearer to the real part it is, so that more is better; first the
mean of these columns, each in standard deviations among the candidates of a song. The last two tell
how many more notes it has. Intervals are 95 % bootstrap intervals over songs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from band_ablations import melody_chords
from band_sampling import default_sampling
from torch import Tensor
from tqdm import tqdm

from musicvae_torch.midi.vocabulary import FIRST_NOTE, PARTS
from musicvae_torch.options import programs
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.sampling import sample
from surrogate.band.scoring import nats_of
from surrogate.encoder.candidates import latent_offsets, rank
from surrogate.encoder.refine import hide
from surrogate.evaluation.columns import Truth
from surrogate.evaluation.metrics import notes_per_bar
from surrogate.evaluation.tables import Estimate, Scores, markdown, mean_where
from surrogate.evaluation.windows import EvaluationWindows, read_evaluation_windows
from surrogate.options import AccompanyOptions
from surrogate.pipeline import Accompanist

BATCH = 8  # windows
MADE = ("bass", "drums")
# Errors, columns that should be near those of the real part, and columns that should be high.
ERRORS = ("bass density error", "drums density error")
NEAR = (
    "distinct drum bars in 16",
    "bass repeats",
    "drums repeats",
    "bars with toms",
    "bass on kick beyond chance",
)
HIGH = ("drum hits F1", "drum steps F1", "bass right", "drums right", "bass in key")
NOTES = ("bass notes a bar", "drum hits a bar")


def candidates_of(
    accompanist: Accompanist, windows: EvaluationWindows, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands for the melodies of windows, and what they cost.

    Returns:
        tokens: (windows, candidates, steps, 3) classes.
        nats: (windows, candidates) of bass and drums, by the network that hears the melody.
        unheard: the same by the network that hears nothing, in the same style.
    """
    band, surrogate = accompanist.band, accompanist.surrogate
    assert band is not None and surrogate is not None
    mean, stddev = surrogate.predict(torch.from_numpy(windows.tokens), ("melody",))
    offsets = latent_offsets(seed, count * len(mean), mean.shape[1]).reshape(len(mean), count, -1)
    offsets[:, 0] = 0  # the first candidate's style is the likeliest
    styles = mean[:, None].expand(-1, count, -1)
    if stddev is not None:
        variety = AccompanyOptions().variety
        styles = styles + variety * torch.from_numpy(offsets) * stddev[:, None]
    given = hide(torch.from_numpy(windows.tokens), ("melody",), HIDDEN)
    chords = torch.from_numpy(np.stack([melody_chords(own[:, 0]) for own in windows.tokens]))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for at in tqdm(range(0, len(given), BATCH), leave=False):
        rows = slice(at, at + BATCH)
        heard, style = given[rows].repeat_interleave(count, 0), styles[rows].flatten(0, 1)[:, None]
        said = Controls(chords[rows].repeat_interleave(count, 0), style=style)
        numbers = range(at * count, at * count + len(heard))
        made = sample(band, heard, said, seed=seed, numbers=numbers, sampling=default_sampling())
        alone = hide(made.tokens, MADE, HIDDEN)
        cost = nats_of(band, torch.full_like(heard, HIDDEN), alone, Controls(style=style))
        found.append((made.tokens, made.nats.sum((1, 2)), cost.sum((1, 2))))
    tokens, nats, unheard = (
        torch.cat(own).unflatten(0, (len(given), count)).numpy() for own in zip(*found, strict=True)
    )
    return tokens, nats, unheard


def measured(windows: EvaluationWindows, tokens: np.ndarray) -> Scores:
    """By column, (windows, candidates), more being nearer to the real part; and their notes."""
    rows = []
    for real, bands in zip(tqdm(windows.tokens, leave=False), tokens, strict=True):
        truth = Truth(real, MADE)
        wanted = truth.compare(real)
        for band in bands:
            scores = truth.compare(band)
            row = {name: -scores[name] for name in ERRORS}
            row |= {name: -abs(scores[name] - wanted[name]) for name in NEAR}
            row |= {name: scores[name] for name in HIGH}
            row |= {
                name: notes_per_bar(band[:, PARTS.index(part)], part)
                for name, part in zip(NOTES, MADE, strict=True)
            }
            rows.append(row)
    return {
        name: np.array([row[name] for row in rows]).reshape(tokens.shape[:2]) for name in rows[0]
    }


def onsets_of(tokens: np.ndarray) -> np.ndarray:
    """How many steps of bass and drums begin something, of (..., steps, 3) classes; 1 if none."""
    begun = (tokens[..., 1] >= FIRST_NOTE).sum(-1) + (tokens[..., 2] > 0).sum(-1)
    return np.asarray(np.maximum(begun, 1))


def firsts(tokens: np.ndarray, nats: np.ndarray, unheard: np.ndarray) -> dict[str, np.ndarray]:
    """By the name of a ranking, (windows,) the candidate that it puts first; for the arguments see
    :func:`candidates_of`."""
    notes, information = onsets_of(tokens), unheard - nats
    return {
        "likelihood": nats.argmin(1),
        "likelihood per note": (nats / notes).argmin(1),
        "mutual information": information.argmax(1),
        "mutual information per note": (information / notes).argmax(1),
        "likeness to the others": np.array([rank(own)[0] for own in tokens]),
    }


def gains(scores: Scores, first: np.ndarray) -> Scores:
    """By column, (windows,) what the first candidates have more than the mean of all; first the
    mean of all columns but NOTES, each in its standard deviation among candidates."""
    every = np.arange(len(first))
    means = {name: mean_where(values.T)[:, None] for name, values in scores.items()}
    more = {name: values[every, first] - means[name][:, 0] for name, values in scores.items()}
    squares = {name: mean_where(((scores[name] - means[name]) ** 2).T) for name in scores}
    deviations = {name: np.sqrt(np.nanmean([0.0, *own])) for name, own in squares.items()}
    scaled = [
        more[name] / deviations[name] if deviations[name] else np.full(len(first), np.nan)
        for name in (*ERRORS, *NEAR, *HIGH)
    ]
    return {"all": mean_where(np.stack(scaled))} | more


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="MIDI files")
    parser.add_argument("--max-songs", type=int, default=96, metavar="N", help="of a folder")
    parser.add_argument("--melody-programs", type=programs, default=programs("0-31,56-87"))
    parser.add_argument("--candidates", type=int, default=4, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    accompanist = Accompanist.from_pretrained(device="cpu")
    rows: dict[str, list[Scores]] = {}
    for folder in arguments.folders:
        windows = read_evaluation_windows(
            folder,
            max_songs=arguments.max_songs,
            max_windows=1,
            melody_programs=arguments.melody_programs,
            seed=arguments.seed,
            progress=True,
        )
        found = candidates_of(accompanist, windows, arguments.candidates, arguments.seed)
        scores = measured(windows, found[0])
        for name, first in firsts(*found).items():
            rows.setdefault(name, []).append(gains(scores, first))
    songs = {
        name: {column: np.concatenate([one[column] for one in own]) for column in own[0]}
        for name, own in rows.items()
    }
    columns = list(next(iter(songs.values())))
    print(
        f"{len(next(iter(songs.values()))['all'])} songs, {arguments.candidates} candidates each\n"
    )
    body = [
        [name, *(Estimate.of(own[column], arguments.seed).text(2, sign=True) for column in columns)]
        for name, own in songs.items()
    ]
    print(markdown(columns, body))
    likeliest = songs["likelihood"]["all"]
    for name, own in songs.items():
        if name != "likelihood":
            more = Estimate.of(own["all"] - likeliest, arguments.seed)
            print(f"\n{name}, all, less likelihood: {more.text(2, sign=True)}")


if __name__ == "__main__":
    main()
