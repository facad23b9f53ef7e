"""One stack's file, of which images are read by their numbers, or fetched in time for that."""

from __future__ import annotations

import os
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

    def read(self, numbers: np.ndarray, images: np.ndarray) -> None:
        """Read images by their numbers from 0 into (n, y, x) float32, contiguous; neighbours come in one go."""
        header = self.header
        if header.dtype == images.dtype:
            self._fill(images, numbers)
        else:
            pixels = np.empty(images.shape, header.dtype)
            self._fill(pixels, numbers)
            images[:] = pixels

    def _fill(self, images: np.ndarray, numbers: np.ndarray) -> None:
        """Read images into an array of the stack's own dtype."""
        wanted, n_images = numbers.tolist(), self.header.n_images
        if max(wanted) >= n_images:
            raise ImageError(f"{self._path}: image {max(wanted) + 1} asked for, but the stack has {n_images}")
        pixels, begin = images.reshape(-1).view(np.uint8).data, 0
        for end in range(1, len(wanted) + 1):
            if end == len(wanted) or wanted[end] != wanted[end - 1] + 1:
                self._read_run(pixels[begin * self._image_bytes : end * self._image_bytes], wanted[begin])
                begin = end

    def _read_run(self, pixels: memoryview, number: int) -> None:
        """Read bytes from an image on."""
        offset = self.header.offset_bytes + number * self._image_bytes
        while pixels:
            try:
                n_bytes = os.preadv(self._file, (pixels,), offset)
            except OSError as error:
                raise ImageError(f"{self._path}: cannot be read ({error.strerror})") from None
            if not n_bytes:
                image = (offset - self.header.offset_bytes) // self._image_bytes + 1
                raise ImageError(f"{self._path}: ends before image {image}; it was longer when opened")
            pixels, offset = pixels[n_bytes:], offset + n_bytes

    def fetch(self, numbers: list[int]) -> None:
        """Ask the system to bring images, and what lies in small gaps between them, into its cache; do not wait.

        Numbers from 0, ascending.
        """
        size, first = self._image_bytes, numbers[0]
        for place, number in enumerate(numbers, start=1):
            following = numbers[place] if place < len(numbers) else number
            if following == number or (following - number - 1) * size > GAP_BYTES:
                offset, length = self.header.offset_bytes + first * size, (number + 1 - first) * size
                os.posix_fadvise(self._file, offset, length, os.POSIX_FADV_WILLNEED)
                first = following
