"""Bass notes that are off the chord, moved into the harmony."""

from __future__ import annotations

from collections.abc import Sequence

from musicvae_torch.chords.symbols import ChordTones
from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER
from surrogate.arrangement.fill import LOWEST_BASS, StepNote
from surrogate.arrangement.harmony import HALF_BAR, Harmony

HOW = ("strong", "all")
HIGHEST_BASS = 55  # G3, unless the part itself goes higher
STEP = 2  # semitones, the most that a passing note is from its neighbours
PUSH = 2  # steps before a chord at which a note may play it early
_FIFTH = 8  # semitones above the root, at most: an augmented one
SHORTEST = 2  # steps of a held note's rest that are worth striking again
# Semitones that are added to the distance of a tone at which the line stops, or turns round.
_STANDING, _TURNING = 1.5, 3.5


def keep_bass_in_harmony(
    bass: Sequence[StepNote], harmony: Harmony, how: str = "strong"
) -> list[StepNote]:
    """Move notes that are off their chord to its nearest tone, and cut those that are held too
    long.

    - A note's chord is the one at its start; but a note that begins at most PUSH steps before the
      next chord, and lasts longer in that, plays it early and belongs to it.
    - "strong" moves notes that begin on a beat or with a chord, and those that last half a bar or
      more; but not one between half bars that passes, or turns back, between tones of the chord a
      step away. "all" moves every note.
    - The first note of a chord, if it is to be moved, goes to the root, or the bass that the
      symbol names; in a chord with such a bass it always does. Other notes go to the nearest tone
      up to the fifth, preferably in the direction that the line took, and to the root where two are
      as near. Sixths and sevenths may stay, but nothing moves there.
    - Notes of one pitch class in one chord move alike, on weak places too, but for passing ones.
    - A note whose pitch is not in a chord that begins while it sounds ends there; if SHORTEST
      steps of it are left or more, it is struck again on a tone of that chord.
    - Where there is no chord ("N.C.") notes stay.

    Args:
        bass: of one voice, in order.
        harmony: on the same steps.
        how: "strong" or "all".

    Returns:
        The notes in order, within LOWEST_BASS to HIGHEST_BASS or, where that is wider, the
        part's own range.
    """
    notes = [piece for note in sorted(bass) for piece in _cut(note, harmony)]
    if not notes:
        return []
    pitches = [pitch for _, _, pitch in notes]
    span = range(min(LOWEST_BASS, *pitches), max(HIGHEST_BASS, *pitches) + 1)
    own = [_chord_of(note, harmony) for note in notes]
    chords = [harmony.chords[index] for index in own]
    moved: list[StepNote] = []
    shifts: dict[int, int] = {}  # by pitch class, semitones by which it was moved in this chord
    for i, (start, end, pitch) in enumerate(notes):
        leads = i == 0 or own[i] != own[i - 1]
        shifts = {} if leads else shifts
        tone = pitch + shifts.get(pitch % 12, 0)
        alike = pitch % 12 in shifts and tone in span
        if not (alike and not _passes(notes, i, chords)):
            tone = pitch
            if _must_move(notes, i, chords, leads, how):
                turn = _sign(pitch - pitches[i - 1]) if i else 0
                before = moved[-1][2] if i else pitch
                tone = _nearest(pitch, chords[i], span, leads, before, turn)
                shifts[pitch % 12] = tone - pitch
        moved.append((start, end, tone))
    return moved


def _cut(note: StepNote, harmony: Harmony) -> list[StepNote]:
    """Cut a note where a chord begins that lacks its pitch; the later pieces are struck again."""
    pieces: list[StepNote] = []
    start, end, pitch = note
    chords = harmony.chords
    for index in range(_chord_of(note, harmony) + 1, len(harmony.starts)):
        change = int(harmony.starts[index])
        if change >= end:
            break
        if chords[index].root is None or pitch % 12 in chords[index].core:
            continue
        pieces.append((start, change, pitch))
        start = change
        if end - start < SHORTEST:
            return pieces
    return [*pieces, (start, end, pitch)]


def _chord_of(note: StepNote, harmony: Harmony) -> int:
    """Index of the chord that a note belongs to."""
    start, end, _ = note
    index = int(harmony.index_at(start))
    if index + 1 < len(harmony.starts):
        change = int(harmony.starts[index + 1])
        if 0 < change - start <= PUSH and end - change > change - start:
            return index + 1
    return index


def _must_move(
    notes: Sequence[StepNote], i: int, chords: Sequence[ChordTones], leads: bool, how: str
) -> bool:
    """Whether note `i` has to move; `chords` are those of the notes."""
    start, end, pitch = notes[i]
    chord = chords[i]
    if chord.root is None:
        return False
    if leads and chord.bass is not None:
        return pitch % 12 != chord.bass
    if pitch % 12 in chord.core:
        return False
    if how == "all" or leads or end - start >= HALF_BAR:
        return True
    on_beat = start % STEPS_PER_QUARTER == 0
    return on_beat and (start % HALF_BAR == 0 or not _passes(notes, i, chords))


def _passes(notes: Sequence[StepNote], i: int, chords: Sequence[ChordTones]) -> bool:
    """Whether a note passes, or turns back, between chord tones a step away."""
    if not 0 < i < len(notes) - 1:
        return False
    return all(
        abs(notes[j][2] - notes[i][2]) <= STEP
        and (chords[j].root is None or notes[j][2] % 12 in chords[j].core)
        for j in (i - 1, i + 1)
    )


def _nearest(
    pitch: int, chord: ChordTones, span: range, leads: bool, before: int, turn: int
) -> int:
    """The tone of a chord that a note goes to.

    Args:
        leads: whether it is the chord's first note.
        before: the pitch before it, as it is now.
        turn: in which direction the line went to the note: -1, 0 or 1.
    """
    root = chord.root or 0
    low = root if chord.bass is None else chord.bass
    rests = {tone for tone in chord.core if (tone - root) % 12 <= _FIFTH or tone == low}
    wanted = {low} if leads or not rests else rests

    def distance(tone: int) -> tuple[float, bool, int]:
        now = _sign(tone - before)
        strange = 0.0 if now == turn or not turn else _TURNING if now else _STANDING
        return abs(tone - pitch) + strange, tone % 12 != low, tone

    return min((tone for tone in span if tone % 12 in wanted), key=distance)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
