"""The GrooVAE models on songs: humanised drums, drums for a tapped rhythm, added hi-hats.

The models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019). The hits of a song's drum kit change; every other message of its file stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pretty_midi

from musicvae_torch.analysis.timeline import PlacedWindow, pieces_of, render_pieces, tile
from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.converters.groove import (
    CLOSED_HI_HAT,
    DRUMS,
    GROOVE_RULES,
    ROW,
    GrooveConverter,
    GrooveRules,
)
from musicvae_torch.errors import ConfigError, MidiError
from musicvae_torch.io.files import replacing
from musicvae_torch.latent.encoded_song import encode_placed, song_converter, windows_of
from musicvae_torch.midi.notes import NOTE_DTYPE, Song
from musicvae_torch.midi.score import Score, read_score, score_of
from musicvae_torch.midi.stitch import NewPart, exchange_notes, stitch
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import TEMPERATURE, decode_tokens, play_hits
from musicvae_torch.windows.tensors import window_controls

Midi: TypeAlias = str | Path | pretty_midi.PrettyMIDI | Score

_TAPPED = DRUM_CLASSES[1][0]  # the snare, which all kits have
_FINE = 480  # ticks a quarter, fine enough for a drummer's timing


@dataclass(frozen=True, eq=False)
class Groove:
    """A song with drums by a model.

    Attributes:
        score: the song's file with the new hits in it.
        hits: how many drum hits it has.
        remarks: lines for the user to read.
    """

    score: Score
    hits: int
    remarks: tuple[str, ...] = ()

    @property
    def midi(self) -> pretty_midi.PrettyMIDI:
        """The song as pretty_midi has it; :meth:`write` keeps more (markers, text, order)."""
        return self.score.to_pretty_midi()

    def write(self, path: str | Path) -> None:
        """Write the MIDI file, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.score.to_bytes())


@dataclass(frozen=True, eq=False)
class _Drums:
    """The hits of a song, window by window.

    Attributes:
        score: the song.
        tracks: those with the hits.
        converter: that found the windows.
        placed: the windows and their places.
        known: pitches that the model knows.
        left_out: the number of hits of other pitches.
    """

    score: Score
    tracks: tuple[Track, ...]
    converter: GrooveConverter
    placed: tuple[PlacedWindow, ...]
    known: frozenset[int]
    left_out: int

    @property
    def tokens(self) -> np.ndarray:
        """(windows, steps, parts)"""
        return np.stack([one.window.tokens for one in self.placed])


def humanise(
    model: MusicVAE,
    midi: Midi,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Give the hits of a drum pattern a drummer's velocities and timing.

    Args:
        model: of a config whose inputs, or controls, are hits alone.
        midi: the song.
        redraw: draw the hits as well, as Magenta does; else they stay as they are.
        temperature, seed: of drawing.
        drums: the tracks that are its drums: their numbers, as in ``Score.tracks``, or names, or
            "channel:2"; None: its drum kits.

    Raises:
        ConfigError: the model is of another kind.
        MidiError: the file cannot be read, or has no drums.
        NoWindowError: the drums have no window; says why.
    """
    _check(model, "humanise", lambda rules: rules.humanize or rules.control_depth > 0)
    song = _read(model, midi, drums)
    rows = _decode(model, song, temperature, seed) if redraw else _humanised(model, song)
    return _with_hits(song, rows)


def tap_to_drums(
    model: MusicVAE,
    midi: Midi,
    *,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Make drums that go with the hits and the timing of a rhythm, tapped on any instrument.

    Arguments and errors are as for :func:`humanise`; the model is of a "tap" config. The tapped
    rhythm is the song's drums or, if it has but one track, that; a track that is no drum kit stays.
    """
    _check(model, "tap", lambda rules: rules.tap)
    song = _read(model, midi, drums, taps=True)
    return _with_hits(song, _decode(model, song, temperature, seed))


def add_hats(
    model: MusicVAE,
    midi: Midi,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Add closed hi-hats that go with a song's drums, in place of any that it has.

    Arguments and errors are as for :func:`humanise`; the model is of a config that adds closed
    hi-hats. With `redraw` all drums are the model's, as in Magenta, and else only the hi-hats.
    """
    _check(model, "hats", lambda rules: CLOSED_HI_HAT in rules.missing_drums)
    song = _read(model, midi, drums)
    rows = _decode(model, song, temperature, seed)
    if not redraw:
        drawn, rows = rows, song.tokens
        hats = slice(CLOSED_HI_HAT, ROW, DRUMS)
        rows[..., hats] = drawn[..., hats]
    return _with_hits(song, rows)


def _check(model: MusicVAE, name: str, able: Callable[[GrooveRules], bool]) -> None:
    rules = GROOVE_RULES.get(model.config.base)
    if rules is None or not able(rules):
        names = " or ".join(name for name, own in GROOVE_RULES.items() if able(own))
        raise ConfigError(
            f"{name} wants a model of the config {names}, not {model.config.name!r}; convert one "
            "with: convert-weights --download list"
        )


def _read(
    model: MusicVAE, midi: Midi, drums: Sequence[str | int] | None, taps: bool = False
) -> _Drums:
    """Read the hits of a song's drums, in windows."""
    score = midi if isinstance(midi, Score) else read_score(midi)
    if score.resolution < _FINE:
        file = score.file.stretched(ceil(_FINE / score.resolution))
        score = score_of(file, score.name)
    tracks = _drum_tracks(score, drums, taps)
    converter = song_converter(model)
    assert isinstance(converter, GrooveConverter)
    song = _song(score, tracks)
    if taps:
        song.notes["pitch"] = _TAPPED
    is_known = class_of_pitch(converter.drum_classes)[song.notes["pitch"]] >= 0
    song = replace(song, notes=song.notes[is_known])
    placed = tile(converter, windows_of(converter, song, score.name))
    known = frozenset(range(128) if taps else chain(*converter.drum_classes))
    return _Drums(score, tracks, converter, tuple(placed), known, int((~is_known).sum()))


def _drum_tracks(score: Score, drums: Sequence[str | int] | None, taps: bool) -> tuple[Track, ...]:
    """The tracks whose hits the model reads."""
    listed = "; ".join(map(str, score.tracks)) or "none"
    if drums is not None:
        found: dict[int, Track] = {}
        for wanted in drums:
            own = [track for track in score.tracks if _matches(track, str(wanted).strip())]
            if not own:
                raise MidiError(f"{score.name}: no track fits {wanted!r}; the tracks are: {listed}")
            found |= {track.index: track for track in own}
        return tuple(found.values())
    kits = tuple(track for track in score.tracks if track.is_drum)
    if not kits and taps and len(score.tracks) == 1:
        return score.tracks
    if not kits:
        raise MidiError(
            f"{score.name}: no drums: nothing is on channel 10 or set, named or played as a drum "
            f"kit; --drums TRACK says which track it is (the tracks are: {listed})"
        )
    return kits


def _matches(track: Track, wanted: str) -> bool:
    """Whether a track has this number or name, or is on "channel:N", counted from 1."""
    if wanted.lower().startswith("channel:"):
        return wanted.partition(":")[2].strip() in {str(channel + 1) for channel in track.channels}
    if wanted.isdecimal():
        return track.index == int(wanted)
    return track.name.strip().casefold() == wanted.casefold()


def _song(score: Score, tracks: Collection[Track]) -> Song:
    """Tracks of a score as drums, in seconds."""
    rows = np.concatenate([np.zeros(0, TICK_NOTE), *(track.notes for track in tracks)])
    notes = np.zeros(len(rows), NOTE_DTYPE)
    notes["start"], notes["end"] = score.seconds(rows["start"]), score.seconds(rows["end"])
    notes["pitch"], notes["velocity"], notes["is_drum"] = rows["pitch"], rows["velocity"], True
    tempos = np.stack([score.seconds(score.tempos[:, 0]), 6e7 / score.tempos[:, 1]], axis=1)
    metres = score.metres.astype(np.float64)
    metres[:, 0] = score.seconds(score.metres[:, 0])
    return Song(notes, tempos, metres, float(notes["end"].max(initial=0.0)))


def _decode(model: MusicVAE, song: _Drums, temperature: float, seed: int) -> np.ndarray:
    """Rows that the model draws: (windows, steps, 27)."""
    mean = encode_placed(model, song.placed).mean
    controls = window_controls(model.config, song.tokens)
    return decode_tokens(model, mean, temperature=temperature, controls=controls, seed=seed)


def _humanised(model: MusicVAE, song: _Drums) -> np.ndarray:
    """The song's own hits with the model's velocities and offsets: (windows, steps, 27)."""
    mean = encode_placed(model, song.placed).mean
    return play_hits(model, song.tokens[..., :DRUMS], mean)


def _with_hits(song: _Drums, rows: np.ndarray) -> Groove:
    """The song with new hits. Its own stay in bars that no window holds, and if the model does not
    know their pitches."""
    score = song.score
    hits = _tick_notes(song, rows)
    remarks = []
    if song.left_out:
        remarks.append(
            f"{song.left_out} hits of drums that the model does not know stay as they are"
        )
    if not all(track.is_drum for track in song.tracks):
        remarks.append(f"what was tapped stays: {'; '.join(map(str, song.tracks))}")
        kept = range(len(score.tracks))
        score, odd = stitch(score, kept, [NewPart("drums", 0, True, hits)])
        return Groove(score, len(hits), (*remarks, *odd))
    staying = {track.index: ~_replaced(song, track) for track in song.tracks}
    stay = sum(int(mask.sum()) for mask in staying.values())
    into = max(song.tracks, key=lambda track: (len(track.notes), -track.index)).index
    return Groove(exchange_notes(score, staying, into, hits), len(hits) + stay, tuple(remarks))


def _replaced(song: _Drums, track: Track) -> np.ndarray:
    """(notes,) bool: which notes of a drum track lie in the windows and are known to the model."""
    starts = song.score.seconds(track.notes["start"])
    inside = np.zeros(len(starts), bool)
    for one in song.placed:
        # A hit belongs to the nearest step, which may be the next window's first.
        half = one.seconds_per_bar / STEPS_PER_BAR / 2
        end = one.window.start + one.seconds_per_bar * song.converter.window_bars
        inside |= (starts >= one.window.start - half) & (starts < end - half)
    return inside & np.isin(track.notes["pitch"], list(song.known))


def _tick_notes(song: _Drums, rows: np.ndarray) -> np.ndarray:
    """Rows of the windows as notes of TICK_NOTE."""
    midi = render_pieces(song.converter, pieces_of(song.placed, list(rows), None))
    hits = [note for track in midi.instruments for note in track.notes]
    notes = np.zeros(len(hits), TICK_NOTE)
    notes["start"] = song.score.ticks(np.array([note.start for note in hits]))
    notes["end"] = song.score.ticks(np.array([note.end for note in hits]))
    np.maximum(notes["end"], notes["start"] + 1, out=notes["end"])
    notes["pitch"] = [note.pitch for note in hits]
    notes["velocity"] = [max(note.velocity, 1) for note in hits]
    return notes
