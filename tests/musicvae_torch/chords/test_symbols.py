"""Chords: names and classes, chords by hand, and the search for the likeliest ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from properties import examples

from musicvae_torch.chords import inference
from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import (
    CHORD_DEPTH,
    NO_CHORD,
    Progression,
    chord_class,
    chord_classes,
    chord_controls,
    chord_name,
)
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.notes import NOTE_DTYPE

C, CM, C_AUG, C_DIM = 1, 13, 25, 37


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("N.C.", 0),
        ("C", C),
        ("Cmaj7", C),
        ("C7(b9)(#11)", C),
        ("C6/9/E", C),
        ("Cm", CM),
        ("C-7", CM),
        ("Cm(maj7)/Eb", CM),
        ("C+", C_AUG),
        ("C(#5)", C_AUG),
        ("Caug7", C_AUG),
        ("Cm7b5", C_DIM),
        ("C/o7/G", C_DIM),
        ("Co", C_DIM),
        ("C#", C + 1),
        ("Db", C + 1),
        ("Ebm", CM + 3),
        ("Cbb", C + 10),
        ("B##dim", C_DIM + 1),
        ("Cb", C + 11),
        ("Bsus4no4add3", C + 11),
    ],
)
def test_chord_classes(name: str, expected: int) -> None:
    assert chord_class(name) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "no chord symbol"),
        ("H", "no chord symbol"),
        ("c", "no chord symbol"),
        ("C#b", "no chord symbol"),
        ("Cm\n", "no chord symbol"),
        ("C/H", "no chord symbol"),
        ("C5", "no major, minor"),
        ("Cb5", "no major, minor"),  # the fifth on C flat
        ("Csus4", "no major, minor"),
        ("Cno3", "no major, minor"),
        ("Cm#3#3", "no major, minor"),
        ("Cadd3", "adds degree 3"),
        ("Cno7", "leaves out degree 7"),
    ],
)
def test_refused_chords(name: str, reason: str) -> None:
    with pytest.raises(ChordError, match=reason) as refused:
        chord_class(name)
    assert repr(name) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_class_has_a_name() -> None:
    names = [chord_name(index) for index in range(CHORD_DEPTH)]
    assert names[:3] == [NO_CHORD, "C", "C#"]
    assert names[-1] == "Bdim"
    assert chord_classes(np.array(names)).tolist() == list(range(CHORD_DEPTH))
    with pytest.raises(ChordError, match="49"):
        chord_name(CHORD_DEPTH)


def test_chords_by_hand_in_bars() -> None:
    rows = chord_controls([(1, "Am"), (0.5, "C"), (1, "Am"), (99, "G")], 32)
    assert rows.shape == (32, CHORD_DEPTH)
    assert (rows.sum(1) == 1).all()
    assert rows.argmax(1).tolist() == [0] * 8 + [C] * 8 + [CM + 9] * 16


def test_chords_by_hand_in_seconds() -> None:
    rows = chord_controls([(0, "C"), (1.26, "D")], 20, unit="seconds", qpm=100)
    assert rows.argmax(1).tolist() == [C] * 8 + [C + 2] * 12
    assert chord_controls([], 4).argmax(1).tolist() == [0] * 4


@pytest.mark.parametrize(
    ("given_chords", "reason"),
    [
        ([(0, "C"), (0.01, "D")], "'C' and 'D' begin on the same step"),
        ([(-1, "C")], "before 0"),
        ([(0, "C"), (9, "X")], "'X' is no chord symbol"),
    ],
)
def test_refused_chords_by_hand(given_chords: list[tuple[float, str]], reason: str) -> None:
    with pytest.raises(ChordError, match=reason):
        chord_controls(given_chords, 16)


def test_units_of_chords_by_hand() -> None:
    with pytest.raises(ValueError, match="bars, seconds"):
        chord_controls([], 16, unit="beats")


def test_progressions_keep_to_another_grid() -> None:
    progression = Progression(np.array([0.0, 0.3]), ("C", "Fm"))
    assert progression.at_steps(8, 120, 4).tolist() == ["C"] * 2 + ["Fm"] * 6
    assert progression.at_steps(8, 120, 24)[-1] == "C"


def block(
    pitches: list[int], start: float, end: float, program: int = 0
) -> list[tuple[float, ...]]:
    return [(start, end, pitch, 80, program, False, 0) for pitch in pitches]


def test_blocks_of_chords_are_heard() -> None:
    notes = block([60, 64, 67], 0, 2) + block([57, 60, 64], 2, 4) + block([59, 62, 65, 67], 4, 5)
    noise = block([61, 63, 66], 0, 5, program=127)
    heard = infer_chords(np.array(notes + noise, NOTE_DTYPE), 6.0, 120, (4, 4))
    assert heard is not None
    assert heard.names[:3] == ("C", "Am", "G7")
    assert heard.times[:3].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("end", "metre", "inferred"),
    [
        (1000.0, (4, 4), True),
        (1000.1, (4, 4), False),
        (0.0, (4, 4), False),
        (4.0, (8, 8), False),
        (4.0, (5, 4), False),
        (2000.0, (2, 2), True),
        (4.0, (6, 8), True),
    ],
)
def test_where_chords_are_inferred(end: float, metre: tuple[int, int], inferred: bool) -> None:
    notes = np.array(block([60, 64, 67], 0, 1), NOTE_DTYPE)
    assert (infer_chords(notes, end, 120, metre) is not None) == inferred


def test_probabilities_of_chords() -> None:
    """A key changes once in a thousand frames, a chord in every other."""
    in_key, within, after_change = (np.exp(logs) for logs in inference._key_chord_logs())
    assert in_key.sum(1) == pytest.approx(np.ones(12))
    assert within.sum(1) == pytest.approx(np.full((12, 97), 0.999))
    assert after_change.sum(1) == pytest.approx(np.full(12, 0.001 / 11))
    assert np.diagonal(within, axis1=1, axis2=2) == pytest.approx(np.full((12, 97), 0.4995))
    c, c_sharp = 1, 9  # the major chords; in C, the second has two of its pitches outside
    assert in_key[0, c_sharp] / in_key[0, c] == pytest.approx((0.01 / 0.99) ** 2)


def likeliest_by_brute_force(emissions: np.ndarray) -> np.ndarray:
    """Viterbi's algorithm over all pairs of states."""
    in_key, within, after_change = inference._key_chord_logs()
    keys, size = in_key.shape
    moves = np.tile(after_change.ravel(), (keys * size, 1))
    for key in range(keys):
        own = slice(key * size, (key + 1) * size)
        moves[own, own] = within[key].T
    scores = -np.log(keys) + in_key.ravel() + np.tile(emissions[0], keys)
    parents = []
    for emission in emissions[1:]:
        candidates = scores[:, None] + moves
        parents.append(candidates.argmax(0))
        scores = candidates.max(0) + np.tile(emission, keys)
    path = [int(scores.argmax())]
    for parent in reversed(parents):
        path.append(int(parent[path[-1]]))
    chords: np.ndarray = np.array(path[::-1]) % size
    return chords


@examples(15)
@given(
    # Few distinct values, so that there are ties.
    st_numpy.arrays(np.int8, st.tuples(st.integers(1, 6), st.just(97)), elements=st.integers(0, 3)),
    st.sampled_from([0.0, 1.0, 7.0, 30.0]),
)
def test_likeliest_chords_are_those_of_a_full_search(levels: np.ndarray, scale: float) -> None:
    emissions = levels * scale
    assert np.array_equal(inference._likeliest(emissions), likeliest_by_brute_force(emissions))


@pytest.mark.parametrize("seed", [1, 8, 13])
def test_of_equally_likely_chords_the_first_counts(seed: int) -> None:
    """Keys share most of their chords, so that over many frames ties are common."""
    rng = np.random.default_rng(seed)
    sounding = rng.random((60, 12)) < 0.17
    lengths = np.linalg.norm(sounding, axis=1, keepdims=True)
    emissions = 100 * (sounding / np.maximum(lengths, 1)) @ inference._chords_by_pitch()
    assert np.array_equal(inference._likeliest(emissions), likeliest_by_brute_force(emissions))
