"""What runs on CUDA: on a stand-in for a GPU, and, marked cuda, on a GPU itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from made_up import made_up, tiny
from magenta_models import error
from pretend_cuda import PretendRecorder
from torch import Tensor
from training_steps import training_losses

from musicvae_torch.errors import OptionError
from musicvae_torch.groove_sampling import draw_hits, velocities_and_offsets
from musicvae_torch.kernels import cuda_graph, graphs_enabled, reference, without_graphs
from musicvae_torch.kernels.cuda_graph import Steps
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import MusicVAETraining, TrainingOptions, model_batch

# A config of each kind of decoder and of each kind of encoder.
NAMES = (
    "cat-mel_2bar_med_chords",
    "hierdec-trio_16bar",
    "nade-drums_2bar_full",
    "groovae_2bar_humanize",
)
# Of the largest value; weights this large make errors of rounding grow from step to step.
TOLERANCE = 2e-4
BATCH, STEPS = 3, 20


def lively(name: str) -> MusicVAE:
    """A small model with weights large enough for its inputs to matter."""
    torch.manual_seed(0)
    model = MusicVAE(tiny(name, dec_rnn_size=(8, 6))).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What recorders did: "warm up" and "capture", in order."""
    did: list[str] = []
    for kind in (cuda_graph.CUDARecorder, PretendRecorder):
        for name, word in (("warm_up", "warm up"), ("capture", "capture")):
            plain = getattr(kind, name)

            def noted(self: object, step: object, plain=plain, word=word) -> object:  # type: ignore[no-untyped-def]
                did.append(word)
                return plain(self, step)

            monkeypatch.setattr(kind, name, noted)
    yield did


@pytest.mark.parametrize("name", NAMES)
def test_models_score_as_on_the_cpu(name: str, gpu: torch.device) -> None:
    """Posteriors, with lengths and without, logits, and gradients."""
    model = lively(name)
    windows = made_up(model.config, BATCH)
    batch = model_batch(model.config, windows.tokens, windows.length)
    lengths = batch.lengths
    if not model.config.encoder_level_lengths:
        lengths = torch.tensor([5, model.config.max_seq_len, 0])

    def run(model: MusicVAE, device: torch.device) -> dict[str, Tensor]:
        here = batch.on(device)
        own = None if lengths is None else lengths.to(device)
        with torch.no_grad():
            found = {"short": model.encode(here.inputs, own, here.controls).mean}
        posterior = model.encode(here.inputs, here.lengths, here.controls)
        logits = model.teacher_force(posterior.mean, here.targets, here.controls)
        model.reconstruction_loss(logits, here.targets, here.lengths).sum().backward()
        found |= {"mean": posterior.mean, "stddev": posterior.stddev, "logits": logits}
        gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
        return found | gradients

    exact = run(copy.deepcopy(model), torch.device("cpu"))
    for key, ours in run(model.to(gpu), gpu).items():
        assert ours.is_cuda
        if exact[key].any():
            assert error(ours, exact[key]) < TOLERANCE, key


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_draws_what_single_operations_draw(
    name: str, gpu: torch.device, graphs: list[str]
) -> None:
    model = lively(name)
    config = model.config
    batch = model_batch(config, made_up(config, BATCH).tokens)
    z, places = torch.randn(BATCH, config.z_size), torch.rand(BATCH, 32, len(config.output_depths))
    likeliest = model.decode(z, STEPS, 0, batch.controls)
    model, here, z = model.to(gpu), batch.on(gpu), z.to(gpu)

    def run() -> list[Tensor]:
        draws = torch.Generator(gpu).manual_seed(1)
        drawn = [model.decode(z, STEPS, heat, here.controls, draws) for heat in (0, 1, 1)]
        torch.manual_seed(2)
        drawn.append(model.decode(z, STEPS, 1, here.controls))  # from torch's own generator
        if config.output == "groove":
            hits = here.targets[..., :9]
            drawn.append(velocities_and_offsets(model, z, hits, here.controls))
            drawn.append(draw_hits(model, z, 1, here.controls, generator=draws))
            sounding = hits.any(-1)
            others = here.controls, here.targets, [0, 2], sounding
            drawn.append(draw_hits(model, z, 1, *others, generator=draws))
        if config.output == "categorical" and not config.control_depth:
            parts = range(len(config.output_depths))
            drawn.append(
                model.sample_segments(model.embed(z), [1.0] * len(parts), places.to(gpu), parts)
            )
        return [each.cpu() for each in drawn]

    with without_graphs():
        single = run()
    assert not graphs
    replayed = run()
    assert graphs == ["warm up", "warm up", "capture"] * len(replayed)
    for one, other in zip(replayed, single, strict=True):
        assert torch.equal(one, other)
    assert error(replayed[0], likeliest) < TOLERANCE
    assert not torch.equal(replayed[1], replayed[2])


def test_where_there_is_nothing_to_replay(gpu: torch.device, graphs: list[str]) -> None:
    """No windows, no more steps than warm up, and the reference."""
    model = lively("hierdec-trio_16bar").to(gpu)
    assert model.decode(torch.zeros(0, model.config.z_size, device=gpu), 5).shape[:2] == (0, 5)
    assert model.decode(torch.zeros(1, model.config.z_size, device=gpu), 2).shape[:2] == (1, 2)
    assert graphs == ["warm up"]
    with reference():
        assert not graphs_enabled()
        model.decode(torch.zeros(1, model.config.z_size, device=gpu), 5)
    assert graphs == ["warm up"]


def test_windows_and_latents_may_be_on_the_cpu(gpu: torch.device) -> None:
    model = lively("hierdec-trio_16bar").to(gpu)
    classes = made_up(model.config, 2).tokens
    windows = torch.from_numpy(classes[..., : len(model.config.output_depths)]).long()
    logits = model.teacher_force(torch.zeros(2, model.config.z_size), windows)
    assert model.encode(windows).mean.is_cuda
    assert model.reconstruction_loss(logits, windows).is_cuda


def test_int8_is_refused(gpu: torch.device) -> None:
    """Also of weights that were moved to the GPU later."""
    model = lively("cat-mel_2bar_med_chords").to(gpu)
    with pytest.raises(
        OptionError, match="int8 products are for CPUs, and the weights are on cuda"
    ):
        model.multiply_in("int8")
    for module in model.modules():
        if hasattr(module, "weight_dtype"):
            setattr(module, "weight_dtype", "int8")  # noqa: B010
    batch = model_batch(model.config, made_up(model.config, 2).tokens).on(gpu)
    z = torch.zeros(2, model.config.z_size, device=gpu)
    with torch.no_grad():
        for lengths in (None, torch.tensor([3, 5], device=gpu)):
            with pytest.raises(OptionError, match="int8 products are for CPUs"):
                model.encode(batch.inputs, lengths, batch.controls)
        with pytest.raises(OptionError, match="int8 products are for CPUs"):
            model.decode(z, 3, controls=batch.controls)
    model.encode(batch.inputs, None, batch.controls)  # with a gradient it does not apply


@pytest.mark.parametrize("lengths", [None, [4, 32]])
def test_bfloat16_holds_with_lengths_too(gpu: torch.device, lengths: list[int] | None) -> None:
    model = lively("cat-mel_2bar_med_chords").to(gpu)
    batch = model_batch(model.config, made_up(model.config, 2).tokens).on(gpu)
    own = None if lengths is None else torch.tensor(lengths, device=gpu)
    with torch.no_grad():
        exact = model.encode(batch.inputs, own, batch.controls).mean
        coarse = model.multiply_in("bfloat16").encode(batch.inputs, own, batch.controls).mean
    assert coarse.dtype == torch.float32
    assert 1e-4 < error(coarse, exact) < 0.2


@pytest.mark.cuda
def test_autocast_runs_lstms_in_its_own_precision() -> None:
    """Not in float16, in which PyTorch would run cuDNN's."""
    model = lively("hierdec-trio_16bar").cuda()
    batch = model_batch(model.config, made_up(model.config, 2).tokens).on(torch.device("cuda"))
    exact = model.encode(batch.inputs).mean
    seen: list[torch.dtype] = []
    run = torch.lstm

    def noted(*arguments: object, **named: object) -> tuple[Tensor, Tensor, Tensor]:
        results: tuple[Tensor, Tensor, Tensor] = run(*arguments, **named)  # type: ignore[call-overload]
        seen.append(results[0].dtype)
        return results

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cuda", torch.bfloat16):
        patch.setattr(torch, "lstm", noted)
        coarse = model.encode(batch.inputs).mean
    assert seen and set(seen) == {torch.bfloat16}
    assert error(coarse, exact) < 0.2


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_steps_of_training_are_those_of_the_cpu(optimizer: str, gpu: torch.device) -> None:
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("PyTorch before 2.9")
    config = tiny("hierdec-trio_16bar")
    batch = model_batch(config, made_up(config, BATCH).tokens)

    class Here(MusicVAETraining):
        device = torch.device("cpu")

    def run(device: torch.device) -> list[float]:
        torch.manual_seed(0)
        module = Here(config, TrainingOptions(optimizer=optimizer)).to(device)
        Here.device = device
        return training_losses(module, batch.on(device))

    ours = run(gpu)
    assert np.allclose(ours, run(torch.device("cpu")), rtol=1e-4)
    assert len(set(ours)) == 3


def test_steps_are_captured_after_they_have_warmed_up() -> None:
    done: list[str] = []

    class Recorder:
        def warm_up(self, step: cuda_graph.Step) -> None:
            done.append("warm up")
            step()

        def capture(self, step: cuda_graph.Step) -> cuda_graph.Step:
            done.append("capture")
            return lambda: done.append("replay")

        def finish(self) -> None:
            pass

    steps = Steps(lambda: done.append("step"), Recorder())
    for _ in range(4):
        steps()
    assert done == ["warm up", "step", "warm up", "step", "capture", "replay", "replay"]
    plain = Steps(lambda: done.append("plain"), None)
    plain()
    assert done[-1] == "plain"


def test_threads_warm_up_and_capture_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """They share a stream, which in a capture takes up whatever is put on it."""
    for name in ("Stream", "current_stream", "stream", "device", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    at_work: list[int] = []
    together: list[int] = []

    def step() -> None:
        at_work.append(1)
        sleep(0.02)
        together.append(len(at_work))
        at_work.pop()

    def use() -> None:
        recorder = cuda_graph.CUDARecorder(torch.device("cuda", 7))
        recorder.warm_up(step)
        recorder.capture(step)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(use) for _ in range(3)]:
            done.result()
    monkeypatch.delitem(cuda_graph._streams, torch.device("cuda", 7))
    assert together == [1] * 6
