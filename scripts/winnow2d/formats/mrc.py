"""Image stacks by 'number@file'; the pixel size is in the header.

A stack is a file of n square images, float32 when we write it. Row 0 of an array is y = 0; the centre of an
image is pixel box // 2.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mrcfile
import numpy as np
from mrcfile.utils import data_dtype_from_header

from winnow2d.errors import ImageError
from winnow2d.formats.open_stack import OpenStack
from winnow2d.formats.stack_writing import write_stack

__all__ = ["ParticleStack", "StackHeader", "read_stack_header", "split_image_name", "write_stack"]

HEADER_BYTES = 1024
OPEN_STACKS = 256  # files kept open per ParticleStack
_MODES = {0: "signed bytes", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
_header_lock = threading.Lock()  # warnings.catch_warnings is not thread-safe


@dataclass(frozen=True)
class StackHeader:
    """What the header of an image stack says."""

    n_images: int
    box_y: int
    box_x: int
    pixel_size_ang: float
    mode: int
    offset_bytes: int = HEADER_BYTES  # where pixels begin
    dtype: np.dtype = field(default_factory=lambda: np.dtype("<f4"))


def split_image_name(name: str) -> tuple[int, str]:
    """Return the 0-based image number and the file of an image name such as '000001@a/b.mrcs'.

    A name without @ is the first image of its file.

    Raises
    ------
    ImageError
        If what stands before the @ is not a number from 1 on (RELION reads 0 as 1 without a word).
    """
    number, at, file = name.partition("@")
    if not at:
        return 0, name
    if not number.isdecimal() or int(number) < 1 or not file:
        raise ImageError(f"image name '{name}': expected number@file with a number from 1 on")
    return int(number) - 1, file


def read_stack_header(path: str | os.PathLike) -> StackHeader:
    """Return the header of a stack after holding it against the length of the file.

    Parameters
    ----------
    path : path
        MRC file of mode 0, 1, 2, 6 or 12; either byte order; an extended header is skipped.

    Raises
    ------
    ImageError
        File missing or not to be opened, not MRC, of a mode we cannot read, or shorter than its header says.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(_absent(path))
    try:
        with _header_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # permissive reading warns of old machine stamps
            with mrcfile.open(path, mode="r", permissive=True, header_only=True) as stack:
                header, mode = stack.header, int(stack.header.mode)
                dtype = data_dtype_from_header(header) if mode in _MODES else None
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error})") from None
    except ValueError as error:
        raise ImageError(f"{path}: not an MRC file ({error})") from None
    if dtype is None:
        raise ImageError(f"{path}: MRC mode {mode} cannot be read; expected one of {sorted(_MODES)}")
    n_images, box_y, box_x = int(header.nz), int(header.ny), int(header.nx)
    offset = HEADER_BYTES + max(0, int(header.nsymbt))
    if min(n_images, box_y, box_x) < 1:
        raise ImageError(f"{path}: the header tells of {n_images} images of {box_y} x {box_x} pixels")
    expected, found = offset + n_images * box_y * box_x * dtype.itemsize, path.stat().st_size
    if found < expected:
        raise ImageError(f"{path}: truncated: {found} bytes, but {n_images} images need {expected}; copy it again")
    pixel_size = float(header.cella.x) / int(header.mx) if int(header.mx) > 0 else 0.0
    return StackHeader(n_images, box_y, box_x, pixel_size, mode, offset, dtype)


def _absent(path: Path) -> str:
    """Return the sentence about a stack that is not there: a link may have lost what it points to."""
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            name = "" if link == path else f"{path}: "
            return (
                f"{name}{link} is a link to {os.readlink(link)}, which is not there. Put the images back; or, where "
                "they have moved, name their new place in the config and enter the particles again: add "
                "`--forcerun extract` to the command"
            )
    return f"{path}: no such file"


class ParticleStack:
    """The images of a particle table, read on demand; reading from several threads is safe.

    Files are read, not mapped: mapped pages count as the job's memory where batch systems watch over it, and a file
    that is cut short during the job is an error with a name instead of a signal.

    Parameters
    ----------
    image_names : sequence of str
        One 'number@file' per particle.
    root : path
        Folder relative file names start from (the project directory).
    box_px : int, (n,) int array or None
        Box every image must have, or each of them; None for the box of the first image.

    Raises
    ------
    ImageError
        An image name that is not number@file (all such names together, five at most).
    """

    def __init__(
        self, image_names: Sequence[str], root: str | os.PathLike = ".", box_px: int | np.ndarray | None = None
    ):
        self.root = Path(root)
        self._box_px = None if isinstance(box_px, np.ndarray) else box_px
        self._box_of_row = box_px if isinstance(box_px, np.ndarray) else None
        self._numbers = np.empty(len(image_names), dtype=np.int64)
        self._file_index = np.empty(len(image_names), dtype=np.int64)
        self._headers: dict[int, StackHeader] = {}
        self._open: OrderedDict[int, OpenStack] = OrderedDict()
        self._lock = threading.Lock()
        files: dict[str, int] = {}
        problems = []
        for row, name in enumerate(image_names):
            try:
                self._numbers[row], file = split_image_name(name)
            except ImageError as error:
                problems.append(f"row {row + 1}: {error}")
                continue
            self._file_index[row] = files.setdefault(file, len(files))
        if problems:
            raise ImageError(*problems[:5])
        self.files = list(files)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def box_px(self) -> int:
        """The box of the images; opens the first stack if it was not given."""
        if self._box_px is None:
            given = None if self._box_of_row is None else int(self._box_of_row[0])
            self._box_px = self._stack(int(self._file_index[0]), given).header.box_x
        return self._box_px

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return images of one box as a (n, y, x) float32 array, in the order of `indices`.

        Parameters
        ----------
        indices : (n,) int array
            0-based rows of the table.

        Raises
        ------
        ImageError
            A stack is missing or damaged, has too few images, or another box.
        """
        indices = np.asarray(indices, dtype=np.int64)
        box = self.box_px if self._box_of_row is None or not len(indices) else int(self._box_of_row[indices[0]])
        images = np.empty((len(indices), box, box), dtype=np.float32)
        file_index, numbers = self._file_index[indices].tolist(), self._numbers[indices]
        for file, run in _runs(file_index):
            self._stack(file, box).read(numbers[run], images[run])
        return images

    def will_read(self, indices: Sequence[int] | np.ndarray) -> None:
        """Ask the system to fetch images that will be read soon, without waiting for their pixels.

        A stack not met before has its header read first, which takes as long as the disk does. No file that `read`
        keeps open is closed for it, and a stack with a fault is left for `read` to report.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        file_index, numbers = self._file_index[indices], self._numbers[indices]
        order = np.lexsort((numbers, file_index))
        sorted_numbers = numbers[order].tolist()
        for file, run in _runs(file_index[order].tolist()):
            with contextlib.suppress(ImageError, OSError):
                self._to_fetch_from(file).fetch(sorted_numbers[run])

    def _to_fetch_from(self, file: int) -> OpenStack:
        """Return a stack: the one held open, or one that is kept only while there is room."""
        with self._lock:
            stack = self._open.get(file)
        if stack is None:
            stack = self._opened(file)
            with self._lock:
                if len(self._open) < OPEN_STACKS:
                    stack = self._open.setdefault(file, stack)
        return stack

    def _opened(self, file: int) -> OpenStack:
        """Return a stack newly opened; its header is read the first time only."""
        path = self.root / self.files[file]
        header = self._headers.get(file)
        if header is None:
            header = self._headers[file] = read_stack_header(path)
        return OpenStack(path, header)

    def _stack(self, file: int, box_px: int | None) -> OpenStack:
        """Return a stack to read from, opened when first asked for, its box checked."""
        with self._lock:
            stack = self._open.get(file)
            if stack is not None:
                self._open.move_to_end(file)
        if stack is None:
            stack = self._opened(file)
            with self._lock:
                self._open[file] = stack
                while len(self._open) > OPEN_STACKS:
                    self._open.popitem(last=False)
        found, box = (stack.header.box_y, stack.header.box_x), stack.header.box_x if box_px is None else box_px
        if found != (box, box):
            path = self.root / self.files[file]
            raise ImageError(f"{path}: images of {found[0]} x {found[1]} pixels, expected {box} x {box}")
        return stack


def _runs(values: list[int]) -> Iterator[tuple[int, slice]]:
    """Yield each value and where it stands, once for every time that it comes up anew."""
    begin = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[begin]:
            yield values[begin], slice(begin, end)
            begin = end
