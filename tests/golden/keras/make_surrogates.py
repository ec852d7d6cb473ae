#!/usr/bin/env python3
"""Make the HDF5 files and golden.npz beside this file with Keras itself.

Runs where tensorflow 2.15 is installed, which nothing else of this project needs.

Each file is a small surrogate as accompany-music-vae built and saved it, with random weights:
whole models or weights alone, of CuDNNLSTM or LSTM layers, by tf.keras, or (standalone_*) as the
keras package of version 2.2 laid them out: layers counted from 1, no lstm_cell in a weight's
name, a Sequential's config a plain list that lacks the input layer.

golden.npz: `inputs` (3, 8, 7), and under each file's name what Keras makes of them, (3, 6). cuDNN
needs a GPU, so Keras predicts with LSTM layers throughout, which it fills from either kind.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
STEPS, DEPTH, LATENT = 8, 7, 6


def without_cudnn(layer: Any, inputs: Any, _: Any) -> tuple[Any, list[Any]]:
    """Stands in for CuDNNLSTM's call of cuDNN: outputs of the right shape, whatever they are."""
    tf: Any = import_module("tensorflow")
    unused = 0 * (tf.reduce_sum(layer.recurrent_kernel) + tf.reduce_sum(layer.bias))
    outputs = tf.matmul(inputs, layer.kernel[:, : layer.units]) + unused
    last = outputs[:, -1]
    return (outputs if layer.return_sequences else last), [last, last]


def build(cell: Any, cell_name: str, units: tuple[int, ...], first: int, dropout: float) -> Any:
    """A Sequential whose layers are named as Keras would, counting from `first`."""
    tf: Any = import_module("tensorflow")
    layers = [tf.keras.Input((STEPS, DEPTH), name="input_1")]
    for index, size in enumerate(units):
        suffix = f"_{index + first}" if index + first else ""
        inner = cell(size, return_sequences=index < len(units) - 1, name=f"{cell_name}{suffix}")
        layers.append(tf.keras.layers.Bidirectional(inner, name=f"bidirectional{suffix}"))
        if dropout:
            layers.append(tf.keras.layers.Dropout(dropout))
    layers.append(tf.keras.layers.Dense(LATENT, name="dense_1" if first else "dense"))
    return tf.keras.Sequential(layers)


def functional(model: Any) -> Any:
    tf: Any = import_module("tensorflow")
    return tf.keras.Model(model.inputs, model.outputs)


def train_a_step(model: Any, optimizer: Any) -> None:
    """Gives the file a training_config and an optimizer's weights."""
    model.compile(optimizer, "mse")
    model.fit(np.zeros((1, STEPS, DEPTH)), np.zeros((1, LATENT)), verbose=0)


def draw_weights(model: Any, rng: np.random.Generator) -> None:
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])


def as_standalone(path: Path) -> None:
    """Rewrites a file of tf.keras as the keras package 2.2.4 laid it out."""
    old_path = path.with_suffix(".old")
    path.replace(old_path)
    with h5py.File(old_path) as old, h5py.File(path, "w") as new:
        groups = [(old, new)]
        if "model_weights" in old:
            config = json.loads(old.attrs["model_config"])
            source, *layers = config["config"]["layers"]
            layers[0]["config"]["batch_input_shape"] = source["config"]["batch_input_shape"]
            new.attrs["model_config"] = json.dumps(config | {"config": layers}).encode()
            groups.append((old["model_weights"], new.create_group("model_weights")))
        weights, target = groups[-1]
        for _, group in groups:
            group.attrs["backend"] = b"tensorflow"
            group.attrs["keras_version"] = b"2.2.4"
        target.attrs["layer_names"] = np.array([n.encode() for n in weights.attrs["layer_names"]])
        for layer in weights.attrs["layer_names"]:
            group = target.create_group(layer)
            names = list(weights[layer].attrs["weight_names"])
            shorter = [name.replace("lstm_cell/", "") for name in names]
            group.attrs["weight_names"] = np.array([name.encode() for name in shorter])
            for name, short in zip(names, shorter, strict=True):
                group.create_dataset(short, data=weights[layer][name])
    old_path.unlink()


def main() -> None:
    tf: Any = import_module("tensorflow")
    cudnn: Any = tf.compat.v1.keras.layers.CuDNNLSTM
    cudnn._process_batch = without_cudnn
    lstm: Any = tf.keras.layers.LSTM
    legacy: Any = tf.keras.optimizers.legacy
    tf.keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, STEPS, DEPTH)).astype(np.float32)
    golden: dict[str, Any] = {"inputs": inputs}

    def keep(name: str, model: Any, units: tuple[int, ...], whole: bool) -> None:
        draw_weights(model, rng)
        path = HERE / f"{name}.h5"
        model.save(path, save_format="h5") if whole else model.save_weights(path)
        if name.startswith("standalone"):
            as_standalone(path)
        reader = build(lstm, "lstm", units, 0, 0.0)
        reader.load_weights(path)
        golden[name] = reader.predict(inputs, verbose=0)
        print(f"{path.name}: {path.stat().st_size} bytes")

    model = functional(build(cudnn, "cu_dnnlstm", (4, 3), 0, 0.0))
    train_a_step(model, legacy.RMSprop(3e-4, clipnorm=1.0))
    keep("cudnn_model", model, (4, 3), whole=True)
    keep("cudnn_weights", build(cudnn, "cu_dnnlstm", (3, 5), 0, 0.0), (3, 5), whole=False)
    keep("lstm_model", build(lstm, "lstm", (5,), 0, 0.3), (5,), whole=True)
    keep("lstm_weights", build(lstm, "lstm", (3, 3, 4), 0, 0.0), (3, 3, 4), whole=False)
    model = build(cudnn, "cu_dnnlstm", (3, 4), 1, 0.3)
    keep("standalone_cudnn_model", model, (3, 4), whole=True)
    keep("standalone_lstm_weights", build(lstm, "lstm", (4,), 1, 0.0), (4,), whole=False)
    np.savez_compressed(HERE / "golden.npz", **golden)


if __name__ == "__main__":
    main()
