"""The converter of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from musicvae_torch.config import ConfigError, MusicVAEConfig, get_config
from musicvae_torch.notes.drums import DRUM_RULES, DrumsConverter
from musicvae_torch.notes.groove import GROOVE_RULES, GrooveConverter
from musicvae_torch.notes.melody import MELODY_RULES, MelodyConverter
from musicvae_torch.notes.multitrack import MULTITRACK_RULES, MultitrackConverter
from musicvae_torch.notes.trio import TRIO_RULES, TrioConverter
from musicvae_torch.notes.windows import Converter

# Each family's rows, by Magenta's config name, and what reads them.
_FAMILIES: tuple[tuple[Mapping[str, Any], Callable[..., Converter]], ...] = (
    (MELODY_RULES, MelodyConverter),
    (DRUM_RULES, DrumsConverter),
    (TRIO_RULES, TrioConverter),
    (GROOVE_RULES, GrooveConverter),
    (MULTITRACK_RULES, MultitrackConverter),
)


def get_converter(
    config: str | MusicVAEConfig, mode: str = "eval", seed: int | None = None
) -> Converter:
    """MIDI ↔ arrays for a config.

    Args:
        config: a config, or its name.
        mode: "eval"; "train" shifts and draws at random what Magenta does in training; "infer"
            differs for grooves alone, which then take other drum kits.
        seed: of mode "train", and of the dropped notes of grooves.

    Raises:
        ConfigError: no such config, or one whose `base` is none of Magenta's.
        ValueError: no such mode.
    """
    if isinstance(config, str):
        config = get_config(config)
    for rules, family in _FAMILIES:
        if config.base in rules:
            return family(rules[config.base], config.max_seq_len, mode, seed)
    raise ConfigError(
        f"config {config.name!r}: nothing is known of MIDI for {config.base!r}; "
        "set `base` to the Magenta config whose rules hold"
    )
