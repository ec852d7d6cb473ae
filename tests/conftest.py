"""What several test files use: Magenta's golden models, quiet trainings, a browser, and the
mark of tests that need a GPU."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from magenta_models import MODELS, Golden, load_golden

from musicvae_torch.kernels import reference

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
