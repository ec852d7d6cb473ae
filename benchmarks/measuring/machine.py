"""What this machine can do: how fast it reads memory and multiplies matrices, as measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from statistics import median
from time import perf_counter

import torch

from musicvae_torch.kernels.gemm import prepare


def seconds(call: Callable[[], object], repeats: int = 5, warm_up: int = 1) -> float:
    """Median time of a call."""
    times = []
    for turn in range(warm_up + repeats):
        start = perf_counter()
        call()
        if turn >= warm_up:
            times.append(perf_counter() - start)
    return median(times)


@lru_cache
def reading(size: int) -> float:
    """Bytes a second at which as many bytes are read again and again: more of them than the
    caches hold come at the speed of the memory, fewer at that of the caches."""
    size = max(1 << 20, size)
    numbers = torch.ones(size // 4)
    repeats = max(9, (1 << 28) // size)
    return size / min(seconds(numbers.sum, repeats=1) for _ in range(repeats))


@lru_cache
def multiplying(dtype: str) -> float:
    """Multiplications (and additions) a second in large products: the best of several shapes."""
    weight = torch.randn(2048, 2048)
    product = prepare(weight, dtype=dtype)
    speeds = []
    for rows in (256, 1024, 2048):
        x = torch.randn(rows, 2048).tanh()
        speeds.append(rows * weight.numel() / seconds(lambda x=x: product(x), repeats=7))  # type: ignore[misc]
    return max(speeds)
