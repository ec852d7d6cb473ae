"""Which config a checkpoint is of: by its variables' names and shapes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_python import run_python

from convert_weights.formats.tensors import Tensor, Tensors
from convert_weights.names.magenta import Shape, match_layers
from convert_weights.plan import Plan, make_plan, parameter_shapes
from musicvae_torch.config import CONFIGS, MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError


def variables_of(config: MusicVAEConfig, **changes: Shape) -> Tensors:
    """The variables of a checkpoint, without the numbers."""
    shapes: dict[str, Shape] = {}
    for layer in match_layers(config, parameter_shapes(config)):
        shapes |= layer.variables
    return Tensors(
        [],
        {
            name: Tensor(shape, "float32" if shape else "int64", _refuse_to_read)
            for name, shape in (shapes | changes).items()
        },
    )


def _refuse_to_read() -> np.ndarray:
    raise AssertionError("a plan reads no weights")


def plan(variables: Tensors, config: MusicVAEConfig | None = None) -> Plan:
    return make_plan(variables, config, "x.ckpt")


@pytest.mark.parametrize("name", CONFIGS)
def test_magentas_own_sizes(name: str) -> None:
    """At full size, only the grooves of one shape are left to choose from."""
    config = CONFIGS[name]
    shapes = variables_of(config, global_step=())
    by_name = plan(shapes, config)
    assert by_name.config == config and by_name.skipped == ["global_step"] and not by_name.notes
    if name.startswith("groovae") and not config.control_depth:
        with pytest.raises(CheckpointError, match="groovae_4bar, groovae_2bar_humanize"):
            plan(shapes)
    else:
        assert plan(shapes).config == config


def resized(name: str, **sizes: Any) -> Tensors:
    return variables_of(get_config(name, **sizes))


def test_other_sizes_are_taken_and_told() -> None:
    found = plan(resized("hierdec-trio_16bar", z_size=8, enc_rnn_size=(9, 7)))
    assert found.config == get_config("hierdec-trio_16bar", z_size=8, enc_rnn_size=(9, 7))
    assert found.notes == [
        "enc_rnn_size is (9, 7), in hierdec-trio_16bar (2048, 2048)",
        "z_size is 8, in hierdec-trio_16bar 512",
    ]


def test_a_number_of_layers_that_another_config_has() -> None:
    shapes = resized("cat-drums_2bar_small", z_size=8)
    with pytest.raises(CheckpointError) as caught:
        plan(shapes, get_config("cat-drums_2bar_big"))
    assert str(caught.value) == (
        "x.ckpt: is no cat-drums_2bar_big (but a cat-drums_2bar_small): has 1 encoder and 2 "
        "decoder layers, expected 1 and 3"
    )


def test_a_number_of_layers_that_no_config_has() -> None:
    shapes = resized("hierdec-mel_16bar", dec_rnn_size=(5, 5, 5))
    assert plan(shapes, CONFIGS["hierdec-mel_16bar"]).config.dec_rnn_size == (5, 5, 5)
    assert plan(shapes).config.name == "hierdec-mel_16bar"


@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_config_names_the_right_one(name: str) -> None:
    other = "nade-drums_2bar_full" if name != "nade-drums_2bar_full" else "flat-trio_16bar"
    with pytest.raises(CheckpointError) as caught:
        plan(variables_of(CONFIGS[name]), CONFIGS[other])
    message = str(caught.value)
    assert message.startswith(f"x.ckpt: is no {other} (but a ") and "\n" not in message
    assert name in message.partition(")")[0]


def test_unknown_variables_fit_nothing() -> None:
    shapes = variables_of(get_config("cat-mel_2bar_small"), **{"decoder/attention/kernel": (3, 4)})
    with pytest.raises(CheckpointError, match="fits none of Magenta's configs"):
        plan(shapes)
    with pytest.raises(CheckpointError, match="unknown variables: decoder/attention/kernel"):
        plan(shapes, get_config("cat-mel_2bar_small"))


def test_own_config_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bigger_nade.yaml"
    path.write_text("{base: nade-drums_2bar_full, nade_num_hidden: 99}")
    config = get_config(path)
    found = plan(variables_of(config), config)
    assert found.config == config and not found.notes
    assert plan(variables_of(config)).notes == [
        "nade_num_hidden is 99, in nade-drums_2bar_full 128"
    ]


@pytest.mark.parametrize(
    ("split", "hierarchical", "scope"),
    [
        (False, False, "decoder/"),
        (True, False, "core_decoder_1/decoder/"),
        (False, True, "core_decoder/decoder/"),
        (True, True, "core_decoder/core_decoder_1/decoder/"),
    ],
)
def test_where_core_decoders_are(split: bool, hierarchical: bool, scope: str) -> None:
    config = get_config(
        "hierdec-trio_16bar",
        split_decoder=split,
        decoder_level_lengths=(16, 16) if hierarchical else (),
    )
    assert any(name.startswith(f"{scope}output_projection") for name in variables_of(config))
    assert plan(variables_of(config), config).config == config


def test_planning_loads_no_compiler() -> None:
    """PyTorch's takes more than a second to import, and a model without memory needs none."""
    script = (
        "import sys; from convert_weights.plan import parameter_shapes\n"
        "from musicvae_torch.config import CONFIGS\n"
        "for config in CONFIGS.values(): parameter_shapes(config)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    done = run_python(script)
    assert done.returncode == 0, done.stderr
