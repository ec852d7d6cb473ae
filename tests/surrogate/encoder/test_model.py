"""The surrogate encoders: what they hear and what is hidden from them, shapes, storage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import CheckpointError, ConfigError
from musicvae_torch.io.checkpoint import shipped_checkpoint
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.lstm import BidirectionalLSTM
from musicvae_torch.model.terms import OneHot
from musicvae_torch.model.vae import MusicVAE
from surrogate import PointSurrogate, Surrogate, SurrogateConfig, SurrogateEncoder, load_surrogate
from surrogate.encoder.loading import DEFAULT_SURROGATE
from surrogate.options import POOLINGS
from surrogate.training.encoder.options import MASKS

ALL = {"input_depth": sum(DEPTHS), "input_parts": PARTS}


def surrogate(**changes: object) -> SurrogateEncoder:
    torch.manual_seed(0)
    sizes = {"z_size": 3, "rnn_size": (6,), "level_lengths": (16, 16), **changes}
    network = SurrogateEncoder(SurrogateConfig(**sizes))  # type: ignore[arg-type]
    # As drawn, the dense layers hardly react to what is read.
    torch.nn.init.normal_(network.encoder.mean.weight)
    torch.nn.init.normal_(network.encoder.stddev.weight)
    return network


def point_surrogate() -> PointSurrogate:
    torch.manual_seed(0)
    return PointSurrogate(SurrogateConfig(z_size=3, rnn_size=(5, 4)))


NETWORKS = [surrogate(), surrogate(**ALL), point_surrogate()]


def trios(count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, d, (count, 256)) for d in DEPTHS], axis=-1))


@pytest.mark.parametrize("given", MASKS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_hidden_changes_nothing(given: tuple[str, ...], pooling: str) -> None:
    network = surrogate(**ALL, pooling=pooling, rnn_size=(6, 4))
    tokens = trios(2)
    expected = network.posterior(tokens, given)
    assert torch.equal(network.posterior_mean(tokens, given), expected.mean)
    for index, part in enumerate(PARTS):
        changed = tokens.clone()
        if part in given:
            changed[0, 40:60, index] = 7
        else:
            changed[..., index] = 10_000  # no class at all
        found = network.posterior(changed, given)
        same = [part not in given, True]  # and the other window is never touched
        assert [torch.equal(found.mean[i], expected.mean[i]) for i in range(2)] == same
        assert [torch.equal(found.stddev[i], expected.stddev[i]) for i in range(2)] == same


def test_masks_may_differ_from_window_to_window() -> None:
    network, tokens = surrogate(**ALL), trios(len(MASKS))
    mask = torch.tensor([[part in given for part in PARTS] for given in MASKS])
    together = network(tokens, mask)
    for row, given in enumerate(MASKS):
        alone = network.posterior(tokens[row : row + 1], given)
        torch.testing.assert_close(together.mean[row], alone.mean[0])
        torch.testing.assert_close(together.stddev[row], alone.stddev[0])


def test_hidden_is_not_silent() -> None:
    """Neither "no event" throughout nor rows of zeros are the same as not being told."""
    network, tokens = surrogate(**ALL), trios(1)
    hidden = network.posterior_mean(tokens, ["melody"])
    for silence in (0, -1):
        tokens[..., 1:] = silence
        heard = network.posterior_mean(tokens, PARTS)
        assert (heard - hidden).abs().max() > 1e-3


@pytest.mark.parametrize("network", NETWORKS)
def test_what_can_be_given(network: Surrogate) -> None:
    tokens = trios(2)
    assert network.posterior_mean(tokens).shape == (2, 3)
    assert torch.equal(network.posterior_mean(tokens), network.posterior_mean(tokens, ["melody"]))
    refused: list[object] = [(), [], ("organ",), ("melody", "organ"), "melody"]
    refused += [[part] for part in PARTS if part not in network.input_parts]
    for given in refused:
        with pytest.raises(
            ValueError, match="one or more of this surrogate's inputs: melody"
        ) as info:
            network.posterior_mean(tokens, given)  # type: ignore[arg-type]
        assert "\n" not in str(info.value)
    for wrong in (tokens[:, 1:], tokens[..., :2], tokens.int()):
        with pytest.raises(ValueError, match=r"tokens are .*, wanted int64 classes \(batch, 256"):
            network.posterior_mean(wrong)
    tokens[1, 255, 0] = 90
    with pytest.raises(ValueError, match="melody tokens must lie between -1 and 89"):
        network.posterior_mean(tokens)


def test_a_melody_alone_needs_no_flag() -> None:
    network, tokens = surrogate(), trios(2)
    assert network.input_parts == ("melody",)
    own = network.encoder([OneHot(tokens[..., 0], 90)]).mean
    assert torch.equal(network.posterior_mean(tokens), own)
    nothing = torch.zeros(2, 3, dtype=torch.bool)  # it is given the melody all the same
    assert torch.equal(network(tokens, nothing).mean, own)


@pytest.mark.parametrize("levels", [(), (16, 16)])
def test_poolings(levels: tuple[int, ...]) -> None:
    """Against the top level's outputs, pooled by hand."""
    tokens, mask = trios(2), torch.ones(2, 3, dtype=torch.bool)
    made: list[Tensor] = []

    class Spy(BidirectionalLSTM):
        def outputs(self, terms: object) -> Tensor:
            made.append(super().outputs(terms))  # type: ignore[arg-type]
            return made[-1]

    for pooling in ("mean", "attention"):
        network = surrogate(**ALL, pooling=pooling, level_lengths=levels)
        network.encoder.levels[-1].__class__ = Spy
        found = network(tokens, mask).mean
        outputs = made[-1].detach()
        assert outputs.shape == (2, 16 if levels else 256, 12)
        if pooling == "mean":
            pooled = outputs.mean(1)
        else:
            assert network.encoder.query is not None
            scores = network.encoder.query(outputs).exp()
            shares = scores / scores.sum(1, keepdim=True)
            pooled = torch.cat(
                [
                    (outputs[..., 3 * head : 3 * head + 3] * shares[..., head, None]).sum(1)
                    for head in range(4)
                ],
                dim=-1,
            )
        torch.testing.assert_close(found, network.encoder.mean(pooled))


def test_outputs_end_in_the_embedding() -> None:
    torch.manual_seed(0)
    layers = BidirectionalLSTM(5, (4, 3))
    inputs = torch.randn(2, 7, 5)
    outputs = layers.outputs([inputs])
    assert outputs.shape == (2, 7, 6)
    embedding = torch.cat([outputs[:, -1, :3], outputs[:, 0, 3:]], dim=-1)
    torch.testing.assert_close(embedding, layers([inputs]))


def test_melodies_may_be_rows() -> None:
    network, classes = point_surrogate(), trios(2)[..., 0]
    rows = torch.nn.functional.one_hot(classes, 90)
    torch.testing.assert_close(network(rows), network(classes))
    with pytest.raises(ValueError, match=r"melody has shape \(2, 255\), wanted"):
        network(classes[:, 1:])


@pytest.mark.parametrize("network", [*NETWORKS, surrogate(**ALL, pooling="attention")])
def test_a_stored_surrogate_predicts_the_same(tmp_path: Path, network: Surrogate) -> None:
    network.save_pretrained(tmp_path)
    loaded = load_surrogate(tmp_path)
    assert type(loaded) is type(network) and loaded.config == network.config
    tokens = trios(1)
    torch.testing.assert_close(loaded.posterior_mean(tokens), network.posterior_mean(tokens))
    with pytest.raises(CheckpointError, match=f"holds a '{network.kind}', wanted a 'musicvae"):
        MusicVAE.from_pretrained(tmp_path)


def test_a_config_that_does_not_say_hears_the_melody(tmp_path: Path) -> None:
    surrogate().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    assert config["model"].pop("hears") == ["melody"]
    assert config["model"].pop("pooling") == "last"
    path.write_text(json.dumps(config))
    assert load_surrogate(tmp_path).input_parts == ("melody",)


def test_the_shipped_one_takes_a_melody() -> None:
    network = load_surrogate(shipped_checkpoint(DEFAULT_SURROGATE))
    assert isinstance(network, SurrogateEncoder) and "melody" in network.input_parts
    assert bool(network.posterior(trios(2)).stddev.gt(0).all())


@pytest.mark.parametrize("kind", ["musicvae", None, []])
def test_other_kinds_are_no_surrogates(tmp_path: Path, kind: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 1, "kind": kind}))
    with pytest.raises(CheckpointError, match=r"wanted a 'surrogate' or a 'point-surrogate'"):
        load_surrogate(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_parts": ()}, "must be some of melody, bass, drums"),
        ({"input_parts": ("bass", "melody"), "input_depth": 180}, "in that order"),
        ({"input_parts": ("organ",)}, "must be some of"),
        ({"input_parts": ("melody", "bass")}, "have 180 classes, input_depth is 90"),
        ({"pooling": "max"}, "unknown pooling 'max'; choose one of: last, mean, attention"),
        ({"pooling": "attention", "rnn_size": (5,)}, "4 heads of attention do not divide 10"),
        ({"level_lengths": (16, 15)}, "multiply to 240"),
        ({"rnn_size": ()}, "at least 1"),
    ],
)
def test_sizes_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        surrogate(**changes)


def test_a_point_surrogate_is_flat_and_hears_the_melody() -> None:
    with pytest.raises(ConfigError, match="level_lengths must be empty"):
        PointSurrogate(SurrogateConfig(level_lengths=(16, 16)))
    for changes in ({**ALL}, {"pooling": "mean"}):
        with pytest.raises(ConfigError, match="takes the melody alone"):
            PointSurrogate(SurrogateConfig(**changes))


def test_a_point_surrogate_starts_as_keras_does() -> None:
    """Forget gates at 1, recurrent kernels orthogonal, the rest uniform by Glorot's bound."""
    weights = point_surrogate().state_dict()
    forget = torch.eye(4)[1].repeat_interleave(5)
    assert torch.equal(weights["layers.0.bias_hh_l0_reverse"], forget)
    assert not weights["layers.0.bias_ih_l0_reverse"].any() and not weights["mean.bias"].any()
    recurrent = weights["layers.0.weight_hh_l0"]
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(5))
    bound = (6 / (90 + 20)) ** 0.5
    assert 0.9 * bound < weights["layers.0.weight_ih_l0"].abs().max() <= bound
