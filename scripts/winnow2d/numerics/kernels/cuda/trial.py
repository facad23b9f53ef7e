"""Every kernel is tried against its plain twin, on small drawn problems, before it does any work on a device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, wraps
from types import ModuleType
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.kernels import plain
from winnow2d.numerics.rotation import RotationTable

from .problems import PROBLEMS

Array = Any
logger = logging.getLogger(__name__)
_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}  # of the largest value


def tried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, or its plain twin where the two differ on the device at hand."""

    @wraps(function)
    def either(*arguments: Any) -> Any:
        chosen = function if is_good(function, _module_of(arguments)) else getattr(plain, function.__name__)
        return chosen(*arguments)

    return either


def _arrays(some: Any) -> list[Array]:
    """Return the arrays in nested tuples, in order."""
    if isinstance(some, RotationTable):
        return [some.index, some.fraction, some.sign]
    if isinstance(some, (tuple, list)):
        return [array for part in some for array in _arrays(part)]
    return [some] if hasattr(some, "dtype") else []


def _module_of(arguments: tuple[Any, ...]) -> ModuleType:
    return array_module(_arrays(arguments)[0])


@lru_cache(maxsize=64)
def is_good(function: Callable[..., Any], xp: ModuleType) -> bool:
    """Return whether a kernel does what its plain twin does, in both precisions; says so if not."""
    name = function.__name__
    try:
        unlike = [real for real in _TOLERANCE if not _agrees(function, xp, real)]
    except Exception as error:  # whatever a compiler or a driver raises: the twin does the work
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    else:
        if not unlike:
            return True
        reason = f"it differs from array operations in {' and '.join(unlike)}"
    logger.warning(
        "The GPU kernel %s is not used (%s); array operations, which are slower, take its place", name, reason
    )
    return False


def _agrees(function: Callable[..., Any], xp: ModuleType, real: str) -> bool:
    ours, theirs = (PROBLEMS[function.__name__](np.dtype(real), xp) for _ in range(2))
    results = []
    for kernel, arguments in ((function, ours), (getattr(plain, function.__name__), theirs)):
        returned = kernel(*arguments)
        results.append(_arrays(arguments if returned is None else returned))  # or what was written into
    mine, others = results
    return len(mine) == len(others) and all(map(_is_alike, mine, others, [_TOLERANCE[real]] * len(mine)))


def _is_alike(mine: Array, other: Array, tolerance: float) -> bool:
    mine, other = to_host(mine), to_host(other)
    if mine.shape != other.shape or mine.dtype != other.dtype:
        return False
    if mine.dtype.kind in "iu":
        return bool((mine == other).all())
    return bool(np.allclose(mine, other, rtol=tolerance, atol=tolerance * (np.abs(other).max() if other.size else 0)))
