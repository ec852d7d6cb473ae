"""A score that begins later, with bars before it."""

from __future__ import annotations

from dataclasses import replace

from musicvae_torch.midi.messages import (
    END_OF_TRACK,
    META,
    NOTE_OFF,
    NOTE_ON,
    TIME_SIGNATURE,
    Message,
    is_sound_meta,
)
from musicvae_torch.midi.score import Score, score_of

_OF_A_MOMENT = (0x01, 0x05, 0x06, 0x07)  # text, lyrics, markers and cue points
_KARAOKE = b"@"  # with which texts begin that describe a karaoke file


def delayed(score: Score, ticks: int, metre_from: int = 0) -> Score:
    """The score with all of its music so many ticks later.

    What sets up the file at its first tick stays there: tempo, metre, key, names, programs and
    controllers. The notes of that tick move, and so do its markers, lyrics and other texts.

    Args:
        score: all of it.
        ticks: 0 or more.
        metre_from: if above 0, the metre that is in force from this tick of `score` on is in force
            from the first tick, and those before it are left out. So a pickup of a metre of its
            own becomes the end of a full bar.
    """
    first = _metre_at(score, metre_from) if metre_from else None
    chunks = []
    for chunk in score.file.tracks:
        setup, music = [], []
        for message in chunk.messages:
            if message.kind == TIME_SIGNATURE and message.tick < metre_from:
                if first is not None:
                    setup.append(first._replace(tick=0))
                    first = None
            elif message.tick or _moves(message):
                music.append(message._replace(tick=message.tick + ticks))
            else:
                setup.append(message)
        chunks.append(replace(chunk, messages=(*setup, *music), raw=None))
    file = score.file.with_tracks(chunks)
    return replace(score_of(file, score.name), remarks=score.remarks)


def _metre_at(score: Score, tick: int) -> Message | None:
    """The message of the metre in force at a tick; None: the file names none."""
    found = [
        message
        for chunk in score.file.tracks
        for message in chunk.messages
        if message.kind == TIME_SIGNATURE and message.tick <= tick and is_sound_meta(message)
    ]
    return max(found, key=lambda message: message.tick, default=None)


def _moves(message: Message) -> bool:
    """Whether a message of the first tick belongs to the music, and not to the set-up."""
    if message.status == META:
        if message.kind == END_OF_TRACK:
            return True
        return message.kind in _OF_A_MOMENT and not message.data.startswith(_KARAOKE)
    return message.command in (NOTE_ON, NOTE_OFF)
