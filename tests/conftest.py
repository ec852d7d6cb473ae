"""What several test files use: Magenta's golden models, quiet trainings, a browser, and the
mark of tests that need a GPU."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from magenta_models import MODELS, Golden, load_golden
from pretend_cuda import DEVICE, pretend_cuda
from properties import register_profiles

from musicvae_torch.kernels import reference

register_profiles()

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="session", params=["hierdec-trio_16bar", "hier-trio_16bar"])
def golden(request: pytest.FixtureRequest) -> Golden:
    """A trio model of Magenta's."""
    return load_golden(MODELS / request.param)


@pytest.fixture(params=["kernels", "reference"])
def implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a test on the kernels, and once more on the readable reference alone."""
    with reference() if request.param == "reference" else nullcontext():
        yield


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Runs a test on the CPU and, if there is one, on a GPU, in full float32."""
    with nullcontext() if request.param == "cpu" else full_float32():
        yield torch.device(request.param)


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.cuda)])
def gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Runs a test on a stand-in for a GPU and, if there is one, on a GPU, in full float32."""
    if request.param == "cuda":
        with full_float32():
            yield torch.device("cuda", 0)
    elif torch.cuda.is_available():
        pytest.skip("there is a GPU, which needs no stand-in")
    else:
        with pretend_cuda():
            yield DEVICE


@contextmanager
def full_float32() -> Iterator[None]:
    """A context in which a GPU does not round products, nor cuDNN's LSTM, to TF32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """Models this small run slower on more threads, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def quiet_lightning() -> Iterator[None]:
    """Trainings without progress bars, and without what Lightning tells of the machine."""
    from lightning.pytorch.callbacks import TQDMProgressBar

    from musicvae_torch.training import fitting

    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "TQDMProgressBar", lambda **_: TQDMProgressBar(refresh_rate=0))
        yield
    logger.setLevel(level)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright; where one of them is missing, tests skip."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: nothing to drive a browser with"
    )
    chromium = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")


# Weights and latents that are drawn at random do not depend on the tests that ran before.


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    torch.manual_seed(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    torch.manual_seed(0)
