"""Drafts of what a band plays next: they change how fast it plays, never what."""

from __future__ import annotations

import pytest
import torch
from bands import hide, random_tokens, sample_song, small_band

from surrogate.band.drafts import accepted_steps, draft
from surrogate.band.sampling import Sampling, sample


@pytest.mark.parametrize("guidance", [1.0, 1.6])
@pytest.mark.parametrize("context", [1024, 24])
@pytest.mark.parametrize("temperature", [0.0, 0.2, 1.0])
def test_what_is_played_is_that_of_step_after_step(
    guidance: float, context: int, temperature: float
) -> None:
    band, sampling = small_band(context), Sampling(temperature, guidance=guidance)
    given = hide(random_tokens(16).repeat(2, 5, 1), "bass", "drums")  # one bar, over and over
    drafts, steps = (
        sample(band, given, seed=3, numbers=[0, 1], sampling=sampling, drafted=drafted)
        for drafted in (4, 1)
    )
    assert torch.equal(drafts.tokens, steps.tokens)
    torch.testing.assert_close(drafts.nats, steps.nats, rtol=1e-3, atol=1e-3)


def test_a_candidate_is_the_same_alone_and_among_many() -> None:
    given = hide(random_tokens(16)[0].repeat(5, 1), "bass", "drums")
    alone, nine = (sample_song(small_band(), given, candidates=count, seed=3) for count in (1, 9))
    assert torch.equal(alone.tokens[0], nine.tokens[0])


def test_rows_with_other_gaps_are_played_together() -> None:
    """What is given in one row and drafted in another stays as it is given."""
    band, tokens = small_band(), random_tokens(40)[0]
    one, other = hide(tokens, "drums"), tokens.clone()
    other[20:30, 1] = -1
    together = sample(band, torch.stack([one, other]), numbers=[0, 0])
    for row, given in enumerate((one, other)):
        assert torch.equal(together.tokens[row], sample_song(band, given).tokens[0])


def test_drafts_are_copies_of_the_lag_that_foretold_best() -> None:
    """Every second bar is alike here, so what comes is drafted from two bars ago."""
    bars = random_tokens(32)[0]
    tokens = bars.repeat(3, 1)[None]
    assert torch.equal(draft(tokens, range(80, 88)), tokens[:, 80:88])
    one = bars[:16].repeat(6, 1)[None]
    assert torch.equal(draft(torch.cat([tokens, one]), range(80, 84))[1], one[0, 80:84])


def test_nothing_is_drafted_of_before_the_song() -> None:
    tokens = random_tokens(48)
    assert not draft(tokens, range(0, 8)).any()
    assert not draft(tokens, range(10, 16)).any()
    assert torch.equal(draft(tokens, range(14, 20))[:, 2:], tokens[:, :4])


def test_what_holds_ends_with_the_first_that_any_row_draws_otherwise() -> None:
    drafts = torch.zeros(2, 4, 3, dtype=torch.int64)
    assert accepted_steps(drafts, drafts) == 4
    drawn = drafts.clone()
    drawn[1, 2, 1] = 5
    assert accepted_steps(drawn, drafts) == 3
    drawn[0, 0, 2] = 5
    assert accepted_steps(drawn, drafts) == 1
