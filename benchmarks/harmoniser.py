#!/usr/bin/env python3
"""How often chords that are inferred from a melody alone are right, and training of the harmoniser.

    python benchmarks/harmoniser.py VALIDATION_FOLDER [--lead-sheets FOLDER] [--songs 242]
        [--train FOLDER --out WEIGHTS] [--training-songs 1000] [--epochs 10] [--hidden 48]
        [--cache FOLDER] [--seed 0]

The songs of a folder of MIDI are taken in turn from its subfolders, at random, as far as they have
a melody, a bass and other pitched parts, and are in 4/4. Their true chords are those that the
hidden Markov model of note-seq infers from all parts, two a bar; those of lead sheets are written.
The melody alone is then heard by the hidden Markov model, with one and two chords a bar, and by the
harmoniser (surrogate/arrangement/harmoniser.py).

A row for each: the share of half bars whose triad is right; the share whose root is right; changes
of chord a bar. Means over songs, with 95 % bootstrap intervals. Half bars without a true triad do
not count. With --train the harmoniser's weights are first learnt from songs and written to --out;
--cache keeps what was read of songs for the next time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measuring.song_scores import Rows, scores_table
from safetensors.numpy import save_file
from torch import Tensor, nn
from tqdm import tqdm

from musicvae_torch.chords.symbols import TRIADS, chord_class
from musicvae_torch.converters.melody import melody_notes
from musicvae_torch.errors import ChordError, MidiError
from musicvae_torch.midi.score import divisible, read_score
from musicvae_torch.midi.tracks import TICK_NOTE
from surrogate.arrangement.harmoniser import (
    FLAGS,
    FRAME,
    HISTOGRAMS,
    STATES,
    TONES,
    WEIGHTS_FILE,
    Weights,
    features,
    harmonise,
    sounding_classes,
)
from surrogate.arrangement.harmony import Harmony, infer, song_harmony
from surrogate.evaluation.lead_sheets import read_lead_sheet
from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext, analyze
from surrogate.song.folders import midi_files

BARS = (8, 200)  # of a song, at least and at most
LARGEST = 300_000  # bytes of a file
UNPITCHED = (*range(96, 104), *range(112, 128))  # programs of effects
FEWEST_NOTES = 8
STRETCH = 64  # half bars that are learnt from at a time
BATCH = 32
RATE, DECAY = 3e-3, 1e-4
COLUMNS = ("triad right", "root right", "changes a bar")
UNKNOWN = -1  # a true chord without a triad


class Melody(NamedTuple):
    """A melody and its true chords: (3, notes) start steps, end steps and pitches, and (half bars,)
    classes, 0 for no chord and UNKNOWN for one without a triad."""

    notes: np.ndarray
    chords: np.ndarray


def triads(harmony: Harmony, frames: int) -> np.ndarray:
    """(frames,) classes of a harmony's chords."""
    return np.array([_class(name) for name in harmony.names_at(np.arange(frames) * FRAME)])


def _class(name: str) -> int:
    try:
        return chord_class(str(name))
    except ChordError:
        return UNKNOWN


def sung(song: SongContext) -> np.ndarray:
    """(3, notes) of a song's melody on the grid."""
    return np.array(melody_notes(song.tokens[:, 0]), np.int64).reshape(-1, 3).T


def read_song(path: Path) -> Melody | None:
    """A song's melody with the chords of all its parts; None: it does not serve."""
    if path.stat().st_size > LARGEST:
        return None
    try:
        song = analyze(divisible(read_score(path)), AccompanyOptions())
    except MidiError:
        return None
    tracks = [
        track for track in song.score.tracks if not track.is_drum and track.program not in UNPITCHED
    ]
    if not {"other", "bass"} <= {song.roles[track.index] for track in tracks}:
        return None
    in_four = (song.score.metres[:, 1:] == 4).all()
    melody = sung(song)
    if not BARS[0] <= song.bars <= BARS[1] or not in_four or melody.shape[1] < FEWEST_NOTES:
        return None
    notes = np.concatenate([np.zeros(0, TICK_NOTE), *(track.notes for track in tracks)])
    starts, ends = (steps - song.first_step for steps in song.grid.to_steps(notes))
    harmony = infer(starts, ends, notes["pitch"].astype(np.int64), song.bars)
    return Melody(melody, triads(harmony, len(song.tokens) // FRAME))


def read_sheet(path: Path) -> Melody | None:
    """A lead sheet's melody with the chords that are written; None: it is none."""
    try:
        sheet = read_lead_sheet(path)
    except MidiError:
        return None
    harmony = song_harmony(sheet.song, [0], sheet.chords)
    return Melody(sung(sheet.song), triads(harmony, len(sheet.song.tokens) // FRAME))


def in_turn(folder: Path, seed: int) -> Iterator[Path]:
    """The songs of a folder, at random, one of each subfolder after the other."""
    groups: dict[str, list[Path]] = {}
    for path in midi_files(folder):
        groups.setdefault(path.relative_to(folder).parts[0], []).append(path)
    rng = random.Random(seed)
    for group in groups.values():
        rng.shuffle(group)
    while any(groups.values()):
        for name in sorted(groups):
            if groups[name]:
                yield groups[name].pop()


def read_songs(folder: Path, songs: int, seed: int, cache: Path | None) -> list[Melody]:
    """So many songs of a folder that serve."""
    kept = None if cache is None else cache / f"{folder.name}_{songs}_{seed}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            count = len(stored.files) // 2
            return [Melody(stored[f"notes{i}"], stored[f"chords{i}"]) for i in range(count)]
    found: list[Melody] = []
    with tqdm(total=songs, unit="song", desc=folder.name) as bar:
        for path in in_turn(folder, seed):
            melody = read_song(path)
            if melody is not None:
                found.append(melody)
                bar.update()
            if len(found) == songs:
                break
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        pairs = enumerate(found)
        arrays = {f"{k}{i}": v for i, own in pairs for k, v in own._asdict().items()}
        np.savez_compressed(kept, **arrays)
    return found


class Field(nn.Module):
    """The conditional random field, as :mod:`surrogate.arrangement.harmoniser` computes it."""

    def __init__(self, hidden: Sequence[int]) -> None:
        super().__init__()
        sizes = [HISTOGRAMS * TONES + FLAGS, *hidden, len(TRIADS)]
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.changes = nn.Parameter(torch.zeros(2, len(TRIADS), len(TRIADS), TONES))
        roots = torch.arange(TONES)
        self.rotated = (roots[:, None] + roots) % TONES
        self.up = (roots[None] - roots[:, None]) % TONES

    def forward(self, histograms: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of chords, (batch, frames, STATES), and of changes, (2, STATES, STATES)."""
        values = histograms[..., self.rotated].movedim(-2, -3).flatten(-2)
        repeated = flags[..., None, :].expand(*values.shape[:-1], FLAGS)
        values = torch.cat([values, repeated], -1)
        for index, layer in enumerate(self.layers):
            values = layer(values.relu() if index else values)
        changes = self.changes[..., self.up].permute(0, 1, 3, 2, 4).reshape(2, STATES, STATES)
        return values.transpose(-1, -2).flatten(-2), changes

    def loss(self, histograms: Tensor, flags: Tensor, states: Tensor, there: Tensor) -> Tensor:
        """Nats a frame of the true states (batch, frames), padding left out."""
        scores, changes = self(histograms, flags)
        within = flags[..., 0].long()
        rows = torch.arange(len(states))
        every = scores[:, 0]
        true = scores[rows, 0, states[:, 0]]
        for frame in range(1, states.shape[1]):
            change, now = changes[within[:, frame]], states[:, frame]
            ways = torch.logsumexp(every[:, :, None] + change, 1) + scores[:, frame]
            every = torch.where(there[:, frame, None], ways, every)
            own = scores[rows, frame, now] + change[rows, states[:, frame - 1], now]
            true = true + torch.where(there[:, frame], own, 0.0)
        nats: Tensor = (torch.logsumexp(every, 1) - true).sum() / there.sum()
        return nats

    def weights(self) -> dict[str, np.ndarray]:
        """The weights as they are stored in the file."""
        stored = {"changes": self.changes.detach().numpy()}
        for index, layer in enumerate(self.layers):
            for name, values in layer.named_parameters():
                stored[f"{index}.{name}"] = values.detach().numpy()
        return stored


def stretches(songs: Sequence[Melody]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Features and states of the songs, STRETCH frames at a time, up to the first without a triad
    after the song's beginning."""
    found = []
    for notes, chords in songs:
        starts, ends, pitches = notes
        sounding = sounding_classes(starts, ends, pitches, len(chords) // 2)
        histograms, flags = features(sounding)
        known = np.flatnonzero(chords > 0)
        for first in range(known[0] if len(known) else len(chords), len(chords), STRETCH):
            own = chords[first : first + STRETCH]
            end = first + (len(own) if (own > 0).all() else int((own > 0).argmin()))
            if end > first:
                piece = slice(first, end)
                found.append((histograms[piece], flags[piece], chords[piece] - 1))
    return found


def train(songs: Sequence[Melody], hidden: Sequence[int], epochs: int, seed: int) -> Field:
    """Fit a field to songs."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pieces = stretches(songs)
    field = Field(hidden)
    optimizer = torch.optim.AdamW(field.parameters(), RATE, weight_decay=DECAY)
    size = min(BATCH, len(pieces))
    steps = epochs * (len(pieces) // size)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps + 1, pct_start=0.1
    )
    for epoch in range(epochs):
        losses = []
        for rows in rng.permutation(len(pieces))[: len(pieces) // size * size].reshape(-1, size):
            batch = _batch([pieces[row] for row in rows])
            loss = field.loss(*batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(field.parameters(), 1.0)
            optimizer.step()
            rates.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: {np.mean(losses):.3f} nats a half bar", flush=True)
    return field


def _batch(
    pieces: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lengths = torch.tensor([len(states) for *_, states in pieces])
    columns = [
        nn.utils.rnn.pad_sequence([torch.from_numpy(values) for values in column], True)
        for column in zip(*pieces, strict=True)
    ]
    there = torch.arange(int(lengths.max())) < lengths[:, None]
    return columns[0], columns[1], columns[2].long(), there


def score(guess: np.ndarray, true: np.ndarray) -> list[float]:
    """Values of COLUMNS for (frames,) classes."""
    known = true > 0
    same_root = (guess > 0) & ((guess - 1) % TONES == (true - 1) % TONES)
    changes = 2 * np.mean(np.diff(guess) != 0)
    return [float(np.mean((guess == true)[known])), float(np.mean(same_root[known])), changes]


def measure(name: str, songs: Sequence[Melody], learnt: Weights | None) -> None:
    """Print the table of a set of songs."""
    rows: Rows = {}
    for notes, chords in tqdm(songs, unit="song", desc=name):
        bars = len(chords) // 2
        if not (chords > 0).any():
            continue
        starts, ends, pitches = notes
        names = harmonise(starts, ends, pitches, bars, learnt)
        guesses = {
            f"hidden Markov model, {words}": triads(
                infer(starts, ends, pitches, bars, a_bar), len(chords)
            )
            for a_bar, words in ((1, "a chord a bar"), (2, "two"))
        }
        guesses["harmoniser"] = np.array([_class(name) for name in names])
        for way, guess in guesses.items():
            rows.setdefault(way, []).append(score(guess, chords))
    print(scores_table(f"{name}, ", COLUMNS, rows, digits=3))


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("validation", type=Path)
    parser.add_argument("--lead-sheets", type=Path)
    parser.add_argument("--songs", type=int, default=242)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS_FILE)
    parser.add_argument("--training-songs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden", type=int, nargs="*", default=[48])
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    learnt, seed = None, arguments.seed
    validation = read_songs(arguments.validation, arguments.songs, seed, arguments.cache)
    if arguments.train is not None:
        torch.set_num_threads(1)
        songs = read_songs(arguments.train, arguments.training_songs, seed, arguments.cache)
        field = train(songs, arguments.hidden, arguments.epochs, seed)
        stored = field.weights()
        save_file(stored, arguments.out)
        layers = [(stored[f"{i}.weight"], stored[f"{i}.bias"]) for i in range(len(field.layers))]
        learnt = Weights(tuple(layers), stored["changes"])
    measure("validation", validation, learnt)
    if arguments.lead_sheets is not None:
        paths = sorted(arguments.lead_sheets.rglob("lead_sheet.mid"))
        sheets = [sheet for path in tqdm(paths, unit="sheet") if (sheet := read_sheet(path))]
        measure("lead sheets", sheets, learnt)


if __name__ == "__main__":
    main()
