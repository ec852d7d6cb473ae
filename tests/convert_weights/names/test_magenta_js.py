"""magenta.js's folders: against what magenta.js itself computed, and every refusal in one line.

golden/magenta_js holds tiny models that this package wrote, and what the real @magenta/music 1.23.1
decoded and encoded with them (make_models.py). With MAGENTA_JS_NODE_MODULES naming the folder of
its npm packages, it is asked again.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from magenta_js_models import (
    GOLDEN,
    ask_magenta_js,
    compact,
    files_of,
    questions,
    read_model,
    variables_of,
)
from properties import examples
from refusals import failure

from convert_weights.formats.file_range import FileRange
from convert_weights.formats.tfjs_weights import MANIFEST, open_tfjs_weights, write_tfjs_weights
from convert_weights.names.magenta_js import (
    CONFIG,
    read_magenta_js_config,
    to_spec,
    write_magenta_js,
)
from convert_weights.plan import make_plan
from musicvae_torch.config import CONFIGS, MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError
from musicvae_torch.model.vae import MusicVAE

MODELS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
NODE_MODULES = os.environ.get("MAGENTA_JS_NODE_MODULES")

Tensors = dict[str, np.ndarray]


def answer_of(config: MusicVAEConfig, model: MusicVAE) -> dict[str, Any]:
    asked = {name: torch.tensor(value) for name, value in questions(config).items()}
    controls, lengths = asked.get("controls"), asked.get("lengths")
    mean = model.encode(asked["inputs"], None if lengths is None else lengths[None], controls).mean
    rows = model.decode(asked["z"], temperature=0, controls=controls)
    return compact(config, {"rows": rows.tolist(), "mean": mean.tolist()})


def assert_agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    np.testing.assert_allclose(ours["rows"], theirs["rows"], atol=1e-4)
    np.testing.assert_allclose(ours["mean"], theirs["mean"], atol=1e-5)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("name", MODELS)
def test_computes_what_magenta_js_does(name: str) -> None:
    theirs = json.loads((GOLDEN / "golden.json").read_text())[name]
    config, model = read_model(GOLDEN / name)
    assert config.name == name
    assert_agree(answer_of(config, model), theirs)


@pytest.mark.skipif(NODE_MODULES is None, reason="MAGENTA_JS_NODE_MODULES is not set")
@pytest.mark.parametrize("name", MODELS)
def test_magenta_js_computes_what_we_do(name: str) -> None:
    config, model = read_model(GOLDEN / name)
    theirs = ask_magenta_js(Path(str(NODE_MODULES)), GOLDEN / name, config)
    assert_agree(answer_of(config, model), compact(config, theirs))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of a golden folder, to be broken."""
    return Path(shutil.copytree(GOLDEN / "mel_2bar_chords", tmp_path / "model"))


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Changes in place what a JSON file holds."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def open_and_read(folder: Path) -> Tensors:
    weights = open_tfjs_weights(files_of(folder))
    return {name: weights[name] for name in weights}


ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=30),
    min_size=1,
    max_size=5,
)


@examples(50)
@given(arrays=ARRAYS, quantization_bytes=st.sampled_from([None, 1, 2]))
def test_written_weights_read_back(
    arrays: dict[str, list[float]],
    quantization_bytes: int | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    tensors = {name: np.array([values], np.float32) for name, values in arrays.items()}
    with pytest.MonkeyPatch.context() as patch:
        # Shards that end within numbers.
        patch.setattr("convert_weights.formats.tfjs_weights._SHARD_BYTES", 7)
        write_tfjs_weights(folder, tensors, quantization_bytes)
    read = open_and_read(folder)
    assert list(read) == list(tensors)
    levels = 256 ** (quantization_bytes or 1) - 1
    for name, array in tensors.items():
        assert read[name].dtype == np.float32 and read[name].shape == array.shape
        if quantization_bytes is None:
            assert read[name].tobytes() == array.tobytes()
        else:
            step = (float(array.max()) - float(array.min())) / levels
            rounding = np.abs(array).max() * 2e-7
            assert np.abs(read[name].astype(float) - array).max() <= step / 2 + rounding


def test_shards_are_of_4_mib(tmp_path: Path) -> None:
    write_tfjs_weights(tmp_path, {"w": np.zeros((3, 1 << 19), np.float32)})
    names = [f"group1-shard{i}of2" for i in (1, 2)]
    assert [(tmp_path / name).stat().st_size for name in names] == [4 << 20, 2 << 20]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, MANIFEST]
    (group,) = json.loads((tmp_path / MANIFEST).read_text())
    assert group["paths"] == names


@pytest.mark.parametrize("stored", ["uint8", "uint16"])
def test_restores_in_float64_and_rounds_once(stored: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, np.iinfo(stored).max + 1, 500).astype(stored)
    scale, minimum = 0.0123456789, -1.23456789
    weight: dict[str, Any] = {"name": "w", "shape": [500], "dtype": "float32"}
    weight["quantization"] = {"dtype": stored, "scale": scale, "min": minimum}
    (tmp_path / MANIFEST).write_text(json.dumps([{"paths": ["shard"], "weights": [weight]}]))
    (tmp_path / "shard").write_bytes(numbers.tobytes())
    expected = np.array([int(number) * scale + minimum for number in numbers], np.float32)
    in_float32 = numbers * np.float32(scale) + np.float32(minimum)
    assert open_and_read(tmp_path)["w"].tobytes() == expected.tobytes() != in_float32.tobytes()


def test_reads_other_types_and_groups(tmp_path: Path) -> None:
    arrays: Tensors = {
        "half": np.array([1.5, -0.1], np.float16),
        "int": np.array([[-7, 1 << 30]], np.int32),
        "bool": np.array([True, False]),
        "scalar": np.array(2.5, np.float32),
    }
    groups = []
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(array.tobytes())
        weight: dict[str, Any] = {
            "name": name,
            "shape": list(array.shape),
            "dtype": array.dtype.name,
        }
        if name == "half":
            weight |= {"dtype": "float32", "quantization": {"dtype": "float16"}}
        groups.append({"paths": [name], "weights": [weight]})
    (tmp_path / MANIFEST).write_text(json.dumps(groups))
    weights = open_tfjs_weights(files_of(tmp_path))
    assert [weights.dtype(name) for name in weights] == ["float32", "int32", "bool", "float32"]
    assert len(weights) == 4 and "half" in weights and "w" not in weights
    for name, array in arrays.items():
        read = weights[name]
        assert read.shape == array.shape and (read == array).all()
        assert read.dtype == weights.dtype(name) and not read.flags.writeable
    assert "'w'" in failure(lambda: weights.shape("w"))


def test_reads_from_within_an_archive(tmp_path: Path) -> None:
    archive, files = tmp_path / "model.tar", {}
    with archive.open("wb") as file:
        for path in sorted((GOLDEN / "trio_4bar").iterdir()):
            file.write(b"padding")
            start = file.tell()
            file.write(path.read_bytes())
            files[path.name] = FileRange(path.name, archive, start, path.stat().st_size)
    expected = open_and_read(GOLDEN / "trio_4bar")
    weights = open_tfjs_weights(files)
    assert read_magenta_js_config(files, weights).base == "hier-trio_16bar"
    assert list(weights) == list(expected)
    for name, array in expected.items():
        assert weights[name].tobytes() == array.tobytes()
    archive.write_bytes(archive.read_bytes()[:-9])
    assert MANIFEST in failure(lambda: open_tfjs_weights(files))


def weight_of(**changes: Any) -> Callable[[Any], object]:
    """Changes the manifest's first weight."""
    return lambda groups: groups[0]["weights"][0].update(changes)


def quantization_of(**changes: Any) -> Callable[[Any], object]:
    return lambda groups: groups[0]["weights"][0]["quantization"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda groups: groups.append(7), "7 is no object, expected one with 'paths'"),
        (lambda groups: groups[0].pop("weights"), "'weights' is missing"),
        (lambda groups: groups[0].update(paths="shard"), "'paths' is 'shard', expected a list"),
        (lambda groups: groups[0].update(paths=["../secret"]), "shard '../secret'"),
        (lambda groups: groups[0].update(paths=["/etc/passwd"]), "shard '/etc/passwd'"),
        (lambda groups: groups[0].update(paths=["group1-shard2of2"]), "shard 'group1-shard2of2'"),
        (lambda groups: groups[0].update(paths=[[]]), "shard []"),
        (lambda groups: groups[0].update(paths=groups[0]["paths"] * 2), "twice"),
        (lambda groups: groups[0].update(paths=[]), "its shards have 0"),
        (lambda groups: groups.append(groups[0]), "listed twice"),
        (lambda groups: groups[0]["weights"].pop(), "but its shards have"),
        (lambda groups: groups[0]["weights"].append(5), "5 is no object"),
        (weight_of(name=5), "'name' is 5, expected text"),
        (weight_of(shape=[143, -16]), "has the shape [143, -16]"),
        (weight_of(shape=[143, 16.0]), "has the shape [143, 16.0]"),
        (weight_of(shape=[0, 16]), "has the shape [0, 16]"),
        (weight_of(shape=[1 << 40, 1 << 40]), "has the shape"),
        (weight_of(shape=[1] * 40), "has the shape"),
        (weight_of(shape=[2**31 - 1] * 32), "its tensors take"),
        (weight_of(shape=[143, True]), "has the shape"),
        (weight_of(dtype="string"), "is of type 'string'"),
        (weight_of(dtype="int32"), "is int32 stored as 'uint16'"),
        (weight_of(quantization=None), "'quantization' is missing"),
        (quantization_of(dtype="int4"), "stored as 'int4'"),
        (quantization_of(scale=None), "'scale' is missing"),
        (quantization_of(scale="1"), "'scale' is '1', expected a number"),
        (quantization_of(min=float("nan")), "'min' is nan"),
        (quantization_of(min=10**400), "'min' is 1000"),
    ],
)
def test_refuses_a_bad_manifest(copy: Path, change: Callable[[Any], object], message: str) -> None:
    (copy.parent / "secret").write_bytes(bytes(15812))
    edit(copy / MANIFEST, change)
    error = failure(lambda: open_tfjs_weights(files_of(copy)))
    assert str(copy / MANIFEST) in error and message in error


@pytest.mark.parametrize("file", [MANIFEST, CONFIG])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[{", "is not JSON"),
        (b"\xff\xff", "is not JSON"),
        (b'{"numSteps": ' + b"1" * 9999 + b"}", "is not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b" " * (17 << 20), "expected 16777216 at most"),
        (b'"text"', "'text'"),
        (b"null", "expected"),
    ],
    ids=range(8),
)
def test_refuses_odd_json(copy: Path, file: str, content: bytes, message: str) -> None:
    (copy / file).write_bytes(content)
    error = failure(lambda: read_model(copy))
    assert error.startswith(f"{copy / file}: ") and message in error


@pytest.mark.parametrize("file", [MANIFEST, CONFIG, "group1-shard1of1"])
def test_refuses_missing_files(copy: Path, file: str) -> None:
    files = files_of(copy)
    weights = open_tfjs_weights(files)
    (copy / file).unlink()
    assert file in failure(lambda: read_model(copy))
    # The same where the file goes after the folder was listed.
    with pytest.raises(CheckpointError, match=file):
        open_tfjs_weights(files)
        read_magenta_js_config(files, weights)
        weights["encoder/mu/bias"]


def test_refuses_a_shard_of_another_size(copy: Path) -> None:
    shard = copy / "group1-shard1of1"
    weights, content = open_tfjs_weights(files_of(copy)), shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert "but its shards have 15811" in failure(lambda: open_tfjs_weights(files_of(copy)))
    assert "is shorter" in failure(lambda: [weights[name] for name in weights])
    shard.write_bytes(content + b"x")
    assert "but its shards have 15813" in failure(lambda: open_tfjs_weights(files_of(copy)))


@examples(200)
@given(data=st.data(), file=st.sampled_from([MANIFEST, CONFIG]))
def test_a_damaged_file_raises_one_error_alone(
    data: st.DataObject, file: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(GOLDEN / "drums_nade", folder, dirs_exist_ok=True)
    content = bytearray((folder / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 4))
        content[start : start + length] = data.draw(st.sampled_from([b"", b"-", b"9", b"[", b'"']))
    (folder / file).write_bytes(content)
    try:
        read_model(folder)
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1


def args_of(**changes: Any) -> Callable[[Any], object]:
    """Changes the arguments of config.json's data converter."""
    return lambda spec: spec["dataConverter"]["args"].update(changes)


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ("trio_4bar", lambda spec: spec.pop("type"), "'type' is missing"),
        ("trio_4bar", lambda spec: spec.update(type="MusicRNN"), "is of a 'MusicRNN' model"),
        ("trio_4bar", lambda spec: spec.update(useBooleanDecoder=True), "Boolean decoder"),
        ("trio_4bar", lambda spec: spec.update(chordEncoder="X"), "chord encoder 'X'"),
        ("trio_4bar", lambda spec: spec.update(conditionOnKey=1), "expected true or false"),
        ("trio_4bar", lambda spec: spec.update(extraControls=[{}]), "'depth' is missing"),
        ("trio_4bar", lambda spec: spec.update(extraControls=[{"depth": -1}]), "control_depth"),
        ("trio_4bar", lambda spec: spec.pop("dataConverter"), "'dataConverter' is missing"),
        ("trio_4bar", lambda spec: spec["dataConverter"].update(type="X"), "has a 'X'"),
        ("trio_4bar", args_of(numSteps=None), "'numSteps' is missing"),
        ("trio_4bar", args_of(numSteps=-64), "has -64 steps in 4 segments"),
        ("trio_4bar", args_of(numSteps=65), "has 65 steps in 4 segments"),
        ("trio_4bar", args_of(numSegments=-4), "has 64 steps in -4 segments"),
        ("trio_4bar", args_of(melArgs={"minPitch": 36, "maxPitch": 108}), "melArgs.minPitch"),
        ("trio_4bar", args_of(bassArgs=None), "another bassArgs"),
        ("trio_4bar", args_of(drumsArgs={"pitchClasses": [[36], []]}), "drumsArgs.pitchClasses"),
        ("trio_4bar", args_of(drumsArgs={"pitchClasses": 9}), "drumsArgs.pitchClasses"),
        ("mel_2bar_chords", args_of(maxPitch=True), "another maxPitch"),
        ("multitrack", args_of(totalSteps=48), "another totalSteps"),
        ("tap2drum_1bar", args_of(splitInstruments=True), "another splitInstruments"),
    ],
)
def test_refuses_a_bad_config(
    model: str, change: Callable[[Any], object], message: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(GOLDEN / model, tmp_path / model))
    edit(folder / CONFIG, change)
    error = failure(lambda: read_model(folder))
    assert error.startswith(f"{folder / CONFIG}: ") and message in error


def test_missing_arguments_are_magenta_js_s_own(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "trio_4bar", tmp_path / "trio"))
    edit(folder / CONFIG, args_of(drumsArgs={}))
    assert read_model(folder)[0].base == "hier-trio_16bar"
    folder = Path(shutil.copytree(GOLDEN / "multitrack", tmp_path / "multitrack"))
    edit(folder / CONFIG, lambda spec: spec["dataConverter"]["args"].pop("minPitch"))
    assert read_model(folder)[0].base == "hier-multiperf_vel_1bar_med"


@pytest.mark.parametrize(
    ("changes", "steps", "base", "control_depth"),
    [
        ({}, 64, "cat-mel_2bar_med_chords", 49),
        ({"chordEncoder": None}, 64, "cat-mel_2bar_small", 0),
        ({"chordEncoder": ""}, 256, "flat-mel_16bar", 0),
        ({"chordEncoder": "PitchChordEncoder"}, 32, "cat-mel_2bar_small", 37),
        ({"conditionOnKey": True, "extraControls": [{"depth": 2}]}, 32, "cat-mel_2bar_small", 63),
    ],
)
def test_nearest_config(
    copy: Path, changes: dict[str, Any], steps: int, base: str, control_depth: int
) -> None:
    edit(copy / CONFIG, lambda spec: spec.update(changes))
    edit(copy / CONFIG, args_of(numSteps=steps))
    files = files_of(copy)
    config = read_magenta_js_config(files, open_tfjs_weights(files))
    assert (config.name, config.base, config.max_seq_len) == (base, base, steps)
    assert config.control_depth == control_depth
    # What the weights show.
    assert (config.enc_rnn_size, config.dec_rnn_size, config.z_size) == ((4,), (4, 4, 4), 4)


@pytest.mark.parametrize(
    ("depth", "base"), [(3, "groovae_4bar"), (9, "groovae_2bar_hits_control_tfds")]
)
def test_nearest_config_has_no_other_controls(depth: int, base: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "tap2drum_1bar", tmp_path / "groove"))
    edit(folder / CONFIG, lambda spec: spec.update(extraControls=[{"depth": depth}]))
    edit(folder / CONFIG, args_of(tapify=False, numSteps=32))
    files = files_of(folder)
    config = read_magenta_js_config(files, open_tfjs_weights(files))
    assert (config.base, config.control_depth) == (base, depth)


# Magenta's configs that magenta.js cannot hold, and why.
REFUSED = {
    "flat-mel_16bar": "2 layers",
    "flat-trio_16bar": "2 layers",
    "hierdec-mel_16bar": "cut the window",
    "hierdec-trio_16bar": "cut the window",
}
# What magenta.js cannot tell from the first of its kind, sizes aside.
SAME = {
    "cat-mel_2bar_big": "cat-mel_2bar_small",
    "cat-drums_2bar_big": "cat-drums_2bar_small",
    "hier-multiperf_vel_1bar_big": "hier-multiperf_vel_1bar_med",
    "hier-multiperf_vel_1bar_big_chords": "hier-multiperf_vel_1bar_med_chords",
    "groovae_2bar_add_closed_hh": "groovae_4bar",
    "groovae_2bar_tap_fixed_velocity_note_dropout": "groovae_2bar_tap_fixed_velocity",
}


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - set(REFUSED)))
def test_every_other_config_comes_back(name: str, tmp_path: Path) -> None:
    layers = len(CONFIGS[name].dec_rnn_size)
    config = get_config(name, z_size=2, enc_rnn_size=(3,), dec_rnn_size=(2,) * layers)
    shapes = variables_of(config)
    tensors = {variable: np.ones(shape, np.float32) for variable, shape in shapes.items()}
    write_magenta_js(tmp_path, tensors, config)
    files = files_of(tmp_path)
    weights = open_tfjs_weights(files)
    read = read_magenta_js_config(files, weights)
    make_plan(weights, read, tmp_path)
    base = SAME.get(name, name)
    assert read == dataclasses.replace(config, name=base, base=base)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_to_write_what_magenta_js_cannot_hold(name: str, tmp_path: Path) -> None:
    error = failure(lambda: write_magenta_js(tmp_path / "out", {}, get_config(name)))
    assert name in error and REFUSED[name] in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("cat-mel_2bar_small", {"dec_rnn_size": (16, 12)}, "different sizes"),
        ("flat-trio_16bar", {"enc_rnn_size": (8,)}, "share one decoder"),
        ("cat-mel_2bar_small", {"input_depth": 91, "output_depths": (91,)}, "outputs (91,)"),
        ("hier-mel_16bar", {"encoder_level_lengths": (32, 8)}, "cut the window"),
    ],
)
def test_refuses_to_write_other_structures(name: str, sizes: dict[str, Any], message: str) -> None:
    assert message in failure(lambda: to_spec(get_config(name, **sizes)))


@pytest.mark.parametrize(
    ("array", "quantization_bytes", "message"),
    [
        (np.zeros(3), None, "is of type float64"),
        (np.array([0, np.inf], np.float32), 1, "not finite"),
        (np.array([0, np.nan], np.float32), 2, "not finite"),
    ],
)
def test_refuses_to_write_odd_numbers(
    array: np.ndarray, quantization_bytes: int | None, message: str, tmp_path: Path
) -> None:
    config = get_config("cat-mel_2bar_small")
    tensors = {"good": np.zeros(3, np.float32), "bad": array}
    folder = tmp_path / "out"
    error = failure(lambda: write_magenta_js(folder, tensors, config, quantization_bytes))
    assert "'bad'" in error and message in error
    assert not folder.exists()
