"""Model sizes and the registry of Magenta's configs, as data.

Everything that decides a parameter's shape is in :class:`MusicVAEConfig`; it is stored beside
the weights, so a checkpoint carries its own sizes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any


class ConfigError(ValueError):
    """A config that names an unknown model or sizes that do not fit together."""


@dataclass(frozen=True)
class MusicVAEConfig:
    """Sizes of one MusicVAE, named as in Magenta's ``CONFIG_MAP`` and ``HParams``.

    Attributes:
        name: Magenta's config name that this model is an instance of.
        max_seq_len: steps in a window.
        input_depth: width of one encoder input step.
        output_depths: width of each output part's one-hot row; a part has a core decoder of its
            own, and the parts are concatenated in this order.
        control_depth: width of one conditioning step (0: no controls).
        z_size: dimensions of the latent.
        enc_rnn_size: LSTM units per direction, for each encoder layer.
        dec_rnn_size: LSTM units of each layer of the conductor and of each core decoder.
        encoder_level_lengths: steps at each level of a hierarchical encoder, lowest first;
            empty for a flat one.
        decoder_level_lengths: (segments, steps in a segment) of the hierarchical decoder.
    """

    name: str
    max_seq_len: int
    input_depth: int
    output_depths: tuple[int, ...]
    z_size: int
    enc_rnn_size: tuple[int, ...]
    dec_rnn_size: tuple[int, ...]
    decoder_level_lengths: tuple[int, int]
    encoder_level_lengths: tuple[int, ...] = ()
    control_depth: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
            self._check_sizes(field.name)
        for name in ("encoder_level_lengths", "decoder_level_lengths"):
            lengths = getattr(self, name)
            steps = 1
            for length in lengths:
                steps *= length
            if lengths and steps != self.max_seq_len:
                raise ConfigError(
                    f"config {self.name!r}: {name} {lengths} multiply to {steps}, "
                    f"not to max_seq_len {self.max_seq_len}"
                )
        if len(self.decoder_level_lengths) != 2:
            raise ConfigError(
                f"config {self.name!r}: decoder_level_lengths must be "
                f"(segments, steps in a segment), not {self.decoder_level_lengths}"
            )

    def _check_sizes(self, name: str) -> None:
        if name == "name":
            if not isinstance(self.name, str):
                raise ConfigError(f"config: name must be text, not {self.name!r}")
            return
        value = getattr(self, name)
        is_sequence = name.endswith(("_depths", "_rnn_size", "_lengths"))
        sizes = value if isinstance(value, tuple) else (value,)
        least = 0 if name == "control_depth" else 1
        right_kind = isinstance(value, tuple) == is_sequence
        if not right_kind or not all(type(size) is int and size >= least for size in sizes):
            wanted = "whole numbers" if is_sequence else "a whole number"
            raise ConfigError(
                f"config {self.name!r}: {name} must be {wanted} of at least {least}, not {value!r}"
            )
        if is_sequence and not value and name != "encoder_level_lengths":
            raise ConfigError(f"config {self.name!r}: {name} must not be empty")

    @property
    def output_depth(self) -> int:
        """Width of one output step: all parts side by side."""
        return sum(self.output_depths)

    @property
    def is_hierarchical_encoder(self) -> bool:
        return bool(self.encoder_level_lengths)

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MusicVAEConfig:
        """Inverse of :meth:`to_dict`.

        Raises:
            ConfigError: a key is unknown, missing, or of the wrong kind.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigError(f"config: unknown keys {unknown}; known are {sorted(known)}")
        try:
            return cls(**data)
        except TypeError as error:
            raise ConfigError(f"config: {error}") from None


def _trio(name: str, **sizes: Any) -> MusicVAEConfig:
    """16 bars of 16 steps; melody and bass have 90 classes, drums 2**9."""
    return MusicVAEConfig(
        name=name,
        max_seq_len=256,
        input_depth=692,
        output_depths=(90, 90, 512),
        z_size=512,
        dec_rnn_size=(1024, 1024),
        decoder_level_lengths=(16, 16),
        **sizes,
    )


CONFIGS: dict[str, MusicVAEConfig] = {
    config.name: config
    for config in (
        _trio("hierdec-trio_16bar", enc_rnn_size=(2048, 2048)),
        _trio("hier-trio_16bar", enc_rnn_size=(1024,), encoder_level_lengths=(16, 16)),
    )
}


def get_config(name: str, **sizes: Any) -> MusicVAEConfig:
    """The registered config `name`, with any sizes replaced.

    Raises:
        ConfigError: no such config; the message lists those there are.
    """
    if name not in CONFIGS:
        raise ConfigError(f"unknown config {name!r}; choose one of: {', '.join(sorted(CONFIGS))}")
    return replace(CONFIGS[name], **sizes) if sizes else CONFIGS[name]
