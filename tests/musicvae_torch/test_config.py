"""Sizes: what is registered, what is refused, and what importing the package costs."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from fresh_python import run_python

import musicvae_torch
from musicvae_torch.config import ALIASES, CONFIGS, MusicVAEConfig, get_config
from musicvae_torch.errors import ConfigError

SIZES: dict[str, Any] = {
    "name": "tiny",
    "max_seq_len": 8,
    "input_depth": 15,
    "output_depths": (6, 5, 4),
    "z_size": 4,
    "enc_rnn_size": (8,),
    "dec_rnn_size": (8,),
    "decoder_level_lengths": (2, 4),
}


def test_registry_has_magentas_sizes() -> None:
    hierdec, hier = CONFIGS["hierdec-trio_16bar"], CONFIGS["hier-trio_16bar"]
    for config in (hierdec, hier):
        assert (config.max_seq_len, config.z_size, config.control_depth) == (256, 512, 0)
        assert config.output_depths == (90, 90, 512)
        assert config.input_depth == config.output_depth == 692
        assert config.dec_rnn_size == (1024, 1024)
        assert config.decoder_level_lengths == (16, 16)
    assert (hierdec.enc_rnn_size, hierdec.encoder_level_lengths) == ((2048, 2048), ())
    assert (hier.enc_rnn_size, hier.encoder_level_lengths) == ((1024,), (16, 16))
    assert not hierdec.is_hierarchical_encoder and hier.is_hierarchical_encoder


def test_get_config() -> None:
    assert get_config("hier-trio_16bar") is CONFIGS["hier-trio_16bar"]
    smaller = get_config("hier-trio_16bar", z_size=32, dec_rnn_size=[64])
    assert smaller == replace(CONFIGS["hier-trio_16bar"], z_size=32, dec_rnn_size=(64,))


def test_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ConfigError) as caught:
        get_config("hier-trio_32bar")
    message = str(caught.value)
    assert "\n" not in message and "'hier-trio_32bar'" in message
    assert all(name in message for name in CONFIGS)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"z_size": 0}, "z_size"),
        ({"z_size": 4.0}, "z_size"),
        ({"z_size": True}, "z_size"),
        ({"z_size": "4"}, "z_size"),
        ({"z_size": (4,)}, "z_size"),
        ({"z_size": None}, "z_size"),
        ({"z_size": 10**18}, "at most 16777216"),
        ({"output_depths": (10**30,)}, "at most 16777216"),
        ({"dec_rnn_size": (8,) * 10_000}, "has 10000 numbers"),
        ({"control_depth": -1}, "control_depth"),
        ({"enc_rnn_size": 8}, "enc_rnn_size"),
        ({"enc_rnn_size": ()}, "enc_rnn_size"),
        ({"dec_rnn_size": (8, 0)}, "dec_rnn_size"),
        ({"output_depths": [[6]]}, "output_depths"),
        ({"output_depths": "654"}, "output_depths"),
        ({"decoder_level_lengths": 8}, "decoder_level_lengths"),
        ({"decoder_level_lengths": (8,)}, "(segments, steps in a segment)"),
        ({"decoder_level_lengths": (2, 2, 2)}, "(segments, steps in a segment)"),
        ({"decoder_level_lengths": (2, 5)}, "multiply to 10, not to max_seq_len 8"),
        ({"encoder_level_lengths": (4, 4)}, "multiply to 16, not to max_seq_len 8"),
        ({"encoder_level_lengths": (-4, -2)}, "encoder_level_lengths"),
        ({"name": 3}, "name must be text"),
        ({"base": 3}, "base must be text"),
        ({"split_decoder": 1}, "split_decoder must be true or false"),
        ({"output": "gaussian"}, "output must be one of categorical, nade, groove"),
        ({"output": "nade", "nade_num_hidden": 4}, "one part"),
        ({"output": "nade", "output_depths": (9,)}, "at least 1 for a nade"),
        ({"nade_num_hidden": 4}, "0 for a categorical"),
        ({"output": "groove", "output_depths": (26,)}, "multiple of 3"),
    ],
)
def test_bad_sizes_are_refused_in_one_line(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MusicVAEConfig(**{**SIZES, **changes})
    assert fault in str(caught.value) and "\n" not in str(caught.value)


def test_from_dict_names_unknown_and_missing_keys() -> None:
    with pytest.raises(ConfigError, match=r"unknown keys.*'zsize'"):
        MusicVAEConfig.from_dict({**SIZES, "zsize": 4})
    with pytest.raises(ConfigError, match="'z_size'"):
        MusicVAEConfig.from_dict({name: size for name, size in SIZES.items() if name != "z_size"})


@pytest.mark.parametrize(
    "config",
    [
        *CONFIGS.values(),
        MusicVAEConfig(**SIZES, encoder_level_lengths=(2, 2, 2), control_depth=3),
    ],
    ids=lambda config: config.name,
)
def test_round_trip_through_json(config: MusicVAEConfig) -> None:
    again = MusicVAEConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config)


def test_old_names_are_aliases() -> None:
    for name in ("groovae_2bar_hits_control", "mel_2bar_big", "trio_16bar_hierdec"):
        assert get_config(name) is CONFIGS[ALIASES[name]]
    assert set(ALIASES.values()) <= set(CONFIGS) and not set(ALIASES) & set(CONFIGS)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_own_config_from_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"my_trio.{suffix}"
    path.write_text('{"base": "trio_16bar_hier", "z_size": 32, "dec_rnn_size": [64, 48]}')
    config = get_config(path)
    assert (config.name, config.base) == ("my_trio", "hier-trio_16bar")
    expected = get_config("hier-trio_16bar", z_size=32, dec_rnn_size=(64, 48))
    assert replace(config, name="hier-trio_16bar") == expected
    path.write_text(json.dumps(SIZES))
    assert get_config(str(path), z_size=7) == MusicVAEConfig(**{**SIZES, "z_size": 7})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "No such file"),
        ("{", "not readable as a config"),
        ("[" * 100_000, "not readable as a config"),
        ("[1]", "holds no config"),
        ("{1: 2}", "holds no config"),
        ("", "holds no config"),
        ("{base: nonsense}", "unknown config 'nonsense'"),
        ("{base: [1]}", "base must be text"),
        ("{base: hier-trio_16bar, zsize: 3}", "unknown keys ['zsize']"),
        ("{z_size: 3}", "missing"),
        ("{base: hier-trio_16bar, name: 3}", "name must be text"),
        ("{base: hier-trio_16bar, max_seq_len: 128}", "multiply to 256"),
        # What PyYAML's constructors do not make errors of their own of.
        ('{z_size: !!int ""}', "not readable as a config"),
        ("{split_decoder: !!bool maybe}", "not readable as a config"),
        ("{name: !!timestamp now}", "not readable as a config"),
    ],
)
def test_bad_config_files_are_refused_in_one_line(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        get_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and fault in message and "\n" not in message


def test_message_is_short_however_large_the_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    # Each list is nine times the one before: written out, ten million numbers.
    lines = [
        f"{field}: &a{i} [{', '.join([f'*a{i - 1}' if i else '1'] * 9)}]"
        for i, field in enumerate(list(SIZES)[1:])
    ]
    for key in ("base", "name"):
        path.write_text("\n".join([*lines, f"{key}: *a6"]))
        with pytest.raises(ConfigError, match=f"{key} must be text") as caught:
            get_config(path)
        assert len(str(caught.value)) < 1000
    path.write_text(json.dumps({f"key{i}": i for i in range(10_000)}))
    with pytest.raises(ConfigError, match="unknown keys") as caught:
        get_config(path)
    assert len(str(caught.value)) < 1000


def test_is_frozen() -> None:
    config = MusicVAEConfig(**SIZES)
    with pytest.raises(FrozenInstanceError):
        config.z_size = 5  # type: ignore[misc]


def test_import_does_not_wait_for_torch() -> None:
    script = (
        "import sys, musicvae_torch\n"
        "assert musicvae_torch.get_config('hier-trio_16bar') in musicvae_torch.CONFIGS.values()\n"
        "assert not {'torch', 'numpy', 'lightning'} & set(sys.modules)\n"
    )
    done = run_python(script)
    assert done.returncode == 0, done.stderr


def test_package_exports() -> None:
    for name in musicvae_torch.__all__:
        assert getattr(musicvae_torch, name).__class__.__name__ != "module"
    assert not hasattr(musicvae_torch, "nonsense")
    with pytest.raises(AttributeError, match="'musicvae_torch' has no attribute 'nonsense'"):
        _ = musicvae_torch.nonsense
    with pytest.raises(ImportError, match="nonsense"):
        from musicvae_torch import nonsense  # noqa: F401
