"""Why a song has no window for a model, and what to do: which bars, tracks, metre, tempo or gap are
to blame. Bars are counted from 1, as by musicians, and tracks from 0, as in windows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import product

import numpy as np
import pretty_midi

from musicvae_torch.analysis.timeline import first_bars, section_bars
from musicvae_torch.converters.base import Converter
from musicvae_torch.converters.drums import DrumsConverter
from musicvae_torch.converters.groove import GrooveConverter
from musicvae_torch.converters.melody import MelodyConverter
from musicvae_torch.converters.multitrack import MultitrackConverter
from musicvae_torch.converters.trio import GAP_BARS, TrioConverter
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.notes import Song
from musicvae_torch.midi.quantize import Section, common_time_sections, sections
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS, MAX_PITCH, MIN_PITCH, PARTS

_MOST_LISTED = 4  # stretches or tracks; the others are counted


class NoWindowError(MidiError):
    """A song has no window for a model; the message says why and what to do."""


def why_no_window(converter: Converter, song: Song) -> str:
    """A line that says why a song has no window, what is to blame, and what to do about it."""
    bars = converter.window_bars
    head = f"no window of {bars} bars" if bars > 1 else "no bar that the model takes"
    if not len(song.notes):
        return f"{head}: there are no notes"
    reasons = _of_metre(song)
    long = [one for one in _in_common_time(converter, song) if section_bars(one) >= bars]
    if not long:
        reasons += _of_length(converter, song)
        lacking = [set(converter.missing_parts(one)) for one in sections(song)]
        never = set.intersection(*lacking) if lacking else set()
        reasons += [_missing(part, converter, song.notes) for part in PARTS if part in never]
    else:
        # The longest of the stretches that lack fewest parts.
        best = min(long, key=lambda one: (len(converter.missing_parts(one)), -section_bars(one)))
        reasons += _of_parts(converter, song, best)
    return f"{head}: {'; '.join(reasons)}"


def _in_common_time(converter: Converter, song: Song) -> list[Section]:
    # Grooves lie in stretches of one tempo where a song has several.
    return converter.sections(song) or common_time_sections(song)


def _of_metre(song: Song) -> list[str]:
    """Bars in other metres than 4/4."""
    first = first_bars(song)
    stretches: list[tuple[str, int, int]] = []
    for one in sections(song):
        if (metre := one.metre) in ((4, 4), (2, 2), (8, 8)):
            continue
        name = f"{metre[0]:g}/{metre[1]:g}"
        begin, end = first[one.start], first[one.start] + section_bars(one)
        if stretches and stretches[-1][0] == name and stretches[-1][2] == begin:
            begin = stretches.pop()[1]
        stretches.append((name, begin, end))
    if not stretches:
        return []
    said = _listed(f"{_bars(begin, end)} are {name}" for name, begin, end in stretches)
    return [f"{said}, the model knows 4/4 alone"]


def _of_length(converter: Converter, song: Song) -> list[str]:
    first = first_bars(song)
    found = _in_common_time(converter, song)
    if not found:
        return ["write it in 4/4"]
    longest = max(found, key=section_bars)
    begin = first.get(longest.start, 0)
    extent = _bars(begin, begin + section_bars(longest))
    changes = [first[one.start] + 1 for one in sections(song)[1:]]
    needed = converter.window_bars
    if changes:
        where = _listed(f"bar {bar}" for bar in changes)
        return [
            f"tempo or metre change at {where}, and the longest stretch of 4/4 in one tempo, "
            f"{extent}, is shorter than {needed}: give the file one tempo and metre"
        ]
    return [f"it ends after bar {section_bars(longest)}: repeat it until it has {needed} bars"]


def _of_parts(converter: Converter, song: Song, section: Section) -> list[str]:
    if missing := converter.missing_parts(section):
        return [_missing(part, converter, section.notes) for part in missing]
    first = first_bars(song).get(section.start, 0)
    needed = converter.window_bars
    reasons = [converter.why_none(song)]
    if isinstance(converter, TrioConverter):
        reasons = _of_trio(converter, section, first)
    elif isinstance(converter, MelodyConverter):
        runs = [
            (bar, bars, f" on track {track}") for track, bar, bars in converter.stretches(section)
        ]
        reasons = _of_silence("melody", runs, needed, first)
        if not converter.has_chords(section):
            reasons = ["no chords can be inferred of it: cut it into pieces of at most 500 bars"]
    elif isinstance(converter, DrumsConverter):
        hits = [(bar, bars, "") for bar, bars in converter.stretches(section)]
        reasons = _of_silence("drums", hits, needed, first)
    elif isinstance(converter, MultitrackConverter):
        reasons = _of_bars(converter, song, section, first)
    elif isinstance(converter, GrooveConverter):
        reasons = [f"it is shorter than {needed} bars: repeat it"]
    return reasons


def _missing(part: str, converter: Converter, notes: np.ndarray) -> str:
    """A line about a part that no track plays, and the tracks that might."""
    if part == "melody":
        return _missing_melody(converter, notes[~notes["is_drum"]])
    if part == "bass":
        programs = _ranges(BASS_PROGRAMS)
        return f"no bass (programs {programs}) on any track: give the bass's track such a program"
    if notes["is_drum"].any():
        return "none of the drum notes is of a drum that the model knows"
    return "no drums on any track: put them on channel 10"


def _missing_melody(converter: Converter, pitched: np.ndarray) -> str:
    wanted: Collection[int] | None = getattr(converter.rules, "melody_programs", None)
    if not len(pitched):
        return "no melody: all tracks are drums"
    if wanted is None:
        return f"no notes of a melody's pitches, {MIN_PITCH} to {MAX_PITCH}"
    lacking = f"no melody (programs {_ranges(wanted)}) on any track"
    others = [
        (int(track), int(program))
        for track, program in np.unique(pitched[["instrument", "program"]]).tolist()
        if program not in wanted and program not in BASS_PROGRAMS
    ]
    if not others:
        return f"{lacking}: give the melody's track such a program"
    said = _listed(
        f"track {track} is {program} ({pretty_midi.program_to_instrument_name(program)})"
        for track, program in others
    )
    more = ",".join(map(str, sorted({program for _, program in others})))
    return f"{lacking}, but {said}: use --melody-programs {_ranges(wanted)},{more}"


def _of_trio(converter: TrioConverter, section: Section, first: int) -> list[str]:
    """Which part's rest is to blame, in the tracks that play together longest."""
    needed = converter.window_bars
    trios = product(*(tracks.values() for tracks in converter.playing(section)))
    best = max(trios, key=lambda trio: _longest(np.all(trio, axis=0))[1])
    bar, bars = _longest(np.all(best, axis=0))
    together = f"{_bars(first + bar, first + bar + bars)} at most" if bars else "nowhere"
    rests = _listed(
        f"the {part} rests in "
        + _listed(_bars(first + begin, first + end) for begin, end in _edges(~bars_played))
        for part, bars_played in zip(PARTS, best, strict=True)
        if not bars_played.all()
    )
    return [
        f"melody, bass and drums play together in {together}, where {needed} bars are needed and "
        f"a part may rest for {2 * GAP_BARS}: {rests or 'then the song ends, so repeat it'}"
    ]


def _of_silence(
    part: str, stretches: list[tuple[int, int, str]], needed: int, first: int
) -> list[str]:
    """A line about a part that never plays long enough without a bar of silence."""
    if not stretches:
        return [f"the {part} is silent throughout"]
    bar, bars, where = max(stretches, key=lambda one: one[1])
    return [
        f"the longest stretch of {part}{where} without a bar of silence is "
        f"{_bars(first + bar, first + bar + bars)}, where {needed} bars are needed: fill the gaps, "
        "or repeat it"
    ]


def _of_bars(converter: MultitrackConverter, song: Song, section: Section, first: int) -> list[str]:
    """What is wrong with how many bars, and with which one first."""
    reasons = []
    for reason, bars in converter.faults(section, song.pedals).items():
        if count := int(bars.sum()):
            where = f"{count} bars, first in " if count > 1 else ""
            reasons.append(f"{reason} in {where}bar {first + int(bars.argmax()) + 1}")
    rules = converter.rules
    advice = f"a bar needs notes of {rules.min_tracks} to {rules.max_tracks} tracks"
    return [*reasons, advice] if reasons else ["no chords can be inferred of any bar"]


def _longest(played: np.ndarray) -> tuple[int, int]:
    """First bar and number of bars of the longest run of True."""
    runs = [(begin, end - begin) for begin, end in _edges(played)]
    return max(runs, key=lambda run: run[1], default=(0, 0))


def _edges(flags: np.ndarray) -> list[tuple[int, int]]:
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(begin), int(end)) for begin, end in changes.reshape(-1, 2)]


def _bars(begin: int, end: int) -> str:
    """Bars from `begin` to before `end`, counted from 0, in words."""
    return f"bar {begin + 1}" if end - begin == 1 else f"bars {begin + 1}–{end}"


def _listed(items: Iterable[str]) -> str:
    listed = list(items)
    if len(listed) > _MOST_LISTED:
        listed = [*listed[:_MOST_LISTED], f"{len(listed) - _MOST_LISTED} more"]
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _ranges(programs: Collection[int]) -> str:
    """Programs as --melody-programs takes them."""
    flags = np.isin(np.arange(128), list(programs))
    return ",".join(
        f"{begin}-{end - 1}" if end - begin > 1 else str(begin) for begin, end in _edges(flags)
    )
