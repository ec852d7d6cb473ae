from __future__ import annotations

import numpy as np
import pytest
import torch
from magenta_models import MODELS, load_golden

from musicvae_torch.config import get_config
from musicvae_torch.errors import CheckpointError
from musicvae_torch.groove_sampling import velocities_and_offsets
from musicvae_torch.model.vae import MusicVAE
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.groove import humanize_drums

BEAT: list[StepNote] = [
    *((step, step + 1, 42) for step in range(0, 80, 2)),
    *((step, step + 1, 36) for step in range(0, 80, 8)),
    *((step, step + 1, 38) for step in range(4, 80, 8)),
]  # five bars


@pytest.fixture(scope="module")
def humanize() -> MusicVAE:
    return load_golden(MODELS / "groovae_2bar_humanize").model


def test_played_hits_are_what_teacher_forcing_makes_of_them(humanize: MusicVAE) -> None:
    torch.manual_seed(0)
    z = torch.randn(3, humanize.config.z_size)
    hits = (torch.rand(3, 32, 9) < 0.3).float()
    chances, velocities, offsets = velocities_and_offsets(humanize, z, hits).chunk(3, dim=-1)
    rows = torch.cat([hits, hits * velocities, hits * offsets], dim=-1)
    logits = humanize.teacher_force(z, rows).chunk(3, dim=-1)
    torch.testing.assert_close(chances, torch.sigmoid(logits[0]))
    certain = chances.clamp(min=0.1)
    torch.testing.assert_close(velocities, (torch.sigmoid(logits[1]) / certain).clamp(max=1))
    torch.testing.assert_close(offsets, (torch.tanh(logits[2]) / certain).clamp(-1, 1))


def test_each_hit_has_its_touch_in_any_order(humanize: MusicVAE) -> None:
    touch = humanize_drums(humanize, BEAT)
    assert touch.velocities.shape == touch.offsets.shape == (len(BEAT),)
    assert touch.velocities.min() >= 1
    assert touch.velocities.max() <= 127
    assert np.abs(touch.offsets).max() <= 0.5
    order = np.random.default_rng(0).permutation(len(BEAT))
    shuffled = humanize_drums(humanize, [BEAT[index] for index in order])
    np.testing.assert_array_equal(shuffled.velocities, touch.velocities[order])
    np.testing.assert_allclose(shuffled.offsets, touch.offsets[order], atol=1e-6)


def test_windows_are_played_one_by_one(humanize: MusicVAE) -> None:
    # The third window is half silent; and one far away is as if it came first.
    whole = humanize_drums(humanize, BEAT)
    last = [index for index, (start, _, _) in enumerate(BEAT) if start >= 64]
    alone = humanize_drums(
        humanize, [(BEAT[i][0] + 32_000, BEAT[i][1] + 32_000, BEAT[i][2]) for i in last]
    )
    np.testing.assert_array_equal(alone.velocities, whole.velocities[last])
    np.testing.assert_allclose(alone.offsets, whole.offsets[last], atol=1e-6)


def test_late_is_positive(humanize: MusicVAE) -> None:
    """A network whose offsets are all tanh(large) = 1, which is early by half a step."""
    model = MusicVAE(humanize.config)
    model.load_state_dict(humanize.state_dict())
    with torch.no_grad():
        dict(model.named_parameters())["decoder.cores.0.output.bias"][18:] += 50.0
    assert humanize_drums(model, BEAT).offsets.tolist() == [-0.5] * len(BEAT)


def test_unknown_drums_are_left_alone(humanize: MusicVAE) -> None:
    touch = humanize_drums(humanize, [(0, 1, 36), (0, 1, 1), (4, 5, 38)])
    assert (touch.velocities[1], touch.offsets[1]) == (80, 0)
    known = humanize_drums(humanize, [(0, 1, 36), (4, 5, 38)])
    np.testing.assert_array_equal(touch.velocities[[0, 2]], known.velocities)


def test_nothing_to_play(humanize: MusicVAE) -> None:
    assert len(humanize_drums(humanize, []).velocities) == 0
    with pytest.raises(ValueError, match="step -1, before the first bar"):
        humanize_drums(humanize, [(-1, 0, 36)])


def test_hits_as_controls() -> None:
    model = load_golden(MODELS / "groovae_2bar_hits_control_tfds").model
    first, second = humanize_drums(model, BEAT), humanize_drums(model, BEAT)
    np.testing.assert_array_equal(first.velocities, second.velocities)
    assert len(np.unique(first.velocities)) > 1


def test_longer_windows_of_ones_own() -> None:
    torch.manual_seed(1)
    sizes = {"enc_rnn_size": (8,), "dec_rnn_size": (8,), "z_size": 4}
    config = get_config("groovae_2bar_humanize", max_seq_len=64, **sizes)
    assert len(humanize_drums(MusicVAE(config), BEAT).velocities) == len(BEAT)


@pytest.mark.parametrize(
    "name", ["cat-drums_2bar_small", "groovae_4bar", "groovae_2bar_add_closed_hh"]
)
def test_models_of_other_kinds_are_refused(name: str) -> None:
    model = load_golden(MODELS / name).model
    with pytest.raises(CheckpointError, match="groovae_2bar_humanize or") as caught:
        humanize_drums(model, BEAT)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_without_grooves_play_no_hits() -> None:
    model = load_golden(MODELS / "cat-drums_2bar_small").model
    with pytest.raises(ValueError, match="plays no grooves"):
        velocities_and_offsets(model, torch.zeros(1, model.config.z_size), torch.zeros(1, 32, 9))


def test_hits_of_a_wrong_shape(humanize: MusicVAE) -> None:
    with pytest.raises(ValueError, match="wanted \\(2, steps, 9\\)"):
        velocities_and_offsets(
            humanize, torch.zeros(2, humanize.config.z_size), torch.zeros(2, 32, 8)
        )
