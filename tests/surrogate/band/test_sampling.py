"""A band plays: draws, clamped tokens, seeds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bands import full_controls, hide, random_tokens, sample_song, small_band

from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.midi.vocabulary import FIRST_NOTE, PARTS
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.sampling import Sampling, draw, is_onset, sample

WARM = Sampling(temperature=2.0, top_p=1.0)


def test_given_tokens_stay() -> None:
    tokens = random_tokens(48)[0]
    given = hide(tokens, "bass")
    given[16:32, PARTS.index("drums")] = HIDDEN
    played = sample_song(small_band(), given, candidates=2, sampling=WARM).tokens
    assert played.shape == (2, 48, 3)
    kept = given != HIDDEN
    assert (played[:, kept] == given[kept]).all()
    for part, depth in enumerate(DEPTHS):
        assert ((played[..., part] >= 0) & (played[..., part] < depth)).all()


def test_the_seed_decides() -> None:
    band, given = small_band(), hide(random_tokens(48)[0], "bass", "drums")
    one, again = (sample_song(band, given, candidates=3, seed=4, sampling=WARM) for _ in range(2))
    assert (one.tokens == again.tokens).all()
    assert (one.nats == again.nats).all()
    another = sample_song(band, given, candidates=3, seed=5, sampling=WARM)
    assert (one.tokens != another.tokens).any()
    assert (one.tokens[0] != one.tokens[1]).any()  # each candidate has draws of its own


def test_nats_are_those_of_the_whole() -> None:
    """Of what was drawn, at temperature 1, whatever it was drawn with."""
    band, given = small_band(), hide(random_tokens(48)[0], "bass", "drums")
    controls = full_controls(48)
    played = sample_song(band, given, controls, candidates=2, sampling=Sampling(0.5, 0.9))
    both = given.expand(2, -1, -1)
    with torch.no_grad():
        logits = band(both, played.tokens, controls)
    for part in (1, 2):
        logs = logits[part].log_softmax(-1).gather(-1, played.tokens[..., part : part + 1])
        torch.testing.assert_close(played.nats[..., part], -logs[..., 0], rtol=1e-3, atol=1e-3)
    assert not played.nats[..., 0].any()


def test_guidance_of_one_is_none_and_others_count() -> None:
    band, given = small_band(), hide(random_tokens(48)[0], "bass", "drums")
    plain = sample_song(band, given).tokens
    assert (plain == sample_song(band, given, sampling=Sampling(guidance=1.0)).tokens).all()
    assert (plain != sample_song(band, given, sampling=Sampling(guidance=3.0)).tokens).any()


def test_without_guidance_by_the_melody_its_notes_do_not_matter() -> None:
    """Guidance 0 is the band that hears no melody at all."""
    band = small_band()
    one, other = (hide(random_tokens(32, seed=seed)[0], "bass", "drums") for seed in (1, 2))
    first, second = (
        sample_song(band, given, sampling=Sampling(guidance=0)).tokens for given in (one, other)
    )
    assert (first[:, :, 1:] == second[:, :, 1:]).all()


def test_guided_drums_hear_the_bass() -> None:
    """Of guidance 0 the drums do not react to what the bass does on their step, else they do."""
    one = hide(random_tokens(16)[0], "drums")
    one[-1, 1], other = 40, one.clone()
    other[-1, 1] = 60
    for guidance, alike in ((0.0, True), (1.0, False), (3.0, False)):
        sampling = Sampling(guidance=guidance)
        drums = [
            sample_song(small_band(), given, candidates=9, sampling=sampling).tokens
            for given in (one, other)
        ]
        assert torch.equal(drums[0][:, :-1, 2], drums[1][:, :-1, 2]) or guidance
        assert torch.equal(drums[0][:, -1, 2], drums[1][:, -1, 2]) == alike


def test_density_by_hand() -> None:
    """Log-odds of notes: those that begin get likelier, by as much for each part."""
    assert is_onset("bass").tolist() == [0.0] * FIRST_NOTE + [1.0] * (DEPTHS[1] - FIRST_NOTE)
    assert is_onset("drums").tolist() == [0.0] + [1.0] * (DEPTHS[2] - 1)
    band, given = small_band(), hide(random_tokens(32)[0], "bass", "drums")

    def count(bass: float, drums: float) -> tuple[int, int]:
        tokens = sample_song(band, given, sampling=Sampling(density=(0.0, bass, drums))).tokens[0]
        return int((tokens[:, 1] >= FIRST_NOTE).sum()), int((tokens[:, 2] > 0).sum())

    assert count(-30, 30) == (0, 32) and count(30, -30) == (32, 0)


def test_absent_parts_are_not_played() -> None:
    given = torch.full((32, 3), HIDDEN)
    played = sample_song(small_band(), given, absent=["melody"]).tokens
    assert (played[..., 0] == HIDDEN).all()
    assert (played[..., 1:] >= 0).all()


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_rows_are_as_if_alone(guidance: float) -> None:
    """Songs of which other parts, and other bars, are given play together as one by one."""
    band, sampling = small_band(), Sampling(guidance=guidance)
    songs = random_tokens(48, batch=3)
    songs[0] = hide(songs[0], "bass", "drums")
    songs[1] = hide(songs[1], "melody")
    songs[2, 16:32] = HIDDEN
    controls = full_controls(48, batch=3)
    together = sample(band, songs, controls, numbers=[4, 0, 4], sampling=sampling)
    for row, number in enumerate((4, 0, 4)):
        own = Controls(*(one[row : row + 1] for one in vars(controls).values()))
        alone = sample_song(band, songs[row], own, candidates=number + 1, sampling=sampling)
        assert torch.equal(together.tokens[row], alone.tokens[number])
        torch.testing.assert_close(together.nats[row], alone.nats[number])


def test_top_p_by_hand() -> None:
    """Of .5, .3, .15 and .05 the nucleus of .9 is the first three, which share 0 to 1 out."""
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log().expand(6, -1)
    uniform = torch.tensor([[0.0], [0.52], [0.53], [0.84], [0.85], [1.0]])
    drawn = draw(logits, uniform, 1.0, 0.9)[:, 0].tolist()
    # .5 / .95 = .526 and .8 / .95 = .842
    assert drawn == [1, 1, 3, 3 if 0.84 < 0.8 / 0.95 else 0, 0, 0]
    assert draw(logits, uniform, 1.0, 0.4)[:, 0].tolist() == [1] * 6
    everything = draw(logits, torch.tensor([[0.96]] * 6), 1.0, 1.0)
    assert everything[:, 0].tolist() == [2] * 6


def test_temperature_by_hand() -> None:
    """At temperature .5 chances are squared: of .6 and .4, .36 and .16, which is .69 and .31."""
    logits = torch.tensor([[0.6, 0.4]] * 2).log()
    uniform = torch.tensor([[0.68], [0.70]])
    assert draw(logits, uniform, 0.5, 1.0)[:, 0].tolist() == [0, 1]
    assert draw(logits, uniform, 0.0, 1.0)[:, 0].tolist() == [0, 0]  # the likeliest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"given": torch.zeros(4, 2, dtype=torch.int64)}, "wanted int64 classes"),
        ({"given": torch.full((4, 3), 90)}, "melody tokens must lie between -1 and 89"),
        ({"given": torch.zeros(2, 4, 3, dtype=torch.int64)}, "wanted int64 classes"),
        ({"given": torch.zeros(0, 3, dtype=torch.int64)}, "no steps"),
        ({"absent": ["flute"]}, "choose among"),
        ({"absent": ["bass"]}, "bass is given"),
    ],
)
def test_bad_calls(change: dict[str, Any], told: str) -> None:
    arguments = {"given": torch.zeros(4, 3, dtype=torch.int64)} | change
    with pytest.raises(ValueError, match=told):
        sample_song(small_band(), arguments.pop("given"), Controls(), **arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": (1.0, -1.0, 1.0)},
        {"top_p": 0},
        {"top_p": 1.1},
        {"guidance": -1},
        {"density": (1.0,)},
    ],
)
def test_bad_sampling(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_log_odds_are_for_a_class_at_a_step() -> None:
    band, given = small_band(), hide(random_tokens(32)[0], "bass", "drums")
    plain = sample_song(band, given).tokens
    odds = torch.zeros(1, 32, DEPTHS[2])
    odds[:, 8:16, 5] = 50.0
    changed = sample_song(band, given, log_odds={"drums": odds}).tokens
    assert (changed[:, 8:16, 2] == 5).all()
    assert (changed[:, :8] == plain[:, :8]).all()
    nothing = sample_song(band, given, log_odds={"bass": torch.zeros(1, 32, DEPTHS[1])}).tokens
    assert (nothing == plain).all()


def test_what_is_given_to_the_end_costs_no_time() -> None:
    """The rest of the song does not change what is played before it, and stays."""
    band, given = small_band(), random_tokens(48)[0]
    given[8:16, 1] = HIDDEN
    played = sample_song(band, given)
    assert (played.tokens[:, 16:] == given[16:]).all() and not played.nats[:, 16:].any()
    everything = sample_song(band, random_tokens(48)[0])
    assert not everything.nats.any()
