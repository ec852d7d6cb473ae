"""The input of the networks: a song's given parts as tokens on the model's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np

from musicvae_torch.converters.drums import drum_tokens
from musicvae_torch.converters.melody import melody_tokens
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.sustain import sounding_ends
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR, STEPS_PER_QUARTER
from surrogate.melody.choice import Melody, choose_melody
from surrogate.melody.features import notes_of, within_range
from surrogate.options import AccompanyOptions
from surrogate.song.bars import Bars, bars_of, bars_that_sound, covered, slack, snapped
from surrogate.song.course import course_of, with_intro
from surrogate.song.grid import Grid
from surrogate.song.metre import is_common
from surrogate.song.retiming import Retimed, on_beats
from surrogate.song.roles import find_parts, roles_of

SHORT_REST = 4  # bars; in rests up to so long the band plays on, if the song's own did


@dataclass(frozen=True, eq=False)
class SongContext:
    """A song as the networks' input, from the first bar of the given parts to their last.

    Attributes:
        score: the song, in ticks that sixteenths fall on.
        melody: its melody; None: it has none.
        roles: of each track of the score, one of PARTS or "other".
        grid: the model's steps, of the whole song up to the end of the given parts.
        first_bar: the bar of the grid in which the given parts begin.
        tokens: (bars * 16, 3) int64 classes; parts that are not given rest.
        plays: (bars,) bool, where a given note sounds, whether or not it is in `tokens`.
        pitches: MIDI pitches of the given melody and bass notes that the model knows.
        sounding: the notes in whose bars the band plays, of TICK_NOTE: all of the given parts, and
            those of the song's own bass and drums that the band replaces.
        song_bars: the song's own bars, as a musician counts them.
        timing: the score on the beats of its file, or on others.
        hidden: (bars * 16, 3) bool, the tokens that are to be generated; all others are given.
        added: ticks at which an intro ends and an outro begins; 0 and one beyond all songs, if
            there is none.
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
    timing: Retimed
    hidden: np.ndarray
    added: tuple[int, int]

    @cached_property
    def start(self) -> int:
        """Tick at which the first of the sounding notes begins."""
        return int(self.sounding["start"].min())

    @cached_property
    def end(self) -> int:
        """Tick at which the last of the sounding notes ends."""
        return int(self.sounding["end"].max())

    @property
    def bars(self) -> int:
        """How many of the model's bars the given parts have."""
        return len(self.plays)

    @cached_property
    def live(self) -> np.ndarray:
        """(bars * 16,) bool, the steps at which new parts may sound: those that last any time, from
        the song's own bar in which the given parts begin to the end of their last note."""
        lines = self.song_bars.ticks
        begin = lines[np.searchsorted(lines, self.start, side="right") - 1]
        own = self.grid.step_ticks[self.first_step : self.first_step + len(self.tokens) + 1]
        return np.asarray((np.diff(own) > 0) & (own[:-1] >= begin) & (own[:-1] < self.end))

    @cached_property
    def lines(self) -> np.ndarray:
        """(n + 1,) steps of `tokens` at which bars begin, the model's or the song's own, and at
        which the last one ends."""
        model = np.arange(self.bars + 1) * STEPS_PER_BAR
        own = self.grid.steps(self.song_bars.ticks) - self.first_step
        return np.union1d(model, own[(own > 0) & (own < model[-1])])

    @cached_property
    def plays_between_lines(self) -> np.ndarray:
        """(n,) bool: between which of `lines` a given note sounds for at least half a sixteenth."""
        ticks = self.grid.step_ticks[self.first_step + self.lines]
        least = slack(self.score.resolution)
        return bars_that_sound(ticks, self.sounding["start"] + least, self.sounding["end"] - least)

    @cached_property
    def added_steps(self) -> tuple[int, int]:
        """Steps of `tokens` at which an intro ends and an outro begins; 0 and their number, if
        there is none."""
        last = self.grid.step_ticks[-1]
        ends, begins = self.grid.steps(np.minimum(self.added, last)) - self.first_step
        return max(int(ends), 0), min(int(begins), len(self.tokens))

    @property
    def first_step(self) -> int:
        """The step of the grid at which `tokens` begin."""
        return self.first_bar * STEPS_PER_BAR


def analyze(score: Score, options: AccompanyOptions) -> SongContext:
    """Find the given parts of a song, and lay them on the model's grid.

    Args:
        score: in ticks that sixteenths fall on, or nearly so.
        options: how to read the song; of them melody, bass, drums, given, keep, outside, beat,
            metre and pickup count.

    Raises:
        MidiError: the song lacks a given part, is too long, is in a metre to refuse, or its first
            bar is shorter than the pickup.
    """
    score, pickup = with_intro(score, options)
    source, melody, chosen = find_parts(score, options)
    timing = on_beats(source, options.beat)
    score = timing.score
    if melody is not None and timing.beats is not None:
        melody = choose_melody(score, melody.tracks)
    roles = roles_of(score, () if melody is None else melody.tracks, **chosen)
    song_bars = bars_of(score, round(pickup * score.resolution))
    tidy = partial(snapped, lines=song_bars.ticks, resolution=score.resolution)
    sounding = {
        part: tidy(given_notes(part, score, roles, max(int(song_bars.ticks[-1]), score.end)))
        for part in options.given
    }
    if "drums" in sounding:
        let_ring(sounding["drums"], song_bars.ticks, score.resolution // STEPS_PER_QUARTER)
    everything = np.concatenate(list(sounding.values()))
    old = tidy(_old_notes(score, roles, options))
    everything = _with_old(everything, old, song_bars.ticks, options.outside == "band")
    course = course_of(everything, old, song_bars, options, score.resolution)
    everything = np.concatenate([everything, course.stretches])
    end = int(everything["end"].max())
    if options.metre == "refuse" and (others := _other_metres(score, end, song_bars)):
        tick, (above, below) = others[0]
        raise MidiError(
            f"{score.name}: is in {above}/{below} from tick {tick} on; the model only knows 4/4 "
            "(--metre fit fits it to other metres)"
        )
    grid = Grid(score, end, pickup)
    firsts, lasts = grid.to_bars(everything)
    first, bars = int(firsts.min()), int(lasts.max() - firsts.min())
    plays = covered(firsts - first, lasts - first, bars)
    voices = dict(sounding)
    if melody is not None and "melody" in voices:
        voices["melody"] = tidy(legato(melody.notes, voices["melody"]))
    tokens = tokens_of(voices, grid, first, bars)
    hidden = np.zeros(tokens.shape, bool)
    hidden[:, [PARTS.index(part) for part in options.made]] = True
    known = known_pitches(sounding)
    return SongContext(
        score, melody, roles, grid, first, tokens, plays, known, everything, course.bars, timing,
        hidden, course.added,
    )  # fmt: skip


def known_pitches(sounding: Mapping[str, np.ndarray]) -> np.ndarray:
    """MIDI pitches that the model knows of notes of TICK_NOTE, by part; none of the drums."""
    pitched = [own["pitch"] for part, own in sounding.items() if part != "drums"]
    pitches = np.concatenate([np.zeros(0, np.int16), *pitched])
    known: np.ndarray = pitches[within_range(pitches)]
    return known


def _old_notes(score: Score, roles: tuple[str, ...], options: AccompanyOptions) -> np.ndarray:
    """The notes of the song's own bass and drums that new ones are to replace."""
    return notes_of(
        track
        for track, role in zip(score.tracks, roles, strict=True)
        if role in options.made and role != "melody" and options.keep != "all"
    )


def _with_old(
    given: np.ndarray, old: np.ndarray, lines: np.ndarray, everywhere: bool
) -> np.ndarray:
    """The notes in whose bars the band plays: the given ones, and those of the song's old bass and
    drums that lie in short rests of the given parts, or anywhere."""
    if everywhere or not len(old):
        return np.concatenate([given, old])
    plays = bars_that_sound(lines, given["start"], given["end"])
    own = np.clip(np.searchsorted(lines, old["start"], side="right") - 1, 0, len(plays) - 1)
    for before, after in pairwise(np.flatnonzero(plays).tolist()):
        if 1 < after - before <= SHORT_REST + 1:
            rest = old[(own > before) & (own < after)]
            rest["end"] = np.minimum(rest["end"], lines[after])
            given = np.concatenate([given, rest])
    return given


def legato(notes: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """Notes of a melody, of TICK_NOTE, as long as the pedal holds them, or until the next.

    Args:
        notes: the melody, as long as its keys are held.
        sounding: notes as long as they sound, those of the melody among them.
    """
    ends = {(start, pitch): end for start, end, pitch, _ in np.sort(sounding, order="end").tolist()}
    longer = notes.copy()
    nexts = np.append(notes["start"][1:], np.iinfo(np.int64).max)
    for row, (start, end, pitch, _) in enumerate(notes.tolist()):
        longer["end"][row] = max(end, min(ends.get((start, pitch), end), nexts[row]))
    return longer


def context_remarks(song: SongContext, skip: Iterable[tuple[int, int]] = ()) -> tuple[str, ...]:
    """What the user should know of how a song was read, a line each.

    Args:
        song: its context.
        skip: ranges of its bars in which the band is to be silent.
    """
    last = song.song_bars.first + len(song.song_bars) - 1
    beyond = (
        (f"bar {first} is" if first == end else f"bars {first}-{end} are")
        + f" to be skipped, but the song ends with bar {last}"
        for first, end in skip
        if first > last
    )
    mapped = (
        f"the song has {above}/{below}; the band's 4/4 was laid on it"
        for above, below in sorted(
            {metre for _, metre in _other_metres(song.score, song.end, song.song_bars)}
        )
    )
    named = (f"{song.score.name}: {remark}" for remark in song.score.remarks)
    return (*named, *song.timing.remarks, *mapped, *beyond)


def given_notes(part: str, score: Score, roles: tuple[str, ...], last: int) -> np.ndarray:
    """All notes of a part's tracks, of TICK_NOTE, as long as they sound, up to the tick `last`; of
    a melody, also those that its reduction to one voice leaves out."""
    own = []
    for track, role in zip(score.tracks, roles, strict=True):
        if role == part:
            notes = track.notes.copy()
            longest = np.maximum(notes["end"], last)
            notes["end"] = np.minimum(sounding_ends(score, track), longest)
            own.append(notes)
    if not own:
        verb = "are" if part == "drums" else "is"
        kind = "a drum kit" if part == "drums" else f"a {part}"
        raise MidiError(
            f"{score.name}: {part} {verb} given, but no track is {kind}; --list-tracks shows what "
            f"there is, and --{part} TRACK says which it is"
        )
    return np.sort(np.concatenate(own), order=("start", "pitch"))


def let_ring(hits: np.ndarray, lines: np.ndarray, sixteenth: int) -> None:
    """Lengthen drum hits of TICK_NOTE to a sixteenth, or to the end of their bar: new parts end
    with the last given note, and must not end at once with a hit that is short in the file."""
    following = np.searchsorted(lines, hits["start"], side="right")
    ends = np.append(lines, np.iinfo(np.int64).max)[following]
    hits["end"] = np.maximum(hits["end"], np.minimum(hits["start"] + sixteenth, ends))


def tokens_of(
    voices: Mapping[str, np.ndarray], grid: Grid, first_bar: int, bars: int
) -> np.ndarray:
    """(bars * 16, 3) classes of the notes of each part, 0 for parts that are not there; arguments
    as of :func:`part_tokens`."""
    tokens = np.zeros((bars * STEPS_PER_BAR, len(PARTS)), np.int64)
    for part, notes in voices.items():
        tokens[:, PARTS.index(part)] = part_tokens(part, notes, grid, first_bar, bars)
    return tokens


def part_tokens(part: str, notes: np.ndarray, grid: Grid, first_bar: int, bars: int) -> np.ndarray:
    """(bars * 16,) classes of one part's notes, of TICK_NOTE, from a bar of the grid on."""
    starts, ends = (steps - first_bar * STEPS_PER_BAR for steps in grid.to_steps(notes))
    steps = bars * STEPS_PER_BAR
    if part == "drums":
        return drum_tokens(starts, notes["pitch"], steps)[:, 0]
    return melody_tokens(starts, ends, notes["pitch"], steps)


def _other_metres(score: Score, end: int, bars: Bars) -> list[tuple[int, tuple[int, int]]]:
    """The metres other than the model's before the tick `end`, each with the tick it begins at. A
    pickup, which is shorter than its metre, has none of its own."""
    pickup = bars.first == 0 and len(score.metres) > 1
    return [
        (tick, (above, below))
        for tick, above, below in score.metres.tolist()[pickup:]
        if tick < end and not is_common(above, below)
    ]
