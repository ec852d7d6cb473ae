"""Training a band: what counts, resuming, the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from bands import groove_song, hide, random_tokens, small_band, song_windows, write_windows
from torch.nn import functional

from musicvae_torch.config import get_config
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import TrainingOptions, fit, load_best
from surrogate.band.config import BandConfig
from surrogate.band.model import HIDDEN, Band, Controls, styles_of
from surrogate.cli.train_band import main
from surrogate.encoder.model import SurrogateConfig, SurrogateEncoder
from surrogate.training.band.data import BandBatch, BandDataModule
from surrogate.training.band.masking import MaskingOptions
from surrogate.training.band.module import BandTraining, melody_given, token_losses
from surrogate.training.band.runs import read_runs

pytestmark = [
    pytest.mark.usefixtures("quiet_lightning"),
    pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9"),
]

CONFIG = BandConfig(width=16, heads=2, listener_layers=1, player_layers=1, style_size=3)
OPTIONS = TrainingOptions(
    batch_size=2, steps=6, validate_every=3, optimizer="muon", draw="sources", seed=1
)
LESSONS = MaskingOptions(bars={16: 1, 32: 1})
TINY = "--steps 2 --batch-size 2 --width 16 --heads 2 --listener-layers 1 --player-layers 1"


def songs(path: Path, seed: int = 0, **columns: np.ndarray) -> Path:
    rows = [
        row
        for song in range(3)
        for row in song_windows(groove_song(40, seed + song), [0, 8, 24], song=song)
    ]
    return write_windows(path, rows, ["a/x.mid", "a/y.mid", "b/z.mid"], **columns)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bands")
    songs(folder / "data.h5")
    songs(folder / "more.h5", 10)
    songs(folder / "other.h5", 20)
    songs(folder / "coded.h5", code_mean=np.ones((9, 7), np.float32))
    write_windows(folder / "melodies.h5", [{"tokens": np.zeros((32, 1)), "bar": 0}], ["x.mid"])
    (folder / "text.h5").write_text("no data set")
    short = song_windows(groove_song(16), [0])
    write_windows(folder / "short.h5", short, ["x.mid"])
    return folder


def data(files: Path, options: TrainingOptions = OPTIONS) -> BandDataModule:
    sides = read_runs([files / "data.h5"]), read_runs([files / "other.h5"])
    return BandDataModule(*sides, options, LESSONS, 3)


def test_only_hidden_tokens_count() -> None:
    """The loss is the nats of tokens that are neither given nor absent, by the logits of a whole
    pass."""
    band, tokens = small_band(), random_tokens(32, batch=2)
    given = hide(tokens, "drums")
    given[:, 16:, 1] = HIDDEN
    tokens = hide(tokens, "melody")
    given = hide(given, "melody")
    batch = melody_given(tokens)._replace(given=given, style=torch.zeros(2, 5))
    losses = token_losses(band, batch, None)
    logits = band(given, tokens, Controls(batch.chords, batch.density))
    assert [len(nats) for _, nats in losses] == [0, 32, 64]
    expected = functional.cross_entropy(
        logits[1][:, 16:].flatten(0, 1), tokens[:, 16:, 1].flatten()
    )
    torch.testing.assert_close(losses[1][1].mean(), expected)
    expected = functional.cross_entropy(logits[2].flatten(0, 1), tokens[..., 2].flatten())
    torch.testing.assert_close(losses[2][1].mean(), expected)
    torch.stack([nats.sum() for _, nats in losses]).sum().backward()
    assert all(parameter.grad is not None for parameter in band.heads.parameters())


def test_muon_trains_the_matrices_of_blocks_and_heads() -> None:
    module = BandTraining(CONFIG, OPTIONS)
    muon, adam = module.configure_optimizers().both  # type: ignore[attr-defined]
    names = {id(parameter): name for name, parameter in module.band.named_parameters()}
    by_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    by_adam = {names[id(p)] for group in adam.param_groups for p in group["params"]}
    assert by_muon | by_adam == set(names.values())
    assert not by_muon & by_adam
    assert "player.blocks.0.attention.qkv.weight" in by_muon
    assert "heads.drums.down.weight" in by_muon
    inner = re.compile(r"blocks\.\d+\.(attention\.(qkv|out)|up|down)|heads\.\w+\.(up|down)|heard")
    assert all(inner.search(name) for name in by_muon)
    assert not any(inner.search(name) for name in by_adam)


def test_workers_make_the_same_batches(files: Path) -> None:
    plain = data(files)
    sides = plain.training, plain.validation
    shared = BandDataModule(*sides, OPTIONS, LESSONS, 3, workers=2)
    stream = iter(shared.train_dataloader())
    for number in range(4):
        for ours, theirs in zip(next(stream), plain.batch(number), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_compiled_blocks_train_alike(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced alone, as a compiler for C++ may be missing."""
    compiled: list[torch.nn.Module] = []
    plain = torch.nn.Module.compile

    def trace(module: torch.nn.Module) -> None:
        compiled.append(module)
        plain(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", trace)
    losses = []
    for asked in (False, True):
        torch.manual_seed(0)
        module = BandTraining(CONFIG, OPTIONS, compiled=asked)
        module.on_fit_start()
        losses.append(module.training_step(data(files).batch(0), 0))
    assert len(compiled) == 2
    torch.testing.assert_close(*losses)


def test_it_learns(files: Path) -> None:
    """Two windows by heart."""
    torch.manual_seed(0)
    quick = replace(OPTIONS, learning_rate=0.02, muon_learning_rate=0.05)
    module, batch = BandTraining(CONFIG, quick), data(files).batch(0)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = module.configure_optimizers()
    losses = []
    for _ in range(60):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


class Stop(Exception):
    pass


class Stopping(BandTraining):
    """Ends as a killed process would, before a step."""

    stop: int | None = None

    def on_train_batch_start(self, batch: BandBatch, index: int) -> None:
        if self.global_step == self.stop:
            raise Stop
        super().on_train_batch_start(batch, index)


def test_a_stopped_training_goes_on_exactly(files: Path, tmp_path: Path) -> None:
    def train(work: str, stop: int | None) -> Stopping:
        torch.manual_seed(3)
        module = Stopping(CONFIG, OPTIONS)
        module.stop = stop
        best = fit(module, data(files), OPTIONS, tmp_path / work, "cpu")
        load_best(module, best)
        return module

    whole = train("whole", None)
    with pytest.raises(Stop):
        train("parts", 4)
    assert (tmp_path / "parts/last.ckpt").is_file()
    again = train("parts", None)
    ends = [
        torch.load(tmp_path / work / "last.ckpt", weights_only=True)["state_dict"]
        for work in ("whole", "parts")
    ]
    for name, weight in ends[0].items():
        assert torch.equal(weight, ends[1][name]), name
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_styles_from_melodies() -> None:
    """What the surrogate predicts from the melodies that want it, and the others as they are."""
    torch.manual_seed(0)
    surrogate = SurrogateEncoder(
        SurrogateConfig(z_size=3, rnn_size=(4,), level_lengths=(16, 16), input_parts=("melody",))
    )
    module = BandTraining(CONFIG, OPTIONS, surrogate=surrogate)
    assert not any("surrogate" in name for name in module.state_dict())
    tokens = random_tokens(512, batch=40)
    style = torch.full((40, 3), 9.0)
    wants = torch.arange(40) % 2 == 0
    batch = melody_given(tokens)._replace(style=style, wants_melody_style=wants)
    styles = module.styles(batch, 0)
    assert styles.shape == (40, 1, 3)
    assert (styles[~wants] == 9).all()
    assert torch.equal(styles, module.styles(batch, 0))  # the step decides what is drawn
    predicted = surrogate.posterior(tokens[wants][:, :256], ("melody",))
    errors = ((styles[wants][:, 0] - predicted.mean) / predicted.stddev).abs()
    means = (errors < 1e-4).all(1)
    assert 4 < int(means.sum()) < 16  # about half are means, the others samples
    assert errors[~means].mean() == pytest.approx((2 / np.pi) ** 0.5, abs=0.35)


def command(files: Path, line: str) -> int:
    words = (str(files / word[1:]) if word.startswith("@") else word for word in line.split())
    return main([*words, "--device", "cpu"])


def test_the_command(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "band"
    line = f"@data.h5 @more.h5 --validation @other.h5 -o {out} {TINY} --store float16"
    assert command(files, line) == 0
    assert f"{out}: trained" in capsys.readouterr().out
    record = json.loads((out / "config.json").read_text())["training"]
    assert record["data"]["training"] == {"songs": 6, "runs": 6}
    assert record["options"]["optimizer"] == "muon"
    best = record["best"]
    bars = [best[f"val/nats_bar_{bar:02}"] for bar in range(1, 17)]
    assert best["val/nats"] == pytest.approx(np.mean(bars), rel=1e-4)
    assert best["val/nats"] == pytest.approx(
        best["val/nats_bass"] + best["val/nats_drums"], rel=1e-4
    )
    band = Band.from_pretrained(out)
    assert band.config.width == 16
    # Scores as those weights have them, but for float16.
    runs = read_runs([files / "other.h5"])
    windows = np.stack([runs.window(40 * song + bar, 16) for song in range(3) for bar in (0, 16)])
    batch = melody_given(torch.from_numpy(windows.astype(np.int64)))
    with torch.no_grad():
        nats = sum(float(own.mean()) for _, own in token_losses(band, batch, None)[1:])
    assert best["val/nats"] == pytest.approx(nats, rel=1e-2)
    # And on from there.
    line = f"@data.h5 --validation @other.h5 -o {tmp_path / 'next'} --init {out} --steps 1"
    assert command(files, f"{line} --batch-size 2") == 0
    record = json.loads((tmp_path / "next/config.json").read_text())["training"]
    assert record["initialised_from"]["band"] == "band"


def test_a_style_is_learnt_later(files: Path, tmp_path: Path) -> None:
    """A band that was trained without codes goes on with them."""
    sizes = f"{TINY} --style-size 7"
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(files, f"@data.h5 --validation @other.h5 -o {first} {sizes}") == 0
    assert not Band.from_pretrained(first).player.style.weight.any()
    line = f"@coded.h5 --validation @other.h5 -o {second} --init {first} --steps 4"
    assert command(files, f"{line} --batch-size 4") == 0
    assert Band.from_pretrained(second).player.style.weight.any()


def test_frozen_biases_stay_and_all_else_learns(files: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(files, f"@data.h5 --validation @other.h5 -o {first} {TINY}") == 0
    line = f"@data.h5 --validation @other.h5 -o {second} --init {first} --freeze-biases"
    assert command(files, f"{line} --steps 4 --batch-size 2") == 0
    before, after = (
        dict(Band.from_pretrained(path).named_parameters()) for path in (first, second)
    )
    unlike = {name for name in before if not torch.equal(before[name], after[name])}
    assert "player.blocks.0.attention.bias" not in unlike
    assert {"player.blocks.0.attention.qkv.weight", "listener.blocks.0.attention.bias"} <= unlike
    assert json.loads((second / "config.json").read_text())["training"]["biases_frozen"]


def test_styles_of_a_musicvae_that_is_named(files: Path, tmp_path: Path) -> None:
    """Its codes are added, the style has their size, and what another one's said is forgotten."""
    model = get_config("hier-trio_16bar", enc_rnn_size=(6,), dec_rnn_size=(8,), z_size=4)
    torch.manual_seed(0)
    MusicVAE(model).save_pretrained(tmp_path / "vae")
    data = songs(tmp_path / "own.h5")
    with h5py.File(data, "a") as file:
        file.attrs["config"] = json.dumps(model.to_dict())
    first, second = tmp_path / "first", tmp_path / "second"
    line = f"{data} --validation @other.h5 --musicvae {tmp_path / 'vae'} --batch-size 2"
    assert command(files, f"{line} -o {first} {TINY} --steps 4") == 0
    with h5py.File(data) as file:
        assert file["code_mean"].shape == (9, 4)
    band = Band.from_pretrained(first)
    assert band.config.style_size == 4 and band.player.style.weight.any()
    assert styles_of(first)["sha256"] == weights_sha256(tmp_path / "vae")
    # The same one's are kept, another one's not.
    MusicVAE(replace(model, z_size=5)).save_pretrained(tmp_path / "other")
    assert command(files, f"{line} -o {second} --init {first} --steps 1") == 0
    assert Band.from_pretrained(second).config.style_size == 4
    line = line.replace(str(tmp_path / "vae"), str(tmp_path / "other"))
    assert command(files, f"{line} -o {tmp_path / 'third'} --init {first} --steps 1") == 0
    assert Band.from_pretrained(tmp_path / "third").config.style_size == 5


def test_the_record_names_the_musicvae_of_styles(files: Path, tmp_path: Path) -> None:
    with h5py.File(files / "coded.h5", "a") as file:
        file.attrs["codes"] = json.dumps({"sha256": "abc"})
    line = f"@coded.h5 --validation @other.h5 -o {tmp_path / 'band'} {TINY} --style-size 7"
    assert command(files, line) == 0
    record = json.loads((tmp_path / "band/config.json").read_text())["training"]
    assert record["styles"] == {"sha256": "abc"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("@data.h5 --validation @other.h5 -o x --freeze-biases", "--freeze-biases: applies to a"),
        ("@text.h5 -o x", "text.h5: not a data set of build-dataset"),
        ("@missing.h5 -o x", "missing.h5: "),
        ("@melodies.h5 -o x --validation @other.h5", "melodies.h5: tokens have shape (1, 32, 1)"),
        ("@data.h5 -o x", "data.h5: was built without validation songs"),
        ("@short.h5 --validation @other.h5 -o x --bars 32=1", "no window of 32 bars fits"),
        ("@data.h5 @coded.h5 --validation @other.h5 -o x", "hold posteriors and others hold none"),
        ("@coded.h5 --validation @other.h5 -o x", "coded.h5: holds posteriors of 7 dimensions"),
        ("@data.h5 --validation @other.h5 -o x --heads 3", "no multiple of twice its 3 heads"),
        (
            "@data.h5 --validation @other.h5 -o x --forgetful 2",
            "--forgetful: must be 0 to 1",
        ),
        ("@data.h5 --validation @other.h5 -o x --bars 8=1", "16 to 64 bars, not 8"),
        ("@data.h5 --validation @other.h5 -o x --init nowhere", "nowhere: no checkpoint here"),
        ("@data.h5 --validation @other.h5 -o x --fuse", "unrecognized arguments: --fuse"),
    ],
)
def test_what_the_user_can_mend(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(files, line) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
    assert told.startswith("train-band: ")
    assert not list(tmp_path.iterdir())


def test_sizes_of_a_checkpoint_hold(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_band().save_pretrained(tmp_path / "small")
    line = f"@data.h5 --validation @other.h5 -o {tmp_path / 'x'} --init {tmp_path / 'small'}"
    assert command(files, f"{line} --width 64") == 2
    assert "the sizes of a checkpoint cannot be changed" in capsys.readouterr().err


def test_a_longer_training_is_the_same_at_first(files: Path) -> None:
    """Batches do not depend on how many steps there are."""
    longer = data(files, replace(OPTIONS, steps=60)).batch(2)
    for one, two in zip(data(files).batch(2), longer, strict=True):
        assert torch.equal(one, two)
    assert PARTS == ("melody", "bass", "drums")
