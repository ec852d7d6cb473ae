"""Where to compute, and in how many threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from musicvae_torch.config import get_config
from musicvae_torch.io.devices import pick_device, use_few_threads
from musicvae_torch.model.vae import MusicVAE


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("units", "threads"), [(16, 1), (1024, 3)])
def test_small_networks_take_one_thread(units: int, threads: int, three_threads: None) -> None:
    with torch.device("meta"):
        network = MusicVAE(
            get_config("cat-mel_2bar_small", enc_rnn_size=(16,), dec_rnn_size=(units,))
        )
    use_few_threads(network)
    assert torch.get_num_threads() == threads


def test_devices_by_name() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used here"):
        pick_device("abacus")
