"""Work cut into chunks fixed by the data, done by threads, given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

CHUNK = 32  # particles evaluated together, on the host a multiple of the smallest: then no byte depends on it
SMALLEST_CHUNK = 16  # particles of one dense product, whose shape decides its bytes: never a setting
DEVICE_CHUNK = 256  # particles evaluated together on a GPU, which is slow at many small pieces
CHUNKS_PER_BATCH = 16  # chunks held in memory at a time

Item = TypeVar("Item")
Place = TypeVar("Place")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], n_threads: int) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `n_threads` threads."""
    if n_threads <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(function, items)


def spread(
    function: Callable[[Place, Item], Result], items: Sequence[Item], places: Sequence[Place]
) -> Iterator[Result]:
    """Yield function(place, item) in the order of the items; each place takes its turn and has a thread of its own."""
    with ExitStack() as pools:
        threads = [pools.enter_context(ThreadPoolExecutor(1)) for _ in places]
        turns = [number % len(places) for number in range(len(items))]
        begun = [threads[turn].submit(function, places[turn], item) for turn, item in zip(turns, items, strict=True)]
        try:
            for result in begun:
                yield result.result()
        finally:
            for result in begun:
                result.cancel()


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
