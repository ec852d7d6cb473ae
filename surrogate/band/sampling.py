"""Sampling from the band network: the hidden tokens of songs are drawn, step after step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import OptionError
from musicvae_torch.kernels import dispatch
from musicvae_torch.kernels.cuda_graph import Steps
from musicvae_torch.midi.vocabulary import FIRST_NOTE, NO_EVENT, PARTS
from musicvae_torch.options import check_options, option
from surrogate.band.drafts import accepted_steps, draft
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.band.stepping import FixedStepper, Stepper

_MELODY, _BASS, _DRUMS = range(len(PARTS))
# Steps that are computed together: of a row, and of all rows. More would cost more than they save,
# because steps are accepted only up to the first at which any row differs from its draft.
DRAFTED, _OF_ALL_ROWS = 4, 8
# Steps for which one CUDA graph serves; the next graph attends to so many slots more.
GRAPH_STEPS = 256


@dataclass(frozen=True)
class Sampling:
    """Options of sampling.

    Attributes:
        temperature: divides logits, a number or one for each of PARTS; 0 takes the likeliest class.
        top_p: each token is drawn from the likeliest classes that have at least this share of the
            probability together (Holtzman et al. 2020, "nucleus sampling").
        guidance: factor by which log probabilities are moved away from unconditional ones, for
            which melody and chords are masked, and for the drums also the bass of the same step, so
            that these count more (Ho and Salimans 2022, "Classifier-free diffusion guidance"). 1:
            not at all; others take twice the time.
        density: what is added to the log-odds of notes that begin, and of drum hits, at each step,
            for each of PARTS.
    """

    temperature: float | tuple[float, ...] = option(1.0, least=0)
    top_p: float = option(0.98, above=0, most=1)
    guidance: float = option(1.0, least=0)
    density: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        check_options(self)
        if len(self.density) != len(PARTS) or not np.isfinite(self.density).all():
            raise OptionError(f"density must be a number for each part, not {self.density}")

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperature of each of PARTS."""
        own = self.temperature
        return own if isinstance(own, tuple) else (own,) * len(PARTS)


class Sampled(NamedTuple):
    """Tokens that were sampled.

    Attributes:
        tokens: (rows, steps, 3) int64, the given ones unchanged; HIDDEN for parts that are absent.
        nats: (rows, steps, 3) negative log-likelihood of each drawn token by the band's own
            probabilities, whatever it was drawn from; 0 where none was drawn.
    """

    tokens: Tensor
    nats: Tensor


@torch.no_grad()
def sample(
    band: Band,
    given: Tensor,
    controls: Controls | None = None,
    *,
    absent: Sequence[str] = (),
    seed: int = 0,
    numbers: Sequence[int],
    sampling: Sampling | None = None,
    log_odds: Mapping[str, Tensor] | None = None,
    drafted: int = DRAFTED,
) -> Sampled:
    """Sample what is hidden of several songs of one length, or of candidates for them.

    Args:
        band: in evaluation mode.
        given: (rows, steps, 3) int64 tokens, HIDDEN where the band is to play.
        controls: for all rows or for each; None: everything is left open.
        absent: parts that are neither given nor to be sampled. (Bands are trained to do without a
            melody.)
        seed: of the draws; the same gives the same tokens.
        numbers: (rows,) which candidate each row is; rows of the same number have the same draws.
        sampling: how to draw; None: the defaults.
        log_odds: by part, what is added to the log-odds of each of its classes at each step,
            (rows, steps, depth), as for a fill; None: nothing.
        drafted: how many steps to compute together, by drafts of them, if rows are few; 1: one
            step at a time, which is slower and gives the same, but for rounding. On CUDA always 1.

    Raises:
        ValueError: the tokens have another shape, or classes that a part lacks; an absent part is
            unknown, or given.
    """
    sampling = sampling or Sampling()
    hidden = _hidden(given, absent).to(band.player.start.device)
    tokens = given.to(hidden.device).clone()
    rows, steps, _ = tokens.shape
    known, controls = tokens, controls or Controls()
    if sampling.guidance != 1:  # unconditional rows follow the conditional ones
        known = torch.cat([tokens, torch.full_like(tokens, HIDDEN)])
        controls = _with_unconditional(controls, rows)
    uniforms = _uniforms(seed, numbers, steps).to(tokens.device)
    batch = _Batch(tokens, hidden, uniforms, sampling, log_odds or {})
    if dispatch.fixes_steps(tokens.device):
        _sample_by_graph(FixedStepper(band, known, controls), batch)
    else:
        most = max(min(_OF_ALL_ROWS // rows, drafted, steps), 1)
        _sample_by_drafts(Stepper(band, known, controls, most), batch, most)
    return Sampled(tokens, batch.nats)


class _Draws(NamedTuple):
    """What decides the draws of n steps.

    Attributes:
        hidden: (rows, n, 3) bool, what is to be drawn.
        uniforms: (rows, n, 3), as for :func:`draw`.
        log_odds: by part, (rows, n, depth), what is added to the log-odds of its classes.
    """

    hidden: Tensor
    uniforms: Tensor
    log_odds: dict[int, Tensor]


class _Batch:
    """Songs that are being sampled together.

    Attributes:
        tokens: (rows, steps, 3), of which the hidden ones are drawn in place.
        hidden: (rows, steps, 3) bool.
        nats: (rows, steps, 3), of :class:`Sampled`.
        stop: the step after the last of which anything is hidden.
        onset_odds: by part, (depth,) what its density adds to its log-odds at every step.
    """

    def __init__(
        self,
        tokens: Tensor,
        hidden: Tensor,
        uniforms: Tensor,
        sampling: Sampling,
        log_odds: Mapping[str, Tensor],
    ) -> None:
        self.tokens, self.hidden, self.sampling = tokens, hidden, sampling
        self.nats = torch.zeros(tokens.shape, device=tokens.device)
        added = {PARTS.index(part): odds.to(tokens.device) for part, odds in log_odds.items()}
        self._draws = _Draws(hidden, uniforms, added)
        hidden_steps = hidden.any(0).any(-1).nonzero()
        self.stop = int(hidden_steps[-1]) + 1 if len(hidden_steps) else 0
        self.onset_odds = {
            part: sampling.density[part] * is_onset(name).to(tokens.device)
            for part, name in enumerate(PARTS)
            if sampling.density[part]
        }

    def draws(self, cut: Callable[[Tensor], Tensor]) -> _Draws:
        """The draws of the steps that `cut` leaves of (rows, steps, ...)."""
        hidden, uniforms, log_odds = self._draws
        odds = {part: cut(values) for part, values in log_odds.items()}
        return _Draws(cut(hidden), cut(uniforms), odds)

    def with_unconditional(self, tokens: Tensor, part: int | None = None) -> Tensor:
        """Tokens (rows, n, 3) followed, if there is guidance, by those of the unconditional rows:
        no melody and, for the drums, no bass."""
        if self.sampling.guidance == 1:
            return tokens
        others = tokens.clone()
        others[..., _MELODY] = HIDDEN
        if part == _DRUMS:
            others[..., _BASS] = NO_EVENT
        return torch.cat([tokens, others])


def _sample_by_drafts(stepper: Stepper, batch: _Batch, most: int) -> None:
    """Sample up to so many steps at a time, and accept them as far as they are as drafted."""
    tokens, first = batch.tokens, 0
    while first < batch.stop:
        steps = slice(first, min(first + most, tokens.shape[1]))
        draws = batch.draws(itemgetter((slice(None), steps)))
        window = tokens[:, steps]  # a view, into which the draws are written
        drafts = torch.where(draws.hidden, draft(tokens, range(first, steps.stop)), window)
        past = torch.cat([tokens[:, max(first - 1, 0), None], drafts[:, :-1]], 1)
        stepper.run(batch.with_unconditional(past))
        drawn, nats = _draw_parts(stepper, batch, drafts, draws, _parts_of(draws.hidden))
        accepted = accepted_steps(drawn, drafts)
        window[:, :accepted] = drawn[:, :accepted]
        batch.nats[:, steps][:, :accepted] = nats[:, :accepted]
        stepper.accept(accepted)
        first += accepted


def _sample_by_graph(stepper: FixedStepper, batch: _Batch) -> None:
    """Sample one step at a time; on CUDA, by replays of a graph of one step."""
    tokens, at, parts = batch.tokens, stepper.at, _parts_of(batch.hidden)
    recorder = dispatch.recorder(tokens.device)

    def step() -> None:
        past = tokens.index_select(1, (at - 1).clamp(min=0))
        stepper.run(batch.with_unconditional(past))
        draws = batch.draws(lambda values: values.index_select(1, at))
        drawn, nats = _draw_parts(stepper, batch, tokens.index_select(1, at), draws, parts)
        tokens.index_copy_(1, at, drawn)
        batch.nats.index_copy_(1, at, nats)
        stepper.accept(1)

    for first in range(0, batch.stop, GRAPH_STEPS):
        last = min(first + GRAPH_STEPS, batch.stop)
        stepper.use_slots(last)
        steps = Steps(step, recorder)
        for _ in range(first, last):
            steps()
        if recorder is not None:
            recorder.finish()


def _parts_of(hidden: Tensor) -> list[int]:
    """The parts of which anything is hidden."""
    return [part for part in range(len(PARTS)) if bool(hidden[..., part].any())]


def _draw_parts(
    stepper: Stepper, batch: _Batch, tokens: Tensor, draws: _Draws, parts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Draw the steps that the stepper has run, part after part.

    Args:
        tokens: (rows, n, 3), of which those that are not hidden stay.
        draws: of these steps.
        parts: those to draw; of the others nothing is hidden.

    Returns:
        (rows, n, 3) the tokens, and their nats as in :class:`Sampled`.
    """
    sampling, rows = batch.sampling, len(tokens)
    drawn, nats = tokens.clone(), torch.zeros(tokens.shape, device=tokens.device)
    for part in parts:
        log_probs = stepper.logits(part, batch.with_unconditional(drawn, part)).log_softmax(-1)
        own, scores = log_probs[:rows], log_probs[:rows]
        if sampling.guidance != 1:
            unconditional = log_probs[rows:]
            scores = unconditional + sampling.guidance * (own - unconditional)
        if part in batch.onset_odds:
            scores = scores + batch.onset_odds[part]
        if part in draws.log_odds:
            scores = scores + draws.log_odds[part]
        temperature, uniforms = sampling.temperatures[part], draws.uniforms[..., part, None]
        classes = draw(scores, uniforms, temperature, sampling.top_p)
        hidden = draws.hidden[..., part]
        drawn[..., part] = torch.where(hidden, classes[..., 0], drawn[..., part])
        nats[..., part] = torch.where(hidden, -own.gather(-1, classes)[..., 0], 0)
    return drawn, nats


def draw(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Tensor:
    """Draw classes.

    Args:
        logits: (..., depth).
        uniforms: (..., 1) numbers from 0 to 1 that decide; the likelier a class, the lower its
            share of that range lies.
        temperature, top_p: see :class:`Sampling`.

    Returns:
        (..., 1) int64.
    """
    if not temperature:
        return logits.argmax(-1, keepdim=True)
    probabilities, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
    total = probabilities.cumsum(-1)
    last = (total - probabilities < top_p).sum(-1, keepdim=True) - 1
    rank = (total <= uniforms * total.gather(-1, last)).sum(-1, keepdim=True)
    return order.gather(-1, torch.minimum(rank, last))


def _hidden(given: Tensor, absent: Sequence[str]) -> Tensor:
    """(rows, steps, 3) bool, what is to be sampled; for the errors see :func:`sample`."""
    if given.dim() != 3 or given.shape[2] != len(PARTS) or given.dtype != torch.int64:
        raise ValueError(
            f"given is {given.dtype} of shape {tuple(given.shape)}, wanted int64 classes "
            f"(steps, {len(PARTS)})"
        )
    if not given.shape[1]:
        raise ValueError("given has no steps")
    if not set(absent) <= set(PARTS):
        raise ValueError(f"absent is {absent!r}; choose among: {', '.join(PARTS)}")
    hidden = given == HIDDEN
    for index, (part, depth) in enumerate(zip(PARTS, DEPTHS, strict=True)):
        own = given[..., index]
        if bool(((own < HIDDEN) | (own >= depth)).any()):
            raise ValueError(f"{part} tokens must lie between {HIDDEN} and {depth - 1}")
        if part in absent:
            if not bool(hidden[..., index].all()):
                raise ValueError(f"{part} is given, so it cannot be absent")
            hidden[..., index] = False
    return hidden


def _uniforms(seed: int, numbers: Sequence[int], steps: int) -> Tensor:
    """(rows, steps, 3) numbers from 0 to 1; each candidate has its own."""
    drawn = {
        number: np.random.default_rng([seed % 2**64, number]).random((steps, len(PARTS)))
        for number in set(numbers)
    }
    return torch.from_numpy(np.stack([drawn[number] for number in numbers])).float()


def _with_unconditional(controls: Controls, rows: int) -> Controls:
    """The controls of each row, then those of as many unconditional rows, without chords."""

    def twice(control: Tensor | None) -> Tensor | None:
        if control is None:
            return None
        return torch.cat([control.expand(rows, *control.shape[1:])] * 2)

    chords = twice(controls.chords)
    if chords is not None:
        chords[rows:] = HIDDEN
    return Controls(chords, twice(controls.density), twice(controls.style))


def is_onset(part: str) -> Tensor:
    """(depth,) 1 for the part's classes that begin a note, or strike a drum; else 0."""
    first = 1 if part == "drums" else FIRST_NOTE
    return (torch.arange(DEPTHS[PARTS.index(part)]) >= first).float()
