"""Drum kits that no message announces: known by what they are called and what they play.

Programs write drums to any channel (Ableton Live and FL Studio to the first), and Microsoft's
"Basic MIDI" of the nineties to the sixteenth.
"""

from __future__ import annotations

import re

import numpy as np

LAST_CHANNEL = 15
LOWEST, HIGHEST = 27, 87  # of General MIDI 2's drum notes
KICKS, SNARES, HATS = (35, 36), (37, 38, 39, 40), (42, 44, 46)
FEW = 8  # pitches of a part of hand percussion
MOST = 20  # pitches of a kit
_CORE = (*KICKS, *SNARES, *HATS, 49, 51, 57, 59)

# Instruments of General MIDI whose names say percussion, and which are none of a kit: mallets,
# timpani, steel drums, and single drums that are played at any pitch.
_PERCUSSIVE = frozenset([*range(8, 16), 47, 108, *range(112, 120)])

_NAME = re.compile(
    r"drum|\bkit\b|percuss|\bperc\b|\bbatt?eri[ae]\b|\bbatería\b|schlag(zeug|werk)|"
    r"\b(kick|snare|hi-?hats?|cymbals?|toms?|claps?|congas?|bongos?|shaker|tambourine)\b|"
    r"ударн|барабан|ドラム|パーカッション|打楽器|鼓",
    re.IGNORECASE,
)
_NO_KIT = re.compile(
    r"organ|orgel|steel ?(drum|pan)|drum ?(and|&|n|'n'?) ?bass|d&b|timpani|pauken|"
    r"vibra|xylo|marimba|glock",
    re.IGNORECASE,
)


def kit_reason(name: str, channel: int, program: int, notes: np.ndarray) -> str:
    """Why notes are those of a drum kit, in words; empty, if they are not.

    Args:
        name: of the track.
        channel: 0 to 15.
        program: General MIDI's.
        notes: of TICK_NOTE; at least one.
    """
    pitches = notes["pitch"]
    if program in _PERCUSSIVE or pitches.min() < LOWEST or pitches.max() > HIGHEST:
        return ""
    kinds = len(np.unique(pitches))
    core = float(np.isin(pitches, _CORE).mean())
    if _NAME.search(name) and not _NO_KIT.search(name):
        few = kinds <= FEW and len(pitches) >= 2 * kinds
        return "its name, and the pitches of a drum kit" if core >= 0.3 or few else ""
    has = [bool(np.isin(pitches, drums).any()) for drums in (KICKS, SNARES, HATS)]
    if channel == LAST_CHANNEL and core >= 0.6 and kinds <= MOST and has[0] and any(has[1:]):
        return "channel 16, and the pitches of a drum kit"
    if program == 0 and core >= 0.8 and kinds <= MOST and all(has) and _coincide(notes):
        return "the pitches of a drum kit"
    return ""


def _coincide(notes: np.ndarray) -> bool:
    """Whether cymbals are often struck with a kick or snare, as no bass line does."""
    ticks = [set(notes["start"][np.isin(notes["pitch"], d)].tolist()) for d in (
        (*KICKS, *SNARES), (*HATS, 49, 51, 57, 59)
    )]  # fmt: skip
    return len(ticks[0] & ticks[1]) >= 0.2 * min(map(len, ticks))
