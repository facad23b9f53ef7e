"""Work cut into chunks fixed by the data, done by threads, given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from .stages import CLOCK

CHUNK = 32  # particles of one dense product; part of the result's bytes, so never a setting
DEVICE_CHUNK = 256  # the same on a GPU, which is slow at many small pieces
CHUNKS_PER_BATCH = 16  # chunks held in memory at a time
_PARTS_PER_THREAD = 4  # of the work of `for_each`, so that a slow part holds up little

Item = TypeVar("Item")
Result = TypeVar("Result")


@lru_cache(maxsize=4)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads that live as long as the process: starting them anew for every batch takes longer than one."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="winnow")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], n_threads: int) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `n_threads` threads.

    The function must not call this itself: its threads would wait for themselves.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    yield from _waited_for(_pool(n_threads).map(CLOCK.carried(function), items))


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
    """Return what calls a function with every item, on `n_threads` threads, several items at a time."""

    def call(function: Callable[[Item], object], items: Iterable[Item]) -> None:
        listed = list(items)
        size = max(1, len(listed) // (_PARTS_PER_THREAD * n_threads))
        parts = [listed[start : start + size] for start in range(0, len(listed), size)]

        def one_part(part: list[Item]) -> None:
            for item in part:
                function(item)

        for _ in ordered_map(one_part, parts, n_threads):
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
