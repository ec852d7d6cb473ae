"""Decoders: latent → logits under teacher forcing, or samples fed back step by step.

Magenta modules reproduced: ``lstm_models.BaseLstmDecoder`` and its kinds (categorical,
multi-output, NADE, groove), ``SplitMultiOutLstmDecoder`` and ``HierarchicalLstmDecoder`` (no
autoregression between levels).

Shape names: B batch, S segments, T steps, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.kernels import dispatch
from musicvae_torch.model.heads import CategoricalHead, Head, build_head, sample_bits, widen
from musicvae_torch.model.lstm import InitialState, LSTMStack
from musicvae_torch.model.terms import State, Term, cut, delay, densify, term_shape

# Velocities and offsets of hits that are less probable than this are noise.
_LEAST_PROBABILITY = 0.1


def _certain_hits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities of a step's hits, and the velocities and offsets that they have if they are
    struck, (B, drums) each. Trained by squared error, with 0 where a drum is not struck, the
    network's own values are probability times value."""
    scores, velocities, offsets = logits.chunk(3, dim=-1)
    probabilities = torch.sigmoid(scores)
    certain = probabilities.clamp(min=_LEAST_PROBABILITY)
    velocities = (torch.sigmoid(velocities) / certain).clamp(max=1)
    offsets = (torch.tanh(offsets) / certain).clamp(-1, 1)
    return probabilities, velocities, offsets


class Conductor(nn.Module):
    """From a latent, one embedding for each segment (bar) of the window."""

    def __init__(self, z_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.initial_state = InitialState(z_size, units)
        self.layers = LSTMStack(1, units)

    def forward(self, z: Tensor, segments: int) -> Tensor:
        """z (B, z_size) → (B, S, units of the top layer)."""
        # Its start state alone drives the conductor: the input is one zero a step.
        zeros = z.new_zeros(z.shape[0], segments, 1)
        embeddings: Tensor = self.layers([zeros], self.initial_state(z))
        return embeddings


class CoreDecoder(nn.Module):
    """The autoregressive LSTM of one part, or of all together, over a segment."""

    def __init__(
        self, head: Head, control_depth: int, embedding_size: int, units: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.initial_state = InitialState(embedding_size, units)
        self.layers = LSTMStack(sum(head.depths) + embedding_size + control_depth, units)
        self.output = nn.Linear(units[-1], head.logit_depth)
        self.head = head
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, previous: Sequence[Term], embedding: Tensor, controls: Tensor) -> Tensor:
        """Logits (B, T, logit_depth) of a segment whose tokens are known.

        Args:
            previous: the token before each step, a term of (B, T) for each part.
            embedding: (B, E), read at every step.
            controls: (B, T, control_depth), possibly of depth 0.
        """
        terms = [*previous, embedding.unsqueeze(1), controls]
        outputs = self.layers(terms, self.initial_state(embedding))
        return dispatch.linear(outputs, self.output.weight, self.output.bias)

    def feed_back(
        self,
        previous: Sequence[Term],
        embedding: Tensor,
        controls: Tensor,
        probability: float,
        generator: Generator | None,
    ) -> Tensor:
        """:meth:`forward` with scheduled sampling: with a probability, each step of each example
        but the first reads a sample of the step before, not the true token. No gradient flows
        through samples, except through a groove's velocities and offsets, which are not drawn."""
        truth = densify(previous).to(embedding)  # (B, T, depth)
        states, tokens = self.initial_state(embedding), truth[:, 0]
        logits: list[Tensor] = []
        for step in range(truth.shape[1]):
            if step:
                sample = self.head.sample(logits[-1], self.head.feedback_temperature, generator)
                probabilities = embedding.new_full((len(embedding), 1), probability)
                own = torch.bernoulli(probabilities, generator=generator).bool()
                tokens = torch.where(own, sample, truth[:, step])
            scores, states = self.step(tokens, embedding, controls[:, step], states)
            logits.append(scores)
        return torch.stack(logits, dim=1)

    def step(
        self, previous: Tensor, embedding: Tensor, control: Tensor, states: list[State]
    ) -> tuple[Tensor, list[State]]:
        """One step of :meth:`forward`: previous (B, depth) → logits (B, logit_depth), states."""
        hidden, states = self.layers.step(torch.cat([previous, embedding, control], -1), states)
        return self.output(hidden), states


class Decoder(nn.Module):
    """Core decoders that restart in every segment on its embedding: one of the conductor's, or, in
    a flat decoder, whose only segment is of any length, the latent itself."""

    def __init__(self, config: MusicVAEConfig) -> None:
        super().__init__()
        units = config.dec_rnn_size
        self.segment_steps: int | None
        self.segments, self.segment_steps = config.decoder_level_lengths or (1, None)
        self.conductor = Conductor(config.z_size, units) if config.decoder_level_lengths else None
        embedding_size = units[-1] if self.conductor else config.z_size
        heads = [build_head(config, depths) for depths in config.core_depths]
        self.cores = nn.ModuleList(
            CoreDecoder(head, config.control_depth, embedding_size, units) for head in heads
        )

    @property
    def logit_depth(self) -> int:
        """Width of one step's logits: all cores side by side."""
        return sum(core.head.logit_depth for core in self._cores())

    def embed(self, z: Tensor) -> Tensor:
        """One embedding a segment: z (B, z_size) → (B, S, E)."""
        return z.unsqueeze(1) if self.conductor is None else self.conductor(z, self.segments)

    def teacher_force(
        self,
        z: Tensor,
        targets: Sequence[Term],
        controls: Tensor,
        sampling: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """:meth:`musicvae_torch.MusicVAE.teacher_force` of targets that are a term of (B, T) for
        each part: (B, T, logit_depth)."""
        batch, steps = term_shape(targets[0])
        every = range(len(targets))
        forced = self._force(self.embed(z), targets, controls, every, sampling, generator)
        logits = torch.cat([logits for _, _, logits in forced], dim=-1)
        return logits.view(batch, steps, self.logit_depth)

    def part_nll(
        self, embeddings: Tensor, targets: Sequence[Term], controls: Tensor, parts: Sequence[int]
    ) -> Tensor:
        """:meth:`losses` under teacher forcing of some parts, (B, T, len(parts)), without running
        the cores that play none of them. There may be any number of embeddings (B, S, E)."""
        batch, steps = term_shape(targets[0])
        columns: dict[int, Tensor] = {}
        for core, own, logits in self._force(embeddings, targets, controls, parts):
            rows = widen(logits).view(batch, steps, core.head.logit_depth)
            losses = core.head.losses(rows, [targets[part] for part in own])
            columns |= zip(own, losses.unbind(-1), strict=True)
        return torch.stack([columns[part] for part in parts], dim=-1)

    def _force(
        self,
        embeddings: Tensor,
        targets: Sequence[Term],
        controls: Tensor,
        parts: Collection[int],
        sampling: float = 0.0,
        generator: Generator | None = None,
    ) -> Iterator[tuple[CoreDecoder, range, Tensor]]:
        """Run the cores that play one of `parts`: each with the parts it plays and its logits
        (B * S, T / S, logit_depth of its head)."""
        segment_steps = term_shape(targets[0])[1] // embeddings.shape[1]
        embeddings = embeddings.flatten(0, 1)  # (B * S, E)
        controls = cast(Tensor, cut(controls, segment_steps))
        for core, own in self._cores_of(parts):
            # Shifted before it is cut, so that a segment begins on the token that ended the last.
            previous = [cut(delay(targets[part]), segment_steps) for part in own]
            if sampling > 0:
                logits = core.feed_back(previous, embeddings, controls, sampling, generator)
            else:
                logits = core(previous, embeddings, controls)
            yield core, own, logits

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        """Negative log-likelihood of each part at each step, in nats: logits (B, T, logit_depth) →
        (B, T, parts)."""
        depths = [core.head.logit_depth for core in self._cores()]
        own_logits = torch.split(widen(logits), depths, dim=-1)
        pairs = zip(self._cores_of(range(len(targets))), own_logits, strict=True)
        losses = [
            core.head.losses(rows, targets[own.start : own.stop]) for (core, own), rows in pairs
        ]
        return torch.cat(losses, dim=-1)

    def decode(
        self,
        z: Tensor,
        length: int,
        temperature: float,
        controls: Tensor,
        generator: Generator | None,
    ) -> Tensor:
        """See :meth:`musicvae_torch.MusicVAE.decode`."""
        cores = self._cores()

        def draw(_: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            pairs = zip(cores, logits, strict=True)
            drawn = [core.head.draw(own, temperature, generator) for core, own in pairs]
            return drawn, drawn

        steps, nothing = self.segment_steps or length, z.new_zeros(len(z), length, 0)
        tokens = self._roll_out(cores, self.embed(z), steps, controls, nothing, draw, generator)
        rows = [core.head.rows(own) for core, own in zip(cores, tokens, strict=True)]
        return torch.cat(rows, dim=-1).to(z)

    def sample_segments(
        self,
        embeddings: Tensor,
        temperatures: Sequence[float],
        uniforms: Tensor,
        parts: Sequence[int],
    ) -> Tensor:
        """See :meth:`musicvae_torch.MusicVAE.sample_segments`."""
        steps, segments = uniforms.shape[1], embeddings.shape[1]
        cores, parts_of = zip(*self._cores_of(parts), strict=True)

        def draw(row: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            drawn = [
                cast(CategoricalHead, core.head).inverse_cdf_sample(
                    scores, [temperatures[part] for part in own], row[:, own.start : own.stop]
                )
                for core, own, scores in zip(cores, parts_of, logits, strict=True)
            ]
            return drawn, drawn

        no_controls = embeddings.new_zeros(len(embeddings), steps, 0)
        tokens = self._roll_out(cores, embeddings, steps // segments, no_controls, uniforms, draw)
        columns = [part for own in parts_of for part in own]
        return torch.cat(tokens, dim=-1)[..., [columns.index(part) for part in parts]]

    def velocities_and_offsets(self, z: Tensor, hits: Tensor, controls: Tensor) -> Tensor:
        """See :meth:`musicvae_torch.MusicVAE.velocities_and_offsets`."""

        def strike(struck: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            probabilities, velocities, offsets = _certain_hits(logits[0])
            row = torch.cat([probabilities, velocities, offsets], dim=-1)
            return [torch.cat([struck, struck * velocities, struck * offsets], dim=-1)], [row]

        steps, embedding = hits.shape[1], self.embed(z)
        return self._roll_out(self._cores(), embedding, steps, controls, hits, strike)[0]

    def draw_hits(
        self,
        z: Tensor,
        steps: int,
        temperature: float,
        controls: Tensor,
        given: Tensor | None,
        drums: Sequence[int] | None,
        sounding: Tensor | None,
        generator: Generator | None,
    ) -> Tensor:
        """See :meth:`musicvae_torch.MusicVAE.draw_hits`."""

        def strike(fixed: Tensor, logits: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            probabilities, velocities, offsets = _certain_hits(logits[0])
            struck = sample_bits(logits[0].chunk(3, dim=-1)[0], temperature, generator)
            if sounding is not None:
                likeliest = one_hot(probabilities.argmax(-1), struck.shape[-1]).to(struck)
                struck = torch.where(struck.any(-1, keepdim=True), struck, likeliest)
                struck = struck * fixed[:, :1]
            row = torch.stack([struck, struck * velocities, struck * offsets], dim=1)
            if given is not None:
                row = torch.where(drawn, row, fixed[:, 1:].view(row.shape))
            return [row.flatten(1)], [row.flatten(1)]

        # A mask, as no CUDA graph may contain the copy to the GPU that a list of indices takes.
        every = range(self.logit_depth // 3)
        drawn = torch.tensor([drums is None or drum in drums for drum in every], device=z.device)
        sounds = z.new_ones(len(z), steps) if sounding is None else sounding.to(z)
        fixed = torch.cat([sounds[..., None], *([] if given is None else [given.to(z)])], dim=-1)
        return self._roll_out(
            self._cores(), self.embed(z), steps, controls, fixed, strike, generator
        )[0]

    def _roll_out(
        self,
        cores: Sequence[CoreDecoder],
        embeddings: Tensor,
        segment_steps: int,
        controls: Tensor,
        given: Tensor,
        choose: Callable[[Tensor, Sequence[Tensor]], tuple[list[Tensor], list[Tensor]]],
        generator: Generator | None = None,
    ) -> list[Tensor]:
        """Run cores step by step, each step reading the tokens of the step before: from embeddings
        (B, S, E) and controls (B, T, control_depth) to what `choose` keeps, (B, T, ...) each.

        Args:
            given: (B, T, ...), of which `choose` gets the row of the step.
            choose: makes, of that row and each core's logits (B, logit_depth), each core's tokens,
                as :meth:`Head.draw` gives them, and what is kept. It may run as a CUDA graph.
            generator: from which it draws; None: torch's own.
        """
        starts = [core.initial_state(embeddings) for core in cores]  # (B, S, H) each
        is_one_hot = isinstance(cores[0].head, CategoricalHead)
        read = [(list(core.layers), core.output, core.head.depths) for core in cores]
        begin = read, starts, is_one_hot, embeddings, segment_steps, controls
        if (fast := dispatch.roll_out(*begin, given, choose, generator)) is not None:
            return fast
        tokens: list[Tensor] = []
        kept: list[list[Tensor]] = []
        states = list(starts)
        for t in range(given.shape[1]):
            logits = []
            segment, within = divmod(t, segment_steps)
            embedding = embeddings[:, segment]  # (B, E)
            for index, core in enumerate(cores):
                row = embedding.new_zeros(len(embedding), sum(core.head.depths))
                if tokens:
                    row = core.head.rows(tokens[index]).to(embedding)
                if within == 0:
                    states[index] = [(h[:, segment], c[:, segment]) for h, c in starts[index]]
                own, states[index] = core.step(row, embedding, controls[:, t], states[index])
                logits.append(own)
            tokens, chosen = choose(given[:, t], logits)
            kept.append(chosen)
        return [torch.stack(own, dim=1) for own in zip(*kept, strict=True)]

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
