"""Numbers drawn for single particles: a hash, so that they depend on nothing but seed, iteration and row."""

from __future__ import annotations

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Return 64-bit numbers whose bits all depend on all bits of the values (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def uniform_draws(seed: int, number: int, rows: np.ndarray) -> np.ndarray:
    """Return one number in [0, 1) for every particle row (n,) in iteration `number`.

    Notes
    -----
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators: a hash of a counter.
    """
    with np.errstate(over="ignore"):
        start = _mixed(np.array([seed % 2**64], np.uint64) * _GOLDEN + np.uint64(number))
        hashed = _mixed(start + (rows.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return (hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53
