"""The surrogate encoder: its shapes, its storage, and that training brings it to the posterior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from musicvae_torch.config import get_config
from musicvae_torch.model import MusicVAE
from musicvae_torch.pretrained import CheckpointError
from musicvae_torch.training import TrainingOptions
from surrogate import SurrogateConfig, SurrogateEncoder
from surrogate.training import SurrogateTraining


def surrogate() -> SurrogateEncoder:
    torch.manual_seed(0)
    return SurrogateEncoder(SurrogateConfig(z_size=3, rnn_size=(5,), level_lengths=(16, 16)))


def test_classes_and_one_hot_rows_agree() -> None:
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 90, (2, 256)))
    network = surrogate()
    by_class = network(classes)
    by_row = network(torch.nn.functional.one_hot(classes, 90))
    assert by_class.mean.shape == by_class.stddev.shape == (2, 3)
    torch.testing.assert_close(by_class.mean, by_row.mean)
    with pytest.raises(ValueError, match=r"melody has shape \(2, 255\), wanted"):
        network(classes[:, 1:])


def test_storage(tmp_path: Path) -> None:
    network = surrogate()
    network.save_pretrained(tmp_path)
    loaded = SurrogateEncoder.from_pretrained(tmp_path)
    assert loaded.config == network.config
    classes = torch.zeros(1, 256, dtype=torch.int64)
    assert torch.equal(loaded(classes).mean, network(classes).mean)
    with pytest.raises(CheckpointError, match="holds a 'surrogate', wanted a 'musicvae'"):
        MusicVAE.from_pretrained(tmp_path)


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
