"""Windows that overlap, and the seam that must not be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogate.encoder.candidates import difference, latent_offsets, rank, uniform_noise
from surrogate.encoder.crossfade import crossfade, cut_window, window_starts


@pytest.mark.parametrize(
    ("length", "wanted"),
    [(1, [0]), (16, [0]), (17, [0, 1]), (24, [0, 8]), (30, [0, 8, 14]), (32, [0, 8, 16])],
)
def test_windows_start_every_hop_and_end_with_the_song(length: int, wanted: list[int]) -> None:
    assert window_starts(length, 16, 8) == wanted


@given(st.integers(1, 300), st.integers(1, 20), st.data())
def test_windows_cover_a_song_and_end_with_it(length: int, size: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, size))
    starts = window_starts(length, size, hop)
    covered = {place for start in starts for place in range(start, start + size)}
    assert covered >= set(range(length)) and max(starts) + size == max(length, size)
    assert starts == sorted(set(starts))


def test_after_the_songs_end_are_rests() -> None:
    tokens = np.array([[5, 6, 7], [8, 9, 10]])
    assert cut_window(tokens, 1, 3).tolist() == [[8, 9, 10], [1, 1, 0], [0, 0, 0]]
    assert cut_window(tokens, 0, 2).tolist() == tokens.tolist()


def test_one_window_fades_into_the_next() -> None:
    embeddings = torch.stack([torch.zeros(4, 1), torch.ones(4, 1)])
    rows, covered = crossfade(embeddings, [0, 2], 7)
    # Weights of a window: .5, 1.5, 1.5, .5.
    np.testing.assert_allclose(rows[:, 0], [0, 0, 0.25, 0.75, 1, 1, 0])
    assert covered.tolist() == [True] * 6 + [False]


def test_alike_windows_stay_as_they_are() -> None:
    window = torch.randn(16, 3)
    rows, _ = crossfade(window.expand(3, 16, 3), [0, 0, 0], 10)
    torch.testing.assert_close(rows, window[:10])


def test_a_flat_decoders_windows_do_not_fade() -> None:
    rows, covered = crossfade(torch.tensor([[[1.0]], [[2.0]]]), [0, 2], 3)
    assert rows[:, 0].tolist() == [1, 0, 2] and covered.tolist() == [True, False, True]


def test_noise_depends_on_seed_and_number_alone() -> None:
    assert np.array_equal(uniform_noise(3, 1, 50), uniform_noise(3, 1, 80)[:50])
    assert not np.array_equal(uniform_noise(3, 1, 50), uniform_noise(3, 2, 50))
    assert not np.array_equal(uniform_noise(3, 1, 50), uniform_noise(4, 1, 50))
    assert uniform_noise(-1, 0, 5).shape == (5, 3)
    first, second, third = latent_offsets(3, 3, 8)
    assert not first.any() and not np.array_equal(second, third)
    assert np.array_equal(latent_offsets(3, 2, 8), [first, second])
    values = uniform_noise(0, 0, 20_000)
    assert values.min() >= 0 and values.max() < 1 and abs(values.mean() - 0.5) < 0.01


def test_difference_counts_events() -> None:
    tokens = np.zeros((3, 4, 2), int)
    tokens[:, 0, 0] = 5
    tokens[1, 2, 1] = 7  # an event more
    tokens[2, 0, 0] = 6  # another event
    assert difference(tokens, tokens[0]).tolist() == [0, 0.5, 1]
    assert difference(np.zeros((2, 4, 2), int), np.zeros((4, 2), int)).tolist() == [0, 0]


def test_what_is_most_like_the_others_comes_first_and_then_what_is_unlike_it() -> None:
    tokens = np.zeros((4, 4, 1), int)
    tokens[0, :, 0] = [1, 2, 3, 4]
    tokens[1, :, 0] = tokens[2, :, 0] = [5, 6, 7, 8]
    tokens[3, :, 0] = [9, 6, 7, 8]
    # They differ from the others by 3, 1.25, 1.25 and 1.5 altogether, so merits are 0, 1, 1, 6/7.
    # Then 0, 2 and 3 have .5, .5 and .55; and 0 and 2 have .5 each.
    assert rank(tokens) == [1, 3, 0, 2]


def test_of_two_candidates_and_of_equal_ones_the_first_stays_first() -> None:
    tokens = np.arange(12).reshape(2, 6, 1)
    assert rank(tokens) == rank(tokens[[1, 0]]) == [0, 1]
    assert rank(tokens[:1]) == [0] and rank(tokens[[0, 0, 0]]) == [0, 1, 2]


def test_a_band_that_plays_little_or_much_does_not_come_first() -> None:
    steps = np.arange(64)
    thin, busy, busier = (steps % 8 == 0, steps % 2 == 0, steps >= 0)
    for hits in ([thin, busy, busier], [busier, busy, thin]):
        assert rank(np.stack(hits).astype(int)[..., None])[0] == 1
