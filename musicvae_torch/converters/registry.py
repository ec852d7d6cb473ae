"""The converter of a config."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.base import Converter
from musicvae_torch.converters.drums import DRUM_RULES, DrumsConverter
from musicvae_torch.converters.groove import DRUMS, GROOVE_RULES, ROW, GrooveConverter, GrooveRules
from musicvae_torch.converters.melody import MELODY_RULES, MelodyConverter
from musicvae_torch.converters.multitrack import MULTITRACK_RULES, MultitrackConverter
from musicvae_torch.converters.trio import TRIO_RULES, TrioConverter
from musicvae_torch.errors import ConfigError, OptionError

# Each family's rows, by Magenta's config name, and what reads them.
_FAMILIES: tuple[tuple[Mapping[str, Any], Callable[..., Converter]], ...] = (
    (MELODY_RULES, MelodyConverter),
    (DRUM_RULES, DrumsConverter),
    (TRIO_RULES, TrioConverter),
    (GROOVE_RULES, GrooveConverter),
    (MULTITRACK_RULES, MultitrackConverter),
)


def get_converter(
    config: str | MusicVAEConfig,
    mode: str = "eval",
    seed: int | None = None,
    *,
    hop_bars: int | None = None,
    melody_programs: Collection[int] | None = None,
    complete: bool = False,
) -> Converter:
    """MIDI ↔ arrays for a config.

    Args:
        config: a config, or its name.
        mode: "eval"; "train" shifts and draws at random what Magenta does in training; "infer"
            differs for grooves alone, which then take other drum kits.
        seed: of mode "train", and of the dropped notes of grooves.
        hop_bars: bars from one trio to the next; None: Magenta's 1.
        melody_programs: programs that may be a melody, for melodies and trios; None: Magenta's.
        complete: see :class:`Converter`.

    Raises:
        ConfigError: no such config, one whose `base` is none of Magenta's, one without an option
            that is given, or a groove's with controls that it cannot have.
        OptionError: no such mode.
    """
    if isinstance(config, str):
        config = get_config(config)
    for rules, family in _FAMILIES:
        if config.base in rules:
            own = _with_options(config, rules[config.base], hop_bars, melody_programs)
            if isinstance(own, GrooveRules):
                own = replace(own, control_depth=_groove_controls(config))
            converter = family(own, config.max_seq_len, mode, seed)
            converter.complete = complete
            return converter
    raise ConfigError(
        f"config {config.name!r}: nothing is known of MIDI for {config.base!r}; "
        "set `base` to the Magenta config whose rules hold"
    )


def _groove_controls(config: MusicVAEConfig) -> int:
    if config.control_depth not in (0, DRUMS, ROW):
        raise ConfigError(
            f"config {config.name!r}: a groove's control_depth is 0 (none), {DRUMS} (the hits that "
            f"the encoder reads) or {ROW} (their velocities and offsets, too), not "
            f"{config.control_depth}"
        )
    return config.control_depth


def _with_options(
    config: MusicVAEConfig,
    rules: Any,
    hop_bars: int | None,
    melody_programs: Collection[int] | None,
) -> Any:
    if hop_bars is not None and hop_bars < 1:
        raise OptionError(f"hop_bars must be at least 1, not {hop_bars}")
    chosen: dict[str, Any] = {} if hop_bars is None else {"hop_bars": hop_bars}
    if melody_programs is not None:
        chosen["melody_programs"] = frozenset(melody_programs)
    unknown = sorted(set(chosen) - {field.name for field in fields(rules)})
    if unknown:
        raise ConfigError(f"config {config.name!r} has no option {unknown[0]!r}")
    return replace(rules, **chosen)


def has_drums_alone(converter: Converter) -> bool:
    """Whether its windows hold nothing but drums."""
    return isinstance(converter, DrumsConverter | GrooveConverter)
