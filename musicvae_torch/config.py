"""Model sizes and the registry of Magenta's configs, as data.

Everything that decides a parameter's shape is in :class:`MusicVAEConfig`; it is stored beside
the weights, so a checkpoint carries its own sizes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from math import prod
from pathlib import Path
from reprlib import Repr
from typing import Any

from musicvae_torch.errors import ConfigError

OUTPUTS = ("categorical", "nade", "groove")
_CONFIG_FILE_SUFFIXES = (".json", ".yaml", ".yml")
# Bounds far beyond any model, within which sizes and their products are valid sizes of tensors.
_MAX_SIZE = 2**24
_MAX_PARTS = 100  # layers, or output parts
_SHORT = Repr()
_SHORT.maxlevel = 2  # a few lines of YAML stand for lists of lists of any size


@dataclass(frozen=True)
class MusicVAEConfig:
    """Structure and sizes of one MusicVAE, named as in Magenta's ``CONFIG_MAP`` and ``HParams``.

    Attributes:
        name: Magenta's name of the config, or a name of your own.
        max_seq_len: steps in a window.
        input_depth: width of one encoder input step.
        output_depths: width of each output part's row at a step; the parts lie side by side in
            this order.
        z_size: dimensions of the latent.
        enc_rnn_size: LSTM units per direction, for each encoder layer.
        dec_rnn_size: LSTM units of each layer of the conductor and of each core decoder.
        decoder_level_lengths: (segments, steps in a segment) of a hierarchical decoder; empty
            for a flat one.
        encoder_level_lengths: steps at each level of a hierarchical encoder, lowest first;
            empty for a flat one.
        control_depth: width of one conditioning step (0: no controls).
        output: distribution of a part's row: "categorical" (one-hot), "nade" (any set of
            bits), or "groove" (hits, velocities and offsets of drums, a third of the row each).
        split_decoder: whether each part has a core decoder of its own, or all share one.
        nade_num_hidden: hidden units of the NADE; 0 for other outputs.
        base: the Magenta config whose rules make tensors of notes for this one; empty: `name`.
    """

    name: str
    max_seq_len: int
    input_depth: int
    output_depths: tuple[int, ...]
    z_size: int
    enc_rnn_size: tuple[int, ...]
    dec_rnn_size: tuple[int, ...]
    decoder_level_lengths: tuple[int, ...] = ()
    encoder_level_lengths: tuple[int, ...] = ()
    control_depth: int = 0
    output: str = "categorical"
    split_decoder: bool = True
    nade_num_hidden: int = 0
    base: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
            self._check_kind(field.name)
        if not self.base:
            object.__setattr__(self, "base", self.name)
        self._check_levels()
        self._check_output()

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(f"config {self.name!r}: {problem}")

    def _check_kind(self, name: str) -> None:
        value = getattr(self, name)
        if name in ("name", "base", "output"):
            if not isinstance(value, str):
                raise ConfigError(f"config: {name} must be text, not {_SHORT.repr(value)}")
            return
        if name == "split_decoder":
            if not isinstance(value, bool):
                raise self._error(f"{name} must be true or false, not {_SHORT.repr(value)}")
            return
        is_sequence = name.endswith(("_depths", "_rnn_size", "_lengths"))
        sizes = value if isinstance(value, tuple) else (value,)
        least = 0 if name in ("control_depth", "nade_num_hidden") else 1
        right_kind = isinstance(value, tuple) == is_sequence
        if not right_kind or not all(
            type(size) is int and least <= size <= _MAX_SIZE for size in sizes
        ):
            wanted = "whole numbers" if is_sequence else "a whole number"
            raise self._error(
                f"{name} must be {wanted} of at least {least} and at most {_MAX_SIZE}, not "
                f"{_SHORT.repr(value)}"
            )
        if is_sequence and not value and not name.endswith("_level_lengths"):
            raise self._error(f"{name} must not be empty")
        if len(sizes) > _MAX_PARTS:
            raise self._error(f"{name} has {len(sizes)} numbers, at most {_MAX_PARTS} go")

    def _check_levels(self) -> None:
        for name in ("encoder_level_lengths", "decoder_level_lengths"):
            lengths = getattr(self, name)
            if lengths and prod(lengths) != self.max_seq_len:
                raise self._error(
                    f"{name} {lengths} multiply to {prod(lengths)}, "
                    f"not to max_seq_len {self.max_seq_len}"
                )
        if self.decoder_level_lengths and len(self.decoder_level_lengths) != 2:
            raise self._error(
                "decoder_level_lengths must be (segments, steps in a segment), not "
                f"{self.decoder_level_lengths}"
            )

    def _check_output(self) -> None:
        if self.output not in OUTPUTS:
            raise self._error(f"output must be one of {', '.join(OUTPUTS)}, not {self.output!r}")
        if self.output != "categorical" and len(self.output_depths) != 1:
            raise self._error(
                f"a {self.output} output has one part, not output_depths {self.output_depths}"
            )
        if self.output == "groove" and self.output_depth % 3:
            raise self._error(
                "a groove's output depth is hits, velocities and offsets of its drums, a multiple "
                f"of 3, not {self.output_depth}"
            )
        if (self.output == "nade") != (self.nade_num_hidden > 0):
            wanted = "at least 1" if self.output == "nade" else "0"
            raise self._error(
                f"nade_num_hidden is {self.nade_num_hidden}, wanted {wanted} for a {self.output} "
                "output"
            )

    @property
    def output_depth(self) -> int:
        """Width of one output step: all parts side by side."""
        return sum(self.output_depths)

    @property
    def core_depths(self) -> tuple[tuple[int, ...], ...]:
        """Widths of the parts of each core decoder."""
        if self.split_decoder:
            return tuple((depth,) for depth in self.output_depths)
        return (self.output_depths,)

    @property
    def is_hierarchical_encoder(self) -> bool:
        return bool(self.encoder_level_lengths)

    @property
    def is_hierarchical_decoder(self) -> bool:
        return bool(self.decoder_level_lengths)

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
            raise ConfigError(
                f"config: unknown keys {_SHORT.repr(unknown)}; known are {sorted(known)}"
            )
        try:
            return cls(**data)
        except TypeError as error:
            raise ConfigError(f"config: {error}") from None


# The families of Magenta 2.1.4's music_vae.configs. A bar of 4/4 has 16 steps. MusicVAEConfig takes
# the name, the steps, and the depths of inputs and outputs first.


def _melody(name: str, bars: int, **sizes: Any) -> MusicVAEConfig:
    """One monophonic part of 90 classes."""
    return MusicVAEConfig(name, 16 * bars, 90, (90,), **sizes)


def _drums(name: str, input_depth: int, output_depth: int, **sizes: Any) -> MusicVAEConfig:
    """Two bars of drums; the encoder reads a piano roll with a column for silence."""
    return MusicVAEConfig(name, 32, input_depth, (output_depth,), **sizes)


def _trio(name: str, **sizes: Any) -> MusicVAEConfig:
    """16 bars; melody and bass have 90 classes, drums 2**9."""
    return MusicVAEConfig(name, 256, 692, (90, 90, 512), z_size=512, **sizes)


def _multitrack(name: str, enc: int, dec: int, control_depth: int) -> MusicVAEConfig:
    """A bar of up to 8 tracks of up to 64 performance events each."""
    return MusicVAEConfig(
        name,
        512,
        490,
        (490,),
        z_size=512,
        enc_rnn_size=(enc,),
        dec_rnn_size=(dec,) * 3,
        encoder_level_lengths=(64, 8),
        decoder_level_lengths=(8, 64),
        control_depth=control_depth,
    )


def _groove(name: str, bars: int = 2, control_depth: int = 0) -> MusicVAEConfig:
    """Hits, velocities and offsets of nine drums."""
    return MusicVAEConfig(
        name, 16 * bars, 27, (27,), output="groove", control_depth=control_depth, **_SMALL
    )


_SMALL: dict[str, Any] = {"z_size": 256, "enc_rnn_size": (512,), "dec_rnn_size": (256, 256)}
_BIG: dict[str, Any] = {"z_size": 512, "enc_rnn_size": (2048,), "dec_rnn_size": (2048,) * 3}
_FLAT: dict[str, Any] = {"enc_rnn_size": (2048, 2048), "dec_rnn_size": (2048,) * 3}
_HIERDEC: dict[str, Any] = {
    "enc_rnn_size": (2048, 2048),
    "dec_rnn_size": (1024, 1024),
    "decoder_level_lengths": (16, 16),
}
_HIER: dict[str, Any] = _HIERDEC | {"enc_rnn_size": (1024,), "encoder_level_lengths": (16, 16)}
_CHORDS: dict[str, Any] = {
    "z_size": 256,
    "enc_rnn_size": (1024,),
    "dec_rnn_size": (512,) * 3,
    "control_depth": 49,
}
# Drums whose classes sound together in any way.
_NADE: dict[str, Any] = {
    "z_size": 256,
    "enc_rnn_size": (1024,),
    "dec_rnn_size": (512, 512),
    "output": "nade",
    "nade_num_hidden": 128,
}

CONFIGS: dict[str, MusicVAEConfig] = {
    config.name: config
    for config in (
        _melody("cat-mel_2bar_small", 2, **_SMALL),
        _melody("cat-mel_2bar_big", 2, **_BIG),
        _melody("cat-mel_2bar_med_chords", 2, **_CHORDS),
        _drums("cat-drums_2bar_small", 10, 512, **_SMALL),
        _drums("cat-drums_2bar_big", 10, 512, **_BIG),
        _drums("nade-drums_2bar_reduced", 10, 9, **_NADE),
        _drums("nade-drums_2bar_full", 62, 61, **_NADE),
        _trio("flat-trio_16bar", **_FLAT, split_decoder=False),
        _trio("hierdec-trio_16bar", **_HIERDEC),
        _trio("hier-trio_16bar", **_HIER),
        _melody("flat-mel_16bar", 16, z_size=512, **_FLAT),
        _melody("hierdec-mel_16bar", 16, z_size=512, **_HIERDEC),
        _melody("hier-mel_16bar", 16, z_size=512, **_HIER),
        _multitrack("hier-multiperf_vel_1bar_med", 1024, 512, 0),
        _multitrack("hier-multiperf_vel_1bar_big", 2048, 1024, 0),
        _multitrack("hier-multiperf_vel_1bar_med_chords", 1024, 512, 49),
        _multitrack("hier-multiperf_vel_1bar_big_chords", 2048, 1024, 49),
        _groove("groovae_4bar", bars=4),
        _groove("groovae_2bar_humanize"),
        _groove("groovae_2bar_tap_fixed_velocity"),
        _groove("groovae_2bar_tap_fixed_velocity_note_dropout"),
        _groove("groovae_2bar_add_closed_hh"),
        _groove("groovae_2bar_hits_control_tfds", control_depth=9),
    )
}
"""Magenta's 23 configs, by name."""

# Names of released checkpoints, and names that Magenta used before 2.1.4.
ALIASES: dict[str, str] = {
    "groovae_2bar_hits_control": "groovae_2bar_hits_control_tfds",
    "groovae_2bar_hits_control_nokl": "groovae_2bar_hits_control_tfds",
    "groovae_2bar_humanize_nokl": "groovae_2bar_humanize",
    "cat-drums_2bar_small.lokl": "cat-drums_2bar_small",
    "cat-drums_2bar_small.hikl": "cat-drums_2bar_small",
    "drums_2bar_small": "cat-drums_2bar_small",
    "drums_2bar_small.lokl": "cat-drums_2bar_small",
    "drums_2bar_small.hikl": "cat-drums_2bar_small",
    "drums_2bar_big": "cat-drums_2bar_big",
    "drums_2bar_nade.reduced": "nade-drums_2bar_reduced",
    "drums_2bar_nade.full": "nade-drums_2bar_full",
    "mel_2bar_small": "cat-mel_2bar_small",
    "mel_2bar_big": "cat-mel_2bar_big",
    "mel_16bar_flat": "flat-mel_16bar",
    "mel_16bar_hierdec": "hierdec-mel_16bar",
    "mel_16bar_hier": "hier-mel_16bar",
    "trio_16bar_flat": "flat-trio_16bar",
    "trio_16bar_hierdec": "hierdec-trio_16bar",
    "trio_16bar_hier": "hier-trio_16bar",
}


def get_config(name: str | Path, **sizes: Any) -> MusicVAEConfig:
    """A config by name or from a file, with any fields replaced.

    Args:
        name: Magenta's name or an old one (:data:`ALIASES`); or the path of a .json, .yaml or
            .yml file that holds the fields of a :class:`MusicVAEConfig`, without those that it
            has from `base` (a Magenta name).
        sizes: fields to replace.

    Raises:
        ConfigError: no such config, in which case the message lists those there are; or a file
            that is missing, unreadable, or does not describe a model.
    """
    if str(name).endswith(_CONFIG_FILE_SUFFIXES):
        config = _read_config_file(Path(name))
    else:
        config = _registered(str(name))
    return replace(config, **sizes) if sizes else config


def _registered(name: str) -> MusicVAEConfig:
    if (known := ALIASES.get(name, name)) in CONFIGS:
        return CONFIGS[known]
    near = get_close_matches(name, [*CONFIGS, *ALIASES], n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigError(
        f"unknown config {name!r}{meant}; choose one of: {', '.join(CONFIGS)}; or give a file of "
        "your own, .json or .yaml"
    )


def _read_config_file(path: Path) -> MusicVAEConfig:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else _parse_yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(f"{path}: not readable as a config: {reason}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{path}: holds no config, wanted fields such as `base` and `z_size`")
    base = data.get("base", "")
    try:
        if not isinstance(base, str):
            raise ConfigError(f"base must be text, not {_SHORT.repr(base)}")
        inherited = _registered(base).to_dict() if base else {}
        # Its own name, not that of its base.
        return MusicVAEConfig.from_dict(
            inherited | {"name": path.stem} | data | {"base": inherited.get("name", "")}
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _parse_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    # PyYAML's own constructors raise the last three for values that are not what their tag says.
    except (yaml.YAMLError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(str(error)) from None
