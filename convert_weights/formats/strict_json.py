"""Reading JSON files that may be malformed: each field is checked for its type."""

import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from musicvae_torch.errors import CheckpointError

_MAX_BYTES = 16 << 20  # a weights manifest of Magenta's largest model takes 10 KB
_KINDS = {
    bool: "true or false",
    dict: "an object",
    int: "a whole number",
    list: "a list",
    str: "text",
}

Kind = TypeVar("Kind")


def read_json(files: Mapping[str, FileRange], name: str) -> Any:
    """The content of the JSON file `name` in a folder whose files are given by name.

    Raises CheckpointError if there is no such file, or it is not JSON or absurdly long.
    """
    if name not in files:
        raise CheckpointError(f"{name}: there is no such file, expected it beside {sorted(files)}")
    with located(files[name].label):
        try:
            return json.loads(files[name].read(_MAX_BYTES))
        except OSError as error:
            raise CheckpointError(str(error.strerror)) from None
        except RecursionError:
            raise CheckpointError("is nested too deeply, expected JSON of a few levels") from None
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(f"is not JSON: {error}") from None


def field(data: Any, key: str, kind: type[Kind], default: Kind | None = None) -> Kind:
    """The value of `key` in a JSON object.

    Raises CheckpointError if `data` is no object, the value is of another type than `kind`, or it
    is missing or null and there is no default.
    """
    if not isinstance(data, dict):
        raise CheckpointError(f"{shown(data)} is no object, expected one with {key!r}")
    value = data.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not kind:
        raise CheckpointError(f"{key!r} is {shown(value)}, expected {_KINDS[kind]}")
    return value


def number(data: Any, key: str) -> float:
    """The finite number under `key` of a JSON object. Raises CheckpointError otherwise."""
    value = data.get(key) if isinstance(data, dict) else None
    # An int may be too long for a float.
    if isinstance(value, float) and math.isfinite(value):
        return value
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    raise CheckpointError(f"{key!r} is {shown(value)}, expected a number")


def shown(value: Any) -> str:
    """A JSON value as text for a message, in one line and cut short."""
    return "missing" if value is None else reprlib.repr(value)
