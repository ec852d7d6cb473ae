"""What the networks hear of a song: its given parts as tokens on the model's grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicvae_torch.notes.drums import drum_tokens
from musicvae_torch.notes.melody import melody_tokens
from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import Score
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import (
    MAX_PITCH,
    MIN_PITCH,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
)
from surrogate.melody.choice import Melody, choose_melody
from surrogate.options import AccompanyOptions
from surrogate.song.bars import Bars, bars_of
from surrogate.song.grid import Grid
from surrogate.song.metre import is_common
from surrogate.song.roles import roles_of


@dataclass(frozen=True, eq=False)
class Hearing:
    """A song as the networks hear it, from the first bar of the given parts to their last.

    Attributes:
        score: the song, in ticks that sixteenths fall on.
        melody: its melody; None: it has none, and none is given.
        roles: of each track of the score, one of PARTS or "other".
        grid: of the whole song, up to the end of the given parts.
        first_bar: of the grid, where the given parts begin.
        tokens: (bars * 16, 3) int64 classes; parts that are not given rest.
        plays: (bars,) bool, where a given note sounds, whether or not it is in `tokens`.
        pitches: MIDI pitches of the given melody and bass notes that the model knows.
        sounding: the given notes, of TICK_NOTE, heard or not.
        song_bars: as a musician counts them.
        start: tick of the first given note.
        end: tick at which the last one ends.
    """

    score: Score
    melody: Melody | None
    roles: tuple[str, ...]
    grid: Grid
    first_bar: int
    tokens: np.ndarray
    plays: np.ndarray
    pitches: np.ndarray
    sounding: np.ndarray
    song_bars: Bars
    start: int
    end: int

    @property
    def bars(self) -> int:
        """Of the given parts, in the model's bars."""
        return len(self.plays)

    @cached_property
    def live(self) -> np.ndarray:
        """(bars * 16,) bool, steps at which the new parts may be heard: those that last any time,
        from the song's own bar in which the given parts begin to the end of their last note."""
        lines = self.song_bars.ticks
        begin = lines[np.searchsorted(lines, self.start, side="right") - 1]
        own = self.grid.step_ticks[self.first_step : self.first_step + len(self.tokens) + 1]
        return (np.diff(own) > 0) & (own[:-1] >= begin) & (own[:-1] < self.end)

    @cached_property
    def lines(self) -> np.ndarray:
        """(n + 1,) steps of `tokens` at which bars begin, the model's or the song's own, and the
        last one ends."""
        model = np.arange(self.bars + 1) * STEPS_PER_BAR
        own = self.grid.steps(self.song_bars.ticks) - self.first_step
        return np.union1d(model, own[(own > 0) & (own < model[-1])])

    @cached_property
    def plays_between_lines(self) -> np.ndarray:
        """(n,) bool: between which of `lines` a given note sounds that lasts there for at least
        half a sixteenth."""
        ticks = self.grid.step_ticks[self.first_step + self.lines]
        least = self.score.resolution // (2 * STEPS_PER_QUARTER)
        firsts = np.searchsorted(ticks, self.sounding["start"] + least, side="right") - 1
        lasts = np.searchsorted(ticks, self.sounding["end"] - least, side="left")
        plays = np.zeros(len(ticks) - 1, bool)
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            plays[max(first, 0) : max(last, first + 1)] = True
        return plays

    @property
    def first_step(self) -> int:
        """Of the grid, where `tokens` begin."""
        return self.first_bar * STEPS_PER_BAR


def hear(score: Score, options: AccompanyOptions) -> Hearing:
    """Find the given parts of a song, and lay them on the model's grid.

    Args:
        score: in ticks that sixteenths fall on.
        options: melody, given, metre and pickup count.

    Raises:
        MidiError: the song lacks a given part, is too long, is in a metre to refuse, or begins with
            a bar that is shorter than the pickup.
    """
    melody = _find_melody(score, options)
    roles = roles_of(score, () if melody is None else melody.tracks)
    sounding = {part: _given_notes(part, score, roles) for part in options.given}
    everything = np.concatenate(list(sounding.values()))
    start, end = int(everything["start"].min()), int(everything["end"].max())
    if options.metre == "refuse":
        _refuse_metres(score, end)
    grid = Grid(score, end, options.pickup)
    firsts, lasts = grid.to_bars(everything)
    first, bars = int(firsts.min()), int(lasts.max() - firsts.min())
    plays = np.zeros(bars, bool)
    for begin, after in zip(firsts - first, lasts - first, strict=True):
        plays[begin:after] = True
    tokens = np.zeros((bars * STEPS_PER_BAR, len(PARTS)), np.int64)
    for part, own in sounding.items():
        voice = melody.notes if part == "melody" and melody is not None else own
        tokens[:, PARTS.index(part)] = part_tokens(part, voice, grid, first, bars)
    pitched = [own["pitch"] for part, own in sounding.items() if part != "drums"]
    pitches = np.concatenate(pitched) if pitched else np.zeros(0, np.int16)
    known = pitches[(pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)]
    song_bars = bars_of(score, round(options.pickup * score.resolution))
    return Hearing(
        score,
        melody,
        roles,
        grid,
        first,
        tokens,
        plays,
        known,
        everything,
        song_bars,
        start,
        end,
    )


def notes_on(song: Hearing) -> tuple[str, ...]:
    """What the user should know of how a song was heard, a line each."""
    metres = {
        (above, below) for tick, above, below in song.score.metres.tolist() if tick < song.end
    }
    mapped = (
        f"the song has {above}/{below}; the band's 4/4 was laid on it"
        for above, below in sorted(metres)
        if not is_common(above, below)
    )
    return (*(f"{song.score.name}: {remark}" for remark in song.score.remarks), *mapped)


def _find_melody(score: Score, options: AccompanyOptions) -> Melody | None:
    """The melody; where it is not given, one that is sure to be named is enough."""
    if "melody" in options.given or options.melody is not None:
        return choose_melody(score, options.melody)
    try:
        melody = choose_melody(score)
    except MidiError:
        return None
    roles = roles_of(score)
    # A given bass is the likeliest melody of a file that has no other, but it is no melody.
    return None if any(roles[track] in options.given for track in melody.tracks) else melody


def _given_notes(part: str, score: Score, roles: tuple[str, ...]) -> np.ndarray:
    """All notes of a part's tracks, of TICK_NOTE; of a melody, those too that are not heard."""
    own = [track.notes for track, role in zip(score.tracks, roles, strict=True) if role == part]
    if not own:
        wanted = "on channel 10" if part == "drums" else "of the programs 32 to 39"
        raise MidiError(
            f"{score.name}: {part} are given, but no track is {wanted}; see --list-tracks"
        )
    return np.sort(np.concatenate(own), order=("start", "pitch"))


def part_tokens(part: str, notes: np.ndarray, grid: Grid, first_bar: int, bars: int) -> np.ndarray:
    """(bars * 16,) classes of one part's notes, of TICK_NOTE, from a bar of the grid on."""
    starts, ends = (steps - first_bar * STEPS_PER_BAR for steps in grid.to_steps(notes))
    steps = bars * STEPS_PER_BAR
    if part == "drums":
        return drum_tokens(starts, notes["pitch"], steps)[:, 0]
    return melody_tokens(starts, ends, notes["pitch"], steps)


def _refuse_metres(score: Score, end: int) -> None:
    for tick, above, below in score.metres.tolist():
        if tick < end and not is_common(above, below):
            raise MidiError(
                f"{score.name}: is in {above}/{below} from tick {tick} on; the model only knows "
                "4/4 (--metre fit lays its bars on others)"
            )
