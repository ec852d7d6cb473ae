"""Surrogates of Keras to ours: its own predictions, to the bit, every refusal in one line."""

import hashlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from paths import GOLDEN_FILES
from safetensors.numpy import load_file

from convert_weights.conversion import convert, open_tensors
from convert_weights.sources.locate import open_source
from musicvae_torch.errors import CheckpointError, OutputError
from surrogate import PointSurrogate, load_surrogate
from surrogate.accompany_music_vae import keras_hdf5
from surrogate.accompany_music_vae.keras import read_keras_surrogate

GOLDEN = GOLDEN_FILES / "keras"
UNITS = {
    "cudnn_model": (4, 3),
    "cudnn_weights": (3, 5),
    "lstm_model": (5,),
    "lstm_weights": (3, 3, 4),
    "standalone_cudnn_model": (3, 4),
    "standalone_lstm_weights": (4,),
}
GATES = range(4)

Damage = Callable[[h5py.File], object]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as arrays:
        return dict(arrays)


def test_every_file_has_its_predictions(golden: dict[str, np.ndarray]) -> None:
    names = sorted(path.stem for path in GOLDEN.glob("*.h5"))
    assert names == sorted(UNITS) == sorted(golden.keys() - {"inputs"})


@pytest.mark.parametrize("name", UNITS)
def test_predictions_are_keras(tmp_path: Path, golden: dict[str, np.ndarray], name: str) -> None:
    read = read_keras_surrogate(GOLDEN / f"{name}.h5", default_steps=8)
    read.network.save_pretrained(tmp_path / "out")
    network = load_surrogate(tmp_path / "out")
    assert isinstance(network, PointSurrogate)
    config = network.config
    assert (config.max_seq_len, config.input_depth, config.z_size) == (8, 7, 6)
    assert config.rnn_size == UNITS[name]
    assert any("tanh and sigmoid assumed" in note for note in read.notes) == (
        not name.endswith("model")
    )
    assert read.skipped == (15 if name == "cudnn_model" else 0)
    assert read.converted == 6 * len(UNITS[name]) + 2
    with torch.inference_mode():
        predicted = network(torch.from_numpy(golden["inputs"])).numpy()
    assert np.abs(golden[name]).max() > 0.5
    np.testing.assert_allclose(predicted, golden[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", UNITS)
def test_to_the_bit(tmp_path: Path, name: str) -> None:
    convert(GOLDEN / f"{name}.h5", None, tmp_path / "out")
    ours = load_file(tmp_path / "out" / "model.safetensors")
    with h5py.File(GOLDEN / f"{name}.h5") as file:
        root = file.get("model_weights", file)
        theirs = [
            [root[layer][weight][()] for weight in root[layer].attrs["weight_names"]]
            for layer in root.attrs["layer_names"]
            if len(root[layer].attrs["weight_names"])
        ]
    *recurrent, (dense, dense_bias) = theirs
    assert len(ours) == 8 * len(recurrent) + 2
    for index, arrays in enumerate(recurrent):
        for suffix, (kernel, recurrent_kernel, bias) in (
            ("", arrays[:3]),
            ("_reverse", arrays[3:]),
        ):
            prefix, units = f"layers.{index}.", len(recurrent_kernel)
            for parameter, stored in (("weight_ih", kernel), ("weight_hh", recurrent_kernel)):
                array = ours[f"{prefix}{parameter}_l0{suffix}"]
                for gate in GATES:
                    block = slice(gate * units, (gate + 1) * units)
                    if "cudnn" in name:
                        assert array[block].tobytes() == stored[:, block].tobytes()
                    else:
                        assert array[block].T.tobytes() == stored[:, block].tobytes()
            bias_ih, bias_hh = (ours[f"{prefix}bias_{part}_l0{suffix}"] for part in ("ih", "hh"))
            if "cudnn" in name:
                assert bias_ih.tobytes() + bias_hh.tobytes() == bias.tobytes()
            else:
                assert bias_ih.tobytes() == bias.tobytes() and not bias_hh.any()
    assert ours["mean.weight"].T.tobytes() == dense.tobytes()
    assert ours["mean.bias"].tobytes() == dense_bias.tobytes()


def test_provenance_and_steps(tmp_path: Path) -> None:
    for name, contents, steps in (("cudnn_model", "model", 8), ("cudnn_weights", "weights", 256)):
        path = GOLDEN / f"{name}.h5"
        convert(path, None, tmp_path / name)
        config = json.loads((tmp_path / name / "config.json").read_text())
        provenance = config["provenance"]
        assert config["model"]["max_seq_len"] == steps
        assert provenance["source_format"] == f"Keras HDF5 {contents}"
        assert provenance["sha256"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_the_report(tmp_path: Path) -> None:
    path = GOLDEN / "cudnn_model.h5"
    report = convert(path, None, tmp_path / "out")
    network = load_surrogate(tmp_path / "out")
    assert report.config == network.config and report.name == "point-surrogate"
    assert report.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert (report.folder, report.converted, report.skipped) == (tmp_path / "out", 14, 15)
    with pytest.raises(CheckpointError, match="Keras saved, no hierdec-trio_16bar"):
        convert(path, "hierdec-trio_16bar", tmp_path / "no")
    with pytest.raises(CheckpointError, match="no MusicVAE"), open_source(path) as found:
        open_tensors(found)
    assert not (tmp_path / "no").exists()


def test_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("old")
    with pytest.raises(OutputError, match="is not empty"):
        convert(GOLDEN / "lstm_model.h5", None, tmp_path)
    assert (tmp_path / "config.json").read_text() == "old"
    convert(GOLDEN / "lstm_model.h5", None, tmp_path, force=True)
    assert load_surrogate(tmp_path).config.rnn_size == (5,)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'musicvae-torch\[keras\]'"):
        convert(GOLDEN / "lstm_model.h5", None, tmp_path / "out")


def damaged(folder: Path, name: str, damage: Damage) -> Path:
    path = folder / "odd.h5"
    shutil.copyfile(GOLDEN / f"{name}.h5", path)
    with h5py.File(path, "r+") as file:
        damage(file)
    return path


def check_refusal(path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_keras_surrogate(path)
    message = str(caught.value)
    assert reason in message and message.startswith(str(path))
    assert len(message.splitlines()) == 1 and len(message) < 500


def described(change: Callable[[Any], object]) -> Damage:
    """Changes the model's description."""

    def damage(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)

    return damage


def setting(index: int, path: str, value: object) -> Damage:
    """Sets one setting of the layer at `index`."""

    def change(model: Any) -> None:
        layers = model["config"]
        target = (layers if isinstance(layers, list) else layers["layers"])[index]
        *parents, last = path.split(".")
        for key in parents:
            target = target[key]
        target[last] = value

    return described(change)


CELL = "config.layer.config."


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (
            "lstm_model",
            setting(1, f"{CELL}recurrent_activation", "hard_sigmoid"),
            "layer 'bidirectional': layer.config.recurrent_activation is 'hard_sigmoid', expected"
            " 'sigmoid'",
        ),
        ("lstm_model", setting(1, f"{CELL}activation", "relu"), "activation is 'relu'"),
        ("lstm_model", setting(1, f"{CELL}use_bias", False), "use_bias is False"),
        ("lstm_model", setting(1, f"{CELL}go_backwards", True), "go_backwards is True"),
        ("lstm_model", setting(1, f"{CELL}stateful", True), "stateful is True"),
        (
            "lstm_model",
            setting(1, f"{CELL}return_sequences", True),
            "return_sequences is not False",
        ),
        (
            "lstm_model",
            setting(1, "config.layer.class_name", "GRU"),
            "is 'GRU', expected 'LSTM' or",
        ),
        ("lstm_model", setting(1, "config.merge_mode", "sum"), "merge_mode is 'sum'"),
        ("lstm_model", setting(1, "config.merge_mode", None), "merge_mode is None"),
        (
            "lstm_model",
            setting(1, "config.backward_layer", {"config": {"go_backwards": False}}),
            "backward_layer.config.go_backwards is False",
        ),
        ("lstm_model", setting(2, "class_name", "LayerNormalization"), "is a 'LayerNormalization'"),
        (
            "lstm_model",
            setting(3, "config.activation", "tanh"),
            "layer 'dense': activation is 'tanh'",
        ),
        ("lstm_model", setting(3, "config.name", "dense_2"), "but has weights of ['bidir"),
        ("lstm_model", setting(3, "config.activation", "x\n" * 999), r"activation is 'x\nx"),
        (
            "cudnn_model",
            setting(1, f"{CELL}return_sequences", False),
            "layer 'bidirectional': return_sequences is not True",
        ),
        (
            "cudnn_model",
            setting(2, "inbound_nodes", [[["input_1", 0, 0, {}]]]),
            "'bidirectional_1': reads the layers ['input_1'], expected ['bidirectional']",
        ),
        (
            "cudnn_model",
            setting(3, "inbound_nodes", [[["bidirectional_1", 0, 0, {}]]] * 2),
            "'dense': reads the layers",
        ),
        ("cudnn_model", setting(1, "inbound_nodes", [7]), "malformed"),
        ("cudnn_model", described(lambda model: model.pop("class_name")), "malformed"),
        ("cudnn_model", described(lambda model: model.update(config=[])), "describes the layers"),
        ("cudnn_model", described(lambda model: model.update(class_name="KMeans")), "'KMeans'"),
        ("cudnn_model", setting(0, "config.batch_input_shape", [None, 0, 7]), "at least 1"),
    ],
)
def test_refused_descriptions(tmp_path: Path, name: str, damage: Damage, reason: str) -> None:
    check_refusal(damaged(tmp_path, name, damage), reason)


def replaced(layer: str, weight: str, array: np.ndarray) -> Damage:
    """Puts another array in the place of a weight, named by the end of its name."""

    def damage(file: h5py.File) -> None:
        (name,) = (name for name in file[layer].attrs["weight_names"] if name.endswith(weight))
        del file[layer][name]
        file[layer][name] = array

    return damage


def both(layer: str, weight: str, array: np.ndarray) -> Damage:
    """Puts another array in the place of a weight of both directions."""

    def damage(file: h5py.File) -> None:
        for name in file[layer].attrs["weight_names"]:
            if name.endswith(f"lstm_cell/{weight}"):
                del file[layer][name]
                file[layer][name] = array

    return damage


def only(layer: str, count: int) -> Damage:
    """Leaves a layer its first weights alone."""

    def damage(file: h5py.File) -> None:
        file[layer].attrs["weight_names"] = list(file[layer].attrs["weight_names"][:count])

    return damage


def layers(*names: str) -> Damage:
    return lambda file: file.attrs.create("layer_names", names)


FORWARD = "forward_lstm_2/lstm_cell/"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (layers("bidirectional"), "has weights in the layers ['bidirectional'], expected"),
        (layers("bidirectional", "bidirectional_1"), "expected a dense layer's [6, Z] and [Z]"),
        (layers("dense", "bidirectional"), "layer 'dense': has weights of shapes [(8, 6), (6,)]"),
        (layers("bidirectional", "dense"), "expected a dense layer's [6, Z] and [Z]"),
        (layers("bidirectional_2", "nowhere"), "has no 'nowhere' in '/'"),
        (only("bidirectional_2", 3), "expected a forward and a backward LSTM of [6, '4H']"),
        (only("dense", 1), "expected a dense layer's"),
        (
            replaced("bidirectional_2", f"{FORWARD}recurrent_kernel:0", np.zeros((4, 12), "f4")),
            "layer 'bidirectional_2': has weights of shapes [(6, 16), (4, 12),",
        ),
        (replaced("bidirectional_2", f"{FORWARD}bias:0", np.zeros((2, 12), "f4")), "(2, 12)"),
        (replaced("bidirectional_2", f"{FORWARD}kernel:0", np.zeros((7, 16), "f4")), "(7, 16)"),
        (both("bidirectional_2", "bias:0", np.zeros(12, "f4")), "(4, 16), (12,)"),
        (replaced("dense", "bias:0", np.zeros(6)), "'dense/bias:0' is float64, expected float32"),
        (replaced("dense", "bias:0", np.zeros(5, "f4")), "(8, 6), (5,)"),
        (replaced("dense", "bias:0", np.array(0, "f4")), "(8, 6), ()"),
    ],
)
def test_refused_weights(tmp_path: Path, damage: Damage, reason: str) -> None:
    check_refusal(damaged(tmp_path, "lstm_weights", damage), reason)


def test_nothing_is_read_from_other_files(tmp_path: Path) -> None:
    shutil.copyfile(GOLDEN / "lstm_weights.h5", tmp_path / "other.h5")
    for link in (h5py.ExternalLink("other.h5", "/dense"), h5py.SoftLink("/bidirectional")):

        def relink(file: h5py.File, link: Any = link) -> None:
            del file["dense"]
            file["dense"] = link

        check_refusal(damaged(tmp_path, "lstm_weights", relink), "has no 'dense' in '/'")

    (tmp_path / "raw").write_bytes(bytes(24))

    def outside(file: h5py.File) -> None:
        del file["dense/dense/bias:0"]
        file["dense"].create_dataset("dense/bias:0", (6,), "f4", external=str(tmp_path / "raw"))

    check_refusal(damaged(tmp_path, "lstm_weights", outside), "expected them plainly in the file")


def test_no_memory_is_taken_for_numbers_that_are_not_there(tmp_path: Path) -> None:
    def claim(file: h5py.File) -> None:
        del file["dense/dense/kernel:0"]
        file["dense"].create_dataset("dense/kernel:0", (8, 1 << 40), "f4")

    reason = f"takes {32 << 40} bytes, expected them plainly in the file"
    check_refusal(damaged(tmp_path, "lstm_weights", claim), reason)

    def repeat(file: h5py.File) -> None:
        names = [f"again{number}" for number in range(20)]
        file["once"] = np.zeros(10_000, "f4")
        for name in names:
            file["dense"][name] = file["once"]
        file["dense"].attrs["weight_names"] = names

    reason = "of shape [10000] takes 40000 bytes, expected them plainly in the file"
    check_refusal(damaged(tmp_path, "lstm_weights", repeat), reason)


def test_files_that_are_not_of_keras(tmp_path: Path) -> None:
    path = tmp_path / "odd.h5"
    check_refusal(path, "no such file")
    for content in (b"", b"PK\3\4 a .keras file", bytes(5000)):
        path.write_bytes(content)
        check_refusal(path, "not readable as a Keras HDF5 file")
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    check_refusal(path, "has no layer_names at '/', expected a model or weights that Keras")
    path = damaged(tmp_path, "lstm_model", lambda file: file.attrs.modify("model_config", "{"))
    check_refusal(path, "not readable as a Keras HDF5 file: Expecting property name")
    path = damaged(tmp_path, "lstm_model", lambda file: file.attrs.create("model_config", 3.0))
    check_refusal(path, "model_config at '/' is not text")
    path = damaged(tmp_path, "lstm_weights", lambda file: file.attrs.create("layer_names", [1, 2]))
    check_refusal(path, "layer_names at '/' is not text")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_make_one_kind_of_error(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    content = bytearray((GOLDEN / f"{rng.choice(list(UNITS))}.h5").read_bytes())
    if seed % 4:
        for _ in range(rng.choice((1, 5, 50))):
            content[rng.randrange(len(content))] = rng.randrange(256)
    else:
        del content[rng.randrange(len(content)) :]
    path = tmp_path / "odd.h5"
    path.write_bytes(content)
    try:
        read_keras_surrogate(path)  # where no number of the network or of its description was hit
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1


def _crash(_: Path) -> None:
    os.abort()


def _hang(_: Path) -> None:
    time.sleep(600)


def _swell(_: Path) -> bytes:
    return bytes(2 << 30)


@pytest.mark.parametrize(
    ("read", "how"),
    [
        (_crash, "made its reader crash"),
        (_hang, "took more than 60 s to read"),
        (_swell, "asks for more memory than it can need"),
    ],
)
def test_a_reader_that_fails_is_ended(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], how: str
) -> None:
    pytest.importorskip("resource")
    monkeypatch.setattr(keras_hdf5, "_read", read)
    monkeypatch.setattr(keras_hdf5, "_MAX_SECONDS", 2 if read is _hang else 60)
    with pytest.raises(CheckpointError) as caught:
        read_keras_surrogate(GOLDEN / "lstm_model.h5")
    assert str(caught.value).endswith(f"lstm_model.h5: {how}: it is damaged")


def test_names_in_several_attributes(tmp_path: Path) -> None:
    def cut(file: h5py.File) -> None:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]

    convert(damaged(tmp_path, "lstm_weights", cut), None, tmp_path / "cut")
    convert(GOLDEN / "lstm_weights.h5", None, tmp_path / "whole")
    weights = [tmp_path / folder / "model.safetensors" for folder in ("cut", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
