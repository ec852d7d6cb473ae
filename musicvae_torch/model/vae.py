"""MusicVAE: encode, decode, sample, and the checkpoint folder.

The model of Roberts et al. 2018, "A Hierarchical Latent Vector Model for Learning Long-Term
Structure in Music" (arXiv 1803.05428), with the semantics of Magenta 2.1.4's
``music_vae.trained_model`` and ``base_model``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import OptionError
from musicvae_torch.io.checkpoint import PretrainedNetwork
from musicvae_torch.kernels.terms import OneHot, Term
from musicvae_torch.model.decoder import Decoder
from musicvae_torch.model.encoder import Encoder, check_lengths


class MusicVAE(PretrainedNetwork):
    """A variational autoencoder of windows of music."""

    kind = "musicvae"
    config_class = MusicVAEConfig
    config: MusicVAEConfig

    def __init__(self, config: MusicVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(
            config.input_depth + config.control_depth,
            config.enc_rnn_size,
            config.encoder_level_lengths,
            config.z_size,
        )
        self.decoder = Decoder(config)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode(
        self, inputs: Tensor, lengths: Tensor | None = None, controls: Tensor | None = None
    ) -> Normal:
        """The posterior over the latent.

        Args:
            inputs: (batch, steps, input_depth), any dtype; or, where they are one-hot rows,
                their classes (batch, steps, parts) int64, which is faster.
            lengths: (batch,) steps that count, or (batch, segments) for a hierarchical
                encoder; None: all.
            controls: (steps, control_depth) for all, or (batch, steps, control_depth).

        Returns:
            A normal distribution whose ``mean`` and ``stddev`` are (batch, z_size).

        Raises:
            ValueError: a shape does not fit the config.
        """
        terms = self._terms("inputs", inputs, self.config.input_depth)
        batch, steps = inputs.shape[:2]
        if self.config.is_hierarchical_encoder and steps != self.config.max_seq_len:
            raise ValueError(f"inputs have {steps} steps, wanted {self.config.max_seq_len}")
        return self.encoder([*terms, self._controls(controls, batch, steps)], lengths)

    def teacher_force(
        self,
        z: Tensor,
        targets: Tensor,
        controls: Tensor | None = None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits of each step, given z and the true steps before it.

        Args:
            z: (batch, z_size).
            targets: (batch, steps, output_depth), any dtype, or classes as for :meth:`encode`;
                a hierarchical decoder wants max_seq_len steps.
            controls: as for :meth:`encode`.
            sampling: scheduled sampling: chance, at each step of each window, that the step is
                given a sample of the model's own (at temperature 1; of a NADE, its likeliest
                bits) in place of the true one before it.
            generator: source of randomness of that, on the model's device; None: torch's own.

        Returns:
            (batch, steps, depth of the logits): for one-hot parts, output_depth; for a NADE,
            nade_num_hidden + output_depth; for a groove, those of hits, velocities and offsets
            before their sigmoid, sigmoid and tanh.

        Raises:
            ValueError: a shape does not fit the config.
        """
        if not 0 <= sampling <= 1:
            raise ValueError(f"sampling is a chance from 0 to 1, not {sampling}")
        return self.decoder.teacher_force(*self._forcing(z, targets, controls), sampling, generator)

    def losses_of(
        self, z: Tensor, targets: Tensor, parts: Sequence[int], controls: Tensor | None = None
    ) -> Tensor:
        """Negative log-likelihood of some parts at each step under teacher forcing, in nats.

        As :meth:`part_losses` of :meth:`teacher_force`'s logits, without the work for the others:
        only the core decoders that play one of these parts run.

        Args:
            z, targets, controls: as for :meth:`teacher_force`.
            parts: indices of parts, in the order that the result is to have.

        Returns:
            (batch, steps, len(parts))

        Raises:
            ValueError: a shape does not fit the config, or there is no such part.
        """
        z, terms, controls = self._forcing(z, targets, controls)
        self._check_parts(parts)
        return self.decoder.losses_of(self.decoder.embed(z), terms, controls, parts)

    def reconstruction_loss(
        self, logits: Tensor, targets: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """Negative log-likelihood of `targets` under `logits`, summed over parts and steps.

        Args:
            logits: as :meth:`teacher_force` gives them.
            targets: as it takes them.
            lengths: (batch,) steps that count; (batch, segments) for segments of their own
                lengths, of a hierarchical decoder; None: all.

        Returns:
            (batch,), in nats.

        Raises:
            ValueError: a shape or a length does not fit.
        """
        losses = self.part_losses(logits, targets).sum(-1)
        if lengths is None:
            return losses.sum(-1)
        batch, steps = losses.shape
        segments = 1 if lengths.dim() == 1 else self.decoder.segments
        if lengths.shape not in ((batch,), (batch, segments)):
            raise ValueError(
                f"lengths have shape {tuple(lengths.shape)}, wanted ({batch},) or "
                f"({batch}, {self.decoder.segments})"
            )
        check_lengths(lengths, steps // segments)
        ends = lengths.view(batch, segments, 1).to(losses.device)
        counts = torch.arange(steps // segments, device=losses.device) < ends
        return (losses * counts.flatten(1)).sum(-1)

    def part_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood of each part at each step, in nats: (batch, steps, parts)."""
        terms = self._terms("targets", targets, self.config.output_depth)
        if logits.shape != (*targets.shape[:2], self.decoder.logit_depth):
            raise ValueError(
                f"logits have shape {tuple(logits.shape)}, which does not go with targets of "
                f"shape {tuple(targets.shape)}"
            )
        return self.decoder.losses(logits, terms)

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        length: int | None = None,
        temperature: float = 1.0,
        controls: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sample windows from latents, in the weights' own precision under autocast, too.

        Args:
            z: (batch, z_size).
            length: steps to decode, the first of the window; None: max_seq_len. A flat decoder
                goes on for as long as is asked.
            temperature: divides the logits; 0 takes the likeliest token at every step.
            controls: (steps, control_depth) for all, or (batch, steps, control_depth).
            generator: source of randomness, on the model's device; None: torch's own.

        Returns:
            (batch, length, output_depth): rows of zeros and ones, one-hot in each categorical
            part; a groove's velocities and offsets are real numbers.

        Raises:
            ValueError: length or temperature out of range, or a shape that does not fit.
        """
        z = self._latent(z)
        longest = self.config.max_seq_len
        length = longest if length is None else length
        if length < 1 or (self.config.is_hierarchical_decoder and length > longest):
            raise OptionError(
                f"length {length} is out of range: this model decodes "
                f"{f'1 to {longest}' if self.config.is_hierarchical_decoder else '1 or more'} steps"
            )
        if not temperature >= 0:
            raise OptionError(f"temperature must be 0 or more, not {temperature}")
        controls = self._controls(controls, z.shape[0], length)
        with self._own_precision():
            return self.decoder.decode(z, length, temperature, controls, generator)

    @torch.no_grad()
    def play_hits(self, z: Tensor, hits: Tensor, controls: Tensor | None = None) -> Tensor:
        """How hard and when a groove model would strike drum hits that are given.

        As :meth:`decode`, but the hits are not drawn; the velocities and offsets that are fed
        back are the model's own.

        Args:
            z: (batch, z_size).
            hits: (batch, steps, drums), 0 or 1, any dtype.
            controls: as for :meth:`encode`.

        Returns:
            (batch, steps, output_depth): the chance that the model would have struck each drum
            (0 to 1), and, where it is struck, its velocity (0 to 1) and offset (-1 to 1). The
            network's own values go down with that chance, since it learnt 0 for drums that are
            not struck; here they are as of certain hits.

        Raises:
            ValueError: the model plays no grooves, or a shape does not fit.
        """
        if self.config.output != "groove":
            raise ValueError(f"config {self.config.name!r} plays no grooves")
        z = self._latent(z)
        drums = self.config.output_depth // 3
        if hits.dim() != 3 or hits.shape[0] != len(z) or hits.shape[-1] != drums:
            raise ValueError(
                f"hits have shape {tuple(hits.shape)}, wanted ({len(z)}, steps, {drums})"
            )
        controls = self._controls(controls, *hits.shape[:2])
        with self._own_precision():
            return self.decoder.play_hits(z, hits.to(z), controls)

    @torch.no_grad()
    def embed(self, z: Tensor) -> Tensor:
        """What the decoder makes of latents before it plays: the conductor's embedding of each
        segment (bar); of a flat decoder, whose only segment is the window, the latent itself.

        Args:
            z: (batch, z_size).

        Returns:
            (batch, segments, embedding_size).

        Raises:
            ValueError: z has another shape, or is not finite.
        """
        with self._own_precision():
            return self.decoder.embed(self._latent(z))

    @torch.no_grad()
    def perform(
        self,
        embeddings: Tensor,
        temperatures: Sequence[float],
        places: Tensor,
        parts: Sequence[int] | None = None,
    ) -> Tensor:
        """Sample any number of segments on end, as if they were of one long window.

        Args:
            embeddings: (batch, segments, embedding_size), such as :meth:`embed` gives, of one
                latent or put together of several.
            temperatures: one for each part; 0 takes the likeliest class.
            places: (batch, steps, parts) numbers of [0, 1): drawn evenly, they make samples. Steps
                are a multiple of segments. What they are for one row of the batch decides that
                row's result alone.
            parts: indices of parts, in the order that the result is to have; None: all.

        Returns:
            (batch, steps, parts) int64 classes.

        Raises:
            ValueError: the model is conditioned or its output not categorical, a shape does not
                fit, or a temperature is negative.
        """
        count = len(self.config.output_depths)
        parts = range(count) if parts is None else parts
        self._check_parts(parts)
        self._check_performance(embeddings, places)
        if len(temperatures) != count or not all(each >= 0 for each in temperatures):
            raise ValueError(f"temperatures must be {count} numbers from 0, not {temperatures}")
        like = self.encoder.mean.weight
        with self._own_precision():
            return self.decoder.perform(embeddings.to(like), temperatures, places.to(like), parts)

    @torch.no_grad()
    def performance_losses(
        self, embeddings: Tensor, classes: Tensor, parts: Sequence[int]
    ) -> Tensor:
        """Negative log-likelihood of what was performed, or might have been, in nats.

        Args:
            embeddings: as for :meth:`perform`.
            classes: (batch, steps, parts) int64 of all parts; -1 costs nothing.
            parts: indices of those wanted.

        Returns:
            (batch, steps, len(parts))

        Raises:
            ValueError: as :meth:`perform`.
        """
        self._check_parts(parts)
        self._check_performance(embeddings, classes)
        terms = self._terms("classes", classes, self.config.output_depth)
        embeddings = embeddings.to(self.encoder.mean.weight)
        no_controls = embeddings.new_zeros(*classes.shape[:2], 0)
        with self._own_precision():
            return self.decoder.losses_of(embeddings, terms, no_controls, parts)

    def _own_precision(self) -> torch.autocast:
        """Sampling is in the weights' precision, or in that of :meth:`multiply_in`, whatever
        autocast says: steps feed on each other, and products are prepared for all of them."""
        return torch.autocast(self.device.type, enabled=False)

    def _check_parts(self, parts: Sequence[int]) -> None:
        count = len(self.config.output_depths)
        if not parts or not set(parts) <= set(range(count)):
            raise ValueError(f"parts must be some of {list(range(count))}, not {list(parts)}")

    def _check_performance(self, embeddings: Tensor, steps: Tensor) -> None:
        """Whether something of (batch, steps, parts) can be played from embeddings."""
        if self.config.output != "categorical" or self.config.control_depth:
            raise ValueError(f"config {self.config.name!r} cannot perform: only categorical parts")
        batch, segments = embeddings.shape[:2]
        count = len(self.config.output_depths)
        length = steps.shape[1]
        if steps.shape != (batch, length, count) or not segments or not length or length % segments:
            raise ValueError(
                f"steps of shape {tuple(steps.shape)} do not go with embeddings of shape "
                f"{tuple(embeddings.shape)} and {count} parts"
            )

    def sample(
        self,
        n: int,
        length: int | None = None,
        temperature: float = 1.0,
        controls: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Decode `n` latents drawn from the prior; arguments and result as :meth:`decode`."""
        if n < 0:
            raise OptionError(f"n must be at least 0, not {n}")
        z = torch.randn(n, self.config.z_size, generator=generator, device=self.device)
        return self.decode(z, length, temperature, controls, generator)

    def _forcing(
        self, z: Tensor, targets: Tensor, controls: Tensor | None
    ) -> tuple[Tensor, list[Term], Tensor]:
        """The arguments of :meth:`teacher_force` as the decoder takes them."""
        z = self._latent(z)
        terms = self._terms("targets", targets, self.config.output_depth)
        batch, steps = targets.shape[:2]
        wanted = self.config.max_seq_len if self.config.is_hierarchical_decoder else max(steps, 1)
        if (batch, steps) != (z.shape[0], wanted):
            raise ValueError(
                f"targets have (batch, steps) {(batch, steps)}, wanted {(z.shape[0], wanted)}"
            )
        return z, terms, self._controls(controls, batch, steps)

    def _latent(self, z: Tensor) -> Tensor:
        """z as the model's floats on its device."""
        if z.dim() != 2 or z.shape[1] != self.config.z_size:
            raise ValueError(f"z has shape {tuple(z.shape)}, wanted (batch, {self.config.z_size})")
        if not bool(torch.isfinite(z).all()):
            raise OptionError("z holds values that are not finite")
        return z.to(self.encoder.mean.weight)

    def _terms(self, name: str, rows: Tensor, depth: int) -> list[Term]:
        """Rows of `depth`, dense or, where they are one-hot, as classes; a term for each part."""
        config = self.config
        one_hot = config.output == "categorical" and depth == config.output_depth
        depths = config.output_depths if one_hot else (depth,)
        width = rows.shape[-1] if rows.dim() == 3 else None
        if width == depth:
            return list(rows.to(self.encoder.mean.weight).split(depths, dim=-1))
        if one_hot and width == len(depths) and rows.dtype == torch.int64:
            # Class -1 is a row of zeros.
            if bool(((rows < -1) | (rows >= rows.new_tensor(depths))).any()):
                raise ValueError(f"{name} hold classes beyond the depths {depths}")
            return [OneHot(rows[..., i], size) for i, size in enumerate(depths)]
        classes = f" or int64 classes (batch, steps, {len(depths)})" if one_hot else ""
        raise ValueError(
            f"{name} have shape {tuple(rows.shape)}, wanted (batch, steps, {depth}){classes}"
        )

    def _controls(self, controls: Tensor | None, batch: int, steps: int) -> Tensor:
        """Controls as (batch, steps, control_depth) floats on the model's device."""
        like = self.encoder.mean.weight
        depth = self.config.control_depth
        if controls is None:
            if depth:
                raise ValueError(
                    f"config {self.config.name!r} is conditioned: pass controls "
                    f"of shape ({steps}, {depth}) or ({batch}, {steps}, {depth})"
                )
            return like.new_zeros(batch, steps, 0)
        if controls.dim() == 2:
            controls = controls.expand(batch, *controls.shape)
        shape = tuple(controls.shape)
        if len(shape) != 3 or shape[0] != batch or shape[1] < steps or shape[2] != depth:
            raise ValueError(f"controls have shape {shape}, wanted ({batch}, {steps}, {depth})")
        return controls[:, :steps].to(like)
