"""Generated notes → tracks of the song's file: silent bars, harmony, velocities, ticks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from musicvae_torch.converters.trio import part_notes
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.stitch import NewPart, stitch
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import ELECTRIC_BASS, PARTS, STEPS_PER_BAR, STEPS_PER_QUARTER
from musicvae_torch.model.vae import MusicVAE
from surrogate.arrangement.bass_line import keep_bass_in_harmony
from surrogate.arrangement.comping import HELD, SOFTER, comp, strike_notes
from surrogate.arrangement.comping import PROGRAMS as COMPING_PROGRAMS
from surrogate.arrangement.dynamics import VelocityContour, part_velocities, velocity_contour
from surrogate.arrangement.feel import (
    Played,
    even_beats,
    moved,
    play_band,
    song_swing,
    tick_shifts,
)
from surrogate.arrangement.fill import (
    PLAIN_DRUMS,
    StepNote,
    fill_silent_bars,
    let_go,
    only_live,
    plain_bass,
)
from surrogate.arrangement.harmony import song_harmony
from surrogate.options import COMPING, AccompanyOptions
from surrogate.song.bars import bars_that_sound, begun_in
from surrogate.song.context import SongContext

PROGRAMS = {"melody": 0, "bass": ELECTRIC_BASS, "drums": 0}


class Arrangement(NamedTuple):
    """A song with a band.

    Attributes:
        score: the song's tracks that stay as they were, then the new ones.
        new: indices of the new tracks in ``score.tracks``.
        left: indices of the song's own tracks that are in `score`, wholly or in part, in its order.
        staying: by index of a song's track that a new part replaces, (notes,) bool, which of its
            notes stay; no entry if the whole track goes.
        stay_in: by the same index, the numbers of the bars in which those notes are.
        remarks: what the user should know, a line each.
        changes: of parts that were redone, what became of their bars, a line each.
    """

    score: Score
    new: tuple[int, ...]
    left: tuple[int, ...]
    staying: dict[int, np.ndarray]
    stay_in: dict[int, np.ndarray]
    remarks: tuple[str, ...]
    changes: tuple[str, ...] = ()


def candidate_seed(seed: int, number: int) -> int:
    """The seed of a candidate's deviations, from the user's."""
    return int(np.random.SeedSequence([seed % 2**64, number]).generate_state(1)[0])


def contour_and_swing(
    song: SongContext, tracks: Iterable[int]
) -> tuple[VelocityContour, np.ndarray]:
    """Velocities of some of a song's tracks, bar by bar (:func:`velocity_contour`), and their swing
    (:func:`song_swing`)."""
    own = [song.score.tracks[index].notes for index in tracks]
    notes = np.concatenate([np.zeros(0, TICK_NOTE), *own])
    steps = song.grid.steps(notes["start"])
    contour = velocity_contour(steps - song.first_step, notes["velocity"], song.bars)
    return contour, song_swing(song.grid.step_ticks, notes["start"], steps)


class Arranger:
    """Writes bands into a song's file.

    Args:
        song: the song to which they belong.
        options: what the user chose.
        groove: a GrooVAE, for the drums' velocities and timing; None: velocities are those of the
            profile, and all notes are on the grid.

    Attributes:
        kept: indices of the tracks that stay.
        harmony: of the song.

    Raises:
        ChordError: the chords in the options cannot be read.
    """

    def __init__(
        self, song: SongContext, options: AccompanyOptions, groove: MusicVAE | None = None
    ) -> None:
        self.song, self.options, self.groove = song, options, groove
        self.kept = kept_tracks(song.roles, options)
        fits_chords = "bass" in options.made and options.harmony != "off"
        self.harmony = song_harmony(song, self.kept, options.chords)
        self._bass_harmony = self.harmony if fits_chords else None
        self._contour, self._swing = contour_and_swing(song, self.kept)

    def arrange(self, played: list[list[StepNote]], number: int, feel: float) -> Arrangement:
        """A song's new file.

        Args:
            played: each part's notes, in steps from the song's first bar.
            number: of the candidate, by which deviations are drawn.
            feel: 0 to 2, of the drummer's deviations; without a GrooVAE, it changes nothing.
        """
        seed = candidate_seed(self.options.seed, number)
        new = self._new_parts(played, feel, seed)
        staying = self._staying(new)
        timing = self.song.timing
        in_source = [part._replace(notes=timing.to_source(part.notes)) for part in new]
        score, remarks = stitch(timing.source, self.kept, in_source, staying)
        first_new = len(score.tracks) - sum(len(part.notes) > 0 for part in new)
        new_tracks = tuple(range(first_new, len(score.tracks)))
        left = tuple(
            track.index
            for track in self.song.score.tracks
            if track.index in self.kept or (track.index in staying and staying[track.index].any())
        )
        tracks, first_bar = self.song.score.tracks, self.song.song_bars.first
        stay_in = {
            index: np.unique(self._bars(tracks[index].notes)[stays]) + first_bar
            for index, stays in staying.items()
        }
        return Arrangement(score, new_tracks, left, staying, stay_in, remarks)

    def _new_parts(self, played: list[list[StepNote]], feel: float, seed: int) -> list[NewPart]:
        """The made parts and, if it is wanted, a part of the chords, in ticks."""
        options = self.options
        parts = {
            part: sorted(self._shaped(part, played[PARTS.index(part)])) for part in options.made
        }
        human = self._human(parts, feel, seed)
        new = []
        for part, notes in parts.items():
            shape, offsets = human.get(part, (None, None))
            velocities = part_velocities(notes, part, self._contour, options.dynamics, seed, shape)
            placed = self._in_ticks(notes, velocities, offsets)
            new.append(NewPart(part, PROGRAMS[part], part == "drums", placed))
        if COMPING in options.add:
            new.append(self._comping(parts, feel, seed))
        return new

    def _comping(self, parts: dict[str, list[StepNote]], feel: float, seed: int) -> NewPart:
        """The part that plays the chords. Its velocities and timing are a bass's, but softer."""
        options, song = self.options, self.song
        melody, _, drums = part_notes(song.tokens)
        hits = parts.get("drums", drums)
        live = song.live & np.repeat(song.plays, STEPS_PER_BAR)
        held = options.comping in HELD
        strikes = comp(self.harmony, hits, parts.get("melody", melody), live, held)
        notes = strike_notes(strikes)
        as_bass = {"bass": notes} | ({"drums": hits} if "drums" in parts else {})
        shape, offsets = self._human(as_bass, feel, seed).get("bass", (None, None))
        velocities = part_velocities(notes, "bass", self._contour, options.dynamics, seed, shape)
        softer = round(SOFTER * min(options.dynamics, 1.0))
        placed = self._in_ticks(notes, np.maximum(velocities - softer, 1), offsets)
        return NewPart(COMPING, COMPING_PROGRAMS[options.comping], False, placed)

    def _human(self, parts: dict[str, list[StepNote]], feel: float, seed: int) -> dict[str, Played]:
        """Velocity shapes and offsets of the parts, by a GrooVAE; empty without one."""
        if self.groove is None:
            return {}
        beats = even_beats(self.song.grid.step_ticks)[self.song.first_step // STEPS_PER_QUARTER :]
        return play_band(self.groove, parts, self._swing, beats, feel, seed)

    def _staying(self, new: Sequence[NewPart]) -> dict[int, np.ndarray]:
        """See :attr:`Arrangement.staying`: the notes in bars in which the new part does not
        play."""
        song, options = self.song, self.options
        if options.keep == "given" or options.outside == "none":
            return {}
        staying = {}
        for part in new:
            covered = np.zeros(len(song.song_bars), bool)
            if len(part.notes):
                covered = self._played & ~self._skipped
                covered[self._bars(part.notes)] = True
            for track, role in zip(song.score.tracks, song.roles, strict=True):
                if role == part.name and track.index not in self.kept:
                    staying[track.index] = ~covered[self._bars(track.notes)]
        return staying

    def _shaped(self, part: str, notes: list[StepNote]) -> list[StepNote]:
        """A part's notes, with silent bars filled and the pitches moved into the harmony."""
        notes = only_live(let_go(notes), self.song.live)
        notes = self._in_harmony(part, self._filled(part, notes))
        # Notes are cut where the harmony changes, which may leave a bar without any.
        filled = self._filled(part, notes)
        return notes if len(filled) == len(notes) else self._in_harmony(part, filled)

    def _filled(self, part: str, notes: list[StepNote]) -> list[StepNote]:
        if not self.options.fill or part == "melody":
            return notes
        plain = PLAIN_DRUMS if part == "drums" else plain_bass(self.song.pitches)
        song = self.song
        filled = fill_silent_bars(notes, song.plays_between_lines, plain, song.live, song.lines)
        return only_live(filled, song.live)

    def _in_harmony(self, part: str, notes: list[StepNote]) -> list[StepNote]:
        if part != "bass" or self._bass_harmony is None:
            return notes
        assert self.options.harmony is not None
        return keep_bass_in_harmony(notes, self._bass_harmony, self.options.harmony)

    def _in_ticks(
        self, notes: list[StepNote], velocities: np.ndarray, offsets: np.ndarray | None
    ) -> np.ndarray:
        """Notes in steps → notes of TICK_NOTE, without those after the end of the given parts and
        those in bars in which the new parts are silent."""
        ticks, song = self.song.grid.step_ticks, self.song
        steps = np.array(notes, np.int64).reshape(-1, 3)
        starts, ends = (
            np.minimum(steps[:, side] + song.first_step, len(ticks) - 1) for side in (0, 1)
        )
        placed = np.zeros(len(steps), TICK_NOTE)
        placed["start"], placed["end"] = ticks[starts], ticks[ends]
        placed["pitch"], placed["velocity"] = steps[:, 2], velocities
        in_song = (placed["start"] < placed["end"]) & (placed["start"] < song.end)
        shifts = np.zeros(len(steps), np.int64)
        if offsets is not None:
            shifts[in_song] = tick_shifts(ticks, starts[in_song], offsets[in_song])
        placed, shifts = placed[in_song], shifts[in_song]
        sounds = ~self._silent[self._bars(placed)]
        placed, shifts = placed[sounds], shifts[sounds]
        if shifts.any():
            placed = moved(placed, self._within(placed, shifts))
        placed = self._cut(placed)
        placed["end"] = np.minimum(placed["end"], song.end)
        return placed[placed["start"] < placed["end"]]

    def _within(self, notes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Clip shifts of notes of TICK_NOTE, (notes,) ticks, so that no note moves into a bar of
        the song in which the part is silent, before the song, or beyond its end."""
        bars = self._bars(notes)
        earliest = np.where(np.isin(bars - 1, bars), 0, self.song.song_bars.ticks[bars])
        starts = notes["start"]
        least = np.minimum(earliest - starts, 0)
        return np.clip(shifts, least, np.maximum(self.song.end - 1 - starts, 0))

    @cached_property
    def _played(self) -> np.ndarray:
        """(bars,) bool: the song's bars in which the given parts play, or the band does in their
        rests."""
        notes = self.song.sounding
        return bars_that_sound(self.song.song_bars.ticks, notes["start"], notes["end"])

    @cached_property
    def _skipped(self) -> np.ndarray:
        """(bars,) bool: the song's bars that the user wants without new parts."""
        return self.song.song_bars.chosen(self.options.skip)

    @cached_property
    def _owned(self) -> np.ndarray:
        """(bars,) bool: the song's bars that are left to its own bass and drums."""
        song = self.song
        owned = np.zeros(len(song.song_bars), bool)
        if self.options.outside != "own" or self.options.keep != "others":
            return owned
        for track, role in zip(song.score.tracks, song.roles, strict=True):
            if role in self.options.made and role != "melody":
                owned[self._bars(track.notes)] = True
        owned &= ~self._played
        return owned

    @property
    def _silent(self) -> np.ndarray:
        """(bars,) bool: the song's bars in which the new parts are silent."""
        silent: np.ndarray = self._skipped | self._owned
        return silent

    def _bars(self, notes: np.ndarray) -> np.ndarray:
        """(notes,) index of the song's bar in which each begins."""
        return begun_in(notes, self.song.song_bars, self.song.score.resolution)

    def _cut(self, notes: np.ndarray) -> np.ndarray:
        """End notes of TICK_NOTE where a bar begins in which the new parts are silent."""
        silent = self._silent
        if not len(notes) or not silent.any():
            return notes
        begins = self.song.song_bars.ticks[:-1][silent & ~np.append(False, silent[:-1])]
        after = np.searchsorted(begins, notes["start"], side="right")
        stops = np.append(begins, np.iinfo(np.int64).max)[after]
        notes = notes.copy()
        notes["end"] = np.minimum(notes["end"], stops)
        return notes


def kept_tracks(roles: tuple[str, ...], options: AccompanyOptions) -> tuple[int, ...]:
    """Indices of the tracks of a song that stay in it."""
    return tuple(
        index
        for index, role in enumerate(roles)
        if role in options.given
        or options.keep == "all"
        or (options.keep == "others" and role not in options.made)
    )
