"""Particles of one file dealt into parts that are classified apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def part_of_each(
    image_names: Sequence[str], micrograph_names: Sequence[str] | None, n_parts: int, seed: int
) -> np.ndarray:
    """Return the part of each particle, (n,) int64 from 0.

    The particles of each micrograph are put in the order of a hash of their image names and dealt out in turn, the
    next micrograph going on where the last one ended. So every part has every micrograph, all parts are of one size
    but for one particle, and the order of the rows does not matter.

    Parameters
    ----------
    image_names : n strings
    micrograph_names : n strings, or None where they are not known
    n_parts : int
    seed : int
    """
    digests = [hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest() for name in image_names]
    micrographs = micrograph_names if micrograph_names is not None else [""] * len(image_names)
    order = sorted(range(len(image_names)), key=lambda row: (micrographs[row], digests[row], image_names[row]))
    part = np.empty(len(image_names), dtype=np.int64)
    part[order] = np.arange(len(image_names)) % n_parts
    return part
