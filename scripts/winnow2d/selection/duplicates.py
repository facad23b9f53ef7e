"""Particles that were picked more than once: those with another one, later in the list, within a distance."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.spatial import cKDTree


def later_duplicates(position_px: np.ndarray, micrograph: np.ndarray, distance_px: float) -> np.ndarray:
    """Return for each particle the first later one of its micrograph within a distance, (n,) int64; -1 for none.

    A particle with such a neighbour is a duplicate and to be removed, whether or not the neighbour is itself
    removed for a still later one. So of a pair the later one stays, as in RELION.

    Parameters
    ----------
    position_px : (n, 2) float array
        Centres in pixels of the micrograph.
    micrograph : (n,) int array
        Equal for particles of one micrograph.
    distance_px : float, >= 0
        Particles at exactly this distance are duplicates.

    Notes
    -----
    Found by running RELION 3.1.3 (relion_star_handler --remove_duplicates) on random particles.
    """
    partner = np.full(len(position_px), -1, dtype=np.int64)
    order = np.argsort(micrograph, kind="stable")
    starts = np.flatnonzero(np.diff(micrograph[order], prepend=-1, append=-1))
    for first, last in itertools.pairwise(starts):
        rows = order[first:last]  # ascending
        place = position_px[rows]
        reach = distance_px * (1 + 1e-9) + 1e-9  # the tree rounds; the distance is compared below
        pairs = cKDTree(place).query_pairs(reach, output_type="ndarray")
        if len(pairs) == 0:
            continue
        earlier, later = pairs.min(axis=1), pairs.max(axis=1)
        difference = place[earlier] - place[later]
        is_near = np.sqrt((difference**2).sum(axis=1)) <= distance_px
        nearest = np.full(len(rows), len(rows), dtype=np.int64)
        np.minimum.at(nearest, earlier[is_near], later[is_near])
        has_one = nearest < len(rows)
        partner[rows[has_one]] = rows[nearest[has_one]]
    return partner
