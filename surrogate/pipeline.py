"""The accompaniment pipeline: a melody in, the same melody with bass and drums out.

MIDI → melody's tracks → steps of the song's own beats → windows → surrogate, refinement or both
     → latents → decoder → bass and drums → notes on the song's beats, beside the untouched melody
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import torch
from torch import Tensor

from musicvae_torch.devices import pick_device
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.melody import melody_tokens
from musicvae_torch.notes.midi import MidiError, read_midi
from musicvae_torch.notes.trio import DEPTHS, PARTS, part_notes, to_tokens
from musicvae_torch.notes.vocabulary import (
    MAX_PITCH,
    MIN_PITCH,
    NO_EVENT,
    NOTE_OFF,
    STEPS_PER_BAR,
)
from musicvae_torch.pretrained import CheckpointError, shipped_checkpoint
from surrogate.fill import PLAIN_DRUMS, StepNote, fill_silent_bars, plain_bass
from surrogate.grid import StepGrid, refined
from surrogate.melody_choice import choose_melody
from surrogate.model import Surrogate, load_surrogate, part_depths
from surrogate.refine import refine, refine_prediction
from surrogate.stitch import stitch

DEFAULT_MUSICVAE = "trio_16bar_small"
DEFAULT_SURROGATE = "trio_16bar_small_surrogate"
DEFAULT_BASELINE = "trio_16bar_small_point"  # of accompany-music-vae's kind, to compare with
MAX_BARS = 2048  # an hour and more; longer songs are broken files
BATCH = 32  # windows decoded at a time
METHODS = ("surrogate", "refine", "refine-only")  # ways to a latent
GIVEN = ("melody",)


@dataclass(frozen=True)
class AccompanyOptions:
    """What a user may choose.

    Attributes:
        melody: index of the melody's track; None: the likeliest.
        temperature: of the decoder; 0 always takes the likeliest token, 1 samples freely.
        seed: of the sampling; the same seed gives the same accompaniment.
        method: how the latent is found, one of METHODS: "surrogate" takes the surrogate's, "refine"
            refines that until it explains the melody better, "refine-only" refines from zero,
            which needs no surrogate.
    """

    melody: int | None = None
    temperature: float = 0.6
    seed: int = 0
    method: str = METHODS[0]


@dataclass(frozen=True)
class Accompaniment:
    """What became of a song.

    Attributes:
        midi: the melody's tracks as they were, then a bass and a drum track.
        melody: indices of the melody's tracks in the input (several, where its program changes).
        latents: (windows, z_size), the latent of each window in which the melody plays.
    """

    midi: pretty_midi.PrettyMIDI
    melody: tuple[int, ...]
    latents: np.ndarray


@dataclass(frozen=True)
class _Melody:
    """A melody on the grid, from its first bar to its last.

    Attributes:
        tokens: (steps,) classes as the networks know them.
        plays: (bars,) bool, where a note of the file sounds, whether or not it is in `tokens`.
        pitches: (notes,) MIDI pitches.
        first_step: of the song's grid, where the first bar begins.
    """

    tokens: np.ndarray
    plays: np.ndarray
    pitches: np.ndarray
    first_step: int


class Accompanist:
    """A MusicVAE with its surrogate encoder, to be used on any number of songs.

    Args:
        musicvae: of trios.
        surrogate: of it; None: there is none, and only the method "refine-only" will do.

    Raises:
        CheckpointError: the two do not belong together, or the MusicVAE plays no trios.
    """

    def __init__(self, musicvae: MusicVAE, surrogate: Surrogate | None = None) -> None:
        _check_trio(musicvae)
        if surrogate is not None:
            _check_pair(musicvae, surrogate)
        self.musicvae = musicvae
        self.surrogate = surrogate

    @classmethod
    def from_pretrained(
        cls,
        musicvae: str | Path | None = None,
        surrogate: str | Path | None = None,
        device: str = "auto",
        method: str = METHODS[0],
    ) -> Accompanist:
        """Load a pair of checkpoint folders; None stands for those that ship with the package.
        For the method "refine-only" no surrogate is loaded.

        Raises:
            CheckpointError: a folder cannot be read, or the two do not belong together.
            ValueError: there is no such device or method.
        """
        _check_method(method)
        place = pick_device(device)
        trio = MusicVAE.from_pretrained(musicvae or shipped_checkpoint(DEFAULT_MUSICVAE), place)
        if method == "refine-only":
            return cls(trio)
        if musicvae and not surrogate:
            _check_trio(trio)
            return cls(trio, _shipped_surrogate_of(trio, musicvae))
        home = surrogate or shipped_checkpoint(DEFAULT_SURROGATE)
        return cls(trio, load_surrogate(home, place))

    def accompany(
        self, midi: str | Path | pretty_midi.PrettyMIDI, options: AccompanyOptions | None = None
    ) -> Accompaniment:
        """Add bass and drums to a melody.

        Raises:
            MidiError: the file cannot be read, has no melody, or is longer than MAX_BARS.
            ValueError: an option is out of range.
        """
        options = options or AccompanyOptions()
        _check_method(options.method)
        if self.surrogate is None and options.method != "refine-only":
            raise ValueError(
                f"method {options.method!r} needs a surrogate encoder; without one there is "
                "refine-only"
            )
        if not isinstance(midi, pretty_midi.PrettyMIDI):
            midi = read_midi(midi, gather_tempos=True)
        midi = refined(midi)
        tracks = choose_melody(midi, options.melody)
        notes = [note for index in tracks for note in midi.instruments[index].notes]
        grid = StepGrid(midi, min(note.start for note in notes))
        melody = _on_grid(notes, grid)
        latents, tokens = self._play(melody, options)
        _, bass, drums = part_notes(tokens)
        band = [
            _later(fill_silent_bars(part, melody.plays, plain), melody.first_step)
            for part, plain in ((bass, plain_bass(melody.pitches)), (drums, PLAIN_DRUMS))
        ]
        return Accompaniment(stitch(midi, tracks, grid, *band), tracks, latents)

    @torch.no_grad()
    def _play(self, melody: _Melody, options: AccompanyOptions) -> tuple[np.ndarray, np.ndarray]:
        """Latents (windows, z_size) and trio tokens (steps, 3), silent where the melody rests
        for a whole window."""
        device, size = self.musicvae.device, self.musicvae.config.max_seq_len
        steps = len(melody.tokens)
        playing = np.repeat(melody.plays, STEPS_PER_BAR)
        starts = [s for s in _window_starts(steps, size) if playing[s : s + size].any()]
        generator = torch.Generator(device).manual_seed(options.seed)
        tokens = np.zeros((steps, len(PARTS)), np.int16)
        latents = []
        # Back to front: where the last window overlaps the one before, the earlier one stays.
        starts.reverse()
        for first in range(0, len(starts), BATCH):
            batch = starts[first : first + BATCH]
            windows = np.stack([_pad(melody.tokens[start : start + size], size) for start in batch])
            heard = torch.zeros(*windows.shape, len(PARTS), dtype=torch.int64)
            heard[..., PARTS.index("melody")] = torch.from_numpy(windows.astype(np.int64))
            z = self._find_latents(heard.to(device), options.method)
            samples = self.musicvae.decode(z, None, options.temperature, generator=generator)
            for start, window in zip(batch, to_tokens(samples.cpu().numpy()), strict=True):
                tokens[start : start + size] = window[: steps - start]
            latents.append(z.cpu().numpy())
        return np.concatenate(latents)[::-1], tokens

    def _find_latents(self, tokens: Tensor, method: str) -> Tensor:
        """(windows, z_size) for windows (windows, steps, parts) whose melody counts."""
        if method == "refine-only" or self.surrogate is None:
            return refine(self.musicvae, tokens, GIVEN).z
        if method == "surrogate":
            return self.surrogate.posterior_mean(tokens, GIVEN)
        return refine_prediction(self.musicvae, self.surrogate, tokens, GIVEN).z


def accompany(
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    melody: int | None = None,
    temperature: float = 0.6,
    seed: int = 0,
    musicvae: str | Path | None = None,
    surrogate: str | Path | None = None,
    device: str = "auto",
    method: str = METHODS[0],
) -> pretty_midi.PrettyMIDI:
    """Add bass and drums to a melody, in one call.

    Args:
        midi: a path, or MIDI in memory (which stays as it is).
        melody, temperature, seed, method: see :class:`AccompanyOptions`.
        musicvae, surrogate: checkpoint folders; None: the pair that ships with the package.
        device: of the networks; "auto" is CUDA where there is one.

    Returns:
        The melody's own notes at its own tempo, with a bass (program 33) and a drum track.

    Raises:
        MidiError: the file cannot be read, has no melody, or is longer than MAX_BARS.
        CheckpointError: a checkpoint cannot be read, or the two do not belong together.
        ValueError: an option is out of range.
    """
    pair = Accompanist.from_pretrained(musicvae, surrogate, device, method)
    return pair.accompany(midi, AccompanyOptions(melody, temperature, seed, method)).midi


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of: {', '.join(METHODS)}")


def _check_trio(musicvae: MusicVAE) -> None:
    vae = musicvae.config
    if vae.output_depths != DEPTHS or vae.control_depth:
        raise CheckpointError(f"the MusicVAE {vae.name!r} plays no trios of depths {DEPTHS}")


def _shipped_surrogate_of(musicvae: MusicVAE, folder: str | Path) -> Surrogate:
    """The shipped surrogate, where a MusicVAE of the user's own has no other."""
    surrogate = load_surrogate(shipped_checkpoint(DEFAULT_SURROGATE), musicvae.device)
    try:
        _check_pair(musicvae, surrogate)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder}: the shipped surrogate is of another model ({error}); name its own with "
            "--surrogate, or do without one: --method refine-only"
        ) from None
    return surrogate


def _check_pair(musicvae: MusicVAE, surrogate: Surrogate) -> None:
    vae, heard = musicvae.config, surrogate.config
    if "melody" not in heard.hears:
        raise CheckpointError(f"the surrogate hears {' and '.join(heard.hears)}, but no melody")
    if heard.input_depth != sum(part_depths(heard.hears)):
        raise CheckpointError(
            f"the surrogate hears {heard.input_depth} classes; {' and '.join(heard.hears)} have "
            f"{sum(part_depths(heard.hears))}"
        )
    if (vae.z_size, vae.max_seq_len) != (heard.z_size, heard.max_seq_len):
        raise CheckpointError(
            f"the surrogate predicts {heard.z_size} latent dimensions of "
            f"{heard.max_seq_len} steps, the MusicVAE wants {vae.z_size} of {vae.max_seq_len}"
        )


def _on_grid(notes: list[pretty_midi.Note], grid: StepGrid) -> _Melody:
    first_bars, last_bars = grid.to_bars(notes)
    first = int(first_bars.min())
    bars = int(last_bars.max()) - first
    if bars > MAX_BARS:
        raise MidiError(f"the melody lasts {bars} bars; the longest possible is {MAX_BARS}")
    plays = np.zeros(bars, bool)
    for start, end in zip(first_bars - first, last_bars - first, strict=True):
        plays[start:end] = True
    starts, ends = (steps - first * STEPS_PER_BAR for steps in grid.to_steps(notes))
    pitches = np.array([note.pitch for note in notes])
    tokens = melody_tokens(starts, ends, pitches, bars * STEPS_PER_BAR)
    modelled = pitches[(pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)]
    return _Melody(tokens, plays, modelled, first * STEPS_PER_BAR)


def _later(notes: list[StepNote], steps: int) -> list[StepNote]:
    return [(start + steps, end + steps, pitch) for start, end, pitch in notes]


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
