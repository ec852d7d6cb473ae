"""Windows drawn on a device are those that are drawn on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up import tiny
from pretend_cuda import DEVICE

from musicvae_torch.dataset.batches import draw_batches, draw_shifts
from musicvae_torch.dataset.format import Windows
from musicvae_torch.training import TrainingOptions, WindowsDataModule
from musicvae_torch.training.device_data import DeviceWindows, fits


def windows(name: str, count: int = 9) -> Windows:
    """With pitches at the ends of the range, too, which no shift may leave."""
    rng, config = np.random.default_rng(0), tiny(name)
    tokens = np.stack(
        [rng.integers(0, depth, (count, config.max_seq_len)) for depth in config.output_depths], -1
    )
    tokens[: count // 2, :, : min(2, tokens.shape[2])] = 40
    means = rng.random((count, 4), np.float32)
    return Windows(tokens.astype(np.int16), np.arange(count), list("abcdefghi"), means, means)


@pytest.mark.parametrize("name", ["hierdec-trio_16bar", "cat-mel_2bar_small"])
@pytest.mark.parametrize("shifted", [True, False])
def test_batches_are_those_of_the_cpu(name: str, shifted: bool) -> None:
    config, both = tiny(name), windows(name)
    most = 5 if shifted else 0
    options = TrainingOptions(batch_size=6, max_transpose=most, seed=3)
    module = WindowsDataModule(both, both, options, config)
    stream = iter(module.train_dataloader())
    plain = [next(stream) for _ in range(3)]
    here = DeviceWindows(both, config, torch.device("cpu"))
    draws = draw_batches(both, 6, 3, draw=options.draw)
    for batch, (rows, rng) in zip(plain, draws, strict=False):
        ours = here.batch(rows, draw_shifts(rng, most, len(rows)))
        assert torch.equal(ours.targets, batch.targets) and ours.targets.dtype == torch.int64
        assert torch.equal(ours.inputs, batch.inputs)
        if not most:
            assert ours.posterior_mean is not None and batch.posterior_mean is not None
            assert torch.equal(ours.posterior_mean, batch.posterior_mean)
    if most:
        assert any((batch.targets[:, 0, 0] != 40).any() for batch in plain)


def test_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that a model reads, in a memory that is large enough; never on CPUs."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4_000_000, 8_000_000))
    trios = windows("hierdec-trio_16bar")
    assert fits(trios, tiny("hierdec-trio_16bar"), DEVICE)
    assert not fits(trios, tiny("hierdec-trio_16bar"), torch.device("cpu"))
    for name in (
        "cat-drums_2bar_small",
        "hier-multiperf_vel_1bar_med",
        "groovae_2bar_humanize",
        "nade-drums_2bar_full",
    ):
        assert not fits(trios, tiny(name), DEVICE)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 8_000_000))
    assert not fits(trios, tiny("hierdec-trio_16bar"), DEVICE)
