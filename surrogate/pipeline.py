"""The accompaniment pipeline: a melody in, the same melody with bass and drums out.

MIDI → melody's track → steps of the song's own beats → windows → surrogate → latents
     → decoder → bass and drums → notes on the song's beats, beside the untouched melody
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import torch

from musicvae_torch.devices import pick_device
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.melody import melody_notes, melody_tokens
from musicvae_torch.notes.midi import read_midi
from musicvae_torch.notes.trio import PARTS, part_notes, to_tokens
from musicvae_torch.notes.vocabulary import (
    ELECTRIC_BASS,
    NO_EVENT,
    NOTE_OFF,
    OUTPUT_VELOCITY,
    STEPS_PER_BAR,
)
from musicvae_torch.pretrained import CheckpointError, shipped_checkpoint
from surrogate.grid import StepGrid
from surrogate.melody_choice import choose_melody
from surrogate.model import SurrogateEncoder
from surrogate.silence import StepNote, fill_silent_bars, sounding_bars

MUSICVAE = "trio_16bar_small"
SURROGATE = "trio_16bar_small_surrogate"


@dataclass(frozen=True)
class AccompanyOptions:
    """What a user may choose.

    Attributes:
        melody: index of the melody's track; None: the likeliest.
        temperature: of the decoder; 0 always takes the likeliest token, 1 samples freely.
        seed: of the sampling; the same seed gives the same accompaniment.
    """

    melody: int | None = None
    temperature: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Accompaniment:
    """What became of a song.

    Attributes:
        midi: the melody as it was, with a bass and a drum track.
        melody: index of the melody's track in the input.
        latents: (windows, z_size), the prediction for each window.
    """

    midi: pretty_midi.PrettyMIDI
    melody: int
    latents: np.ndarray


class Accompanist:
    """A MusicVAE with its surrogate encoder, to be used on any number of songs."""

    def __init__(self, musicvae: MusicVAE, surrogate: SurrogateEncoder) -> None:
        vae, heard = musicvae.config, surrogate.config
        if (vae.z_size, vae.max_seq_len) != (heard.z_size, heard.max_seq_len):
            raise CheckpointError(
                f"the surrogate predicts {heard.z_size} latent dimensions of "
                f"{heard.max_seq_len} steps, the MusicVAE wants {vae.z_size} of {vae.max_seq_len}"
            )
        self.musicvae = musicvae
        self.surrogate = surrogate

    @classmethod
    def from_pretrained(
        cls,
        musicvae: str | Path | None = None,
        surrogate: str | Path | None = None,
        device: str = "auto",
    ) -> Accompanist:
        """Load a pair of checkpoint folders; None stands for those that ship with the package.

        Raises:
            CheckpointError: a folder cannot be read, or the two do not belong together.
        """
        place = pick_device(device)
        return cls(
            MusicVAE.from_pretrained(musicvae or shipped_checkpoint(MUSICVAE), place),
            SurrogateEncoder.from_pretrained(surrogate or shipped_checkpoint(SURROGATE), place),
        )

    def accompany(
        self, midi: str | Path | pretty_midi.PrettyMIDI, options: AccompanyOptions | None = None
    ) -> Accompaniment:
        """Add bass and drums to a melody.

        Raises:
            MidiError: the file cannot be read, or has no melody.
        """
        options = options or AccompanyOptions()
        if not isinstance(midi, pretty_midi.PrettyMIDI):
            midi = read_midi(midi, gather_tempos=True)
        index = choose_melody(midi, options.melody)
        first_bar, melody = _melody_bars(midi, index)
        latents, tokens = self._play(melody, options)
        wanted = sounding_bars(melody_notes(melody), len(melody) // STEPS_PER_BAR)
        bass, drums = (fill_silent_bars(part, wanted) for part in part_notes(tokens)[1:])
        arrangement = _arrange(midi, index, first_bar * STEPS_PER_BAR, bass, drums)
        return Accompaniment(arrangement, index, latents)

    @torch.no_grad()
    def _play(self, melody: np.ndarray, options: AccompanyOptions) -> tuple[np.ndarray, np.ndarray]:
        """Melody classes (steps,) → latents (windows, z_size) and trio tokens (steps, 3)."""
        device = self.musicvae.device
        size = self.musicvae.config.max_seq_len
        starts = _window_starts(len(melody), size)
        windows = [_pad(melody[start : start + size], size) for start in starts]
        heard = torch.from_numpy(np.stack(windows).astype(np.int64)).to(device)
        z = self.surrogate(heard).mean
        generator = torch.Generator(device).manual_seed(options.seed)
        samples = self.musicvae.decode(z, temperature=options.temperature, generator=generator)
        tokens = np.zeros((len(melody), len(PARTS)), np.int16)
        # Back to front: where the last window overlaps the one before, the earlier one stays.
        for start, sample in reversed(list(zip(starts, samples.cpu().numpy(), strict=True))):
            tokens[start : start + size] = to_tokens(sample)[: len(melody) - start]
        return z.cpu().numpy(), tokens


def accompany(
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    musicvae: str | Path | None = None,
    surrogate: str | Path | None = None,
    device: str = "auto",
    **options: Any,
) -> pretty_midi.PrettyMIDI:
    """Add bass and drums to a melody, in one call.

    Args:
        midi: a path, or MIDI in memory (which stays as it is).
        musicvae, surrogate: checkpoint folders; None: the pair that ships with the package.
        device: of the networks; "auto" is CUDA where there is one.
        options: fields of :class:`AccompanyOptions`, such as ``temperature`` or ``seed``.

    Returns:
        The melody's own notes at its own tempo, with a bass (program 33) and a drum track.

    Raises:
        MidiError: the file cannot be read, or has no melody.
        CheckpointError: a checkpoint cannot be read.
    """
    pair = Accompanist.from_pretrained(musicvae, surrogate, device)
    return pair.accompany(midi, AccompanyOptions(**options)).midi


def _melody_bars(midi: pretty_midi.PrettyMIDI, index: int) -> tuple[int, np.ndarray]:
    """The first bar in which the melody sounds, and its classes from there to its last bar."""
    notes = midi.instruments[index].notes
    starts, ends = StepGrid(midi).to_steps(notes)
    first_bar = int(starts.min()) // STEPS_PER_BAR
    bars = -(-int(ends.max()) // STEPS_PER_BAR) - first_bar
    offset = first_bar * STEPS_PER_BAR
    pitches = np.array([note.pitch for note in notes])
    return first_bar, melody_tokens(starts - offset, ends - offset, pitches, bars * STEPS_PER_BAR)


def _window_starts(steps: int, size: int) -> list[int]:
    """First steps of windows that cover a melody; the last one ends with it."""
    starts = list(range(0, max(steps - size, 0) + 1, size))
    if steps > size and steps % size:
        starts.append(steps - size)
    return starts


def _pad(window: np.ndarray, size: int) -> np.ndarray:
    """Rests up to the window's size; a note held to the melody's end ends there."""
    if len(window) == size:
        return window
    padded = np.full(size, NO_EVENT, window.dtype)
    padded[: len(window)] = window
    padded[len(window)] = NOTE_OFF
    return padded


def _arrange(
    midi: pretty_midi.PrettyMIDI,
    melody: int,
    offset: int,
    bass: list[StepNote],
    drums: list[StepNote],
) -> pretty_midi.PrettyMIDI:
    """The melody's track of `midi`, and parts that begin at step `offset` on its own beats."""
    grid = StepGrid(midi)
    arrangement = copy.deepcopy(midi)
    arrangement.instruments = [arrangement.instruments[melody]]
    for name, program, notes in (("bass", ELECTRIC_BASS, bass), ("drums", 0, drums)):
        track = pretty_midi.Instrument(program, is_drum=name == "drums", name=name)
        track.notes = [
            pretty_midi.Note(
                OUTPUT_VELOCITY,
                pitch,
                grid.to_seconds(offset + start),
                grid.to_seconds(offset + end),
            )
            for start, end, pitch in notes
        ]
        arrangement.instruments.append(track)
    return arrangement
