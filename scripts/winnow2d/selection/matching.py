"""The same particles in two lists, told by where they lie: the nearest ones, each used once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Match:
    """Which of their particles each of ours is.

    Attributes
    ----------
    partner : (n,) int64
        Row of theirs; -1 for none. No row stands there twice.
    distance_ang : (n,) float64
        How far it lies; infinite for none.
    rule : str
        The name of the way positions were taken.
    """

    partner: np.ndarray
    distance_ang: np.ndarray
    rule: str = ""

    @property
    def n_matched(self) -> int:
        """How many of ours have a partner."""
        return int((self.partner >= 0).sum())


def match_positions(
    ours_ang: np.ndarray,
    theirs_ang: np.ndarray,
    our_micrograph: np.ndarray,
    their_micrograph: np.ndarray,
    tolerance_ang: float,
    rule: str = "",
) -> Match:
    """Return the partner of each of our particles: the nearest first, each of theirs at most once.

    Parameters
    ----------
    ours_ang, theirs_ang : (n, 2) and (m, 2) float arrays
        Places in their micrographs.
    our_micrograph, their_micrograph : (n,) and (m,) int arrays
        Equal for the same micrograph; -1 where the other list has no such micrograph.
    tolerance_ang : float, >= 0
        The largest distance between partners, itself included.

    Notes
    -----
    Pairs are taken in the order of distance, equal ones in the order of our rows, then of theirs.
    """
    partner = np.full(len(ours_ang), -1, dtype=np.int64)
    distance = np.full(len(ours_ang), np.inf)
    our_rows, their_rows = _rows_by_micrograph(our_micrograph), _rows_by_micrograph(their_micrograph)
    for number, ours in our_rows.items():
        if number < 0 or number not in their_rows:
            continue
        theirs = their_rows[number]
        near = cKDTree(theirs_ang[theirs]).query_ball_point(ours_ang[ours], tolerance_ang * (1 + 1e-9) + 1e-9)
        a = np.repeat(np.arange(len(ours)), [len(one) for one in near])
        b = np.array([j for one in near for j in sorted(one)], dtype=np.int64)
        apart = np.sqrt(((ours_ang[ours[a]] - theirs_ang[theirs[b]]) ** 2).sum(axis=1))
        is_used = np.zeros(len(theirs), dtype=bool)
        for pair in np.lexsort((b, a, apart)):
            i, j = ours[a[pair]], b[pair]
            if apart[pair] <= tolerance_ang and partner[i] < 0 and not is_used[j]:
                partner[i], distance[i], is_used[j] = theirs[j], apart[pair], True
    return Match(partner, distance, rule)


def _rows_by_micrograph(micrograph: np.ndarray) -> dict[int, np.ndarray]:
    """Return the rows of each micrograph, ascending."""
    order = np.argsort(micrograph, kind="stable")
    numbers, starts = np.unique(micrograph[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}


def best_match(matches: Sequence[Match]) -> Match:
    """Return the match with most partners; of equal ones that with the smallest mean distance, then the first."""

    def merit(match: Match) -> tuple[int, float]:
        found = match.distance_ang[match.partner >= 0]
        return match.n_matched, -float(found.mean()) if len(found) else 0.0

    return max(matches, key=merit)
