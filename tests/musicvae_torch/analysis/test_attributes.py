"""What is measured of windows: by hand, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up, tiny
from properties import examples

from musicvae_torch.analysis.attributes import (
    ATTRIBUTES,
    WindowParts,
    attribute_names,
    average_interval,
    hit_density,
    measure,
    onset_density,
    register,
    swing,
    syncopation,
    window_parts,
)
from musicvae_torch.dataset import transpose
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.vocabulary import FIRST_NOTE, MIN_PITCH, NOTE_OFF


def onsets(*bars: str) -> np.ndarray:
    """(1, steps): "x" starts a note, whatever else does not."""
    return np.array([[step == "x" for bar in bars for step in bar.replace(" ", "")]])


def melody(steps: int, **notes: int) -> np.ndarray:
    """(1, steps) classes of notes, such as s4=60."""
    tokens = np.zeros((1, steps), np.int16)
    for step, pitch in notes.items():
        tokens[0, int(step[1:])] = pitch - MIN_PITCH + FIRST_NOTE
    return tokens


def test_onset_density_is_a_bar() -> None:
    two_bars = onsets("x... x... x... x...", ".... .... .x.. ....")
    assert onset_density(two_bars).tolist() == [2.5]
    assert onset_density(onsets("." * 16)).tolist() == [0]
    assert onset_density(onsets("x" * 16)).tolist() == [16]


def test_hit_density_counts_each_drum() -> None:
    rolls = np.zeros((1, 32, 9), bool)
    rolls[0, 0, [0, 7]] = True  # kick and crash together
    rolls[0, 20, 1] = True
    assert hit_density(rolls).tolist() == [1.5]


def test_register_is_the_mean_pitch_of_notes() -> None:
    tokens = melody(16, s0=60, s3=64, s5=71)
    tokens[0, 9] = NOTE_OFF
    assert register(tokens).tolist() == [65]
    assert math.isnan(register(np.array([[0, NOTE_OFF, -1, 0]]))[0])


def test_average_interval_is_of_neighbours_whatever_lies_between() -> None:
    tokens = np.concatenate([melody(16, s0=60, s3=64, s5=57), melody(16, s15=90), melody(16)])
    tokens[0, 1] = NOTE_OFF
    # 4 up and 7 down; nothing from window to window.
    assert average_interval(tokens)[0] == 5.5
    assert np.isnan(average_interval(tokens)).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("rhythm", "expected"),
    [
        ("x... x... x... x...", 0),
        # On the last eighth of a bar and held over the bar line: 0 - -3; the first is on it.
        ("x... .... .... ..x.|.... .... .... ....", (0 + 3) / 2),
        # The same, but the bar line is played on.
        ("x... .... .... ..x.|x... .... .... ....", 0),
        # The second sixteenth held over the second eighth and on over the beat: -2 - -4.
        (".x.. .... x... ....", (2 + 0) / 2),
        # Swung eighths lead on to the beat.
        ("x..x x..x x..x x..x", 0),
        # After the last note the window ends.
        ("x... .... .... ...x", 0),
        # Each third eighth: 0, then 6 over 8 (-1 - -3), 12 over nothing stronger.
        ("x... ..x. .... x...", (0 + 2 + 0) / 3),
    ],
)
def test_syncopation(rhythm: str, expected: float) -> None:
    assert syncopation(onsets(*rhythm.split("|")))[0] == pytest.approx(expected)


def test_nothing_is_not_syncopated_and_does_not_swing() -> None:
    silent = onsets("." * 16)
    assert np.isnan(syncopation(silent)).all() and np.isnan(swing(silent)).all()


@pytest.mark.parametrize(
    ("rhythm", "expected"),
    [
        ("x.x. x.x. x.x. x.x.", 0),
        ("x..x x..x x... ...x", 1),
        # Two straight, one late; a run of sixteenths, a beat with two off it, and one with an
        # onset on its second sixteenth say nothing.
        ("x.x. ..x. x..x xxxx|x.xx xx.. .... xx.x", 1 / 3),
        ("x... xxxx .x.. ....", math.nan),
    ],
)
def test_swing(rhythm: str, expected: float) -> None:
    assert swing(onsets(*rhythm.split("|")))[0] == pytest.approx(expected, nan_ok=True)


def test_swing_looks_at_each_part_for_itself() -> None:
    straight, late = onsets("x.x. x.x. x.x. x..."), onsets("x..x x... x... x...")
    # Laid upon each other, the first beat would say nothing.
    assert swing(straight, late).tolist() == [0.25]


def test_a_trio_worked_by_hand() -> None:
    tokens = np.zeros((1, 256, 3), np.int16)
    tokens[..., 0] = melody(256, s0=60, s2=62, s16=67)
    tokens[..., 1] = melody(256, s0=36)
    tokens[0, 3, 2] = 0b101  # kick and closed hi-hat
    values = {name: float(column[0]) for name, column in measure(parts(tokens)).items()}
    assert values == pytest.approx(
        {
            "density": 5 / 16,
            "melody_density": 3 / 16,
            "band_density": 2 / 16,
            "bass_density": 1 / 16,
            "drum_density": 2 / 16,
            "drum_steps": 1 / 16,
            "register": 63,
            "bass_register": 36,
            "interval": 3.5,
            # That on step 2 is held over the middle of the bar, -1 against -3.
            "syncopation": 2 / 3,
            # The melody's is straight, the drums' late.
            "swing": 0.5,
        }
    )


def parts(tokens: np.ndarray) -> WindowParts:
    return window_parts(tiny("hier-trio_16bar"), tokens)


@examples(15)
@given(st.integers(0, 2**32 - 1), st.integers(-7, 7))
def test_another_key_changes_registers_alone(seed: int, shift: int) -> None:
    config = tiny("hier-trio_16bar")
    windows = made_up(config, 2, seed).tokens
    # Notes of pitches that stay within what is modelled.
    windows[..., :2] = np.where(windows[..., :2] < FIRST_NOTE, windows[..., :2], 0)
    rng = np.random.default_rng(seed)
    notes = rng.random(windows[..., :2].shape) < 0.2
    pitches = rng.integers(40, 90, notes.shape) - MIN_PITCH + FIRST_NOTE
    windows[..., :2] = np.where(notes, pitches, windows[..., :2])
    moved = np.stack([transpose(window, shift) for window in windows])
    before, after = measure(parts(windows)), measure(parts(moved))
    for name, column in before.items():
        by = shift if ATTRIBUTES[name].unit == "MIDI pitch" else 0
        assert np.allclose(after[name], column + by), name


@examples(15)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_values_lie_in_their_ranges(seed: int, share: float) -> None:
    windows = made_up(tiny("hier-trio_16bar"), 3, seed).tokens
    silent = np.random.default_rng(seed).random(windows.shape) < share
    values = measure(parts(np.where(silent, 0, windows)))
    limits = {"density": 48, "band_density": 32, "drum_density": 144, "interval": 87}
    limits |= {"syncopation": 4, "swing": 1, "register": 108, "bass_register": 108}
    for name, column in values.items():
        known = column[~np.isnan(column)]
        assert (known >= 0).all() and (known <= limits.get(name, 16)).all(), name
    both = values["bass_density"] + values["drum_steps"]
    assert np.allclose(values["band_density"], both)
    assert np.allclose(values["density"], both + values["melody_density"])
    assert (values["drum_steps"] <= values["drum_density"]).all()


@examples(15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_whole_bars_later_is_the_same_rhythm(seed: int, bars: int) -> None:
    rng = np.random.default_rng(seed)
    played = rng.random((2, 256)) < 0.3
    played[:, -16:] = False  # so that nothing is held over the end
    played[:, 0] = True
    later = np.roll(played, 16 * bars, axis=1)
    assert np.array_equal(onset_density(played), onset_density(later))
    assert np.allclose(swing(played), swing(later))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat-mel_2bar_small", {"density", "register", "interval", "syncopation", "swing"}),
        ("cat-mel_2bar_med_chords", {"density", "register", "interval", "syncopation", "swing"}),
        ("cat-drums_2bar_small", {"density", "drum_density", "swing"}),
        ("nade-drums_2bar_full", {"density", "drum_density", "swing"}),
        ("groovae_2bar_humanize", {"density", "drum_density", "swing"}),
        ("hier-trio_16bar", set(ATTRIBUTES)),
    ],
)
def test_each_kind_of_windows_has_its_attributes(name: str, expected: set[str]) -> None:
    config = tiny(name)
    windows = made_up(config, 4)
    found = window_parts(config, windows.tokens)
    values = measure(found)
    assert set(values) == set(attribute_names(found.names)) == expected
    assert all(column.shape == (4,) for column in values.values())
    assert np.isfinite(values["density"]).all()


def test_rows_of_zeros_are_no_notes() -> None:
    tokens = np.full((1, 32, 1), -1, np.int16)
    values = measure(window_parts(tiny("cat-mel_2bar_small"), tokens))
    assert values["density"].tolist() == [0] and np.isnan(values["register"]).all()


def test_what_has_no_attributes_is_refused() -> None:
    config = tiny("hier-multiperf_vel_1bar_med")
    with pytest.raises(ConfigError, match="melodies, drums, grooves and trios"):
        window_parts(config, made_up(config, 1).tokens)
    with pytest.raises(ValueError, match="no part 'bass' here, only melody"):
        WindowParts(melody=np.zeros((1, 16))).part("bass")
