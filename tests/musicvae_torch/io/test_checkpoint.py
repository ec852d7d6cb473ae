"""Checkpoint folders: what is stored comes back to the bit, and what is broken is refused."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import CheckpointError, OutputError
from musicvae_torch.io import checkpoint as pretrained
from musicvae_torch.io.checkpoint import read_config, shipped_checkpoint
from musicvae_torch.io.files import replacing
from musicvae_torch.model.lstm import FORGET_BIAS, LSTMWeights
from musicvae_torch.model.vae import MusicVAE

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SIZES = MusicVAEConfig(
    name="tiny",
    max_seq_len=8,
    input_depth=15,
    output_depths=(6, 5, 4),
    z_size=4,
    enc_rnn_size=(8, 6),
    dec_rnn_size=(8, 6),
    decoder_level_lengths=(2, 4),
)


@pytest.fixture
def model() -> MusicVAE:
    torch.manual_seed(0)
    return MusicVAE(SIZES)


@pytest.fixture
def folder(model: MusicVAE, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_float32_comes_back_to_the_bit(model: MusicVAE, folder: Path) -> None:
    again = MusicVAE.from_pretrained(str(folder))
    assert again.config == model.config
    assert not again.training
    theirs = again.state_dict()
    assert list(theirs) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert theirs[name].dtype == torch.float32 and torch.equal(theirs[name], tensor), name
    rows = torch.eye(15)[torch.randint(15, (2, 8))]
    assert torch.equal(again.encode(rows).mean, model.eval().encode(rows).mean)


def test_the_forget_bias_is_a_constant_outside_the_weights(folder: Path) -> None:
    layers = [m for m in MusicVAE.from_pretrained(folder).modules() if isinstance(m, LSTMWeights)]
    assert len(layers) == 2 * 2 + 2 + 3 * 2
    for layer in layers:
        expected = torch.zeros(4, layer.units)
        expected[1] = FORGET_BIAS
        assert torch.equal(layer.forget_bias, expected.flatten())
        assert not layer.forget_bias.requires_grad and layer.bias.requires_grad
    assert not any("forget_bias" in name for name in load_file(folder / WEIGHTS))


def test_float16_halves_the_file_and_loads_as_float32(
    model: MusicVAE, folder: Path, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "half", dtype=torch.float16)
    stored = load_file(tmp_path / "half" / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    again = MusicVAE.from_pretrained(tmp_path / "half").state_dict()
    for name, tensor in model.state_dict().items():
        assert again[name].dtype == torch.float32
        assert torch.equal(again[name], tensor.half().float()), name
    half, full = (f.stat().st_size for f in (tmp_path / "half" / WEIGHTS, folder / WEIGHTS))
    assert half < 0.7 * full


def test_a_loaded_model_can_be_trained_without_touching_the_file(folder: Path) -> None:
    before = contents(folder)
    model = MusicVAE.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.requires_grad
            parameter.add_(1)
    model.save_pretrained(folder)
    assert contents(folder) != before
    again = MusicVAE.from_pretrained(folder)
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_records_are_kept(model: MusicVAE, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, records={"provenance": {"steps": 3}})
    config = read_config(tmp_path)
    assert config["provenance"] == {"steps": 3}
    assert MusicVAEConfig.from_dict(config["model"]) == SIZES
    MusicVAE.from_pretrained(tmp_path)


def edit(**changes: Any) -> Callable[[Path], object]:
    """A fault: other entries in config.json."""

    def apply(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        (folder / CONFIG).write_text(json.dumps({**config, **changes}), encoding="utf-8")

    return apply


def write(name: str, data: bytes) -> Callable[[Path], object]:
    """A fault: other contents of a file."""
    return lambda folder: (folder / name).write_bytes(data)


def truncate(size: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / WEIGHTS, size)


def sized(**sizes: Any) -> Callable[[Path], object]:
    return edit(model={**SIZES.to_dict(), **sizes})


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (lambda folder: (folder / CONFIG).unlink(), CONFIG),
        (write(CONFIG, b""), CONFIG),
        (write(CONFIG, b"{"), CONFIG),
        (write(CONFIG, b"\xff\xfe"), CONFIG),
        (write(CONFIG, b"[1]"), CONFIG),
        (edit(format_version=2), CONFIG),
        (edit(format_version=None), CONFIG),
        (edit(kind="surrogate"), CONFIG),
        (edit(kind=None), CONFIG),
        (edit(model=None), CONFIG),
        (edit(model=[1]), CONFIG),
        (edit(model={}), CONFIG),
        (sized(zsize=4), CONFIG),
        (sized(z_size="4"), CONFIG),
        (sized(z_size=10**18), CONFIG),
        (sized(z_size=10**30), CONFIG),
        (sized(z_size=5), WEIGHTS),
        (sized(z_size=2**24), WEIGHTS),
        (sized(enc_rnn_size=[8, 6, 6]), WEIGHTS),
        (sized(enc_rnn_size=[8]), WEIGHTS),
        (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
        (write(WEIGHTS, b""), WEIGHTS),
        (write(WEIGHTS, b"no tensors in here at all"), WEIGHTS),
        (truncate(5), WEIGHTS),
        (truncate(300), WEIGHTS),
        (truncate(6000), WEIGHTS),
    ],
)
def test_broken_checkpoints_are_refused_in_one_line(
    folder: Path, damage: Callable[[Path], object], file: str
) -> None:
    assert (folder / WEIGHTS).stat().st_size > 6000
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        MusicVAE.from_pretrained(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message and file in message


def test_unknown_shipped_checkpoint() -> None:
    with pytest.raises(CheckpointError, match="'nonsense'"):
        shipped_checkpoint("nonsense")


def test_an_interrupted_save_leaves_the_old_files(
    model: MusicVAE, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)

    def full_disk(_weights: object, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half of")
        raise OSError("no space left on device")

    monkeypatch.setattr(pretrained, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        model.save_pretrained(folder, records={"new": True})
    assert contents(folder) == before


def test_records_that_are_not_json_leave_the_old_files(model: MusicVAE, folder: Path) -> None:
    before = contents(folder)
    torch.nn.init.zeros_(model.encoder.mean.weight)
    with pytest.raises(TypeError):
        model.save_pretrained(folder, records={"new": object()})
    assert contents(folder) == before


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "notes.txt"
    with replacing(target) as path:
        assert path.parent == target.parent and path.suffix == ".txt"
        path.write_text("first", encoding="utf-8")
        assert not target.exists()
    assert contents(target.parent) == {"notes.txt": b"first"}

    def stop_halfway() -> None:
        with replacing(target) as path:
            path.write_text("sec", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()
    assert contents(target.parent) == {"notes.txt": b"first"}


def test_replacing_names_the_file_that_a_full_disk_refuses(tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"

    def write(error: OSError) -> None:
        with replacing(target):
            raise error

    with pytest.raises(OutputError, match=r"notes\.txt: cannot be written \(No space left"):
        write(OSError(errno.ENOSPC, "No space left on device"))
    target.mkdir()
    with pytest.raises(OutputError, match=r"notes\.txt: cannot be written \("), replacing(target):
        pass
    with pytest.raises(FileNotFoundError, match="other"):
        write(FileNotFoundError(errno.ENOENT, "No such file", "other"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_replacing_gives_a_new_files_permissions(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "file") as path:
            path.write_bytes(b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
