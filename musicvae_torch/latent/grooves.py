"""The GrooVAE models on songs: humanised drums, drums for a tapped rhythm, added hi-hats.

The models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019). The hits of a song's drum kit change; every other message of its file stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import torch

from musicvae_torch.converters.groove import (
    DRUMS,
    GROOVE_RULES,
    ROW,
    GrooveRules,
)
from musicvae_torch.errors import ConfigError
from musicvae_torch.io.checkpoint import shipped_checkpoint
from musicvae_torch.io.files import replacing
from musicvae_torch.latent.drum_kit import DrumKit, Midi, played_notes, read_kit
from musicvae_torch.latent.encoded_song import encode_placed
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.stitch import NewPart, exchange_notes, stitch
from musicvae_torch.midi.vocabulary import CLOSED_HI_HAT, ROLAND_DRUM_CLASSES
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import TEMPERATURE, decode_tokens, draw_hits, play_hits
from musicvae_torch.windows.tensors import window_controls

SHIPPED = {
    "humanise": "groovae_2bar_humanize_small",
    "tap": "groovae_2bar_tap_fixed_velocity_small",
    "hats": "groovae_2bar_add_closed_hh_small",
}
"""The models that come with the package, by what they do."""


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


def shipped_groovae(what: str, device: str | torch.device = "cpu") -> MusicVAE:
    """Load the model that comes with the package.

    Args:
        what: it is to do; a key of SHIPPED.
        device: to load it to.

    Raises:
        CheckpointError: it was not installed.
    """
    return MusicVAE.from_pretrained(shipped_checkpoint(SHIPPED[what]), device)


def humanise(
    midi: Midi,
    model: MusicVAE | None = None,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Give the hits of a drum pattern a drummer's velocities and timing.

    Each hit keeps its track, its pitch and its length, but none lasts beyond its chunk, or until
    its pitch is struck again. It lies within half a sixteenth of its step. Where the song's hits
    are late or early in the same way on a sixteenth of the beat, as in a shuffle, they stay so, and
    timing counts from there.

    Args:
        midi: the song.
        model: a model whose inputs, or controls, are hits alone; None: the pretrained one.
        redraw: sample the hits as well, as Magenta does; otherwise they stay as they are.
        temperature, seed: temperature and seed of the sampling.
        drums: the tracks that are its drums, as :func:`fitting_tracks` takes them; None: its drum
            kits.

    Raises:
        ConfigError: the model is of another kind.
        MidiError: the file cannot be read, or has no drums.
        NoWindowError: the drums have no window; says why.
    """
    model = model or shipped_groovae("humanise")
    _check(model, "humanise", lambda rules: rules.humanize or rules.control_depth > 0)
    kit = read_kit(model, midi, drums)
    if redraw:
        return _with_hits(kit, _decode(model, kit, temperature, seed))
    rows = play_hits(model, kit.tokens[..., :DRUMS], encode_placed(model, kit.placed).mean)
    played = played_notes(kit, rows)
    staying = {index: stay for index, (stay, _) in played.items()}
    score = exchange_notes(kit.score, staying, {index: own for index, (_, own) in played.items()})
    hits = sum(len(track.notes) for track in kit.tracks)
    return Groove(score, hits, _remarks(kit))


def tap_to_drums(
    midi: Midi,
    model: MusicVAE | None = None,
    *,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Make drums that go with the hits and the timing of a rhythm, tapped on any instrument.

    Arguments and errors are as for :func:`humanise`; the model is of a "tap" config. The tapped
    rhythm is the song's drums or, if it has but one track, that; a track that is no drum kit stays.
    """
    model = model or shipped_groovae("tap")
    _check(model, "tap", lambda rules: rules.tap)
    kit = read_kit(model, midi, drums, taps=True)
    return _with_hits(kit, draw_hits(model, kit.tokens, temperature=temperature, seed=seed))


def add_hats(
    midi: Midi,
    model: MusicVAE | None = None,
    *,
    redraw: bool = False,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    drums: Sequence[str | int] | None = None,
) -> Groove:
    """Add closed hi-hats that go with a song's drums, in place of any that it has.

    Arguments and errors are as for :func:`humanise`; the model is of a config that adds closed
    hi-hats. With `redraw` all drums are the model's, as in Magenta, and else only the hi-hats, but
    none in windows without other drums, where the song's own stay.
    """
    model = model or shipped_groovae("hats")
    _check(model, "hats", lambda rules: CLOSED_HI_HAT in rules.missing_drums)
    kit = read_kit(model, midi, drums)
    if redraw:
        return _with_hits(kit, _decode(model, kit, temperature, seed))
    kit = kit.among(_has_others(kit.tokens))
    hats = [CLOSED_HI_HAT]
    rows = draw_hits(model, kit.tokens, drums=hats, temperature=temperature, seed=seed)
    others = [column for column in range(ROW) if column % DRUMS != CLOSED_HI_HAT]
    rows[..., others] = 0
    return _with_hits(kit, rows, ROLAND_DRUM_CLASSES[CLOSED_HI_HAT])


def _has_others(tokens: np.ndarray) -> np.ndarray:
    """(windows,) bool: whether a drum is hit but the closed hi-hat."""
    hits = tokens[..., :DRUMS] > 0
    return np.asarray(np.delete(hits, CLOSED_HI_HAT, axis=-1).any((1, 2)))


def _check(model: MusicVAE, name: str, able: Callable[[GrooveRules], bool]) -> None:
    rules = GROOVE_RULES.get(model.config.base)
    if rules is None or not able(rules):
        names = " or ".join(name for name, own in GROOVE_RULES.items() if able(own))
        raise ConfigError(
            f"{name} wants a model of the config {names}, not {model.config.name!r}; name another, "
            "or none for the pretrained one"
        )


def _decode(model: MusicVAE, kit: DrumKit, temperature: float, seed: int) -> np.ndarray:
    """Rows that the model draws as Magenta's does: (windows, steps, 27)."""
    mean = encode_placed(model, kit.placed).mean
    controls = window_controls(model.config, kit.tokens)
    return decode_tokens(model, mean, temperature=temperature, controls=controls, seed=seed)


def _with_hits(kit: DrumKit, rows: np.ndarray, pitches: Sequence[int] | None = None) -> Groove:
    """The song with the hits of rows in place of its own of some pitches (None: of all that the
    model knows). Its own stay in bars that no window holds."""
    hits = kit.rendered(rows)
    if not all(track.is_drum for track in kit.tracks):
        tapped = f"what was tapped stays: {'; '.join(map(str, kit.tracks))}"
        kept = range(len(kit.score.tracks))
        score, odd = stitch(kit.score, kept, [NewPart("drums", 0, True, hits)])
        return Groove(score, len(hits), (*_remarks(kit), tapped, *odd))
    goes = {track.index: kit.cells_of(track).inside for track in kit.tracks}
    if pitches is not None:
        for track in kit.tracks:
            goes[track.index] &= np.isin(track.notes["pitch"], pitches)
    # To the track that had such hits, or else the one with most hits.
    into = max(kit.tracks, key=lambda t: (goes[t.index].sum(), len(t.notes), -t.index)).index
    staying = {index: ~own for index, own in goes.items()}
    stay = sum(int(own.sum()) for own in staying.values())
    score = exchange_notes(kit.score, staying, {into: hits})
    return Groove(score, len(hits) + stay, _remarks(kit))


def _remarks(kit: DrumKit) -> tuple[str, ...]:
    if not kit.left_out:
        return ()
    return (f"{kit.left_out} hits of drums that the model does not know stay as they are",)
