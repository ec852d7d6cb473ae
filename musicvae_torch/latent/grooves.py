"""Drums through the GrooVAE models: a stiff pattern played with feeling, a tapped rhythm as drums,
hi-hats for drums that have none.

The models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019). A song's other tracks stay as they are; its drum tracks are replaced by one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pretty_midi
import torch

from musicvae_torch.config import ConfigError
from musicvae_torch.latent.songs import EncodedSong, encode_song, replace_tracks
from musicvae_torch.latent.space import BATCH, TEMPERATURE, decode_tokens
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.groove import (
    CLOSED_HI_HAT,
    DRUMS,
    GROOVE_RULES,
    ROW,
    GrooveConverter,
    GrooveRules,
)
from musicvae_torch.notes.midi import read_midi
from musicvae_torch.notes.timeline import end_of, set_end
from musicvae_torch.notes.vocabulary import DRUM_CLASSES
from musicvae_torch.window_tensors import window_controls

_TAPPED = DRUM_CLASSES[1][0]  # the snare, which all kits know


def humanise(
    model: MusicVAE,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> pretty_midi.PrettyMIDI:
    """A drum pattern, played as a drummer would: how hard each hit is, and how early or late.

    Args:
        model: of a config whose inputs, or controls, are hits alone.
        midi: the song; if it has drum tracks, these count, else all its notes.
        redraw: the model draws the hits as well, as Magenta does; else they stay as they are.
        temperature: of that.
        seed: of that.

    Raises:
        ConfigError: the model is of another kind.
        MidiError, NoWindowError: as :func:`encode_song`.
    """
    _check(model, "humanise", lambda rules: rules.humanize or rules.hits_as_controls)
    song = encode_song(model, midi)
    if redraw:
        return _with_drums(song, _decode(model, song, temperature, seed))
    return _with_drums(song, _played(model, song))


def tap_to_drums(
    model: MusicVAE,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> pretty_midi.PrettyMIDI:
    """A rhythm, tapped on whatever instrument → drums that go with its hits and their timing.

    Arguments and errors are as for :func:`humanise`, of a model of a "tap" config. Of a song with
    drum tracks, these are what was tapped.
    """
    _check(model, "tap", lambda rules: rules.tap)
    parsed = midi if isinstance(midi, pretty_midi.PrettyMIDI) else read_midi(midi)
    tapped = _as_taps(parsed)
    song = encode_song(model, tapped)
    return _with_drums(song, _decode(model, song, temperature, seed))


def add_hats(
    model: MusicVAE,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> pretty_midi.PrettyMIDI:
    """Drums → the same with closed hi-hats that go with them, in place of any that there are.

    Arguments and errors are as for :func:`humanise`, of a model that adds closed hi-hats; what is
    redrawn are all drums, as by Magenta, where else but the hi-hats are the model's.
    """
    _check(model, "hats", lambda rules: CLOSED_HI_HAT in rules.missing_drums)
    song = encode_song(model, midi)
    rows = _decode(model, song, temperature, seed)
    if not redraw:
        own = song.tokens.copy()
        for part in range(CLOSED_HI_HAT, ROW, DRUMS):
            own[..., part] = rows[..., part]
        rows = own
    return _with_drums(song, rows)


def _check(model: MusicVAE, name: str, able: Callable[[GrooveRules], bool]) -> None:
    rules = GROOVE_RULES.get(model.config.base)
    if rules is None or not able(rules):
        names = " or ".join(name for name, own in GROOVE_RULES.items() if able(own))
        raise ConfigError(
            f"{name} wants a model of the config {names}, not {model.config.name!r}; convert one "
            "with: convert-weights --download list"
        )


def _as_taps(midi: pretty_midi.PrettyMIDI) -> pretty_midi.PrettyMIDI:
    """A song of whose tapped notes each is a hit of the snare; other tracks stay."""
    drums = [track for track in midi.instruments if track.is_drum]
    tapped = drums or midi.instruments
    taps = pretty_midi.Instrument(0, is_drum=True, name="taps")
    taps.notes = [
        pretty_midi.Note(note.velocity, _TAPPED, note.start, note.end)
        for track in tapped
        for note in track.notes
    ]
    rest = [track for track in midi.instruments if drums and not track.is_drum]
    return replace_tracks(midi, [*rest, taps])


def _decode(model: MusicVAE, song: EncodedSong, temperature: float, seed: int) -> np.ndarray:
    controls = window_controls(model.config, song.tokens)
    return decode_tokens(model, song.mean, temperature=temperature, controls=controls, seed=seed)


@torch.no_grad()
def _played(model: MusicVAE, song: EncodedSong) -> np.ndarray:
    """The song's own hits with the model's velocities and offsets: (windows, steps, 27)."""
    hits = torch.from_numpy(song.tokens[..., :DRUMS]).to(model.device)
    controls = window_controls(model.config, song.tokens)
    rows = []
    for first in range(0, len(hits), BATCH):
        own = slice(first, first + BATCH)
        given = None if controls is None else controls[own].to(model.device)
        played = model.play_hits(song.mean[own], hits[own], given)
        rows.append(torch.cat([hits[own], played[..., DRUMS:]], -1).cpu().numpy())
    return np.concatenate(rows)


def _with_drums(song: EncodedSong, rows: np.ndarray) -> pretty_midi.PrettyMIDI:
    """The song with other drums, but for its own in bars that no window holds, and of pitches that
    the model does not know."""
    laid = song.lay(list(rows))
    drums = laid.instruments
    own = [track for track in song.timeline.instruments if track.is_drum]
    others = [track for track in song.timeline.instruments if own and not track.is_drum]
    spans = [
        (one.window.start, one.window.start + one.seconds_per_bar * song.converter.window_bars)
        for one in song.placed
    ]
    known = set(np.concatenate([np.array(one) for one in _classes(song)]).tolist())
    kept = [
        note
        for track in own or song.timeline.instruments
        for note in track.notes
        if note.pitch not in known or not any(first <= note.start < last for first, last in spans)
    ]
    drums[0].notes = sorted([*drums[0].notes, *kept], key=lambda note: note.start)
    midi = replace_tracks(song.timeline, [*others, *drums])
    if (end := end_of(laid)) is not None:
        set_end(midi, end)
    return midi


def _classes(song: EncodedSong) -> tuple[tuple[int, ...], ...]:
    """Pitches of each drum that its converter knows."""
    assert isinstance(song.converter, GrooveConverter)
    return song.converter.drum_classes
