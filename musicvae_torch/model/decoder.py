"""Decoders: latent → logits under teacher forcing, or samples fed back step by step.

Magenta modules reproduced: ``lstm_models.BaseLstmDecoder`` and its kinds (categorical,
multi-output, NADE, groove), ``SplitMultiOutLstmDecoder`` and ``HierarchicalLstmDecoder`` (no
autoregression between levels).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.kernels.gemm import linear
from musicvae_torch.kernels.stepper import Stepper
from musicvae_torch.model.heads import CategoricalHead, Head, build_head, widen
from musicvae_torch.model.lstm import InitialState, LSTMStack, State
from musicvae_torch.model.terms import Term, cut, delay, densify, term_shape

_LEAST_CHANCE = 0.1  # of a hit: what a groove says of hits that it finds less likely is noise


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
    """The autoregressive LSTM of one part, or of all together, over a segment."""

    def __init__(
        self, head: Head, control_depth: int, embedding_size: int, units: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.control_depth = control_depth
        self.initial_state = InitialState(embedding_size, units)
        self.layers = LSTMStack(sum(head.depths) + embedding_size + control_depth, units)
        self.output = nn.Linear(units[-1], head.logit_depth)
        self.head = head
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, previous: Sequence[Term], embedding: Tensor, controls: Tensor) -> Tensor:
        """Logits of a segment whose previous tokens are known.

        Args:
            previous: each step's preceding token, a term of (batch, steps) for each part.
            embedding: (batch, embedding_size), seen at every step.
            controls: (batch, steps, control_depth), possibly of depth 0.

        Returns:
            (batch, steps, logit_depth of the head)
        """
        terms = [*previous, embedding.unsqueeze(1), controls]
        outputs = self.layers(terms, self.initial_state(embedding))
        return linear(outputs, self.output.weight, self.output.bias)

    def feed_back(
        self,
        previous: Sequence[Term],
        embedding: Tensor,
        controls: Tensor,
        chance: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """:meth:`forward`, but that each step after the first reads, with a chance of its own in
        each example, a sample of the step before in place of the true token.

        No gradient flows through what is drawn; through a groove's velocities and offsets, which
        are not drawn, it does.
        """
        truth = densify(previous).to(embedding)
        states, tokens = self.initial_state(embedding), truth[:, 0]
        logits: list[Tensor] = []
        for step in range(truth.shape[1]):
            if step:
                sample = self.head.sample(logits[-1], self.head.feedback_temperature, generator)
                chances = embedding.new_full((len(embedding), 1), chance)
                own = torch.bernoulli(chances, generator=generator).bool()
                tokens = torch.where(own, sample, truth[:, step])
            scores, states = self.step(tokens, embedding, controls[:, step], states)
            logits.append(scores)
        return torch.stack(logits, dim=1)

    def step(
        self, previous: Tensor, embedding: Tensor, control: Tensor, states: list[State]
    ) -> tuple[Tensor, list[State]]:
        """One step of :meth:`forward`: previous (batch, depth) → logits (batch, logit_depth),
        states."""
        inputs = torch.cat([previous, embedding, control], dim=-1)
        hidden, states = self.layers.step(inputs, states)
        return self.output(hidden), states


class Decoder(nn.Module):
    """Core decoders that restart in every segment on its embedding.

    A hierarchical decoder's embeddings are its conductor's; a flat one has a single segment, of
    any length, whose embedding is the latent itself.
    """

    def __init__(self, config: MusicVAEConfig) -> None:
        super().__init__()
        units = config.dec_rnn_size
        self.conductor: Conductor | None = None
        embedding_size = config.z_size
        self.segments, self.segment_steps = 1, None
        if config.decoder_level_lengths:
            self.segments, self.segment_steps = config.decoder_level_lengths
            self.conductor = Conductor(config.z_size, units)
            embedding_size = units[-1]
        heads = [
            build_head(config.output, depths, config.nade_num_hidden)
            for depths in config.core_depths
        ]
        self.cores = nn.ModuleList(
            CoreDecoder(head, config.control_depth, embedding_size, units) for head in heads
        )

    @property
    def logit_depth(self) -> int:
        """Width of one step's logits: all cores side by side."""
        return sum(core.head.logit_depth for core in self._cores())

    def teacher_force(
        self,
        z: Tensor,
        targets: Sequence[Term],
        controls: Tensor,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits of every step, given the true steps before it.

        Args:
            z: (batch, z_size).
            targets: a term of (batch, steps) for each part; a hierarchical decoder wants
                steps = segments * segment_steps.
            controls: (batch, steps, control_depth).
            sampling: chance that a step is given a sample of the step before instead. The first
                step of a segment always has the true one, as in Magenta.
            generator: source of randomness of that, on z's device; None: torch's own.

        Returns:
            (batch, steps, logit_depth)
        """
        _, steps = term_shape(targets[0])
        every = set(range(len(targets)))
        forced = self._force(self.embed(z), targets, controls, every, sampling, generator)
        logits = [logits for _, _, logits in forced]
        return torch.cat(logits, dim=-1).view(len(z), steps, self.logit_depth)

    def part_nll(
        self, embeddings: Tensor, targets: Sequence[Term], controls: Tensor, parts: Sequence[int]
    ) -> Tensor:
        """What :meth:`losses` makes of the logits of :meth:`teacher_force`, for some parts alone;
        only the cores that play one of them run.

        Args:
            embeddings: (batch, segments, embedding_size), as :meth:`embed` gives them, or of any
                other number of segments.
            targets, controls: as for :meth:`teacher_force`.
            parts: indices, in the order that the result is to have.

        Returns:
            (batch, steps, len(parts))
        """
        batch, steps = term_shape(targets[0])
        columns: dict[int, Tensor] = {}
        for core, own, logits in self._force(embeddings, targets, controls, set(parts)):
            rows = widen(logits).view(batch, steps, core.head.logit_depth)
            losses = core.head.losses(rows, [targets[part] for part in own])
            columns |= zip(own, losses.unbind(-1), strict=True)
        return torch.stack([columns[part] for part in parts], dim=-1)

    def _force(
        self,
        embeddings: Tensor,
        targets: Sequence[Term],
        controls: Tensor,
        parts: set[int],
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Iterator[tuple[CoreDecoder, range, Tensor]]:
        """Run the cores that play one of `parts`: each with the parts it plays and its logits
        (batch * segments, segment_steps, logit_depth of its head)."""
        segment_steps = term_shape(targets[0])[1] // embeddings.shape[1]
        embeddings = embeddings.flatten(0, 1)
        control_segments = cut(controls, segment_steps)
        assert isinstance(control_segments, Tensor)
        for core, own in self._cores_of(parts):
            # Shifted before it is cut, so that a segment begins on the token that ended the last.
            previous = [cut(delay(targets[part]), segment_steps) for part in own]
            if sampling > 0:
                logits = core.feed_back(previous, embeddings, control_segments, sampling, generator)
            else:
                logits = core(previous, embeddings, control_segments)
            yield core, own, logits

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        """Negative log-likelihood of each part at each step, in nats.

        Args:
            logits: (batch, steps, logit_depth).
            targets: as for :meth:`teacher_force`.

        Returns:
            (batch, steps, parts)
        """
        heads = [core.head for core in self._cores()]
        truth = iter(targets)
        losses = [
            head.losses(part, list(islice(truth, len(head.depths))))
            for head, part in zip(
                heads, widen(logits).split([head.logit_depth for head in heads], -1), strict=True
            )
        ]
        return torch.cat(losses, dim=-1)

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
            length: steps; for a hierarchical decoder at most segments * segment_steps.
            temperature: divides the logits; 0 takes the likeliest token.
            controls: (batch, at least length, control_depth).
            generator: source of randomness, on z's device.

        Returns:
            (batch, length, output_depth), a row for each part at every step.
        """
        cores = self._cores()
        stepper = self._stepper(cores, self.embed(z), self.segment_steps or length, controls)
        tokens: list[Tensor] | None = None
        played: list[list[Tensor]] = []
        for _ in range(length):
            drawn = zip(cores, stepper.step(tokens), strict=True)
            tokens = [core.head.draw(logits, temperature, generator) for core, logits in drawn]
            played.append(tokens)
        rows = [
            core.head.rows(torch.stack(own, dim=1))
            for core, own in zip(cores, zip(*played, strict=True), strict=True)
        ]
        return torch.cat(rows, dim=-1).to(z)

    def sample_segments(
        self,
        embeddings: Tensor,
        temperatures: Sequence[float],
        places: Tensor,
        parts: Sequence[int],
    ) -> Tensor:
        """Sample the segments of any embeddings, of some parts alone, with given chance.

        As :meth:`decode` of one latent, but that the segments may be as many as one likes, and of
        several latents: a song of any length, in which nothing tells where a window ends. Cores
        that play none of the parts do not run.

        Args:
            embeddings: (batch, segments, embedding_size).
            temperatures: one for each of all parts.
            places: (batch, steps, all parts), steps a multiple of segments; see
                :meth:`CategoricalHead.place`.
            parts: indices, in the order that the result is to have.

        Returns:
            (batch, steps, len(parts)) int64 classes.
        """
        steps = places.shape[1]
        segment_steps = steps // embeddings.shape[1]
        cores, places_of = zip(*self._cores_of(parts), strict=True)
        no_controls = embeddings.new_zeros(len(embeddings), steps, 0)
        stepper = self._stepper(cores, embeddings, segment_steps, no_controls)
        tokens: list[Tensor] | None = None
        played: list[Tensor] = []
        for step in range(steps):
            tokens = [
                cast(CategoricalHead, core.head).place(
                    logits, [temperatures[part] for part in own], places[:, step, own]
                )
                for core, own, logits in zip(cores, places_of, stepper.step(tokens), strict=True)
            ]
            played.append(torch.cat(tokens, dim=-1))
        columns = [part for own in places_of for part in own]
        return torch.stack(played, dim=1)[..., [columns.index(part) for part in parts]]

    def velocities_and_offsets(self, z: Tensor, hits: Tensor, controls: Tensor) -> Tensor:
        """What a groove's decoder makes of hits that are given: each step reads the hits of the
        step before with the velocities and offsets that it gave them itself.

        Args:
            z: (batch, z_size).
            hits: (batch, steps, drums) of 0 and 1.
            controls: (batch, steps, control_depth).

        Returns:
            (batch, steps, 3 * drums): the chance of each hit, and of a hit its velocity (0 to 1)
            and offset (-1 to 1).
        """
        stepper = self._stepper(self._cores(), self.embed(z), hits.shape[1], controls)
        previous: Tensor | None = None
        rows = []
        for step in range(hits.shape[1]):
            (logits,) = stepper.step(None if previous is None else [previous])
            chances, velocities, offsets = logits.chunk(3, dim=-1)
            chances = torch.sigmoid(chances)
            # Trained by squared error, with 0 where a drum is not struck, the network's values
            # are chance times value.
            certain = chances.clamp(min=_LEAST_CHANCE)
            played = [
                (torch.sigmoid(velocities) / certain).clamp(max=1),
                (torch.tanh(offsets) / certain).clamp(-1, 1),
            ]
            rows.append(torch.cat([chances, *played], dim=-1))
            struck = hits[:, step]
            previous = torch.cat([struck, *(struck * values for values in played)], dim=-1)
        return torch.stack(rows, dim=1)

    def _stepper(
        self,
        cores: Sequence[CoreDecoder],
        embeddings: Tensor,
        segment_steps: int,
        controls: Tensor,
    ) -> Stepper:
        """Cores about to play segments of these embeddings (batch, segments, embedding_size)."""
        stepper = Stepper(
            [core.layers for core in cores],
            [core.output for core in cores],
            [core.head.depths for core in cores],
            cores[0].control_depth,
            isinstance(cores[0].head, CategoricalHead),
        )
        states = [core.initial_state(embeddings) for core in cores]
        stepper.start(embeddings, states, segment_steps, controls)
        return stepper

    def embed(self, z: Tensor) -> Tensor:
        """One embedding a segment: z (batch, z_size) → (batch, segments, embedding_size)."""
        return z.unsqueeze(1) if self.conductor is None else self.conductor(z, self.segments)

    def _cores_of(self, parts: Collection[int]) -> Iterator[tuple[CoreDecoder, range]]:
        """The cores that play one of `parts`, each with all the parts it plays."""
        first = 0
        for core in self._cores():
            own = range(first, first + len(core.head.depths))
            first = own.stop
            if not set(parts).isdisjoint(own):
                yield core, own

    def _cores(self) -> list[CoreDecoder]:
        return cast(list[CoreDecoder], list(self.cores))
