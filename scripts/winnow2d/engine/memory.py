"""Memory that is freed and soon wanted again: it stays with the process."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

# Of GNU's malloc.h; the last is the largest size that it accepts for what is not given back at once.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT, _STEP, _LARGEST = 2**30, 2**24, 2**22


@cache
def keep_freed_memory() -> None:
    """Have GNU's C library keep what arrays leave for the next ones; with any other library nothing happens.

    It would give memory back after every chunk of particles, and the system makes every page anew: half a million
    times in a run of 3000 particles.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _STEP), (_MMAP_THRESHOLD, _LARGEST)):
            mallopt(parameter, value)
