"""How loops are compiled: cached on disk, without the interpreter lock, sums free to be vectorised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled function; infinities and NaNs keep their meaning."""
    return numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")(function)
