"""Exported networks compute in ONNX Runtime what they compute in PyTorch and in Magenta."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fresh_python import run_python
from magenta_models import MODELS, Golden, error, load_golden
from paths import ROOT
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.io.checkpoint import shipped_checkpoint, weights_sha256
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.cli.export_onnx import main
from surrogate.encoder.loading import load_surrogate as load
from surrogate.encoder.model import Surrogate, SurrogateConfig, SurrogateEncoder

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'musicvae-torch[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'musicvae-torch[onnx]'")

from musicvae_torch.onnx import GraphError, export_musicvae, graph  # noqa: E402
from musicvae_torch.onnx import runtime as onnx_runtime  # noqa: E402
from musicvae_torch.onnx.runtime import OnnxMusicVAE, OnnxSurrogate  # noqa: E402
from surrogate.encoder.onnx import export_surrogate  # noqa: E402

TOLERANCE = 1e-5  # of the largest value
# A groove feeds real numbers back, whose rounding errors grow from step to step.
GROOVE_TOLERANCE = 2e-4
SIZES: dict[str, Any] = {
    "max_seq_len": 8,
    "input_depth": 15,
    "output_depths": (6, 5, 4),
    "z_size": 4,
    "enc_rnn_size": (8, 6),
    "dec_rnn_size": (7, 6),
}


def noisy(network: torch.nn.Module, seed: int = 0) -> Any:
    """A network none of whose weights are zero, biases and all, in evaluation mode."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.eval()


@pytest.fixture(
    scope="module", params=sorted(path.name for path in MODELS.iterdir() if path.is_dir())
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of Magenta's, and what is exported of it."""
    golden = load_golden(MODELS / request.param)
    folder = tmp_path_factory.mktemp("onnx")
    export_musicvae(golden.model, folder)
    return golden, OnnxMusicVAE(folder), folder


def as_array(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.numpy()


@torch.no_grad()
def test_the_exported_posterior_is_magentas(pair: tuple[Golden, OnnxMusicVAE, Path]) -> None:
    golden, exported, _ = pair
    reference = golden.reference
    rows, controls = reference["inputs"], as_array(golden.controls)
    for prefix in ("", "var_"):
        lengths = reference[f"{prefix}lengths"]
        if golden.config.is_hierarchical_encoder:
            # Magenta's lengths may be of windows, where the graph takes those of segments.
            level = golden.config.encoder_level_lengths[0]
            segments = golden.config.max_seq_len // level
            if lengths.dim() == 1:
                lengths = (lengths // segments).unsqueeze(1).expand(-1, segments)
        ours = golden.model.encode(rows, lengths, golden.controls)
        mean, stddev = exported.encode(rows.numpy(), lengths.numpy(), controls)
        for theirs in (
            (ours.mean, ours.stddev),
            (reference[f"{prefix}mu"], reference[f"{prefix}sigma"]),
        ):
            assert error(mean, theirs[0]) <= TOLERANCE
            assert error(stddev, theirs[1]) <= TOLERANCE
        assert (np.abs(stddev / ours.stddev.numpy() - 1) <= TOLERANCE).all()
    mean, _ = exported.encode(rows.numpy(), None, controls)
    assert error(mean, golden.model.encode(rows, None, golden.controls).mean) <= TOLERANCE


def test_likeliest_rows(pair: tuple[Golden, OnnxMusicVAE, Path]) -> None:
    golden, exported, _ = pair
    theirs, z = golden.reference["samples"], golden.reference["z"]
    controls = golden.reference.get("sample_c_input")
    rows = exported.decode(z.numpy(), theirs.shape[1], 0, as_array(controls))
    ours = golden.model.decode(z, theirs.shape[1], 0, controls)
    if golden.config.output == "groove":
        hits = golden.config.output_depth // 3
        assert np.array_equal(rows[..., :hits], ours[..., :hits])
        assert error(rows, ours) <= GROOVE_TOLERANCE and error(rows, theirs) <= GROOVE_TOLERANCE
    else:
        assert np.array_equal(rows, ours)
        assert np.array_equal(rows, golden.reference.get("samples_threshold", theirs))


def test_samples_from_given_places(
    pair: tuple[Golden, OnnxMusicVAE, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both draw from the same numbers: what PyTorch would draw itself is put in its place."""
    golden, exported, _ = pair
    config, z = golden.config, golden.reference["z"]
    steps, temperature = 16, 0.7
    draws = exported.manifest["decoding"]["draws"]
    rng = np.random.default_rng(1)
    places = [rng.random((len(z), draws), np.float32) for _ in range(steps)]
    columns = iter(np.concatenate(places, axis=1).T)

    def rand(*_: Any, **__: Any) -> Tensor:
        return torch.from_numpy(next(columns))

    def bernoulli(chances: Tensor, **_: Any) -> Tensor:
        width = 1 if chances.dim() == 1 else chances.shape[1]
        place = torch.from_numpy(np.stack([next(columns) for _ in range(width)], axis=-1))
        return (place.view(chances.shape) < chances).float()

    monkeypatch.setattr(torch, "rand", rand)
    monkeypatch.setattr(torch, "bernoulli", bernoulli)
    controls = golden.reference.get("sample_c_input")
    ours = golden.model.decode(z, steps, temperature, controls)
    rows = exported.decode(
        z.numpy(),
        steps,
        temperature,
        as_array(controls[:steps] if controls is not None else None),
        np.random.default_rng(1),
    )
    if config.output == "groove":
        assert error(rows, ours) <= GROOVE_TOLERANCE
    else:
        assert np.array_equal(rows, ours)


def test_files(pair: tuple[Golden, OnnxMusicVAE, Path]) -> None:
    """The manifest tells the truth, and no loop is unrolled."""
    golden, _, folder = pair
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert MusicVAEConfig.from_dict(manifest["config"]) == golden.config
    for entry in manifest["graphs"].values():
        model = onnx.load(folder / entry["file"])
        onnx.checker.check_model(model, full_check=True)
        layers = [node.op_type for node in model.graph.node].count("LSTM")
        assert len(model.graph.node) < 60 + 40 * layers + 25 * len(golden.config.output_depths)
        for ports, stored in (
            (entry["inputs"], model.graph.input),
            (entry["outputs"], model.graph.output),
        ):
            for port, value in zip(ports, stored, strict=True):
                assert port["name"] == value.name and port["about"]
                sizes = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
                assert port["shape"] == sizes


def test_a_flat_model_takes_any_batch_and_any_length(tmp_path: Path) -> None:
    model = noisy(MusicVAE(MusicVAEConfig("flat", **SIZES)))
    export_musicvae(model, tmp_path)
    exported = OnnxMusicVAE(tmp_path)
    for batch, steps in ((1, 1), (5, 3), (2, 21)):
        rows = torch.rand(batch, steps, 15)
        lengths = torch.arange(batch) % (steps + 1)
        with torch.no_grad():
            for some in (None, lengths):
                mean, _ = exported.encode(rows.numpy(), as_array(some))
                assert error(mean, model.encode(rows, some).mean) <= TOLERANCE
        z = torch.randn(batch, 4)
        assert np.array_equal(exported.decode(z.numpy(), steps, 0), model.decode(z, steps, 0))


def test_temperatures_by_part(tmp_path: Path) -> None:
    """As `sample_segments`, given its chance: a part at temperature 0 does not listen to it."""
    model = noisy(MusicVAE(MusicVAEConfig("hier", **SIZES, decoder_level_lengths=(2, 4))))
    export_musicvae(model, tmp_path)
    exported = OnnxMusicVAE(tmp_path)
    z, temperatures = torch.randn(3, 4), [1.0, 0.0, 2.0]
    rng = np.random.default_rng(5)
    places = np.stack([rng.random((3, 3), np.float32) for _ in range(8)], axis=1)
    theirs = model.sample_segments(model.embed(z), temperatures, torch.from_numpy(places))
    rows = exported.decode(z.numpy(), None, temperatures, rng=np.random.default_rng(5))
    assert np.array_equal(exported.classes(rows), theirs)
    again = exported.decode(z.numpy(), None, 0)
    assert not np.array_equal(rows, again)
    cold = exported.decode(z.numpy(), None, 1e-30)
    assert np.array_equal(cold, again)


def test_chances_are_as_the_temperature_says(tmp_path: Path) -> None:
    model = noisy(MusicVAE(MusicVAEConfig("flat", **SIZES)))
    export_musicvae(model, tmp_path)
    exported = OnnxMusicVAE(tmp_path)
    z = torch.randn(1, 4)
    logits = model.teacher_force(z, torch.zeros(1, 1, 15))[0, 0, :6].detach()
    many = z.expand(20_000, 4).numpy()
    rows = exported.decode(many, 1, 2.0, rng=np.random.default_rng(0))
    chances = rows[:, 0, :6].mean(0)
    assert np.abs(chances - torch.softmax(logits / 2, -1).numpy()).max() < 0.015


def surrogates() -> dict[str, Surrogate]:
    sizes: dict[str, Any] = {"input_depth": 692, "z_size": 3, "input_parts": PARTS}
    small: dict[str, Any] = {"rnn_size": (4, 6), "max_seq_len": 16}
    flat = SurrogateConfig(**sizes, **small)
    return {
        "flat": SurrogateEncoder(flat),
        "melody": SurrogateEncoder(SurrogateConfig(z_size=3, **small)),
        "mean": SurrogateEncoder(
            SurrogateConfig(**sizes, **small, level_lengths=(4, 4), pooling="mean")
        ),
        "attention": SurrogateEncoder(
            SurrogateConfig(**sizes, **small, level_lengths=(4, 2, 2), pooling="attention")
        ),
        "point": PointSurrogate(SurrogateConfig(z_size=3, **small)),
    }


def posteriors_agree(network: Surrogate, folder: Path, batch: int = 3) -> None:
    exported = OnnxSurrogate(folder)
    steps = network.config.max_seq_len
    rng = np.random.default_rng(0)
    tokens = rng.integers(-1, DEPTHS, (batch, steps, len(PARTS)))
    for given in [(part,) for part in network.input_parts] + [network.input_parts]:
        heard = tokens.copy()
        for index, part in enumerate(PARTS):
            if part not in given:
                heard[..., index] = 7777  # counts for nothing
        mean, stddev = exported.posterior(heard, given)
        with torch.no_grad():
            if isinstance(network, SurrogateEncoder):
                theirs = network.posterior(torch.from_numpy(tokens), given)
                assert error(mean, theirs.mean) <= TOLERANCE
                assert stddev is not None and error(stddev, theirs.stddev) <= TOLERANCE
            else:
                theirs_mean = network.posterior_mean(torch.from_numpy(tokens), given)
                assert error(mean, theirs_mean) <= TOLERANCE
                assert stddev is None


@pytest.mark.parametrize("kind", surrogates())
def test_exported_surrogates_predict_the_same(kind: str, tmp_path: Path) -> None:
    network = noisy(surrogates()[kind])
    export_surrogate(network, tmp_path)
    posteriors_agree(network, tmp_path)


@pytest.mark.parametrize("name", ["trio_16bar_small_surrogate", "trio_16bar_small_point"])
def test_shipped_surrogates(name: str, tmp_path: Path) -> None:
    checkpoint = shipped_checkpoint(name)
    assert main([str(checkpoint), "-o", str(tmp_path)]) == 0
    posteriors_agree(load(checkpoint), tmp_path, batch=1)


def test_shipped_trio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = shipped_checkpoint("trio_16bar_small")
    assert main([str(checkpoint), "-o", str(tmp_path)]) == 0
    assert str(tmp_path / "decoder_step.onnx") in capsys.readouterr().out
    model, exported = MusicVAE.from_pretrained(checkpoint), OnnxMusicVAE(tmp_path)
    assert exported.manifest["sha256"] == weights_sha256(checkpoint)
    torch.manual_seed(0)
    z = torch.randn(3, 256)
    rows = model.decode(z, temperature=0)
    assert np.array_equal(exported.decode(z.numpy(), temperature=0), rows)
    with torch.no_grad():
        theirs = model.encode(rows)
    mean, stddev = exported.encode(rows.numpy())
    assert error(mean, theirs.mean) <= TOLERANCE
    assert (np.abs(stddev / theirs.stddev.numpy() - 1) <= TOLERANCE).all()
    # Weights kept in half precision take no more room here.
    size = sum(path.stat().st_size for path in tmp_path.glob("*.onnx"))
    assert size < 1.02 * (checkpoint / "model.safetensors").stat().st_size


def test_the_guide_s_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = ROOT / "docs/export.md"
    code = guide.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    shipped = shipped_checkpoint("trio_16bar_small")
    monkeypatch.chdir(tmp_path)
    assert main([str(shipped), "-o", "my_trio_onnx"]) == 0
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["rows"].shape == (2, 256, 692) and names["tokens"].shape == (2, 256, 3)
    assert np.array_equal(names["again"], exact(names["mean"], shipped))


def exact(z: np.ndarray, checkpoint: Path) -> Tensor:
    return MusicVAE.from_pretrained(checkpoint).decode(torch.from_numpy(z), temperature=0)


def test_it_runs_without_pytorch(tmp_path: Path) -> None:
    model = noisy(MusicVAE(MusicVAEConfig("hier", **SIZES, decoder_level_lengths=(2, 4))))
    export_musicvae(model, tmp_path / "export")
    script = tmp_path / "alone.py"
    script.write_text(Path(onnx_runtime.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['musicvae_torch'] = None\n"
        "import alone, numpy as np; model = alone.OnnxMusicVAE('export')\n"
        "print(model.sample(2, rng=np.random.default_rng(0)).shape)"
    )
    done = run_python(code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 8, 15)"


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    sizes = SIZES | {"control_depth": 2}
    export_musicvae(MusicVAE(MusicVAEConfig("c", **sizes, decoder_level_lengths=(2, 4))), tmp_path)
    exported = OnnxMusicVAE(tmp_path)
    z, controls = np.zeros((2, 4)), np.zeros((8, 2))
    with pytest.raises(ValueError, match=r"rows have shape \(2, 8, 3\), wanted \(batch, steps, 15"):
        exported.encode(np.zeros((2, 8, 3)), controls=controls)
    with pytest.raises(ValueError, match="lengths must be 0 to 8"):
        exported.encode(np.zeros((2, 8, 15)), np.array([3, 9]), controls)
    with pytest.raises(ValueError, match="controls have shape None"):
        exported.decode(z)
    with pytest.raises(ValueError, match="at most 8"):
        exported.decode(z, 9, controls=np.zeros((9, 2)))
    with pytest.raises(ValueError, match="temperature must be 0 or more"):
        exported.decode(z, temperature=-1, controls=controls)
    with pytest.raises(ValueError, match=r"z has shape \(2, 3\)"):
        exported.decode(np.zeros((2, 3)), controls=controls)
    with pytest.raises(ValueError, match="wanted one of: surrogate"):
        OnnxSurrogate(tmp_path)
    with pytest.raises(ValueError, match="made by export-onnx"):
        OnnxMusicVAE(tmp_path / "missing")


def test_a_graph_too_large_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_LARGEST", 5000)  # the encoder has less, the decoder's step more
    sizes = SIZES | {"enc_rnn_size": (1,)}
    with pytest.raises(GraphError, match=r"decoder_step: has .* more than the 2 GB"):
        export_musicvae(MusicVAE(MusicVAEConfig("flat", **sizes)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert "no checkpoint here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
