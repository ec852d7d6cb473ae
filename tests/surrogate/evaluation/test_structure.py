"""How a band holds together, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from surrogate.evaluation.columns import structure, tonality
from surrogate.evaluation.structure import (
    bars_with_toms,
    bass_on_kick,
    distinct_bars,
    repeats,
    share_at_phrase_end,
)

KICK, SNARE, LOW_TOM, HIGH_TOM, RIDE = 1, 2, 1 << 4, 1 << 6, 1 << 8
A, B = 20, 27  # classes of two bass or melody notes


def bars(*written: dict[int, int]) -> np.ndarray:
    """(steps,) classes of bars, each as step → class."""
    tokens = np.zeros((len(written), 16), np.int64)
    for bar, own in enumerate(written):
        for step, token in own.items():
            tokens[bar, step] = token
    return tokens.reshape(-1)


def test_bass_on_kick() -> None:
    bass = bars({0: A, 8: B}, {0: A, 6: B, 12: 1})  # an end is no onset
    drums = bars({0: KICK, 8: KICK | SNARE, 4: SNARE}, {0: KICK, 6: KICK})
    # All four onsets have a kick; against the other bar's kicks the two on step 0 have.
    assert bass_on_kick(bass, drums) == (1.0, 0.5)
    # What all bars share by the metre is chance, however well it fits.
    same = bass_on_kick(bars(*[{0: A, 8: A}] * 4), bars(*[{0: KICK, 8: KICK}] * 4))
    assert same == (1.0, 1.0)
    assert bass_on_kick(bass, bars({4: SNARE}, {4: SNARE})) == (0.0, 0.0)


def test_chance_is_of_all_other_bars() -> None:
    bass = bars({0: A, 3: A}, {}, {5: A})
    drums = bars({3: KICK}, {0: KICK, 3: KICK}, {5: KICK})
    # Together: 3 in bar 1, 5 in bar 3. By chance: bar 1 against 2 has two, against 3 none; bar 3
    # against the others none: 2 of 3 onsets * 2 other bars.
    together, chance = bass_on_kick(bass, drums)
    assert (together, chance) == pytest.approx((2 / 3, 2 / 6))


def test_nothing_to_lock() -> None:
    bass, drums = bars({0: A}, {0: A}), bars({0: KICK}, {0: KICK})
    for one in (bass_on_kick(bass * 0, drums), bass_on_kick(bass, drums * 0)):
        assert np.isnan(one).all()
    assert np.isnan(bass_on_kick(bass[:16], drums[:16])).all()


def test_fills_and_where_they_fall() -> None:
    drums = bars({0: KICK}, {0: LOW_TOM}, {4: RIDE}, {8: KICK | HIGH_TOM}, *[{}] * 3, {15: LOW_TOM})
    fills = bars_with_toms(drums)
    assert np.flatnonzero(fills).tolist() == [1, 3, 7]
    assert share_at_phrase_end(fills, 4) == pytest.approx(2 / 3)
    assert share_at_phrase_end(fills, 8) == pytest.approx(1 / 3)
    assert np.isnan(share_at_phrase_end(np.zeros(8, bool), 4))


def test_distinct_bars() -> None:
    groove, fill = {0: KICK, 8: SNARE}, {12: LOW_TOM}
    sixteen = [groove, groove, groove, fill] * 4
    assert distinct_bars(bars(*sixteen)) == 2 / 16
    # Whole blocks alone count where there are any; the silent bar is one more of its block.
    assert distinct_bars(bars(*sixteen, *[groove] * 15, {}, fill)) == 2 / 16
    assert distinct_bars(bars(groove, fill, groove, {})) == 3 / 4
    assert np.isnan(distinct_bars(np.zeros(0, np.int64)))


def test_repeats_of_a_bass() -> None:
    melody = bars({0: A}, {2: A}, {4: A}, {6: A}, {0: A}, {2: A})
    # Bars 1 and 5 have the same melody, and 2 and 6; the bass shares one event of three, and all.
    bass = bars({0: A, 8: A}, {0: B}, {}, {3: B}, {0: A, 8: B, 12: 1}, {0: B})
    same, every = repeats(bass, "bass", melody)
    assert same == pytest.approx((1 / 3 + 1) / 2)
    # Of 15 pairs none is of two silent bars; four share anything: 1-5 a third, 2-6 all.
    assert every == pytest.approx((1 / 3 + 1) / 15)


def test_repeats_of_drums() -> None:
    melody = bars(*[{0: A}] * 5)
    # What is struck together counts as one: kick with snare is another hit than the kick.
    drums = bars({0: KICK, 8: SNARE}, *[{}] * 3, {0: KICK | SNARE, 8: SNARE})
    same, every = repeats(drums, "drums", melody)
    assert same == pytest.approx(1 / 3)
    # Silent pairs (3 of 10) are left out.
    assert every == pytest.approx((1 / 3) / 7)


def test_near_bars_and_rests_return_nothing() -> None:
    melody, bass = bars(*[{0: A}] * 4), bars(*[{0: B}] * 4)
    assert np.isnan(repeats(bass, "bass", melody)[0])  # none is four bars away
    resting = repeats(bars(*[{0: B}] * 8), "bass", bars(*[{}] * 8))
    assert np.isnan(resting[0]) and resting[1] == 1.0


def test_columns_of_a_band() -> None:
    """Each column is of what its name says: a case in which no two of them agree."""
    tune, answer = {0: A, 4: B}, {0: B}
    melody = bars(
        tune, answer, *[{0: A + 1}, {0: A + 2}], tune, *[{0: A + 3 + n} for n in range(3)]
    )
    bass = bars({0: A, 8: A}, {4: A}, {0: A}, {}, {0: A, 8: B}, {}, {}, {})
    groove = {0: KICK, 8: SNARE}
    drums = bars(
        groove, groove, groove, {0: LOW_TOM}, groove, {2: LOW_TOM}, {}, {0: KICK | LOW_TOM}
    )
    parts = {"melody": melody, "bass": bass, "drums": drums}
    scores = structure(parts, ("bass", "drums"))
    # Three of six bass onsets have a kick, all on step 0, where four of seven other bars kick.
    assert scores["bass on kick beyond chance"] == pytest.approx(3 / 6 - 3 * 4 / 42)
    assert scores["bars with toms"] == 3 / 8
    assert scores["tom bars that end 4"] == pytest.approx(2 / 3)
    assert scores["tom bars that end 8"] == pytest.approx(1 / 3)
    assert scores["distinct drum bars in 16"] == 5 / 8
    # Bars 1 and 5: one event of three. Of the 28 pairs 22 have any: 1-5 a third, 1-3 and 3-5 half.
    assert scores["bass repeats"] == pytest.approx(1 / 3)
    every = (1 / 3 + 1 / 2 + 1 / 2) / 22
    assert scores["bass repeats beyond any bars"] == pytest.approx(1 / 3 - every)
    assert scores["drums repeats"] == 1.0
    # The four grooves are alike in six pairs; nothing else shares an event.
    assert scores["drums repeats beyond any bars"] == pytest.approx(1 - 6 / 28)
    assert "bass repeats" not in structure(parts, ("drums",))


def test_silent_drums_have_no_columns_of_drums() -> None:
    silent = np.zeros(64, np.int64)
    scores = structure({"melody": silent, "bass": silent, "drums": silent}, ("bass", "drums"))
    assert np.isnan(list(scores.values())).all()


def test_tonality_is_of_the_bass_and_of_both() -> None:
    c, g, f_sharp = (pitch - 21 + 2 for pitch in (60, 67, 66))
    parts = {"melody": bars({0: c, 4: g, 8: c, 12: g}), "bass": bars({0: c, 4: f_sharp})}
    scores = tonality(parts, ("bass",))
    assert scores["bass pitch-class entropy"] == 1.0
    assert scores["bass scale consistency"] == 1.0  # G major has both
    # Of six notes three are C, two G, one F sharp.
    shares = np.array([3, 2, 1]) / 6
    assert scores["pitch-class entropy"] == pytest.approx(-(shares * np.log2(shares)).sum())
    assert scores["scale consistency"] == 1.0  # G major has all three
