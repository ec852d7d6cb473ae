"""The ending of a song: a hit of the drums and a held root of the bass, followed by silence.

Both are given to the network, so that the bars before lead there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musicvae_torch.midi.vocabulary import FIRST_NOTE, MIN_PITCH, NO_EVENT, PARTS, STEPS_PER_QUARTER
from surrogate.arrangement.arrange import kept_tracks
from surrogate.arrangement.drum_fills import CRASH_TOKEN
from surrogate.arrangement.fill import LOWEST_BASS
from surrogate.arrangement.harmony import from_markers, song_harmony
from surrogate.options import COMPING, AccompanyOptions
from surrogate.song.context import SongContext

_MELODY, _BASS, _DRUMS = range(len(PARTS))
OCTAVE = 12


def with_ending(song: SongContext, options: AccompanyOptions) -> SongContext:
    """The song with the end of its new bass and drums given.

    Raises:
        ChordError: the chords in the options cannot be read.
    """
    hit = hit_step(song)
    tokens, hidden = song.tokens.copy(), song.hidden.copy()
    given = {_BASS: FIRST_NOTE + _root(song, hit, options) - MIN_PITCH, _DRUMS: CRASH_TOKEN}
    for part, token in given.items():
        if PARTS[part] in options.made:
            tokens[hit:, part] = NO_EVENT
            tokens[hit, part] = token
            hidden[hit:, part] = False
    return replace(song, tokens=tokens, hidden=hidden)


def hit_step(song: SongContext) -> int:
    """The step of the last hit: that of the melody's last note if it is on a beat of the song's
    last bar, else the first step of that bar."""
    line = int(np.searchsorted(song.song_bars.ticks, song.end, side="left")) - 1
    first = int(song.grid.steps(song.song_bars.ticks[line : line + 1])[0]) - song.first_step
    notes = np.flatnonzero(song.tokens[:, _MELODY] >= FIRST_NOTE)
    on_beat = len(notes) and notes[-1] >= first and notes[-1] % STEPS_PER_QUARTER == 0
    return int(notes[-1]) if on_beat else max(first, 0)


def _root(song: SongContext, step: int, options: AccompanyOptions) -> int:
    """The pitch of the last bass note, in the lowest octave of a bass: the root of the chord at a
    step.

    Where the chords are inferred from the melody alone, it is the melody's last note instead:
    tunes end on their tonic more often than chords inferred from them.
    """
    kept = kept_tracks(song.roles, options)
    notes = song.tokens[song.tokens[:, _MELODY] >= FIRST_NOTE, _MELODY]
    tone = int(notes[-1]) - FIRST_NOTE + MIN_PITCH if len(notes) else 0
    written = options.chords is not None or from_markers(song.score, song.grid) is not None
    shown = options.write_chords or COMPING in options.add
    if written or shown or any(song.roles[index] == "other" for index in kept) or not len(notes):
        harmony = song_harmony(song, kept, options.chords)
        chord = harmony.chords[int(harmony.index_at(step))]
        for known in (chord.root, chord.bass):
            tone = tone if known is None else known
    return LOWEST_BASS + (tone - LOWEST_BASS) % OCTAVE
