"""Refinement: the latent that best explains the parts that are given, found by gradient ascent.

It needs a MusicVAE and nothing else: no surrogate encoder, no data set. (The prediction of a
surrogate is a better place to begin, and its distribution a better prior.) For each window it
maximises log p(given parts | z), teacher-forced, plus a weighted log prior of the latent z, with
Adam (Kingma and Ba 2015, arXiv 1412.6980) on z; the network stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.options import check_options, option
from surrogate.encoder.model import Surrogate

UNKNOWN = -1  # class of a row of zeros, which costs nothing
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants


@dataclass(frozen=True)
class RefineOptions:
    """Options of the search for a latent.

    Attributes:
        steps: most gradient steps.
        learning_rate: Adam's, in units of the latent (whose prior has a spread of 1).
        patience: steps without improvement after which a window stops.
        tolerance: nats by which the objective must grow to count as improved.
        prior_weight: of the log prior beside the log-likelihood; 0 leaves the prior out. A
            latent that explains the given parts to the last note forgets what usually goes with
            them: few, small steps and a heavy prior serve the hidden parts best
            (docs/evaluation.md).
        batch_size: windows at a time.
    """

    steps: int = option(10, least=0)
    learning_rate: float = option(0.01, above=0)
    patience: int = option(10, least=1)
    tolerance: float = option(0.1, least=0)
    prior_weight: float = option(30.0, least=0)
    batch_size: int = option(64, least=1)

    def __post_init__(self) -> None:
        check_options(self)


class Refined(NamedTuple):
    """Latents that were found; all on the model's device.

    Attributes:
        z: (windows, z_size), the best that was tried for each window.
        before, after: (windows,) log-likelihood of the given parts at the start and at `z`, nats.
        steps: (windows,) gradient steps that were made.
    """

    z: Tensor
    before: Tensor
    after: Tensor
    steps: Tensor


def refine(
    musicvae: MusicVAE,
    tokens: Tensor,
    given: Collection[str] = ("melody",),
    start: Tensor | None = None,
    prior: Normal | None = None,
    options: RefineOptions | None = None,
    progress: bool = False,
) -> Refined:
    """Find latents that explain the given parts.

    Args:
        musicvae: of trios.
        tokens: (windows, steps, 3) int64 classes; the parts that are not given are not looked at.
        given: names of the parts to explain.
        start: (windows, z_size) latents to begin from, such as a surrogate's; None: zeros, the
            prior's mean.
        prior: of each window, with mean and stddev (windows, z_size), such as a surrogate's
            prediction; None: the standard normal.
        options: how to look.
        progress: show a progress bar, of windows.

    Raises:
        ValueError: an unknown part, none at all, or a shape that does not fit.
    """
    options = options or RefineOptions()
    parts = part_indices(given)
    device, size = musicvae.device, musicvae.config.z_size
    tokens = hide(tokens, given).to(device)
    z = torch.zeros(len(tokens), size, device=device) if start is None else start.to(device)
    if z.shape != (len(tokens), size):
        raise ValueError(f"start has shape {tuple(z.shape)}, wanted {(len(tokens), size)}")
    prior = prior or Normal(torch.zeros_like(z), torch.ones_like(z))
    mean, stddev = prior.mean.to(device), prior.stddev.to(device)
    found = []
    with (
        _frozen(musicvae),
        tqdm(total=len(z), unit="window", disable=None if progress else True) as bar,
    ):
        for first in range(0, len(z), options.batch_size):
            own = slice(first, first + options.batch_size)
            around = Normal(mean[own], stddev[own])
            found.append(_ascend(musicvae, tokens[own], parts, z[own], around, options))
            bar.update(len(found[-1].z))
    if not found:
        nothing = z.new_zeros(0)
        return Refined(z, nothing, nothing, nothing.long())
    return Refined(*map(torch.cat, zip(*found, strict=True)))


def refine_prediction(
    musicvae: MusicVAE,
    surrogate: Surrogate,
    tokens: Tensor,
    given: Sequence[str] = ("melody",),
    options: RefineOptions | None = None,
    progress: bool = False,
) -> Refined:
    """Refine what a surrogate predicts from those of the given parts that it takes: from its mean
    on, with the distribution, if it predicts one, as the prior.

    For arguments and errors, see :func:`refine`.
    """
    known = tuple(part for part in given if part in surrogate.input_parts)
    start, stddev = surrogate.predict(tokens.to(musicvae.device), known)
    prior = None if stddev is None else Normal(start, stddev)
    return refine(musicvae, tokens, given, start, prior, options, progress)


def part_indices(given: Collection[str]) -> list[int]:
    """Indices of the given parts in a trio, ascending.

    Raises:
        ValueError: an unknown part, or none at all.
    """
    unknown = sorted(set(given) - set(PARTS))
    if unknown or not given or isinstance(given, str):
        raise ValueError(f"given parts must be some of {', '.join(PARTS)}, not {given!r}")
    return [index for index, part in enumerate(PARTS) if part in given]


def hide(tokens: Tensor, given: Collection[str], by: int = UNKNOWN) -> Tensor:
    """(..., 3) classes with those of the parts that are not given replaced by class `by`."""
    hidden = tokens.clone()
    hidden[..., [index for index, part in enumerate(PARTS) if part not in given]] = by
    return hidden


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Compute no gradients of weights inside the block."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@torch.enable_grad()
def _ascend(
    musicvae: MusicVAE,
    tokens: Tensor,
    parts: list[int],
    start: Tensor,
    prior: Normal,
    options: RefineOptions,
) -> Refined:
    """Run gradient ascent on the latents of a batch; windows that have converged are not decoded
    any more."""
    z = start.detach().clone().requires_grad_(True)
    # Adam by hand: torch.optim takes seconds to import what it needs to compile.
    first, second = torch.zeros_like(z), torch.zeros_like(z)
    best, best_score = z.detach().clone(), z.new_full((len(z),), -torch.inf)
    before, after = z.new_zeros(len(z)), z.new_zeros(len(z))
    rows = torch.arange(len(z), device=z.device)  # the windows that go on
    waited, steps = torch.zeros_like(rows), torch.zeros_like(rows)
    for step in range(options.steps + 1):
        likelihood = -musicvae.part_nll(z[rows], tokens[rows], parts).sum((1, 2))
        # Up to a constant of each window.
        log_prior = -0.5 * (((z - prior.mean) / prior.stddev) ** 2).sum(-1)[rows]
        score = likelihood + options.prior_weight * log_prior
        with torch.no_grad():
            if step == 0:
                before = likelihood.clone()
            better = score > best_score[rows]
            much_better = score > best_score[rows] + options.tolerance
            waited[rows] = torch.where(much_better, 0, waited[rows] + 1)
            improved = rows[better]
            best_score[improved], after[improved] = score[better], likelihood[better]
            best[improved] = z[improved]
        going = waited[rows] < options.patience
        if step == options.steps or not bool(going.any()):
            break
        (gradient,) = torch.autograd.grad(score.sum(), z)
        first.lerp_(gradient, 1 - _BETA1)
        second.lerp_(gradient**2, 1 - _BETA2)
        rows = rows[going]
        steps[rows] = step + 1
        with torch.no_grad():
            spread = (second / (1 - _BETA2 ** (step + 1))).sqrt()
            mean = first / (1 - _BETA1 ** (step + 1))
            z += options.learning_rate * mean / (spread + _EPSILON)
    return Refined(best, before, after, steps)
