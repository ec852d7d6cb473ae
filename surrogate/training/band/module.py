"""Training a band, with Lightning.

By hand::

    options = TrainingOptions(batch_size=16, steps=20_000, optimizer="muon")
    data = BandDataModule.read(["data.h5"], None, options, MaskingOptions(), config.style_size)
    module = BandTraining(config, options)
    best = fit(module, data, options, "work")
    load_best(module, best)
    module.band.save_pretrained("my_band")
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.converters.trio import WINDOW_BARS
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.training import ScheduledTraining, TrainingOptions
from surrogate.band.attention import Block
from surrogate.band.config import BandConfig
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.encoder.model import SurrogateEncoder
from surrogate.training.band.data import BandBatch
from surrogate.training.band.masking import MELODY
from surrogate.training.encoder.module import NOISE, batch_draws

_BAND = ("bass", "drums")
LISTENER_SHARE = 0.3


def token_losses(band: Band, batch: BandBatch, style: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """Nats of the hidden tokens of each part.

    Returns:
        For each part the steps that are hidden, (tokens,), counted through the whole batch; and
        their nats, (tokens,).
    """
    controls = Controls(batch.chords, batch.density, style)
    _, hidden = band.hidden_states(batch.given, batch.past, controls)
    return losses_from(band, hidden, batch)


def losses_from(band: Band, hidden: Tensor, batch: BandBatch) -> list[tuple[Tensor, Tensor]]:
    """Nats of the hidden tokens from the heads' input, (batch, steps, width); see
    :func:`token_losses`."""
    hidden = hidden.flatten(0, 1)
    tokens = batch.tokens.flatten(0, 1)
    asked = ((batch.given == HIDDEN) & (batch.tokens != HIDDEN)).flatten(0, 1)
    losses = []
    for index, part in enumerate(PARTS):
        rows = asked[:, index].nonzero()[:, 0]
        # If no step is hidden the loss is empty; gradients are then zero, not missing.
        logits = band.heads[part](hidden[rows], tokens[rows])
        nats = functional.cross_entropy(logits.float(), tokens[rows, index], reduction="none")
        losses.append((rows, nats))
    return losses


class BandTraining(ScheduledTraining):
    """Trains a band network to predict the hidden parts.

    The loss is the nats of all hidden tokens, by the steps of the batch, and an auxiliary loss for
    the listener: LISTENER_SHARE of their nats from its output alone, without the player. (Without
    that loss it learns next to nothing, as the past predicts more and is learnt sooner.)
    Batches are those of :class:`surrogate.training.band.data.BandDataModule`.

    Args:
        config: sizes of the band.
        options: how to train.
        band: to go on from; None: a new one.
        surrogate: predicts styles from melodies, frozen; None: where such a style is wanted there
            is none.
        compiled: whether to compile the blocks with ``torch.compile``.
    """

    def __init__(
        self,
        config: BandConfig,
        options: TrainingOptions,
        band: Band | None = None,
        surrogate: SurrogateEncoder | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(options)
        self._compiled = compiled
        self.band = (Band(config) if band is None else band).train()
        # In a list, so that the frozen network is neither trained nor stored.
        self._frozen = [] if surrogate is None else [surrogate.eval().requires_grad_(False)]

    def on_fit_start(self) -> None:
        for surrogate in self._frozen:
            surrogate.to(self.device)
        if self._compiled:
            for block in self.modules():
                if isinstance(block, Block):
                    block.compile()

    def matrices(self) -> list[Tensor]:
        return self.band.matrices()

    def styles(self, batch: BandBatch, index: int) -> Tensor:
        """(batch, 1, style_size): those of the batch, and what the surrogate predicts from the
        first 16 bars of a melody where that is wanted: its mean, or as likely a sample."""
        style, rows = batch.style, batch.wants_melody_style.nonzero()[:, 0]
        if self._frozen and len(rows):
            rng = batch_draws(self, NOISE, index)
            noise = rng.standard_normal((len(rows), style.shape[1]), np.float32)
            noise *= rng.integers(0, 2, (len(rows), 1))
            tokens = batch.tokens[rows, : WINDOW_BARS * STEPS_PER_BAR]
            with torch.no_grad():
                predicted = self._frozen[0].posterior(tokens, PARTS[MELODY : MELODY + 1])
            sample = predicted.mean + predicted.stddev * torch.from_numpy(noise).to(style)
            style = style.index_copy(0, rows, sample.to(style))
        return style[:, None]

    def training_step(self, batch: BandBatch, index: int) -> Tensor:
        controls = Controls(batch.chords, batch.density, self.styles(batch, index))
        states = self.band.hidden_states(batch.given, batch.past, controls)
        listener, total = (_total(losses_from(self.band, own, batch), batch) for own in states)
        self.log("train/nats", total, prog_bar=True, batch_size=len(batch.tokens))
        self.log("train/nats_listener", listener, batch_size=len(batch.tokens))
        return total + LISTENER_SHARE * listener

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        (tokens,) = batch
        losses = token_losses(self.band, melody_given(tokens), None)
        size, steps = tokens.shape[0], tokens.shape[1]
        scores: dict[str, Tensor] = {}
        by_bar = torch.zeros(steps // STEPS_PER_BAR, device=tokens.device)
        for part, (_rows, nats) in zip(PARTS, losses, strict=True):
            if part in _BAND:  # all of whose tokens are asked
                scores[f"val/nats_{part}"] = nats.mean()
                by_bar += nats.view(size, -1, STEPS_PER_BAR).mean((0, 2))
        scores |= {f"val/nats_bar_{bar:02}": nats for bar, nats in enumerate(by_bar.unbind(), 1)}
        self.log_dict(scores, batch_size=size, sync_dist=True)
        self.log("val/nats", by_bar.mean(), prog_bar=True, batch_size=size, sync_dist=True)

    def record(self) -> dict[str, Any]:
        """Facts of the training that are not in its options, as plain JSON data."""
        return {"styles_from_melodies": bool(self._frozen)}


def _total(losses: list[tuple[Tensor, Tensor]], batch: BandBatch) -> Tensor:
    """Nats of all tokens, by the steps of the batch: ()."""
    steps = batch.tokens.shape[0] * batch.tokens.shape[1]
    return torch.stack([nats.sum() for _rows, nats in losses]).sum() / steps


def melody_given(tokens: Tensor) -> BandBatch:
    """The windows (batch, steps, 3) with their melodies given, and nothing else said."""
    given = torch.full_like(tokens, HIDDEN)
    given[..., MELODY] = tokens[..., MELODY]
    return BandBatch(
        tokens=tokens,
        given=given,
        past=tokens,
        chords=torch.full_like(tokens[..., 0], HIDDEN),
        density=torch.full_like(tokens, HIDDEN),
        style=tokens.new_zeros(len(tokens), 1, dtype=torch.float32),
        wants_melody_style=tokens.new_zeros(len(tokens), dtype=torch.bool),
    )
