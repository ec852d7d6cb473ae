"""A band plays: the hidden tokens of a song, drawn step after step."""

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
from surrogate.band.drafts import as_drafted, draft
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.band.stepping import FixedStepper, Stepper

_MELODY, _BASS, _DRUMS = range(len(PARTS))
# Steps that are worked out together: of a row, and of all rows. More would cost more than they win,
# as they hold only up to the first that any row plays otherwise than it was drafted.
DRAFTED, _OF_ALL_ROWS = 4, 8
# Steps of a song for which one graph serves: the next looks back so many steps farther.
_SEEN = 256


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

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
        """One for each of PARTS."""
        own = self.temperature
        return own if isinstance(own, tuple) else (own,) * len(PARTS)


class Sampled(NamedTuple):
    """What a band played.

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
    """Draw what is hidden of several songs of one length, or of candidates for them.

    Args:
        band: in evaluation mode.
        given: (rows, steps, 3) int64 tokens, HIDDEN where the band is to play.
        controls: how to play, for all rows or for each.
        absent: parts that are neither given nor to be played. (Bands are trained to do without a
            melody.)
        seed: of the draws; the same gives the same tokens.
        numbers: (rows,) which candidate each row is; rows of the same number have the same draws.
        sampling: how to draw; None: the defaults.
        log_odds: by part, what is added to the log-odds of each of its classes at each step,
            (rows, steps, depth), as for a fill; None: nothing.
        drafted: how many steps to work out together, by drafts of them, if rows are few; 1: one
            step at a time, which is slower and gives the same, but for rounding. On CUDA always 1.

    Raises:
        ValueError: the tokens have another shape, or classes that a part lacks; an absent part is
            unknown, or given.
    """
    sampling = sampling or Sampling()
    hidden = _hidden(given, absent).to(band.player.start.device)
    tokens = given.to(hidden.device).clone()
    (rows, steps, _), guided = tokens.shape, sampling.guidance != 1
    known, controls = tokens, controls or Controls()
    if guided:  # unconditional rows follow the conditional ones
        known = torch.cat([tokens, torch.full_like(tokens, HIDDEN)])
        controls = _with_unconditional(controls, rows)
    uniform = _uniform(seed, numbers, steps).to(tokens.device)
    song = _Song(tokens, hidden, uniform, sampling, log_odds or {})
    if dispatch.fixes_steps(tokens.device):
        _play_fixed(FixedStepper(band, known, controls), song)
    else:
        most = max(min(_OF_ALL_ROWS // rows, drafted, steps), 1)
        _play(Stepper(band, known, controls, most), song, most)
    return Sampled(tokens, song.nats)


class _Now(NamedTuple):
    """Some steps of a song.

    Attributes:
        own: (rows, n, 3) bool, what is to be drawn.
        uniform: (rows, n, 3), as for :func:`draw`.
        log_odds: by part, (rows, n, depth), what is added to the log-odds of its classes.
    """

    own: Tensor
    uniform: Tensor
    log_odds: dict[int, Tensor]


class _Song:
    """Rows that are being played.

    Attributes:
        tokens: (rows, steps, 3), of which the hidden ones are drawn in place.
        hidden: (rows, steps, 3) bool.
        nats: (rows, steps, 3), of :class:`Sampled`.
        stop: behind the last step of which anything is hidden.
        bonus: by part, (depth,) what is added to its log-odds at every step.
    """

    def __init__(
        self,
        tokens: Tensor,
        hidden: Tensor,
        uniform: Tensor,
        sampling: Sampling,
        log_odds: Mapping[str, Tensor],
    ) -> None:
        self.tokens, self.hidden, self.sampling = tokens, hidden, sampling
        self.nats = torch.zeros(tokens.shape, device=tokens.device)
        added = {PARTS.index(part): odds.to(tokens.device) for part, odds in log_odds.items()}
        self._all = _Now(hidden, uniform, added)
        played = hidden.any(0).any(-1).nonzero()
        self.stop = int(played[-1]) + 1 if len(played) else 0
        self.bonus = {
            part: sampling.density[part] * is_onset(name).to(tokens.device)
            for part, name in enumerate(PARTS)
            if sampling.density[part]
        }

    def now(self, cut: Callable[[Tensor], Tensor]) -> _Now:
        """The steps that `cut` leaves of (rows, steps, ...)."""
        own, uniform, log_odds = self._all
        return _Now(cut(own), cut(uniform), {part: cut(odds) for part, odds in log_odds.items()})

    def seen(self, past: Tensor) -> Tensor:
        """What the stepper is to know of the past (rows, n, 3)."""
        guided = self.sampling.guidance != 1
        return torch.cat([past, _unconditional(past)]) if guided else past


def _play(stepper: Stepper, song: _Song, most: int) -> None:
    """Play a song, at most so many steps at a time, by drafts of them."""
    tokens, first = song.tokens, 0
    while first < song.stop:
        steps = slice(first, min(first + most, tokens.shape[1]))
        now = song.now(itemgetter((slice(None), steps)))
        given = tokens[:, steps]
        drafts = torch.where(now.own, draft(tokens, range(first, steps.stop)), given)
        past = torch.cat([tokens[:, max(first - 1, 0), None], drafts[:, :-1]], 1)
        stepper.look(song.seen(past))
        drawn, costs = _draw_parts(stepper, song, drafts, now, _parts_of(now.own))
        kept = as_drafted(drawn, drafts)
        given[:, :kept] = drawn[:, :kept]
        song.nats[:, steps][:, :kept] = costs[:, :kept]
        stepper.keep(kept)
        first += kept


def _play_fixed(stepper: FixedStepper, song: _Song) -> None:
    """Play a song one step at a time; on CUDA, by replays of a graph of one step."""
    tokens, at, parts = song.tokens, stepper.at, _parts_of(song.hidden)
    recorder = dispatch.recorder(tokens.device)

    def step() -> None:
        stepper.look(song.seen(tokens.index_select(1, (at - 1).clamp(min=0))))
        now = song.now(lambda each: each.index_select(1, at))
        drawn, costs = _draw_parts(stepper, song, tokens.index_select(1, at), now, parts)
        tokens.index_copy_(1, at, drawn)
        song.nats.index_copy_(1, at, costs)
        stepper.keep(1)

    for first in range(0, song.stop, _SEEN):
        last = min(first + _SEEN, song.stop)
        stepper.see(last)
        steps = Steps(step, recorder)
        for _ in range(first, last):
            steps()
        if recorder is not None:
            recorder.finish()


def _parts_of(hidden: Tensor) -> list[int]:
    """The parts of which anything is hidden."""
    return [part for part in range(len(PARTS)) if bool(hidden[..., part].any())]


def _draw_parts(
    stepper: Stepper, song: _Song, drafts: Tensor, now: _Now, parts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """What is played at the steps that the stepper looks at, part after part, and what it costs.

    Args:
        drafts: (rows, n, 3), of which what is given stays.
        now: these steps.
        parts: what `now` has of others is not drawn.
    """
    sampling = song.sampling
    drawn, costs = drafts.clone(), torch.zeros(drafts.shape, device=drafts.device)
    guided, rows = sampling.guidance != 1, len(drafts)
    for part in parts:
        seen = torch.cat([drawn, _unconditional(drawn, part)]) if guided else drawn
        every_logs = stepper.logits(part, seen).log_softmax(-1)
        logs = weighed = every_logs[:rows]
        if guided:
            others = every_logs[rows:]
            weighed = others + sampling.guidance * (logs - others)
        if part in song.bonus:
            weighed = weighed + song.bonus[part]
        if part in now.log_odds:
            weighed = weighed + now.log_odds[part]
        heat = sampling.temperatures[part]
        classes = draw(weighed, now.uniform[..., part, None], heat, sampling.top_p)
        cost = -logs.gather(-1, classes)[..., 0]
        own = now.own[..., part]
        drawn[..., part] = torch.where(own, classes[..., 0], drawn[..., part])
        costs[..., part] = torch.where(own, cost, 0)
    return drawn, costs


def draw(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """Draw a class each.

    Args:
        logits: (..., depth).
        uniform: (..., 1) numbers from 0 to 1 that decide, likely classes being low.
        temperature, top_p: see :class:`Sampling`.

    Returns:
        (..., 1) int64.
    """
    if not temperature:
        return logits.argmax(-1, keepdim=True)
    probabilities, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
    total = probabilities.cumsum(-1)
    last = (total - probabilities < top_p).sum(-1, keepdim=True) - 1
    rank = (total <= uniform * total.gather(-1, last)).sum(-1, keepdim=True)
    return order.gather(-1, torch.minimum(rank, last))


def _hidden(given: Tensor, absent: Sequence[str]) -> Tensor:
    """(rows, steps, 3) bool, what is to be played; for the errors see :func:`sample`."""
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


def _uniform(seed: int, numbers: Sequence[int], steps: int) -> Tensor:
    """(rows, steps, 3) numbers from 0 to 1, those of a candidate its own."""
    drawn = {
        number: np.random.default_rng([seed % 2**64, number]).random((steps, len(PARTS)))
        for number in set(numbers)
    }
    return torch.from_numpy(np.stack([drawn[number] for number in numbers])).float()


def _with_unconditional(controls: Controls, rows: int) -> Controls:
    """The controls of each row, then those of as many unconditional rows, without chords."""

    def twice(said: Tensor | None) -> Tensor | None:
        return None if said is None else torch.cat([said.expand(rows, *said.shape[1:])] * 2)

    chords = twice(controls.chords)
    if chords is not None:
        chords[rows:] = HIDDEN
    return Controls(chords, twice(controls.density), twice(controls.style))


def is_onset(part: str) -> Tensor:
    """(depth,) 1 for the part's classes that begin a note, or strike a drum; else 0."""
    first = 1 if part == "drums" else FIRST_NOTE
    return (torch.arange(DEPTHS[PARTS.index(part)]) >= first).float()


def _unconditional(tokens: Tensor, part: int | None = None) -> Tensor:
    """The tokens (rows, n, 3) of the unconditional rows: no melody, and for the drums no bass."""
    tokens = tokens.clone()
    tokens[..., _MELODY] = HIDDEN
    if part == _DRUMS:
        tokens[..., _BASS] = NO_EVENT
    return tokens
