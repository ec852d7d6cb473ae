"""The way back: our models as variables under Magenta's names, in a checkpoint that it restores."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from convert_weights.magenta import match_layers, to_variables
from convert_weights.tensor_bundle import write_tensor_bundle
from musicvae_torch.model import MusicVAE

_PREFIX = "model.ckpt"
# TensorFlow looks here for the newest checkpoint of a folder.
_STATE_FILE = "checkpoint"


class Variables(Mapping[str, np.ndarray]):
    """A model's weights under Magenta's names, in TensorFlow's layout, each made when asked for."""

    def __init__(self, model: MusicVAE) -> None:
        self._parameters = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in self._parameters.items()}
        layers = match_layers(model.config, shapes)
        self._layers = {name: layer for layer in layers for name in layer.variables}

    def __getitem__(self, name: str) -> np.ndarray:
        layer = self._layers[name]
        return to_variables(layer, (self._parameters[own].numpy() for own in layer.parameters))[
            name
        ]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def shape(self, name: str) -> tuple[int, ...]:
        """A variable's shape, without making it."""
        return self._layers[name].variables[name]


def write_tensorflow(folder: Path, model: MusicVAE) -> None:
    """Write a model into `folder` as a checkpoint that Magenta's TrainedModel restores.

    The files are model.ckpt.index, model.ckpt.data-00000-of-00001 and `checkpoint`.
    """
    # Magenta's saver asks for the trainer's step counter too.
    step: dict[str, np.ndarray] = {"global_step": np.array(0, np.int64)}
    variables = cast(dict[str, np.ndarray], Variables(model))
    write_tensor_bundle(folder / _PREFIX, ChainMap(step, variables))
    (folder / _STATE_FILE).write_text(f'model_checkpoint_path: "{_PREFIX}"\n', encoding="utf-8")
