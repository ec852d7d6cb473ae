"""What a training runs on, and in which precision."""

from __future__ import annotations

import pytest
import torch

from musicvae_torch.errors import OptionError
from musicvae_torch.io.hardware import Hardware


@pytest.mark.parametrize(
    ("device", "capability", "precision"),
    [("cpu", None, "32-true"), ("cuda", (9, 0), "bf16-mixed"), ("cuda", (7, 5), "32-true")],
)
def test_the_precision_is_that_of_the_device(
    device: str,
    capability: tuple[int, int] | None,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("musicvae_torch.io.devices.pick_device", lambda _: torch.device(device))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert Hardware(device).trainer_arguments()["precision"] == precision
    asked = Hardware(device, precision="bf16-mixed").trainer_arguments()
    assert asked["precision"] == "bf16-mixed"


def test_a_precision_of_gpus_is_refused_on_the_cpu() -> None:
    with pytest.raises(OptionError, match="precision '16-mixed' needs cuda"):
        Hardware("cpu", precision="16-mixed").trainer_arguments()
