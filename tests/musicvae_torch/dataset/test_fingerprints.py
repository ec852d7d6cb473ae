"""Near-duplicates: what counts as the same song again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from musicvae_torch.dataset.fingerprints import (
    FEWEST,
    MOST_SONGS,
    Fingerprint,
    find_copies,
    fingerprint,
)
from musicvae_torch.midi.notes import NOTE_DTYPE


def notes(seed: int, count: int = 600, drums: bool = False) -> np.ndarray:
    """A line of random notes."""
    rng = np.random.default_rng(seed)
    line = np.zeros(count, NOTE_DTYPE)
    line["start"] = np.cumsum(rng.integers(1, 5, count)) * 0.125
    line["end"] = line["start"] + 0.1
    line["pitch"] = rng.choice([36, 38, 42, 46] if drums else np.arange(50, 74), count)
    line["velocity"], line["is_drum"] = 90, drums
    return line


def copies(*songs: np.ndarray, share: float = 0.5) -> list[int]:
    prints = [fingerprint(song, {0, 1}) for song in songs]
    found = [p or Fingerprint(np.empty(0, np.uint32), 0, n) for n, p in enumerate(prints)]
    first: list[int] = find_copies(
        np.concatenate([p.sample for p in found]),
        np.cumsum([len(p.sample) for p in found]),
        np.array([p.size for p in found]),
        np.array([p.whole for p in found], np.uint64),
        share,
    ).tolist()
    return first


def changed(
    song: np.ndarray, semitones: int = 0, tempo: float = 1.0, late: float = 0
) -> np.ndarray:
    other = song.copy()
    other["pitch"] += semitones
    other["start"], other["end"] = (other[name] * tempo + late for name in ("start", "end"))
    return other


@pytest.mark.parametrize("drums", [False, True])
def test_key_and_tempo_do_not_matter(drums: bool) -> None:
    song = notes(1, drums=drums)
    assert copies(song, notes(2, drums=drums), changed(song, 0 if drums else -5, 1.5, 7)) == [
        0,
        1,
        0,
    ]


@examples(20)
@given(st.integers(0, 10**6), st.integers(-20, 20), st.floats(0.3, 3))
def test_a_print_knows_neither_key_nor_tempo(seed: int, semitones: int, tempo: float) -> None:
    song = notes(seed, 100)
    ours, theirs = (fingerprint(s, {0}) for s in (song, changed(song, semitones, tempo)))
    assert ours and theirs and ours.whole == theirs.whole and ours.size == theirs.size
    assert np.array_equal(ours.sample, theirs.sample)


def test_accents_and_order_of_tracks_do_not_matter() -> None:
    song = np.concatenate([notes(1), notes(2)])
    song["instrument"][600:] = 1
    other = np.concatenate([song[600:], song[:600]])
    other["instrument"] = 1 - other["instrument"]
    other["velocity"] = 50
    assert copies(song, other) == [0, 0]


def test_the_larger_song_stays() -> None:
    whole = notes(1, 2000)
    assert copies(whole[:900], whole, whole[200:]) == [1, 1, 1]


def test_the_share_decides() -> None:
    half = np.concatenate([notes(1, 2000)[:800], changed(notes(2, 1200), late=1000)])
    assert copies(notes(1, 2000), half, share=0.25) == [0, 0]
    assert copies(notes(1, 2000), half, share=0.75) == [0, 1]


def test_songs_of_one_figure_are_no_copies_of_each_other() -> None:
    """A bass of octaves, or one repeated note, is in many songs."""
    figure = notes(3, 300)
    figure["start"] = np.arange(300) * 0.25
    figure["pitch"] = np.where(np.arange(300) % 2, 40, 52)
    assert fingerprint(figure, {0}) is None
    others = [np.concatenate([figure, changed(notes(n, 80), late=100)]) for n in range(3)]
    assert copies(*others) == [0, 1, 2]


def test_too_little_to_tell() -> None:
    assert fingerprint(notes(1, 9), {0}) is None
    assert fingerprint(notes(1), {5}) is None
    assert copies(notes(1, 9), notes(1, 9)) == [0, 1]


def test_a_few_hashes_in_common_make_no_copy() -> None:
    samples = np.r_[np.arange(100), np.arange(FEWEST - 1), 500].astype(np.uint32)
    ends, sizes = np.array([100, 100 + FEWEST]), np.array([100, FEWEST])
    wholes = np.array([1, 2], np.uint64)
    assert find_copies(samples, ends, sizes, wholes, 0.1).tolist() == [0, 1]


def test_what_many_songs_have_is_not_counted() -> None:
    idiom = np.arange(20)
    songs = [np.r_[idiom, 100 * n + np.arange(100, 130)] for n in range(MOST_SONGS + 1)]
    songs.append(np.r_[idiom, np.arange(9000, 9002)])  # idioms but for two hashes
    samples = np.concatenate(songs).astype(np.uint32)
    lengths = np.array([len(song) for song in songs])
    found = find_copies(
        samples, np.cumsum(lengths), lengths, lengths.cumsum().astype(np.uint64), 0.5
    )
    assert found.tolist() == list(range(len(songs)))


def test_a_copy_of_a_copy_is_one_of_the_first() -> None:
    whole = np.arange(100)
    songs = [whole, whole[:60], whole[:60]]
    samples = np.concatenate(songs).astype(np.uint32)
    ends, sizes = np.array([100, 160, 220]), np.array([100, 60, 60])
    assert find_copies(samples, ends, sizes, np.array([1, 2, 2], np.uint64), 0.5).tolist() == [
        0,
        0,
        0,
    ]
