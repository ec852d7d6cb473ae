"""The band's network: who hears what, and the same step by step as in whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bands import full_controls, hide, random_tokens, small_band

from musicvae_torch.chords.symbols import chord_class
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.band.attention import Attention
from surrogate.band.config import BandConfig
from surrogate.band.model import HIDDEN, Band, Controls, traits_of
from surrogate.band.stepping import Stepper


def other(tokens: torch.Tensor, step: int, part: int) -> torch.Tensor:
    """The tokens with one of them changed."""
    changed = tokens.clone()
    changed[:, step, part] = (changed[:, step, part] + 1) % DEPTHS[part]
    return changed


@pytest.mark.parametrize("part", range(3))
def test_later_tokens_change_nothing_earlier(part: int) -> None:
    """A token reaches the parts after it on its own step, and all parts later: no others."""
    band, tokens, step = small_band(), random_tokens(40), 17
    given = hide(tokens, *PARTS)
    before = band(given, tokens, Controls())
    after = band(given, other(tokens, step, part), Controls())
    for index, (one, two) in enumerate(zip(before, after, strict=True)):
        assert one.shape == (1, 40, DEPTHS[index])
        changed = (one != two).any(-1)[0]
        first = step if index > part else step + 1
        assert not changed[:first].any()
        assert changed[first]
        assert changed[first:].all()


def test_the_listener_hears_what_is_given_both_ways() -> None:
    band, tokens, step = small_band(), random_tokens(40), 17
    given = hide(tokens, "bass", "drums")
    before = band(given, tokens, Controls())
    after = band(other(given, step, 0), tokens, Controls())
    for one, two in zip(before, after, strict=True):
        assert (one != two).any(-1).all()


def test_what_is_hidden_does_not_leak() -> None:
    """Logits are the same whatever lies under HIDDEN: the player forgets it, the listener never
    hears it."""
    band, tokens, step = small_band(), random_tokens(40), 17
    given = hide(tokens, "bass", "drums")
    past = tokens.clone()
    past[:, step] = HIDDEN
    for part in (1, 2):
        before = band(given, tokens, Controls(), past)
        after = band(given, other(tokens, step, part), Controls(), past)
        for index, (one, two) in enumerate(zip(before, after, strict=True)):
            changed = (one != two).any(-1)[0]
            assert not changed[:step].any()
            assert not changed[step + 1 :].any()
            assert bool(changed[step]) == (index > part)


@pytest.mark.parametrize("name", ["chords", "density", "style"])
def test_controls_count(name: str) -> None:
    band, tokens = small_band(), random_tokens(40)
    given = hide(tokens, "bass", "drums")
    plain = band(given, tokens, Controls())
    said = band(given, tokens, Controls(**{name: getattr(full_controls(40), name)}))
    assert all((one != two).any(-1).all() for one, two in zip(plain, said, strict=True))
    nothing = {
        "chords": torch.full((1, 40), HIDDEN),
        "density": torch.full((1, 40, 3), HIDDEN),
        "style": torch.zeros(1, 1, 5),
    }
    unsaid = band(given, tokens, Controls(**{name: nothing[name]}))
    for one, two in zip(plain, unsaid, strict=True):
        torch.testing.assert_close(one, two)


def test_a_new_band_knows_nothing() -> None:
    """All output matrices start at zero: it starts as an even chance of everything."""
    band, tokens = Band(BandConfig(width=32, heads=2, style_size=5)), random_tokens(20)
    for logits in band(hide(tokens, "bass"), tokens, full_controls(20)):
        assert not logits.any()


@pytest.mark.parametrize(("steps", "context"), [(40, 1024), (300, 1024), (70, 16), (600, 300)])
@pytest.mark.parametrize("most", [1, 5])
def test_steps_are_the_whole(steps: int, context: int, most: int) -> None:
    """Also where the context slides, where a pass is made of several blocks, and where steps that
    were looked at are forgotten again."""
    band, tokens = small_band(context), random_tokens(steps, batch=2)
    given, controls = hide(tokens, "bass", "drums"), full_controls(steps, 2)
    with torch.no_grad():
        whole = band(given, tokens, controls)
        stepper = Stepper(band, given, controls, most)
        past, wrong = tokens.roll(1, 1), random_tokens(steps, batch=2, seed=5)
        first = 0
        while first < steps:
            kept = first % most + 1
            looked = torch.cat([past[:, first : first + kept], wrong[:, first + kept :]], 1)
            stepper.run(looked[:, :most])
            last = min(first + kept, steps)
            for part in range(3):
                guesses = torch.cat([tokens[:, first:last], wrong[:, last:]], 1)[:, :most]
                logits = stepper.logits(part, guesses)[:, : last - first]
                torch.testing.assert_close(logits, whole[part][:, first:last], rtol=1e-4, atol=1e-4)
            stepper.accept(last - first)
            first = last


@pytest.mark.parametrize("context", [8, 20])
def test_nothing_beyond_the_context_is_attended_to(context: int) -> None:
    """Of one block: a token of `context` steps ago is out of reach, one of a step less is not."""
    band = Band(BandConfig(width=32, heads=4, listener_layers=1, player_layers=1, context=context))
    for name, parameter in band.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.4)
    tokens = random_tokens(60)
    given = hide(tokens, *PARTS)
    before = band(given, tokens, Controls())[0]
    after = band(given, other(tokens, 10, 2), Controls())[0]  # an input of step 11
    changed = (before != after).any(-1)[0].nonzero()[:, 0].tolist()
    assert changed == list(range(11, 11 + context))


def small_attention(causal: bool) -> Attention:
    attention = Attention(32, 4, 1024, causal)
    torch.nn.init.normal_(attention.bias)
    return attention


def test_biases_are_by_distance() -> None:
    """Each score has the bias of its distance added to it."""
    attention = small_attention(causal=True)
    mask = attention.mask(range(20, 40), range(0, 40))
    for row, query in enumerate(range(20, 40)):
        for key in range(40):
            expected = attention.biases()[:, query - key] if key <= query else float("-inf")
            assert (mask[:, row, key] == expected).all()
    listener = small_attention(causal=False)
    mask = listener.mask(range(3, 5), range(0, 9))
    for row, query in enumerate(range(3, 5)):
        for key in range(9):
            assert (mask[:, row, key] == listener.biases()[:, query - key + 1023]).all()


def test_checkpoint(tmp_path: Path) -> None:
    band, tokens = small_band(), random_tokens(20)
    band.save_pretrained(tmp_path)
    again = Band.from_pretrained(tmp_path)
    assert again.config == band.config
    for one, two in zip(
        band(tokens, tokens, Controls()), again(tokens, tokens, Controls()), strict=True
    ):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("sizes", "told"), [({"width": 0}, "width must be"), ({"heads": 3}, "no multiple of twice")]
)
def test_sizes_that_do_not_go(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        BandConfig(**sizes)


def test_traits_by_hand() -> None:
    """A note has its pitch class, a set of drums its members, a chord its root and its kind."""
    like = torch.zeros(())
    pitches = traits_of("pitches", 90, like)
    assert not pitches[:2].any()  # no event, note off
    assert pitches[2 + 60 - 21].tolist() == [1.0] + [0.0] * 11  # middle C
    assert pitches[2 + 59 - 21].tolist() == [0.0] * 11 + [1.0]
    assert traits_of("drums", 512, like)[0b101].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    triads = traits_of("triads", 49, like)
    assert not triads[0].any()
    assert triads[chord_class("Dm")].nonzero()[:, 0].tolist() == [2, 12 + 1]
    assert triads[chord_class("B")].nonzero()[:, 0].tolist() == [11, 12]
