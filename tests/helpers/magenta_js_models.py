"""The golden models of magenta.js, and what it makes of them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paths import GOLDEN_FILES

from convert_weights.formats.file_range import FileRange, files_in
from convert_weights.formats.tfjs_weights import open_tfjs_weights
from convert_weights.names.magenta import match_layers, to_parameters
from convert_weights.names.magenta_js import (
    read_magenta_js_config,
)
from convert_weights.plan import make_plan, parameter_shapes
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.vae import MusicVAE

GOLDEN = GOLDEN_FILES / "magenta_js"


def files_of(folder: Path) -> dict[str, FileRange]:
    return files_in(folder)


def variables_of(config: MusicVAEConfig) -> dict[str, tuple[int, ...]]:
    """Magenta's variables of a model, with their shapes."""
    layers = match_layers(config, parameter_shapes(config))
    return {name: shape for layer in layers for name, shape in layer.variables.items()}


def read_model(folder: Path) -> tuple[MusicVAEConfig, MusicVAE]:
    files = files_of(folder)
    weights = open_tfjs_weights(files)
    config = read_magenta_js_config(files, weights, folder.name)
    plan = make_plan(weights, config, folder)
    assert plan.config == config and not plan.skipped
    state: dict[str, torch.Tensor] = {}
    for layer in plan.layers:
        arrays = to_parameters(layer, (weights[name] for name in layer.variables))
        for name, array in arrays.items():
            state[name] = torch.tensor(array).reshape(layer.parameters[name])
    model = MusicVAE(config)
    model.load_state_dict(state)
    return config, model


def questions(config: MusicVAEConfig) -> dict[str, Any]:
    """What to decode and encode: any numbers will do, if both sides have the same."""
    batch, steps = 1 if "multiperf" in config.base else 2, config.max_seq_len
    z = np.cos(1.0 + np.arange(batch * config.z_size)).reshape(batch, -1)
    inputs = np.arange(batch * steps * config.input_depth).reshape(batch, steps, -1) % 31 == 0
    asked = {"z": z.tolist(), "inputs": inputs.astype(int).tolist()}
    if config.control_depth:
        chords = np.arange(steps) // 8 * 5 % config.control_depth
        asked["controls"] = np.eye(config.control_depth, dtype=int)[chords].tolist()
    if batch == 1:
        # Only of a single example can magenta.js tell the lengths of segments.
        asked["lengths"] = [1 + 7 * i for i in range(config.decoder_level_lengths[0])]
    return asked


def ask_magenta_js(modules: Path, folder: Path, config: MusicVAEConfig) -> dict[str, Any]:
    command = ["node", str(GOLDEN / "run.js"), str(modules), str(folder)]
    text = json.dumps(questions(config))
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return dict(json.loads(answer.stdout))


def compact(config: MusicVAEConfig, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with the classes of one-hot rows instead of the rows."""
    rows = np.array(answer["rows"])
    if config.output == "categorical":
        parts = np.split(rows, np.cumsum(config.output_depths)[:-1], axis=-1)
        assert all((part.sum(-1) == 1).all() for part in parts)
        rows = np.stack([part.argmax(-1) for part in parts], -1)
    return {"rows": rows.tolist(), "mean": answer["mean"]}
