"""In place of the package mido, for machines without it: it can be imported, and does nothing.
(The benchmark of GPUs reads and writes no MIDI.)"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"mido.{name}: the package mido is not installed")

    return type(name, (), {"__init__": refuse})
