"""The model against Magenta's numbers, against TensorFlow's cell in numpy, and its own promises."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from magenta_models import Golden, error
from torch import Tensor
from torch.nn import functional

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.io.devices import pick_device
from musicvae_torch.model.heads import sample_categorical
from musicvae_torch.model.lstm import BidirectionalLSTM, LSTMStack, LSTMWeights
from musicvae_torch.model.terms import OneHot
from musicvae_torch.model.vae import MusicVAE

TOLERANCE = 1e-5  # of the largest value in the reference; float32 sums in another order
FLAT = MusicVAEConfig(
    name="tiny",
    max_seq_len=12,
    input_depth=15,
    output_depths=(6, 5, 4),
    z_size=4,
    enc_rnn_size=(7, 5),
    dec_rnn_size=(8, 6),
    decoder_level_lengths=(3, 4),
)
HIER = replace(FLAT, encoder_level_lengths=(4, 3))
CONDITIONED = replace(FLAT, control_depth=3)

Array = np.ndarray[Any, np.dtype[Any]]


def build(config: MusicVAEConfig, seed: int = 0) -> MusicVAE:
    """A model with weights large enough for its inputs to matter, as those of a new one are not."""
    torch.manual_seed(seed)
    model = MusicVAE(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 1.0)
    return model


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_hot(tokens: Array | Tensor, depths: Sequence[int]) -> Tensor:
    """(..., parts) classes → (..., sum of depths) uint8 rows."""
    classes = torch.as_tensor(np.asarray(tokens).astype(np.int64))
    parts = [functional.one_hot(classes[..., i], depth) for i, depth in enumerate(depths)]
    return torch.cat(parts, dim=-1).to(torch.uint8)


def classes_of(rows: Tensor, depths: Sequence[int]) -> Tensor:
    return torch.stack([part.argmax(-1) for part in rows.split(list(depths), -1)], dim=-1)


def random_tokens(config: MusicVAEConfig, batch: int, seed: int = 0) -> Tensor:
    shape = (batch, config.max_seq_len)
    parts = [
        torch.randint(depth, shape, generator=generator(seed + i))
        for i, depth in enumerate(config.output_depths)
    ]
    return torch.stack(parts, dim=-1)


def random_rows(config: MusicVAEConfig, batch: int, seed: int = 0) -> Tensor:
    return one_hot(random_tokens(config, batch, seed), config.output_depths)


# Encoding


def test_encode_gives_a_distribution() -> None:
    posterior = build(FLAT).encode(random_rows(FLAT, batch=3))
    assert posterior.mean.shape == posterior.stddev.shape == (3, 4)
    assert bool((posterior.stddev > 0).all())
    assert posterior.mean.requires_grad


@pytest.mark.parametrize("config", [FLAT, HIER], ids=["flat", "hierarchical"])
@torch.no_grad()
def test_encode_reads_a_batch_one_by_one(config: MusicVAEConfig) -> None:
    model, rows = build(config), random_rows(config, batch=3)
    together = model.encode(rows).mean
    for row, mean in zip(rows, together, strict=True):
        assert error(model.encode(row[None]).mean[0], mean) < TOLERANCE
    assert error(together[0], together[1]) > 0.01
    assert model.encode(rows[:0]).mean.shape == (0, 4)


@torch.no_grad()
def test_flat_encoder_reads_no_further_than_the_length() -> None:
    model, rows = build(FLAT), random_rows(FLAT, batch=4)
    lengths = torch.tensor([12, 5, 1, 0])
    mean = model.encode(rows, lengths).mean
    for i, length in enumerate([12, 5, 1]):
        assert error(model.encode(rows[i : i + 1, :length]).mean[0], mean[i]) < TOLERANCE
    assert torch.equal(mean[3], model.encoder.mean.bias)
    assert torch.equal(model.encode(rows, lengths.int()).mean, mean)


@torch.no_grad()
def test_hierarchical_encoder_takes_a_length_per_segment() -> None:
    model, rows = build(HIER), random_rows(HIER, batch=3)
    lengths = torch.tensor([[4, 4, 4], [4, 1, 0], [0, 0, 0]])
    mean = model.encode(rows, lengths).mean
    low, high = model.encoder.levels
    for window, segment_lengths, ours in zip(rows.double(), lengths, mean, strict=True):
        embeddings = [
            embed_in_numpy(low, segment.numpy(), int(length))
            for segment, length in zip(window.split(4), segment_lengths, strict=True)
        ]
        embedding = embed_in_numpy(high, np.stack(embeddings), len(embeddings))
        expected = embedding @ model.encoder.mean.weight.double().numpy().T
        expected += model.encoder.mean.bias.double().numpy()
        assert error(ours, expected) < TOLERANCE
    assert error(mean[2], model.encoder.mean.bias) > 0.01  # the upper level runs all the same
    whole = model.encode(rows, torch.tensor([12, 12, 0])).mean
    assert error(whole[0], mean[0]) < TOLERANCE and error(whole[2], mean[2]) < TOLERANCE


@pytest.mark.parametrize(
    ("config", "lengths"),
    [
        (FLAT, [13, 12]),
        (FLAT, [-1, 12]),
        (FLAT, [12]),
        (FLAT, [[4, 4, 4], [4, 4, 4]]),
        (HIER, [12, 5]),
        (HIER, [-12, 12]),
        (HIER, [12]),
        (HIER, [[4, 4], [4, 4]]),
        (HIER, [[4, 4, 5], [4, 4, 4]]),
        (HIER, [[4, -1, 4], [4, 4, 4]]),
    ],
)
def test_lengths_that_do_not_fit_are_refused(config: MusicVAEConfig, lengths: list[Any]) -> None:
    with pytest.raises(ValueError, match="length") as caught:
        build(config).encode(random_rows(config, batch=2), torch.tensor(lengths))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 12, 14), (2, 12), (12, 15), (2, 12, 1, 15)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = build(FLAT)
    with pytest.raises(ValueError, match="inputs have shape"):
        model.encode(torch.zeros(shape))
    with pytest.raises(ValueError, match="targets have shape"):
        model.teacher_force(torch.zeros(2, 4), torch.zeros(shape))


def test_windows_of_another_length_are_refused() -> None:
    rows = random_rows(FLAT, batch=2)[:, :8]
    with pytest.raises(ValueError, match="8 steps, wanted 12"):
        build(HIER).encode(rows)
    with pytest.raises(ValueError, match=r"\(2, 8\), wanted \(2, 12\)"):
        build(FLAT).teacher_force(torch.zeros(2, 4), rows)
    with pytest.raises(ValueError, match=r"\(2, 12\), wanted \(3, 12\)"):
        build(FLAT).teacher_force(torch.zeros(3, 4), random_rows(FLAT, batch=2))


@pytest.mark.parametrize("config", [FLAT, HIER, CONDITIONED], ids=["flat", "hier", "conditioned"])
@torch.no_grad()
def test_classes_stand_for_their_rows(config: MusicVAEConfig) -> None:
    model, tokens = build(config), random_tokens(config, batch=3)
    rows = one_hot(tokens, config.output_depths)
    controls = torch.randn(3, 12, config.control_depth) if config.control_depth else None
    expected = model.encode(rows, controls=controls).mean
    assert error(model.encode(tokens, controls=controls).mean, expected) < TOLERANCE
    z = torch.randn(3, 4)
    logits = model.teacher_force(z, rows, controls)
    assert error(model.teacher_force(z, tokens, controls), logits) < TOLERANCE
    losses = model.part_losses(logits, rows)
    assert error(model.part_losses(logits, tokens), losses) < TOLERANCE
    lengths = torch.tensor([12, 0, 12])
    ours = model.encode(tokens, lengths, controls).stddev
    assert error(ours, model.encode(rows, lengths, controls).stddev) < TOLERANCE


def test_classes_out_of_range_are_refused() -> None:
    model, tokens = build(FLAT), random_tokens(FLAT, batch=2)
    for class_, part in [(6, 0), (5, 1), (4, 2), (-2, 0)]:
        wrong = tokens.clone()
        wrong[1, 3, part] = class_
        with pytest.raises(ValueError, match="classes"):
            model.encode(wrong)
        with pytest.raises(ValueError, match="classes"):
            model.teacher_force(torch.zeros(2, 4), wrong)


# Decoding


@pytest.mark.parametrize("length", [1, 4, 5, 12])
def test_length_is_a_prefix(length: int) -> None:
    model, z = build(FLAT), torch.randn(3, 4, generator=generator(1))
    whole = model.decode(z, temperature=0)
    assert whole.shape == (3, 12, 15)
    assert torch.equal(model.decode(z, length, temperature=0), whole[:, :length])


@pytest.mark.parametrize("length", [0, -1, 13])
def test_length_out_of_range_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"length {length} .* 1 to 12 steps") as caught:
        build(FLAT).decode(torch.zeros(1, 4), length)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [-0.5, -1e-9, float("nan"), float("-inf")])
def test_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature must be 0 or more, not -?\w"):
        build(FLAT).decode(torch.zeros(1, 4), temperature=temperature)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (1, 2, 4)])
def test_latents_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="z has shape"):
        build(FLAT).decode(torch.zeros(shape))


@pytest.mark.parametrize("config", [FLAT, CONDITIONED], ids=["plain", "conditioned"])
def test_teacher_forcing_agrees_with_decoding(config: MusicVAEConfig) -> None:
    model, z = build(config), torch.randn(5, 4, generator=generator(1))
    controls = torch.randn(5, 12, config.control_depth) if config.control_depth else None
    rows = model.decode(z, temperature=0, controls=controls)
    logits = model.teacher_force(z, rows, controls)
    expected = classes_of(rows, config.output_depths)
    assert torch.equal(classes_of(logits, config.output_depths), expected)
    # It says little unless the output varies.
    assert len(expected.flatten(0, 1).unique(dim=0)) > 10


def test_a_step_depends_on_earlier_steps_alone() -> None:
    model, z = build(FLAT), torch.randn(2, 4, generator=generator(1))
    rows = random_rows(FLAT, batch=2)
    for changed in range(12):
        other = rows.clone()
        other[:, changed] = other[:, changed].roll(1, dims=-1)
        difference = (model.teacher_force(z, other) - model.teacher_force(z, rows)).abs()
        steps = difference.amax((0, 2)) > 1e-6
        # A segment's decoder knows of earlier segments only the token just before it.
        end = 4 * ((changed + 1) // 4 + 1)
        assert steps.tolist() == [changed < step < min(end, 12) for step in range(12)]


def test_sampling_is_reproducible() -> None:
    model, z = build(FLAT), torch.randn(4, 4, generator=generator(1))
    first = model.decode(z, temperature=1.5, generator=generator(7))
    again = model.decode(z, temperature=1.5, generator=generator(7))
    other = model.decode(z, temperature=1.5, generator=generator(8))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not first.requires_grad


def test_argmax_ignores_the_generator() -> None:
    model, z = build(FLAT), torch.randn(4, 4, generator=generator(1))
    draws = generator(7)
    before = draws.get_state()
    assert torch.equal(model.decode(z, temperature=0, generator=draws), model.decode(z, None, 0.0))
    assert torch.equal(draws.get_state(), before)


def test_sample_draws_latents_from_the_prior() -> None:
    model = build(FLAT)
    rows = model.sample(300, length=6, generator=generator(3))
    assert rows.shape == (300, 6, 15) and rows.dtype == torch.float32
    for part in rows.split(FLAT.output_depths, -1):
        assert torch.equal(part.sum(-1), torch.ones(300, 6)) and bool((part.max(-1)[0] == 1).all())
    draws = generator(3)
    z = torch.randn(300, 4, generator=draws)
    assert torch.equal(model.decode(z, 6, generator=draws), rows)
    assert not torch.equal(model.sample(300, length=6, generator=generator(4)), rows)
    assert model.sample(0).shape == (0, 12, 15)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_sampled_frequencies(temperature: float) -> None:
    logits, n = torch.tensor([0.0, 1.0, 2.0, -1.0, 1.5]), 40_000
    choices = sample_categorical(logits.expand(n, -1), temperature, generator(5))
    expected = torch.softmax(logits.double() / temperature, dim=0)
    frequencies = choices.bincount(minlength=5) / n
    assert float((frequencies - expected).abs().max()) < 4 * 0.5 / n**0.5


def test_zero_temperature_takes_the_likeliest() -> None:
    logits = torch.randn(50, 7, generator=generator(5))
    assert torch.equal(sample_categorical(logits, 0), logits.argmax(-1))
    assert torch.equal(sample_categorical(logits, 1e-6), logits.argmax(-1))


# Controls


@torch.no_grad()
def test_controls_are_broadcast() -> None:
    model, rows = build(CONDITIONED), random_rows(CONDITIONED, batch=2)
    z, controls = torch.randn(2, 4), torch.randn(12, 3)
    both = controls.expand(2, 12, 3)
    assert torch.equal(
        model.encode(rows, controls=controls).mean, model.encode(rows, controls=both).mean
    )
    assert torch.equal(model.teacher_force(z, rows, controls), model.teacher_force(z, rows, both))
    shared = model.decode(z, controls=controls, generator=generator(0))
    assert torch.equal(model.decode(z, controls=both, generator=generator(0)), shared)
    # Those of a whole window serve for its beginning.
    start = model.decode(z, 5, controls=controls[:5], temperature=0)
    assert torch.equal(model.decode(z, 5, controls=controls, temperature=0), start)


@torch.no_grad()
def test_controls_matter_at_their_own_step() -> None:
    model, rows = build(CONDITIONED), random_rows(CONDITIONED, batch=2)
    z, controls = torch.randn(2, 4), torch.randn(2, 12, 3)
    other = controls.clone()
    other[1, 6] += 2.0  # of the second example, in its second segment
    change = model.teacher_force(z, rows, other) - model.teacher_force(z, rows, controls)
    steps = change.abs().amax(-1) > 1e-6
    assert steps.tolist() == [[False] * 12, [step in (6, 7) for step in range(12)]]
    means = [model.encode(rows, controls=c).mean for c in (controls, other)]
    assert torch.equal(means[0][0], means[1][0]) and error(means[0][1], means[1][1]) > 1e-3
    decoded = [model.decode(z, temperature=0, controls=c) for c in (controls, -3 * controls)]
    assert not torch.equal(*decoded)


@pytest.mark.parametrize("shape", [(11, 3), (12, 2), (3, 12, 3), (2, 11, 3), (2, 2, 12, 3), (3,)])
def test_controls_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = build(CONDITIONED)
    with pytest.raises(ValueError, match="controls have shape") as caught:
        model.encode(random_rows(CONDITIONED, batch=2), controls=torch.zeros(shape))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="controls have shape"):
        model.decode(torch.zeros(2, 4), controls=torch.zeros(shape))


def test_missing_and_unwanted_controls_are_refused() -> None:
    model, rows = build(CONDITIONED), random_rows(CONDITIONED, batch=2)
    with pytest.raises(ValueError, match=r"pass controls .* \(12, 3\)"):
        model.encode(rows)
    with pytest.raises(ValueError, match="pass controls"):
        model.teacher_force(torch.zeros(2, 4), rows)
    with pytest.raises(ValueError, match=r"pass controls .* \(5, 3\)"):
        model.sample(2, length=5)
    with pytest.raises(ValueError, match="controls have shape"):
        build(FLAT).sample(2, controls=torch.zeros(12, 3))


# Losses


def test_losses_by_hand() -> None:
    model, tokens = build(FLAT), random_tokens(FLAT, batch=3)
    rows = one_hot(tokens, FLAT.output_depths)
    logits = torch.randn(3, 12, 15, dtype=torch.float64, generator=generator(2)) * 3
    expected = np.zeros((3, 12, 3))
    for index in np.ndindex(3, 12, 3):
        batch, step, part = index
        scores = logits.split(FLAT.output_depths, -1)[part][batch, step].numpy()
        expected[index] = np.log(np.exp(scores).sum()) - scores[tokens[index]]
    assert error(model.part_losses(logits, rows), expected) < 1e-9
    sums = expected.sum(-1)
    assert error(model.reconstruction_loss(logits, rows), sums.sum(-1)) < 1e-9
    lengths = torch.tensor([12, 7, 0])
    by_length = [sums[i, :length].sum() for i, length in enumerate(lengths.tolist())]
    assert error(model.reconstruction_loss(logits, rows, lengths), np.array(by_length)) < 1e-9
    segments = torch.tensor([[4, 4, 4], [2, 0, 3], [0, 0, 1]])
    by_segment = [
        sum(sums[i, 4 * s : 4 * s + int(segments[i, s])].sum() for s in range(3)) for i in range(3)
    ]
    assert error(model.reconstruction_loss(logits, rows, segments), np.array(by_segment)) < 1e-9


def test_a_row_of_zeros_costs_nothing() -> None:
    model, rows = build(FLAT), random_rows(FLAT, batch=1)
    rows[0, 3, :6] = 0
    losses = model.part_losses(torch.randn(1, 12, 15), rows)
    assert losses[0, 3, 0] == 0 and int((losses == 0).sum()) == 1


# The cell, as TensorFlow's LSTMBlockCell computes it


def block_cell(kernel: Array, bias: Array, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One step; the gates' columns are input, new input, forget, output."""
    i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
    return sigmoid(o) * np.tanh(c), c


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def tensorflow_weights(layer: LSTMWeights) -> tuple[Array, Array]:
    """A layer's weights as TensorFlow keeps them: kernel (D + H, 4H) and bias (4H,)."""
    weight = torch.cat([layer.weight_ih, layer.weight_hh], dim=1).detach().double().numpy()
    order = [0, 2, 1, 3]  # PyTorch's blocks are input, forget, cell, output
    kernel = np.concatenate([np.split(weight, 4)[block] for block in order]).T
    bias = np.split(layer.bias.detach().double().numpy(), 4)
    return kernel, np.concatenate([bias[block] for block in order])


def run_in_numpy(layer: LSTMWeights, inputs: Array, h: Array, c: Array) -> Array:
    """inputs (T, D) → outputs (T, H)."""
    outputs = []
    for x in inputs:
        h, c = block_cell(*tensorflow_weights(layer), x, h, c)
        outputs.append(h)
    return np.stack(outputs) if outputs else np.zeros((0, len(h)))


def embed_in_numpy(module: torch.nn.Module, inputs: Array, length: int) -> Array:
    """One sequence (T, D) through a bidirectional stack, reading `length` steps."""
    assert isinstance(module, BidirectionalLSTM)
    if length == 0:
        return np.zeros(module.embedding_size)
    data = inputs[:length]
    for pair in module.layers:
        assert isinstance(pair, torch.nn.ModuleDict)
        fw, bw = pair["fw"], pair["bw"]
        assert isinstance(fw, LSTMWeights) and isinstance(bw, LSTMWeights)
        zeros = np.zeros(fw.units)
        forwards = run_in_numpy(fw, data, zeros, zeros)
        backwards = run_in_numpy(bw, data[::-1], zeros, zeros)
        data = np.concatenate([forwards, backwards[::-1]], axis=1)
    return np.concatenate([forwards[-1], backwards[-1]])


def random_stack() -> tuple[LSTMStack, Tensor, list[tuple[Tensor, Tensor]]]:
    """Layers of 6 and 4 units, inputs (3, 7, 5) and start states, in double precision."""
    torch.manual_seed(0)
    stack = LSTMStack(5, (6, 4)).double()
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    states = [tuple(torch.randn(2, 3, n, dtype=torch.float64).unbind()) for n in (6, 4)]
    return stack, torch.randn(3, 7, 5, dtype=torch.float64), [(h, c) for h, c in states]


@torch.no_grad()
def test_stack_against_tensorflows_cell() -> None:
    stack, inputs, states = random_stack()
    outputs = stack([inputs], states)
    for example in range(3):
        data = inputs[example].numpy()
        for layer, (h, c) in zip(stack, states, strict=True):
            assert isinstance(layer, LSTMWeights)
            data = run_in_numpy(layer, data, h[example].numpy(), c[example].numpy())
        assert error(outputs[example], data) < 1e-12


@torch.no_grad()
def test_steps_agree_with_whole_sequences() -> None:
    stack, inputs, states = random_stack()
    expected = stack([inputs], states)
    for step in range(7):
        output, states = stack.step(inputs[:, step], states)
        assert error(output, expected[:, step]) < 1e-12


@torch.no_grad()
def test_terms_lie_side_by_side() -> None:
    stack, inputs, states = random_stack()
    classes = torch.tensor([[0, 1, -1, 1, 0, -1, 1]] * 3)
    rows = functional.one_hot(classes + 1, 3)[..., 1:].double()
    fixed = inputs[:, :1, :2]
    dense = torch.cat([rows, fixed.expand(-1, 7, -1), inputs[..., :1]], dim=-1)
    expected = stack([dense], states)
    ours = stack([OneHot(classes, 2), fixed, inputs[..., :1]], states)
    assert error(ours, expected) < 1e-12
    order = torch.tensor([2, 3, 0, 1, 4])  # the first term is what the bias is added to
    turned = copy.deepcopy(stack)
    bottom = turned[0]
    assert isinstance(bottom, LSTMWeights)
    bottom.weight_ih.copy_(bottom.weight_ih[:, order])
    ours = turned([fixed, OneHot(classes, 2), inputs[..., :1]], states)
    assert error(ours, expected) < 1e-12


def test_gradients_of_the_stack() -> None:
    stack, inputs, states = random_stack()
    flat = [tensor.requires_grad_() for state in states for tensor in state]
    classes = torch.tensor([[0, 1, -1, 1, 0, -1, 1]] * 3)

    def outputs(dense: Tensor, *values: Tensor) -> Tensor:
        starts = [(values[0], values[1]), (values[2], values[3])]
        top: Tensor = stack([OneHot(classes, 2), dense], starts)
        return top

    # The parameters are perturbed in place.
    tensors = (inputs[..., :3].requires_grad_(), *flat, *stack.parameters())
    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)


@pytest.mark.parametrize("lengths", [None, [7, 7, 7], [7, 4, 1], [3, 0, 6], [0, 0, 0]])
@torch.no_grad()
def test_bidirectional_stack_against_tensorflows_cell(lengths: list[int] | None) -> None:
    torch.manual_seed(1)
    module = BidirectionalLSTM(5, (6, 4)).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    inputs = torch.randn(3, 7, 5, dtype=torch.float64)
    ours = module([inputs], None if lengths is None else torch.tensor(lengths))
    assert ours.shape == (3, 8)
    for example, length in enumerate(lengths or [7, 7, 7]):
        expected = embed_in_numpy(module, inputs[example].numpy(), length)
        assert np.abs(ours[example].numpy() - expected).max() < 1e-12


@torch.no_grad()
def test_new_weights_are_drawn_as_magentas() -> None:
    torch.manual_seed(0)
    model = MusicVAE(replace(FLAT, enc_rnn_size=(64,), dec_rnn_size=(64,)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif ".layers." in name:
            module = model.get_submodule(name.rpartition(".")[0])
            assert isinstance(module, LSTMWeights)
            # Glorot's bound for the whole kernel, (D + H, 4H).
            bound = (6 / (module.weight_ih.shape[1] + 64 + 4 * 64)) ** 0.5
            assert 0.97 * bound < float(parameter.abs().max()) <= bound, name
        elif "initial_state" in name or name.startswith("encoder"):
            assert 0.0008 < float(parameter.std()) < 0.0012, name


def test_devices_are_picked_by_name() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ["nonsense", "cuda:99", ""]:
        with pytest.raises(ValueError, match=f"device '{name}' cannot be used here") as caught:
            pick_device(name)
        assert "\n" not in str(caught.value)


@pytest.mark.cuda
@torch.no_grad()
def test_cuda_agrees_with_the_cpu(golden: Golden) -> None:
    reference, cpu = golden.reference, golden.model
    model = copy.deepcopy(cpu).cuda()
    depths = model.config.output_depths
    rows, z, lengths = (reference[name] for name in ("inputs", "z", "var_lengths"))
    tokens = classes_of(rows, depths)
    # cuDNN may round its products to TF32.
    tolerance = 2e-3
    for inputs in (rows, tokens):
        for counted in (None, lengths):
            theirs = cpu.encode(inputs, counted)
            ours = model.encode(inputs.cuda(), None if counted is None else counted.cuda())
            assert error(ours.mean.cpu(), theirs.mean) < tolerance
            assert error(ours.stddev.cpu(), theirs.stddev) < tolerance
        logits = model.teacher_force(z.cuda(), inputs.cuda())
        assert error(logits.cpu(), cpu.teacher_force(z, inputs)) < tolerance
        losses = model.reconstruction_loss(logits, inputs.cuda()).cpu()
        assert error(losses, reference["r_loss"]) < tolerance
    # One close call may turn out otherwise, and change all that follows in its segment.
    samples = classes_of(model.decode(z.cuda(), temperature=0).cpu(), depths)
    assert (samples == classes_of(reference["samples"], depths)).float().mean() > 0.95
    draws = [torch.Generator("cuda").manual_seed(1) for _ in range(2)]
    assert torch.equal(*(model.sample(2, length=20, generator=draw) for draw in draws))


@pytest.mark.parametrize("name", ["hier-trio_16bar", "hierdec-trio_16bar", "flat-trio_16bar"])
@pytest.mark.parametrize("units", [(8,), (8, 6)])
def test_a_performance_of_one_latent_is_its_window(name: str, units: tuple[int, ...]) -> None:
    """Steps that share what does not change, and as many segments as one likes."""
    torch.manual_seed(0)
    model = MusicVAE(get_config(name, enc_rnn_size=(8,), dec_rnn_size=units, z_size=4)).eval()
    for weights in model.decoder.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    z = torch.randn(3, 4)
    embeddings, places = model.embed(z), torch.rand(3, 256, 3)
    window = classes_of(model.decode(z, temperature=0), model.config.output_depths)
    played = model.sample_segments(embeddings, [0, 0, 0], places)
    assert torch.equal(played, window) and len(played.unique()) > 3
    drums = model.sample_segments(embeddings, [0, 0, 0], places, [2])
    assert torch.equal(drums, window[..., 2:])
    warm = model.sample_segments(embeddings, [1, 1, 1], places)
    assert torch.equal(model.sample_segments(embeddings[1:2], [1, 1, 1], places[1:2]), warm[1:2])
    losses = model.segments_nll(embeddings, window, [0, 1, 2])
    torch.testing.assert_close(losses, model.part_nll(z, window, [0, 1, 2]))
