"""Work cut into chunks fixed by the data, done by threads, given back in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from .stages import CLOCK

CHUNK = 32  # particles evaluated together, on the host a multiple of the smallest: then no byte depends on it
SMALLEST_CHUNK = 16  # particles of one dense product, whose shape decides its bytes: never a setting
DEVICE_CHUNK = 256  # particles evaluated together on a GPU, which is slow at many small pieces
CHUNKS_PER_BATCH = 32  # chunks held in memory at a time, at least
_CHUNKS_PER_THREAD = 4  # in a batch, so that threads seldom wait for its end
_PARTS_PER_THREAD = 4  # of the work of `for_each`, so that a slow part holds up little

Item = TypeVar("Item")
Place = TypeVar("Place")
Result = TypeVar("Result")


@lru_cache(maxsize=4)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads that live as long as the process: starting them anew for every batch takes longer than one."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="winnow")


@lru_cache(maxsize=64)
def _thread_of(number: int) -> ThreadPoolExecutor:
    """Return the one thread of a place, which lives as long as the process: plans of transforms stay with it."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"winnow-place-{number}")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], n_threads: int) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `n_threads` threads.

    The function must not call this itself: its threads would wait for themselves. After an error none is at work.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    pool, carried = _pool(n_threads), CLOCK.carried(function)
    yield from _in_order([pool.submit(carried, item) for item in items])


def spread(
    function: Callable[[Place, Item], Result], items: Sequence[Item], places: Sequence[Place]
) -> Iterator[Result]:
    """Yield function(place, item) in the order of the items; each place takes its turn and has a thread of its own.

    After an error no thread is at work.
    """
    turns, carried = [number % len(places) for number in range(len(items))], CLOCK.carried(function)
    yield from _in_order(
        [_thread_of(turn).submit(carried, places[turn], item) for turn, item in zip(turns, items, strict=True)]
    )


def _in_order(begun: Sequence[Future[Result]]) -> Iterator[Result]:
    """Yield results in their order; what is not wanted any more is not begun, or waited for.

    The time of waiting is no stage's.
    """
    try:
        for one in begun:
            with CLOCK.stage(None):
                result = one.result()
            yield result
    finally:
        for one in begun:
            one.cancel()
        with CLOCK.stage(None):
            wait(begun)


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


_OWN = threading.local()


def workspace(name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array of this thread that is there again the next time, with whatever was left in it.

    The system makes every page of a new large array anew, which takes longer than many a loop over it.
    """
    kept = _OWN.__dict__.setdefault("arrays", {})
    found = kept.get(name)
    if found is None or found.shape != shape or found.dtype != dtype:
        found = kept[name] = np.zeros(shape, dtype)
    return found


def one_blas_thread() -> threadpool_limits:
    """Return a context in which matrix products use one thread each, so that their bytes do not depend on cores."""
    return threadpool_limits(limits=1)


def chunks(rows: np.ndarray, size: int = CHUNK) -> list[np.ndarray]:
    """Return consecutive chunks of particle rows."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def batch_chunks(n_threads: int) -> int:
    """Return how many chunks are evaluated before their back-projections are added."""
    return max(CHUNKS_PER_BATCH, _CHUNKS_PER_THREAD * n_threads)
