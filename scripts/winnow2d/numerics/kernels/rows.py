"""Sums of rows into shared places, one after another, so that it does not matter how the rows come in pieces."""

from __future__ import annotations

from .compiled import compiled


@compiled
def add_rows(sums, index, values):
    """Add values (m, c) to the rows `index` (m,) of sums (n, c), in their order, in place; all are contiguous."""
    for i in range(len(index)):
        row = sums[index[i]]
        for c in range(values.shape[1]):
            row[c] += values[i, c]
