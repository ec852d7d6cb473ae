"""What to compute on."""

from __future__ import annotations

import torch
from torch import nn

from musicvae_torch.errors import OptionError

# Multiplying a row by a weight of no more numbers takes some ten microseconds.
_SMALL_WEIGHT = 1 << 20


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA if there is one, else the CPU.

    Raises:
        OptionError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {name!r} cannot be used here: {reason}") from None
    return device


def has_bfloat16() -> bool:
    """Whether the GPU multiplies in bfloat16 itself, as those since 2020 do."""
    return torch.cuda.get_device_capability() >= (8, 0)


def use_few_threads(network: nn.Module) -> None:
    """Let this process compute in one thread from now on, if the network is so small that more
    threads would save nothing for one song.

    Threads have to meet again after each of thousands of little products. If another program keeps
    one of the cores busy, each meeting waits for the system's scheduler, and a song takes many
    seconds instead of a tenth of one.
    """
    if max(weight.numel() for weight in network.parameters()) <= _SMALL_WEIGHT:
        torch.set_num_threads(1)
