"""Hits that groove models draw, and how hard and when these are struck."""

from __future__ import annotations

import pytest
import torch
from magenta_models import MODELS, load_golden

from musicvae_torch.errors import OptionError
from musicvae_torch.groove_sampling import draw_hits, velocities_and_offsets
from musicvae_torch.model.vae import MusicVAE

HATS = 2


@pytest.fixture(scope="module")
def model() -> MusicVAE:
    return load_golden(MODELS / "groovae_2bar_add_closed_hh").model


def latents(model: MusicVAE) -> torch.Tensor:
    return torch.randn(3, model.config.z_size, generator=torch.Generator().manual_seed(0))


def draw(model: MusicVAE, *, temperature: float = 1.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_hits(model, latents(model), temperature, generator=generator)


def test_hits_are_struck_as_if_they_were_given(model: MusicVAE) -> None:
    rows = draw(model)
    hits = rows[..., :9]
    assert 0 < hits.mean() < 1 and set(hits.unique().tolist()) == {0.0, 1.0}
    _, velocities, offsets = velocities_and_offsets(model, latents(model), hits).chunk(3, dim=-1)
    torch.testing.assert_close(rows[..., 9:18], hits * velocities)
    torch.testing.assert_close(rows[..., 18:], hits * offsets)


def test_the_coldest_draw_is_the_likelier_one(model: MusicVAE) -> None:
    rows = draw(model, temperature=0)
    chances = velocities_and_offsets(model, latents(model), rows[..., :9])[..., :9]
    torch.testing.assert_close(rows[..., :9], (chances >= 0.5).float())
    torch.testing.assert_close(draw(model, temperature=0, seed=1), rows)
    assert not torch.equal(draw(model, seed=1), draw(model))


def test_given_drums_stay_and_are_heard(model: MusicVAE) -> None:
    z, others = latents(model), [column for column in range(27) if column % 9 != HATS]
    given = (torch.rand(2, 3, 16, 27, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    drawn = [draw_hits(model, z, 0, given=rows, drums=[HATS]) for rows in given]
    for rows, own in zip(given, drawn, strict=True):
        torch.testing.assert_close(own[..., others], rows[..., others])
        again = rows.clone()
        again[..., HATS::9] = 1 - again[..., HATS::9]  # which is not read
        torch.testing.assert_close(draw_hits(model, z, 0, given=again, drums=[HATS]), own)
    assert not torch.equal(drawn[0][..., HATS::9], drawn[1][..., HATS::9])


def test_steps_sound_where_they_are_to(model: MusicVAE) -> None:
    sounding = torch.rand(3, 32, generator=torch.Generator().manual_seed(2)) < 0.5
    for temperature in (0.0, 1.0):
        generator = torch.Generator().manual_seed(0)
        rows = draw_hits(model, latents(model), temperature, sounding=sounding, generator=generator)
        assert torch.equal(rows[..., :9].any(-1), sounding)


def test_arguments_that_do_not_fit_are_refused(model: MusicVAE) -> None:
    z = latents(model)
    with pytest.raises(OptionError, match="temperature must be 0 or more"):
        draw_hits(model, z, -1)
    with pytest.raises(ValueError, match="go together"):
        draw_hits(model, z, drums=[HATS])
    with pytest.raises(ValueError, match=r"wanted \(3, steps, 27\)"):
        draw_hits(model, z, given=torch.zeros(3, 32, 9), drums=[HATS])
    with pytest.raises(ValueError, match=r"sounding has shape \(3, 8\)"):
        draw_hits(model, z, sounding=torch.ones(3, 8))
    melodies = load_golden(MODELS / "cat-mel_2bar_small").model
    with pytest.raises(ValueError, match="plays no grooves"):
        draw_hits(melodies, torch.zeros(1, melodies.config.z_size))
