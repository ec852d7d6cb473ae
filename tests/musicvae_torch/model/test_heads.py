"""Output distributions: NADE and groove against their definitions, worked in other ways."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from magenta_models import error
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.model.heads import (
    CategoricalHead,
    GrooveHead,
    NADEHead,
    sample_bits,
    sample_categorical,
)
from musicvae_torch.model.vae import MusicVAE

BITS, HIDDEN = 4, 3


@pytest.fixture
def nade() -> NADEHead:
    torch.manual_seed(0)
    head = NADEHead(BITS, HIDDEN).double()
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=2.0)
    return head


def all_rows() -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=BITS)), dtype=torch.float64)


@torch.no_grad()
def test_nade_is_a_distribution_over_all_sets_of_bits(nade: NADEHead) -> None:
    rows = all_rows()
    logits = torch.randn(nade.logit_depth, dtype=torch.float64).expand(1, len(rows), -1)
    probabilities = torch.exp(-nade.losses(logits, [rows.unsqueeze(0)]))
    assert probabilities.shape == (1, len(rows), 1)
    # Not quite 1: Magenta puts a floor of 1e-6 under each of the probabilities.
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_nade_likelihood_by_the_paper(nade: NADEHead) -> None:
    logits = torch.randn(nade.logit_depth, dtype=torch.float64)
    for row in all_rows():
        expected = 0.0
        for i in range(BITS):
            hidden = torch.sigmoid(logits[:HIDDEN] + row[:i] @ nade.w_enc[:i])
            p = float(torch.sigmoid(logits[HIDDEN + i] + hidden @ nade.w_dec[i]))
            expected -= math.log((p if row[i] else 1 - p) + 1e-6)
        loss = nade.losses(logits.view(1, 1, -1), [row.view(1, 1, -1)])
        assert float(loss) == pytest.approx(expected, rel=1e-9)


@torch.no_grad()
def test_nade_samples_follow_its_likelihood(nade: NADEHead) -> None:
    n = 40_000
    logits = torch.randn(nade.logit_depth, dtype=torch.float64)
    rows = nade.sample(logits.expand(n, -1), 1.0, torch.Generator().manual_seed(1))
    assert set(rows.unique().tolist()) <= {0.0, 1.0}
    codes = (rows @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    shares = torch.bincount(codes, minlength=16) / n
    expected = torch.exp(-nade.losses(logits.expand(1, 16, -1), [all_rows().unsqueeze(0)]))
    assert float((shares - expected.flatten()).abs().max()) < 5 * (0.25 / n) ** 0.5


@torch.no_grad()
def test_nade_takes_the_likelier_bit_at_temperature_0(nade: NADEHead) -> None:
    logits = torch.randn(50, nade.logit_depth, dtype=torch.float64)
    rows = nade.sample(logits, 0.0)
    assert torch.equal(rows, nade.sample(logits, 1e-9))
    activation = logits[:, :HIDDEN]
    for i in range(BITS):
        p = torch.sigmoid(logits[:, HIDDEN + i] + torch.sigmoid(activation) @ nade.w_dec[i])
        assert torch.equal(rows[:, i], (p >= 0.5).double())
        activation = activation + rows[:, i, None] * nade.w_enc[i]


@torch.no_grad()
def test_groove_by_its_definition() -> None:
    head = GrooveHead(6)
    assert head.logit_depth == 6
    logits = torch.tensor([[[2.0, -1.0, 0.5, -0.5, 0.3, -3.0]]])
    row = torch.tensor([[[1.0, 0.0, 0.25, 0.0, -0.5, 0.0]]])
    squash = [1 / (1 + math.exp(-float(x))) for x in logits[0, 0, :4]]
    hits = -math.log(squash[0] + 1e-7) - math.log(1 - squash[1] + 1e-7)
    errors = [squash[2] - 0.25, squash[3], math.tanh(0.3) + 0.5, math.tanh(-3.0)]
    for head.absolute, cost in ((False, sum(e**2 for e in errors)), (True, sum(map(abs, errors)))):
        assert float(head.losses(logits, [row])) == pytest.approx(hits + cost, rel=1e-6)
    sample = head.sample(logits[0], 0.0)[0]
    values = [1.0, 0.0, *squash[2:], math.tanh(0.3), math.tanh(-3.0)]
    assert error(sample, torch.tensor(values)) < 1e-6


def test_bits_follow_the_temperature() -> None:
    logits = torch.tensor([-4.0, -1.0, 0.0, 1.0, 4.0])
    assert sample_bits(logits, 0).tolist() == [0, 0, 1, 1, 1]
    n = 20_000
    for temperature in (0.5, 1.0, 3.0):
        draws = sample_bits(logits.expand(n, -1), temperature, torch.Generator().manual_seed(3))
        expected = torch.sigmoid(logits / temperature)
        assert float((draws.mean(0) - expected).abs().max()) < 5 * (0.25 / n) ** 0.5


def test_parts_of_one_core_are_drawn_by_themselves() -> None:
    head = CategoricalHead((3, 2))
    logits = torch.tensor([[0.0, 9.0, 0.0, -5.0, 5.0]])
    assert head.sample(logits, 0.0).tolist() == [[0, 1, 0, 0, 1]]
    rows = [torch.tensor([[[1.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]])]
    losses = head.losses(logits.view(1, 1, -1), rows)
    expected = [math.log(2 + math.exp(9)), math.log(1 + math.exp(-10))]
    assert losses.flatten().tolist() == pytest.approx(expected, rel=1e-3)


def small(name: str) -> MusicVAEConfig:
    layers = len(get_config(name).enc_rnn_size), len(get_config(name).dec_rnn_size)
    sizes = {"z_size": 4, "enc_rnn_size": (6,) * layers[0], "dec_rnn_size": (5,) * layers[1]}
    return get_config(name, **sizes)


FLAT = ["cat-mel_2bar_small", "nade-drums_2bar_reduced", "groovae_2bar_hits_control_tfds"]


@pytest.mark.parametrize("name", FLAT)
def test_flat_decoders_go_on_for_as_long_as_asked(name: str) -> None:
    torch.manual_seed(2)
    config = small(name)
    model = MusicVAE(config).eval()
    z = torch.randn(2, config.z_size)
    controls = torch.rand(50, config.control_depth) if config.control_depth else None
    rows = model.decode(z, 50, 0.0, controls)
    assert rows.shape == (2, 50, config.output_depth)
    assert torch.equal(rows[:, :32], model.decode(z, None, 0.0, controls))
    logits = model.teacher_force(z, rows, controls)
    assert logits.shape == (2, 50, model.decoder.logit_depth)
    losses = model.reconstruction_loss(logits, rows)
    assert losses.shape == (2,) and bool((losses > 0).all())
    if controls is not None:
        with pytest.raises(ValueError, match="controls have shape"):
            model.decode(z, 51, 0.0, controls)
    with pytest.raises(ValueError, match="1 or more"):
        model.decode(z, 0)


@pytest.mark.parametrize("name", ["nade-drums_2bar_full", "groovae_4bar"])
def test_rows_that_are_not_one_hot_have_no_classes(name: str) -> None:
    config = small(name)
    model = MusicVAE(config)
    classes = torch.zeros(1, config.max_seq_len, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"wanted \(batch, steps, {config.output_depth}\)$"):
        model.teacher_force(torch.zeros(1, 4), classes)


@pytest.mark.parametrize("name", ["nade-drums_2bar_reduced", "groovae_2bar_humanize"])
def test_every_weight_is_trained(name: str) -> None:
    torch.manual_seed(4)
    config = small(name)
    model = MusicVAE(config)
    rows = model.decode(torch.randn(3, 4))
    inputs = torch.rand(3, 32, config.input_depth)
    z = model.encode(inputs).rsample()
    model.reconstruction_loss(model.teacher_force(z, rows), rows).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert float(parameter.grad.abs().sum()) > 0, parameter_name


def test_half_precision_draws_every_class_and_no_other() -> None:
    """In bfloat16 sums would skip classes, and one draw in 500 would land on the last one."""
    logits = torch.cat([torch.zeros(1, 511), torch.full((1, 1), -50.0)], dim=1).bfloat16()
    draws = sample_categorical(logits.expand(20_000, -1), 1.0, torch.Generator().manual_seed(0))
    assert set(draws.tolist()) == set(range(511))
