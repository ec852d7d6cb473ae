"""What only training does: hyperparameters and their schedules, sampling, dropout, Adam."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from magenta_models import MODELS
from torch import Tensor

from musicvae_torch.config import CONFIGS, MusicVAEConfig, get_config
from musicvae_torch.hyperparameters import HYPERPARAMETERS, Hyperparameters, hyperparameters_of
from musicvae_torch.model.decoder import CoreDecoder
from musicvae_torch.model.lstm import BidirectionalLSTM, LSTMStack
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ModelBatch, MusicVAETraining, TensorFlowAdam, TrainingOptions
from musicvae_torch.training.optimizer import clip_gradients

TINY = {"z_size": 4, "enc_rnn_size": (8,), "dec_rnn_size": (8, 6)}


def test_hyperparameters_are_magentas() -> None:
    assert set(HYPERPARAMETERS) == set(CONFIGS)
    for name, ours in HYPERPARAMETERS.items():
        text = (MODELS / name / "hparams.json").read_text(encoding="utf-8")
        theirs = json.loads(text)["hparams"]
        for field in ("free_bits", "max_beta", "beta_rate", "dropout_keep_prob"):
            assert getattr(ours, field) == theirs[field], (name, field)
        samples = name in {"cat-mel_2bar_small", "cat-mel_2bar_big"} or "drums" in name
        assert ours.samples == samples
        if samples:
            assert (ours.sampling_schedule, ours.sampling_rate) == ("inverse_sigmoid", 1000)


def test_hyperparameters_go_by_the_base() -> None:
    own = MusicVAEConfig("mine", 32, 90, (90,), 4, (8,), (8,), base="cat-mel_2bar_big")
    assert hyperparameters_of(own).max_beta == 0.5
    assert hyperparameters_of(MusicVAEConfig("mine", 32, 90, (90,), 4, (8,), (8,))).max_beta == 1
    options = TrainingOptions.of(get_config("groovae_4bar"), steps=7)
    assert (options.dropout_keep_prob, options.max_transpose, options.steps) == (0.3, 0, 7)
    assert TrainingOptions.of(get_config("cat-mel_2bar_med_chords")).max_transpose == 3


def test_absolute_errors_are_learnt_by_grooves_that_ask_for_them() -> None:
    config = get_config("groovae_4bar", **TINY)
    for changes, absolute in (({}, False), ({"groove_error": "absolute"}, True)):
        module = MusicVAETraining(config, TrainingOptions.of(config, **changes))
        assert module.model.decoder.cores[0].head.absolute == absolute
    with pytest.raises(ValueError, match="groove_error"):
        TrainingOptions(groove_error="cubed")


def test_beta_by_hand() -> None:
    at_once = Hyperparameters(max_beta=0.2)
    assert [at_once.beta_at(step) for step in (0, 1, 2)] == pytest.approx([0, 0.2, 0.2])
    slowly = Hyperparameters(max_beta=2, beta_rate=0.5)
    assert [slowly.beta_at(step) for step in (0, 1, 2, 3)] == pytest.approx([0, 1, 1.5, 1.75])


@pytest.mark.parametrize(
    ("schedule", "rate", "chances"),
    [
        ("constant", 0.3, {0: 0.3, 1: 0.3, 10**6: 0.3}),
        ("exponential", 0.9, {0: 0.0, 1: 0.1, 2: 0.19, 3: 0.271, 10**6: 1.0}),
        # 1 - 2 / (2 + e^(t/2)): e^0 = 1, e^1 = 2.71828, e^2 = 7.38906.
        ("inverse_sigmoid", 2, {0: 1 / 3, 2: 2.71828 / 4.71828, 4: 7.38906 / 9.38906, 10**6: 1}),
        ("inverse_sigmoid", 1000, {0: 1 / 1001, 1000: 2.71828 / 1002.71828}),
    ],
)
def test_sampling_schedules_by_hand(schedule: str, rate: float, chances: dict[int, float]) -> None:
    own = Hyperparameters(sampling_schedule=schedule, sampling_rate=rate)
    assert own.samples
    for step, chance in chances.items():
        assert own.sampling_probability_at(step) == pytest.approx(chance, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    ("schedule", "rate", "message"),
    [
        ("constant", 1.5, "constant is from 0 to 1, not 1.5"),
        ("exponential", 1.0, "between 0 and 1, not 1.0"),
        ("inverse_sigmoid", 0.5, "at least 1, not 0.5"),
        ("linear", 0.5, "unknown sampling.schedule 'linear'; choose one of: constant, exp"),
    ],
)
def test_impossible_schedules_are_refused(schedule: str, rate: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingOptions(sampling_schedule=schedule, sampling_rate=rate)


def lively(config: MusicVAEConfig) -> MusicVAE:
    """A model whose weights are large enough for its inputs to matter."""
    torch.manual_seed(0)
    model = MusicVAE(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


SAMPLED = [
    get_config("cat-mel_2bar_small", max_seq_len=8, **TINY),
    get_config("nade-drums_2bar_reduced", max_seq_len=8, nade_num_hidden=5, **TINY),
    get_config("groovae_2bar_humanize", max_seq_len=8, **TINY),
    get_config("hierdec-trio_16bar", max_seq_len=8, decoder_level_lengths=(2, 4), **TINY),
]


@pytest.mark.parametrize("config", SAMPLED, ids=lambda config: config.name)
def test_with_chance_one_the_decoder_reads_its_own_samples_alone(config: MusicVAEConfig) -> None:
    model = lively(config)
    z = torch.randn(3, config.z_size)
    truth = model.decode(torch.randn(3, config.z_size))
    for core in model.decoder.cores:
        assert isinstance(core, CoreDecoder)
        core.head.feedback_temperature = 0.0  # so that what is sampled is known
    free = model.teacher_force(z, truth, sampling=1.0)
    if config.is_hierarchical_decoder:
        # A segment begins on the true token that ended the one before.
        rows = model.decode(z, temperature=0)[:, :4]
        own = model.teacher_force(z, torch.cat([rows, rows], 1))
        assert torch.allclose(free[:, :4], own[:, :4], atol=1e-5)
        ends = torch.cat([truth[:, 3:4].expand(-1, 4, -1), truth[:, 4:]], 1)
        assert torch.allclose(free[:, 4], model.teacher_force(z, ends)[:, 4], atol=1e-5)
    else:
        rows = model.decode(z, temperature=0)
        assert torch.allclose(free, model.teacher_force(z, rows), atol=1e-5)
    assert not torch.allclose(free, model.teacher_force(z, truth), atol=1e-3)
    assert torch.equal(model.teacher_force(z, truth, sampling=0.0), model.teacher_force(z, truth))


def test_each_step_of_each_window_is_sampled_with_that_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = get_config("cat-mel_2bar_small", **TINY)
    model = lively(config)
    core = model.decoder.cores[0]
    assert isinstance(core, CoreDecoder)
    temperatures: set[float] = set()

    def seven(logits: Tensor, temperature: float, _: object) -> Tensor:
        temperatures.add(temperature)
        return torch.eye(90)[7].expand(len(logits), -1)

    read: list[Tensor] = []
    step = core.step

    def noted(tokens: Tensor, *rest: Any) -> object:
        read.append(tokens.argmax(-1))
        return step(tokens, *rest)

    monkeypatch.setattr(core.head, "sample", seven)
    monkeypatch.setattr(core, "step", noted)
    truth = torch.full((300, 32, 1), 5)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        model.teacher_force(torch.zeros(300, 4), truth, sampling=0.3, generator=generator)
    tokens = torch.stack(read, 1)
    assert (tokens[:, 0] == 0).all()  # a row of zeros
    later = tokens[:, 1:]
    assert set(later.unique().tolist()) == {5, 7} and temperatures == {1.0}
    own = (later == 7).double()
    assert abs(float(own.mean()) - 0.3) < 0.015
    # Alike over steps and over windows, and neither a whole window nor a whole step at a time.
    assert float((own.mean(0) - 0.3).abs().max()) < 0.12
    assert float((own.mean(1) - 0.3).abs().max()) < 0.4
    assert own.mean(1).std() < 0.12


@pytest.mark.parametrize("config", SAMPLED, ids=lambda config: config.name)
@pytest.mark.parametrize("sampling", [0.0, 0.5, 1.0])
def test_gradient_flows_to_every_weight(config: MusicVAEConfig, sampling: float) -> None:
    model = lively(config)
    truth = model.decode(torch.randn(3, config.z_size))
    z = torch.randn(3, config.z_size, requires_grad=True)
    logits = model.teacher_force(z, truth, sampling=sampling)
    model.reconstruction_loss(logits, truth).sum().backward()
    assert z.grad is not None and bool((z.grad != 0).any())
    for name, parameter in model.decoder.named_parameters():
        if name == "conductor.layers.0.weight_ih":
            continue  # reads zeros alone
        assert parameter.grad is not None and bool((parameter.grad != 0).any()), name


def test_training_samples_by_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_config("cat-mel_2bar_small", max_seq_len=8, **TINY)

    class At(MusicVAETraining):
        global_step = 2

    module = At(config, TrainingOptions(sampling_schedule="exponential", sampling_rate=0.5))
    chances: list[float] = []
    forced = MusicVAE.teacher_force

    def noted(self: MusicVAE, z: Tensor, targets: Tensor, *rest: object) -> Tensor:
        chances.append(float(rest[1]))  # type: ignore[arg-type]
        return forced(self, z, targets, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(MusicVAE, "teacher_force", noted)
    tokens = torch.randint(0, 90, (3, 8, 1))
    batch = ModelBatch(tokens, tokens)
    with pytest.warns(UserWarning, match="You are trying to `self.log"):
        first = module.training_step(batch, 0)
        torch.manual_seed(5)
        assert torch.equal(module.training_step(batch, 0), first)  # of seed and step alone
    assert chances == [0.75, 0.75]


def noting(read: list[Tensor], run: Callable[..., Any], terms: list[Tensor], *rest: Any) -> Any:
    """Run a layer, and note what it reads."""
    read.append(terms[0])
    return run(terms, *rest)


@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_dropout_keeps_so_many_inputs_of_each_layer(
    keep: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    stack = LSTMStack(40, (30, 20))
    stack.keep = keep
    read: list[Tensor] = []
    for layer in stack:
        monkeypatch.setattr(layer, "forward", partial(noting, read, layer.forward))
    states = [(torch.zeros(50, size), torch.zeros(50, size)) for size in (30, 20)]
    ones = torch.ones(50, 16, 40)
    outputs = stack([ones], states)
    assert sorted(read[0].unique().tolist()) == pytest.approx([0, 1 / keep])
    assert float((read[0] != 0).double().mean()) == pytest.approx(keep, abs=0.02)
    assert float((read[1] != 0).double().mean()) == pytest.approx(keep, abs=0.02)
    assert not torch.equal(read[0][:, 0], read[0][:, 1])  # drawn again for each step
    stack.eval()
    assert torch.equal(stack([ones], states), stack([ones], states))
    assert not torch.allclose(stack([ones], states), outputs)


def test_dropout_of_single_steps_and_of_the_encoder() -> None:
    torch.manual_seed(0)
    stack = LSTMStack(40, (30,))
    stack.keep = 0.5
    states = [(torch.zeros(50, 30), torch.zeros(50, 30))]
    ones = torch.ones(50, 40)
    assert not torch.equal(stack.step(ones, states)[0], stack.step(ones, states)[0])
    encoder = BidirectionalLSTM(40, (30,))
    encoder.keep = 0.5
    forward, backward = encoder([ones.unsqueeze(1)]).chunk(2, -1)
    directions = encoder.layers[0]
    assert isinstance(directions, torch.nn.ModuleDict)
    directions["bw"].load_state_dict(directions["fw"].state_dict())
    forward, backward = encoder([ones.unsqueeze(1)]).chunk(2, -1)
    assert not torch.allclose(forward, backward)  # each direction drops its own
    lengths = torch.ones(50, dtype=torch.int64)
    for module in (stack, encoder):
        module.eval()
    forward, backward = encoder([ones.unsqueeze(1)]).chunk(2, -1)
    assert torch.allclose(forward, backward)
    assert torch.allclose(encoder([ones.unsqueeze(1)], lengths), encoder([ones.unsqueeze(1)]))
    assert torch.equal(stack.step(ones, states)[0], stack.step(ones, states)[0])


def test_only_training_drops() -> None:
    config = get_config("groovae_2bar_humanize", **TINY)
    module = MusicVAETraining(config, TrainingOptions.of(config))
    assert {m.keep for m in module.modules() if isinstance(m, LSTMStack | BidirectionalLSTM)} == {
        0.3
    }
    rows = torch.rand(2, 32, 27)
    assert not torch.equal(module.model.encode(rows).mean, module.model.encode(rows).mean)
    module.eval()
    assert torch.equal(module.model.encode(rows).mean, module.model.encode(rows).mean)


def test_adam_by_hand() -> None:
    weights = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    adam = TensorFlowAdam([weights], lr=0.1, betas=(0.9, 0.99), epsilon=1e-2)
    expected = weights.detach().clone()
    m, v = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for t, gradient in enumerate(([1e-3, 0.5, -2.0], [0.0, -0.1, 1e-4], [1e-5, 3.0, 0.0]), 1):
        g = torch.tensor(gradient, dtype=torch.float64)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        rate = 0.1 * math.sqrt(1 - 0.99**t) / (1 - 0.9**t)
        expected -= rate * m / (v.sqrt() + 1e-2)
        weights.grad = g
        adam.step()
        assert torch.allclose(weights.detach(), expected, rtol=1e-12, atol=0)
    # A state of PyTorch's own Adam will do.
    other = torch.optim.Adam([weights], lr=0.1)
    adam.load_state_dict(other.state_dict())
    adam.step()


@pytest.mark.parametrize(
    ("limit", "expected"), [(100.0, [0.6, 0.8]), (5.0, [0.0, 0.0]), (5.1, [0.6, 0.8])]
)
def test_clipping_by_hand(limit: float, expected: list[float]) -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
    assert float(clip_gradients(weights, 1.0, limit)) == 5
    assert [float(weight.grad) for weight in weights[:2]] == pytest.approx(expected)  # type: ignore[arg-type]
    weights[0].grad.fill_(math.nan)
    clip_gradients(weights, 1.0, limit)
    assert float(weights[0].grad) == 0
