"""What a GPU can do, and how long a call takes on it; on a CPU by the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from statistics import median
from time import perf_counter

import torch

PRECISIONS = ("float32", "TF32", "bfloat16")
_GIBIBYTE = 1 << 30
_LARGEST = 8192  # of the matrices that are multiplied


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """A context in which float32 products and cuDNN's LSTM are rounded to TF32, or are not."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def seconds_once(call: Callable[[], object], device: torch.device) -> float:
    """The time of one call, between two CUDA events; on a CPU by the clock."""
    if device.type != "cuda":
        start = perf_counter()
        call()
        return perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end)) / 1000


def seconds(call: Callable[[], object], device: torch.device, budget: float = 1.0) -> float:
    """Median time of a call after a warm-up: of as many calls as fit the budget in seconds, of
    three at least and fifty at most; of one, if the warm-up took ten times the budget."""
    seconds_once(call, device)
    first = seconds_once(call, device)
    if first > 10 * budget:
        return first
    repeats = min(max(int(budget / max(first, 1e-6)), 2), 49)
    return median([first, *(seconds_once(call, device) for _ in range(repeats))])


class Device:
    """Speeds of a device, measured when they are first asked for.

    Args:
        device: a GPU; or a CPU, to try this out.
        largest: rows of the matrices that are multiplied; a quarter as many bytes are read.
    """

    def __init__(self, device: torch.device, largest: int = _LARGEST) -> None:
        self._device, self._largest = device, largest

    def reading(self, size: int) -> float:
        """Bytes a second out of the device's memory. (Fewer than its caches hold may come faster,
        if they are read again and again.)"""
        del size
        return self._memory()

    def multiplying(self, dtype: str) -> float:
        """Multiplications (and additions) a second in large products: "float32", "TF32" or
        "bfloat16"."""
        return self._products(dtype)

    @lru_cache  # noqa: B019
    def _memory(self) -> float:
        size = _GIBIBYTE * self._largest // _LARGEST
        numbers = torch.ones(size // 4, device=self._device)
        return size / min(seconds_once(numbers.sum, self._device) for _ in range(10))

    @lru_cache  # noqa: B019
    def _products(self, dtype: str) -> float:
        kind = torch.bfloat16 if dtype == "bfloat16" else torch.float32
        x = torch.randn(self._largest, self._largest, device=self._device, dtype=kind)
        with float32_products(dtype == "TF32"):
            took = min(seconds_once(lambda: x @ x, self._device) for _ in range(8))
        return self._largest**3 / took
