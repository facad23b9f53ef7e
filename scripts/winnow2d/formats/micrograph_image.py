"""One micrograph as an image: MRC of RELION's modes, compressed or not, or TIFF."""

from __future__ import annotations

import bz2
import gzip
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import data_dtype_from_header
from PIL import Image, UnidentifiedImageError

from winnow2d.errors import ImageError
from winnow2d.formats.mrc import HEADER_BYTES, StackHeader, read_stack_header

TIFF_SUFFIXES = (".tif", ".tiff")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_UNREADABLE = (OSError, EOFError, ValueError, SyntaxError, zlib.error, UnidentifiedImageError)

Image.MAX_IMAGE_PIXELS = None  # a micrograph may have more pixels than a picture one would suspect


def read_micrograph(path: str | os.PathLike) -> np.ndarray:
    """Return the pixels of a micrograph (y, x) as float32; row 0 is y = 0.

    They are good until the same thread reads another micrograph.

    A TIFF file begins with its topmost row, which is the last one here, as RELION has it.

    Raises
    ------
    ImageError
        File missing, damaged, truncated, no image of one plane, or with pixels that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        pixels = _read_tiff(path)
    elif suffix in _OPENERS:
        pixels = _read_compressed(path, _OPENERS[suffix])
    else:
        pixels = _read_mrc(path)
    with np.errstate(over="ignore", invalid="ignore"):
        total = pixels.sum()
    if not np.isfinite(total) and not np.isfinite(pixels).all():
        raise ImageError(f"{path}: holds pixels that are nan or infinite; process this micrograph again")
    return pixels


def header_pixel_size_ang(path: str | os.PathLike) -> float:
    """Return the pixel size an uncompressed MRC file's header tells; 0 where it tells none or is no such file."""
    if Path(path).suffix.lower() in (*TIFF_SUFFIXES, *_OPENERS):
        return 0.0
    try:
        return read_stack_header(path).pixel_size_ang
    except ImageError:
        return 0.0


def _read_mrc(path: Path) -> np.ndarray:
    header = read_stack_header(path)
    _check_one_plane(path, header.n_images)
    n_pixels = header.box_y * header.box_x
    pixels = _room.of(n_pixels, header.dtype)
    with open(path, "rb", buffering=0) as file:
        file.seek(header.offset_bytes)
        n_read, target = 0, pixels.view(np.uint8).data
        while n_read < len(target):
            n_more = file.readinto(target[n_read:])
            if not n_more:
                raise ImageError(f"{path}: ends before its last pixel; it was longer when opened")
            n_read += n_more
    return _as_float32(pixels.reshape(header.box_y, header.box_x))


class _Room(threading.local):
    """Memory that a thread reads one micrograph after the other into: new memory costs more than the reading."""

    def __init__(self) -> None:
        self._pixels = np.empty(0)

    def of(self, n_pixels: int, dtype: np.dtype) -> np.ndarray:
        if self._pixels.dtype != dtype or len(self._pixels) != n_pixels:
            self._pixels = np.empty(n_pixels, dtype)
        return self._pixels


_room = _Room()


def _read_compressed(path: Path, opener: Callable[..., Any]) -> np.ndarray:
    """Return the pixels of an MRC file packed by gzip or bzip2."""
    try:
        with opener(path, "rb") as stream:
            content = stream.read()
    except _UNREADABLE as error:
        raise ImageError(f"{path}: cannot be unpacked ({error}); copy it again") from None
    header = _header_of(path, content)
    n_pixels = header.box_y * header.box_x
    expected = header.offset_bytes + n_pixels * header.dtype.itemsize
    if len(content) < expected:
        raise ImageError(f"{path}: truncated: {len(content)} bytes when unpacked, expected {expected}; copy it again")
    pixels = np.frombuffer(content, dtype=header.dtype, count=n_pixels, offset=header.offset_bytes)
    return _as_float32(pixels.reshape(header.box_y, header.box_x))


def _header_of(path: Path, content: bytes) -> StackHeader:
    """Return the header at the beginning of an MRC file's content."""
    if len(content) < HEADER_BYTES or content[208:211] != b"MAP":
        raise ImageError(f"{path}: not an MRC file, when unpacked")
    header = _header_in(content, "<")
    if not 1 <= int(header.mapc) <= 3:
        header = _header_in(content, ">")
    try:
        dtype = data_dtype_from_header(header)
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from None
    _check_one_plane(path, int(header.nz))
    offset = HEADER_BYTES + max(0, int(header.nsymbt))
    return StackHeader(1, int(header.ny), int(header.nx), 0.0, int(header.mode), offset, dtype)


def _header_in(content: bytes, byte_order: str) -> Any:
    record = np.frombuffer(content[:HEADER_BYTES], dtype=HEADER_DTYPE.newbyteorder(byte_order))
    return record.view(np.recarray)[0]


def _read_tiff(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            _check_one_plane(path, getattr(image, "n_frames", 1))
            pixels = np.asarray(image)
    except _UNREADABLE as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: cannot be read as TIFF ({' '.join(str(error).split())})") from None
    if pixels.ndim != 2:
        raise ImageError(f"{path}: a TIFF file with colours; expected one value per pixel")
    return _as_float32(pixels[::-1])


def _check_one_plane(path: Path, n_planes: int) -> None:
    if n_planes != 1:
        raise ImageError(f"{path}: holds {n_planes} images; expected one micrograph (a movie must be averaged first)")


def _as_float32(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels, dtype=np.float32)
