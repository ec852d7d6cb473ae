"""Magenta checkpoints to our folders: to the bit, and every refusal in one line."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fresh_python import run_python
from magenta_models import MODELS
from safetensors.numpy import load_file

from convert_weights import cli, conversion
from convert_weights.conversion import convert
from convert_weights.formats import atomic_folder
from convert_weights.formats.tensor_bundle import open_tensor_bundle, write_tensor_bundle
from convert_weights.names.magenta import match_layers, to_variables
from convert_weights.plan import make_plan
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError, ConfigError
from musicvae_torch.model.vae import MusicVAE

GOLDEN = MODELS / "hierdec-trio_16bar"
PREFIX = GOLDEN / "hierdec-trio_16bar.ckpt"
HIERDEC, HIER = "hierdec-trio_16bar", "hier-trio_16bar"
FW0 = "encoder/cell_0/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell"
CORE2 = "core_decoder/core_decoder_2/decoder"

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Tensors:
    bundle = open_tensor_bundle(PREFIX)
    return {name: bundle[name].copy() for name in bundle}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "model"
    convert(PREFIX, HIERDEC, folder)
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; at the end it must hold what the test's command should leave."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob(".*")), "temporary files were left behind"


def variables_of(weights: Tensors, config: MusicVAEConfig) -> Tensors:
    """Our weights as Magenta's variables."""
    layers = match_layers(config, {name: array.shape for name, array in weights.items()})
    variables: Tensors = {}
    for layer in layers:
        variables |= to_variables(layer, [weights[name] for name in layer.parameters])
    return variables


def test_round_trip_to_the_bit(golden: Tensors, converted: Path) -> None:
    weights = load_file(converted / "model.safetensors")
    again = variables_of(weights, MusicVAE.from_pretrained(converted).config)
    assert set(again) == set(golden) - {"global_step"}
    for name, array in again.items():
        assert array.dtype == np.float32 and array.shape == golden[name].shape
        assert array.tobytes() == golden[name].tobytes(), name


def test_lstm_layout(golden: Tensors, converted: Path) -> None:
    weights = load_file(converted / "model.safetensors")
    kernel, bias = golden[f"{FW0}/kernel"], golden[f"{FW0}/bias"]
    depth, units = 692, 6
    # Where each of Magenta's column blocks i, j, f, o lies in PyTorch's i, f, g, o.
    for theirs, ours in enumerate([0, 2, 1, 3]):
        columns = slice(theirs * units, (theirs + 1) * units)
        rows = slice(ours * units, (ours + 1) * units)
        layer = "encoder.levels.0.layers.0.fw"
        assert (weights[f"{layer}.weight_ih"][rows] == kernel[:depth, columns].T).all()
        assert (weights[f"{layer}.weight_hh"][rows] == kernel[depth:, columns].T).all()
        assert (weights[f"{layer}.bias"][rows] == bias[columns]).all()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("encoder/mu", "encoder.mean"),
        ("encoder/sigma", "encoder.stddev"),
        ("decoder/hierarchical_level_0/initial_state", "decoder.conductor.initial_state"),
        (f"{CORE2}/z_to_initial_state", "decoder.cores.2.initial_state"),
        (f"{CORE2}/output_projection", "decoder.cores.2.output"),
    ],
)
def test_dense_layout(golden: Tensors, converted: Path, theirs: str, ours: str) -> None:
    weights = load_file(converted / "model.safetensors")
    assert (weights[f"{ours}.weight"] == golden[f"{theirs}/kernel"].T).all()
    assert (weights[f"{ours}.bias"] == golden[f"{theirs}/bias"]).all()


def test_report_and_config_carry_the_checkpoints_sizes(tmp_path: Path, golden: Tensors) -> None:
    report = convert(GOLDEN, HIERDEC, tmp_path / "model")
    hparams = json.loads((GOLDEN / "hparams.json").read_text())["hparams"]
    for name in ("enc_rnn_size", "dec_rnn_size", "z_size"):
        expected = hparams[name]
        assert getattr(report.config, name) == (
            tuple(expected) if isinstance(expected, list) else expected
        )
    assert (report.folder, report.converted, report.skipped) == (tmp_path / "model", 42, 1)
    assert report.parameters == sum(array.size for array in golden.values()) - 1
    assert MusicVAE.from_pretrained(report.folder).config == report.config


def test_provenance(converted: Path) -> None:
    assert sorted(path.name for path in converted.iterdir()) == ["config.json", "model.safetensors"]
    provenance = json.loads((converted / "config.json").read_text())["provenance"]
    assert provenance["source"] == PREFIX.name and provenance["config"] == HIERDEC
    assert provenance["converter"].startswith("convert_weights ")
    assert provenance["sha256"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in GOLDEN.glob("*.ckpt.*")
    }


def test_hierarchical_encoder(tmp_path: Path) -> None:
    config = dataclasses.replace(get_config(HIER), enc_rnn_size=(5,), dec_rnn_size=(6, 7), z_size=3)
    torch.manual_seed(0)
    model = MusicVAE(config)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    variables = variables_of(weights, config)
    cell = "bidirectional_rnn/bw/multi_rnn_cell/cell_0/lstm_cell/kernel"
    assert variables[f"encoder/hierarchical_level_0/cell_0/{cell}"].shape == (692 + 5, 20)
    assert variables[f"encoder/hierarchical_level_1/cell_0/{cell}"].shape == (10 + 5, 20)
    write_tensor_bundle(tmp_path / "hier.ckpt", variables)
    report = convert(tmp_path, HIER, tmp_path / "model")
    assert report.config == config and report.skipped == 0
    again = load_file(tmp_path / "model" / "model.safetensors")
    assert all(array.tobytes() == again[name].tobytes() for name, array in weights.items())


def test_trainers_bookkeeping_is_skipped_and_counted(
    tmp_path: Path, golden: Tensors, converted: Path
) -> None:
    model = {name: array for name, array in golden.items() if name != "global_step"}
    slots = {f"{name}/{slot}": model[name] for name in model for slot in ("Adam", "Adam_1")}
    powers = {name: np.array(0.5, "f4") for name in ("beta1_power", "beta2_power")}
    twins = {f"encoder/rnn/opaque_kernel{slot}": np.zeros(9) for slot in ("", "/Adam", "/Adam_1")}
    everything = {**golden, **slots, **powers, **twins}
    assert len(everything) == 129 + 3
    write_tensor_bundle(tmp_path / "model.ckpt-25", everything)
    report = convert(tmp_path, HIERDEC, tmp_path / "out")
    assert (report.converted, report.skipped) == (42, 90)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        converted / "model.safetensors"
    ).read_bytes()


def without(tensors: Tensors, name: str) -> Tensors:
    return {key: array for key, array in tensors.items() if key != name}


def changed(name: str, array: object) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (changed("encoder/extra", np.zeros(1, "f4")), "unknown variables: encoder/extra"),
        (
            changed("encoder/cell_7/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell/bias", 0),
            "unknown variables: encoder/cell_7/",
        ),
        (changed(f"{FW0}/kernel", np.zeros((698, 20), "f4")), f"{FW0}/kernel is [698, 20]"),
        (changed(f"{FW0}/kernel", np.zeros((614, 24), "f4")), "expected [698, 24]"),
        (changed(f"{FW0}/bias", np.zeros((1, 24), "f4")), f"{FW0}/bias is [1, 24]"),
        (changed(f"{FW0}/bias", np.zeros(0, "f4")), "enc_rnn_size"),
        (
            changed(f"{CORE2}/output_projection/bias", np.zeros(90, "f4")),
            "output_projection/bias is [90], expected [512]",
        ),
        (changed("encoder/mu/bias", np.zeros(3)), "encoder/mu/bias is float64, expected float32"),
        (
            changed(f"{CORE2}/multi_rnn_cell/cell_0/input_projection_wrapper/kernel", 0),
            "residual models are not supported: core_decoder/core_decoder_2",
        ),
    ],
)
def test_refused_variables(tmp_path: Path, golden: Tensors, changes: Tensors, named: str) -> None:
    write_tensor_bundle(tmp_path / "odd.ckpt", golden | changes)
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path, HIERDEC, tmp_path / "out")
    message = str(caught.value)
    assert named in message and "odd.ckpt" in message and len(message.splitlines()) == 1
    assert "(but a" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [f"{FW0}/kernel", f"{FW0}/bias", "encoder/mu/bias"])
def test_missing_variable(tmp_path: Path, golden: Tensors, name: str) -> None:
    write_tensor_bundle(tmp_path / "odd.ckpt", without(golden, name))
    with pytest.raises(CheckpointError, match=f"missing variables: .*{name}"):
        convert(tmp_path, HIERDEC, tmp_path / "out")


def test_missing_layer(tmp_path: Path, golden: Tensors) -> None:
    shallow = {name: array for name, array in golden.items() if "encoder/cell_1" not in name}
    write_tensor_bundle(tmp_path / "odd.ckpt", shallow)
    with pytest.raises(CheckpointError, match=r"encoder/mu/kernel is \[10, 3\]"):
        convert(tmp_path, HIERDEC, tmp_path / "out")


def test_wrong_config_names_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no hier-trio_16bar \(but a hierdec-trio_16bar"):
        convert(PREFIX, HIER, tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown config"):
        convert(PREFIX, "trio", tmp_path / "out")


def test_plan_reads_no_tensor(tmp_path: Path, golden: Tensors) -> None:
    for path in GOLDEN.glob("*.ckpt.*"):
        shutil.copyfile(path, tmp_path / path.name)
    data = tmp_path / f"{PREFIX.name}.data-00000-of-00001"
    data.write_bytes(bytes(data.stat().st_size))
    bundle = open_tensor_bundle(tmp_path / PREFIX.name)
    plan = make_plan(bundle, get_config(HIERDEC), "checkpoint")
    assert plan.skipped == ["global_step"]
    with pytest.raises(CheckpointError, match="checksum"):
        bundle["encoder/mu/bias"]
    with pytest.raises(CheckpointError, match="checksum"):
        convert(tmp_path, HIERDEC, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run(*arguments: object) -> int:
    """The command's exit code, whether it returns it or exits by argparse."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def test_command_converts(
    workplace: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{PREFIX}.index", "--config", HIERDEC, "--out", "new/model") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "new/model: hierdec-trio_16bar, 53,360 parameters" in out
    for name in ("config.json", "model.safetensors"):
        assert (workplace / "new/model" / name).read_bytes() == (converted / name).read_bytes()
    assert (workplace / "new/model").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_command_refuses_a_folder_in_use(
    workplace: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "model").mkdir()
    (workplace / "model" / "notes.txt").write_text("mine")
    (workplace / "model" / "config.json").write_text("old")
    command = (PREFIX, "--config", HIERDEC, "--out", "model")
    assert run(*command) == 2
    assert "--force" in capsys.readouterr().err
    assert (workplace / "model" / "config.json").read_text() == "old"
    assert run(*command, "--force") == 0
    assert (workplace / "model" / "notes.txt").read_text() == "mine"
    for name in ("config.json", "model.safetensors"):
        assert (workplace / "model" / name).read_bytes() == (converted / name).read_bytes()


def test_work_is_done_beside_the_target(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def move(result: Path, folder: Path) -> None:
        # Elsewhere, the target could be on another file system, where no rename reaches.
        assert result.is_relative_to(workplace) and not folder.parent.exists()
        assert sorted(path.name for path in result.iterdir()) == [
            "config.json",
            "model.safetensors",
        ]

    monkeypatch.setattr(atomic_folder, "_move", move)
    assert run(PREFIX, "--config", HIERDEC, "--out", workplace / "new" / "model") == 0


def test_command_fills_an_empty_folder(workplace: Path) -> None:
    (workplace / "model").mkdir()
    assert run(PREFIX, "--config", HIERDEC, "--out", workplace / "model") == 0
    assert len(list((workplace / "model").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "SOURCE"),
        ([PREFIX, "--config", HIERDEC], "--out is needed"),
        ([PREFIX, "--config", "nope", "--out", "model"], "choose one of"),
        (["absent.ckpt", "--config", HIERDEC, "--out", "model"], "absent.ckpt"),
        (["absent.ckpt", "--list"], "absent.ckpt"),
        ([".", "--config", HIERDEC, "--dry-run"], "no checkpoint"),
        ([PREFIX, "--config", HIER, "--out", "model"], "is no hier-trio_16bar"),
        ([PREFIX, "--config", HIER, "--dry-run"], "is no hier-trio_16bar"),
        ([PREFIX, "--config", HIERDEC, "--out", PREFIX.with_suffix(".ckpt.index")], "is a file"),
        ([PREFIX, "--list", "--dry-run"], "leave one of the two out"),
        ([PREFIX, "--frobnicate"], "--frobnicate"),
    ],
)
def test_command_fails_in_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], reason: str
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convert-weights: ") and reason in err
    assert err.count("\n") == 1 and err.endswith("\n")
    assert not list(workplace.iterdir())


def test_command_fails_in_one_line_on_a_broken_file(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "bro\nken.index").write_bytes(bytes(100))
    assert run("bro\nken", "--config", HIERDEC, "--out", "model") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (workplace / "model").exists()


def test_command_fails_in_one_line_where_no_folder_can_be(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "file").write_text("")
    assert run(PREFIX, "--config", HIERDEC, "--out", "file/model") == 2
    err = capsys.readouterr().err
    assert "file" in err and err.count("\n") == 1
    assert [path.name for path in workplace.iterdir()] == ["file"]
    (workplace / "link").symlink_to("nowhere")
    assert run(PREFIX, "--config", HIERDEC, "--out", "link") == 2
    assert capsys.readouterr().err.startswith("convert-weights: link: ")


def test_a_full_disk_is_told_of_the_folder(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(conversion, "write_safetensors", fill)
    assert run(PREFIX, "--config", HIERDEC, "--out", "model") == 2
    assert capsys.readouterr().err == "convert-weights: model: No space left on device\n"


@pytest.mark.parametrize("stage", ["to_parameters", "_provenance", "_move"])
def test_interruption_leaves_nothing(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_folder if stage == "_move" else conversion, stage, interrupt)
    assert run(PREFIX, "--config", HIERDEC, "--out", "new/model") == 130
    assert capsys.readouterr().err == "convert-weights: stopped\n"
    assert not list(workplace.iterdir())


def test_termination_leaves_nothing(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminate(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # else a failure ends pytest
    try:
        monkeypatch.setattr(atomic_folder, "_move", terminate)
        assert run(PREFIX, "--config", HIERDEC, "--out", "new/model") == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "convert-weights: stopped\n"
    assert not list(workplace.iterdir())


def test_message_is_one_line_whatever_the_names(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mine.json").write_text(f'{{"base": "{HIERDEC}", "name": "a\\nb\\u001b"}}')
    assert run(PREFIX, "--config", "mine.json", "--out", "caf\udce9\n") == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("caf\\udce9 : a b , 53,360 parameters")


def test_name_that_the_terminal_cannot_show(workplace: Path) -> None:
    code = "import sys; from convert_weights.cli import main; sys.exit(main())"
    words = (str(PREFIX), "--config", HIERDEC, "--out", "ö")
    done = run_python(code, *words, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\xf6: ")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PREFIX, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 43
    assert "encoder/mu/kernel\tfloat32\t[10, 3]" in lines
    assert "global_step\tint64\t[]" in lines


def test_dry_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PREFIX, "--config", HIERDEC, "--dry-run", "--out", "model") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21 + 1 + 1 + 3
    assert (
        "encoder/mu/kernel [10, 3], encoder/mu/bias [3]"
        " -> encoder.mean.weight [3, 10], encoder.mean.bias [3]"
    ) in lines
    assert "global_step -> skipped" in lines
    assert "# config: hierdec-trio_16bar" in lines
    assert "# z_size is 3, in hierdec-trio_16bar 512" in lines
    assert not list(workplace.iterdir())


def test_help_is_quick_and_names_the_configs() -> None:
    script = (
        "import sys; from convert_weights import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    assert HIERDEC in done.stdout and HIER in done.stdout and "--dry-run" in done.stdout


def test_runs_as_a_module_and_ends_quietly_in_a_pipe() -> None:
    command = [sys.executable, "-m", "convert_weights", str(PREFIX), "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
