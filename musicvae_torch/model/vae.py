"""MusicVAE: encode, decode, sample.

The model of Roberts et al. 2018, "A Hierarchical Latent Vector Model for Learning Long-Term
Structure in Music" (arXiv 1803.05428), with the semantics of Magenta 2.1.4's
``music_vae.trained_model`` and ``base_model``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.distributions import Normal

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import OptionError
from musicvae_torch.inputs import Inputs, check_lengths
from musicvae_torch.model.decoder import Decoder
from musicvae_torch.model.encoder import Encoder
from musicvae_torch.model.network import Network


class MusicVAE(Network):
    """A variational autoencoder of windows of music.

    Methods share these arguments:

    - windows (`inputs`, `targets`): rows (batch, steps, depth) of any dtype; or, faster, the
      classes of one-hot parts, (batch, steps, parts) int64, where -1 is a row of zeros;
    - `z`: latents (batch, z_size);
    - `controls` of conditioned models: ([batch,] steps, control_depth);
    - `parts`: indices of parts, in the order that the result is to have;
    - `generator`: source of randomness, on the model's device; None: torch's own.

    They raise ValueError if a shape, a length or a value does not fit the config.
    """

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
            inputs: windows whose rows are of input_depth.
            lengths: (batch,) steps that count, or (batch, segments) for a hierarchical
                encoder; None: all.

        Returns:
            A normal distribution whose ``mean`` and ``stddev`` are (batch, z_size).
        """
        terms = self.checks.windows("inputs", inputs, self.config.input_depth)
        batch, steps = inputs.shape[:2]
        if self.config.is_hierarchical_encoder and steps != self.config.max_seq_len:
            raise ValueError(f"inputs have {steps} steps, wanted {self.config.max_seq_len}")
        terms.append(self.checks.controls(controls, batch, steps))
        posterior: Normal = self.encoder(terms, lengths)
        return posterior

    def teacher_force(
        self,
        z: Tensor,
        targets: Tensor,
        controls: Tensor | None = None,
        sampling: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Logits of each step, given z and the true steps before it.

        Args:
            targets: windows whose rows are of output_depth; a hierarchical decoder wants
                max_seq_len steps.
            sampling: scheduled sampling: probability that a step of a window reads the model's own
                sample (at temperature 1; of a NADE, its likeliest bits) in place of the true step
                before it. The first step of a segment always reads the true one, as in Magenta.

        Returns:
            (batch, steps, depth of the logits): for one-hot parts, output_depth; for a NADE,
            nade_num_hidden + output_depth; for a groove, hits, velocities and offsets before their
            sigmoid, sigmoid and tanh.
        """
        if not 0 <= sampling <= 1:
            raise ValueError(f"sampling is a probability from 0 to 1, not {sampling}")
        z, terms, controls = self.checks.forcing(z, targets, controls)
        return self.decoder.teacher_force(z, terms, controls, sampling, generator)

    def part_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood of each part of `targets` at each step, in nats, under logits of
        :meth:`teacher_force`: (batch, steps, parts)."""
        terms = self.checks.windows("targets", targets, self.config.output_depth)
        if logits.shape != (*targets.shape[:2], self.decoder.logit_depth):
            raise ValueError(
                f"logits have shape {tuple(logits.shape)}, which does not go with targets of "
                f"shape {tuple(targets.shape)}"
            )
        return self.decoder.losses(logits, terms)

    def reconstruction_loss(
        self, logits: Tensor, targets: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """:meth:`part_losses` summed over parts and steps: (batch,), in nats.

        Args:
            lengths: (batch,) steps that count; (batch, segments) for segments of their own
                lengths, of a hierarchical decoder; None: all.
        """
        losses = self.part_losses(logits, targets).sum(-1)  # (batch, steps)
        if lengths is None:
            return losses.sum(-1)
        batch, steps = losses.shape
        check_lengths(lengths, batch, self.decoder.segments, steps // self.decoder.segments, steps)
        segments = 1 if lengths.dim() == 1 else self.decoder.segments
        ends = lengths.view(batch, segments, 1).to(losses.device)
        counts = torch.arange(steps // segments, device=losses.device) < ends
        return (losses * counts.flatten(1)).sum(-1)

    def part_nll(
        self, z: Tensor, targets: Tensor, parts: Sequence[int], controls: Tensor | None = None
    ) -> Tensor:
        """:meth:`part_losses` under teacher forcing for some parts, (batch, steps, len(parts)), by
        running only the core decoders that play one of them."""
        z, terms, controls = self.checks.forcing(z, targets, controls)
        self.checks.parts(parts)
        return self.decoder.part_nll(self.decoder.embed(z), terms, controls, parts)

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        length: int | None = None,
        temperature: float = 1.0,
        controls: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Sample windows from latents, in the weights' own precision under autocast, too.

        Args:
            length: number of steps; None: max_seq_len. A flat decoder takes any.
            temperature: divides the logits; 0 takes the likeliest token at every step.

        Returns:
            (batch, length, output_depth): rows of zeros and ones, one-hot in each categorical
            part; a groove's velocities and offsets are real numbers.
        """
        z, length = self.checks.latents(z), self.checks.length(length)
        if not temperature >= 0:
            raise OptionError(f"temperature must be 0 or more, not {temperature}")
        controls = self.checks.controls(controls, z.shape[0], length)
        with self.own_precision():
            return self.decoder.decode(z, length, temperature, controls, generator)

    def sample(
        self,
        n: int,
        length: int | None = None,
        temperature: float = 1.0,
        controls: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Decode `n` latents drawn from the prior; arguments and result as :meth:`decode`."""
        if n < 0:
            raise OptionError(f"n must be at least 0, not {n}")
        z = torch.randn(n, self.config.z_size, generator=generator, device=self.device)
        return self.decode(z, length, temperature, controls, generator)

    @torch.no_grad()
    def embed(self, z: Tensor) -> Tensor:
        """The conductor's embedding of each segment (bar), (batch, segments, embedding_size). A
        flat decoder's only segment is the window, and its embedding the latent itself."""
        with self.own_precision():
            return self.decoder.embed(self.checks.latents(z))

    @torch.no_grad()
    def sample_segments(
        self,
        embeddings: Tensor,
        temperatures: Sequence[float],
        uniforms: Tensor,
        parts: Sequence[int] | None = None,
    ) -> Tensor:
        """Sample any number of consecutive segments, as if they were of one long window. The
        model's parts must be categorical, and it must not be conditioned.

        Args:
            embeddings: (batch, segments, embedding_size), as :meth:`embed` gives them, of one
                latent or put together from several.
            temperatures: one for each part; 0 takes the likeliest class.
            uniforms: (batch, steps, parts), drawn uniformly from [0, 1), where steps are a multiple
                of segments. Each row of the batch depends on its own numbers alone.
            parts: None: all. Core decoders that play none of them do not run.

        Returns:
            (batch, steps, parts) int64 classes.
        """
        parts = range(len(self.config.output_depths)) if parts is None else parts
        self.checks.parts(parts)
        self.checks.temperatures(temperatures)
        embeddings = self.checks.segments(embeddings, uniforms)
        uniforms = uniforms.to(embeddings)
        with self.own_precision():
            return self.decoder.sample_segments(embeddings, temperatures, uniforms, parts)

    @torch.no_grad()
    def segments_nll(self, embeddings: Tensor, classes: Tensor, parts: Sequence[int]) -> Tensor:
        """Negative log-likelihood of what :meth:`sample_segments` might draw, in nats: classes
        (batch, steps, parts) of all parts, where -1 costs nothing → (batch, steps, len(parts))."""
        self.checks.parts(parts)
        embeddings = self.checks.segments(embeddings, classes)
        terms = self.checks.windows("classes", classes, self.config.output_depth)
        no_controls = embeddings.new_zeros(*classes.shape[:2], 0)
        with self.own_precision():
            return self.decoder.part_nll(embeddings, terms, no_controls, parts)

    @property
    def checks(self) -> Inputs:
        """Checks of what callers give."""
        return Inputs(self.config, self.encoder.mean.weight)

    def own_precision(self) -> torch.autocast:
        """Sampling is in the weights' precision, or in that of :meth:`multiply_in`, whatever
        autocast says: steps feed on each other, and products are prepared for all of them."""
        return torch.autocast(self.device.type, enabled=False)
