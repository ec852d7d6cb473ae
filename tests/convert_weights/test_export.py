"""The way back: our folders as what Magenta and magenta.js load."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from magenta_models import MODELS
from safetensors.torch import load_file

from convert_weights import cli
from convert_weights.conversion import convert
from convert_weights.sources.releases import RELEASES
from musicvae_torch.config import CONFIGS, get_config
from musicvae_torch.model.vae import MusicVAE


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", CONFIGS)
def test_tensorflow_gets_its_own_bytes_back(tmp_path: Path, name: str) -> None:
    convert(MODELS / name, name, tmp_path / "ours")
    assert run(tmp_path / "ours", "--to", "tensorflow", "--out", tmp_path / "theirs") == 0
    for ending in ("index", "data-00000-of-00001"):
        original = MODELS / name / f"{name}.ckpt.{ending}"
        again = tmp_path / "theirs" / f"model.ckpt.{ending}"
        assert again.read_bytes() == original.read_bytes()
    # What tf.train.latest_checkpoint looks for.
    state = (tmp_path / "theirs" / "checkpoint").read_text()
    assert state == 'model_checkpoint_path: "model.ckpt"\n'


@pytest.mark.parametrize(
    ("name", "more"), [("hier-trio_16bar", ""), ("nade-drums_2bar_full", ", nade_num_hidden=7")]
)
def test_the_hint_gives_the_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, more: str
) -> None:
    convert(MODELS / name, None, tmp_path / "ours")
    run(tmp_path / "ours", "--to", "tensorflow", "--out", tmp_path / "theirs")
    assert capsys.readouterr().out.endswith(
        f"Magenta's {name}, with the hparams enc_rnn_size=[6], dec_rnn_size=[5, 4], "
        f"z_size=3{more}\n"
    )


def test_magenta_js_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"enc_rnn_size": (5,), "dec_rnn_size": (4, 4), "z_size": 3}
    model = MusicVAE(get_config("cat-drums_2bar_small", **sizes))
    model.save_pretrained(tmp_path / "drums")
    assert run(tmp_path / "drums", "--to", "magenta-js", "--out", tmp_path / "js") == 0
    report = convert(tmp_path / "js", None, tmp_path / "again")
    assert report.config == replace(model.config, name="js")
    ours, again = (load_file(tmp_path / name / "model.safetensors") for name in ("drums", "again"))
    assert ours.keys() == again.keys()
    assert all(torch.equal(ours[name], again[name]) for name in ours)
    small = ("--to", "magenta-js", "--quantize-bytes", 1, "--out", tmp_path / "small")
    assert run(tmp_path / "drums", *small) == 0
    convert(tmp_path / "small", None, tmp_path / "rounded")
    rounded = load_file(tmp_path / "rounded" / "model.safetensors")
    differences = [float((rounded[name] - ours[name]).abs().max()) for name in ours]
    assert 0 < max(differences) < 0.01


def test_a_model_is_not_replaced_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"enc_rnn_size": (5,), "dec_rnn_size": (4, 4), "z_size": 3}
    ours, js = tmp_path / "ours", tmp_path / "js"
    MusicVAE(get_config("cat-drums_2bar_small", **sizes)).save_pretrained(ours)
    assert run(ours, "--to", "magenta-js", "--out", js) == 0
    for command in (
        (ours, "--to", "magenta-js", "--out", ours, "--force"),
        (js, "--out", js, "--force"),
        (js / "weights_manifest.json", "--out", js, "--force"),
    ):
        assert run(*command) == 2
        assert "config.json would be lost" in capsys.readouterr().err
    MusicVAE.from_pretrained(ours)
    convert(js, None, tmp_path / "again")
    # Nothing of TensorFlow's is called as one of our files.
    assert run(ours, "--to", "tensorflow", "--out", ours, "--force") == 0
    assert run(ours / "model.ckpt", "--out", ours, "--force") == 0


@pytest.mark.parametrize("target", ["tensorflow", "magenta-js"])
def test_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    out = tmp_path / "out"
    surrogate = tmp_path / "surrogate"
    convert(MODELS.parent / "keras" / "lstm_model.h5", None, surrogate)
    cases = [(tmp_path / "absent", "no checkpoint here"), (surrogate, "wanted a 'musicvae'")]
    if target == "magenta-js":
        convert(MODELS / "hierdec-trio_16bar", None, tmp_path / "trio")
        cases.append((tmp_path / "trio", "magenta.js has no models like"))
    for source, fault in cases:
        assert run(source, "--to", target, "--out", out) == 2
        message = capsys.readouterr().err
        assert fault in message and message.count("\n") == 1
        assert not out.exists()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A server that has one release, made of a golden model."""
    release = RELEASES["cat-mel_2bar_big"]
    path = tmp_path / "served" / release.folder / release.files[0]
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for file in sorted((MODELS / "cat-mel_2bar_big").glob("*.ckpt.*")):
            content = file.read_bytes()
            member = tarfile.TarInfo(f"somewhere/{file.name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download_and_convert(
    tmp_path: Path, mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--mirror", mirror, "--download-folder", tmp_path / "cache")
    assert run("--download", "cat-mel_2bar_big", *where, "--out", tmp_path / "melody") == 0
    assert "Magenta's cat-mel_2bar_big, published by Google" in capsys.readouterr().out
    config = json.loads((tmp_path / "melody" / "config.json").read_text())
    assert config["provenance"]["weights"].startswith("Magenta's cat-mel_2bar_big")
    assert config["provenance"]["config"] == "cat-mel_2bar_big"
    convert(MODELS / "cat-mel_2bar_big", None, tmp_path / "same")
    weights = [tmp_path / name / "model.safetensors" for name in ("melody", "same")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert run("--download", "cat-mel_2bar_big", *where) == 0
    assert run("--download", "hierdec-mel_16bar", *where, "--out", tmp_path / "no") == 2
    message = capsys.readouterr().err
    assert "404" in message and message.count("\n") == 1 and not (tmp_path / "no").exists()


def test_releases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--download", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RELEASES) + 2 and "Apache-2.0" in lines[-1]
    assert {release.config for release in RELEASES.values()} - {None} <= set(CONFIGS)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["x", "--download", "y"], "exclude each other"),
        ([], "SOURCE is needed"),
        (["--download", "y", "--to", "tensorflow", "--out", "z"], "--to starts from a folder"),
        (
            ["x", "--to", "tensorflow", "--config", "c", "--out", "z"],
            "--config: --to starts",
        ),
        (
            ["x", "--to", "tensorflow", "--checkpoint", "c", "--out", "z"],
            "--checkpoint: --to",
        ),
        (
            ["x", "--mirror", "http://y", "--out", "z"],
            "applies to downloads",
        ),
        (
            ["x", "--download-folder", "y", "--out", "z"],
            "applies to downloads",
        ),
        (["x", "--out", "z", "--quantize-bytes", "1"], "applies to --to magenta-js"),
        (["x", "--to", "onnx", "--out", "z"], "--to: wanted one of tensorflow, magenta-js"),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    message = capsys.readouterr().err
    assert fault in message and message.count("\n") == 1
