"""What may be chosen of an accompaniment, and what not."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, replace
from typing import Any

import pytest

from surrogate.options import AccompanyOptions


def test_parts() -> None:
    assert AccompanyOptions().made == ("bass", "drums")
    options = AccompanyOptions(given=("drums", "melody"))
    assert options.given == ("melody", "drums") and options.made == ("bass",)


def test_temperatures() -> None:
    assert AccompanyOptions(temperature=0.5).temperatures == (0.5,) * 3
    melody, _, drums = AccompanyOptions().temperatures
    assert AccompanyOptions(temperature={"bass": 0}).temperatures == (melody, 0, drums)


def test_options_can_be_hashed() -> None:
    """As keys, say, of results that are kept; equal options are one key, in whatever order."""
    chosen: dict[str, Any] = {
        "temperature": {"bass": 0.5, "drums": 1},
        "attributes": {"register": 1.0},
    }
    other: dict[str, Any] = {
        "temperature": {"drums": 1.0, "bass": 0.5},
        "attributes": {"register": 1},
    }
    options = AccompanyOptions(**chosen)
    assert {options: "a band"}[AccompanyOptions(**other)] == "a band"
    assert len({options, AccompanyOptions(), AccompanyOptions(temperature={"bass": 0.5})}) == 3
    lists: dict[str, Any] = {"skip": [[1, 2]], "given": ["melody"]}
    assert hash(AccompanyOptions(**lists)) == hash(AccompanyOptions(skip=((1, 2),)))


def test_mappings_are_as_dicts_that_do_not_change() -> None:
    temperature = {"bass": 0.5}
    options = AccompanyOptions(temperature=temperature, attributes={"register": 1})
    temperature["bass"] = 2.0
    assert options.temperature == {"bass": 0.5} and options.attributes == {"register": 1}
    assert "temperature={'bass': 0.5}" in repr(options)
    assert replace(options, seed=3).attributes == {"register": 1}
    assert json.loads(json.dumps(asdict(options)))["temperature"] == {"bass": 0.5}
    for same in (pickle.loads(pickle.dumps(options)), copy.deepcopy(options), replace(options)):
        assert same == options and hash(same) == hash(options)
    attributes: Any = options.attributes
    for change in (
        lambda: attributes.update(register=2),
        lambda: attributes.__setitem__("register", 2),
        lambda: attributes.pop("register"),
        attributes.clear,
        lambda: attributes.setdefault("swing", 1),
    ):
        with pytest.raises(TypeError, match="options do not change"):
            change()
    attributes |= {"swing": 1}
    assert options.attributes == {"register": 1} and attributes == {"register": 1, "swing": 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "wish"}, "unknown method 'wish'; choose one of: band"),
        ({"keep": "some"}, "unknown keep 'some'"),
        ({"metre": "3/4"}, "unknown metre"),
        ({"harmony": "weak"}, "unknown harmony"),
        ({"given": ()}, "given must be some of melody, bass, drums"),
        ({"given": ("flute",)}, "given must be some of melody, bass, drums, not 'flute'"),
        ({"given": ("melody", "bass", "drums")}, "nothing to make"),
        ({"candidates": 0}, "candidates must be 1 to 64, not 0"),
        ({"seed": 2**70}, "seed must be -9223372036854775808 to 92"),
        ({"temperature": -1}, "temperature must be at least 0, not -1"),
        ({"temperature": {"bass": -1}}, "temperature of bass must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"temperature": {"flute": 1}}, "no part 'flute'; parts: melody, bass, drums"),
        ({"variety": -0.1}, "variety must be 0 to 10"),
        ({"dynamics": 3}, "dynamics must be 0 to 2, not 3"),
        ({"pickup": float("inf")}, "pickup must be at least 0"),
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
