"""Calls in a process of their own, that fail as they may."""

from __future__ import annotations

import os
import time

import pytest

from convert_weights.formats.subprocess_call import call_guarded
from musicvae_torch.errors import CheckpointError

MEMORY = 1 << 30


def test_gives_the_result_and_raises_the_error() -> None:
    assert call_guarded(divmod, 17, 5, seconds=60, memory=MEMORY) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        call_guarded(divmod, 1, 0, seconds=60, memory=MEMORY)


def test_ends_what_hangs() -> None:
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=r"more than 0.5 s"):
        call_guarded(time.sleep, 60, seconds=0.5, memory=MEMORY)
    assert time.monotonic() - started < 30


def test_survives_a_crash() -> None:
    with pytest.raises(CheckpointError, match="made its reader crash"):
        call_guarded(os.abort, seconds=60, memory=MEMORY)


def test_limits_the_memory() -> None:
    pytest.importorskip("resource")
    assert len(call_guarded(bytes, 1 << 20, seconds=60, memory=MEMORY)) == 1 << 20
    with pytest.raises(CheckpointError, match="more memory than it can need"):
        call_guarded(bytes, 2 << 30, seconds=60, memory=MEMORY)
