"""Options of the hardware to train on: devices, machines, precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from musicvae_torch.errors import OptionError
from musicvae_torch.options import check_options, option

# Strategies that divide the model among processes, none of which knows the norm of all gradients.
_SHARDING = ("fsdp", "deepspeed", "model_parallel")


@dataclass(frozen=True)
class Hardware:
    """What to train on; all but the device is handed to Lightning's Trainer.

    Attributes:
        device: auto (a GPU if there is one), cpu or cuda.
        devices: number of devices on each machine; each computes a batch of its own.
        num_nodes: number of machines; each runs the same command, started by srun or torchrun, for
            example.
        strategy: Lightning's name of a strategy that keeps the whole model on each device, such as
            ddp; auto: one process for one device, ddp_spawn on one machine, ddp on several.
        precision: Lightning's name of a precision; auto: bf16-mixed on GPUs that have bfloat16,
            where it is faster, and otherwise 32-true.
    """

    device: str = option("auto")
    devices: int = option(1, least=1, metavar="N")
    num_nodes: int = option(1, least=1, metavar="N")
    strategy: str = option("auto", metavar="NAME")
    precision: str = option("auto", metavar="NAME")

    def __post_init__(self) -> None:
        check_options(self)
        if self.strategy.startswith(_SHARDING):
            raise OptionError(
                f"strategy {self.strategy!r} splits the model, which clipping by the global norm "
                "does not allow; take ddp"
            )

    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of a Lightning Trainer.

        Raises:
            OptionError: there is no such device, or it cannot compute so.
        """
        from musicvae_torch.io.devices import has_bfloat16, pick_device

        cuda = pick_device(self.device).type == "cuda"
        precision = self.precision
        if precision == "auto":
            precision = "bf16-mixed" if cuda and has_bfloat16() else "32-true"
        if not cuda and precision not in ("32-true", "bf16-mixed"):
            raise OptionError(
                f"precision {self.precision!r} needs cuda; take 32-true or bf16-mixed on the CPU"
            )
        strategy = self.strategy
        # On one machine it starts its own processes: "ddp" would run the command again in each.
        if strategy == "auto" and self.devices > 1 and self.num_nodes == 1:
            strategy = "ddp_spawn"
        return {
            "accelerator": "gpu" if cuda else "cpu",
            "devices": self.devices,
            "num_nodes": self.num_nodes,
            "strategy": strategy,
            "precision": precision,
        }
