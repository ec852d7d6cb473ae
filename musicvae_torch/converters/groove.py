"""Grooves: drum hits with their loudness and timing ↔ steps of hits, velocities and offsets.

A step is a row of 27: for each of nine drums whether it is hit (0 or 1), how hard (MIDI velocity
/ 127) and how early (-1 to 1, in halves of a step; 1 is half a step before the step's own time).
Facts of Magenta 2.1.4's ``music_vae.data.GrooveConverter`` and of its use in ``configs``; the
models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.notes import Song
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section, steady_section
from musicvae_torch.midi.vocabulary import (
    CLOSED_HI_HAT,
    DRUM_CLASSES,
    OPEN_HI_HAT,
    ROLAND_DRUM_CLASSES,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
)

DRUMS = len(DRUM_CLASSES)
ROW = 3 * DRUMS
MAX_VELOCITY = 127
MAX_BARS = 2**14  # nine hours at 120; a file beyond it is broken, and would fill the memory
LEAST_DROPOUT = 0.2  # rate of the loudest hits, relative to that of the softest


class NotDrumsError(MidiError):
    """A song has a pitch that is no drum's; Magenta fails on it, too."""


@dataclass(frozen=True)
class GrooveRules:
    """How a config changes the drums as played, which are its outputs, into the encoder's inputs.

    Attributes:
        humanize: inputs have hits alone, neither velocities nor offsets.
        tap: inputs have one hit a step, the loudest, on the open hi-hat.
        fixed_velocities: inputs have no velocities.
        missing_drums: not in the inputs, for the model to add.
        control_depth: columns of the inputs that are controls, too: 9 are the hits, 27 all.
        max_note_dropout: a rate is drawn from 0 to this one for a song, at which inputs lack its
            softest hits; louder ones at less, but at no less than LEAST_DROPOUT of it.
        hop_bars: bars from one window to the next; None: as long as a window.
    """

    humanize: bool = False
    tap: bool = False
    fixed_velocities: bool = False
    missing_drums: tuple[int, ...] = ()
    control_depth: int = 0
    max_note_dropout: float = 0.0
    hop_bars: int | None = None


GROOVE_RULES = {
    "groovae_4bar": GrooveRules(),
    "groovae_2bar_humanize": GrooveRules(humanize=True),
    "groovae_2bar_tap_fixed_velocity": GrooveRules(tap=True, fixed_velocities=True),
    "groovae_2bar_tap_fixed_velocity_note_dropout": GrooveRules(
        tap=True, fixed_velocities=True, max_note_dropout=0.8
    ),
    "groovae_2bar_add_closed_hh": GrooveRules(missing_drums=(CLOSED_HI_HAT,)),
    "groovae_2bar_hits_control_tfds": GrooveRules(control_depth=DRUMS),
}


class GrooveConverter(Converter):
    """Grooves; tokens are (steps, 27) float32 rows of what was played.

    With note dropout they are (steps, 36): the last nine are 1 for hits that the inputs keep. Notes
    are dropped in every mode, as in Magenta; draws, which go on from song to song, are those that
    Magenta makes after ``numpy.random.seed(seed)``.

    Modes "train" and "eval" know the 22 pitches of the kit that the Groove MIDI Dataset was
    played on; "infer" knows the 63 of the drum configs' nine classes.
    """

    token_dtype = np.float32
    rules: GrooveRules

    def __init__(
        self, rules: GrooveRules, steps: int, mode: str = "eval", seed: int | None = None
    ) -> None:
        super().__init__(rules, steps, mode, seed)
        self.drum_classes = DRUM_CLASSES if mode == "infer" else ROLAND_DRUM_CLASSES
        self._dropout = np.random.RandomState(seed)

    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """Window after window, with or without hits; a rest at the end is no window.

        Notes of all tracks count, whether of drums or not. The loudest hit of a drum on a step
        counts, and the first of equally loud ones.

        Raises:
            NotDrumsError: a pitch is no drum's.
            MidiError: the song is absurdly long.
        """
        played = _played(section, self._drums_hit(section.notes))
        tokens = played.reshape(-1, ROW).astype(np.float32)
        if self.rules.max_note_dropout:
            kept = self._kept(played[:, 1])
            tokens = np.concatenate([tokens, kept.astype(np.float32)], axis=1)
        if self.complete:
            tokens = np.pad(tokens, [(0, -len(tokens) % self.steps), (0, 0)])
        hop = self.steps if self.rules.hop_bars is None else self.rules.hop_bars * STEPS_PER_BAR
        tracks = np.unique(section.notes["instrument"]).tolist()
        return [
            self.window(tokens[first:][: self.steps], section, first // STEPS_PER_BAR, tracks)
            for first in range(0, len(tokens) - self.steps + 1, hop)
        ]

    def sections(self, song: Song) -> list[Section]:
        """The song itself, if all of it is in one tempo and in 4/4 (or 2/2, 8/8)."""
        section = steady_section(song) if len(song.notes) else None
        return [section] if section and section.steps_per_bar == STEPS_PER_BAR else []

    def inputs(self, tokens: np.ndarray) -> np.ndarray:
        rules = self.rules
        played = self.outputs(tokens).reshape(*tokens.shape[:-1], 3, DRUMS)
        rows = played.copy()
        if rules.max_note_dropout:
            rows *= tokens[..., None, ROW:]
        if rules.tap:
            # Magenta chooses the loudest of the kept hits, but takes it from all hits: a step
            # without kept hits gets its kick back, if it has one.
            loudest = rows[..., 1:2, :].argmax(-1, keepdims=True)
            tapped = np.take_along_axis(played, loudest, axis=-1)
            rows[:] = 0
            rows[..., OPEN_HI_HAT] = tapped[..., 0]
        if rules.humanize:
            rows[..., 1:, :] = 0
        if rules.fixed_velocities:
            rows[..., 1, :] = 0
        rows[..., list(rules.missing_drums)] = 0
        return rows.reshape(*tokens.shape[:-1], ROW)

    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        return tokens[..., :ROW]

    def controls(self, tokens: np.ndarray) -> np.ndarray:
        return self.inputs(tokens)[..., : self.rules.control_depth]

    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        rows = np.asarray(outputs, np.float32)
        if not self.rules.max_note_dropout:
            return rows
        return np.concatenate([rows, np.ones((*rows.shape[:-1], DRUMS), np.float32)], axis=-1)

    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        """The hits (values over 0.5), each as long as a step.

        A hit that comes before the first step's time starts before 0; writing the MIDI to a file
        moves it to 0.
        """
        # In float64, as Magenta rounds and times them.
        hits, velocities, offsets = np.split(self.outputs(tokens).astype(np.float64), 3, axis=-1)
        velocities = np.clip(np.round(velocities * MAX_VELOCITY), 0, MAX_VELOCITY)
        early = np.clip(offsets / 2, -0.5, 0.5)
        seconds = 60.0 / qpm / STEPS_PER_QUARTER
        track = pretty_midi.Instrument(0, is_drum=True, name="drums")
        for step, drum in np.argwhere(hits > 0.5).tolist():
            start = (step - early[step, drum].item()) * seconds
            pitch, velocity = self.drum_classes[drum][0], int(velocities[step, drum])
            track.notes.append(pretty_midi.Note(velocity, pitch, start, start + seconds))
        midi = pretty_midi.PrettyMIDI(initial_tempo=qpm)
        midi.instruments.append(track)
        return midi

    def _drums_hit(self, notes: np.ndarray) -> np.ndarray:
        """(notes,) indices of drums."""
        drum_of_pitch = class_of_pitch(self.drum_classes)
        drums: np.ndarray = drum_of_pitch[notes["pitch"]]
        if (drums < 0).any():
            note = notes[drums < 0][0]
            known = ", ".join(map(str, np.flatnonzero(drum_of_pitch >= 0)))
            raise NotDrumsError(
                f"pitch {note['pitch']} (at {note['start']:.2f} s) is of none of the nine drums; "
                f"give drums alone, with the pitches {known}"
            )
        return drums

    def _kept(self, velocities: np.ndarray) -> np.ndarray:
        """Draw which hits of a song the inputs keep: (steps, 9) of 0 and 1."""
        rate = self._dropout.uniform(0.0, self.rules.max_note_dropout)
        lost = self._dropout.binomial(1, np.maximum(LEAST_DROPOUT, 1 - velocities) * rate)
        return np.asarray(1 - lost)


def _played(section: Section, drums: np.ndarray) -> np.ndarray:
    """(steps, 3, 9) float64: hits, velocities and offsets until the end of the last hit's bar."""
    bars = int(section.start_steps.max()) // STEPS_PER_BAR + 1
    if bars > MAX_BARS:
        raise MidiError(f"{bars} bars long; grooves have at most {MAX_BARS}")
    loudest_first = np.argsort(-section.notes["velocity"], kind="stable")
    cells = section.start_steps[loudest_first] * DRUMS + drums[loudest_first]
    cells, chosen = np.unique(cells, return_index=True)
    notes = section.notes[loudest_first][chosen]
    steps = cells // DRUMS
    seconds = 60.0 / section.qpm / STEPS_PER_QUARTER
    early = (seconds * steps - notes["start"]) / seconds
    rows = np.zeros((bars * STEPS_PER_BAR, 3, DRUMS))
    values = [np.ones(len(notes)), notes["velocity"] / MAX_VELOCITY, early * 2]
    rows[steps, :, cells % DRUMS] = np.stack(values, axis=1)
    return rows
