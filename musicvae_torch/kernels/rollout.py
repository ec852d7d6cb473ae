"""Sampling with core decoders: all steps of a window, as they are or as replays of a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from musicvae_torch.kernels.cuda_graph import Recorder, Steps
from musicvae_torch.kernels.stepper import Stepper

Choose = Callable[[Tensor, Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]
"""From the given row of a step and each core's logits (B, depth) to the tokens of each core, which
the next step reads, and to what is kept of the step, (B, ...) each."""


def roll_out(
    stepper: Stepper, given: Tensor, choose: Choose, recorder: Recorder | None
) -> list[Tensor]:
    """Run all steps.

    Args:
        stepper: before its first step.
        given: (B, steps, ...), of which `choose` reads a row at each step.
        choose: makes tokens of logits.
        recorder: captures a step, so that the others are replays of it; None: each runs as it is.

    Returns:
        All that was kept, (B, steps, ...) each.
    """
    if recorder is not None:
        return _replayed(stepper, given, choose, recorder)
    tokens: Sequence[Tensor] = []
    kept: list[Sequence[Tensor]] = []
    for row in given.unbind(1):
        stepper.advance()
        tokens, own = choose(row, stepper.step(tokens))
        kept.append(own)
    return [torch.stack(own, dim=1) for own in zip(*kept, strict=True)]


def _replayed(stepper: Stepper, given: Tensor, choose: Choose, recorder: Recorder) -> list[Tensor]:
    """:func:`roll_out` with all that differs from step to step copied into the same tensors."""
    stepper.advance()
    row = given[:, 0].clone()
    first, first_kept = choose(row, stepper.step([]))
    # Clones, as one tensor may serve as both.
    tokens, latest = ([own.clone() for own in made] for made in (first, first_kept))
    kept = [own.new_empty(len(own), given.shape[1], *own.shape[1:]) for own in latest]

    def step() -> None:
        fed, own = choose(row, stepper.step(tokens))
        for place, value in zip([*tokens, *latest], [*fed, *own], strict=True):
            place.copy_(value)

    steps = Steps(step, recorder)
    for t in range(given.shape[1]):
        if t:
            stepper.advance()
            row.copy_(given[:, t])
            steps()
        for all_steps, own in zip(kept, latest, strict=True):
            all_steps[:, t] = own
    recorder.finish()
    return kept
