"""Surrogate encoders: some parts of a trio → the latent that its encoder would have given it.

SurrogateEncoder predicts the whole posterior from any parts. It is the very network that encodes
trios, with a flag for each part that is not given. The idea comes from the project
accompany-music-vae, whose own network is in ``surrogate.accompany_music_vae``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.network import Network
from musicvae_torch.model.terms import OneHot, Term
from surrogate.encoder.pooling import HEADS, PooledEncoder
from surrogate.options import POOLINGS

BATCH = 64  # windows at a time
# Names of fields in config.json, where they differ from those of SurrogateConfig.
JSON_KEYS = {"input_parts": "hears", "density_shift": "lift"}


@dataclass(frozen=True)
class SurrogateConfig:
    """Sizes of a surrogate encoder.

    Attributes:
        max_seq_len: steps in a window.
        input_depth: classes of all input parts together.
        z_size: dimensions of the latent that it predicts.
        rnn_size: LSTM units per direction of each layer.
        level_lengths: steps at each level of the encoder, lowest first; empty: flat.
        input_parts: the parts that it can be given, in the order of PARTS.
        pooling: how the top level is summarised; see
            :class:`surrogate.encoder.pooling.PooledEncoder`.
        density_shift: how far to move predicted latents along the MusicVAE's attribute vector for
            "band_density", so that bands are as busy as real ones: a mean over all bands that fit
            a melody is less busy than any of them. Found with ``benchmarks/band_density.py``.
    """

    max_seq_len: int = 256
    input_depth: int = 90
    z_size: int = 512
    rnn_size: tuple[int, ...] = (128, 128)
    level_lengths: tuple[int, ...] = ()
    input_parts: tuple[str, ...] = ("melody",)
    pooling: str = "last"
    density_shift: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.max_seq_len, self.input_depth, self.z_size, *self.rnn_size)
        if not self.rnn_size or not all(type(size) is int and size > 0 for size in sizes):
            raise ConfigError(f"surrogate: sizes must be whole numbers of at least 1: {self}")
        if self.level_lengths and prod(self.level_lengths) != self.max_seq_len:
            raise ConfigError(
                f"surrogate: level_lengths {self.level_lengths} multiply to "
                f"{prod(self.level_lengths)}, not to max_seq_len {self.max_seq_len}"
            )
        parts = self.input_parts
        if not parts or parts != tuple(part for part in PARTS if part in parts):
            raise ConfigError(
                f"surrogate: hears (input_parts) must be some of {', '.join(PARTS)}, in that "
                f"order, not {parts!r}"
            )
        if len(parts) > 1 and self.input_depth != sum(part_depths(parts)):
            raise ConfigError(
                f"surrogate: {', '.join(parts)} have {sum(part_depths(parts))} classes, "
                f"input_depth is {self.input_depth}"
            )
        if not isinstance(self.density_shift, int | float) or not isfinite(self.density_shift):
            raise ConfigError(
                f"surrogate: lift (density_shift) must be finite, not {self.density_shift!r}"
            )
        if self.pooling not in POOLINGS:
            raise ConfigError(
                f"surrogate: unknown pooling {self.pooling!r}; choose one of: {', '.join(POOLINGS)}"
            )
        width = 2 * self.rnn_size[-1]
        if self.pooling == "attention" and width % HEADS:
            raise ConfigError(
                f"surrogate: {HEADS} heads of attention do not divide {width} outputs"
            )

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain JSON data."""
        return {JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SurrogateConfig:
        """Inverse of :meth:`to_dict`; lists become tuples, as JSON has none.

        Raises:
            TypeError: a key is unknown.
        """
        names = {key: name for name, key in JSON_KEYS.items()}
        fields: dict[str, Any] = {
            names.get(key, key): tuple(value) if isinstance(value, list) else value
            for key, value in data.items()
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


class Surrogate(Network):
    """What all surrogate encoders have in common: their input parts, and a latent to predict."""

    config_class = SurrogateConfig
    config: SurrogateConfig

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def input_parts(self) -> tuple[str, ...]:
        """The parts that it can be given, of PARTS."""
        return self.config.input_parts

    @property
    def depths(self) -> tuple[int, ...]:
        """Classes of each input part."""
        config = self.config
        several = len(config.input_parts) > 1
        return part_depths(config.input_parts) if several else (config.input_depth,)

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        """The predicted mean of the trio's posterior.

        Args:
            tokens: (batch, max_seq_len, parts) int64 classes of a trio, -1 for a row of zeros.
                Parts that are not given may hold anything.
            given: the parts to predict from, of `input_parts`.

        Returns:
            (batch, z_size).

        Raises:
            ValueError: the tokens have another shape, or classes that the given parts lack; no
                part is given, or one that is no input of this network.
        """
        raise NotImplementedError

    @torch.no_grad()
    def predict(
        self, tokens: Tensor, given: Sequence[str] = ("melody",)
    ) -> tuple[Tensor, Tensor | None]:
        """The mean and the standard deviation of any number of windows, (windows, z_size) each, a
        batch at a time; the second is None if the network predicts a point.

        Arguments and errors are those of :meth:`posterior_mean`.
        """
        batches = torch.split(tokens, BATCH)
        return torch.cat([self.posterior_mean(batch, given) for batch in batches]), None

    def _check(self, tokens: Tensor, given: Sequence[str]) -> Tensor:
        """Which parts are given, (parts,) bool; for the errors see :meth:`posterior_mean`."""
        shape = (self.config.max_seq_len, len(PARTS))
        if tokens.shape[1:] != shape or tokens.dtype != torch.int64:
            raise ValueError(
                f"tokens are {tokens.dtype} of shape {tuple(tokens.shape)}, wanted int64 classes "
                f"(batch, {shape[0]}, {shape[1]})"
            )
        if isinstance(given, str) or not given or not set(given) <= set(self.input_parts):
            raise ValueError(
                f"given is {given!r}; wanted one or more of this surrogate's inputs: "
                f"{', '.join(self.input_parts)}"
            )
        for part, depth in zip(self.input_parts, self.depths, strict=True):
            classes = tokens[..., PARTS.index(part)]
            if part in given and bool(((classes < -1) | (classes >= depth)).any()):
                raise ValueError(f"{part} tokens must lie between -1 and {depth - 1}")
        return torch.tensor([part in given for part in PARTS], device=tokens.device)


class SurrogateEncoder(Surrogate):
    """Predicts the posterior of a trio from some of its parts.

    Each part that may be hidden has one class more than the trio's, that of all steps of a hidden
    part. (So the network reads zeros in place of the part, and a flag that it is hidden.)
    """

    kind = "surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        self._hides = len(config.input_parts) > 1
        depth = sum(self.depths) + self._hides * len(self.depths)
        self.encoder = PooledEncoder(
            depth, config.rnn_size, config.level_lengths, config.z_size, config.pooling
        )

    def forward(self, tokens: Tensor, given_mask: Tensor) -> Normal:
        """The predicted posterior, with masks that may differ from window to window.

        Args:
            tokens: as for :meth:`posterior_mean`.
            given_mask: (batch, parts) bool, whether a part is given. Parts that are no inputs do
                not count, and a single input is always given.

        Returns:
            A normal distribution whose ``mean`` and ``stddev`` are (batch, z_size).
        """
        terms: list[Term] = []
        for part, depth in zip(self.input_parts, self.depths, strict=True):
            index = PARTS.index(part)
            classes = tokens[..., index]
            if self._hides:
                classes = classes.masked_fill(~given_mask[:, index, None], depth)
            terms.append(OneHot(classes, depth + self._hides))
        posterior: Normal = self.encoder(terms)
        return posterior

    def posterior(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Normal:
        """The predicted posterior, whose ``mean`` and ``stddev`` are (batch, z_size).

        For arguments and errors, see :meth:`posterior_mean`.
        """
        mask = self._check(tokens, given)
        return self.forward(tokens, mask.expand(len(tokens), -1))

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        return self.posterior(tokens, given).mean

    @torch.no_grad()
    def predict(
        self, tokens: Tensor, given: Sequence[str] = ("melody",)
    ) -> tuple[Tensor, Tensor | None]:
        found = [self.posterior(batch, given) for batch in torch.split(tokens, BATCH)]
        return torch.cat([one.mean for one in found]), torch.cat([one.stddev for one in found])
