"""What several test files use: Magenta's golden models, and the mark of tests that need a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from convert_weights.conversion import convert
from musicvae_torch.model import MusicVAE

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """A small model with Magenta's random weights, and what Magenta computed with them."""

    name: str
    model: MusicVAE
    reference: dict[str, np.ndarray]
    hparams: dict[str, object]


@pytest.fixture(scope="session", params=["hierdec-trio_16bar", "hier-trio_16bar"])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    name = request.param
    source, folder = GOLDEN / name, tmp_path_factory.mktemp(name) / "converted"
    convert(source / f"{name}.ckpt", name, folder)
    with np.load(source / "reference.npz") as arrays:
        reference = dict(arrays)
    hparams = json.loads((source / "hparams.json").read_text(encoding="utf-8"))["hparams"]
    return Golden(name, MusicVAE.from_pretrained(folder), reference, hparams)


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """Models this small run slower on more threads, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
