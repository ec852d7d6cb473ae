"""What to compute on."""

from __future__ import annotations

import torch
from torch import nn

from musicvae_torch.errors import OptionError

# Products by weights of no more numbers take some ten microseconds a row.
_SMALL_WEIGHT = 1 << 20


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA where there is one, else the CPU.

    Raises:
        OptionError: no such device here.
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


def use_few_threads(network: nn.Module) -> None:
    """Compute in one thread from now on, in this process, if the network is so small that more
    would save nothing for one song.

    They have to meet again after each of thousands of little products. Where another program has
    one of the processor's cores, that waits for the system's scheduler every time: the same song
    then takes not a tenth of a second, but many seconds.
    """
    if max(weight.numel() for weight in network.parameters()) <= _SMALL_WEIGHT:
        torch.set_num_threads(1)
