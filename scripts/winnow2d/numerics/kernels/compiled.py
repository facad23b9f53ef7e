"""How loops are compiled: cached on disk, without the interpreter lock, sums free to be vectorised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# What is compiled holds parts of other files, but numba looks only at a function's own: so each state of the
# folder has a cache of its own. Beside the sources, or in the user's cache if these are not to be written.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_STATE = hashlib.sha256(b"\0".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
_HERE = Path(__file__).parent / "__pycache__"
_CACHE = _HERE if os.access(_HERE if _HERE.exists() else _HERE.parent, os.W_OK) else Path.home() / ".cache" / "winnow2d"
if not os.environ.get("NUMBA_CACHE_DIR"):
    setattr(numba.config, "CACHE_DIR", str(_CACHE / f"compiled-{_STATE}"))  # noqa: B010 (it has no declared type)

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
