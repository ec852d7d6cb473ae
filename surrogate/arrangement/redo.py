"""Bars of some parts, made anew, in the song's own tracks: all else in the file stays as it is.

The new notes join the old ones of their part: they have their velocities, on the average and in
their spread, drum by drum; their place before or behind the beat; and the drums that they use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.stitch import exchange_notes
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, PARTS, STEPS_PER_QUARTER
from musicvae_torch.model.vae import MusicVAE
from surrogate.arrangement.arrange import Arrangement, candidate_seed, contour_and_swing
from surrogate.arrangement.bass_line import keep_bass_in_harmony
from surrogate.arrangement.comping import SOFTER, comp_again, holds_chords, strike_notes
from surrogate.arrangement.dynamics import MAX_VELOCITY, part_velocities
from surrogate.arrangement.feel import (
    Played,
    even_beats,
    moved,
    play_band,
    song_swing,
    tick_shifts,
)
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import song_harmony
from surrogate.arrangement.old_part import OldPart, old_part
from surrogate.options import COMPING, AccompanyOptions
from surrogate.song.context import SongContext

FEW = 3  # notes of a drum, below which its velocities are those of all drums
_WIDEST = 2.0  # factor by which the spread of velocities may grow
_PROFILES = {COMPING: "bass"}  # whose velocities a part has that has none of its own


class RedoArranger:
    """Writes bars into the tracks of a song; arguments as of
    :class:`surrogate.arrangement.arrange.Arranger`.

    Attributes:
        kept: indices of the tracks that stay, wholly or but for those bars: all.
        harmony: of the song.
    """

    def __init__(
        self, song: SongContext, options: AccompanyOptions, groove: MusicVAE | None = None
    ) -> None:
        self.song, self.options, self.groove = song, options, groove
        self.kept = tuple(range(len(song.score.tracks)))
        others = [i for i, role in enumerate(song.roles) if role not in options.made]
        staying = [i for i in others if song.roles[i] not in options.redone]
        fits_chords = "bass" in options.made and options.harmony != "off"
        self.harmony = song_harmony(song, others, options.chords)
        self._bass_harmony = self.harmony if fits_chords else None
        self._contour, self._swing = contour_and_swing(song, staying)

    def arrange(self, played: list[list[StepNote]], number: int, feel: float) -> Arrangement:
        """The song's new file; arguments as of
        :meth:`surrogate.arrangement.arrange.Arranger.arrange`."""
        options, song = self.options, self.song
        seed = candidate_seed(options.seed, number)
        fresh = {part: self._new(part, played[PARTS.index(part)]) for part in options.made}
        if COMPING in options.redone:
            fresh[COMPING] = self._new_chords(played, seed)
        human = self._human(fresh, feel, seed)
        gone = {index: mask for old in self._old.values() for index, mask in old.gone.items()}
        pieces = {
            index: song.timing.to_source(notes)
            for old in self._old.values()
            for index, notes in old.pieces.items()
        }
        new = dict(pieces)
        changes = []
        for part, notes in fresh.items():
            old = self._old[part]
            placed = self._placed(part, notes, seed, human.get(part))
            source = song.timing.source.tracks[old.into.index]
            beside = self._beside(source, gone, pieces)
            placed = apart(song.timing.to_source(placed), beside)
            new[source.index] = np.concatenate([*pieces_of(pieces, source), placed])
            changes.append(self._change(part, placed))
        staying = {index: ~mask for index, mask in gone.items()}
        score = exchange_notes(song.timing.source, staying, new, later=True)
        homes = {home_of(self._old[part].into) for part in fresh}
        changed = tuple(track.index for track in score.tracks if home_of(track) in homes)
        return Arrangement(score, changed, self._left(score.tracks), {}, {}, (), tuple(changes))

    @cached_property
    def _old(self) -> dict[str, OldPart]:
        """The parts that are redone, as they were."""
        return {part: old_part(self.song, part, own) for part, own in self.options.redone.items()}

    def _new(self, part: str, played: list[StepNote]) -> list[StepNote]:
        """What was played of a part in the bars that are redone, on the drums that it uses."""
        song = self.song
        spans = song.grid.steps(self._old[part].spans) - song.first_step
        # Where a note from before sounds on, none is played; a crash after a fill was given.
        notes = sorted(
            note for note in played if any(start <= note[0] < end for start, end in spans.tolist())
        )
        if part == "bass" and self._bass_harmony is not None:
            assert self.options.harmony is not None
            notes = keep_bass_in_harmony(notes, self._bass_harmony, self.options.harmony)
        if part != "drums":
            return notes
        kit = own_kit(self._old[part].stays["pitch"])
        return sorted((start, end, kit.get(pitch, pitch)) for start, end, pitch in notes)

    def _new_chords(self, played: list[list[StepNote]], seed: int) -> list[StepNote]:
        """The chords of the bars that are redone, in the rhythm that the drums now have."""
        song, old = self.song, self._old[COMPING]
        spans = song.grid.steps(old.spans) - song.first_step
        # What was played of parts that the song lacks is not to be heard.
        melody, _, drums = (
            own if part in song.roles else [] for part, own in zip(PARTS, played, strict=True)
        )
        had = [note for track in old.tracks for note in self._steps(track.notes)]
        strikes = comp_again(
            self.harmony,
            drums,
            melody,
            [(start, end) for start, end in spans.tolist()],
            holds_chords(old.into.program),
            had,
            seed,
        )
        return strike_notes(strikes)

    def _human(
        self, fresh: Mapping[str, list[StepNote]], feel: float, seed: int
    ) -> dict[str, Played]:
        """How a GrooVAE plays the old notes of the parts, and after them the new ones; without one,
        nothing is said."""
        if self.groove is None:
            return {}
        parts = {part: [*self._steps(self._old[part].stays), *fresh[part]] for part in fresh}
        if "drums" not in parts:
            kits = [track.notes for track in self.song.score.tracks if track.is_drum]
            parts["drums"] = self._steps(np.concatenate([np.zeros(0, TICK_NOTE), *kits]))
        even = self._even[self.song.first_step // STEPS_PER_QUARTER :]
        chords = parts.pop(COMPING, None)
        played = play_band(self.groove, parts, self._swing, even, feel, seed)
        if chords is not None:
            alike = {_PROFILES[COMPING]: chords, "drums": parts["drums"]}
            with_drums = play_band(self.groove, alike, self._swing, even, feel, seed)
            played[COMPING] = with_drums[_PROFILES[COMPING]]
        return {part: played[part] for part in fresh}

    @cached_property
    def _even(self) -> np.ndarray:
        return even_beats(self.song.grid.step_ticks)

    def _steps(self, notes: np.ndarray) -> list[StepNote]:
        """Notes of TICK_NOTE in steps of the tokens."""
        starts, ends = (steps - self.song.first_step for steps in self.song.grid.to_steps(notes))
        return list(zip(starts.tolist(), ends.tolist(), notes["pitch"].tolist(), strict=True))

    def _placed(
        self, part: str, notes: list[StepNote], seed: int, feel: Played | None
    ) -> np.ndarray:
        """New notes in ticks, as notes of TICK_NOTE."""
        song, old, ticks = self.song, self._old[part], self.song.grid.step_ticks
        steps = np.array(notes, np.int64).reshape(-1, 3)
        starts, ends = (
            np.minimum(steps[:, side] + song.first_step, len(ticks) - 1) for side in (0, 1)
        )
        placed = np.zeros(len(steps), TICK_NOTE)
        placed["start"], placed["end"], placed["pitch"] = ticks[starts], ticks[ends], steps[:, 2]
        placed["velocity"] = self._velocities(part, notes, seed, feel)
        offsets = self._own_timing(part, starts) if feel is None else feel.offsets[len(old.stays) :]
        there = placed["start"] < placed["end"]
        placed, starts, offsets = placed[there], starts[there], offsets[there]
        if not len(placed):
            return placed
        span = np.searchsorted(old.spans[:, 0], placed["start"], side="right") - 1
        first, end = old.spans[span].T
        shifts = tick_shifts(ticks, starts, offsets)
        shifts = np.clip(shifts, first - placed["start"], end - 1 - placed["start"])
        placed["end"] = np.minimum(placed["end"], old.ends[span])
        if shifts.any():
            placed = moved(placed, shifts)
            span = np.searchsorted(old.spans[:, 0], placed["start"], side="right") - 1
            placed["end"] = np.minimum(placed["end"], old.ends[span])
        return placed

    def _own_timing(self, part: str, starts: np.ndarray) -> np.ndarray:
        """By how much of a step the old notes of the part come late at the place in the beat of
        each new note, which begins at (notes,) steps of the grid."""
        song, old = self.song, self._old[part].stays
        swing = song_swing(song.grid.step_ticks, old["start"], song.grid.steps(old["start"]))
        beats = np.minimum(starts // STEPS_PER_QUARTER, len(self._even) - 1)
        return np.where(self._even[beats], swing[starts % STEPS_PER_QUARTER], 0.0)

    def _velocities(
        self, part: str, notes: list[StepNote], seed: int, feel: Played | None
    ) -> np.ndarray:
        """Velocities of new notes: those that the profile, or a GrooVAE, gives them, less what it
        would give the old notes of the part, plus what these have."""
        old = self._old[part].stays
        both = [*self._steps(old), *notes]
        touch = None if feel is None else feel.shape
        profile = _PROFILES.get(part, part)
        predicted = part_velocities(both, profile, self._contour, seed=seed, touch=touch)
        if part == COMPING:
            predicted = np.maximum(predicted - SOFTER, 1)
        drums = part == "drums"
        kind = class_of_pitch(DRUM_CLASSES)[[pitch for *_, pitch in both]] if drums else None
        of_old, of_new = predicted[: len(old)], predicted[len(old) :]
        if not len(old):
            return np.asarray(of_new, np.int64)
        joined = like(of_new, of_old, old["velocity"])
        if kind is not None:
            for one in np.unique(kind[len(old) :]).tolist():
                mine, theirs = kind[len(old) :] == one, kind[: len(old)] == one
                if theirs.sum() >= FEW:
                    joined[mine] = like(of_new[mine], of_old[theirs], old["velocity"][theirs])
        return np.asarray(np.rint(joined).clip(1, MAX_VELOCITY), np.int64)

    def _beside(
        self, home: Track, gone: Mapping[int, np.ndarray], pieces: Mapping[int, np.ndarray]
    ) -> np.ndarray:
        """The notes that stay, whoever plays them, on the channel of a track in its chunk: a
        message that ends a note ends all of its pitch there."""
        own = []
        for track in self.song.timing.source.tracks:
            if track.chunk == home.chunk and track.port == home.port:
                stays = ~gone.get(track.index, np.zeros(len(track.notes), bool))
                own.append(track.notes[stays & (track.note_channels == home.channel)])
                own += pieces_of(pieces, track)
        return np.concatenate(own)

    def _change(self, part: str, placed: np.ndarray) -> str:
        """What became of a part's bars, in words."""
        old, song = self._old[part], self.song
        ranges = ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in self.options.redone[part])
        gone = old.replaced
        what = "hits" if part == "drums" else "notes"
        many = song.song_bars.chosen(self.options.redone[part]).sum() > 1
        bars = "bars" if many else "bar"
        line = f"{part}, {bars} {ranges}: {len(placed)} {what} in place of {len(gone)}"
        if part in PARTS and not song.hidden[:, PARTS.index(part)].any():
            return f"{line} (a note from before sounds through all of them, and stays)"
        before, after = (np.sort(notes[["start", "pitch"]]) for notes in (gone, placed))
        if np.array_equal(before, after):
            return f"{line} (the same again; another --seed may give others)"
        return line

    def _left(self, tracks: tuple[Track, ...]) -> tuple[int, ...]:
        """For each track of the new file, the index of the song's track that it was."""
        places = {home_of(track): track.index for track in reversed(self.song.score.tracks)}
        return tuple(places.get(home_of(track), track.index) for track in tracks)


def apart(notes: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """New notes that end no old note of their pitch, nor are ended by one; all of TICK_NOTE.

    A new note that would begin with an old one is left out; one that would sound when an old one
    begins ends there; and one that begins while an old one sounds ends with that, as MIDI would
    have it.
    """
    kept = []
    for row in np.sort(notes, order=("start", "pitch")):
        same = stays[stays["pitch"] == row["pitch"]]
        if (same["start"] == row["start"]).any():
            continue
        before = same[(same["start"] < row["start"]) & (same["end"] > row["start"])]
        after = same[same["start"] > row["start"]]
        if len(before):
            row["end"] = before["end"].max()
        if len(after):
            row["end"] = min(row["end"], after["start"].min())
        kept.append(row)
    return np.array(kept, TICK_NOTE)


def own_kit(pitches: np.ndarray) -> dict[int, int]:
    """For the pitch that a class of drums is written with, the one of that class that a part has
    most often; no entry for drums that it does not use."""
    drums = class_of_pitch(DRUM_CLASSES)
    counts = Counter(pitches.tolist())
    kit: dict[int, int] = {}
    for pitch, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if drums[pitch] >= 0:
            kit.setdefault(DRUM_CLASSES[drums[pitch]][0], pitch)
    return kit


def like(values: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Values with the mean and the spread by which `actual` differs from what was `predicted` of
    it."""
    spread, wanted = float(predicted.std()), float(np.std(actual))
    factor = min(wanted / spread, _WIDEST) if spread else 0.0
    moved_values: np.ndarray = np.mean(actual) + factor * (values - predicted.mean())
    return moved_values


def pieces_of(pieces: Mapping[int, np.ndarray], track: Track) -> list[np.ndarray]:
    """The pieces of a track's notes, by its index, if there are any."""
    return [pieces[track.index]] if track.index in pieces else []


def home_of(track: Track) -> tuple[int, int, int, bool]:
    """By what a track is found again when its notes have changed."""
    return track.chunk, track.port, track.channel, track.is_drum
