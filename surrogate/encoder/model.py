"""Surrogate encoders: some parts of a trio → the latent that its encoder would have given it.

The idea is of the project accompany-music-vae, whose network, PointSurrogate here, predicts the
posterior's mean from the melody. SurrogateEncoder predicts the whole posterior from any parts,
with the very network that encodes trios, told which parts it is not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from musicvae_torch.converters.trio import DEPTHS, PARTS
from musicvae_torch.errors import CheckpointError, ConfigError
from musicvae_torch.io.checkpoint import CONFIG_FILE, PretrainedNetwork, read_config
from musicvae_torch.io.hub import local_folder
from musicvae_torch.kernels.terms import OneHot, Term, densify
from surrogate.encoder.pooling import PooledEncoder
from surrogate.options import POOLINGS


@dataclass(frozen=True)
class SurrogateConfig:
    """Sizes of a surrogate encoder.

    Attributes:
        max_seq_len: steps in a window.
        input_depth: classes of the parts that it hears, of all together.
        z_size: dimensions of the latent that it predicts.
        rnn_size: LSTM units per direction of each layer.
        level_lengths: steps at each level of the encoder, lowest first; empty: flat.
        hears: the parts that it can be given, in the order of PARTS.
        pooling: how the top level is summarised; see
            :class:`surrogate.encoder.pooling.PooledEncoder`.
        lift: how far to move predicted latents along the MusicVAE's attribute vector for
            "band_density" so that bands are as busy as real ones: a mean over all that a melody
            may mean says less than any of it. Found with ``benchmarks/band_density.py``.
    """

    max_seq_len: int = 256
    input_depth: int = 90
    z_size: int = 512
    rnn_size: tuple[int, ...] = (128, 128)
    level_lengths: tuple[int, ...] = ()
    hears: tuple[str, ...] = ("melody",)
    pooling: str = "last"
    lift: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.max_seq_len, self.input_depth, self.z_size, *self.rnn_size)
        if not self.rnn_size or not all(type(size) is int and size > 0 for size in sizes):
            raise ConfigError(f"surrogate: sizes must be whole numbers of at least 1: {self}")
        if self.level_lengths and prod(self.level_lengths) != self.max_seq_len:
            raise ConfigError(
                f"surrogate: level_lengths {self.level_lengths} multiply to "
                f"{prod(self.level_lengths)}, not to max_seq_len {self.max_seq_len}"
            )
        if not self.hears or self.hears != tuple(part for part in PARTS if part in self.hears):
            raise ConfigError(
                f"surrogate: hears must be some of {', '.join(PARTS)}, in that order, not "
                f"{self.hears!r}"
            )
        if len(self.hears) > 1 and self.input_depth != sum(part_depths(self.hears)):
            raise ConfigError(
                f"surrogate: {', '.join(self.hears)} have {sum(part_depths(self.hears))} classes, "
                f"input_depth is {self.input_depth}"
            )
        if not isinstance(self.lift, int | float) or not isfinite(self.lift):
            raise ConfigError(f"surrogate: lift must be a finite number, not {self.lift!r}")
        if self.pooling not in POOLINGS:
            raise ConfigError(
                f"surrogate: unknown pooling {self.pooling!r}; choose one of: {', '.join(POOLINGS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SurrogateConfig:
        """Inverse of :meth:`to_dict`; lists become tuples, as JSON has none.

        Raises:
            TypeError: a key is unknown.
        """
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**fields)


def part_depths(parts: Sequence[str]) -> tuple[int, ...]:
    """Classes of each of the trio's parts that are named.

    Raises:
        ConfigError: there is no such part.
    """
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"unknown part {part!r}; choose among: {', '.join(PARTS)}")
    return tuple(DEPTHS[PARTS.index(part)] for part in parts)


class Surrogate(PretrainedNetwork):
    """What all surrogate encoders have in common: what they hear, and a latent to play."""

    config_class = SurrogateConfig
    config: SurrogateConfig

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def hears(self) -> tuple[str, ...]:
        """The parts that it can be given, of PARTS."""
        return self.config.hears

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        """The predicted mean of the trio's posterior.

        Args:
            tokens: (batch, max_seq_len, parts) int64 classes of a trio, -1 for a row of zeros.
                Parts that are not given may hold anything.
            given: the parts that the network hears, of `hears`.

        Returns:
            (batch, z_size).

        Raises:
            ValueError: the tokens have another shape, or classes that the given parts lack; no
                part is given, or one that it cannot hear.
        """
        raise NotImplementedError

    def _check(self, tokens: Tensor, given: Sequence[str]) -> Tensor:
        """Which parts are given, (parts,) bool; for the errors see :meth:`posterior_mean`."""
        shape = (self.config.max_seq_len, len(PARTS))
        if tokens.shape[1:] != shape or tokens.dtype != torch.int64:
            raise ValueError(
                f"tokens are {tokens.dtype} of shape {tuple(tokens.shape)}, wanted int64 classes "
                f"(batch, {shape[0]}, {shape[1]})"
            )
        if isinstance(given, str) or not given or not set(given) <= set(self.hears):
            raise ValueError(
                f"given is {given!r}; this surrogate hears one or more of: {', '.join(self.hears)}"
            )
        for part in given:
            heard = tokens[..., PARTS.index(part)]
            depth = self.config.input_depth if self.hears == (part,) else part_depths([part])[0]
            if bool(((heard < -1) | (heard >= depth)).any()):
                raise ValueError(f"{part} tokens must lie between -1 and {depth - 1}")
        return torch.tensor([part in given for part in PARTS], device=tokens.device)


class SurrogateEncoder(Surrogate):
    """Predicts the posterior of a trio from some of its parts.

    Each part that may be hidden has a class more than the trio's: every step of a hidden part is
    of that class. (So it reads zeros in place of the part, and a flag that says that it is hidden,
    by a look-up.)

    Raises:
        ConfigError: attention whose heads do not divide the encoder's width.
    """

    kind = "surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        self._hides = len(config.hears) > 1
        self._depths = part_depths(config.hears) if self._hides else (config.input_depth,)
        try:
            self.encoder = PooledEncoder(
                sum(self._depths) + self._hides * len(self._depths),
                config.rnn_size,
                config.level_lengths,
                config.z_size,
                config.pooling,
            )
        except ConfigError as error:
            raise ConfigError(f"surrogate: {error}") from None

    def forward(self, tokens: Tensor, given_mask: Tensor) -> Normal:
        """The predicted posterior, with masks that may differ from window to window.

        Args:
            tokens: as for :meth:`posterior_mean`.
            given_mask: (batch, parts) bool, whether a part is given. Parts that it cannot hear
                do not count, and one that is all it can hear is always given.

        Returns:
            A normal distribution whose ``mean`` and ``stddev`` are (batch, z_size).
        """
        terms: list[Term] = []
        for part, depth in zip(self.hears, self._depths, strict=True):
            index = PARTS.index(part)
            classes = tokens[..., index]
            if self._hides:
                classes = classes.masked_fill(~given_mask[:, index, None], depth)
            terms.append(OneHot(classes, depth + self._hides))
        return self.encoder(terms)

    def posterior(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Normal:
        """The predicted posterior, whose ``mean`` and ``stddev`` are (batch, z_size).

        For arguments and errors, see :meth:`posterior_mean`.
        """
        mask = self._check(tokens, given)
        return self(tokens, mask.expand(len(tokens), -1))

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        return self.posterior(tokens, given).mean


class PointSurrogate(Surrogate):
    """Predicts the mean of a trio's posterior from its melody, and no spread.

    The network of accompany-music-vae: bidirectional LSTMs one upon the other, the top layer's
    last forward output beside its last backward one, and a dense layer. Its cell is PyTorch's,
    with two biases, as cuDNN has it: unlike in MusicVAE nothing is added to the forget gate at run
    time; that bias starts at 1 instead. Weights start as Keras draws them.

    Raises:
        ConfigError: the sizes are of a hierarchical encoder, or of one that hears other parts.
    """

    kind = "point-surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        if config.level_lengths:
            raise ConfigError(f"{self.kind}: is flat; level_lengths must be empty: {config}")
        if config.hears != ("melody",) or config.pooling != "last":
            raise ConfigError(f"{self.kind}: hears the melody alone, and pools nothing: {config}")
        widths = (config.input_depth, *(2 * units for units in config.rnn_size))
        self.layers = nn.ModuleList(
            nn.LSTM(width, units, batch_first=True, bidirectional=True)
            for width, units in zip(widths, config.rnn_size, strict=False)
        )
        self.mean = nn.Linear(widths[-1], config.z_size)
        self._draw_weights()

    def _draw_weights(self) -> None:
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif "weight_hh" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)
            if "bias_hh" in name:
                units = len(parameter) // 4
                nn.init.ones_(parameter.detach()[units : 2 * units])

    def forward(self, melody: Tensor) -> Tensor:
        """The predicted mean.

        Args:
            melody: (batch, max_seq_len) int64 classes, or (batch, max_seq_len, input_depth)
                one-hot rows.

        Returns:
            (batch, z_size).

        Raises:
            ValueError: the melody has another shape.
        """
        outputs = densify([self._term(melody)])
        for layer in self.layers:
            outputs, (last, _) = layer(outputs)  # (batch, steps, 2H), (2, batch, H)
        return self.mean(torch.cat([last[0], last[1]], dim=-1))

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        self._check(tokens, given)
        return self(tokens[..., PARTS.index("melody")])

    def _term(self, melody: Tensor) -> Term:
        steps, depth = self.config.max_seq_len, self.config.input_depth
        shape = tuple(melody.shape[1:])
        if shape == (steps,) and melody.dtype == torch.int64:
            return OneHot(melody, depth)
        if shape == (steps, depth):
            return melody.to(self.mean.weight)
        raise ValueError(
            f"melody has shape {tuple(melody.shape)}, wanted (batch, {steps}) int64 classes "
            f"or (batch, {steps}, {depth}) one-hot rows"
        )


def load_surrogate(
    folder: str | Path,
    device: str | torch.device = "cpu",
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> Surrogate:
    """Load a checkpoint folder that holds any kind of surrogate encoder, in evaluation mode.

    Args:
        folder, device, revision, cache_dir, token: as for :meth:`Surrogate.from_pretrained`.

    Raises:
        CheckpointError: a file is missing or unreadable, or holds another kind of network; or it
            cannot be fetched.
    """
    folder = local_folder(folder, revision=revision, cache_dir=cache_dir, token=token)
    kind = read_config(folder).get("kind")
    for network in (SurrogateEncoder, PointSurrogate):
        if network.kind == kind:
            return network.from_pretrained(folder, device)
    raise CheckpointError(
        f"{Path(folder) / CONFIG_FILE}: holds a {kind!r}, wanted a "
        f"{SurrogateEncoder.kind!r} or a {PointSurrogate.kind!r}"
    )
