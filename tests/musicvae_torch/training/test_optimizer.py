"""Muon beside Adam, the schedules of their rates, and how the latent's layers begin."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from musicvae_torch.config import get_config
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import MusicVAETraining, TrainingOptions
from musicvae_torch.training.optimizer import MUON_DECAY, MuonWithAdam, TensorFlowAdam

CONFIG = get_config("hier-trio_16bar", enc_rnn_size=(4,), dec_rnn_size=(4,), z_size=3)

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9")


def set_gradients(model: MusicVAE, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def snapshot(model: MusicVAE) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@needs_muon
def test_lstm_matrices_move_by_muon_and_the_rest_by_adam() -> None:
    model = MusicVAE(CONFIG)
    optimizer = MuonWithAdam(model, lr=0.0, muon_lr=0.1, betas=(0.9, 0.99))
    before = snapshot(model)
    set_gradients(model, 0)
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not value.equal(before[name])}
    assert moved == {name for name in before if name.endswith(("weight_ih", "weight_hh"))}


@needs_muon
def test_each_moves_as_it_does_alone() -> None:
    together, apart = MusicVAE(CONFIG), MusicVAE(CONFIG)
    apart.load_state_dict(together.state_dict())
    optimizer = MuonWithAdam(together, lr=0.01, muon_lr=0.1, betas=(0.9, 0.99))
    matrix = "decoder.conductor.layers.0.weight_hh"
    others = [value for name, value in apart.named_parameters() if name != matrix]
    alone = [
        torch.optim.Muon(
            [apart.get_parameter(matrix)],
            lr=0.1,
            weight_decay=MUON_DECAY,
            adjust_lr_fn="match_rms_adamw",
        ),
        TensorFlowAdam(others, 0.01, (0.9, 0.99)),
    ]
    for step in range(3):
        for model in (together, apart):
            set_gradients(model, step)
        for one in (optimizer, *alone):
            one.step()
    for name in (matrix, "decoder.conductor.layers.0.bias", "encoder.mean.weight"):
        torch.testing.assert_close(together.get_parameter(name), apart.get_parameter(name))


@needs_muon
def test_muon_goes_on_from_a_stored_state() -> None:
    models = [MusicVAE(CONFIG), MusicVAE(CONFIG)]
    optimizers = [MuonWithAdam(model, 0.01, 0.1, (0.9, 0.99)) for model in models]
    for step in range(2):
        set_gradients(models[0], step)
        optimizers[0].step()
    models[1].load_state_dict(models[0].state_dict())
    optimizers[1].load_state_dict(deepcopy(optimizers[0].state_dict()))
    for model, optimizer in zip(models, optimizers, strict=True):
        for group in optimizer.param_groups:  # a rate set after loading holds
            group["lr"] *= 0.5
        set_gradients(model, 2)
        optimizer.step()
    for name, value in models[0].named_parameters():
        assert value.equal(models[1].get_parameter(name)), name


@needs_muon
def test_both_rates_follow_the_schedule() -> None:
    options = TrainingOptions(
        optimizer="muon", learning_rate=0.004, muon_learning_rate=0.02, schedule="cosine", steps=100
    )
    module = MusicVAETraining(CONFIG, options)
    optimizer = module.configure_optimizers()
    module.optimizers = lambda *_, **__: optimizer  # type: ignore[method-assign, assignment]
    module.on_train_batch_start(None, 0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02, 0.004])


def test_cosine_schedule_and_warmup() -> None:
    options = TrainingOptions(learning_rate=0.1, schedule="cosine", steps=90, warmup=4)
    assert options.learning_rate_at(0) == pytest.approx(0.1 / 4)
    assert options.learning_rate_at(30) == pytest.approx(0.075)  # cos 60 degrees is a half
    assert options.learning_rate_at(45) == pytest.approx(0.05)
    assert options.learning_rate_at(90) == pytest.approx(0, abs=1e-9)


def test_linear_schedule() -> None:
    """The full rate, and over the last quarter of the steps evenly down to 0."""
    options = TrainingOptions(learning_rate=0.1, schedule="linear", steps=80, warmup=4)
    rates = [options.learning_rate_at(step) for step in (0, 3, 30, 60, 65, 70, 80, 90)]
    assert rates == pytest.approx([0.025, 0.1, 0.1, 0.1, 0.075, 0.05, 0, 0])


def test_adam_alone_is_the_default() -> None:
    module = MusicVAETraining(CONFIG, TrainingOptions())
    assert type(module.configure_optimizers()) is TensorFlowAdam


@pytest.mark.parametrize("name", ["optimizer", "schedule", "start", "draw"])
def test_unknown_choices_are_refused(name: str) -> None:
    unknown: dict[str, Any] = {name: "sgd"}
    with pytest.raises(ValueError, match=f"unknown {name} 'sgd'; choose one of: "):
        TrainingOptions(**unknown)


def test_a_wide_start_lets_the_latent_be_heard() -> None:
    tokens = torch.zeros(2, 256, 3, dtype=torch.int64)
    tokens[1, ::4] = 40
    spread = {}
    for start in ("magenta", "glorot"):
        torch.manual_seed(0)
        model = MusicVAETraining(CONFIG, TrainingOptions(start=start)).model
        mean = model.encode(tokens).mean
        spread[start] = float((mean[0] - mean[1]).detach().norm())
    assert spread["glorot"] > 50 * spread["magenta"] > 0
