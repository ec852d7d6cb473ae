"""What to compute on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# Products by weights of no more numbers take some ten microseconds a row.
_SMALL_WEIGHT = 1 << 20
# Strategies that cut the model into pieces, of whose gradients no process knows the norm.
_SHARDING = ("fsdp", "deepspeed", "model_parallel")


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from None
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


@dataclass(frozen=True)
class Hardware:
    """What to train on; all but the device is handed to Lightning's Trainer.

    Attributes:
        device: "auto", "cpu" or "cuda".
        devices: how many of them on each node.
        num_nodes: how many machines; each runs the same call, started as Lightning wants it
            (by srun or torchrun, say).
        strategy: Lightning's name of how processes share the work, of those that keep the whole
            model on each device; "auto": one process on one device, "ddp_spawn" on one node,
            "ddp" on several.
        precision: Lightning's name of it, such as "32-true" or "bf16-mixed".
    """

    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in ("devices", "num_nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.strategy.startswith(_SHARDING):
            raise ValueError(
                f"strategy {self.strategy!r} splits the model, which clipping by the global norm "
                "does not allow; take ddp"
            )

    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of a Lightning Trainer.

        Raises:
            ValueError: there is no such device, or it cannot compute so.
        """
        cuda = pick_device(self.device).type == "cuda"
        if not cuda and self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(
                f"precision {self.precision!r} needs cuda; take 32-true or bf16-mixed on the CPU"
            )
        strategy = self.strategy
        # On one machine by processes of its own, as the command must not be run once more in each.
        if strategy == "auto" and self.devices > 1 and self.num_nodes == 1:
            strategy = "ddp_spawn"
        return {
            "accelerator": "gpu" if cuda else "cpu",
            "devices": self.devices,
            "num_nodes": self.num_nodes,
            "strategy": strategy,
            "precision": self.precision,
        }
