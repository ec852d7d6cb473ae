from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicvae_torch.chords.symbols import CHORD_DEPTH, NO_CHORD, TRIADS, chord_class
from surrogate.arrangement.harmoniser import (
    FLAGS,
    FRAME,
    HISTOGRAMS,
    STATES,
    TONES,
    Weights,
    features,
    harmonise,
    likeliest,
    sounding_classes,
)

NOTE = st.tuples(st.integers(0, 60), st.integers(1, 16), st.integers(40, 90))
MELODY = st.lists(NOTE, min_size=1, max_size=30)
BARS = 4


def heard(notes: list[tuple[int, int, int]], shift: int = 0) -> list[str]:
    starts, lengths, pitches = np.array(notes, np.int64).reshape(-1, 3).T
    return harmonise(starts, starts + lengths, pitches + shift, BARS)


def drawn(seed: int, hidden: tuple[int, ...] = ()) -> Weights:
    rng = np.random.default_rng(seed)
    sizes = [HISTOGRAMS * TONES + FLAGS, *hidden, len(TRIADS)]
    layers = tuple((rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in
                   itertools.pairwise(sizes))  # fmt: skip
    return Weights(layers, rng.normal(size=(2, len(TRIADS), len(TRIADS), TONES)))


@given(MELODY, st.integers(-12, 12))
def test_a_transposed_melody_has_transposed_chords(
    notes: list[tuple[int, int, int]], shift: int
) -> None:
    classes, moved = (np.array(list(map(chord_class, heard(notes, s)))) for s in (0, shift))
    kinds, roots = np.divmod(classes - 1, TONES)
    expected = np.where(classes > 0, 1 + kinds * TONES + (roots + shift) % TONES, 0)
    assert moved.tolist() == expected.tolist()


def test_there_is_no_chord_before_the_first_note() -> None:
    names = heard([(17, 4, 60), (24, 8, 64)])
    assert len(names) == 2 * BARS
    assert [name == NO_CHORD for name in names] == [True, True] + [False] * 6
    assert heard([]) == [NO_CHORD] * 2 * BARS


def test_arpeggios_are_their_chords() -> None:
    chords = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    notes = [
        (16 * bar + 2 * i, 2, chord[(0, 1, 2, 1)[i % 4]])
        for bar, chord in enumerate(chords)
        for i in range(8)
    ]
    assert heard(notes)[::2] == ["C", "F", "G", "C"]


@pytest.mark.parametrize("seed", range(3))
def test_the_triads_have_the_greatest_marginals(seed: int) -> None:
    """Over all sequences of three half bars, one by one."""
    learnt = drawn(seed)
    rng = np.random.default_rng(seed)
    histograms = rng.random((3, HISTOGRAMS, TONES)).astype(np.float32)
    flags = np.zeros((3, FLAGS), np.float32)
    flags[1, 0] = 1
    ((weight, bias),) = learnt.layers
    scores = np.zeros((3, STATES))
    for frame, kind, root in itertools.product(range(3), range(len(TRIADS)), range(TONES)):
        own = np.roll(histograms[frame], -root, axis=1).ravel()
        values = weight @ np.concatenate([own, flags[frame]]) + bias
        scores[frame, kind * TONES + root] = values[kind]
    change = np.zeros((2, STATES, STATES))
    for a, b in itertools.product(range(STATES), range(STATES)):
        change[:, a, b] = learnt.changes[:, a // 12, b // 12, (b - a) % 12]
    every = scores[0][:, None, None] + scores[1][:, None] + scores[2]
    every = every + change[1][:, :, None] + change[0]
    chance = np.exp(every - every.max())
    marginals = [chance.sum((1, 2)), chance.sum((0, 2)), chance.sum((0, 1))]
    expected = [int(own.argmax()) for own in marginals]
    assert likeliest(histograms, flags, learnt).tolist() == expected


def test_what_the_network_reads() -> None:
    sounding = sounding_classes(
        np.array([0, 4, 4]), np.array([4, 8, 100]), np.array([60, 62, 74]), 2
    )
    assert sounding.sum(1).tolist() == [1] * 32  # two notes of a class count once
    histograms, flags = features(sounding)
    assert histograms.shape == (32 // FRAME, HISTOGRAMS, TONES) and flags.shape == (4, FLAGS)
    first, second, at_once = histograms[0, :3]
    assert first.tolist() == at_once.tolist() == np.eye(12)[0].tolist()
    assert second.tolist() == np.eye(12)[2].tolist()
    assert histograms[1, 4, 0] == 0.5  # the frame before
    assert histograms[0, 3:5].sum() == 0  # before the song
    assert histograms[0, 8, 0] == pytest.approx(4 / 32)
    assert flags[:, 0].tolist() == [0, 1, 0, 1] and flags[:, 4].tolist() == [1, 1, 0, 0]
    assert CHORD_DEPTH == STATES + 1
