"""Decoders: latent → logits under teacher forcing, or samples fed back step by step.

Magenta modules reproduced: ``lstm_models.HierarchicalLstmDecoder`` (no autoregression between
levels), ``SplitMultiOutLstmDecoder`` and ``CategoricalLstmDecoder``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.heads import sample_categorical
from musicvae_torch.lstm import InitialState, LSTMStack, State, Term, cut, delay


class Conductor(nn.Module):
    """From a latent, one embedding for each segment (bar) of the window."""

    def __init__(self, z_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.initial_state = InitialState(z_size, units)
        self.layers = LSTMStack(1, units)

    def forward(self, z: Tensor, segments: int) -> Tensor:
        """z (batch, z_size) → (batch, segments, units of the top layer)."""
        # Its start state alone drives the conductor: the input is one zero a step.
        silence = z.new_zeros(z.shape[0], segments, 1)
        return self.layers([silence], self.initial_state(z))


class CoreDecoder(nn.Module):
    """One part's autoregressive LSTM over a segment, with its output projection."""

    def __init__(
        self, depth: int, control_depth: int, embedding_size: int, units: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.initial_state = InitialState(embedding_size, units)
        self.layers = LSTMStack(depth + embedding_size + control_depth, units)
        self.output = nn.Linear(units[-1], depth)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, previous: Term, embedding: Tensor, controls: Tensor) -> Tensor:
        """Logits of a segment whose previous tokens are known.

        Args:
            previous: (batch, steps, depth), each step's preceding token.
            embedding: (batch, embedding_size), seen at every step.
            controls: (batch, steps, control_depth), possibly of depth 0.

        Returns:
            (batch, steps, depth)
        """
        terms = [previous, embedding.unsqueeze(1), controls]
        return self.output(self.layers(terms, self.initial_state(embedding)))

    def step(
        self, previous: Tensor, embedding: Tensor, control: Tensor, states: list[State]
    ) -> tuple[Tensor, list[State]]:
        """One step of :meth:`forward`: previous (batch, depth) → logits (batch, depth), states."""
        inputs = torch.cat([previous, embedding, control], dim=-1)
        hidden, states = self.layers.step(inputs, states)
        return self.output(hidden), states


class HierarchicalDecoder(nn.Module):
    """A conductor and, for each part, a core decoder that restarts in every segment."""

    def __init__(self, config: MusicVAEConfig) -> None:
        super().__init__()
        self.depths = config.output_depths
        self.segments, self.segment_steps = config.decoder_level_lengths
        units = config.dec_rnn_size
        self.conductor = Conductor(config.z_size, units)
        self.cores = nn.ModuleList(
            CoreDecoder(depth, config.control_depth, units[-1], units) for depth in self.depths
        )

    def teacher_force(self, z: Tensor, targets: Sequence[Term], controls: Tensor) -> Tensor:
        """Logits of every step, given the true steps before it.

        Args:
            z: (batch, z_size).
            targets: a term of (batch, steps) for each part, steps = segments * segment_steps.
            controls: (batch, steps, control_depth).

        Returns:
            (batch, steps, output_depth)
        """
        embeddings = self.conductor(z, self.segments).flatten(0, 1)
        control_segments = cut(controls, self.segment_steps)
        # Shifted before it is cut, so that a segment begins on the token that ended the last one.
        logits = [
            core(cut(delay(part), self.segment_steps), embeddings, control_segments)
            for core, part in zip(self.cores, targets, strict=True)
        ]
        steps = self.segments * self.segment_steps
        return torch.cat(logits, dim=-1).view(len(z), steps, sum(self.depths))

    def decode(
        self,
        z: Tensor,
        length: int,
        temperature: float,
        controls: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Sample `length` steps, each fed back as the next step's input.

        Args:
            z: (batch, z_size).
            length: steps, at most segments * segment_steps.
            temperature: divides the logits; 0 takes the likeliest token.
            controls: (batch, at least length, control_depth).
            generator: source of randomness, on z's device.

        Returns:
            (batch, length, output_depth), a one-hot row for each part at every step.
        """
        cores = cast(list[CoreDecoder], list(self.cores))
        embeddings = self.conductor(z, self.segments).unbind(1)
        tokens = [z.new_zeros(z.shape[0], depth) for depth in self.depths]
        rows: list[Tensor] = []
        for step in range(length):
            embedding = embeddings[step // self.segment_steps]
            if step % self.segment_steps == 0:
                states = [core.initial_state(embedding) for core in cores]
            for part, core in enumerate(cores):
                logits, states[part] = core.step(
                    tokens[part], embedding, controls[:, step], states[part]
                )
                choice = sample_categorical(logits, temperature, generator)
                tokens[part] = functional.one_hot(choice, self.depths[part]).to(z)
            rows.append(torch.cat(tokens, dim=-1))
        return torch.stack(rows, dim=1)
