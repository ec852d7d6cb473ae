#!/usr/bin/env python3
"""How much drummers vary beyond what a GrooVAE predicts, and how near bands come to drummers.

    python benchmarks/feel.py learn GROOVE_FOLDER [--groove FOLDER] [--out FILE]
    python benchmarks/feel.py evaluate GROOVE_FOLDER MIDI_FOLDER [--groove FOLDER] [--songs N]

GROOVE_FOLDER is the unpacked Groove MIDI Dataset, with its info.csv. "learn" writes
surrogate/arrangement/feel.json: the residuals' standard deviations and correlations from the
training split, and the shares of them that bring the distributions of the validation split nearest
to its drummers'. "evaluate" accompanies the melodies of songs, by the profile and with feel, and
prints Wasserstein distances from the training split's distributions, drum by drum: as the songs
have it, less each song's mean, and with the drummers' mean velocity in place of the songs' own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from groove import NAMES, read_performances

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.converters.groove import DRUMS, MAX_VELOCITY
from musicvae_torch.errors import MidiError
from musicvae_torch.evaluation.grooves import (
    Hits,
    Performances,
    distribution_distances,
    hits_of,
    wasserstein,
)
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.midi.notes import is_midi
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, STEPS_PER_QUARTER
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import play_hits
from surrogate import Accompanist, AccompanyOptions
from surrogate.accompaniment import Accompaniment
from surrogate.arrangement import dynamics, feel
from surrogate.arrangement.arrange import Arrangement
from surrogate.encoder.loading import load_groove
from surrogate.generators.band import BandGenerator
from surrogate.generators.protocol import Generated
from surrogate.generators.trio import TrioGenerator
from surrogate.options import NO_GROOVE
from surrogate.song.context import SongContext

SHARES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25)
LAGS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("learn", "evaluate"))
    parser.add_argument("folder", type=Path, metavar="GROOVE_FOLDER")
    parser.add_argument("midi", type=Path, nargs="?", metavar="MIDI_FOLDER", help="to evaluate")
    parser.add_argument(
        "--groove", type=Path, metavar="FOLDER", help="a GrooVAE (default: shipped)"
    )
    parser.add_argument("--songs", type=int, default=100, metavar="N", help="to evaluate")
    parser.add_argument(
        "--out", type=Path, default=feel.RESIDUALS_FILE, metavar="FILE", help="what is learnt"
    )
    arguments = parser.parse_args()
    if arguments.command == "evaluate" and arguments.midi is None:
        parser.error("evaluate wants a MIDI_FOLDER of songs to accompany")
    arguments.model = load_groove(arguments.groove, torch.device("cpu"))
    if arguments.model is None:
        parser.error("no GrooVAE was shipped; name one with --groove FOLDER")
    (learn if arguments.command == "learn" else evaluate)(arguments)


def learn(arguments: argparse.Namespace) -> None:
    model = arguments.model
    found = residuals_of(model, read_performances(arguments.folder, "train", hop_bars=2))
    found, table = with_shares(
        found, model, read_performances(arguments.folder, "validation", hop_bars=2)
    )
    stored = {
        name: np.round(value, 3).tolist() if isinstance(value, np.ndarray) else round(value, 3)
        for name, value in vars(found).items()
    }
    arguments.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(f"{json.dumps(stored)}\n\n{table}")


def residuals_of(model: MusicVAE, train: Performances) -> feel.Residuals:
    """Residuals of performances. All of them are played (shares of 1)."""
    true, predicted = (own_deviations(train, rows) for rows in (None, play(model, train)))
    louder = true.velocity - predicted.velocity
    later = in_steps(train, true.timing - predicted.timing)
    counts = np.bincount(true.drum, minlength=DRUMS)
    velocity, timing = (
        np.sqrt(np.bincount(true.drum, values**2, DRUMS) / np.maximum(counts, 1))
        for values in (louder, later)
    )
    print(f"velocity: correlations {correlations(train, louder / velocity[true.drum], true.drum)}")
    found = correlations(train, later / timing[true.drum], true.drum)
    print(f"timing: correlations {found}")
    lags = np.arange(1, len(found))
    drift = float(np.clip(found[0], 0, 1))
    lasting = min(
        np.arange(1.0, 65.0), key=lambda t: ((drift * np.exp(-lags / t) - found[1:]) ** 2).sum()
    )
    return feel.Residuals(velocity, timing, drift, float(lasting), 1.0, 1.0)


def play(model: MusicVAE, performances: Performances) -> np.ndarray:
    """(windows, steps, 27) rows that the network plays."""
    return play_hits(model, performances.hits)


def own_deviations(performances: Performances, rows: np.ndarray | None = None) -> Hits:
    """Hits with what is not the drummer's in a band taken away: of velocities the mean of the
    drum in the performance, and of timing the mean of the position of the beat."""
    hits = hits_of(performances, rows)
    position = np.nonzero(performances.hits)[1] % STEPS_PER_QUARTER
    return hits._replace(
        timing=centred(hits.timing, hits.performance * STEPS_PER_QUARTER + position),
        velocity=centred(hits.velocity, hits.performance * DRUMS + hits.drum),
    )


def centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values less the mean of their group, (values,) each."""
    _, own, counts = np.unique(group, return_inverse=True, return_counts=True)
    less: np.ndarray = values - (np.bincount(own, values) / counts)[own]
    return less


def correlations(train: Performances, standard: np.ndarray, drum: np.ndarray) -> np.ndarray:
    """Correlations of standardised residuals of hits with those of other drums on the same step,
    and with all of those 1 to LAGS steps later."""
    rolls = np.zeros(train.hits.shape)
    window, step, _ = np.nonzero(train.hits)
    rolls[window, step, drum] = standard
    sums, counts = rolls.sum(-1), train.hits.sum(-1)
    pairs = [((sums**2 - (rolls**2).sum(-1)).sum(), (counts**2 - counts).sum())]
    for lag in range(1, LAGS + 1):
        products = sums[:, :-lag] * sums[:, lag:], counts[:, :-lag] * counts[:, lag:]
        pairs.append((products[0].sum(), products[1].sum()))
    return np.array([round(float(total) / max(int(count), 1), 3) for total, count in pairs])


def with_shares(
    found: feel.Residuals, model: MusicVAE, validation: Performances
) -> tuple[feel.Residuals, str]:
    """The residuals with the shares whose distributions are nearest, and a table of distances."""
    window, step, drum = np.nonzero(validation.hits)
    true, predicted = (own_deviations(validation, rows) for rows in (None, play(model, validation)))
    cell = window * validation.hits.shape[1] + step
    distances = []
    for share in SHARES:
        sizes = replace(found, velocity_share=share, timing_share=share)
        with mock.patch.object(feel, "residuals", return_value=sizes):
            velocity, timing = feel.draw_residuals(cell, drum, seed=0)
        played = predicted._replace(
            velocity=predicted.velocity + velocity,
            timing=predicted.timing + in_ms(validation, timing),
        )
        distances.append(distances_within(true, played))
    timing_at, velocity_at = np.argmin(distances, axis=0)
    best = replace(found, velocity_share=SHARES[velocity_at], timing_share=SHARES[timing_at])
    body = [[f"{s:g}", f"{t:.2f}", f"{v:.2f}"] for s, (t, v) in zip(SHARES, distances, strict=True)]
    return best, markdown_table(["share", "timing, ms", "velocity"], body)


def distances_within(true: Hits, played: Hits) -> np.ndarray:
    """Wasserstein distances of each drum of each performance, (2,): timing in ms and velocity, as
    means weighted by hits. (Distributions over all performances together are those of drummers who
    are now steady, now wild; nobody plays so.)"""
    group = true.performance * DRUMS + true.drum
    sums = np.zeros(2)
    for one in np.unique(group):
        own = group == one
        pair = [
            wasserstein(getattr(played, name)[own], getattr(true, name)[own])
            for name in ("timing", "velocity")
        ]
        sums += own.sum() * np.array(pair)
    means: np.ndarray = sums / len(group)
    return means


def in_ms(performances: Performances, steps: np.ndarray) -> np.ndarray:
    """Times of the hits of performances, (hits,) in steps, in milliseconds."""
    ms: np.ndarray = steps * (15_000 / performances.qpm[np.nonzero(performances.hits)[0]])
    return ms


def in_steps(performances: Performances, ms: np.ndarray) -> np.ndarray:
    """The inverse of :func:`in_ms`."""
    steps: np.ndarray = ms / in_ms(performances, np.ones(len(ms)))
    return steps


def evaluate(arguments: argparse.Namespace) -> None:
    true = hits_of(read_performances(arguments.folder, "train", hop_bars=2))
    band = Accompanist.from_pretrained(groove=NO_GROOVE)
    band = replace(band, generator=Remembered(band))
    songs = sorted(path for path in arguments.midi.rglob("*") if is_midi(path))
    songs = [songs[i] for i in np.linspace(0, len(songs) - 1, arguments.songs).astype(int)]
    hits = played_hits(band, songs, arguments)
    with at_level(float(true.velocity.mean())):
        as_soft = played_hits(band, songs, arguments)
    count = len(np.unique(hits["feel 1"].performance))
    print(f"{count} songs, {len(hits['feel 1'].drum)} hits; {len(true.drum)} of drummers")
    for name, own in {"drummers": true, **hits}.items():
        share = np.mean(own.velocity >= MAX_VELOCITY)
        print(f"{name}: mean velocity {own.velocity.mean():.1f}, {share:.1%} at {MAX_VELOCITY}")
    centred_hits = {name: less_means(own) for name, own in hits.items()}
    for title, theirs, ours in (
        ("all hits", true, hits),
        ("less each song's mean", less_means(true), centred_hits),
        ("with the drummers' mean velocity", true, as_soft),
    ):
        pairs = {name: distribution_distances(theirs, own) for name, own in ours.items()}
        for kind, unit in enumerate(("timing, ms", "velocity")):
            if ours is as_soft and kind == 0:
                continue  # as above
            body = [
                [name, *(f"{d:.1f}" for d in pair[kind]), f"{np.nanmean(pair[kind]):.1f}"]
                for name, pair in pairs.items()
            ]
            print(f"\n{unit}, {title}:\n\n{markdown_table(['', *NAMES, 'mean'], body)}")


def played_hits(
    band: Accompanist, songs: list[Path], arguments: argparse.Namespace
) -> dict[str, Hits]:
    """The new drums of songs, by how they are played."""
    plain, human = (
        list(accompaniments(replace(band, groove=groove), songs))
        for groove in (None, arguments.model)
    )
    if not human:
        raise SystemExit(f"{arguments.midi}: none of its songs could be accompanied")
    return {
        "by the profile": drum_hits([song.best.arrangement for song in plain]),
        "feel 0": drum_hits([song.best.even() for song in human if song.best.even is not None]),
        "feel 1": drum_hits([song.best.arrangement for song in human]),
    }


@contextmanager
def at_level(velocity: float) -> Iterator[None]:
    """A context in which new parts have this mean velocity, but for the song's swells, however loud
    the song is."""

    def around_mean(velocities: np.ndarray, even: np.ndarray) -> np.ndarray:
        shifted: np.ndarray = velocities - velocities.mean() + even.mean()
        return shifted.clip(1, MAX_VELOCITY)

    with (
        mock.patch.object(dynamics, "part_level", return_value=velocity),
        mock.patch.object(dynamics, "as_loud", around_mean),
    ):
        yield


class Remembered:
    """A band network that plays each song once, so that all ways of playing have the same notes."""

    def __init__(self, band: Accompanist) -> None:
        assert band.band is not None
        styles = TrioGenerator(band.musicvae, band.surrogate, band.attributes)
        self.generator = BandGenerator(band.band, styles)
        self.known: dict[bytes, Generated] = {}

    def generate(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> Iterator[Generated]:
        new = [song for song in songs if song.tokens.tobytes() not in self.known]
        made = self.generator.generate(new, options) if new else ()
        self.known |= {song.tokens.tobytes(): own for song, own in zip(new, made, strict=True)}
        for song in songs:
            yield self.known[song.tokens.tobytes()]


def less_means(hits: Hits) -> Hits:
    """Hits with their values less the mean of their song."""
    timing, velocity = (centred(own, hits.performance) for own in (hits.timing, hits.velocity))
    return hits._replace(timing=timing, velocity=velocity)


def accompaniments(band: Accompanist, songs: list[Path]) -> Iterator[Accompaniment]:
    """Those of the songs that can be accompanied."""
    options = AccompanyOptions(keep="given", outside="none")
    for result in band.accompany_batch(songs, options):
        if isinstance(result, MidiError):
            print(f"left out: {result}")
        else:
            yield result


def drum_hits(made: list[Arrangement]) -> Hits:
    """The hits of the new drums, timed from the nearest sixteenth of their song's beats."""
    rows = []
    drum_of = class_of_pitch(DRUM_CLASSES)
    for number, band in enumerate(made):
        score = band.score
        for track in (score.tracks[index] for index in band.new):
            if not track.is_drum:
                continue
            step = score.resolution / 4
            nearest = np.rint(np.rint(track.notes["start"] / step) * step)
            late = score.seconds(track.notes["start"]) - score.seconds(nearest)
            columns = (drum_of[track.notes["pitch"]], late * 1000, track.notes["velocity"])
            rows.append(np.stack([np.full(len(late), number), *columns], axis=1))
    song, drum, timing, velocity = np.concatenate(rows).T
    return Hits(song.astype(int), drum.astype(int), timing, velocity.clip(1, MAX_VELOCITY))


if __name__ == "__main__":
    main()
