"""Training surrogates: the objective, masks, the original's optimiser, resuming, the command."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from musicvae_torch.config import get_config
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.dataset import Windows
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ModelBatch, TrainingOptions, WindowsDataModule, fit, load_best
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.accompany_music_vae.one_hot_files import import_dataset
from surrogate.accompany_music_vae.options import ORIGINAL_OPTIONS
from surrogate.accompany_music_vae.training import PointTraining
from surrogate.cli.train_surrogate import main
from surrogate.encoder.loading import load_surrogate
from surrogate.encoder.model import SurrogateConfig, SurrogateEncoder
from surrogate.training.encoder.module import SurrogateTraining, draw_masks
from surrogate.training.encoder.options import (
    MASK_WEIGHTS,
    MASKS,
    SurrogateObjective,
    mask_name,
)

# What Lightning says to developers of itself, of folders that are in use, and of single steps.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:You are trying to `self.log"),
]

CONFIG = SurrogateConfig(
    z_size=3, input_depth=sum(DEPTHS), rnn_size=(8,), level_lengths=(16, 16), input_parts=PARTS
)


def trio() -> MusicVAE:
    torch.manual_seed(0)
    musicvae = MusicVAE(
        get_config("hier-trio_16bar", enc_rnn_size=(4,), dec_rnn_size=(4,), z_size=3)
    )
    # As drawn, hardly anything reacts to anything; this must.
    torch.nn.init.normal_(musicvae.encoder.mean.weight, std=2.0)
    for name, weight in musicvae.decoder.named_parameters():
        if "initial_state" in name:
            torch.nn.init.normal_(weight)
    return musicvae


def trios(count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, d, (count, 256)) for d in DEPTHS], axis=-1))


def training(**objective: Any) -> SurrogateTraining:
    module = SurrogateTraining(
        trio(), CONFIG, TrainingOptions(seed=5), SurrogateObjective(**objective)
    )
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module


def test_training_brings_it_closer_to_the_posterior() -> None:
    module = training(masks={"melody": 1.0})
    assert not any("musicvae" in name for name in module.state_dict())
    tokens = trios(4)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = module.training_step(ModelBatch(tokens, tokens), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    posterior = module.musicvae.encode(tokens)
    predicted = module.surrogate.posterior(tokens)
    assert (predicted.stddev / posterior.stddev).log().abs().max() < 1
    assert all(parameter.grad is None for parameter in module.musicvae.parameters())


def test_the_loss_is_the_divergence_from_posterior_to_prediction() -> None:
    """By the formula for normal distributions, with the masks of the step."""
    module, tokens = training(), trios(4)
    loss = module.training_step(ModelBatch(tokens, tokens), 0)
    posterior = module.musicvae.encode(tokens)
    predicted = module.surrogate(tokens, module.draw_given(4, 0))
    m, s = (moment.detach().double() for moment in (posterior.mean, posterior.stddev))
    n, t = (moment.detach().double() for moment in (predicted.mean, predicted.stddev))
    kl = (t / s).log() + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    assert float(loss.detach()) == pytest.approx(float(kl.sum(-1).mean()), rel=1e-5)
    mean, stddev = torch.zeros(4, 3), torch.full((4, 3), 0.5)
    coded = ModelBatch(tokens, tokens, posterior_mean=mean, posterior_stddev=stddev)
    stored = module.training_step(coded, 0)  # in place of computing it
    expected = kl_divergence(Normal(mean, stddev), predicted).sum(-1).mean()
    torch.testing.assert_close(stored, expected)


@pytest.mark.parametrize("decode_from", ["mean", "sample"])
def test_the_loss_through_the_decoder(decode_from: str) -> None:
    """It counts the hidden parts alone, and has gradients in the surrogate alone."""
    tokens = trios(6)
    plain = training()
    module = training(decoder_weight=0.1, decode_from=decode_from)
    module.surrogate.load_state_dict(plain.surrogate.state_dict())
    batch = ModelBatch(tokens, tokens)
    extra = module.training_step(batch, 0) - plain.training_step(batch, 0)
    given = module.draw_given(6, 0)
    predicted = module.surrogate(tokens, given)
    z = predicted.mean
    if decode_from == "sample":
        noise = np.random.default_rng([5, 0, 3, 0, 0]).standard_normal((6, 3), np.float32)
        z = z + predicted.stddev * torch.from_numpy(noise)
    logits = module.musicvae.teacher_force(z, tokens).detach().double()
    nats = 0.0
    for index, scores in enumerate(logits.split(DEPTHS, -1)):
        chosen = scores.log_softmax(-1).gather(-1, tokens[..., index : index + 1]).sum((1, 2))
        nats -= float((chosen * ~given[:, index]).sum()) / 6
    assert float(extra.detach()) == pytest.approx(0.1 * nats, rel=1e-4)

    extra.backward()
    assert all(parameter.grad is None for parameter in module.musicvae.parameters())
    own = [parameter.grad for parameter in module.surrogate.parameters()]
    assert all(grad is not None and bool(grad.any()) for grad in own[:2])


def test_masks_are_drawn_by_their_weights() -> None:
    rng = np.random.default_rng(0)
    names = Counter(
        mask_name([part for part, shown in zip(PARTS, row, strict=True) if shown])
        for row in draw_masks(MASK_WEIGHTS, PARTS, 20_000, rng)
    )
    assert set(names) == {mask_name(given) for given in MASKS} == set(MASK_WEIGHTS)
    for name, weight in MASK_WEIGHTS.items():
        assert names[name] / 20_000 == pytest.approx(weight, abs=0.015)
    # What a surrogate does not hear is never given it.
    some = draw_masks(MASK_WEIGHTS, ("melody", "drums"), 1000, rng)
    assert not some[:, 1].any() and {tuple(row) for row in some.tolist()} == {
        (True, False, False),
        (False, False, True),
        (True, False, True),
    }
    with pytest.raises(ValueError, match="no mask has a weight that gives bass or some of them"):
        draw_masks({"drums": 1.0}, ("bass",), 1, rng)


def test_masks_are_of_the_seed_and_step_alone() -> None:
    module = training()
    drawn = module.draw_given(50, 0)
    torch.manual_seed(99)
    assert torch.equal(module.draw_given(50, 0), drawn)
    assert torch.equal(module.draw_given(50, 7), drawn)  # each step is one batch
    module.options = replace(module.options, accumulate=2)
    assert not torch.equal(module.draw_given(50, 7), drawn)
    module.options = replace(module.options, seed=6)
    assert not torch.equal(module.draw_given(50, 0), drawn)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"masks": {"organ": 1.0}}, "unknown mask 'organ'; choose among: melody, bass, drums"),
        ({"masks": {"melody+bass+drums": 1.0}}, "unknown mask"),
        ({"masks": {"melody": -1.0, "bass": 2.0}}, "weight of mask melody must be at least 0"),
        ({"masks": {"melody": 0.0}}, "at least one mask"),
        ({"decoder_weight": -1.0}, "decoder_weight must be at least 0"),
        ({"decode_from": "mode"}, "unknown decode_from 'mode'"),
    ],
)
def test_objectives_that_cannot_be(objective: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SurrogateObjective(**objective)


def test_rmsprop_and_clipping_are_those_of_keras() -> None:
    """Two steps worked by hand: gradients of norm 5, clipped to 1 as a whole, then rms = .9 rms +
    .1 g², and a move of rate * g / (sqrt(rms) + 1e-7)."""
    options = TrainingOptions(**(ORIGINAL_OPTIONS | {"steps": 1}))
    module = PointTraining(None, SurrogateConfig(z_size=3, rnn_size=(2,)), options)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    first, second = module.surrogate.mean.weight, module.surrogate.mean.bias
    for parameter in module.parameters():
        parameter.data.zero_()
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.RMSprop)
    for _ in range(2):
        for parameter in module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        assert first.grad is not None and second.grad is not None
        first.grad[0, 0], second.grad[1] = 3.0, -4.0
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
    # g = .6 and -.8; rms = .1 g², then .19 g²; so g / sqrt(rms) = 1 / sqrt(.1), 1 / sqrt(.19).
    moved = 3e-4 * (0.1**-0.5 + 0.19**-0.5)
    assert first.detach()[0, 0].item() == pytest.approx(-moved, rel=1e-5)
    assert second.detach()[1].item() == pytest.approx(moved, rel=1e-5)
    assert int(first.count_nonzero()) == int(second.count_nonzero()) == 1
    assert options.learning_rate_at(100_000) == pytest.approx(3e-4)

    # Where gradients are tiny, what is added outside the square root counts.
    optimizer = module.configure_optimizers()
    for parameter in module.parameters():
        parameter.data.zero_()
        parameter.grad = torch.zeros_like(parameter)
    second.grad = torch.tensor([1e-7, 0.0, 0.0])
    module.configure_gradient_clipping(optimizer)
    optimizer.step()
    expected = -3e-4 * 1e-7 / (1e-7 * 0.1**0.5 + 1e-7)
    assert second.detach()[0].item() == pytest.approx(expected, rel=1e-4)


def test_a_point_is_brought_closer() -> None:
    module = PointTraining(trio(), SurrogateConfig(z_size=3, rnn_size=(8,)), TrainingOptions())
    tokens = trios(3)
    mean = module.musicvae.encode(tokens).mean
    predicted, target, error = module.error_of(ModelBatch(tokens, tokens))
    torch.testing.assert_close(target, mean)
    torch.testing.assert_close(error, (predicted - mean).square().mean())
    melodies = tokens[..., :1]  # with a stored posterior nothing else is read
    coded = ModelBatch(melodies, melodies, posterior_mean=mean)
    torch.testing.assert_close(module.error_of(coded)[2], error)


def test_each_step_of_a_point_has_its_learning_rate(tmp_path: Path) -> None:
    rates: list[float] = []

    class Watched(PointTraining):
        def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            optimizer = self.optimizers()
            assert isinstance(optimizer, torch.optim.RMSprop)
            rates.append(optimizer.param_groups[0]["lr"])
            super().optimizer_step(*args, **kwargs)

    chosen = {"batch_size": 2, "steps": 2, "validate_every": 2, "decay_rate": 0.5}
    options = TrainingOptions(**(ORIGINAL_OPTIONS | chosen))
    module = Watched(trio(), SurrogateConfig(z_size=3, rnn_size=(2,)), options)
    data = WindowsDataModule(windows(3, 1), windows(2, 2), options)
    fit(module, data, options, tmp_path, "cpu", monitor="val/latent_error")
    assert rates == pytest.approx([3e-4, (3e-4 - 1e-5) * 0.5 + 1e-5])


def windows(count: int, seed: int) -> Windows:
    tokens = trios(count, seed).numpy() % 20
    return Windows(
        tokens.astype(np.uint16), np.arange(count), [f"{row}.mid" for row in range(count)]
    )


def test_a_stopped_training_goes_on_exactly(tmp_path: Path) -> None:
    """Masks and samples included; and scores of all kinds are there."""
    options = TrainingOptions(batch_size=2, steps=4, validate_every=2, max_transpose=2, seed=3)

    def trained(steps: int, work: Path) -> tuple[SurrogateTraining, dict[str, float]]:
        musicvae = trio()
        torch.manual_seed(1)
        own = replace(options, steps=steps)
        module = SurrogateTraining(musicvae, CONFIG, own, SurrogateObjective(decoder_weight=0.1))
        data = WindowsDataModule(windows(6, 1), windows(3, 2), own)
        best = fit(module, data, own, work, "cpu", monitor="val/hidden_nats")
        end = {name: value.clone() for name, value in module.state_dict().items()}
        scores = load_best(module, best)
        module.load_state_dict(end)
        return module, scores

    whole, scores = trained(4, tmp_path / "whole")
    trained(2, tmp_path / "parts")
    resumed, again = trained(4, tmp_path / "parts")
    for (name, ours), theirs in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert scores == again
    kinds = {f"val/kl_given_{mask_name(given)}" for given in MASKS}
    kinds |= {f"val/{s}_nats_{p}" for s in ("surrogate", "encoder", "prior_mean") for p in PARTS}
    kinds |= {"val/kl", "val/kl_of_prior", "val/latent_error", "val/hidden_nats", "step"}
    assert set(scores) == kinds
    assert scores["val/kl"] == scores["val/kl_given_melody"]
    hidden = scores["val/surrogate_nats_bass"] + scores["val/surrogate_nats_drums"]
    assert scores["val/hidden_nats"] == pytest.approx(hidden)
    assert set(whole.monitors) < kinds


def test_what_no_training_changes_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module, tokens = training(), trios(2)
    logged: list[dict[str, Tensor]] = []
    module.log_dict = lambda scores, **_: logged.append(scores)  # type: ignore[method-assign]
    module.validation_step(ModelBatch(tokens, tokens), 0)
    decoded = []
    decode = module.part_nats

    def counted(z: Tensor, tokens: Tensor) -> Tensor:
        decoded.append(1)
        return decode(z, tokens)

    monkeypatch.setattr(module, "part_nats", counted)
    module.validation_step(ModelBatch(tokens, tokens), 0)
    assert len(decoded) == 1
    for name, value in logged[0].items():
        torch.testing.assert_close(logged[1][name], value, msg=name)
    other = trios(2, seed=9)
    module.validation_step(ModelBatch(other, other), 1)
    assert logged[2]["val/encoder_nats_bass"] != logged[1]["val/encoder_nats_bass"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.h5, of trios; melodies.h5, of melodies and codes alone, imported; and a trio."""
    folder = tmp_path_factory.mktemp("files")
    trio().save_pretrained(folder / "trio")
    made = windows(8, 1)
    with h5py.File(folder / "data.h5", "w") as file:
        file["tokens"], file["song"] = made.tokens, made.song
        file["validation"] = np.arange(8) >= 6
        file["bar"], file["instruments"] = np.zeros(8, np.int32), np.zeros((8, 3), np.int16)
        file["transposition"] = np.zeros(8, np.int8)
        file.create_dataset("songs", data=made.songs, dtype=h5py.string_dtype())
    with h5py.File(folder / "seed.h5", "w") as file:
        file["melody"] = np.eye(90, dtype=bool)[made.tokens[..., 0]]
        file["melody"][:, 200:] = False  # rows of zeros, as that project has them
        file["code"] = np.random.default_rng(0).standard_normal((8, 5), np.float32)
    import_dataset(folder / "seed.h5", folder / "melodies.h5", validation=0.5, progress=False)
    return folder


def command(files: Path, line: str) -> int:
    return main([str(files / word[1:]) if word[0] == "@" else word for word in line.split()])


TINY = "--batch-size 2 --steps 2 --validate-every 1 --units 4 --device cpu"


def test_command_of_ours(files: Path, tmp_path: Path) -> None:
    options = (
        f"{TINY} --pooling attention --decoder-weight .1 --decode-from mean --transpose 1 "
        "--input-parts melody,drums --masks melody=3,drums=1 --monitor val/hidden_nats"
    )
    out = tmp_path / "out"
    assert command(files, f"@data.h5 --musicvae @trio -o {out} {options}") == 0
    network = load_surrogate(out)
    assert isinstance(network, SurrogateEncoder)
    assert network.input_parts == ("melody", "drums") and network.config.pooling == "attention"
    record = json.loads((out / "config.json").read_text())["training"]
    assert record["objective"] == {
        "masks": {"melody": 3.0, "drums": 1.0},
        "decoder_weight": 0.1,
        "decode_from": "mean",
    }
    assert record["musicvae"] == "trio" and record["best"]["val/hidden_nats"] > 0
    assert {name for name in record["best"] if "kl_given" in name} == {
        "val/kl_given_melody",
        "val/kl_given_drums",
        "val/kl_given_melody+drums",
    }
    assert not any("max_beta" in name or "free_bits" in name for name in record["options"])


@pytest.mark.parametrize("data", ["@data.h5 --musicvae @trio", "@melodies.h5"])
def test_command_of_the_original(files: Path, tmp_path: Path, data: str) -> None:
    """With its own settings where the line does not say, from trios or from melodies and codes."""
    out = tmp_path / "out"
    line = f"{data} -o {out} --model point --units 4,3 --device cpu"
    assert command(files, line) == 0
    network = load_surrogate(out)
    assert isinstance(network, PointSurrogate)
    assert network.config.z_size == (3 if "trio" in data else 5)
    record = json.loads((out / "config.json").read_text())["training"]
    windows = record["data"]["training"]["windows"]
    expected = {**ORIGINAL_OPTIONS, "steps": round(20 * windows / 16)}
    assert expected.items() <= record["options"].items()
    assert record["best"]["val/latent_error"] > 0
    assert ("val/surrogate_nats_bass" in record["best"]) == ("trio" in data)
    short = tmp_path / "short"
    assert command(files, f"{line} -o {short} --steps 2") == 0
    assert json.loads((short / "config.json").read_text())["training"]["best"]["step"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("@data.h5 -o x", "name the trio's checkpoint: --musicvae FOLDER"),
        (
            "@data.h5 -o x --model point",
            "data.h5: holds no posteriors; name the trio with",
        ),
        ("@melodies.h5 -o x --model point --transpose 1", "--transpose 0"),
        (
            "@data.h5 --musicvae @trio -o x --model point --pooling mean",
            "--pooling: applies to --model distribution",
        ),
        (
            "@data.h5 --musicvae @trio -o x --hears bass --masks drums=1",
            "no mask has a weight",
        ),
        ("@data.h5 --musicvae @trio -o x --epochs 0", "--epochs: must be above 0, not 0"),
        (
            "@data.h5 --musicvae @trio -o x --hears organ",
            "unknown part 'organ'; choose among",
        ),
        ("@melodies.h5 -o x --model point --monitor val/hidden_nats", "choose one of: val/latent"),
        ("@data.h5 --musicvae @trio -o x --monitor kl", "unknown score 'kl' to monitor"),
        ("@melodies.h5 --musicvae @trio -o x", "melodies.h5: tokens have shape"),
    ],
)
def test_what_the_user_can_mend(
    files: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert command(files, line) == 2
    told = capsys.readouterr().err.strip()
    assert message in told and "\n" not in told and told.startswith("train-surrogate: ")


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9")
@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ("", "--optimizer muon", "optimizer adam, and muon is asked now; ask for adam, or delete"),
        ("--optimizer muon", "", "optimizer muon, and adam is asked now; ask for muon, or delete"),
        ("", "--units 5", "a model of other sizes: surrogate."),
        ("", "--model point", "a model of other sizes: surrogate."),
        ("", "--monitor val/latent_error", "is that by val/kl, and val/latent_error is asked now"),
        # The original's optimiser is one, and no other can be asked for.
        ("--model point", "--model point --learning-rate 1e-4", None),
        ("--model point", "--model point --optimizer muon", "has an optimiser of its own"),
    ],
)
def test_going_on_otherwise_than_begun(
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    now: str,
    message: str | None,
) -> None:
    line = f"@data.h5 --musicvae @trio -o {tmp_path / 'out'} {TINY}"
    assert command(files, f"{line} {before}") == 0
    capsys.readouterr()
    assert command(files, f"{line} {now}") == (2 if message else 0)
    told = capsys.readouterr().err
    if message:
        where = "--optimizer" if "own" in message else tmp_path / "out.training"
        assert told.startswith(f"train-surrogate: {where}: ")
        assert message in told and told.count("\n") == 1
