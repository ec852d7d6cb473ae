"""Writing our models as checkpoints that Magenta and magenta.js load."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from convert_weights.formats.atomic_folder import atomic_folder, refuse_own_folder
from convert_weights.formats.tensor_bundle import write_tensor_bundle
from convert_weights.formats.tensors import Tensor, Tensors
from convert_weights.names.magenta import Layer, match_layers, to_variables
from convert_weights.names.magenta_js import write_magenta_js
from musicvae_torch.model.vae import MusicVAE

_PREFIX = "model.ckpt"


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    target: str,
    *,
    quantization_bytes: int | None = None,
    force: bool = False,
) -> str:
    """Write a model of ours for Magenta.

    For TensorFlow the files are model.ckpt.index, model.ckpt.data-00000-of-00001 and `checkpoint`,
    which Magenta's TrainedModel restores.

    Args:
        source: our checkpoint folder.
        out: a folder, new or empty.
        target: "tensorflow" or "magenta-js".
        quantization_bytes: bytes for each number of magenta.js, 1 or 2; None: four, which is exact.
        force: replace files of the same names.

    Returns:
        A line that names the folder and says how to load it.

    Raises:
        CheckpointError: there is no MusicVAE in `source`, or magenta.js knows no such architecture.
        OutputError: the folder is in use, or it is `source` and the target is magenta-js.
        OSError: files cannot be read or written.
    """
    if target == "magenta-js":
        refuse_own_folder(out, Path(source))
    with atomic_folder(out, force) as result:
        model = MusicVAE.from_pretrained(Path(source))
        config, variables = model.config, _variables(model)
        if target == "tensorflow":
            # Magenta's saver asks for the trainer's step counter, too.
            variables["global_step"] = Tensor((), "int64", partial(np.array, 0, np.int64))
            write_tensor_bundle(result / _PREFIX, Tensors([], variables))
            # TensorFlow looks in this file for the newest checkpoint of a folder.
            state = f'model_checkpoint_path: "{_PREFIX}"\n'
            (result / "checkpoint").write_text(state, encoding="utf-8")
            enc, dec = list(config.enc_rnn_size), list(config.dec_rnn_size)
            nade = f", nade_num_hidden={config.nade_num_hidden}" if config.output == "nade" else ""
            hint = (
                f"Magenta's {config.base}, with the hparams enc_rnn_size={enc}, "
                f"dec_rnn_size={dec}, z_size={config.z_size}{nade}"
            )
        else:
            write_magenta_js(result, Tensors([], variables), config, quantization_bytes)
            hint = "new MusicVAE(URL of this folder) of @magenta/music"
    return f"{out}: {hint}"


def _variables(model: MusicVAE) -> dict[str, Tensor]:
    """A model's weights by Magenta's names, each made in TensorFlow's layout when it is read."""
    parameters = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    shapes = {name: array.shape for name, array in parameters.items()}

    def read(layer: Layer, name: str) -> np.ndarray:
        return to_variables(layer, (parameters[own] for own in layer.parameters))[name]

    return {
        name: Tensor(shape, "float32", partial(read, layer, name))
        for layer in match_layers(model.config, shapes)
        for name, shape in layer.variables.items()
    }
