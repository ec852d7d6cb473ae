"""Multitrack bars: windows as Magenta makes them of our songs, and notes as it writes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from paths import GOLDEN_FILES, load_script
from properties import examples

from musicvae_torch import get_config, get_converter
from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.multitrack import MULTITRACK_RULES
from musicvae_torch.converters.performance import (
    DRUMS,
    END,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM,
    TIME_SHIFT,
    VELOCITY,
    decode_performance,
)
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.notes import NOTE_DTYPE, PEDAL_DTYPE, Song
from musicvae_torch.midi.quantize import sections
from musicvae_torch.midi.sustain import sustained_notes

GOLDEN = GOLDEN_FILES / "multitrack_converter"
SONGS = sorted(path.stem for path in GOLDEN.glob("*.mid"))
PLAIN, CHORDS = "hier-multiperf_vel_1bar_med", "hier-multiperf_vel_1bar_med_chords"

BarNote = tuple[int, int, int, int]  # start step, end step, pitch, velocity bin
BarTrack = tuple[int, list[BarNote]]  # program, or DRUMS; notes

bar_notes = st.tuples(
    st.integers(0, 95),
    st.integers(1, 96),
    st.integers(0, 127) | st.integers(60, 62),
    st.integers(0, 7),
).map(lambda note: (note[0], min(note[0] + note[1], 96), *note[2:]))
bar_tracks = st.tuples(st.integers(0, DRUMS), st.lists(bar_notes, min_size=1, max_size=12))
some_bars = st.lists(bar_tracks, min_size=2, max_size=8).map(
    lambda tracks: sorted(tracks, key=lambda track: track[0])
)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def plain() -> Converter:
    return get_converter(PLAIN)


@pytest.fixture(scope="module")
def chords() -> Converter:
    return get_converter(CHORDS)


def stacked(windows: list[Window]) -> np.ndarray:
    parts = windows[0].tokens.shape[1]
    return np.array([window.tokens for window in windows]).reshape(-1, 512, parts)


def lengths(windows: list[Window]) -> np.ndarray:
    return np.array([np.asarray(window.length) for window in windows])


def bars(windows: list[Window]) -> list[int]:
    return [window.bar for window in windows]


@pytest.mark.parametrize("name", SONGS)
def test_windows_are_magentas(golden: dict[str, np.ndarray], plain: Converter, name: str) -> None:
    windows = plain.to_tensors(GOLDEN / f"{name}.mid")
    assert len(windows) == len(golden[name])
    assert np.array_equal(stacked(windows)[..., 0], golden[name])
    assert np.array_equal(lengths(windows), golden[f"{name}_lengths"])


@pytest.mark.parametrize("name", SONGS)
def test_windows_with_chords_are_magentas(
    golden: dict[str, np.ndarray], chords: Converter, name: str
) -> None:
    windows = chords.to_tensors(GOLDEN / f"{name}.mid")
    assert len(windows) == len(golden[f"{name}_chords"])
    assert np.array_equal(stacked(windows), golden[f"{name}_chords"])
    assert np.array_equal(lengths(windows), golden[f"{name}_chords_lengths"])


def test_the_songs_are_what_their_script_makes(tmp_path: Path) -> None:
    load_script(GOLDEN / "make_multitrack_songs.py").main(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == SONGS
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes(), path.name


def test_bars_beyond_the_limits_are_left_out(plain: Converter) -> None:
    assert bars(plain.to_tensors(GOLDEN / "many_events.mid")) == [0, 1, 3, 6, 8, 9]
    crowd = plain.to_tensors(GOLDEN / "crowd.mid")
    assert [len(window.instruments) for window in crowd] == [2, 3, 4, 5, 6, 7, 8]


def test_chords_that_rounding_moves_over_a_bar_line_cost_the_bar(
    plain: Converter, chords: Converter
) -> None:
    path = GOLDEN / "harmony.mid"
    lost = set(bars(plain.to_tensors(path))) - set(bars(chords.to_tensors(path)))
    assert lost == {7, 10, 13}
    song = load_song(path)
    bar_of_note = np.floor(song.notes["start"] * 98.5 / 240 + 0.01)
    elsewhere = (song.notes["instrument"] > 0) & (bar_of_note != 7)
    song = replace(song, notes=song.notes[~elsewhere])
    assert bars(plain.to_tensors(song)) == [7]
    assert chords.to_tensors(song) == []


def test_metres_without_chords_give_no_windows_with_chords(
    plain: Converter, chords: Converter
) -> None:
    """8/8 is as long as 4/4, but note-seq infers no chords there."""
    path = GOLDEN / "changes.mid"
    with_chords = chords.to_tensors(path)
    assert bars(with_chords) == bars(plain.to_tensors(path))[: len(with_chords)]
    assert len(plain.to_tensors(path)) - len(with_chords) == 3


def test_windows_know_where_they_were_found(plain: Converter) -> None:
    windows = plain.to_tensors(GOLDEN / "band.mid")
    assert bars(windows) == [0, 1, 2, 3, 4, 5]
    starts = [window.start for window in windows]
    assert starts == pytest.approx([bar * 240 / 97.3 for bar in range(6)], rel=1e-5)
    # Programs 0, 0, 33, 33, 56 and drums.
    assert windows[0].instruments == (2, 1, 3, 0, 4)
    assert windows[5].instruments == (2, 5, 1, 3, 0, 4)
    after_a_change = plain.to_tensors(GOLDEN / "changes.mid")[2]
    assert after_a_change.bar == 0
    assert after_a_change.start == pytest.approx((6 + 33 / 480) * 60 / 110, rel=1e-5)


def test_arrays_hold_the_tokens(chords: Converter) -> None:
    window = chords.to_tensors(GOLDEN / "harmony.mid")[0]
    used = np.arange(64) < np.repeat(window.length, 64).reshape(8, 64)
    for rows, depth in ((window.inputs, 490), (window.outputs, 490), (window.controls, 49)):
        assert rows.shape == (512, depth) and rows.dtype == bool
        assert np.array_equal(rows.sum(1), used.ravel())
    assert np.array_equal(window.inputs, window.outputs)
    assert np.array_equal(chords.to_tokens(window.outputs, window.controls), window.tokens)
    assert (chords.to_tokens(window.outputs)[:, 1] == -1).all()


def test_arrays_without_chords_have_no_controls(plain: Converter) -> None:
    window = plain.to_tensors(GOLDEN / "band.mid")[0]
    assert window.controls.shape == (512, 0)
    assert np.array_equal(plain.to_tokens(window.outputs), window.tokens)


def test_all_configs_have_rules() -> None:
    for name in MULTITRACK_RULES:
        windows = get_converter(name).to_tensors(GOLDEN / "band.mid", max_windows=2)
        assert bars(windows) == [0, 1]
        assert windows[0].controls.shape[1] == get_config(name).control_depth


def test_other_lengths_are_refused() -> None:
    longer = get_config(
        PLAIN, max_seq_len=1024, encoder_level_lengths=(64, 16), decoder_level_lengths=(16, 64)
    )
    with pytest.raises(ConfigError, match="max_seq_len must be 512, not 1024"):
        get_converter(longer)


def test_training_shifts_all_but_drums() -> None:
    path = GOLDEN / "many_events.mid"
    (bar,) = get_converter(PLAIN).to_tensors(path, max_windows=1)
    shifts = set()
    for seed in range(12):
        converter = get_converter(PLAIN, "train", seed)
        first = min(converter.to_tensors(path), key=lambda window: window.bar)
        is_note = (bar.tokens >= 0) & (bar.tokens < TIME_SHIFT)
        shift = (first.tokens - bar.tokens)[is_note]
        assert (shift == shift[0]).all() and np.array_equal(
            first.tokens[~is_note], bar.tokens[~is_note]
        )
        shifts.add(int(shift[0]))
    assert len(shifts) > 3 and min(shifts) >= -3 and max(shifts) <= 3


def test_tracks_of_one_program_come_in_the_songs_order(plain: Converter) -> None:
    midi = pretty_midi.PrettyMIDI()
    for index in range(20):
        track = pretty_midi.Instrument(program=5 if index > 7 else 6)
        pitch = 40 + index
        if index in (19, 8, 16, 0):
            track.notes = [pretty_midi.Note(90, pitch, 0, 1), pretty_midi.Note(9, pitch, 1, 2)]
        midi.instruments.append(track)
    (window,) = plain.to_tensors(midi)
    assert window.instruments == (8, 16, 19, 0)
    assert window.tokens[:, 0].reshape(8, 64)[:4, 2].tolist() == [48, 56, 59, 40]


def test_of_equal_pitches_the_first_to_start_is_the_first_to_end(plain: Converter) -> None:
    """Which matters to the order in which notes end: that of their starts."""
    midi = pretty_midi.PrettyMIDI()
    beats = [(0, 3, 60, 100), (1, 2, 60, 50), (0.5, 2, 70, 100)]
    for _ in range(2):
        track = pretty_midi.Instrument(0)
        track.notes = [pretty_midi.Note(v, p, start / 2, end / 2) for start, end, p, v in beats]
        midi.instruments.append(track)
    (window,) = plain.to_tensors(midi)
    expected = [
        *(PROGRAM, VELOCITY + 6, NOTE_ON + 60, TIME_SHIFT + 11, NOTE_ON + 70),
        *(TIME_SHIFT + 11, VELOCITY + 3, NOTE_ON + 60),
        *(TIME_SHIFT + 23, NOTE_OFF + 60, NOTE_OFF + 70, TIME_SHIFT + 23, NOTE_OFF + 60),
        *(TIME_SHIFT + 23, END),
    ]
    assert window.tokens[: len(expected), 0].tolist() == expected


def written(midi: pretty_midi.PrettyMIDI) -> list[list[tuple[float, ...]]]:
    return [
        sorted(
            (n.pitch, n.start, n.end, n.velocity, track.program, float(track.is_drum))
            for n in track.notes
        )
        for track in midi.instruments
    ]


def test_notes_are_magentas(chords: Converter) -> None:
    with np.load(GOLDEN / "notes.npz") as golden:
        for index, sample in enumerate(golden["samples"]):
            midi = chords.from_tensors(chords.outputs(sample), chords.controls(sample))
            notes = golden[f"notes{index}"]
            # The order of notes is no fact of the music.
            expected = [sorted(map(tuple, notes[notes[:, 6] == i, :6].tolist())) for i in range(8)]
            assert written(midi) == [track for track in expected if track]
            assert [chord.text for chord in midi.text_events] == golden[f"texts{index}"].tolist()
            assert [chord.time for chord in midi.text_events] == golden[f"times{index}"].tolist()


def test_midi_is_named_and_timed_as_magentas(plain: Converter) -> None:
    window = plain.to_tensors(GOLDEN / "band.mid")[5]
    midi = plain.from_tensors(window.outputs)
    assert [track.name for track in midi.instruments] == [
        "Acoustic Grand Piano",
        "Acoustic Grand Piano",
        "Electric Bass (finger)",
        "Electric Bass (finger)",
        "Trumpet",
        "Drums",
    ]
    assert midi.get_tempo_changes()[1] == pytest.approx([120])
    assert midi.resolution == 220
    assert midi.text_events == []
    slow = plain.from_tensors(window.outputs, qpm=60)
    assert slow.get_end_time() == pytest.approx(2 * midi.get_end_time())


def track_tokens(program: int, notes: list[BarNote]) -> list[int]:
    """A track as one would write it by hand, step by step."""
    ends: dict[int, list[int]] = {}
    for _, end, pitch, _ in sorted(notes, key=lambda note: note[1]):
        ends.setdefault(pitch, []).append(end)
    first_in_first_out = [
        (start, pitch, loudness, ends[pitch].pop(0))
        for start, _, pitch, loudness in sorted(notes, key=lambda note: note[0])
    ]
    in_order = sorted(first_in_first_out, key=lambda note: note[:2])
    tokens, last_step, last_bin = [PROGRAM + program], 0, -1
    for step in range(97):
        events = [NOTE_OFF + pitch for _, pitch, _, end in in_order if end == step]
        for start, pitch, loudness, _ in in_order:
            if start == step:
                events += [VELOCITY + loudness] * (loudness != last_bin) + [NOTE_ON + pitch]
                last_bin = loudness
        if step > last_step and (events or step == 96):
            tokens.append(TIME_SHIFT + step - last_step - 1)
            last_step = step
        tokens += events
    return [*tokens, END]


def bar_tokens(tracks: list[BarTrack]) -> np.ndarray:
    tokens = np.full((8, 64), -1, np.int16)
    tokens[:, 0] = END
    for row, (program, notes) in zip(tokens, tracks, strict=False):
        written = track_tokens(program, notes)
        row[: len(written)] = written
    return tokens.reshape(512, 1)


@examples(60)
@given(some_bars, st.sampled_from([120, 60, 97.3, 143.7]))
def test_bars_come_back_from_their_midi(tracks: list[BarTrack], qpm: float) -> None:
    plain = get_converter(PLAIN)
    tokens = bar_tokens(tracks)
    (window,) = plain.to_tensors(plain.from_tensors(plain.outputs(tokens), qpm=qpm))
    assert window.tokens.tolist() == tokens.tolist()
    assert lengths([window])[0].tolist() == (tokens.reshape(8, 64) >= 0).sum(1).tolist()
    assert window.instruments == tuple(range(len(tracks)))


@examples(60)
@given(st_numpy.arrays(np.int16, 64, elements=st.integers(0, 489) | st.integers(50, 70)))
def test_any_tokens_are_played_within_the_bar(tokens: np.ndarray) -> None:
    played = decode_performance(tokens)
    assert all(0 <= start < end <= 96 for start, end, _, _ in played.notes)
    assert 0 <= played.program < 128 and not (played.is_drum and played.program)
    before_end = tokens[: tokens.tolist().index(END)] if END in tokens else tokens
    heard = sorted(pitch for _, _, pitch, _ in played.notes)
    struck = sorted(before_end[before_end < NOTE_OFF].tolist())
    assert all(heard.count(pitch) <= struck.count(pitch) for pitch in set(heard))


def pedalled(
    notes: list[tuple[float, float, int]], pedals: list[tuple[float, bool]], is_drum: bool = False
) -> tuple[list[tuple[float, float, int]], float]:
    rows = [(start, end, pitch, 100, 0, is_drum, 0) for start, end, pitch in notes]
    song = Song(
        notes=np.array(rows, NOTE_DTYPE),
        tempos=np.array([[0, 120.0]]),
        time_signatures=np.zeros((0, 3)),
        end=max(end for _, end, _ in notes),
        pedals=np.array([(time, 0, down) for time, down in pedals], PEDAL_DTYPE),
    )
    (section,) = sections(song)
    sounding, end = sustained_notes(section, song.pedals)
    return sounding[["start", "end", "pitch"]].tolist(), end


@pytest.mark.parametrize(
    ("notes", "pedals", "sounding", "end"),
    [
        ([(1, 2, 60), (0, 9, 50)], [(0, True), (4, False)], [(0, 9, 50), (1, 4, 60)], 9),
        ([(1, 2, 60), (3, 4, 60)], [(0, True), (3.5, False)], [(1, 3, 60), (3, 4, 60)], 4),
        ([(1, 3, 60), (2, 4, 60)], [(2, True), (2.5, False)], [(1, 2, 60), (2, 4, 60)], 4),
        ([(1, 3, 60), (1, 4, 60)], [(1, True), (2, False)], [(1, 4, 60)], 4),
        ([(1, 2, 60), (0, 9, 50)], [(2, True), (4, False)], [(0, 9, 50), (1, 4, 60)], 9),
        ([(1, 2, 60), (0, 9, 50)], [(0, True), (2, False)], [(0, 9, 50), (1, 2, 60)], 9),
        ([(1, 2, 60), (0, 5, 50)], [(1, True)], [(0, 5, 50), (1, 5, 60)], 5),
        ([(1, 2, 60), (0, 5, 50)], [(1, True), (1, False)], [(0, 5, 50), (1, 2, 60)], 5),
    ],
    ids=[
        "let go",
        "struck again",
        "struck while it sounds",
        "struck twice at once",
        "caught as it ends",
        "let go as it ends",
        "never let go",
        "pressed and let go at once",
    ],
)
def test_pedal(
    notes: list[tuple[float, float, int]],
    pedals: list[tuple[float, bool]],
    sounding: list[tuple[float, float, int]],
    end: float,
) -> None:
    assert pedalled(notes, pedals) == (sounding, end)


def test_drums_have_no_pedal() -> None:
    assert pedalled([(0, 1, 36)], [(0, True)], is_drum=True) == ([(0, 1, 36)], 1)
