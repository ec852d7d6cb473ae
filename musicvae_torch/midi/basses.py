"""Which tracks of a score play the bass: what is named so, has a bass's program, or is played as
one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from musicvae_torch.midi.score import Track
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS

HIGHEST = 60  # median pitch below which a part that is named a bass is one
LOW = 48  # median pitch of a part that is played as a bass on an instrument that often is
LOWEST = 43  # the same on any other
LOW_PROGRAMS = frozenset([43, 58, 67, 70, 87])  # contrabass, tuba, baritone sax, bassoon, bass lead
ALONE = 0.9  # share of its time in which a bass sounds one note
APART = 5  # semitones below the next part
FEWEST = 16  # notes

PERCUSSIVE = 112  # programs from there on are drums and noises
_VOICES = frozenset([52, 53, 54, 85, 91])
_NAME = re.compile(
    r"\b(sub|synth|slap|fretless|acid|e|kontra|contra|double|upright|moog)?[ -]?"
    r"bass(es|line|s|o|e|i)?\b|bass ?(gitarre|guitar|gitarr)|bassgitarr|basgitaar|\bbas\b|"
    r"contreba(ss|s)|contrabba|contrabaj|contrabaix|\bbajo\b|\bbaixo\b|basov[áý]|basowa|"
    r"\bбас(ы|гитара|-гитара)?\b|контрабас|ベース|低音|贝斯|베이스",
    re.IGNORECASE,
)
_NO_BASS = re.compile(
    r"bass(o|e)? ?(drum|kick|clar|flute|fl[öo]te|sax|tromb|pos|trump|oboe|recorder|voice|singer|"
    r"vocal|continuo)|drum ?(and|n) ?bass|bass ?boost|bassoon|"
    r"\b(bas|basso|basse) ?(clar|continu)",
    re.IGNORECASE,
)
_CHOIR = re.compile(r"\b(soprano?|sopran|alto?|tenore?|ténor|tiple|сопрано|альт|тенор)\b", re.I)


def telling_names(tracks: Sequence[Track]) -> dict[int, str]:
    """The name of each track by its index; empty where most chunks share it, as a song's title
    that a program gave to all."""
    chunks = {track.chunk: track.name.strip() for track in tracks}
    counts = Counter(chunks.values())
    shared = {name for name, count in counts.items() if count > 1 and 2 * count > len(chunks)}
    return {
        track.index: "" if track.name.strip() in shared else track.name.strip() for track in tracks
    }


def bass_reasons(tracks: Sequence[Track], melody: Collection[int] = ()) -> dict[int, str]:
    """Why tracks play the bass, in words, by index; no entry for those that do not.

    Args:
        tracks: of a score, all of them.
        melody: indices of tracks that are the melody, and so no bass.
    """
    names = telling_names(tracks)
    is_choir = any(_CHOIR.search(name) for name in names.values())
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
    if not _NAME.search(name) or _NO_BASS.search(name):
        return False
    if is_choir or track.program in _VOICES or track.program >= PERCUSSIVE:
        return False
    return float(np.median(track.notes["pitch"])) < HIGHEST


def _played_as_bass(tracks: Sequence[Track]) -> Track | None:
    """The track that is played as a bass among others."""
    heights = sorted((float(np.median(track.notes["pitch"])), track.index) for track in tracks)
    if len(heights) < 2 or heights[1][0] - heights[0][0] < APART:
        return None
    (height, index), *_ = heights
    track = next(track for track in tracks if track.index == index)
    if height >= (LOW if track.program in LOW_PROGRAMS else LOWEST) or track.program in _VOICES:
        return None
    notes = track.notes
    overlap = np.maximum(notes["end"][:-1] - notes["start"][1:], 0).sum()
    alone = 1 - overlap / max((notes["end"] - notes["start"]).sum(), 1)
    return track if len(notes) >= FEWEST and alone >= ALONE else None
