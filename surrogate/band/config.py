"""Sizes of a band network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from musicvae_torch.errors import ConfigError
from musicvae_torch.options import option


@dataclass(frozen=True)
class BandConfig:
    """Sizes of a :class:`Band`.

    Attributes:
        width: width of both transformers, the listener and the player.
        heads: attention heads, among which the width is divided.
        listener_layers: layers of the listener.
        player_layers: layers of the player.
        context: steps that either looks back, and the listener ahead.
        style_size: dimensions of a style: those of the MusicVAE's latent.
    """

    width: int = option(256, metavar="N")
    heads: int = option(8, metavar="N")
    listener_layers: int = option(2, metavar="N")
    player_layers: int = option(4, metavar="N")
    context: int = 1024
    style_size: int = option(512, metavar="N")

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            if type(size) is not int or size < 1:
                raise ConfigError(f"band: {name} must be a whole number of at least 1: {size!r}")
        if self.width % (2 * self.heads):
            raise ConfigError(
                f"band: width {self.width} is no multiple of twice its {self.heads} heads"
            )

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BandConfig:
        """Inverse of :meth:`to_dict`.

        Raises:
            TypeError: a key is unknown.
        """
        return cls(**data)
