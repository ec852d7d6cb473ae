"""What is said of a Keras file whose reading fails otherwise than by an exception."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from musicvae_torch.io.checkpoint_files import CheckpointError
from surrogate.accompany_music_vae import keras_hdf5

pytest.importorskip("h5py")


def crash(_: Path) -> None:
    os.abort()


def hang(_: Path) -> None:
    time.sleep(600)


def fill_memory(_: Path) -> bytes:
    return bytes(2 << 30)


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (crash, "made its reader crash"),
        (hang, r"took more than 60 s to read"),
        (fill_memory, "asks for more memory than it can need"),
    ],
)
def test_one_line_names_the_file(
    read: Callable[[Path], object],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"anything")
    monkeypatch.setattr(keras_hdf5, "_read", read)
    if read is hang:
        monkeypatch.setattr(keras_hdf5, "_MAX_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=f"model.h5: {reason}: it is damaged"):
        keras_hdf5.read_keras_hdf5(path)
    assert time.monotonic() - started < 30
    assert capfd.readouterr() == ("", "")
