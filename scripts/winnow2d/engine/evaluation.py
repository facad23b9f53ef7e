"""The E-step of many particles: chunk by chunk, over threads or devices, in smaller pieces where memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.errors import ResourceError
from winnow2d.numerics.arrays import OUT_OF_MEMORY, Device

from . import parallel
from .expectation import ChunkSums
from .kept_images import KeptImages
from .parallel import SMALLEST_CHUNK, chunks, ordered_map, spread
from .transfer import Transfer
from .views import View

if TYPE_CHECKING:
    from .classify import Classifier

Evaluated = tuple[ChunkSums, np.ndarray | None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """A device that evaluates chunks, and the transfer functions and images it keeps."""

    device: Device
    transfer: Transfer
    images: KeptImages


def evaluated(
    run: Classifier, evaluate: Callable[[Worker, View, np.ndarray], Evaluated], view: View, rows: np.ndarray
) -> Iterator[list[tuple[np.ndarray, Evaluated]]]:
    """Yield batches of chunks in the order of the rows: which rows, and what `evaluate` says of them.

    A batch that does not fit into memory is evaluated again: without images that are kept on the devices, then in
    chunks of half the size, which the run keeps. All results lie on the first worker's device. Neither chunks nor
    devices change a byte on the host; on GPUs products of another shape may differ in the last digits.

    Raises
    ------
    ResourceError
        The smallest chunks do not fit into memory either.
    """
    views = _views_of(run.workers, view)
    done = 0
    n_chunks = parallel.batch_chunks(max(run.n_threads, len(run.workers)))
    _fetch(run, rows[: run.chunk_size * n_chunks])
    while done < len(rows):
        size = run.chunk_size
        end = done + size * n_chunks
        batch = chunks(rows[done:end], size)
        _fetch(run, rows[end : 2 * end - done])  # while this batch is worked on
        try:
            results = _on_workers(run, evaluate, views, batch)
        except OUT_OF_MEMORY:
            results = None  # what there is of it goes with the exception
        if results is None:
            if not gave_up_images(run.workers):
                run.chunk_size = _halved(run, view, size)
            continue
        yield list(zip(batch, results, strict=True))
        done += sum(map(len, batch))


def gave_up_images(workers: Sequence[Worker]) -> bool:
    """Let go of all images that are kept on devices; return whether there were any."""
    return sum(worker.images.give_up() for worker in workers) > 0


def _fetch(run: Classifier, rows: np.ndarray) -> None:
    """Have images fetched that are read soon, those that some worker does not keep."""
    kept = [worker.images.is_kept(rows) for worker in run.workers]
    run.images.will_read(rows[~np.logical_and.reduce(kept)])


def _on_workers(
    run: Classifier,
    evaluate: Callable[[Worker, View, np.ndarray], Evaluated],
    views: Sequence[View],
    batch: Sequence[np.ndarray],
) -> list[Evaluated]:
    """Return the results of the chunks of a batch, in their order."""
    first = run.workers[0]
    if len(run.workers) == 1:
        return list(ordered_map(partial(evaluate, first, views[0]), batch, run.n_threads))

    def on_one(place: tuple[Worker, View], part: np.ndarray) -> Evaluated:
        worker, view = place
        with worker.device.in_use():
            result = evaluate(worker, view, part)
        worker.device.finish()
        return result

    places = list(zip(run.workers, views, strict=True))
    return [
        result if number % len(places) == 0 else first.device.copied(result)
        for number, result in enumerate(spread(on_one, batch, places))
    ]


def _views_of(workers: Sequence[Worker], view: View) -> list[View]:
    """Return the view for each worker: the first one's is the given, the others' lie on their devices."""
    first, *others = workers
    if others:
        first.device.finish()
    return [view, *(replace(view, compared=worker.device.copied(view.compared)) for worker in others)]


def _halved(run: Classifier, view: View, size: int) -> int:
    """Return the chunk size to go on with after memory ran out; a multiple of the smallest."""
    free = "; ".join(worker.device.free_memory() for worker in run.workers)
    if size <= SMALLEST_CHUNK:
        raise ResourceError(
            f"Memory ran out with {size} images of {view.geometry.plane.box_px} px at a time and "
            f"{run.class2d.nr_classes} classes, and fewer at a time are not possible: {free}. Give the job more memory "
            "(on a queue: --set-resources class2d:mem_mb=...) or fewer threads (--set-threads class2d=1), or ask for "
            "less: fewer classes, a larger psi_sampling or offset_step, a smaller offset_range, or a smaller box"
        )
    smaller = max(size // 2 // SMALLEST_CHUNK * SMALLEST_CHUNK, SMALLEST_CHUNK)
    logger.warning("Memory ran out with %d images at a time (%s); going on with %d", size, free, smaller)
    return smaller
