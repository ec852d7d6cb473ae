"""In place of the package pretty_midi, for machines without it: it can be imported, and does
nothing. (The benchmark of GPUs reads and writes no MIDI.)"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

pretty_midi = SimpleNamespace(MAX_TICK=10_000_000)  # the package's module of this name


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"pretty_midi.{name}: the package pretty_midi is not installed")

    return type(name, (), {"__init__": refuse})
