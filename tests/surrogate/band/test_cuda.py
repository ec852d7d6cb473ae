"""The band on CUDA: on a stand-in for a GPU, and, marked cuda, on a GPU itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from bands import full_controls, hide, random_tokens, small_band
from training_steps import training_losses

from musicvae_torch.kernels import without_graphs
from musicvae_torch.training import TrainingOptions
from surrogate.band import sampling
from surrogate.band.config import BandConfig
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.sampling import Sampling, sample
from surrogate.training.band.module import BandTraining, melody_given


@pytest.mark.parametrize(
    ("context", "how"),
    [
        (1024, Sampling()),
        # Of a context shorter than the song, guided, with other odds.
        (20, Sampling(0.7, 0.9, guidance=1.6, density=(0, 0.5, -0.5))),
    ],
    ids=["plain", "guided"],
)
def test_a_graph_plays_what_the_cpu_plays(
    context: int, how: Sampling, gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "GRAPH_STEPS", 16)  # so that several graphs follow each other
    band, songs = small_band(context), random_tokens(40, batch=3)
    songs[0] = hide(songs[0], "bass", "drums")
    songs[1] = hide(songs[1], "melody")
    songs[2, 16:32] = HIDDEN
    controls = full_controls(40, batch=3)
    exact = sample(band, songs, controls, numbers=[4, 0, 4], sampling=how)
    there = Controls(*(each.to(gpu) for each in vars(controls).values()))
    band = band.to(gpu)
    replayed = sample(band, songs, there, numbers=[4, 0, 4], sampling=how)
    with without_graphs():
        single = sample(band, songs, there, numbers=[4, 0, 4], sampling=how)
    assert replayed.tokens.is_cuda
    assert torch.equal(replayed.tokens.cpu(), single.tokens.cpu())
    assert torch.equal(replayed.nats.cpu(), single.nats.cpu())
    # On a GPU one close call may turn out otherwise, and change all that follows in its song.
    alike = (replayed.tokens.cpu() == exact.tokens).float().mean()
    assert alike > 0.9
    if alike == 1:
        torch.testing.assert_close(replayed.nats.cpu(), exact.nats, rtol=1e-3, atol=1e-3)


def test_logits_are_those_of_the_cpu(gpu: torch.device) -> None:
    band, tokens = small_band(), random_tokens(48, batch=2)
    given, controls = hide(tokens, "bass", "drums"), full_controls(48, batch=2)
    there = Controls(*(each.to(gpu) for each in vars(controls).values()))
    with torch.no_grad():
        exact = band(given, tokens, controls)
        ours = copy.deepcopy(band).to(gpu)(given.to(gpu), tokens.to(gpu), there)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_steps_of_training_are_those_of_the_cpu(gpu: torch.device) -> None:
    config = BandConfig(width=16, heads=2, listener_layers=1, player_layers=1, style_size=3)
    lesson = melody_given(random_tokens(256, batch=2))._replace(style=torch.randn(2, 3))

    def run(device: torch.device) -> list[float]:
        torch.manual_seed(0)
        module = BandTraining(config, TrainingOptions(optimizer="adam")).to(device)
        return training_losses(module, type(lesson)(*(each.to(device) for each in lesson)))

    ours = run(gpu)
    assert np.allclose(ours, run(torch.device("cpu")), rtol=1e-4)
    assert len(set(ours)) == 3
