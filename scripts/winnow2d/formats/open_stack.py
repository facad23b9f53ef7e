"""One stack's file, of which images are read by their numbers, or fetched in time for that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.errors import ImageError

if TYPE_CHECKING:
    from .mrc import StackHeader
GAP_BYTES = 2**17  # what a disk reads in the time of finding another place


class OpenStack:
    """A stack's file, open until nobody holds it any more.

    Raises
    ------
    ImageError
        The file cannot be opened: it may not be read, or too many files are open.
    """

    def __init__(self, path: Path, header: StackHeader):
        self.header, self._path, self._file = header, path, -1
        self._image_bytes = header.box_y * header.box_x * header.dtype.itemsize
        try:
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise ImageError(f"{path}: cannot be opened ({error.strerror})") from None

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def read(self, numbers: np.ndarray, images: np.ndarray, rows: np.ndarray) -> None:
        """Read images by their numbers from 0 into rows of (n, y, x) float32; what is next to another comes with it."""
        header = self.header
        if numbers.max() >= header.n_images:
            raise ImageError(
                f"{self._path}: image {int(numbers.max()) + 1} asked for, but the stack has {header.n_images}"
            )
        if header.dtype == images.dtype:
            self._fill(images, numbers, rows)
        else:
            pixels = np.empty((len(numbers), header.box_y, header.box_x), header.dtype)
            self._fill(pixels, numbers, np.arange(len(numbers)))
            images[rows] = pixels

    def _fill(self, images: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Read images into rows of an array of the stack's own dtype."""
        pixels, size, begin = images.reshape(-1).view(np.uint8).data, self._image_bytes, self.header.offset_bytes
        for number, row, n in _runs(numbers, rows):
            first, last = row * size, (row + n) * size
            while first < last:
                try:
                    n_bytes = os.preadv(self._file, [pixels[first:last]], begin + number * size + first - row * size)
                except OSError as error:
                    raise ImageError(f"{self._path}: cannot be read ({error.strerror})") from None
                if not n_bytes:
                    raise ImageError(f"{self._path}: ends before image {number + n}; it was longer when opened")
                first += n_bytes

    def fetch(self, numbers: np.ndarray) -> None:
        """Ask the system to bring images, and what lies in small gaps between them, into its cache; do not wait."""
        size, numbers = self._image_bytes, np.sort(numbers)
        borders = np.flatnonzero(np.diff(numbers) > 1 + GAP_BYTES // size)
        firsts, lasts = numbers[[0, *(borders + 1)]].tolist(), numbers[[*borders, -1]].tolist()
        for first, last in zip(firsts, lasts, strict=True):
            offset, length = self.header.offset_bytes + first * size, (last + 1 - first) * size
            os.posix_fadvise(self._file, offset, length, os.POSIX_FADV_WILLNEED)


def _runs(numbers: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield first number, first row and length of every run in which both go up by one."""
    starts = [0, *(np.flatnonzero((np.diff(numbers) != 1) | (np.diff(rows) != 1)) + 1).tolist()]
    lengths = np.diff([*starts, len(numbers)]).tolist()
    yield from zip(numbers[starts].tolist(), rows[starts].tolist(), lengths, strict=True)
