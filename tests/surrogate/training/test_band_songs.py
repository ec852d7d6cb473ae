"""Windows of data sets, joined into runs; and what masking are drawn of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bands import groove_song, song_windows, write_windows

from musicvae_torch.converters.melody import infer_chord_classes
from musicvae_torch.errors import DatasetError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.training import TrainingOptions
from surrogate.band.controls import densities_of, density_class
from surrogate.band.model import HIDDEN
from surrogate.training.band.data import BandDataModule, validation_windows
from surrogate.training.band.masking import MaskingOptions
from surrogate.training.band.runs import read_runs

PLAIN = MaskingOptions(
    bars={16: 1},
    given={"melody": 1},
    without_melody=0,
    some_bars=0,
    forgetful=0,
    with_chords=0,
    with_density=0,
)


def runs_of(path: Path) -> list[tuple[int, np.ndarray]]:
    """The song and the tokens of each run."""
    runs = read_runs([path])
    pairs = zip(runs.first[:-1], runs.first[1:], strict=True)
    return [
        (int(song), runs.tokens[first:last])
        for song, (first, last) in zip(runs.song, pairs, strict=True)
    ]


def test_windows_that_overlap_or_follow_on_are_joined(tmp_path: Path) -> None:
    song = groove_song(64)
    path = write_windows(tmp_path / "a.h5", song_windows(song, [0, 8, 16, 32, 48]), ["a/x.mid"])
    ((number, tokens),) = runs_of(path)
    assert number == 0
    assert (tokens == song).all()


def test_what_is_apart_is_not_joined(tmp_path: Path) -> None:
    """Other songs, other tracks, another key, a gap, bars that are counted again, other notes."""
    song, other = groove_song(80), groove_song(80, seed=1)
    rows = [
        *song_windows(song, [0, 8]),
        *song_windows(song, [32]),  # after a gap of eight bars
        *song_windows(song, [40], instruments=(0, 1, 5)),
        *song_windows(song, [48], instruments=(0, 1, 5), transposition=2),
        *song_windows(song, [56], song=1),
        *song_windows(song, [0], song=1),
        *song_windows(other, [8], song=1),
    ]
    path = write_windows(tmp_path / "a.h5", rows, ["x.mid", "y.mid"])
    found = runs_of(path)
    assert [(song, len(tokens) // 16) for song, tokens in found] == [
        (0, 24),
        *[(0, 16)] * 3,
        *[(1, 16)] * 3,
    ]
    assert (found[0][1] == song[: 24 * 16]).all()
    assert (found[-1][1] == other[8 * 16 : 24 * 16]).all()


def test_songs_of_several_files_are_numbered_apart(tmp_path: Path) -> None:
    one, two = groove_song(32), groove_song(48, seed=1)
    first = write_windows(tmp_path / "a.h5", song_windows(one, [0, 16]), ["jazz/x.mid"])
    second = write_windows(tmp_path / "b.h5", song_windows(two, [0, 16, 32]), ["jazz/y.mid"])
    runs = read_runs([first, second])
    assert runs.first.tolist() == [0, 512, 512 + 768]
    assert runs.song.tolist() == [0, 1]
    assert (runs.tokens[512:] == two).all()
    assert len(set(runs.sources)) == 2  # folders of like names are not the same
    assert runs.bars_left[[0, 31, 32, 79]].tolist() == [32, 1, 48, 1]


def test_each_split_has_its_own_songs(tmp_path: Path) -> None:
    songs = groove_song(16), groove_song(16, seed=1)
    rows = [*song_windows(songs[0], [0], song=0), *song_windows(songs[1], [0], song=1)]
    aside = np.array([False, True])
    path = write_windows(tmp_path / "a.h5", rows, ["x.mid", "y.mid"], validation=aside)
    for split, song in zip(("train", "validation"), songs, strict=True):
        assert (read_runs([path], split).tokens == song).all()
    bare = write_windows(tmp_path / "b.h5", rows, ["x.mid", "y.mid"])
    with pytest.raises(DatasetError, match=r"b\.h5: was built without validation songs"):
        read_runs([bare], "train")


def test_data_of_other_shapes(tmp_path: Path) -> None:
    rows = [{"tokens": np.zeros((32, 1)), "bar": 0}]
    path = write_windows(tmp_path / "a.h5", rows, ["x.mid"])
    with pytest.raises(DatasetError, match=r"a\.h5: tokens have shape \(1, 32, 1\)"):
        read_runs([path])


def module(
    tmp_path: Path,
    song: np.ndarray,
    bars: list[int],
    masking: MaskingOptions,
    **columns: np.ndarray,
) -> BandDataModule:
    path = write_windows(tmp_path / "d.h5", song_windows(song, bars), ["x.mid"], **columns)
    options = TrainingOptions(batch_size=8, max_transpose=0, draw="sources")
    return BandDataModule(read_runs([path]), read_runs([path]), options, masking, 3)


def test_a_batch_is_of_the_song(tmp_path: Path) -> None:
    song = groove_song(48)
    data = module(tmp_path, song, [0, 8, 16, 32], PLAIN)
    batch = data.batch(0)
    assert batch.tokens.shape == (8, 256, 3)
    places = {song[16 * bar : 16 * bar + 256].tobytes() for bar in range(33)}
    assert all(window.numpy().tobytes() in places for window in batch.tokens)
    assert (batch.given[..., 0] == batch.tokens[..., 0]).all()
    assert (batch.given[..., 1:] == HIDDEN).all()
    assert (batch.past == batch.tokens).all()
    for unsaid in (batch.chords, batch.density):
        assert (unsaid == HIDDEN).all()
    assert not batch.style.any()


def test_batches_depend_on_their_number_and_rank(tmp_path: Path) -> None:
    data = module(tmp_path, groove_song(48), [0, 16, 32], MaskingOptions(bars={16: 1, 32: 1}))
    for column, again, other, rank in zip(
        data.batch(3), data.batch(3), data.batch(4), data.batch(3, rank=1), strict=True
    ):
        assert torch.equal(column, again)
        if column.any() and column.dtype == torch.int64:
            assert not torch.equal(column, other)
            assert not torch.equal(column, rank)


def test_long_windows_make_small_batches(tmp_path: Path) -> None:
    """A batch has as many steps, whatever the length of its windows."""
    masking = MaskingOptions(bars={16: 1, 32: 1, 64: 1})
    data = module(tmp_path, groove_song(80), list(range(0, 65, 8)), masking)
    shapes = Counter(tuple(data.batch(number).tokens.shape[:2]) for number in range(60))
    assert set(shapes) == {(8, 256), (4, 512), (2, 1024)}
    assert min(shapes.values()) > 8


def test_thin_drums_are_left_out(tmp_path: Path) -> None:
    """Windows whose drums are one instrument alone."""
    song = groove_song(48)
    song[:512, 2] = np.where(song[:512, 2] > 0, 4, 0)
    data = module(tmp_path, song, [0, 16, 32], PLAIN)
    windows = torch.cat([data.batch(number).tokens for number in range(20)])
    # A window of the first 32 bars that has more begins in bar 17 at the earliest.
    hits = windows[..., 2].numpy()
    assert ((np.bitwise_or.reduce(hits, axis=1) & ~4) > 0).all()
    both = module(
        tmp_path, song, [0, 16, 32], MaskingOptions(**{**vars(PLAIN), "thin_drums": True})
    )
    hits = np.concatenate([both.batch(number).tokens[..., 2].numpy() for number in range(20)])
    assert ((np.bitwise_or.reduce(hits, axis=1) & ~4) == 0).any()


def test_transposed_chords_stay_with_the_notes(tmp_path: Path) -> None:
    song = groove_song(32)
    masking = MaskingOptions(**{**vars(PLAIN), "with_chords": 1.0})
    path = write_windows(tmp_path / "d.h5", song_windows(song, [0, 16]), ["x.mid"])
    options = TrainingOptions(batch_size=32, max_transpose=5, draw="songs")
    batch = BandDataModule(read_runs([path]), read_runs([path]), options, masking, 3).batch(0)
    chords = infer_chord_classes(song[:, 0], song[:, 1])
    assert (chords > 0).any()
    shifts = set()
    for tokens, told in zip(batch.tokens.numpy(), batch.chords.numpy(), strict=True):
        drums = [
            bar for bar in range(17) if (song[16 * bar : 16 * bar + 256, 2] == tokens[:, 2]).all()
        ]
        (bar,) = drums
        own = song[16 * bar : 16 * bar + 256]
        shift = int((tokens - own)[own[:, 0] > 1, 0][0])
        shifts.add(shift)
        before = chords[16 * bar : 16 * bar + 256]
        kinds, roots = (before - 1) // 12, (before - 1) % 12
        moved = np.where(before > 0, 1 + 12 * kinds + (roots + shift) % 12, 0)
        assert (told == moved).all()
    assert len(shifts) > 5


def test_styles_are_codes_of_other_windows(tmp_path: Path) -> None:
    """Of the same tracks, and with no bar in common."""
    bars = [0, 8, 16, 24, 32, 48]
    codes = np.arange(1, 7, dtype=np.float32)[:, None].repeat(3, 1)  # window n has n + 1
    data = module(tmp_path, groove_song(64), bars, PLAIN, code_mean=codes)
    kinds: Counter[str] = Counter()
    for number in range(60):
        batch = data.batch(number)
        for tokens, style, wanted in zip(
            batch.tokens, batch.style, batch.wants_melody_style, strict=True
        ):
            kinds["melody" if wanted else "other" if style.any() else "nothing"] += 1
            if style.any():
                other = bars[int(style[0]) - 1]
                song = groove_song(64)
                (own,) = [
                    bar
                    for bar in range(49)
                    if (song[16 * bar : 16 * bar + 256] == tokens.numpy()).all()
                ]
                assert abs(own - other) >= 16
    assert all(100 < kinds[kind] < 220 for kind in ("melody", "other", "nothing"))


def test_given_and_forgotten_shares() -> None:
    rng = np.random.default_rng(0)
    masking = MaskingOptions(
        given={"melody": 3, "bass+drums": 1}, without_melody=0.1, some_bars=0.5
    )
    seen: Counter[str] = Counter()
    for _ in range(4000):
        given, lacks_melody = masking.draw_given(256, rng)
        assert not lacks_melody or not given.any()
        whole = [part for part, own in zip(PARTS, given.T, strict=True) if own.all()]
        some = bool((given.any(0) & ~given.all(0)).any())
        assert (given.reshape(16, 16, 3).all(1) | ~given.reshape(16, 16, 3).any(1)).all()
        assert not given.all()
        seen["without" if lacks_melody else "+".join(whole) + (" some" if some else "")] += 1
    shares = {name: count / 4000 for name, count in seen.items()}
    assert shares["without"] == pytest.approx(0.1, abs=0.02)
    assert shares["melody"] == pytest.approx(0.9 * 0.75 * 0.5, abs=0.05)
    assert shares["bass+drums"] == pytest.approx(0.9 * 0.25 * 0.5, abs=0.03)
    lost = np.stack(
        [MaskingOptions(forgetful=1.0, forgotten=0.5).draw_forgotten(256, rng) for _ in range(500)]
    )
    assert not lost[..., 0].any()
    assert lost[..., 1:].mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bars": {8: 1}}, "16 to 64 bars"),
        ({"bars": {16: 0}}, "bars: weights"),
        ({"given": {"flute": 1}}, "unknown choice 'flute'"),
        ({"given": {"melody+bass+drums": 1}}, "unknown choice"),
        ({"forgetful": 1.5}, "forgetful must be 0 to 1"),
    ],
)
def test_bad_lessons(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MaskingOptions(**wrong)


def test_validation_windows_do_not_overlap(tmp_path: Path) -> None:
    song = groove_song(56)
    path = write_windows(tmp_path / "d.h5", song_windows(song, list(range(0, 41, 8))), ["x.mid"])
    windows = validation_windows(read_runs([path]), 600)
    assert (windows == song[: 48 * 16].reshape(3, 256, 3)).all()
    assert len(validation_windows(read_runs([path]), 2)) == 2


def test_densities_by_hand() -> None:
    tokens = np.zeros((128, 3), np.int64)
    tokens[[0, 4, 8], 0] = 40  # 3 notes in the first of 8 bars
    tokens[64::2, 1] = 20  # 8 notes a bar in the last four
    tokens[:64:2, 2] = 0b101  # 16 hits a bar in the first four
    classes = densities_of(tokens, 4)
    assert (classes[:64] == [1, 0, 5]).all()
    assert (classes[64:] == [0, 5, 0]).all()
    assert density_class("bass", 8.0) == 5
    assert density_class("drums", 0.0) == 0
    assert density_class("drums", 0.1) == 1
    assert density_class("drums", 99.0) == 7
