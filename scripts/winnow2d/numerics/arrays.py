"""Which array module holds an array, and moving arrays between host and device; the only importer of CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

try:
    import cupy
except ImportError:  # CuPy is an extra; everything runs without it
    cupy = None


BLOCK_VALUES = 2**24  # numbers a temporary array may hold


def gpu_is_usable() -> bool:
    """Return whether CuPy is installed and sees a device."""
    if cupy is None:
        return False
    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def device_module(device: str) -> ModuleType:
    """Return numpy or cupy for `cpu`, `gpu` or `auto`.

    Raises
    ------
    RuntimeError
        If `gpu` is asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and not gpu_is_usable()):
        return np
    if not gpu_is_usable():
        raise RuntimeError("own.device: gpu, but CuPy is not installed or sees no GPU; say cpu or auto")
    return cupy


def compile_for_device(source: str, options: tuple[str, ...]) -> Any:
    """Return CUDA C++ compiled for the device; its `get_function(name)` is called with grid, block, arguments."""
    return cupy.RawModule(code=source, options=options)


def array_module(array: Any) -> ModuleType:
    """Return the module (numpy or cupy) that made an array."""
    return np if cupy is None else cupy.get_array_module(array)


def to_host(array: Any) -> np.ndarray:
    """Return the array as a numpy array."""
    return np.asarray(array) if array_module(array) is np else cupy.asnumpy(array)


def real_dtype(precision: str) -> np.dtype:
    """Return the dtype of images and products for `single` or `double`."""
    return np.dtype(np.float32 if precision == "single" else np.float64)


def complex_dtype(real: np.dtype) -> np.dtype:
    """Return the complex dtype with components of dtype `real`."""
    return np.result_type(real, np.complex64)


def blocks(n_items: int, values_per_item: int) -> Iterator[slice]:
    """Yield consecutive slices of `n_items` whose temporary arrays stay within `BLOCK_VALUES` numbers."""
    size = max(1, BLOCK_VALUES // max(values_per_item, 1))
    for start in range(0, n_items, size):
        yield slice(start, min(start + size, n_items))
