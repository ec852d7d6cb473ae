"""Songs whose notes do not follow their file's beats: retimed to the notes' own beats, and back.

A recorder or a transcriber writes 120 quarter notes a minute, whatever was played. Such a song is
retimed, with each of its beats on a quarter note, and the new parts go back to the file's own
ticks, of which none is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.messages import Chunk
from musicvae_torch.midi.score import Score
from surrogate.melody.features import notes_of
from surrogate.song.beat_fit import follows_the_beats
from surrogate.song.beats import bar_weights, beats_at, downbeat, onset_weights, track_beats

BEATS_A_BAR = 4


@dataclass(frozen=True, eq=False)
class Retimed:
    """A song on the beats that were chosen for it.

    Attributes:
        score: with a beat on each quarter note.
        source: the song as its file has it.
        beats: (beats,) ticks of the source at which beats are; None: the file's own beats.
        lead: beats of the score before the first of `beats`.
        remarks: what the user should know, a line each.
    """

    score: Score
    source: Score
    beats: np.ndarray | None = None
    lead: int = 0
    remarks: tuple[str, ...] = ()

    def to_source(self, notes: np.ndarray) -> np.ndarray:
        """Notes of TICK_NOTE, from ticks of the score to ticks of the source."""
        if self.beats is None:
            return notes
        moved = notes.copy()
        for side in ("start", "end"):
            positions = notes[side] / self.score.resolution - self.lead
            ticks = np.interp(positions, np.arange(len(self.beats)), self.beats)
            moved[side] = np.maximum(np.rint(ticks), 0)
        np.maximum(moved["end"], moved["start"] + 1, out=moved["end"])
        return moved


def on_beats(score: Score, beat: str | float) -> Retimed:
    """Retime a song to its beats.

    Args:
        score: the song, with a note at least.
        beat: "file", where the file has its beats; "auto", where the notes seem to have theirs; or
            quarter notes a minute.

    Raises:
        MidiError: its notes are too few or too long for beats to be found.
    """
    notes = notes_of(score.tracks)
    if beat == "file":
        fit = follows_the_beats(notes["start"] / score.resolution)
        if fit.follows:
            return Retimed(score, score)
        remark = (
            f"the notes do not follow the file's beats (they are {fit.distance:.2f} of a sixteenth "
            "away from them on average; by chance it would be .25), so the band may not be with "
            "them; --beat auto finds their own, --beat 87.3 takes so many a minute"
        )
        return Retimed(score, score, remarks=(remark,))
    drums = np.concatenate([np.full(len(t.notes), t.is_drum) for t in score.tracks])
    starts, ends = score.seconds(notes["start"]), score.seconds(notes["end"])
    weights = onset_weights(ends - starts, notes["velocity"], notes["pitch"], drums)
    until = float(ends.max()) + 1.0
    try:
        if isinstance(beat, str):
            beats, tempo = track_beats(starts, weights, until)
        else:
            beats, tempo = beats_at(starts, beat, until, weights), float(beat)
    except MidiError as error:
        raise MidiError(f"{score.name}: {error}") from None
    first = downbeat(starts, bar_weights(ends - starts, notes["pitch"], drums), beats)
    return _retimed(score, beats, tempo, -first % BEATS_A_BAR)


def _retimed(score: Score, beats: np.ndarray, tempo: float, lead: int) -> Retimed:
    """The song with its beats, which come at these seconds, on quarter notes, after `lead` more."""
    # The first beat may be before the file's start, where there are no ticks.
    ticks = score.ticks(beats).astype(np.float64)
    if beats[0] < 0:
        rate = score.resolution * 1e6 / score.tempos[0, 1]
        ticks[beats < 0] = beats[beats < 0] * rate

    def moved(at: np.ndarray) -> np.ndarray:
        positions = np.interp(at, ticks, np.arange(len(ticks))) + lead
        return np.asarray(np.rint(positions * score.resolution), np.int64)

    chunks = []
    for chunk in score.file.tracks:
        ticks_of_chunk = moved(np.array([message.tick for message in chunk.messages])).tolist()
        messages = zip(chunk.messages, ticks_of_chunk, strict=True)
        chunks.append(Chunk(tuple(message._replace(tick=tick) for message, tick in messages)))
    tracks = []
    for track in score.tracks:
        notes = track.notes.copy()
        notes["start"] = moved(notes["start"])
        notes["end"] = np.maximum(moved(notes["end"]), notes["start"] + 1)
        tracks.append(replace(track, notes=notes))
    retimed = replace(
        score,
        file=score.file.with_tracks(chunks),
        tracks=tuple(tracks),
        tempos=np.array([[0, round(6e7 / tempo)]], np.int64),
        metres=np.array([[0, BEATS_A_BAR, 4]], np.int64),
        end=int(moved(np.array([score.end]))[0]),
    )
    remark = f"the band is laid on {tempo:.1f} beats a minute, as the notes have them"
    return Retimed(retimed, score, ticks, lead, (remark,))
