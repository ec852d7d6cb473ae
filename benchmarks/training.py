#!/usr/bin/env python3
"""How many windows a second a trio trains on, on the CPU, each way.

    python benchmarks/training.py [--config hierdec-trio_16bar] [--units 256] [--batch 64]
        [--rounds 5] [--no-fuse]

Steps are of made-up windows: encoding, teacher forcing, loss, backward pass, Muon or Adam. The
quickest of several rounds counts. The limit is the matrix products that a step cannot do without,
forward and twice backward (measuring/work.py counts them), at the speed at which this machine
multiplies large matrices laid out for it (measuring/machine.py measures that).
"""

from __future__ import annotations

import argparse
import contextlib
from time import perf_counter

import torch
from measuring.work import limit
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.kernels.recurrence import compile_recurrence
from musicvae_torch.training import ModelBatch, MusicVAETraining, TrainingOptions
from musicvae_torch.training.memory import keep_freed_memory
from musicvae_torch.training.objective import elbo_loss


def windows_a_second(
    config: MusicVAEConfig, tokens: Tensor, rounds: int, optimizer: str, half: bool
) -> float:
    """Windows a second of the quickest of `rounds` + 1 steps of training.

    Args:
        config: of a trio.
        tokens: (batch, steps, parts) classes.
        rounds: steps after the first one.
        optimizer: "adam" or "muon".
        half: train in bfloat16.
    """
    module = MusicVAETraining(config, TrainingOptions(optimizer=optimizer, start="glorot"))
    steps = module.configure_optimizers()
    noise = torch.randn(len(tokens), config.z_size)
    seconds = []
    for _ in range(rounds + 1):
        start = perf_counter()
        with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            _, losses, kl = module.elbo_terms(ModelBatch(tokens, tokens), noise)
            loss = elbo_loss(losses, kl, 256, 0.2)
        steps.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        steps.step()
        seconds.append(perf_counter() - start)
    return len(tokens) / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--config", default="hierdec-trio_16bar", help="of a trio (default: hierdec-trio_16bar)"
    )
    parser.add_argument("--units", type=int, default=256, help="of every LSTM (default: 256)")
    parser.add_argument("--batch", type=int, default=64, help="windows a step (default: 64)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--no-fuse", action="store_true", help="only what needs no C++ compiler")
    arguments = parser.parse_args()
    size, batch = arguments.units, arguments.batch
    sizes = {"enc_rnn_size": (size,), "dec_rnn_size": (size,), "z_size": size}
    config = get_config(arguments.config, **sizes)
    keep_freed_memory()
    tokens = torch.stack([torch.randint(0, depth, (batch, 256)) for depth in (90, 90, 512)], -1)
    print("| | float32 | bfloat16 |\n| --- | --- | --- |")
    for fused in (False,) if arguments.no_fuse else (False, True):
        if fused:
            compile_recurrence()
        for optimizer in ("adam", "muon"):
            speeds = [
                windows_a_second(config, tokens, arguments.rounds, optimizer, half)
                for half in (False, True)
            ]
            name = f"{optimizer}{', fused' if fused else ''}"
            print(f"| {name} | {speeds[0]:.0f} | {speeds[1]:.0f} |", flush=True)
    # Two products of a backward pass for each of a forward one.
    least = [
        3 * sum(limit(stage, config, batch, dtype) for stage in ("encode", "teacher-forced pass"))
        for dtype in ("float32", "bfloat16")
    ]
    print(f"| the products alone | {batch / least[0]:.0f} | {batch / least[1]:.0f} |")


if __name__ == "__main__":
    main()
