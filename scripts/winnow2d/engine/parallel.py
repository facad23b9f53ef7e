"""Work cut into chunks fixed by the data, done by threads, given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from .stages import CLOCK

CHUNK = 32  # particles of one dense product; part of the result's bytes, so never a setting
DEVICE_CHUNK = 256  # the same on a GPU, which is slow at many small pieces
CHUNKS_PER_BATCH = 16  # chunks held in memory at a time

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], n_threads: int) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `n_threads` threads."""
    if n_threads <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from _waited_for(pool.map(CLOCK.carried(function), items))


def _waited_for(results: Iterator[Result]) -> Iterator[Result]:
    """Yield results of other threads; the time of waiting for them is no stage's."""
    while True:
        with CLOCK.stage(None):
            try:
                result = next(results)
            except StopIteration:
                return
        yield result


def for_each(n_threads: int) -> Callable[[Callable[[Item], object], Iterable[Item]], None]:
    """Return what calls a function with every item, on `n_threads` threads."""

    def call(function: Callable[[Item], object], items: Iterable[Item]) -> None:
        for _ in ordered_map(function, items, n_threads):
            pass

    return call


def one_blas_thread() -> threadpool_limits:
    """Return a context in which matrix products use one thread each, so that their bytes do not depend on cores."""
    return threadpool_limits(limits=1)


def chunks(rows: np.ndarray, size: int = CHUNK) -> list[np.ndarray]:
    """Return consecutive chunks of particle rows."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def batches(parts: Sequence[Item]) -> list[Sequence[Item]]:
    """Return consecutive batches of chunks."""
    return [parts[start : start + CHUNKS_PER_BATCH] for start in range(0, len(parts), CHUNKS_PER_BATCH)]
