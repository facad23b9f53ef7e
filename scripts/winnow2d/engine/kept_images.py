"""Images kept on a GPU once read, where there is room for all: exact, so that no result depends on the room."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import OUT_OF_MEMORY, Device, to_host

from .source import ImageSource
from .stages import READ, stage

Array = Any
_KINDS = (np.dtype(np.float16), np.dtype(np.float32))  # what images are kept as: the first that holds them exactly
logger = logging.getLogger(__name__)


class KeptImages:
    """Reads images to a device and keeps them there, if all of a set fit into what the device can spare.

    An image is kept only if it comes back to the last bit: as float16 where the first ones are exact in it, as
    those from float16 files are, else as float32. Others are read from their file every time.

    Parameters
    ----------
    source : ImageSource
    box_px : (n,) int array
        The box of each image.
    device : Device
        How much it can spare is asked when the first image is there: the model has its memory by then.
    """

    def __init__(self, source: ImageSource, box_px: np.ndarray, device: Device):
        self._source, self._box_px, self._device = source, box_px, device
        self._place = np.empty(len(box_px), np.int64)  # of an image among those of its box
        for box in np.unique(box_px):
            rows = np.flatnonzero(box_px == box)
            self._place[rows] = np.arange(len(rows))
        self._is_kept = np.zeros(len(box_px), bool)
        self._kept: dict[int, Array] | None = None  # by box; None: not yet known whether there is room
        self._lock = threading.Lock()

    def is_kept(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each image (n,) is on the device."""
        return self._is_kept[rows]

    @stage(READ)
    def read(self, rows: np.ndarray) -> Array:
        """Return images of one box (n, y, x) on the device; see `ImageSource.read`. Threads read different rows."""
        xp, kept = self._device.xp, self._is_kept[rows]
        here = self._kept
        if here is None or not kept.any():
            return self._with_new(rows, xp.asarray(self._source.read(rows)))
        box = int(self._box_px[rows[0]])
        found = here[box][xp.asarray(self._place[rows[kept]])].astype(self._source.dtype)
        if kept.all():
            return found
        images = xp.empty((len(rows), box, box), self._source.dtype)
        images[xp.asarray(np.flatnonzero(kept))] = found
        others = self._with_new(rows[~kept], xp.asarray(self._source.read(rows[~kept])))
        images[xp.asarray(np.flatnonzero(~kept))] = others
        return images

    def give_up(self) -> bool:
        """Let go of everything for good, as the memory is needed; return whether there was anything."""
        with self._lock:
            had = bool(self._kept)
            self._is_kept[:] = False
            self._kept = {}
        if had:
            logger.warning("Images are no longer kept on the device, whose memory is needed otherwise")
        return had

    def _with_new(self, rows: np.ndarray, images: Array) -> Array:
        """Return images, and keep those for which there is a place and which it holds exactly."""
        with self._lock:
            if self._kept is None:
                self._kept = self._room_for_all(images)
            kept = (self._kept or {}).get(int(self._box_px[rows[0]]))
        if kept is not None:
            xp, exact = self._device.xp, _is_exact(images, kept.dtype)
            chosen = xp.asarray(np.flatnonzero(exact))
            kept[xp.asarray(self._place[rows[exact]])] = images[chosen].astype(kept.dtype)
            self._is_kept[rows[exact]] = True
        return images

    def _room_for_all(self, first: Array) -> dict[int, Array] | None:
        """Return empty arrays for all images by box, none if they do not fit; None if no first image is usable."""
        usable = to_host(~np.isnan(first[:, 0, 0]))
        if not usable.any():
            return None
        dtype = next((kind for kind in _KINDS if _is_exact(first, kind)[usable].all()), None)
        if dtype is None:
            return {}
        boxes, counts = np.unique(self._box_px, return_counts=True)
        n_bytes = int((counts * boxes**2).sum()) * dtype.itemsize
        if n_bytes > self._device.spare_bytes():
            return {}
        try:
            shapes = zip(counts.tolist(), boxes.tolist(), strict=True)
            arrays = [self._device.xp.empty((n, box, box), dtype) for n, box in shapes]
        except OUT_OF_MEMORY:
            return {}
        logger.info("All images are kept on the device once read: %.2f GiB as %s", n_bytes / 2**30, dtype)
        return dict(zip(boxes.tolist(), arrays, strict=True))


def _is_exact(images: Array, dtype: np.dtype) -> np.ndarray:
    """Return whether each image (n, y, x) comes back to the last bit from another dtype; one with NaN does not."""
    with np.errstate(over="ignore"):
        there_and_back = images.astype(dtype).astype(images.dtype)
    return to_host((there_and_back == images).all(axis=(1, 2)))
