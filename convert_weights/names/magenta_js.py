"""Reading and writing the config of a MusicVAE of @magenta/music (magenta.js).

config.json says how notes become tensors, from which the structure follows; the weights are in
TensorFlow.js's format (tfjs_weights.py), under the very names and layouts of Magenta's TensorFlow
checkpoints, so magenta.py serves for both. Facts are those of @magenta/music 1.23.1: music_vae's
model and core's data converters and chord encoders.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.strict_json import field, read_json, shown
from convert_weights.formats.tensors import Tensors
from convert_weights.formats.tfjs_weights import write_tfjs_weights
from convert_weights.names.magenta import resize
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError, ConfigError
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, MAX_PITCH, MIN_PITCH

CONFIG = "config.json"

_CHORD_DEPTHS = {"MajorMinorChordEncoder": 25, "TriadChordEncoder": 49, "PitchChordEncoder": 37}
_TRIADS = "TriadChordEncoder"
_KEYS = 12


@dataclass(frozen=True)
class _Kind:
    """Models whose notes become tensors in the same way.

    converter: magenta.js's data converter. arguments: its own, without the lengths.
    bases: the Magenta configs that do so too.
    """

    converter: str
    arguments: dict[str, Any]
    bases: tuple[str, ...]


_PITCHES = {"minPitch": MIN_PITCH, "maxPitch": MAX_PITCH}
_NINE_DRUMS = {"pitchClasses": [list(pitches) for pitches in DRUM_CLASSES]}
_ALL_DRUMS = {"pitchClasses": [[pitch] for pitch in range(27, 88)]}
_TRIO = {"melArgs": _PITCHES, "bassArgs": _PITCHES, "drumsArgs": _NINE_DRUMS}
_MIDI_PITCHES = {"minPitch": 0, "maxPitch": 127}
_TRACKS = {"stepsPerQuarter": 24, "totalSteps": 96, "numVelocityBins": 8} | _MIDI_PITCHES
_GROOVE = _NINE_DRUMS | {
    "stepsPerQuarter": 4,
    "humanize": False,
    "tapify": False,
    "splitInstruments": False,
}
_KINDS = (
    _Kind(
        "MelodyConverter",
        _PITCHES,
        ("cat-mel_2bar_small", "cat-mel_2bar_med_chords", "flat-mel_16bar", "hier-mel_16bar"),
    ),
    _Kind("DrumsConverter", _NINE_DRUMS, ("cat-drums_2bar_small",)),
    _Kind("DrumRollConverter", _NINE_DRUMS, ("nade-drums_2bar_reduced",)),
    _Kind("DrumRollConverter", _ALL_DRUMS, ("nade-drums_2bar_full",)),
    _Kind("TrioConverter", _TRIO, ("flat-trio_16bar", "hier-trio_16bar")),
    _Kind(
        "MultitrackConverter",
        _TRACKS,
        ("hier-multiperf_vel_1bar_med", "hier-multiperf_vel_1bar_med_chords"),
    ),
    _Kind("GrooveConverter", _GROOVE, ("groovae_4bar", "groovae_2bar_hits_control_tfds")),
    _Kind("GrooveConverter", _GROOVE | {"humanize": True}, ("groovae_2bar_humanize",)),
    _Kind(
        "GrooveConverter",
        _GROOVE | {"tapify": True},
        ("groovae_2bar_tap_fixed_velocity", "groovae_2bar_tap_fixed_velocity_note_dropout"),
    ),
)
# What magenta.js takes for an argument that is missing.
_DEFAULTS = _MIDI_PITCHES | _GROOVE


def read_magenta_js_config(
    files: Mapping[str, FileRange], weights: Tensors, name: str = ""
) -> MusicVAEConfig:
    """The config of a magenta.js model: `base` is the Magenta config that is nearest to it.

    files: those of its folder, by name. weights: opened from them.
    name: what to call the model; empty: by its base.
    Raises CheckpointError if config.json is missing or malformed, or describes a model of a kind
    that no Magenta config has.
    """
    spec = read_json(files, CONFIG)
    with located(files[CONFIG].label):
        try:
            config = _read_spec(spec)
            # Layer and latent sizes show in the weights alone.
            sized = resize(config, {name: weights.shape(name) for name in weights})
            return replace(sized, name=name or config.base)
        except ConfigError as error:
            raise CheckpointError(str(error)) from None


def write_magenta_js(
    folder: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    config: MusicVAEConfig,
    quantization_bytes: int | None = None,
) -> None:
    """Writes a model as magenta.js loads it: config.json, weights_manifest.json and shards.

    tensors: Magenta's variables, all float32, without the trainer's.
    quantization_bytes: 1 or 2 to store each number in that many, with a loss; None to keep them.
    Raises CheckpointError for a model of a kind that magenta.js does not know (see `to_spec`), or
    for numbers that cannot be stored.
    """
    spec = to_spec(config)
    write_tfjs_weights(folder, tensors, quantization_bytes)
    # Last: a folder without it is no model.
    (Path(folder) / CONFIG).write_text(json.dumps(spec), encoding="utf-8")


def to_spec(config: MusicVAEConfig) -> dict[str, Any]:
    """A model's config.json for magenta.js.

    Raises CheckpointError if magenta.js does not know that kind of model. It knows flat ones and
    hierarchical ones whose encoder and decoder cut the window into the same segments. There must
    be one encoder layer (on each level), decoder layers of one size, and a decoder for each part.
    """
    kind = _kind_of(config)
    lengths = {"numSteps": config.max_seq_len}
    if config.is_hierarchical_decoder:
        lengths["numSegments"] = config.decoder_level_lengths[0]
    spec: dict[str, Any] = {
        "type": "MusicVAE",
        "dataConverter": {"type": kind.converter, "args": lengths | kind.arguments},
    }
    if config.control_depth == _CHORD_DEPTHS[_TRIADS]:
        spec["chordEncoder"] = _TRIADS
    elif config.control_depth:
        spec["extraControls"] = [{"name": "controls", "depth": config.control_depth}]
    return spec


def _kind_of(config: MusicVAEConfig) -> _Kind:
    kinds = [kind for kind in _KINDS if _rows(config) == _rows(get_config(kind.bases[0]))]
    reason = ""
    if config.encoder_level_lengths != config.decoder_level_lengths[::-1]:
        reason = "its encoder and decoder cut the window in different ways"
    elif len(config.enc_rnn_size) > 1:
        reason = f"its encoder has {len(config.enc_rnn_size)} layers, not one"
    elif len(set(config.dec_rnn_size)) > 1:
        reason = f"its decoder's layers have different sizes, {config.dec_rnn_size}"
    elif len(config.core_depths) < len(config.output_depths):
        reason = "its parts share one decoder"
    elif not kinds:
        reason = f"{config.output} outputs {config.output_depths} of inputs {config.input_depth}"
    if reason:
        raise CheckpointError(f"magenta.js has no models like {config.name!r}: {reason}")
    return next((kind for kind in kinds if config.base in kind.bases), kinds[0])


def _rows(config: MusicVAEConfig) -> tuple[str, int, tuple[int, ...]]:
    """What kind of rows a model reads and writes."""
    return config.output, config.input_depth, config.output_depths


def _read_spec(spec: Any) -> MusicVAEConfig:
    if (kind := field(spec, "type", str)) != "MusicVAE":
        raise CheckpointError(f"is of a {shown(kind)} model, expected 'MusicVAE'")
    if field(spec, "useBooleanDecoder", bool, False):
        raise CheckpointError("has a Boolean decoder, which no Magenta config has")
    converter = field(spec, "dataConverter", dict)
    arguments = field(converter, "args", dict)
    steps = field(arguments, "numSteps", int)
    segments = field(arguments, "numSegments", int, 0)
    controls = _control_depth(spec)
    if steps < 1 or segments < 0 or (segments and steps % segments):
        raise CheckpointError(f"has {steps} steps in {segments} segments, expected equal segments")
    names = _bases(field(converter, "type", str), arguments)
    # None with other controls: those would be something else.
    bases = [base for base in map(get_config, names) if base.control_depth in (0, controls)]
    base = min(
        bases,
        key=lambda base: (
            base.control_depth != controls,
            base.is_hierarchical_encoder != bool(segments),
            base.max_seq_len != steps,
        ),
    )
    length = steps // segments if segments else 0
    return replace(
        base,
        base=base.name,
        max_seq_len=steps,
        encoder_level_lengths=(length, segments) if segments else (),
        decoder_level_lengths=(segments, length) if segments else (),
        enc_rnn_size=base.enc_rnn_size[:1],
        split_decoder=True,
        control_depth=controls,
    )


def _control_depth(spec: dict[str, Any]) -> int:
    """Width of the controls: a chord, then a key, then others, side by side."""
    depth = 0
    if spec.get("chordEncoder"):
        encoder = field(spec, "chordEncoder", str)
        if encoder not in _CHORD_DEPTHS:
            raise CheckpointError(
                f"has the chord encoder {shown(encoder)}, expected {', '.join(_CHORD_DEPTHS)}"
            )
        depth += _CHORD_DEPTHS[encoder]
    if field(spec, "conditionOnKey", bool, False):
        depth += _KEYS
    return depth + sum(
        field(extra, "depth", int) for extra in field(spec, "extraControls", list, [])
    )


def _bases(converter: str, arguments: dict[str, Any]) -> tuple[str, ...]:
    """The Magenta configs that turn notes into tensors by a data converter's rules."""
    differences = {
        kind.bases: _differences(arguments, kind.arguments)
        for kind in _KINDS
        if kind.converter == converter
    }
    if not differences:
        raise CheckpointError(f"has a {shown(converter)}, which no Magenta config has")
    nearest = min(differences, key=lambda bases: len(differences[bases]))
    if differences[nearest]:
        raise CheckpointError(
            f"has a {converter} with another {', '.join(differences[nearest])} than any Magenta"
            f" config, such as {nearest[0]}"
        )
    return nearest


def _differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The arguments of a data converter that are not as expected."""
    names = []
    for name, value in expected.items():
        given = found.get(name, _DEFAULTS.get(name))
        if isinstance(value, dict) and isinstance(given, dict):
            names += [f"{name}.{inner}" for inner in _differences(given, value)]
        elif name == "pitchClasses":
            names += [name] if _sounds(given) != _sounds(value) else []
        elif type(given) is not type(value) or given != value:
            names.append(name)
    return names


def _sounds(classes: Any) -> list[Any]:
    """The pitch as which each drum class sounds; further pitches matter to the encoder alone."""
    if not isinstance(classes, list):
        return []
    return [pitches[0] if isinstance(pitches, list) and pitches else None for pitches in classes]
