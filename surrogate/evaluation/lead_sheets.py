"""Lead sheets, a melody with its chords, and how a bass keeps to them.

The chords are notes that sound together on a track of their own, or chord symbols in the file's
texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pretty_midi

from musicvae_torch.chords.inference import name_chord
from musicvae_torch.chords.symbols import NO_CHORD, chord_tones
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.score import Score, divisible, read_score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import FIRST_NOTE, STEPS_PER_BAR
from surrogate.arrangement.harmony import from_markers
from surrogate.evaluation.metrics import mean_of, pitches_of
from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext, analyze
from surrogate.song.roles import roles_of

MANY_AT_ONCE = 1.5  # notes an onset, on the average, from which a track is one of chords
PARTS_OF_A_BAR = (1, 2, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class LeadSheet:
    """A melody and its chords.

    Attributes:
        melody: a song that has nothing but the melody.
        song: the same on the model's grid.
        tones: (steps, 12) bool, pitch classes of the chord that sounds; none where there is no
            chord.
        roots: (steps,) the root of the chord that sounds or sounded last; -1 before the first.
        chords: the same as text, bar by bar, as ``AccompanyOptions.chords`` takes it.
    """

    melody: Score
    song: SongContext
    tones: np.ndarray
    roots: np.ndarray
    chords: str


def read_lead_sheet(path: Path) -> LeadSheet:
    """Read a lead sheet.

    Raises:
        MidiError: the file cannot be read, or has no melody, or no chords.
    """
    score = divisible(read_score(path))
    melody, chords = _tracks(score)
    alone = divisible(read_score(_only(score, melody)))
    song = analyze(alone, AccompanyOptions(melody=0))
    steps = song.first_step + np.arange(len(song.tokens))
    if chords is None:
        marked = from_markers(score, song.grid)
        if marked is None:
            raise MidiError(
                f"{score.name}: holds no chords; wanted a lead sheet: a melody on one track, and "
                "chords on another, or as at least four texts that are not all single letters"
            )
        names = marked.names_at(steps).tolist()
        tones = [chord_tones(name).pitches for name in names]
    else:
        sounding = _sounding(chords, song.grid.step_ticks[steps])
        # A chord goes on until the next, however short its notes are.
        names = list(accumulate(map(name_chord, sounding), _held))
        tones = [frozenset(pitch % 12 for pitch in pitches) for pitches in sounding]
    grid = np.zeros((len(steps), 12), bool)
    for step, own in enumerate(tones):
        grid[step, list(own)] = True
    roots = [chord_tones(name).root for name in names]
    known = np.array([-1 if root is None else root for root in roots])
    return LeadSheet(alone, song, grid, known, _text(song, names))


def share_of_chord_tones(bass: np.ndarray, tones: np.ndarray) -> float:
    """Share of the bass notes that start on a tone of the chord that sounds.

    Args:
        bass: (steps,) classes.
        tones: (steps, 12) bool, pitch classes of the chords; notes where there is none do not
            count.
    """
    starts = np.flatnonzero((bass >= FIRST_NOTE) & tones.any(1))
    return mean_of(tones[starts, pitches_of(bass[starts]) % 12])


def share_of_roots(bass: np.ndarray, roots: np.ndarray) -> float:
    """Share of the bass notes on the first step of a bar that are the root of its chord.

    Args:
        bass: (steps,) classes, in whole bars.
        roots: (steps,) pitch classes; -1 where there is no chord, which does not count.
    """
    downbeats = np.arange(0, len(bass), STEPS_PER_BAR)
    starts = downbeats[(bass[downbeats] >= FIRST_NOTE) & (roots[downbeats] >= 0)]
    return mean_of(pitches_of(bass[starts]) % 12 == roots[starts])


def _tracks(score: Score) -> tuple[Track, Track | None]:
    """The melody, and the chords if they are on a track: that with the most notes at once. The
    melody is the first other track, of those that are no bass if there are any."""
    pitched = [track for track in score.tracks if not track.is_drum]
    fullest = max(pitched, key=_at_once, default=None)
    chords = fullest if fullest is not None and _at_once(fullest) >= MANY_AT_ONCE else None
    others = [track for track in pitched if track is not chords]
    roles = roles_of(score)
    melody = min(others, key=lambda track: roles[track.index] != "other", default=None)
    if melody is None:
        raise MidiError(f"{score.name}: holds no melody; wanted one on a track beside the chords")
    return melody, chords


def _at_once(track: Track) -> float:
    """Notes an onset."""
    return len(track.notes) / len(np.unique(track.notes["start"]))


def _only(score: Score, track: Track) -> pretty_midi.PrettyMIDI:
    """A song of one track, in the same ticks and metres; at another tempo."""
    midi = pretty_midi.PrettyMIDI(resolution=score.resolution, initial_tempo=DEFAULT_QPM)
    seconds = 60 / DEFAULT_QPM / score.resolution  # a tick
    midi.time_signature_changes = [
        pretty_midi.TimeSignature(above, below, tick * seconds)
        for tick, above, below in score.metres.tolist()
    ]
    alone = pretty_midi.Instrument(track.program, name=track.name)
    alone.notes = [
        pretty_midi.Note(velocity, pitch, start * seconds, end * seconds)
        for start, end, pitch, velocity in track.notes.tolist()
    ]
    midi.instruments.append(alone)
    return midi


def _sounding(track: Track, ticks: np.ndarray) -> list[tuple[int, ...]]:
    """The pitches that sound at each tick (steps,), lowest first."""
    starts, ends, pitches = (track.notes[name] for name in ("start", "end", "pitch"))
    return [
        tuple(sorted(pitches[(starts <= tick) & (tick < ends)].tolist())) for tick in ticks.tolist()
    ]


def _held(before: str, name: str) -> str:
    return before if name == NO_CHORD else name


def _text(song: SongContext, names: list[str]) -> str:
    """The chord symbols of steps, for each of the song's own bars from the first that plays."""
    lines = song.song_bars.ticks
    first = int(np.searchsorted(lines, song.start, side="right")) - 1
    fractions = np.arange(STEPS_PER_BAR) / STEPS_PER_BAR
    ticks = lines[first:-1, None] + np.diff(lines)[first:, None] * fractions
    steps = np.clip(song.grid.steps(ticks) - song.first_step, 0, len(names) - 1)
    return " | ".join(_bar_text(bar) for bar in np.array(names)[steps])


def _bar_text(bar: np.ndarray) -> str:
    """The chord symbols (16,) of a bar as text, by as few equal parts as have one chord each."""
    for parts in PARTS_OF_A_BAR:
        cells = bar.reshape(parts, -1)
        if (cells == cells[:, :1]).all():
            break
    return " ".join(cells[:, 0])
