"""From what the decoder played to parts in the song's file: silences, harmony, loudness, ticks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.score import TICK_NOTE, Score
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import ELECTRIC_BASS
from surrogate.arrangement.bass_line import keep_bass_in_harmony
from surrogate.arrangement.dynamics import Loudness, loudness, play
from surrogate.arrangement.fill import (
    PLAIN_DRUMS,
    StepNote,
    fill_silent_bars,
    let_go,
    only_live,
    plain_bass,
)
from surrogate.arrangement.groove import humanize_drums
from surrogate.arrangement.harmony import Harmony
from surrogate.arrangement.song_harmony import song_harmony
from surrogate.arrangement.stitch import NewPart, stitch
from surrogate.options import AccompanyOptions
from surrogate.song.hearing import Hearing

PROGRAMS = {"melody": 0, "bass": ELECTRIC_BASS, "drums": 0}


@dataclass(frozen=True, eq=False)
class Arranger:
    """What all bands of a song have in common.

    Attributes:
        song: what was heard of it.
        options: what the user chose.
        kept: indices of the tracks that stay.
        harmony: from the song's first bar; None: the bass need fit none.
        heard: how loud the tracks are that stay.
        groove: a model that plays drum hits; None: the profile does.
    """

    song: Hearing
    options: AccompanyOptions
    kept: tuple[int, ...]
    harmony: Harmony | None
    heard: Loudness
    groove: MusicVAE | None = None

    @classmethod
    def of(
        cls, song: Hearing, options: AccompanyOptions, groove: MusicVAE | None = None
    ) -> Arranger:
        """Raises:
        ChordError: the chords that were given are none.
        """
        kept = kept_tracks(song.roles, options)
        harmony = None
        if "bass" in options.made and options.harmony != "off":
            harmony = song_harmony(song, kept, options.chords)
        tracks = [song.score.tracks[index].notes for index in kept]
        notes = np.concatenate([np.zeros(0, TICK_NOTE), *tracks])
        steps = song.grid.steps(notes["start"]) - song.first_step
        heard = loudness(steps, notes["velocity"], song.bars)
        return cls(song, options, kept, harmony, heard, groove)

    def arrange(self, played: list[list[StepNote]], number: int) -> tuple[Score, tuple[int, ...]]:
        """A song's new file.

        Args:
            played: each part's notes, in steps from the song's first bar.
            number: of the candidate, for what is left to chance.

        Returns:
            The file, and the indices of its new tracks.

        Raises:
            MidiError: no MIDI channel is left.
        """
        options = self.options
        seed = int(np.random.SeedSequence([options.seed % 2**64, number]).generate_state(1)[0])
        new = []
        for part in options.made:
            notes = sorted(self._shaped(part, played[PARTS.index(part)]))
            touch, offsets = None, None
            if part == "drums" and self.groove is not None:
                struck = humanize_drums(self.groove, notes)
                touch, offsets = struck.velocities, struck.offsets
            velocities = play(notes, part, self.heard, options.dynamics, seed, touch)
            placed = self._placed(notes, velocities, offsets)
            new.append(NewPart(part, PROGRAMS[part], part == "drums", placed))
        score = stitch(self.song.score, self.kept, new)
        first = len(score.tracks) - sum(len(part.notes) > 0 for part in new)
        return score, tuple(range(first, len(score.tracks)))

    def _shaped(self, part: str, notes: list[StepNote]) -> list[StepNote]:
        """A part's notes where they should be, at the pitches that they should have."""
        notes = only_live(let_go(notes), self.song.live)
        notes = self._in_harmony(part, self._filled(part, notes))
        # The harmony cuts notes, and may leave a bar empty that one had reached into.
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
        if part != "bass" or self.harmony is None:
            return notes
        return keep_bass_in_harmony(notes, self.harmony, self.options.harmony)

    def _placed(
        self, notes: list[StepNote], velocities: np.ndarray, offsets: np.ndarray | None
    ) -> np.ndarray:
        """Notes in steps → notes of TICK_NOTE: none after the given parts end, and none in bars to
        be skipped."""
        ticks, song = self.song.grid.step_ticks, self.song
        steps = np.array(notes, np.int64).reshape(-1, 3)
        starts, ends = (
            np.minimum(steps[:, side] + song.first_step, len(ticks) - 1) for side in (0, 1)
        )
        placed = np.zeros(len(steps), TICK_NOTE)
        placed["start"], placed["end"] = ticks[starts], ticks[ends]
        placed["pitch"], placed["velocity"] = steps[:, 2], velocities
        placed = placed[(placed["start"] < placed["end"]) & (placed["start"] < song.end)]
        if offsets is not None:
            there = (ticks[starts] < ticks[ends]) & (ticks[starts] < song.end)
            lengths = ticks[np.minimum(starts + 1, len(ticks) - 1)] - ticks[starts]
            shift = np.rint(offsets * lengths).astype(np.int64)[there]
            placed["start"] = np.maximum(placed["start"] + shift, 0)
            placed["end"] = np.maximum(placed["end"] + shift, placed["start"] + 1)
        placed = self._without_skipped(placed)
        placed["end"] = np.minimum(placed["end"], song.end)
        return placed[placed["start"] < placed["end"]]

    def _without_skipped(self, notes: np.ndarray) -> np.ndarray:
        bars = self.song.song_bars
        for first, last in self.options.skip:
            begins, ends = (
                bars.ticks[np.clip(number - bars.first, 0, len(bars))]
                for number in (first, last + 1)
            )
            held = (notes["start"] < begins) & (notes["end"] > begins)
            notes["end"][held] = begins
            notes = notes[(notes["start"] < begins) | (notes["start"] >= ends)]
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
