"""Codes of a data set: the encoder's posterior of each window, stored and used."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from paths import GOLDEN_FILES

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import DatasetError, posteriors, read_dataset
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.dataset.posteriors import add_posteriors
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import TrainingOptions
from musicvae_torch.windows.tensors import ModelBatch, model_batch
from surrogate.training.encoder.train import train_surrogate

GOLDEN = GOLDEN_FILES
SMALL = {"z_size": 4, "enc_rnn_size": (8,), "dec_rnn_size": (8,)}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


def model(folder: Path, config: MusicVAEConfig, seed: int = 0) -> MusicVAE:
    torch.manual_seed(seed)
    network = MusicVAE(config)
    torch.nn.init.normal_(network.encoder.mean.weight)  # so that windows differ in their codes
    network.save_pretrained(folder)
    return network.eval()


def data_set(out: Path, config: MusicVAEConfig, songs: str = "trio_converter") -> Path:
    options = WindowOptions(config, max_windows=4)
    build_dataset(
        GOLDEN / songs,
        out,
        BuildOptions(options, validation=0.4, keep_duplicates=True, workers=2, progress=False),
    )
    return out


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a model of trios."""
    folder = tmp_path_factory.mktemp("trio")
    config = get_config("hier-trio_16bar", **SMALL)
    model(folder / "model", config)
    data_set(folder / "data.h5", config)
    return folder


@pytest.fixture
def own(trio: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(trio, tmp_path / "own")
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("name", "songs"),
    [
        ("hierdec-trio_16bar", "trio_converter"),
        ("cat-mel_2bar_med_chords", "trio_converter"),
        ("cat-drums_2bar_small", "trio_converter"),
        ("nade-drums_2bar_full", "trio_converter"),
        ("groovae_2bar_hits_control_tfds", "groove_converter"),
        ("hier-multiperf_vel_1bar_med_chords", "trio_converter"),
    ],
)
def test_codes_are_those_of_the_encoder(tmp_path: Path, name: str, songs: str) -> None:
    sizes = SMALL | ({"nade_num_hidden": 3} if name.startswith("nade") else {})
    config = get_config(name, **sizes)
    network = model(tmp_path / "model", config)
    data = data_set(tmp_path / "data.h5", config, songs)
    count = add_posteriors(data, tmp_path / "model", device="cpu", batch_size=7, progress=False)
    with h5py.File(data) as file:
        tokens = file["tokens"][:]
        mean, stddev = file["code_mean"][:], file["code_stddev"][:]
        lengths = torch.from_numpy(file["length"][:].astype(int)) if "length" in file else None
        assert json.loads(file.attrs["codes"])["sha256"] == weights_sha256(tmp_path / "model")
    assert count == len(tokens) == len(mean) and mean.dtype == stddev.dtype == np.float32
    assert mean.std(0).max() > 1e-3
    converter = get_converter(config)
    rows, controls = converter.inputs(tokens), converter.controls(tokens)
    with torch.no_grad():
        posterior = network.encode(
            torch.from_numpy(rows.astype(np.float32)),
            lengths,
            torch.from_numpy(controls.astype(np.float32)) if config.control_depth else None,
        )
    np.testing.assert_allclose(mean, posterior.mean.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stddev, posterior.stddev.numpy(), rtol=1e-4, atol=1e-5)


def test_one_hot_inputs_are_given_as_classes() -> None:
    tokens = np.zeros((2, 256, 3), np.int16)
    batch = model_batch(get_config("hier-trio_16bar"), tokens)
    assert batch.inputs.shape == (2, 256, 3) and batch.inputs.dtype == torch.int64
    assert batch.lengths is None and batch.controls is None


def content(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        return {name: np.asarray(file[name][:]).tobytes() for name in file if name != "songs"}


def test_a_stopped_run_goes_on(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = own / "whole.h5"
    shutil.copy(own / "data.h5", whole)
    add_posteriors(whole, own / "model", device="cpu", batch_size=5, progress=False)
    data, before = own / "data.h5", (own / "data.h5").read_bytes()
    encoded = []
    predict = posteriors._Encoder.predict_step

    def stopping(self: posteriors._Encoder, batch: tuple[int, ModelBatch]) -> object:
        encoded.append(batch[0])
        if len(encoded) == 3:
            raise OSError("power is out")
        return predict(self, batch)

    monkeypatch.setattr(posteriors._Encoder, "predict_step", stopping)
    with pytest.raises(OSError, match="power is out"):
        add_posteriors(data, own / "model", device="cpu", batch_size=5, progress=False)
    assert data.read_bytes() == before
    assert len(list((own / "data.h5.codes").rglob("*.npy"))) == 2
    add_posteriors(data, own / "model", device="cpu", batch_size=5, progress=False)
    assert encoded[:3] == [0, 1, 2] and encoded[3:] == list(range(2, len(encoded) - 1))
    assert content(data) == content(whole)
    assert not (own / "data.h5.codes").exists()
    add_posteriors(data, own / "model", device="cpu", batch_size=5, progress=False)
    assert encoded[-1] == len(encoded) - 2  # nothing was left to do


def test_another_model_s_codes_take_their_place(own: Path) -> None:
    config = get_config("hier-trio_16bar", **SMALL | {"z_size": 5})
    model(own / "other", config, seed=1)
    data = own / "data.h5"
    for name in ("model", "other"):
        add_posteriors(data, own / name, device="cpu", progress=False)
    with h5py.File(data) as file:
        assert file["code_mean"].shape[1] == 5
        assert json.loads(file.attrs["codes"]) == {
            "musicvae": "other",
            "sha256": weights_sha256(own / "other"),
        }
    assert read_dataset(data, posteriors_of=weights_sha256(own / "model")).posterior_mean is None


@pytest.mark.slow
def test_two_devices_share_the_windows(own: Path) -> None:
    one, two = own / "one.h5", own / "two.h5"
    for path in (one, two):
        shutil.copy(own / "data.h5", path)
    add_posteriors(one, own / "model", device="cpu", batch_size=5, progress=False)
    add_posteriors(two, own / "model", device="cpu", devices=2, batch_size=5, progress=False)
    assert content(one) == content(two)


def test_a_model_of_other_windows_is_refused(own: Path) -> None:
    model(own / "drums", get_config("cat-drums_2bar_small", **SMALL))
    before = (own / "data.h5").read_bytes()
    with pytest.raises(DatasetError, match=r"data.h5: holds windows of hier-trio_16bar, which cat"):
        add_posteriors(own / "data.h5", own / "drums", device="cpu")
    assert (own / "data.h5").read_bytes() == before


@pytest.mark.parametrize(("semitones", "encodings"), [(0, False), (2, True)])
def test_a_surrogate_is_trained_on_stored_codes(
    own: Path, monkeypatch: pytest.MonkeyPatch, semitones: int, encodings: bool
) -> None:
    """With the same result as without, and used only where windows are not shifted."""
    options = TrainingOptions(batch_size=4, steps=3, validate_every=3, max_transpose=semitones)

    def trained(name: str) -> dict[str, torch.Tensor]:
        out = train_surrogate(
            own / "data.h5", None, own / "model", own / name, options, rnn_size=(4,), device="cpu"
        )
        path = out.with_name(f"{name}.training") / "best.ckpt"
        state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
        return state

    computed = trained("computed")
    add_posteriors(own / "data.h5", own / "model", device="cpu", progress=False)
    encoded = []
    encode = MusicVAE.encode

    def counted(*arguments: Any) -> Any:
        encoded.append(1)
        return encode(*arguments)

    monkeypatch.setattr(MusicVAE, "encode", counted)
    stored = trained("stored")
    assert bool(encoded) == encodings
    for name, values in computed.items():
        torch.testing.assert_close(stored[name], values, msg=name)


def test_codes_of_replaced_windows_are_not_gone_on_with(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise OSError("power is out")

    with monkeypatch.context() as patched:
        patched.setattr(posteriors, "_write_posteriors", stop)
        with pytest.raises(OSError, match="power is out"):
            add_posteriors(own / "data.h5", own / "model", device="cpu", progress=False)
    config = get_config("hier-trio_16bar", **SMALL)
    build_dataset(
        GOLDEN / "trio_converter",
        own / "data.h5",
        replace(BuildOptions(WindowOptions(config, max_windows=4, seed=9)), progress=False),
    )
    add_posteriors(own / "data.h5", own / "model", device="cpu", progress=False)
    with h5py.File(own / "data.h5") as file:
        tokens, mean = torch.from_numpy(file["tokens"][:].astype(int)), file["code_mean"][:]
    network = MusicVAE.from_pretrained(own / "model")
    np.testing.assert_allclose(mean, network.encode(tokens).mean.detach(), rtol=1e-4, atol=1e-5)
