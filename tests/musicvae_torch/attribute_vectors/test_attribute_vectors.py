"""Attribute vectors: learnt, kept, moved along and measured; the command."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from dataset_files import write
from fresh_python import run_python
from made_up import made_up, tiny
from paths import EXAMPLES
from safetensors.torch import load_file, save_file

from musicvae_torch.analysis.attributes import ATTRIBUTES, measure, window_parts
from musicvae_torch.attribute_vectors import (
    ATTRIBUTES_FILE,
    METHODS,
    AttributeVectors,
    Effects,
    learn_directions,
    measure_effects,
)
from musicvae_torch.attribute_vectors.directions import held_still
from musicvae_torch.attribute_vectors.learning import learn_attributes, measure_attributes
from musicvae_torch.cli.attributes import main
from musicvae_torch.converters.base import from_one_hot
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.dataset import Windows
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint import shipped_checkpoint, weights_sha256
from musicvae_torch.model.vae import MusicVAE

MELODIES = "cat-mel_2bar_small"


def vectors(**record: str) -> AttributeVectors:
    directions = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0]])
    two = torch.tensor([1.0, 2.0])
    return AttributeVectors(
        ("density", "swing"), directions, two, two, two / 2, ("onsets a bar", "share"), dict(record)
    )


def test_moves_add_up_and_leave_the_rest() -> None:
    z = torch.arange(8.0, dtype=torch.float64).view(2, 4)
    moved = vectors().move(z, {"density": 2, "swing": -0.5})
    assert torch.equal(moved, z + torch.tensor([2.0, -1, 0, 0]))
    assert moved.dtype == z.dtype and torch.equal(vectors().move(z, {}), z)
    assert torch.equal(vectors().move(z[0], {"density": 1}), z[0] + torch.eye(4)[0])


@pytest.mark.parametrize(
    ("strengths", "shape", "message"),
    [
        ({"tempo": 1.0}, (1, 4), "no attribute vector for 'tempo'; choose among: density, swing"),
        ({"swing": float("nan")}, (1, 4), "strength of swing must be a finite number, not nan"),
        ({}, (1, 5), r"z has shape \(1, 5\), wanted \(..., 4\)"),
    ],
)
def test_what_cannot_be_moved_is_one_line(
    strengths: dict[str, float], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        vectors().move(torch.zeros(shape), strengths)


def synthetic(windows: int = 4000) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Latents that are a linear function of two attributes that go together, and noise that the
    attributes know nothing of; and the true directions for a standard deviation of each."""
    rng = np.random.default_rng(0)
    density = rng.normal(size=windows)
    swung = 0.8 * density + 0.6 * rng.normal(size=windows)
    truth = np.array([[1.0, 0, 0, 0, 0], [0, 0, 2.0, 0, 0]])
    noise = rng.normal(size=(windows, 5)) * np.array([0.05, 1, 0.05, 1, 1])
    latents = np.stack([density, swung], 1) @ truth + noise
    values = {"density": 5 + 3 * density, "swing": 0.5 + 0.1 * swung}
    return latents, values, truth


@pytest.mark.parametrize("method", METHODS)
def test_directions_of_a_linear_latent_are_found(method: str) -> None:
    latents, values, truth = synthetic()
    learnt = learn_directions(latents, values, method)
    assert learnt.names == ("density", "swing") and not learnt.left_out
    assert learnt.means == pytest.approx([5, 0.5], abs=0.1)
    assert learnt.stddevs == pytest.approx([3, 0.1], rel=0.05)
    assert (learnt.r2 > 0.98).all()
    off = np.abs(learnt.directions - truth)
    if method == "difference":
        # The other attribute goes along, by their correlation; the noise does not.
        assert learnt.directions[0, 2] == pytest.approx(0.8 * 2, abs=0.1)
        assert learnt.directions[1, 0] == pytest.approx(0.8, abs=0.1)
        assert off[:, [1, 3, 4]].max() < 0.1
    else:
        assert off.max() < 0.1


def test_windows_without_a_value_do_not_count_for_it() -> None:
    latents, values, truth = synthetic()
    holes = values["swing"].copy()
    holes[::3] = np.nan
    for method in METHODS[1:]:
        whole = learn_directions(latents, values, method).directions
        learnt = learn_directions(latents, {**values, "swing": holes}, method)
        assert np.abs(learnt.directions[1] - whole[1]).max() < 0.15, method
    assert learnt.stddevs[1] == pytest.approx(0.1, rel=0.05)
    probed = learn_directions(latents, {**values, "swing": holes}).directions
    cosine = probed[1] @ truth[1] / np.linalg.norm(probed[1]) / np.linalg.norm(truth[1])
    assert cosine > 0.95


def test_an_attribute_that_the_latent_does_not_tell_moves_it_little() -> None:
    latents, values, _ = synthetic()
    values["interval"] = np.random.default_rng(1).normal(size=len(latents))
    learnt = learn_directions(latents, values)
    assert learnt.r2[2] < 0.01 and np.linalg.norm(learnt.directions[2]) < 0.2


def test_what_does_not_differ_is_left_out() -> None:
    latents, values, _ = synthetic(50)
    values["register"] = np.full(50, 60.0)
    values["interval"] = np.r_[np.arange(7.0), np.full(43, np.nan)]
    learnt = learn_directions(latents, values)
    assert learnt.left_out == ("register", "interval") and learnt.directions.shape == (2, 5)
    with pytest.raises(ValueError, match="no attribute differs among these 3 windows"):
        learn_directions(latents[:3], {"density": np.arange(3.0)})
    with pytest.raises(ValueError, match="unknown method 'mean'; choose one of: probes"):
        learn_directions(latents, values, "mean")


def test_kin_and_sums_are_not_held_still() -> None:
    names = tuple(ATTRIBUTES)
    assert held_still("band_density", names) == [
        "melody_density", "register", "bass_register", "interval", "syncopation", "swing"
    ]  # fmt: skip
    # Sums of others are held by their parts.
    assert "density" not in held_still("swing", names)
    assert "density" in held_still("swing", ("density", "swing"))
    for name, attribute in ATTRIBUTES.items():
        assert set(attribute.made_of) <= set(attribute.kin)
        assert all(name in ATTRIBUTES[other].kin for other in attribute.kin), name


@pytest.fixture(scope="module")
def melodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and a data set of melodies."""
    folder = tmp_path_factory.mktemp("melodies")
    torch.manual_seed(0)
    model = MusicVAE(tiny(MELODIES))
    torch.nn.init.normal_(model.encoder.mean.weight)  # so that windows differ in their latents
    model.save_pretrained(folder / "model")
    write(folder / "data.h5", sparse(60), MELODIES)
    return folder


def sparse(count: int) -> Windows:
    """Melodies that rest on most steps, so that some beats may swing."""
    windows = made_up(tiny(MELODIES), count)
    rests = np.random.default_rng(1).random(windows.tokens.shape) < 0.7
    return replace(windows, tokens=np.where(rests, 0, windows.tokens).astype(np.int16))


def test_kept_vectors_come_back(tmp_path: Path, melodies: Path) -> None:
    ours = vectors(sha256=weights_sha256(melodies / "model"), data="x.h5")
    path = ours.save(tmp_path / "mine.safetensors")
    assert [one.name for one in tmp_path.iterdir()] == ["mine.safetensors"]
    back = AttributeVectors.load(path, melodies / "model")
    assert (back.names, back.units, back.record) == (ours.names, ours.units, ours.record)
    for name in ("directions", "means", "stddevs", "r2"):
        assert torch.equal(getattr(back, name), getattr(ours, name))


def test_a_wrong_pairing_is_one_line(tmp_path: Path, melodies: Path) -> None:
    model = MusicVAE.from_pretrained(melodies / "model")
    model.save_pretrained(tmp_path / "model")
    path = vectors(sha256="of another").save(tmp_path / "model")
    assert path == tmp_path / "model" / ATTRIBUTES_FILE
    with pytest.raises(
        CheckpointError, match=r"belong to other weights than .*model; learn its own"
    ):
        AttributeVectors.load(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"no attribute vectors here; learn them with: learn"):
        AttributeVectors.load(melodies)
    alone = vectors(sha256="x").save(tmp_path / "alone")
    with pytest.raises(CheckpointError, match=r"model.safetensors: not readable, so that nothing"):
        AttributeVectors.load(alone)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / ATTRIBUTES_FILE
    path.write_bytes(b"no such thing")
    refused(path, "not readable as safetensors")
    save_file({"directions": torch.zeros(1, 4)}, path)
    refused(path, "holds no attribute vectors")
    vectors().save(path)
    tensors = load_file(path)
    about = {"names": ["density"], "units": ["share"], "record": {}}
    metadata = {"kind": "attribute-vectors", "attributes": json.dumps(about)}
    save_file(tensors, path, metadata=metadata | {"format_version": "9"})
    refused(path, "format_version is 9, this library reads 1")
    for broken in (json.dumps(about), "{", "[]"):
        save_file(tensors, path, metadata | {"format_version": "1", "attributes": broken})
        refused(path, "damaged: ")


def refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        AttributeVectors.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_effects_of_a_decoder_that_plays_the_first_number(
    melodies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many notes, from the first step on, as the latent's first number says."""

    def decode(self: MusicVAE, z: torch.Tensor, *_: object) -> torch.Tensor:
        classes = (torch.arange(32) < z[:, :1]) * 50
        return torch.nn.functional.one_hot(classes, 90)

    monkeypatch.setattr(MusicVAE, "decode", decode)
    model = MusicVAE.from_pretrained(melodies / "model")
    z = torch.tensor([[4.0, 0, 0, 0], [8, 0, 0, 0]])
    effects = measure_effects(model, vectors(), z, strengths=(1, -1, 0, 3))
    assert effects.strengths == (-1, 0, 1, 3) and effects.windows == 2
    # 6 notes in two bars on average; one more or less of them is half a note a bar, and the
    # attribute's standard deviation is 1.
    assert effects.values[0, :, 0].tolist() == [2.5, 3, 3.5, 4.5]
    assert effects.shifts[0, :, 0].tolist() == [-0.5, 0, 0.5, 1.5]
    assert effects.matrix()[0, 0] == 0.5 and effects.rises("density")
    # Moved along the second number, nothing changes; beats full of notes do not swing.
    assert effects.values[1, :, 0].tolist() == [3] * 4 and not effects.shifts[1, :, 0].any()
    assert np.isnan(effects.shifts[1, 2, 1]) and not effects.rises("swing")


def test_what_cannot_be_measured_is_one_line(melodies: Path) -> None:
    model = MusicVAE.from_pretrained(melodies / "model")
    with pytest.raises(ValueError, match="strengths must hold 0, one below and one above"):
        measure_effects(model, vectors(), torch.randn(6, 4), strengths=(0, 1))
    with pytest.raises(ValueError, match="no windows"):
        measure_effects(model, vectors(), torch.zeros(0, 4))


def test_the_table_says_what_was_measured() -> None:
    shifts = np.array([[[-1.0, 0.2], [0, 0], [0.5, 0.1]], [[0, 0.4], [0, 0], [-0.2, 0.3]]])
    effects = Effects(
        ("density", "swing"), ("onsets a bar", "share"), (-2, 0, 1), 10 + shifts, shifts, 7, 0.5
    )
    assert np.allclose(effects.matrix(), [[0.5, -0.1 / 3], [-0.2 / 3, -0.1 / 3]])
    assert effects.rises("density") and not effects.rises("swing")
    assert effects.side_effects("density") == {"swing": pytest.approx(-0.1 / 3)}
    heads, _, density, swing = effects.own_table().splitlines()
    assert heads.startswith("| moved | unit | -2 | +0 | +1 | rises throughout |")
    assert density == (
        "| density | onsets a bar | 9.00 | 10.00 | 10.50 | yes | +0.50 | 0.03 | swing -0.03 |"
    )
    assert "| no | -0.03 | 0.07 | density -0.07 |" in swing


def test_learning_twice_gives_the_same(melodies: Path) -> None:
    learn = partial(learn_attributes, melodies / "data.h5", melodies / "model", max_windows=40)
    first, second, other = learn(device="cpu"), learn(device="cpu"), learn(device="cpu", seed=1)
    assert torch.equal(first.directions, second.directions)
    assert not torch.equal(first.directions, other.directions)
    assert first.names == ("density", "register", "interval", "syncopation", "swing")
    assert first.record["method"] == "probes" and first.record["windows"] <= 40
    assert first.record["sha256"] == weights_sha256(melodies / "model")


def test_songs_set_aside_are_measured_on_and_not_learnt_of(tmp_path: Path, melodies: Path) -> None:
    windows = sparse(60)
    path = write(tmp_path / "split.h5", windows, MELODIES, validation=np.array([0, 0, 1], bool))
    aside = int((windows.song == 2).sum())
    learnt = learn_attributes(path, melodies / "model", max_windows=9999, device="cpu")
    assert learnt.record["songs"] == 2 and learnt.record["windows"] <= 60 - aside
    effects = measure_attributes(path, melodies / "model", learnt, device="cpu")
    assert 0 < effects.windows <= aside


def test_codes_in_the_data_set_save_the_encoder(
    tmp_path: Path, melodies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = sparse(60)
    codes = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    path = write(tmp_path / "coded.h5", windows, MELODIES, code_mean=codes, code_stddev=codes)
    with h5py.File(path, "a") as file:
        file.attrs["codes"] = json.dumps({"sha256": weights_sha256(melodies / "model")})
    monkeypatch.setattr(MusicVAE, "encode", lambda *_: pytest.fail("encoded once more"))
    assert learn_attributes(path, melodies / "model", device="cpu").z_size == 4


@pytest.mark.parametrize(
    "name", ["cat-mel_2bar_med_chords", "cat-drums_2bar_small", "groovae_2bar_humanize"]
)
def test_other_configs(tmp_path: Path, name: str) -> None:
    config = tiny(name)
    model = MusicVAE(config)
    model.save_pretrained(tmp_path / "model")
    data = write(tmp_path / "data.h5", made_up(config, 30), name)
    learnt = learn_attributes(data, tmp_path / "model", device="cpu")
    assert "density" in learnt.names
    effects = measure_attributes(data, tmp_path / "model", learnt, max_windows=4, device="cpu")
    assert np.isfinite(effects.values[0, :, 0]).all()


def test_using_vectors_needs_no_training_extra() -> None:
    code = (
        "import sys; import musicvae_torch.attribute_vectors\n"
        "assert not {'lightning', 'h5py', 'matplotlib'} & set(sys.modules)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_the_command_learns_and_measures(
    tmp_path: Path, melodies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = str(melodies / "data.h5"), str(melodies / "model")
    out, plot = tmp_path / "mine.safetensors", tmp_path / "matrix.png"
    arguments = [data, "--musicvae", model, "-o", str(out), "--device", "cpu"]
    more = ["--measure", data, "--measure-windows", "5", "--plot", str(plot)]
    assert main([*arguments, *more]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert f"{out}: learnt of " in told and "| swing | share |" in told
    assert f"windows of {data}, temperature 0.5" in told and "rises throughout" in told
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert AttributeVectors.load(out, model).z_size == 4


def test_a_folder_of_midi_files_is_enough(
    tmp_path: Path, melodies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(EXAMPLES), "--musicvae", str(melodies / "model"), "--device", "cpu"]
    before = sorted(EXAMPLES.iterdir())
    assert main([*arguments, "-o", str(tmp_path)]) == 0, capsys.readouterr().err
    assert (tmp_path / ATTRIBUTES_FILE).is_file() and sorted(EXAMPLES.iterdir()) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--plot", "x.png"], "--plot: draws the results of --measure; name songs with it"),
        (["--max-windows", "0"], "--max-windows: must be at least 1, not 0"),
        (["--device", "nowhere"], "device 'nowhere' cannot be used here"),
    ],
)
def test_refusals_are_one_line(
    melodies: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(melodies / "data.h5"), "--musicvae", str(melodies / "model")]
    assert main([*arguments, *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"learn-attributes: {message}") and error.count("\n") == 1
    assert not (melodies / "model" / ATTRIBUTES_FILE).exists()


def test_data_of_another_config_is_one_line(
    tmp_path: Path, melodies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drums = tiny("cat-drums_2bar_small")
    data = write(tmp_path / "drums.h5", made_up(drums, 9), drums.name)
    assert main([str(data), "--musicvae", str(melodies / "model")]) == 2
    error = capsys.readouterr().err
    assert "holds windows of cat-drums_2bar_small" in error and error.count("\n") == 1


def test_vectors_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="2 names and 1 units"):
        replace(vectors(), units=("share",))


def test_the_shipped_trio_has_vectors_that_move_its_band() -> None:
    home = shipped_checkpoint("trio_16bar_small")
    shipped = AttributeVectors.load(home)  # which are of these very weights
    assert shipped.names == tuple(ATTRIBUTES)
    model = MusicVAE.from_pretrained(home)
    z = torch.randn(4, model.config.z_size, generator=torch.Generator().manual_seed(0)) / 2
    found = []
    for strength in (-1.0, 1.0):
        rows = model.decode(shipped.move(z, {"band_density": strength}), temperature=0)
        found.append(measure(window_parts(model.config, from_one_hot(rows.numpy(), DEPTHS))))
    sparse_band, dense_band = (values["band_density"].mean() for values in found)
    assert dense_band > sparse_band + 4
