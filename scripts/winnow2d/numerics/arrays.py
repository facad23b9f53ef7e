"""Which array module holds an array, and moving arrays between host and device; the only importer of CuPy."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, wraps
from types import ModuleType
from typing import Any

import numpy as np

try:
    import cupy
except ImportError:  # CuPy is an extra; everything runs without it
    cupy = None


BLOCK_VALUES = 2**24  # numbers a temporary array may hold
OUT_OF_MEMORY = (MemoryError,) if cupy is None else (MemoryError, cupy.cuda.memory.OutOfMemoryError)


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


@dataclasses.dataclass(frozen=True)
class Device:
    """Where arrays lie and are computed with: one GPU, or the host.

    Several GPUs in one process have not been tried on real ones; several devices of the host behave alike, each
    with copies of its own.

    Attributes
    ----------
    xp : module
        numpy or cupy.
    number : int
        Of a GPU, among those the process sees; of the host, a name.
    """

    xp: ModuleType
    number: int = 0

    @property
    def label(self) -> str:
        """What does the work, for the record: "CPU (x86_64)", or a GPU by its name."""
        if self.xp is np:
            return f"CPU ({platform.machine()})"
        return f"GPU {self.number} ({cupy.cuda.runtime.getDeviceProperties(self.number)['name'].decode()})"

    def in_use(self) -> AbstractContextManager[Any]:
        """Return a context in which this thread makes its arrays on this device."""
        return nullcontext() if self.xp is np else cupy.cuda.Device(self.number)

    def finish(self) -> None:
        """Wait until everything begun on this device is done: other devices may read its arrays then."""
        if self.xp is not np:
            cupy.cuda.Device(self.number).synchronize()

    def copied(self, some: Any) -> Any:
        """Return copies on this device of all arrays of its module, in nested tuples and records; the rest as it is."""
        if isinstance(some, tuple):
            return tuple(map(self.copied, some))
        if dataclasses.is_dataclass(some) and not isinstance(some, type):
            values = {field.name: self.copied(getattr(some, field.name)) for field in dataclasses.fields(some)}
            return dataclasses.replace(some, **values)
        if not isinstance(some, self.xp.ndarray):
            return some
        with self.in_use():
            return self.xp.array(some)

    def free_memory(self) -> str:
        """Return how much memory is free, after giving back what is only kept for later."""
        if self.xp is np:
            page = os.sysconf("SC_PAGE_SIZE")
            free, total = page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")
            return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB of this machine's memory are free"
        with self.in_use():
            cupy.get_default_memory_pool().free_all_blocks()
            free, total = cupy.cuda.runtime.memGetInfo()
        return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB of the memory of GPU {self.number} are free"

    def spare_bytes(self) -> int:
        """Return how much memory images may be kept in: half of what is free on a GPU, on the host none.

        On the host the system keeps files as far as there is memory.
        """
        if self.xp is np:
            return 0
        with self.in_use():
            cupy.get_default_memory_pool().free_all_blocks()
            return int(cupy.cuda.runtime.memGetInfo()[0]) // 2


def devices_of(device: str, n_gpus: int = 1) -> list[Device]:
    """Return the devices that share the work for `cpu`, `gpu` or `auto`: the host, or the first `n_gpus` GPUs.

    `auto` takes as many of these as there are.

    Raises
    ------
    RuntimeError
        If `gpu` is asked for and there is none, or there are fewer.
    """
    xp = device_module(device)
    if xp is np:
        return [Device(np)]
    n_seen = cupy.cuda.runtime.getDeviceCount()
    if n_gpus > n_seen and device == "gpu":
        raise RuntimeError(f"class2d.gpu_ids: {n_gpus} GPUs are named, but this process sees {n_seen}")
    return [Device(xp, number) for number in range(min(n_gpus, n_seen))]


def cached_on_device(maxsize: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what keeps a function's values, for each device apart: an array of one is none of another's."""

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        @lru_cache(maxsize)
        def on_one(number: int, *arguments: Any) -> Any:
            return function(*arguments)

        @wraps(function)
        def on_current(*arguments: Any) -> Any:
            return on_one(cupy.cuda.runtime.getDevice() if gpu_is_usable() else 0, *arguments)

        return on_current

    return kept


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
