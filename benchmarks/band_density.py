"""How dense, regular and in key bands are beside real ones, by density shift and temperature.

    python benchmarks/band_density.py MIDI_FOLDER --shifts 0,.3,.5 --temperatures .4,.6

Each song's melody alone is accompanied; its own bass and drums are the row "real". The density
shift of a surrogate's config (see ``surrogate.encoder.model.SurrogateConfig``) was chosen on the
validation songs with this.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score, divisible, read_score
from surrogate.evaluation.against import melody_of
from surrogate.evaluation.columns import DENSITY
from surrogate.evaluation.finished import read_band, score_band, stacked
from surrogate.evaluation.tables import scores_table
from surrogate.options import BAND_DENSITY, AccompanyOptions
from surrogate.pipeline import Accompanist
from surrogate.song.context import SongContext, analyze
from surrogate.song.folders import midi_files

MOST_BARS = 150
COLUMNS = ("bass in key", "bass in harmony", *DENSITY[:4])
LEAST_PLAYED = 0.8  # of the melody's bars, in which a real band must play to be compared with


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="real songs with a melody, bass and drums")
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--shifts", type=_numbers, default=[0.0])
    parser.add_argument("--temperatures", type=_numbers, default=[0.6])
    parser.add_argument("--varieties", type=_numbers, default=[0.0])
    parser.add_argument("--musicvae", type=Path)
    parser.add_argument("--surrogate", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    accompanist = Accompanist.from_pretrained(
        arguments.musicvae, arguments.surrogate, method="surrogate"
    )
    assert accompanist.surrogate is not None
    own = accompanist.surrogate.config.density_shift
    songs = draw_songs(arguments.folder, arguments.songs, arguments.seed)
    rows = {"real": stacked([scores for _, _, scores in songs])}
    settings = [
        (shift, temperature, variety)
        for shift in arguments.shifts
        for temperature in arguments.temperatures
        for variety in arguments.varieties
    ]
    for shift, temperature, variety in tqdm(settings):
        scored = []
        for number, (score, song, _) in enumerate(songs):
            options = AccompanyOptions(
                melody=melody_of(score),
                keep="given",
                temperature=temperature,
                variety=variety,
                seed=arguments.seed + number,
                attributes={BAND_DENSITY: shift - own},
            )
            result = accompanist.accompany(score, options)
            scored.append(score_band(song, read_band(result.score, song)))
        name = f"density shift {shift:g}, temperature {temperature:g}, variety {variety:g}"
        rows[name] = stacked(scored)
    print(f"{len(songs)} songs of {arguments.folder}")
    print(scores_table(rows, COLUMNS, arguments.seed))


def draw_songs(
    folder: Path, count: int, seed: int
) -> list[tuple[Score, SongContext, dict[str, float]]]:
    """Songs whose real band plays nearly throughout, each with what is heard of its melody and
    the scores of that band."""
    paths = midi_files(folder)
    order = np.random.default_rng(seed).permutation(len(paths)).tolist()
    songs: list[tuple[Score, SongContext, dict[str, float]]] = []
    for path in (paths[index] for index in order):
        if len(songs) == count:
            break
        try:
            score = divisible(read_score(path))
            song = analyze(score, replace(AccompanyOptions(), melody=melody_of(score)))
        except MidiError:
            continue
        if not 16 <= song.bars <= MOST_BARS:
            continue
        scores = score_band(song, read_band(score, song))
        if min(scores["bars with bass"], scores["bars with drums"]) >= LEAST_PLAYED:
            songs.append((score, song, scores))
    return songs


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
