"""How loops are compiled: cached on disk, without the interpreter lock, sums free to be vectorised."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from llvmlite import ir

from winnow2d.numerics.imports import without

with without("scipy"):  # it is imported for matrix products alone, of which no loop has any; 0.1 s of every start
    import numba
    import numba.np.arraymath
    from numba.extending import intrinsic

# What is compiled holds parts of other files, but numba looks only at a function's own: so each state of the
# folder has a cache of its own. Beside the sources, or in the user's cache if these are not to be written.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_STATE = hashlib.sha256(b"\0".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]


def _candidates() -> Iterator[Path]:
    """Yield folders for what is compiled, the best first."""
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(named)
    yield Path(__file__).parent / "__pycache__"
    if named := os.environ.get("XDG_CACHE_HOME"):
        yield Path(named) / "winnow2d"
    with suppress(RuntimeError):  # there may be no home
        yield Path.home() / ".cache" / "winnow2d"


def _writable_cache() -> Path | None:
    """Return the first folder that can be written, made if need be; None if there is none."""
    for folder in _candidates():
        cache = folder / f"compiled-{_STATE}"
        with suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                return cache
    return None


_CACHE = _writable_cache()
if _CACHE is None:
    logging.getLogger(__name__).warning(
        "No folder can be written that keeps what is compiled, so every job compiles for about 15 s; "
        "name one in NUMBA_CACHE_DIR"
    )
else:
    setattr(numba.config, "CACHE_DIR", str(_CACHE))  # noqa: B010 (it has no declared type)

_FREE = {"reassoc", "contract", "nsz"}
_OPTIONS: dict[str, Any] = dict(nogil=True, error_model="numpy")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled function; infinities and NaNs keep their meaning."""
    return numba.njit(cache=_CACHE is not None, fastmath=_FREE, **_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that becomes part of each compiled function that calls it.

    Sums may be re-ordered, so two copies of one loop may differ in the last bit; which copy a call meets
    depends on what was loaded from the cache. A loop that is part of its caller exists once.
    """
    return numba.njit(inline="always", fastmath=_FREE, **_OPTIONS)(function)


def _larger(context: Any, one: Any, other: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the larger of two floating-point numbers, neither of them a NaN: such maxima are vectorised."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        function = builder.module.declare_intrinsic("llvm.maxnum", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, arguments, fastmath=("nnan", "nsz", "reassoc"))

    return one(one, one), generate


larger: Any = intrinsic(_larger)
