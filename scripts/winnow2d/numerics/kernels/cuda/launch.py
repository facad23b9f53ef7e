"""Compiles the CUDA sources of this folder when they are first needed, and starts their kernels."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module, cached_on_device, compile_for_device

Array = Any
SOURCES = ("coarse", "fine", "models", "sums", "rotation", "images")
OPTIONS: dict[str, tuple[str, ...]] = {"coarse": ("--fmad=false",)}  # its two kernels must round alike
TILE = 128  # threads of a block where every thread works for itself


def source(name: str) -> str:
    """Return the text of a source file; the macro REAL is to be float or double."""
    return (files(__package__) / f"{name}.cu").read_text(encoding="utf-8")


def options(name: str, real: np.dtype) -> tuple[str, ...]:
    """Return the compiler's options for a source file in a precision."""
    return ("-DREAL=float" if real == np.float32 else "-DREAL=double", *OPTIONS.get(name, ()))


@cached_on_device(maxsize=16 * len(SOURCES))
def module_of(name: str, real: np.dtype) -> Any:
    """Return a compiled source file; `get_function` gives its kernels."""
    return compile_for_device(source(name), options(name, real))


def launch(
    name: str, kernel: str, real: np.dtype, grid: tuple[int, ...], threads: int, *arguments: Array | int | float
) -> None:
    """Start a kernel on a grid of blocks of `threads` threads.

    Parameters
    ----------
    name : str
        Source file without its ending.
    real : dtype
        float32 or float64: what REAL stands for.
    arguments
        Arrays, contiguous and of the types the kernel declares; whole numbers go as long long, others as double.

    Raises
    ------
    ValueError
        If an array is not contiguous: the kernel would read and write other places than its own.
    """
    if min(grid) == 0:
        return
    if not all(value.flags.c_contiguous for value in arguments if hasattr(value, "flags")):
        raise ValueError(f"{name}.{kernel} got an array that is not contiguous")
    values = tuple(_argument(value) for value in arguments)
    module_of(name, real).get_function(kernel)(grid, (threads,), values)


def _argument(value: Array | int | float) -> Any:
    if isinstance(value, (bool, int, np.integer)):
        return np.int64(value)
    return np.float64(value) if isinstance(value, (float, np.floating)) else value


def laid_out(array: Array, dtype: Any) -> Array:
    """Return the array contiguous and of a dtype; itself if it is so already."""
    return array_module(array).ascontiguousarray(array, dtype=dtype)


def tiles(n: int) -> int:
    """Return how many blocks of `TILE` threads `n` places need."""
    return -(-n // TILE)
