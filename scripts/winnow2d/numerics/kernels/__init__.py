"""Loops over what is sparse: the significant poses of a particle. Everything dense is a matrix product.

They exist twice, with the same contract: compiled (`loops`), and as plain array operations (`plain`), the
reference that runs on any array module. `kernels_of` is the one place that chooses between them.

The compiled ones release the interpreter lock, visit pixels and poses in a fixed order, and never share a
sum between threads, so results do not depend on the number of threads.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from winnow2d.numerics.arrays import array_module

from . import loops, plain

KERNELS: dict[str, ModuleType] = {"numpy": loops, "cupy": plain}


def kernels_of(array: Any) -> ModuleType:
    """Return the module of kernels for where an array lies; `loops` lists them."""
    return KERNELS[array_module(array).__name__]
