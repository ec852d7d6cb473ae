"""The way back: our models as variables under Magenta's names, in a checkpoint that it restores."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from convert_weights.formats.atomic_folder import publishing, refuse_own_folder
from convert_weights.formats.tensor_bundle import write_tensor_bundle
from convert_weights.names.magenta import match_layers, to_variables
from convert_weights.names.magenta_js import write_magenta_js
from musicvae_torch.model.vae import MusicVAE

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


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    target: str,
    *,
    quantization_bytes: int | None = None,
    force: bool = False,
) -> str:
    """Write a model of ours for Magenta.

    Args:
        source: our checkpoint folder.
        out: a folder, new or empty.
        target: "tensorflow" or "magenta-js".
        quantization_bytes: of a number of magenta.js, 1 or 2; None: exact.
        force: let files of the same names be replaced.

    Returns:
        What was written, and how to load it.

    Raises:
        musicvae_torch.io.checkpoint.CheckpointError: there is no MusicVAE in `source`.
        musicvae_torch.errors.CheckpointError: magenta.js knows no such architecture.
        FileExistsError: the folder is in use, or for magenta.js `source` itself.
        OSError: files cannot be read or written.
    """
    if target == "magenta-js":
        refuse_own_folder(out, Path(source))
    with publishing(out, force) as result:
        model = MusicVAE.from_pretrained(Path(source))
        config = model.config
        if target == "tensorflow":
            write_tensorflow(result, model)
            enc, dec = list(config.enc_rnn_size), list(config.dec_rnn_size)
            nade = f", nade_num_hidden={config.nade_num_hidden}" if config.output == "nade" else ""
            hint = (
                f"Magenta's {config.base}, with the hparams enc_rnn_size={enc}, "
                f"dec_rnn_size={dec}, z_size={config.z_size}{nade}"
            )
        else:
            write_magenta_js(
                result, Variables(model), config, quantization_bytes=quantization_bytes
            )
            hint = "new MusicVAE(URL of this folder) of @magenta/music"
    return f"{out}: {hint}"


def write_tensorflow(folder: Path, model: MusicVAE) -> None:
    """Write a model into `folder` as a checkpoint that Magenta's TrainedModel restores.

    The files are model.ckpt.index, model.ckpt.data-00000-of-00001 and `checkpoint`.
    """
    # Magenta's saver asks for the trainer's step counter too.
    step: dict[str, np.ndarray] = {"global_step": np.array(0, np.int64)}
    variables = cast(dict[str, np.ndarray], Variables(model))
    write_tensor_bundle(folder / _PREFIX, ChainMap(step, variables))
    (folder / _STATE_FILE).write_text(f'model_checkpoint_path: "{_PREFIX}"\n', encoding="utf-8")
