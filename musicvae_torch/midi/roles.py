"""Which tracks are drum kits and basses: by their names, their programs and what they play.

For drum channels that messages announce, see :mod:`musicvae_torch.midi.channels`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS

# Drum kits
LAST_CHANNEL = 15
KIT_LOWEST, KIT_HIGHEST = 27, 87  # of General MIDI 2's drum notes
KICKS, SNARES, HATS = (35, 36), (37, 38, 39, 40), (42, 44, 46)
FEW_DRUMS = 8  # pitches of a part of hand percussion
MOST_DRUMS = 20  # pitches of a kit
_CORE_DRUMS = (*KICKS, *SNARES, *HATS, 49, 51, 57, 59)

# Percussion of General MIDI that belongs to no kit: mallets, timpani, steel drums, and single drums
# that are played at any pitch.
_PERCUSSIVE = frozenset([*range(8, 16), 47, 108, *range(112, 120)])

_KIT_NAME = re.compile(
    r"drum|\bkit\b|percuss|\bperc\b|\bbatt?eri[ae]\b|\bbatería\b|schlag(zeug|werk)|"
    r"\b(kick|snare|hi-?hats?|cymbals?|toms?|claps?|congas?|bongos?|shaker|tambourine)\b|"
    r"ударн|барабан|ドラム|パーカッション|打楽器|鼓",
    re.IGNORECASE,
)
_NO_KIT_NAME = re.compile(
    r"organ|orgel|steel ?(drum|pan)|drum ?(and|&|n|'n'?) ?bass|d&b|timpani|pauken|"
    r"vibra|xylo|marimba|glock",
    re.IGNORECASE,
)

# Basses
NAMED_BASS_BELOW = 60  # median pitch of a part that is named a bass
PLAYED_BASS_BELOW = 43  # median pitch of a part that is played as a bass ...
LOW_PROGRAM_BELOW = 48  # ... on one of these instruments
LOW_PROGRAMS = frozenset([43, 58, 67, 70, 87])  # contrabass, tuba, baritone sax, bassoon, bass lead
ALONE = 0.9  # share of its time in which a bass sounds one note
APART = 5  # semitones below the next part
FEWEST_BASS_NOTES = 16

FIRST_PERCUSSIVE = 112  # programs from there on are drums and noises
_VOICES = frozenset([52, 53, 54, 85, 91])
_BASS_NAME = re.compile(
    r"\b(sub|synth|slap|fretless|acid|e|kontra|contra|double|upright|moog)?[ -]?"
    r"bass(es|line|s|o|e|i)?\b|bass ?(gitarre|guitar|gitarr)|bassgitarr|basgitaar|\bbas\b|"
    r"contreba(ss|s)|contrabba|contrabaj|contrabaix|\bbajo\b|\bbaixo\b|basov[áý]|basowa|"
    r"\bбас(ы|гитара|-гитара)?\b|контрабас|ベース|低音|贝斯|베이스",
    re.IGNORECASE,
)
_NO_BASS_NAME = re.compile(
    r"bass(o|e)? ?(drum|kick|clar|flute|fl[öo]te|sax|tromb|pos|trump|oboe|recorder|voice|singer|"
    r"vocal|continuo)|drum ?(and|n) ?bass|bass ?boost|bassoon|"
    r"\b(bas|basso|basse) ?(clar|continu)",
    re.IGNORECASE,
)
_CHOIR_NAME = re.compile(
    r"\b(soprano?|sopran|alto?|tenore?|ténor|tiple|сопрано|альт|тенор)\b", re.I
)


def kit_reason(name: str, channel: int, program: int, notes: np.ndarray) -> str:
    """The reason, in words, why notes are those of a drum kit; empty if they are not.

    This is for kits that no message announces. Programs write drums to any channel (Ableton Live
    and FL Studio to the first), and Microsoft's "Basic MIDI" of the nineties to the sixteenth.
    Arguments are those of a :class:`Track`.
    """
    pitches = notes["pitch"]
    if program in _PERCUSSIVE or pitches.min() < KIT_LOWEST or pitches.max() > KIT_HIGHEST:
        return ""
    kinds = len(np.unique(pitches))
    core = float(_is_core(notes).mean())
    if _KIT_NAME.search(name) and not _NO_KIT_NAME.search(name):
        few = kinds <= FEW_DRUMS and len(pitches) >= 2 * kinds
        return "its name, and the pitches of a drum kit" if core >= 0.3 or few else ""
    has = [bool(np.isin(pitches, drums).any()) for drums in (KICKS, SNARES, HATS)]
    if channel == LAST_CHANNEL and core >= 0.6 and kinds <= MOST_DRUMS and has[0] and any(has[1:]):
        return "channel 16, and the pitches of a drum kit"
    if program == 0 and core >= 0.8 and kinds <= MOST_DRUMS and all(has) and _coincide(notes):
        return "the pitches of a drum kit"
    return ""


def _coincide(notes: np.ndarray) -> bool:
    """Whether cymbals are often struck with a kick or snare, which no bass line has."""
    is_low = np.isin(notes["pitch"], (*KICKS, *SNARES))
    low, high = (set(notes["start"][own].tolist()) for own in (is_low, ~is_low & _is_core(notes)))
    return len(low & high) >= 0.2 * min(len(low), len(high))


def _is_core(notes: np.ndarray) -> np.ndarray:
    return np.isin(notes["pitch"], _CORE_DRUMS)


def telling_names(tracks: Sequence[Track]) -> dict[int, str]:
    """The name of each track by its index; empty if most chunks share it, such as a song's title
    that a program gave to all."""
    chunks = {track.chunk: track.name.strip() for track in tracks}
    counts = Counter(chunks.values())
    shared = {name for name, count in counts.items() if count > 1 and 2 * count > len(chunks)}
    names = {track.index: track.name.strip() for track in tracks}
    return {index: "" if name in shared else name for index, name in names.items()}


def bass_reasons(tracks: Sequence[Track], melody: Collection[int] = ()) -> dict[int, str]:
    """The reasons, in words, why tracks play the bass, by index; no entry for those that do not.

    Args:
        tracks: of a score, all of them.
        melody: indices of tracks that are the melody, and so no bass.
    """
    names = telling_names(tracks)
    is_choir = any(_CHOIR_NAME.search(name) for name in names.values())
    able = [track for track in tracks if not track.is_drum and track.index not in melody]
    found = {}
    for track in able:
        if track.program in BASS_PROGRAMS:
            found[track.index] = f"program {track.program}"
        elif _is_named(names[track.index], track, is_choir):
            found[track.index] = "its name"
    pitched = [track for track in tracks if not track.is_drum]
    lowest = None if found else _played_as_bass(pitched)
    if lowest is not None and lowest.index not in melody:
        found[lowest.index] = "the lowest part, one note at a time"
    return found


def _is_named(name: str, track: Track, is_choir: bool) -> bool:
    """Whether a name says bass, and neither a voice nor another bass instrument."""
    name = re.sub(r"[_\W]+", " ", name.replace("&", " and "))
    if not _BASS_NAME.search(name) or _NO_BASS_NAME.search(name):
        return False
    if is_choir or track.program in _VOICES or track.program >= FIRST_PERCUSSIVE:
        return False
    return float(np.median(track.notes["pitch"])) < NAMED_BASS_BELOW


def _played_as_bass(tracks: Sequence[Track]) -> Track | None:
    """The track that is played as a bass among others."""
    heights = sorted((float(np.median(track.notes["pitch"])), track.index) for track in tracks)
    if len(heights) < 2 or heights[1][0] - heights[0][0] < APART:
        return None
    (height, index), *_ = heights
    track = next(track for track in tracks if track.index == index)
    limit = LOW_PROGRAM_BELOW if track.program in LOW_PROGRAMS else PLAYED_BASS_BELOW
    if height >= limit or track.program in _VOICES:
        return None
    notes = track.notes
    overlap = np.maximum(notes["end"][:-1] - notes["start"][1:], 0).sum()
    alone = 1 - overlap / max((notes["end"] - notes["start"]).sum(), 1)
    return track if len(notes) >= FEWEST_BASS_NOTES and alone >= ALONE else None
