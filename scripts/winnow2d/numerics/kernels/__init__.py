"""Loops over what is sparse: the significant poses of a particle. Everything dense is a matrix product.

They exist three times, with one contract: compiled for a CPU (`loops`), written for a GPU (`cuda`), and as plain
array operations (`plain`), the reference that runs on any array module. `kernels_of` is the one place that chooses.

The compiled ones release the interpreter lock, visit pixels and poses in a fixed order, and never share a
sum between threads, so results do not depend on the number of threads.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from winnow2d.numerics.arrays import array_module

from . import cuda, loops

KERNELS: dict[str, ModuleType] = {"numpy": loops, "cupy": cuda}


def kernels_of(array: Any) -> ModuleType:
    """Return the module of kernels for where an array lies; `loops` lists them."""
    return KERNELS[array_module(array).__name__]
