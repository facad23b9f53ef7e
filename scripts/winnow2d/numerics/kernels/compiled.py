"""How loops are compiled: cached on disk, without the interpreter lock, sums free to be vectorised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = dict(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled function; infinities and NaNs keep their meaning."""
    return numba.njit(cache=True, **_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that becomes part of each compiled function that calls it.

    Sums may be re-ordered, so two copies of one loop may differ in the last bit; which copy a call meets
    depends on what was loaded from the cache. A loop that is part of its caller exists once.
    """
    return numba.njit(inline="always", **_OPTIONS)(function)
