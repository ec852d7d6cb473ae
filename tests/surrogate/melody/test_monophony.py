"""Many voices reduced to the one on top; two hands told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples
from small_scores import QUARTER, Notes, chunk, in_quarters, score

from musicvae_torch.midi.tracks import TICK_NOTE
from surrogate.melody.monophony import LEGATO, highest_voice, reduce_to_melody
from surrogate.melody.two_hands import best_boundary, boundaries, right_hand


def reduced(notes: Notes) -> tuple[list[tuple[float, float, int]], str]:
    """What is left of notes in quarters of half a second."""
    song = score(chunk(notes))
    reduction = reduce_to_melody(song.tracks[0].notes, song.seconds)
    return in_quarters(reduction.notes), reduction.how


def line(pitches: list[int], start: float = 0, length: float = 1) -> list[tuple[float, float, int]]:
    return [
        (start + index * length, start + (index + 1) * length, pitch)
        for index, pitch in enumerate(pitches)
    ]


def test_of_a_chord_the_highest_note() -> None:
    tune = line([72, 74])
    assert reduced([*tune, *line([67, 69]), *line([64, 65])]) == (tune, "highest voice of chords")


def test_a_lower_note_under_a_held_one_is_hidden() -> None:
    assert reduced([(0, 2, 72), (1, 2, 67), (2, 3, 71)])[0] == [(0, 2, 72), (2, 3, 71)]


def test_a_higher_note_over_a_held_one_takes_over() -> None:
    assert reduced([(0, 2, 67), (1, 2, 72)])[0] == [(0, 1, 67), (1, 2, 72)]


def test_legato() -> None:
    # The first laps over the second by a tenth of a quarter, 50 ms, up and down.
    assert reduced([(0, 1.1, 72), (1, 2.1, 76), (2, 3, 67)])[0] == [
        (0, 1, 72),
        (1, 2, 76),
        (2, 3, 67),
    ]


def test_a_chord_played_not_quite_together() -> None:
    # The lower notes come 50 ms and 20 ms early, the next chord's one 40 ms late.
    notes = [(0.9, 2, 64), (0.96, 2, 67), (1, 2, 72), (2, 3, 74), (2.08, 3, 65)]
    assert reduced(notes)[0] == [(1, 2, 72), (2, 3, 74)]


@pytest.mark.parametrize("grace", [71, 74, 79])
def test_a_grace_note_leaves_its_main_note(grace: int) -> None:
    # A twelfth of a quarter long, 42 ms, and lapping over the main note by 10 ms.
    notes = [(0, 0.1, grace), (0.08, 1, 72)]
    assert [pitch for _, _, pitch in reduced(notes)[0]] == [grace, 72]
    start, end, pitch = reduced(notes)[0][-1]
    assert start == pytest.approx(0.08, abs=0.01) and (end, pitch) == (1, 72)


def test_a_pedal_holds_what_the_voice_has_left() -> None:
    # A scale down, every note held to the bar's end: the pitches stay, each until the next.
    pitches = [76, 74, 72, 71]
    held = [(index, 4, pitch) for index, pitch in enumerate(pitches)]
    assert reduced(held)[0] == line(pitches)


def test_notes_doubled_by_a_second_track_count_once() -> None:
    tune = line([72, 74, 72])
    late = [(start + 0.05, end + 0.05, pitch) for start, end, pitch in tune]
    assert reduced([*tune, *tune])[0] == tune
    song = score(chunk(tune), chunk(late))
    both = np.concatenate([track.notes for track in song.tracks])
    assert in_quarters(reduce_to_melody(both, song.seconds).notes) == tune
    unison = np.repeat(song.tracks[0].notes, 2)
    reduction = reduce_to_melody(unison, song.seconds)
    assert (in_quarters(reduction.notes), reduction.how) == (tune, "")  # nothing was left out


def test_of_doubled_notes_the_longest_stays() -> None:
    # As two tracks may have them: within one, a note-off ends both.
    notes = [(0, QUARTER, 72), (0, 3 * QUARTER, 72), (QUARTER, 2 * QUARTER, 60)]
    both = np.array([(start, end, pitch, 80) for start, end, pitch in notes], TICK_NOTE)
    assert in_quarters(reduce_to_melody(both, seconds).notes) == [(0, 3, 72)]


def test_pitches_out_of_range_are_left_out() -> None:
    assert reduced([(0, 1, 109), (0, 1, 72), (1, 2, 20)]) == ([(0, 1, 72)], "")


TUNE = [72, 74, 76, 77, 79, 77, 76, 74]
BASS = [48, 55, 52, 55, 48, 55, 52, 55]


def test_two_hands() -> None:
    # Eight bars; the right hand rests in the fifth and sixth, the left one never.
    right = [*line(TUNE * 2), *line(TUNE, start=24)]
    left = line(BASS * 8, length=0.5)
    assert reduced([*right, *left]) == (sorted(right), "right hand")


def test_a_left_hand_that_climbs_while_the_right_one_rests() -> None:
    # An arpeggio up to the E above middle C, in bars 3 and 4; it stays the left hand's.
    right = [*line(TUNE), *line(TUNE, start=16)]
    left = [*line(BASS), *line([48, 52, 55, 60, 64, 60, 55, 52], start=8), *line(BASS, start=16)]
    assert reduced([*right, *left])[0] == sorted(right)


def test_hands_that_move_up_together() -> None:
    # Half way all goes up a sixth; the left hand's highest is then above middle C.
    right = [*line(TUNE * 2), *line([pitch + 9 for pitch in TUNE * 2], start=16)]
    left = [*line(BASS * 2), *line([pitch + 9 for pitch in BASS * 2], start=16)]
    assert reduced([*right, *left])[0] == right


def test_the_boundary_follows() -> None:
    # Right hand two octaves above the left one, which first reaches up to 55, then to 67.
    pitches = np.array([55, 79] * 40 + [67, 91] * 40)
    lowest = boundaries(np.repeat(np.arange(80), 2).astype(float), pitches)
    assert ((lowest[:80] > 55) & (lowest[:80] <= 79)).all()
    assert ((lowest[80:] > 67) & (lowest[80:] <= 91)).all()


def test_best_boundary() -> None:
    assert best_boundary(np.array([50, 52, 70, 72])) == 62  # 53 to 70 are as good
    assert best_boundary(np.array([60])) == 62  # none of 48 to 76 parts anything


def test_what_is_not_two_hands() -> None:
    times = np.arange(8.0)
    alone = right_hand(times, times + 1, np.array(TUNE))
    chords = right_hand(times.repeat(2), times.repeat(2) + 1, np.array([60, 64] * 8))
    octaves_in_turn = right_hand(times, times + 1, np.array([48, 76] * 4))
    assert alone is None
    assert chords is None  # too close
    assert octaves_in_turn is None  # never together
    assert right_hand(times[:0], times[:0], np.array([], int)) is None


@st.composite
def monophonic(draw: st.DrawFn, low: int = 21, high: int = 108, gaps: bool = True) -> np.ndarray:
    """A line of TICK_NOTE, 1 to 40 notes of a tick to a bar."""
    pitches = draw(st.lists(st.integers(low, high), min_size=1, max_size=40))
    now, notes = draw(st.integers(0, 5000)), []
    for pitch in pitches:
        length = draw(st.integers(1 if gaps else 60, 4 * QUARTER))
        notes.append((now, now + length, pitch, 80))
        now += length + (draw(st.integers(0, QUARTER)) if gaps else 0)
    return np.array(notes, TICK_NOTE)


any_notes = st.lists(
    st.tuples(st.integers(0, 8000), st.integers(1, 3000), st.integers(0, 127)), max_size=60
).map(lambda notes: np.array([(a, a + n, p, 80) for a, n, p in notes], TICK_NOTE))


def seconds(ticks: np.ndarray) -> np.ndarray:
    return np.asarray(ticks) / QUARTER / 2


@examples(150)
@given(any_notes)
@example(np.array([(0, 60, 21, 80), (58, 59, 21, 80), (58, 59, 21, 80)], TICK_NOTE))
def test_the_result_is_monophonic_and_of_the_input(notes: np.ndarray) -> None:
    voice = reduce_to_melody(notes, seconds).notes
    assert (voice["end"][:-1] <= voice["start"][1:]).all()
    assert (voice["start"] < voice["end"]).all()
    given_ends: dict[tuple[int, int], int] = {}
    for start, end, pitch, _ in notes.tolist():
        given_ends[start, pitch] = max(end, given_ends.get((start, pitch), 0))
    for start, end, pitch, _ in voice.tolist():
        assert end <= given_ends[start, pitch]
    assert len(voice) > 0 or not ((notes["pitch"] >= 21) & (notes["pitch"] <= 108)).any()


@given(monophonic())
def test_a_monophonic_line_comes_back_unchanged(notes: np.ndarray) -> None:
    assert np.array_equal(reduce_to_melody(notes, seconds).notes, notes)


@given(monophonic(60, 96, gaps=False), st.data())
def test_chords_below_do_not_change_the_voice_on_top(tune: np.ndarray, data: st.DataObject) -> None:
    # While the tune sounds: it has no rests.
    begin, over = int(tune["start"][0]), int(tune["end"][-1])
    starts = data.draw(st.lists(st.integers(begin, over - 1), max_size=12))
    # What begins as a note of the tune ends may as well be the next one, played legato.
    left = seconds(tune["end"])[:, None] - seconds(np.array(starts, np.int64))[None]
    near = ((left > 0) & (left <= LEGATO)).any(axis=0)
    starts = [start for start, ends in zip(starts, near, strict=True) if not ends]
    chords = [
        (start, min(start + data.draw(st.integers(1, 2000)), over), pitch, 80)
        for start in starts
        for pitch in (40, 45, 48)
    ]
    notes = np.sort(np.concatenate([tune, np.array(chords, TICK_NOTE)]), order=("start", "pitch"))
    kept = highest_voice(seconds(notes["start"]), seconds(notes["end"]), notes["pitch"])
    assert np.array_equal(notes[kept], tune)


@st.composite
def hands(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A right hand of one line, and when a left hand begins and ends its chords.

    A chord begins with each note of the tune, and as many more where they will, before the tune is
    over. Were there many more, the left hand would be alone most of the time; and did the tune leap
    farther than the hands lie apart, its lowest note might as well be the left hand's.
    """
    tune = draw(monophonic(66, 78))
    begin, over = int(tune["start"][0]), int(tune["end"][-1])
    more = draw(st.lists(st.integers(begin, over - 1), max_size=len(tune)))
    starts = [*tune["start"].tolist(), *more]
    return tune, [(start, start + draw(st.integers(100, 2000))) for start in starts]


@examples(50)
@given(hands())
# Chords twelvefold, as of tracks in unison, and the last one just before the tune is over.
@example((np.array([(0, 52, 64, 80)], TICK_NOTE), [(0, 100)] * 13 + [(51, 151)]))
def test_low_chords_at_any_time_do_not_change_the_right_hand(
    played: tuple[np.ndarray, list[tuple[int, int]]],
) -> None:
    tune, times = played
    chords = [(start, end, pitch, 80) for start, end in times for pitch in (43, 48, 52)]
    notes = np.concatenate([tune, np.array(chords, TICK_NOTE)])
    assert np.array_equal(reduce_to_melody(notes, seconds).notes, tune)


def test_notes_by_the_ten_thousand() -> None:
    generator = np.random.default_rng(0)
    notes = np.zeros(10_000, TICK_NOTE)
    notes["start"] = np.sort(generator.integers(0, 300 * QUARTER, 10_000))
    notes["end"] = notes["start"] + generator.integers(1, 8 * QUARTER, 10_000)
    notes["pitch"] = generator.integers(30, 100, 10_000)
    voice = reduce_to_melody(notes, seconds).notes
    assert 100 < len(voice) < 10_000
