"""The streaming writer against the safetensors library, and how much memory a conversion takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from paths import GOLDEN_FILES
from properties import examples
from safetensors import safe_open
from safetensors.numpy import load_file

from convert_weights.formats.safetensors_writer import write_safetensors
from convert_weights.formats.tensor_bundle import write_tensor_bundle
from convert_weights.names.magenta import match_layers
from musicvae_torch.config import get_config
from musicvae_torch.model.vae import MusicVAE


@examples(80, HealthCheck.function_scoped_fixture)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda name: name != "__metadata__"
        ),
        st.lists(st.integers(0, 9) | st.integers(60, 70), max_size=4).filter(
            lambda shape: np.prod(shape) < 10**6
        ),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_the_library_reads_what_was_written(
    tmp_path: Path, shapes: dict[str, list[int]], random: object
) -> None:
    path = tmp_path / "model.safetensors"
    arrays = {}
    for name, shape in shapes.items():
        order = list(range(len(shape)))
        random.shuffle(order)  # type: ignore[attr-defined]
        # A view whose axes lie in memory in another order.
        array = np.random.default_rng(0).standard_normal([shape[axis] for axis in order], "f4")
        arrays[name] = array.transpose(np.argsort(order).tolist())
        assert list(arrays[name].shape) == shape
    write_safetensors(path, {name: tuple(shape) for name, shape in shapes.items()}, arrays.items())
    again = load_file(path)
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == np.float32 and again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt"}
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_axes_may_be_split(tmp_path: Path) -> None:
    array = np.arange(4 * 150 * 3, dtype="f4").reshape(3, 4, 150).transpose(1, 2, 0)
    write_safetensors(tmp_path / "x", {"x": (600, 3)}, [("x", array)])
    assert (load_file(tmp_path / "x")["x"] == array.reshape(600, 3)).all()


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [("a", np.zeros(2, "f4"))],
        [("a", np.zeros(2, "f4")), ("b", np.zeros(4, "f4"))],
        [("b", np.zeros(3, "f4")), ("a", np.zeros(2, "f4"))],
        [("a", np.zeros(2, "f4")), ("b", np.zeros(3, "f4")), ("c", np.zeros(3, "f4"))],
    ],
)
def test_other_tensors_than_announced(
    tmp_path: Path, tensors: list[tuple[str, np.ndarray]]
) -> None:
    with pytest.raises(ValueError, match=r"expected|argument"):
        write_safetensors(tmp_path / "x", {"a": (2,), "b": (3,)}, tensors)


_MEASURE = """
import sys
from pathlib import Path
from convert_weights.conversion import convert

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

small, large, out = sys.argv[1:]
convert(small, "hierdec-trio_16bar", out + "/small")
before = peak()
convert(large, "hierdec-trio_16bar", out + "/large")
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of it")
def test_memory(tmp_path: Path) -> None:
    """A conversion takes less than the weights' own size, mapped pages included."""
    sizes = {"enc_rnn_size": (640, 640), "dec_rnn_size": (512, 512), "z_size": 64}
    config = get_config("hierdec-trio_16bar", **sizes)
    with torch.device("meta"):
        state = MusicVAE(config).state_dict()
    layers = match_layers(config, {name: tuple(tensor.shape) for name, tensor in state.items()})
    variables = {
        name: np.zeros(shape, "f4") for layer in layers for name, shape in layer.variables.items()
    }
    total = sum(array.nbytes for array in variables.values())
    assert total > 100e6
    write_tensor_bundle(tmp_path / "large.ckpt", variables)
    golden = GOLDEN_FILES / "models" / "hierdec-trio_16bar"
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(golden), str(tmp_path / "large.ckpt"), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(measured.stdout) < total
