#!/usr/bin/env python3
"""How hard bass, drums and melody play in real songs: makes
``surrogate/arrangement/velocity_profile.json``, or says how near it comes.

    python benchmarks/velocity_profile.py learn MIDI_FOLDER [-o PROFILE]
    python benchmarks/velocity_profile.py evaluate MIDI_FOLDER

Of each file the longest stretch of one tempo in 4/4 counts, if it has 16 bars: as the melody, of
the pitched tracks that sound in at least half as many bars as the busiest, the highest one; as
the bass the busiest track of a bass program; as the drums all of them. A part of fewer than 64
notes is left out; one of fewer than 8 different velocities, or that keeps within a standard
deviation of 3, was not played but set, and teaches only its level. Every song counts alike.

Learnt are, in this order: accents, by least squares with a level for each song, cells of few
songs drawn towards what their drum does on the whole; the share of the melody's swelling and
fading, by regression within songs; the level, by regression on the melody's mean, and how far it
is above that at most in nine songs of ten; the spread, from notes on the same place of
neighbouring bars. A new melody follows bass and drums.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.errors import MidiError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.quantize import Section, common_time_sections
from musicvae_torch.midi.vocabulary import (
    BASS_PROGRAMS,
    DRUM_CLASSES,
    OUTPUT_VELOCITY,
    PARTS,
    STEPS_PER_BAR,
)
from surrogate.arrangement.dynamics import (
    PROFILE_FILE,
    REFERENCE,
    VelocityContour,
    accents,
    part_level,
    part_profiles,
    part_velocities,
    swell,
    velocity_contour,
)
from surrogate.evaluation.tables import DASH, Estimate
from surrogate.song.folders import midi_files

MIN_BARS, MIN_NOTES, MIN_VELOCITIES, MIN_DEVIATION = 16, 64, 8, 3.0
FEW_SONGS = 20.0  # a cell of so many songs is drawn halfway to its drum's mean
LEAST = 1e-12  # in place of a 0 to divide by
ROUNDS = 30  # of alternating least squares
HEARD = {"melody": ("bass", "drums"), "bass": ("melody",), "drums": ("melody",)}
SOUND_EFFECTS = 112  # programs from here on sing no melody


@dataclass(frozen=True)
class Played:
    """The notes of a part, (notes,) each."""

    steps: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray

    @property
    def level(self) -> float:
        return float(self.velocities.mean())

    @property
    def enough(self) -> bool:
        return len(self.steps) >= MIN_NOTES

    @property
    def alive(self) -> bool:
        """Whether it was played by hand, or as if."""
        distinct = len(np.unique(self.velocities))
        deviation = float(self.velocities.std()) if self.enough else 0.0
        return self.enough and distinct >= MIN_VELOCITIES and deviation >= MIN_DEVIATION


Parts = dict[str, Played]


def read_parts(path: Path) -> Parts | None:
    """The parts of a file; None of one that does not count."""
    try:
        found = common_time_sections(load_song(path))
    except MidiError:
        return None
    section = max(found, key=lambda one: one.steps, default=None)
    if section is None or section.steps < MIN_BARS * STEPS_PER_BAR:
        return None
    notes = section.notes
    basses = np.isin(notes["program"], list(BASS_PROGRAMS)) & ~notes["is_drum"]
    pitched = ~notes["is_drum"] & ~basses & (notes["program"] < SOUND_EFFECTS)
    drums = notes["is_drum"] & (class_of_pitch(DRUM_CLASSES)[notes["pitch"]] >= 0)
    masks = {"melody": _highest(section, pitched), "bass": _busiest(section, basses)}
    return {
        part: Played(
            section.start_steps[mask],
            notes["pitch"][mask],
            notes["velocity"][mask].astype(np.float64),
        )
        for part, mask in {**masks, "drums": drums}.items()
    }


def _busiest(section: Section, mask: np.ndarray) -> np.ndarray:
    """Narrow a mask of notes to the track with most of them."""
    tracks, counts = np.unique(section.notes["instrument"][mask], return_counts=True)
    if not len(tracks):
        return mask
    busiest: np.ndarray = mask & (section.notes["instrument"] == tracks[counts.argmax()])
    return busiest


def _highest(section: Section, mask: np.ndarray) -> np.ndarray:
    """Narrow a mask to the highest track of those that sound often."""
    tracks = section.notes["instrument"]
    of_track = {track: mask & (tracks == track) for track in np.unique(tracks[mask]).tolist()}
    bars = {
        track: len(np.unique(section.start_steps[own] // STEPS_PER_BAR))
        for track, own in of_track.items()
    }
    heights = {
        track: section.notes["pitch"][own].mean()
        for track, own in of_track.items()
        if bars[track] >= max(bars.values()) / 2
    }
    return of_track[max(heights, key=lambda track: heights[track])] if heights else mask


def contour_of(parts: Parts, sources: tuple[str, ...]) -> VelocityContour:
    """How loud some parts of a song are together."""
    steps = np.concatenate([parts[part].steps for part in sources])
    velocities = np.concatenate([parts[part].velocities for part in sources])
    bars = max(int(one.steps.max(initial=0)) for one in parts.values()) // STEPS_PER_BAR + 1
    return velocity_contour(steps, velocities, bars)


def learn_accents(songs: list[Played], part: str) -> np.ndarray:
    """(classes, 16) of the songs in which the part is alive; 0 for what none of them has."""
    classes = len(DRUM_CLASSES) if part == "drums" else 1
    size = classes * STEPS_PER_BAR
    cells = [one.steps % STEPS_PER_BAR + STEPS_PER_BAR * _classes(one, part) for one in songs]
    table = np.zeros(size)
    for _ in range(ROUNDS):
        sums, weights, present = np.zeros((3, size))
        for one, cell in zip(songs, cells, strict=True):
            rest = one.velocities - (one.velocities - table[cell]).mean()
            counts = np.bincount(cell, minlength=size)
            sums += np.bincount(cell, rest, size) / len(cell)
            weights += counts / len(cell)
            present += counts > 0
        # Where there are no notes, both are 0.
        means = (sums / np.maximum(weights, LEAST)).reshape(classes, -1)
        of_class = np.maximum(weights.reshape(classes, -1).sum(1), LEAST)
        by_class = sums.reshape(classes, -1).sum(1) / of_class
        trust = (present / (present + FEW_SONGS)).reshape(classes, -1)
        table = (trust * means + (1 - trust) * by_class[:, None]).ravel()
        table -= (weights * table).sum() / max(weights.sum(), LEAST)
    return table.reshape(classes, -1)


def _classes(one: Played, part: str) -> np.ndarray:
    if part != "drums":
        return np.zeros(len(one.steps), np.int64)
    classes: np.ndarray = class_of_pitch(DRUM_CLASSES)[one.pitches]
    return classes


def learn_follow(pairs: list[tuple[Played, VelocityContour]], part: str) -> float:
    """Slope of velocities, less their drum's mean, on the song's contour; 0 where that never
    changes."""
    products = squares = 0.0
    for one, contour in pairs:
        own = _classes(one, part)
        counts = np.maximum(np.bincount(own), 1)
        rest = one.velocities - (np.bincount(own, one.velocities) / counts)[own]
        moved = contour.at(one.steps)
        moved = moved - moved.mean()
        products += float((moved * rest).mean())
        squares += float((moved**2).mean())
    return products / max(squares, LEAST)


def learn_level(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Level at REFERENCE and slope, of (mean of the song, mean of the part) of each song."""
    contour, own = np.array(pairs).T
    slope, level = np.polyfit(contour - REFERENCE, own, 1)
    return float(level), float(slope)


def spread_of(one: Played, part: str) -> float:
    """Standard deviation of a note from the one on the same place of the bar before, were both
    drawn alike; robust. Exact repetition gives 0."""
    places = _classes(one, part) * STEPS_PER_BAR + one.steps % STEPS_PER_BAR
    order = np.lexsort((one.steps, places))
    steps, places, velocities = one.steps[order], places[order], one.velocities[order]
    pairs = (np.diff(places) == 0) & (np.diff(steps) == STEPS_PER_BAR)
    if not pairs.any():
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(velocities)[pairs])) / np.sqrt(2))


def learn(songs: list[Parts]) -> dict[str, object]:
    """The contents of the profile file."""
    parts: dict[str, object] = {}
    counts: dict[str, object] = {}
    for part in PARTS:
        alive = [song[part] for song in songs if song[part].alive]
        pairs = [
            (song[part], contour_of(song, HEARD[part]))
            for song in songs
            if song[part].enough and all(song[other].enough for other in HEARD[part])
        ]
        moving = [pair for pair in pairs if pair[0].alive and not pair[1].constant]
        spreads = [spread for one in alive if (spread := spread_of(one, part)) > 0]
        level, constant = (
            learn_level(
                [(contour.mean, one.level) for one, contour in pairs if contour.constant == fixed]
            )
            for fixed in (False, True)
        )
        parts[part] = {
            "level": round(level[0], 2),
            "slope": round(level[1], 3),
            "constant_level": round(constant[0], 2),
            "constant_slope": round(constant[1], 3),
            "most_above": round(float(np.quantile([p.level - h.mean for p, h in pairs], 0.9)), 1),
            "follow": round(learn_follow(moving, part), 3),
            "spread": round(float(np.median(spreads)), 2),
            "accents": np.round(learn_accents(alive, part), 1).tolist(),
        }
        counts[part] = {
            "accents": len(alive),
            "follow": len(moving),
            "spread": len(spreads),
            "level": len(pairs),
        }
    return {"made by": "benchmarks/velocity_profile.py", "songs": counts, "parts": parts}


def evaluate(songs: list[Parts]) -> str:
    """A table of how near the profile comes to each song's own velocities."""
    lines = [
        "| part | songs | velocities | error | correlation within songs | between songs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for part, which in ((p, w) for p in ("bass", "drums") for w in ("played", "all")):
        chosen = [
            song
            for song in songs
            if song["melody"].enough
            and (song[part].alive if which == "played" else song[part].enough)
        ]
        rows: dict[str, list[tuple[float, float, float, float]]] = {}
        for song in chosen:
            one, contour = song[part], contour_of(song, HEARD[part])
            for name, predicted in predictions(part, one, contour).items():
                error = float(np.abs(predicted - one.velocities).mean())
                varied = one.alive and np.ptp(predicted) > 0
                within = np.corrcoef(predicted, one.velocities)[0, 1] if varied else np.nan
                rows.setdefault(name, []).append(
                    (error, within, float(predicted.mean()), one.level)
                )
        for name, values in rows.items():
            error, within, means, levels = np.array(values).T
            between = np.corrcoef(means, levels)[0, 1] if np.ptp(means) else np.nan
            cells = [
                Estimate.of(error, seed=0).text(1),
                Estimate.of(within, seed=0).text(2),
                DASH if np.isnan(between) else f"{between:.2f}",
            ]
            lines.append(f"| {part} | {len(chosen)} {which} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def predictions(part: str, one: Played, contour: VelocityContour) -> dict[str, np.ndarray]:
    """Velocities of a part, in several ways, (notes,) each."""
    profile = part_profiles()[part]
    level = np.full(len(one.steps), part_level(profile, contour))
    moved, accented = swell(profile, contour, one.steps), accents(profile, one.steps, one.pitches)
    notes = list(
        zip(one.steps.tolist(), (one.steps + 1).tolist(), one.pitches.tolist(), strict=True)
    )
    return {
        f"all {OUTPUT_VELOCITY}": np.full(len(level), float(OUTPUT_VELOCITY)),
        "the melody's mean": np.full(len(level), contour.mean),
        "level": level,
        "level, swells": level + moved,
        "level, accents": level + accented,
        "level, swells, accents": (level + moved + accented).clip(1, 127),
        "and the deviations": part_velocities(notes, part, contour).astype(np.float64),
    }


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("learn", "evaluate"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=PROFILE_FILE)
    arguments = parser.parse_args()
    read = map(read_parts, tqdm(midi_files(arguments.folder), unit="file"))
    songs = [parts for parts in read if parts is not None]
    if arguments.task == "evaluate":
        print(evaluate(songs))
        return
    text = json.dumps(learn(songs), indent=1)
    # A row of accents on a line of its own.
    rows = text.replace(",\n     ", ", ").replace("[\n     ", "[").replace("\n    ]", "]")
    with replacing(arguments.output) as temporary:
        temporary.write_text(rows + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
