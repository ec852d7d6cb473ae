"""How a band holds together, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert (together, chance) == (pytest.approx(2 / 3), pytest.approx(2 / 6))


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
