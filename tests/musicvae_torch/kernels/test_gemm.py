"""Products by weights laid out for the processor: what plain ones give, in less time."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.config import get_config
from musicvae_torch.kernels import gemm as products
from musicvae_torch.kernels.gemm import Product, linear, prepare
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.options import DTYPES

# Of a sum of 80 products of numbers of about 1 and .5.
ERRORS = {"float32": 2e-5, "bfloat16": 0.15, "int8": 0.3}
has_int8 = pytest.mark.skipif(
    not products.works(products._ByteProduct), reason="no int8 products on this processor"
)
dtypes = pytest.mark.parametrize(
    "dtype",
    [pytest.param(each, marks=has_int8 if each == "int8" else ()) for each in DTYPES],
)


def numbers(rows: int, outputs: int = 9, inputs: int = 80) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(rows)
    x = torch.randn(rows, inputs).tanh()
    return x, torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(rows, outputs)


@dtypes
@pytest.mark.parametrize("rows", [0, 1, 3, 70])
@pytest.mark.parametrize("outputs", [9, 4000])  # small and large ones go different ways
def test_a_product_is_the_plain_one(dtype: str, rows: int, outputs: int) -> None:
    x, weight, bias, other = numbers(rows, outputs)
    product, plain = prepare(weight, bias, dtype), functional.linear(x, weight, bias)
    for result, wanted in (
        (product(x), plain),
        (product(x, other), plain + other),
        (prepare(weight, dtype=dtype)(x), x @ weight.t()),
    ):
        torch.testing.assert_close(result, wanted, rtol=0, atol=ERRORS[dtype])


@dtypes
def test_rows_need_not_lie_together(dtype: str) -> None:
    x, weight, bias, _ = numbers(5)
    apart = torch.cat([x, x], dim=1)[:, 80:]
    assert torch.equal(prepare(weight, bias, dtype)(apart), prepare(weight, bias, dtype)(x))


def test_lower_precisions_are_lower() -> None:
    x, weight, _, _ = numbers(50, 4000)
    exact = x.double() @ weight.double().t()
    errors = [float((prepare(weight, dtype=dtype)(x) - exact).abs().mean()) for dtype in ERRORS]
    assert errors[0] < 1e-5 < errors[1] < errors[2]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_without_onednn(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "works", lambda kind: False)
    x, weight, bias, other = numbers(4)
    product = prepare(weight, bias, dtype)
    assert type(product) is Product
    wanted = functional.linear(x, weight, bias) + other
    torch.testing.assert_close(product(x, other), wanted, rtol=0, atol=ERRORS[dtype])
    assert product(x).dtype == torch.float32
    torch.testing.assert_close(linear(x, weight, bias), functional.linear(x, weight, bias))
    with pytest.raises(ValueError, match="int8 weights want an x86 processor"):
        prepare(weight, bias, "int8")


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("shape", [(3, 80), (128, 80), (1001, 80), (32, 4, 80)])
def test_gradients_of_a_linear_layer(
    shape: tuple[int, ...], onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows and many, also as many as 16 do not divide, and with threads or without."""
    if not onednn:
        monkeypatch.setattr(products, "works", lambda kind: False)
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(90, 80), torch.randn(90)
    tensors = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    cotangent = torch.randn(*shape[:-1], 90)
    # Of a transposed layer's outputs, as the heads read those of an LSTM.
    inputs = x.transpose(0, 1) if len(shape) == 3 else x
    weights = cotangent.transpose(0, 1) if len(shape) == 3 else cotangent
    results = []
    for layer in (linear, functional.linear):
        outputs = layer(inputs, weight, bias)
        results.append([outputs, *torch.autograd.grad((outputs * weights).sum(), tensors)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


def test_a_frozen_layer_has_no_gradient() -> None:
    x, weight, bias, _ = numbers(100)
    linear(x.requires_grad_(), weight, bias).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0).expand(100, 80), rtol=1e-4, atol=1e-4)
    assert weight.grad is None


def test_a_kind_that_is_wrong_is_not_used() -> None:
    class Wrong(Product):
        def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
            return super().__call__(x, other) + 1

    class Missing(Product):
        def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
            raise RuntimeError("not compiled in")

    assert products.works(Product)
    assert not products.works(Wrong) and not products.works(Missing)


def test_under_autocast() -> None:
    """As a training in bfloat16 validates: kinds of products are tried out there, too."""
    products.works.cache_clear()
    model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(40,), dec_rnn_size=(30,)))
    classes = torch.randint(0, 90, (4, 32, 1))
    with torch.no_grad():
        exact = model.encode(classes).mean
        scores = model.teacher_force(exact, classes)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model.encode(classes).mean, exact, rtol=0.05, atol=0.01)
            half = model.teacher_force(exact, classes).float()
            assert model.decode(exact, temperature=0).shape == (4, 32, 90)
    torch.testing.assert_close(half, scores, rtol=0.05, atol=0.02)


def test_a_probe_is_what_runs() -> None:
    """It must not go the way of small products, which are plain ones."""

    class Broken(products._PackedProduct):
        def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
            if self._plain is not None and len(x) * self._size <= products._SMALL:
                return super().__call__(x, other)
            return super().__call__(x, other) + 1

    assert not products.works(Broken)


def test_float64_stays_float64() -> None:
    x, weight, bias, _ = (each.double() for each in numbers(4))
    assert torch.equal(prepare(weight, bias, "bfloat16")(x), functional.linear(x, weight) + bias)


@pytest.mark.parametrize("name", ["cat-mel_2bar_small", "hierdec-trio_16bar"])
def test_no_gradient_no_difference(name: str) -> None:
    """The ways with and without a gradient say the same, whatever the sequences' lengths."""
    torch.manual_seed(0)
    model = MusicVAE(get_config(name, enc_rnn_size=(9, 8), dec_rnn_size=(7,), z_size=5)).eval()
    steps, depths = model.config.max_seq_len, model.config.output_depths
    classes = torch.stack([torch.randint(-1, depth, (6, steps)) for depth in depths], dim=-1)
    lengths = torch.tensor([steps, 3, 0, steps - 1, 1, 3])
    for given in (None, lengths):
        kept = model.encode(classes, given)
        with torch.no_grad():
            quick = model.encode(classes, given)
        torch.testing.assert_close(quick.mean, kept.mean.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(quick.stddev, kept.stddev.detach(), rtol=1e-4, atol=1e-6)
    z = torch.randn(6, 5)
    with torch.no_grad():
        quick_logits = model.teacher_force(z, classes)
    torch.testing.assert_close(quick_logits, model.teacher_force(z, classes).detach())


@dtypes
def test_a_model_multiplies_in_what_it_is_told(dtype: str) -> None:
    torch.manual_seed(0)
    model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(64,), dec_rnn_size=(64,)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        classes = torch.randint(0, 90, (4, 32, 1))
        exact = model.encode(classes).mean
        scores = model.teacher_force(exact, classes)
        model.multiply_in(dtype)
        errors = [
            float((model.encode(classes).mean - exact).abs().max()),
            float((model.teacher_force(exact, classes) - scores).abs().max()),
        ]
        assert model.decode(exact, temperature=0).shape == (4, 32, 90)
    assert max(errors) < 0.5
    assert (min(errors) > 0) == (dtype != "float32")


@has_int8
def test_int8_of_numbers_beyond_one() -> None:
    """A caller's controls may be any numbers: they are not multiplied in int8."""
    torch.manual_seed(0)
    config = get_config("cat-mel_2bar_small", enc_rnn_size=(64,), dec_rnn_size=(64,))
    model = MusicVAE(dataclasses.replace(config, control_depth=2))
    with torch.no_grad():
        classes, controls = torch.randint(0, 90, (4, 32, 1)), torch.full((32, 2), 3.0)
        exact = model.encode(classes, controls=controls).mean
        int8 = model.multiply_in("int8").encode(classes, controls=controls).mean
    torch.testing.assert_close(int8, exact, rtol=0, atol=0.02 * float(exact.abs().max()))


def test_a_kept_product_is_let_go() -> None:
    model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(30,), dec_rnn_size=(20,)))
    classes = torch.randint(0, 90, (2, 32, 1))
    weight = next(model.parameters())
    with torch.no_grad():
        first = model.multiply_in("bfloat16").encode(classes).mean
        weight.data.mul_(3)
        assert not torch.equal(model.multiply_in("bfloat16").encode(classes).mean, first)


@pytest.mark.parametrize("grad", [True, False])
def test_nothing_to_run(grad: bool) -> None:
    model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(9,), dec_rnn_size=(7,)))
    nothing = torch.zeros(0, 32, 1, dtype=torch.int64)
    with torch.set_grad_enabled(grad):
        assert model.encode(nothing).mean.shape == (0, 256)
        assert model.encode(nothing, torch.zeros(0, dtype=torch.int64)).mean.shape == (0, 256)
        assert model.teacher_force(torch.zeros(0, 256), nothing).shape == (0, 32, 90)


@pytest.mark.parametrize("change", ["step", "load", "copy"])
def test_products_that_are_kept_follow_their_weights(change: str) -> None:
    """Those of low precision stay for further calls, but not beyond their weights."""

    def model_of(seed: int) -> MusicVAE:
        torch.manual_seed(seed)
        model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(30,), dec_rnn_size=(20,)))
        return model.multiply_in("bfloat16").eval()

    model, other = model_of(0), model_of(1)
    classes, z = torch.randint(0, 90, (2, 32, 1)), torch.randn(2, model.config.z_size)
    with torch.no_grad():
        model.encode(classes), model.decode(z, temperature=0)
        if change == "step":
            for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
                ours.copy_(theirs)
        elif change == "load":
            model.load_state_dict(other.state_dict(), assign=True)
        else:
            model, other = copy.deepcopy(model), model
        assert torch.equal(model.encode(classes).mean, other.encode(classes).mean)
        assert torch.equal(model.decode(z, temperature=0), other.decode(z, temperature=0))


def test_inference_mode() -> None:
    with torch.inference_mode():
        model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(30,), dec_rnn_size=(20,)))
        model.multiply_in("bfloat16")
        assert model.sample(2, length=4).shape == (2, 4, 90)


def test_no_such_precision() -> None:
    model = MusicVAE(get_config("cat-mel_2bar_small", enc_rnn_size=(4,), dec_rnn_size=(4,)))
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, int8, not 'fp4'"):
        model.multiply_in("fp4")
