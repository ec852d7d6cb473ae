"""What may be chosen of an accompaniment, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from surrogate.options import AccompanyOptions


def test_parts() -> None:
    assert AccompanyOptions().made == ("bass", "drums")
    options = AccompanyOptions(given=("drums", "melody"))
    assert options.given == ("melody", "drums") and options.made == ("bass",)


def test_temperatures() -> None:
    assert AccompanyOptions(temperature=0.5).temperatures == (0.5,) * 3
    usual = AccompanyOptions().temperatures[0]
    assert AccompanyOptions(temperature={"bass": 0}).temperatures == (usual, 0, usual)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "wish"}, "unknown method 'wish'; choose one of: surrogate"),
        ({"keep": "some"}, "unknown keep 'some'"),
        ({"metre": "3/4"}, "unknown metre"),
        ({"harmony": "weak"}, "unknown harmony"),
        ({"given": ()}, "given must be some of melody, bass, drums"),
        ({"given": ("flute",)}, "given must be some of melody, bass, drums, not 'flute'"),
        ({"given": ("melody", "bass", "drums")}, "nothing to make"),
        ({"candidates": 0}, "candidates must be 1 to 64, not 0"),
        ({"seed": 2**70}, "seed must fit 64 bits"),
        ({"temperature": -1}, "temperature must be 0 or more, not -1"),
        ({"temperature": {"bass": -1}}, "temperature of bass must be 0 or more"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"temperature": {"flute": 1}}, "no part 'flute'; parts: melody, bass, drums"),
        ({"variety": -0.1}, "variety must be 0 to 10"),
        ({"dynamics": 3}, "dynamics must be 0 to 2, not 3"),
        ({"pickup": float("inf")}, "pickup must be 0 or more"),
        ({"attributes": {"density": 99}}, "density must be -10 to 10"),
        ({"density": 11}, "^density must be -10 to 10, not 11"),
        ({"swing": float("nan")}, "^swing must be -10 to 10"),
        ({"skip": ((3, 2),)}, "bars 3-2 are no range"),
        ({"skip": ((-1, 2),)}, "bars -1-2 are no range"),
    ],
)
def test_what_is_out_of_range(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AccompanyOptions(**wrong)
