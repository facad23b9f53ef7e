"""Sums into shared places without atomic additions: who adds where, round by round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from winnow2d.numerics.arrays import array_module, to_host

Array = Any


def rounds(target: Array) -> Iterator[tuple[Array, Array]]:
    """Yield (targets, sources): in round r the r-th occurrence of every target that has one.

    A round names every target at most once, so sums[targets] += values[sources] needs no atomic addition,
    and every place gets its values in the order of their sources: the bytes never depend on timing.

    Parameters
    ----------
    target : (m,) int array
    """
    xp, m = array_module(target), int(target.size)
    if m == 0:
        return
    position = xp.arange(m, dtype=xp.int64)
    order = xp.argsort(target.astype(xp.int64) * m + position)  # keys are unique: any sort is a stable one
    ordered = target[order]
    rank = position - xp.searchsorted(ordered, ordered, side="left")
    by_rank = xp.argsort(rank * m + position)
    start = 0
    for size in to_host(xp.bincount(rank)).tolist():
        chosen = by_rank[start : start + size]
        yield ordered[chosen], order[chosen]
        start += size
