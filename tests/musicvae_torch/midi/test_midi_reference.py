"""Converters against what real Magenta made of real MIDI files, which the repo cannot hold.

In the folder that MUSICVAE_SHARED names, magenta/midi_reference has the files and, for each
config, CONFIG.npz with their windows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from magenta_models import SHARED

from musicvae_torch.config import get_config
from musicvae_torch.converters.base import Window, one_hot
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.fast import read_song
from musicvae_torch.midi.notes import Song, read_midi, to_song

REFERENCE = Path(SHARED or "") / "magenta" / "midi_reference"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED, reason="MUSICVAE_SHARED names no folder with MIDI files"),
]


def load(path: Path, fast: bool) -> Song | str:
    try:
        return read_song(path) if fast else to_song(read_midi(path))
    except MidiError as error:
        return str(error)


@pytest.fixture(scope="module", params=[False, True], ids=["pretty_midi", "read_song"])
def songs(request: pytest.FixtureRequest) -> dict[str, Song | str]:
    """Every file as a song, or the error that it gave."""
    return {path.name: load(path, request.param) for path in (REFERENCE / "files").iterdir()}


def digest(*arrays: np.ndarray) -> bytes:
    """Of a window's inputs, outputs, controls and length."""
    *rows, length = arrays
    tracks = length.size
    # Tracks of one program come in CPython's set order in Magenta: here, in that of their content.
    cut = [np.split(part, tracks) for part in (*rows, np.atleast_1d(length))]
    pieces = sorted(b"".join(part.tobytes() for part in track) for track in zip(*cut, strict=True))
    return hashlib.sha256(b"".join(pieces)).digest()


def ours(windows: list[Window]) -> Counter[bytes]:
    return Counter(
        digest(
            window.inputs.astype(np.float32),
            window.outputs.astype(np.float32),
            window.controls.astype(np.float32),
            np.asarray(window.length, np.int64),
        )
        for window in windows
    )


def theirs(arrays: dict[str, np.ndarray], number: int, depths: tuple[int, ...]) -> Counter[bytes]:
    def rows(part: str) -> np.ndarray | None:
        key = f"f{number}_{part}"
        if f"{key}_indices" in arrays:
            parts = arrays[f"{key}_indices"]
            return one_hot(parts.astype(np.int64), depths, np.float32)
        if f"{key}_bits" in arrays:
            depth = int(arrays[f"{key}_depth"])
            return np.unpackbits(arrays[f"{key}_bits"], axis=-1)[..., :depth].astype(np.float32)
        return arrays.get(key)

    count = int(arrays[f"f{number}_n"])
    outputs = rows("outputs") if count else None
    if outputs is None:
        return Counter()
    inputs, controls = rows("inputs"), rows("controls")
    inputs = outputs if inputs is None else inputs
    controls = np.zeros((*outputs.shape[:2], 0), np.float32) if controls is None else controls
    lengths = arrays[f"f{number}_lengths"].astype(np.int64)
    return Counter(
        digest(*(part.astype(np.float32) for part in window[:3]), window[3])
        for window in zip(inputs, outputs, controls, lengths, strict=True)
    )


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.npz")), ids=lambda path: path.stem)
def test_every_file_gives_magentas_windows(path: Path, songs: dict[str, Song | str]) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    mode = "infer" if path.stem.startswith("groovae") else "eval"
    converter = get_converter(path.stem, mode)
    depths = get_config(path.stem).output_depths
    refused = []
    for number, name in enumerate(arrays["files"].tolist()):
        song = songs[Path(name).name]
        try:
            found = None if isinstance(song, str) else converter.to_tensors(song)
        except MidiError:
            found = None
        if f"f{number}_n" not in arrays:
            refused.append(name)  # by Magenta; ours may read it, as players do
            continue
        assert found is not None, f"{name}: {song}"
        assert ours(found) == theirs(arrays, number, depths), name
    assert 0 < len(refused) < len(arrays["files"]) / 2
