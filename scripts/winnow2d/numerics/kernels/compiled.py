"""How loops are compiled: cached on disk, without the interpreter lock, sums free to be vectorised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_FREE = {"reassoc", "contract", "nsz"}
_OPTIONS: dict[str, Any] = dict(nogil=True, error_model="numpy")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled function; infinities and NaNs keep their meaning."""
    return numba.njit(cache=True, fastmath=_FREE, **_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that becomes part of each compiled function that calls it.

    Sums may be re-ordered, so two copies of one loop may differ in the last bit; which copy a call meets
    depends on what was loaded from the cache. A loop that is part of its caller exists once.
    """
    return numba.njit(inline="always", fastmath=_FREE, **_OPTIONS)(function)


def without_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled function that is never given a NaN: only then are maxima vectorised.

    It is compiled for itself, so it must hold nothing that rounding could tell apart.
    """
    return numba.njit(cache=True, fastmath=_FREE | {"nnan"}, **_OPTIONS)(function)
