"""All that samples and scores runs under CPU autocast, as in Lightning's bf16-mixed steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from made_up import made_up, tiny
from paths import EXAMPLES
from torch import Tensor

from musicvae_torch.groove_sampling import velocities_and_offsets
from musicvae_torch.kernels.gemm import prepare
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.options import DTYPES
from musicvae_torch.training import model_batch
from surrogate import Accompanist, AccompanyOptions

SONG = EXAMPLES / "saints.mid"
# A config of each kind of decoder. 64 rows of it are more than oneDNN leaves to plain products.
NAMES = (
    "cat-mel_2bar_small",
    "cat-mel_2bar_med_chords",
    "hier-trio_16bar",
    "hierdec-trio_16bar",
    "hier-multiperf_vel_1bar_med",
    "nade-drums_2bar_full",
    "groovae_2bar_humanize",
    "groovae_2bar_hits_control_tfds",
)
UNITS = (64, 32)


@pytest.fixture(params=[torch.bfloat16, torch.float16], ids=str)
def low(request: pytest.FixtureRequest) -> torch.dtype:
    dtype: torch.dtype = request.param
    return dtype


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


def near(low: Tensor, exact: Tensor) -> bool:
    """Within what bfloat16 tells apart: 8 bits of the largest number, a few times."""
    return bool((low.float() - exact).abs().max() <= 0.03 * exact.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_decoding_is_as_without(name: str, low: torch.dtype) -> None:
    """Sampling feeds on itself: it keeps the weights' precision, and so the same samples."""
    config = tiny(name, dec_rnn_size=UNITS)
    model = MusicVAE(config).eval()
    batch = model_batch(config, made_up(config, 64).tokens)
    z = torch.randn(64, config.z_size)
    steps = min(32, config.max_seq_len)

    def run() -> list[Tensor]:
        results = [
            model.decode(
                z, steps, temperature, batch.controls, torch.Generator().manual_seed(temperature)
            )
            for temperature in (0, 1)
        ]
        generator = torch.Generator().manual_seed(1)
        controls = None if batch.controls is None else batch.controls[:2]
        results.append(model.sample(2, steps, controls=controls, generator=generator))
        results.append(model.embed(z))
        if config.output == "groove":
            results.append(velocities_and_offsets(model, z, batch.targets[..., :9], batch.controls))
        if config.output == "categorical" and not config.control_depth:
            parts = range(len(config.output_depths))
            segments = results[-1].shape[1]
            places = torch.rand(64, 4 * segments, len(parts), generator=generator)
            played = model.sample_segments(results[-1], [0.5] * len(parts), places)
            results += [played, model.segments_nll(results[-1], played, parts)]
        return results

    exact = run()
    with torch.autocast("cpu", low):
        coarse = run()
    for one, other in zip(coarse, exact, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_near(name: str) -> None:
    config = tiny(name, dec_rnn_size=UNITS)
    model = MusicVAE(config).eval()
    windows = made_up(config, 8)
    batch = model_batch(config, windows.tokens, windows.length)
    z = torch.randn(8, config.z_size)

    def run() -> list[Tensor]:
        posterior = model.encode(batch.inputs, batch.lengths, batch.controls)
        logits = model.teacher_force(z, batch.targets, batch.controls)
        losses = model.part_nll(z, batch.targets, [0], batch.controls)
        whole = model.reconstruction_loss(logits, batch.targets, batch.lengths)
        return [posterior.mean, posterior.stddev, losses, whole]

    for gradient in (True, False):
        with torch.set_grad_enabled(gradient):
            exact = run()
            with torch.autocast("cpu", torch.bfloat16):
                coarse = run()
        for one, other in zip(coarse, exact, strict=True):
            assert one.dtype == torch.float32
            assert near(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [8, 700], ids=["small", "large"])
def test_products(dtype: str, size: int, low: torch.dtype) -> None:
    weight, bias, rows = torch.randn(size, size), torch.randn(size), torch.rand(3, size)
    try:
        product = prepare(weight, bias, dtype)
    except ValueError:
        pytest.skip("no int8 products here")
    other = torch.randn(3, size)
    exact = product(rows), product(rows, other)
    with torch.autocast("cpu", low):
        again = prepare(weight, bias, dtype)
        for own in (product, again):
            assert torch.equal(own(rows), exact[0]) and torch.equal(own(rows, other), exact[1])
            assert near(own(rows.to(low)), exact[0])


@pytest.mark.parametrize("method", ["surrogate", "refine"])
def test_accompaniment(method: str) -> None:
    pair = Accompanist.from_pretrained(device="cpu")
    options = AccompanyOptions(method=method, temperature=0)
    exact = pair.accompany(SONG, options)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = pair.accompany(SONG, options)
    error = (exact.latents - coarse.latents).std() / exact.latents.std()
    assert error < 0.05
    wrong = exact.candidates[0].tokens != coarse.candidates[0].tokens
    assert np.mean(wrong) < 0.05
