"""The surrogate encoder: its shapes, its storage, and that training brings it to the posterior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from musicvae_torch.config import ConfigError, get_config
from musicvae_torch.model import MusicVAE
from musicvae_torch.pretrained import CheckpointError
from musicvae_torch.training import TrainingOptions
from surrogate import PointSurrogate, Surrogate, SurrogateConfig, SurrogateEncoder, load_surrogate
from surrogate.training import SurrogateTraining


def surrogate() -> SurrogateEncoder:
    torch.manual_seed(0)
    return SurrogateEncoder(SurrogateConfig(z_size=3, rnn_size=(5,), level_lengths=(16, 16)))


def point_surrogate() -> PointSurrogate:
    torch.manual_seed(0)
    return PointSurrogate(SurrogateConfig(z_size=3, rnn_size=(5, 4)))


@pytest.mark.parametrize("network", [surrogate(), point_surrogate()])
def test_classes_and_one_hot_rows_agree(network: Surrogate) -> None:
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 90, (2, 256)))
    by_class = network.posterior_mean(classes)
    by_row = network.posterior_mean(torch.nn.functional.one_hot(classes, 90))
    assert by_class.shape == (2, 3)
    torch.testing.assert_close(by_class, by_row)
    with pytest.raises(ValueError, match=r"melody has shape \(2, 255\), wanted"):
        network(classes[:, 1:])


def test_one_predicts_a_distribution_the_other_a_point() -> None:
    classes = torch.zeros(2, 256, dtype=torch.int64)
    posterior, point = surrogate()(classes), point_surrogate()(classes)
    assert posterior.mean.shape == posterior.stddev.shape == point.shape == (2, 3)


@pytest.mark.parametrize("network", [surrogate(), point_surrogate()])
def test_storage(tmp_path: Path, network: Surrogate) -> None:
    network.save_pretrained(tmp_path)
    loaded = load_surrogate(tmp_path)
    assert type(loaded) is type(network) and loaded.config == network.config
    classes = torch.zeros(1, 256, dtype=torch.int64)
    assert torch.equal(loaded.posterior_mean(classes), network.posterior_mean(classes))
    with pytest.raises(CheckpointError, match=f"holds a '{network.kind}', wanted a 'musicvae'"):
        MusicVAE.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", ["musicvae", None, []])
def test_other_kinds_are_no_surrogates(tmp_path: Path, kind: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 1, "kind": kind}))
    with pytest.raises(CheckpointError, match=r"wanted a 'surrogate' or a 'point-surrogate'"):
        load_surrogate(tmp_path)


def test_a_point_surrogate_is_flat() -> None:
    with pytest.raises(ConfigError, match="level_lengths must be empty"):
        PointSurrogate(SurrogateConfig(level_lengths=(16, 16)))


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


def test_training_brings_it_closer_to_the_posterior() -> None:
    torch.manual_seed(0)
    config = get_config("hier-trio_16bar", enc_rnn_size=(4,), dec_rnn_size=(4,), z_size=3)
    musicvae = MusicVAE(config)
    # Untrained encoders hardly react to what they read; this one must.
    torch.nn.init.normal_(musicvae.encoder.mean.weight, std=2.0)
    module = SurrogateTraining(
        musicvae,
        SurrogateConfig(z_size=3, rnn_size=(8,), level_lengths=(16, 16)),
        TrainingOptions(),
    )
    assert not any("musicvae" in name for name in module.state_dict())
    tokens = torch.randint(0, 90, (4, 256, 3))
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        posterior, predicted = module.predict(tokens)
        loss = torch.distributions.kl_divergence(posterior, predicted).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert all(parameter.grad is None for parameter in musicvae.parameters())
