"""Images as the engine reads them: in the precision of the run, those that cannot be used marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from winnow2d.errors import ImageError
from winnow2d.numerics.kernels.spectra import unusable

from .stages import READ, stage

MOST_BROKEN = 0.05  # share of unusable images that stops a run
_NAMED = 5  # rows an error names


class ImageStack(Protocol):
    """Images by row of the particle table.

    A stack of files may also have `will_read(indices)`, which has them fetched and does not wait for their pixels.
    """

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return images (n, y, x), float32."""


class ImageSource:
    """Reads images and remembers which ones hold NaN, infinite or all the same pixels.

    Parameters
    ----------
    stack : ImageStack
    n_images : int
    dtype : dtype of the images that are read

    Attributes
    ----------
    is_broken : (n,) bool array
        Images found unusable when first read. Threads that read different rows may share the array.
    """

    def __init__(self, stack: ImageStack, n_images: int, dtype: np.dtype):
        self._stack, self.dtype = stack, dtype
        self.is_broken = np.zeros(n_images, bool)
        self._is_checked = np.zeros(n_images, bool)

    @stage(READ)
    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return images (n, y, x); an unusable one comes as NaN throughout, so that it has no weight anywhere."""
        images = self._stack.read(rows).astype(self.dtype, copy=False)
        if not self._is_checked[rows].all():
            self.is_broken[rows] |= unusable(images)
            self._is_checked[rows] = True
        broken = self.is_broken[rows]
        return np.where(broken[:, None, None], self.dtype.type(np.nan), images) if broken.any() else images

    def will_read(self, rows: np.ndarray) -> None:
        """Let the system fetch images that are read soon, as far as it has memory to spare; nothing is held here."""
        will_read: Callable[[np.ndarray], None] | None = getattr(self._stack, "will_read", None)
        if will_read is not None and len(rows):
            with stage(READ):
                will_read(rows)

    def check(self) -> None:
        """Raise ImageError if too many images are unusable; the message names the first rows (from 1)."""
        rows = np.flatnonzero(self.is_broken)
        if len(rows) > MOST_BROKEN * len(self.is_broken):
            named = ", ".join(str(row + 1) for row in rows[:_NAMED])
            raise ImageError(
                f"{len(rows)} of {len(self.is_broken)} images hold NaN, infinite or constant pixels, more than "
                f"{MOST_BROKEN:.0%}: rows {named}{' ...' if len(rows) > _NAMED else ''} of the particles; "
                "extract them anew"
            )
