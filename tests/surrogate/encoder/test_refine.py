"""Refinement: it climbs, leaves the network alone, and never looks at what is hidden."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.config import get_config
from musicvae_torch.model.vae import MusicVAE
from surrogate import PointSurrogate, SurrogateConfig, SurrogateEncoder
from surrogate.encoder.refine import RefineOptions, hide, refine, refine_prediction

CONFIGS = ["hier-trio_16bar", "hierdec-trio_16bar", "flat-trio_16bar"]


def vae(name: str = "hier-trio_16bar") -> MusicVAE:
    torch.manual_seed(0)
    model = MusicVAE(get_config(name, enc_rnn_size=(8,), dec_rnn_size=(12,), z_size=4))
    with torch.no_grad():  # so that the latent matters, as in a trained model
        for place, weights in model.decoder.named_parameters():
            if "initial_state.weight" in place:
                weights.normal_(std=0.5)
    return model.eval()


def windows(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    depths = torch.tensor([90, 90, 512])
    tokens = (torch.rand(count, 256, 3, generator=generator) * depths).long()
    return tokens * (torch.rand(count, 256, 3, generator=generator) < 0.2)


BRISK = RefineOptions(steps=8, learning_rate=0.1, patience=8, prior_weight=1.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_nll_of_some_parts(name: str) -> None:
    model, tokens = vae(name), windows()
    z = torch.randn(3, 4)
    with torch.no_grad():
        whole = model.part_losses(model.teacher_force(z, tokens), tokens)
        torch.testing.assert_close(model.part_nll(z, tokens, [2, 0]), whole[..., [2, 0]])
    with pytest.raises(ValueError, match="parts must be some of"):
        model.part_nll(z, tokens, [3])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("given", [("melody",), ("bass", "drums")])
def test_it_climbs_on_what_is_given_alone(name: str, given: tuple[str, ...]) -> None:
    model, tokens = vae(name), windows()
    found = refine(model, tokens, given, options=BRISK)
    assert (found.after > found.before).all()
    others = hide(tokens, given, by=7)
    torch.testing.assert_close(refine(model, others, given, options=BRISK).z, found.z)
    # What it reports is the model's own likelihood.
    parts = [("melody", "bass", "drums").index(part) for part in given]
    with torch.no_grad():
        losses = model.part_nll(found.z, hide(tokens, given), parts).sum((1, 2))
    torch.testing.assert_close(found.after, -losses)


def test_windows_do_not_disturb_each_other() -> None:
    model, tokens = vae(), windows(3)
    options = RefineOptions(steps=12, learning_rate=0.1, patience=2, tolerance=0.1)
    start = torch.zeros(3, 4)
    start[1] = refine(model, tokens[1:2], options=options).z  # has not far to go
    together = refine(model, tokens, start=start, options=options)
    alone = [
        refine(model, tokens[i : i + 1], start=start[i : i + 1], options=options) for i in range(3)
    ]
    assert together.steps[1] < together.steps[0]  # it stopped early, and left the batch
    assert together.steps.tolist() == [int(one.steps) for one in alone]
    torch.testing.assert_close(together.z, torch.cat([one.z for one in alone]))


def test_the_network_stays_as_it_is() -> None:
    model = vae()
    before = [weights.clone() for weights in model.parameters()]
    frozen = next(model.parameters()).requires_grad_(False)
    with torch.no_grad():
        refine(model, windows(1), options=BRISK)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert all(weights.grad is None for weights in model.parameters())
    thawed = [weights for weights in model.parameters() if weights.requires_grad]
    assert not frozen.requires_grad and len(thawed) == len(before) - 1


def test_a_heavy_prior_holds_the_latent() -> None:
    model, tokens = vae(), windows(2)
    narrow = Normal(torch.full((2, 4), 0.5), torch.full((2, 4), 0.01))
    held = refine(model, tokens, start=narrow.mean, prior=narrow, options=BRISK)
    assert (held.z - 0.5).abs().max() < 0.02
    free = refine(model, tokens, start=narrow.mean, options=RefineOptions(8, 0.1, prior_weight=0))
    assert (free.z - 0.5).abs().max() > 0.1 and (free.after > held.after).all()


def test_no_steps_and_no_windows() -> None:
    start = torch.ones(2, 4)
    found = refine(vae(), windows(2), start=start, options=RefineOptions(steps=0))
    assert torch.equal(found.z, start) and torch.equal(found.before, found.after)
    assert refine(vae(), windows(2)[:0]).z.shape == (0, 4)


def test_from_a_surrogates_prediction() -> None:
    model, tokens = vae(), windows(2)
    config = SurrogateConfig(z_size=4, rnn_size=(6,))
    still = RefineOptions(steps=0)
    for network in (SurrogateEncoder(config), PointSurrogate(config)):
        with torch.no_grad():
            mean = network.posterior_mean(tokens)
        given = ("melody", "drums")  # of which it takes the melody
        torch.testing.assert_close(refine_prediction(model, network, tokens, given, still).z, mean)
        found = refine_prediction(model, network, tokens, given, BRISK)
        assert (found.after > found.before).all()


@pytest.mark.parametrize("given", [(), ("guitar",), "melody"])
def test_unknown_parts(given: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="given parts must be some of"):
        refine(vae(), windows(1), given)


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="steps must be"):
        RefineOptions(steps=-1)
    with pytest.raises(ValueError, match="learning_rate must be"):
        RefineOptions(learning_rate=0.0)
    with pytest.raises(ValueError, match="start has shape"):
        refine(vae(), windows(2), start=torch.zeros(1, 4))
