"""Each kernel against the readable reference, and the switch between the two."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import made_up, tiny
from torch import Tensor

import musicvae_torch
from musicvae_torch.groove_sampling import draw_hits, velocities_and_offsets
from musicvae_torch.kernels import gemm, kernels_enabled, layers, pytorch_lstm, reference, stepper
from musicvae_torch.model.lstm import BidirectionalLSTM, LSTMStack, LSTMWeights
from musicvae_torch.model.terms import OneHot, Term
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import model_batch

PACKAGE = Path(musicvae_torch.__file__).parent
# A config of each kind of decoder and of each kind of encoder.
NAMES = (
    "cat-mel_2bar_small",
    "cat-mel_2bar_med_chords",
    "hier-trio_16bar",
    "hierdec-trio_16bar",
    "nade-drums_2bar_full",
    "groovae_2bar_humanize",
)
BATCH, STEPS, UNITS = 3, 7, 6


def both(run: Callable[[], list[Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """What the kernels give beside what the reference gives."""
    fast = run()
    with reference():
        plain = run()
    return list(zip(fast, plain, strict=True))


def large(module: torch.nn.Module) -> torch.nn.Module:
    """The module in float64, with weights that are large enough for its inputs to matter."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return module.double()


def terms(width: int = 9) -> list[Term]:
    """Rows of `width`: classes, of which some are -1; a vector for all steps; one for each."""
    torch.manual_seed(1)
    classes = torch.randint(-1, 4, (BATCH, STEPS))
    fixed = torch.randn(BATCH, 1, 3, dtype=torch.float64)
    return [OneHot(classes, 4), fixed, torch.randn(BATCH, STEPS, width - 7, dtype=torch.float64)]


def gradients(outputs: list[Tensor], module: torch.nn.Module) -> list[Tensor]:
    """Of a number that depends on all outputs, and on each of them otherwise."""
    loss = sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in outputs)
    assert isinstance(loss, Tensor)
    return list(torch.autograd.grad(loss, list(module.parameters())))


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("grad", [True, False], ids=["gradient", "no gradient"])
def test_a_layer_over_whole_sequences(grad: bool, reverse: bool) -> None:
    layer = large(LSTMWeights(9, UNITS))
    state = torch.randn(2, BATCH, UNITS, dtype=torch.float64).unbind()

    def run() -> list[Tensor]:
        outputs = list(layer(terms(), state, reverse=reverse))
        return outputs + gradients(outputs, layer) if grad else outputs

    with torch.set_grad_enabled(grad):
        for fast, plain in both(run):
            torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_a_layer_on_pytorchs_own_lstm(reverse: bool) -> None:
    """What runs on CUDA, here on the CPU."""
    layer = large(LSTMWeights(9, UNITS))
    assert isinstance(layer, LSTMWeights)
    h, c = torch.randn(2, BATCH, UNITS, dtype=torch.float64).unbind()
    ours = pytorch_lstm.run(layer, terms(), (h, c), reverse)
    with reference():
        plain = layer(terms(), (h, c), reverse=reverse)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lengths", [[7, 4, 1], [3, 0, 6], [0, 0, 0], [7, 7, 7]])
@pytest.mark.parametrize("grad", [True, False], ids=["packed", "sorted"])
def test_sequences_with_lengths(grad: bool, lengths: list[int]) -> None:
    module = large(BidirectionalLSTM(9, (UNITS, 4)))

    def run() -> list[Tensor]:
        embedding = module(terms(), torch.tensor(lengths))
        return [embedding, *gradients([embedding], module)] if grad else [embedding]

    with torch.set_grad_enabled(grad):
        for fast, plain in both(run):
            torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


def test_single_steps() -> None:
    stack = large(LSTMStack(9, (UNITS, 4)))
    assert isinstance(stack, LSTMStack)
    x = torch.randn(BATCH, 9, dtype=torch.float64)
    states = [torch.randn(2, BATCH, size, dtype=torch.float64).unbind() for size in (UNITS, 4)]

    def run() -> list[Tensor]:
        top, new = stack.step(x, [(h, c) for h, c in states])
        outputs = [top, *(each for state in new for each in state)]
        return outputs + gradients(outputs, stack)

    for fast, plain in both(run):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


def lively(name: str) -> MusicVAE:
    model = large(MusicVAE(tiny(name))).eval()
    assert isinstance(model, MusicVAE)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_models_score_alike(name: str) -> None:
    model = lively(name)
    windows = made_up(model.config, BATCH)
    batch = model_batch(model.config, windows.tokens, windows.length)
    z = torch.randn(BATCH, model.config.z_size)

    def run() -> list[Tensor]:
        posterior = model.encode(batch.inputs, batch.lengths, batch.controls)
        logits = model.teacher_force(z, batch.targets, batch.controls)
        generator = torch.Generator().manual_seed(0)
        sampled = model.teacher_force(z, batch.targets, batch.controls, 0.5, generator)
        return [posterior.mean, posterior.stddev, logits, sampled]

    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            for fast, plain in both(run):
                torch.testing.assert_close(fast, plain, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_models_sample_alike(name: str) -> None:
    """Steps in segments, tokens fed back, of one core decoder and of several together."""
    model = lively(name)
    config = model.config
    batch = model_batch(config, made_up(config, BATCH).tokens)
    z, steps = torch.randn(BATCH, config.z_size), min(config.max_seq_len, 40)

    def run() -> list[Tensor]:
        draws = torch.Generator().manual_seed(0)
        results = [
            model.decode(z, steps, temperature, batch.controls, draws) for temperature in (0, 1)
        ]
        if config.output == "groove":
            results.append(velocities_and_offsets(model, z, batch.targets[..., :9]))
            results.append(draw_hits(model, z, 1, given=batch.targets, drums=[2], generator=draws))
        if config.output == "categorical" and not config.control_depth:
            embeddings, parts = model.embed(z), len(config.output_depths)
            uniforms = torch.rand(BATCH, 2 * embeddings.shape[1], parts, generator=draws)
            results.append(model.sample_segments(embeddings, [1.0] * parts, uniforms))
            results.append(model.sample_segments(embeddings, [1.0] * parts, uniforms, [parts - 1]))
        return results

    for fast, plain in both(run):
        torch.testing.assert_close(fast, plain)
        assert len(fast.unique()) > 1


# The switch


def test_the_reference_runs_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a kernel ran")

    for module, name in [
        (gemm, "linear"),
        (gemm, "prepare"),
        (layers, "run"),
        (layers, "embed_sorted"),
        (pytorch_lstm, "run"),
        (pytorch_lstm, "embed_packed"),
        (pytorch_lstm, "cell"),
        (stepper.Stepper, "step"),
    ]:
        monkeypatch.setattr(module, name, refuse)
    model = lively("hierdec-trio_16bar")
    classes, z = torch.zeros(8, 256, 3, dtype=torch.int64), torch.randn(8, model.config.z_size)
    lengths = torch.full((8,), 5)
    for grad in (True, False):
        with torch.set_grad_enabled(grad), reference():
            assert not kernels_enabled()
            model.encode(classes, lengths)
            model.teacher_force(z, classes)
            model.decode(z, 2)
    assert kernels_enabled()
    with pytest.raises(AssertionError, match="a kernel ran"):
        model.decode(z, 2)


@pytest.mark.parametrize(("value", "enabled"), [("0", False), ("1", True), (None, True)])
def test_the_environment_switches_kernels_off(value: str | None, enabled: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MUSICVAE_TORCH_KERNELS"}
    environment |= {} if value is None else {"MUSICVAE_TORCH_KERNELS": value}
    code = "from musicvae_torch.kernels import kernels_enabled; print(kernels_enabled())"
    environment["PYTHONPATH"] = str(PACKAGE.parent)
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert printed.stdout.strip() == str(enabled)


def imported(path: Path) -> set[str]:
    """Modules that a file imports, or imports from: of packages, what it takes from them."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {
        node.module
        if (PACKAGE.parent / node.module.replace(".", "/")).with_suffix(".py").exists()
        else f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def test_model_and_kernels_meet_in_the_dispatch_alone() -> None:
    kernels, model = "musicvae_torch.kernels", "musicvae_torch.model"
    for path in (PACKAGE / "model").glob("*.py"):
        theirs = {name for name in imported(path) if name.startswith(kernels)}
        assert theirs <= {f"{kernels}.dispatch"}, path
    for path in (PACKAGE / "kernels").glob("*.py"):
        theirs = {name for name in imported(path) if name.startswith(f"{model}.")}
        assert theirs <= {f"{model}.terms"}, path
