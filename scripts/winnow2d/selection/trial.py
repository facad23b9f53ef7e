"""What a choice by each of many thresholds would keep and lose: to look at before one is set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.selection.choose import choose_classes
from winnow2d.selection.guards import expected_good, expected_loss
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores

THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.05, 1.0, 0.05), 2))
KINDS = ("rank_threshold", "relative_threshold", "quantile_threshold")


def trial_table(
    n_particles: np.ndarray,
    scores: ClassScores,
    kind: str = KINDS[0],
    thresholds: Sequence[float] = THRESHOLDS,
    count_lost_views: Callable[[np.ndarray], int] | None = None,
) -> pd.DataFrame:
    """Return a row for each threshold; floors and the guard are left out, so that it shows the threshold alone.

    Parameters
    ----------
    n_particles, scores
        As in `choose.choose_classes`.
    kind : str
        Which option the thresholds are values of.
    thresholds : sequence of float
    count_lost_views : callable or None
        Kept classes (k,) bool -> how many views of the particle none of them shows; None: not counted.

    Returns
    -------
    DataFrame
        threshold, classes, particles, share (of the classified particles), good_kept, good_lost and junk_kept
        (expected numbers), loss (good_lost as a share of all good ones), and views_lost where they are counted.
    """
    good, rows = expected_good(n_particles, scores.good_share), []
    for threshold in thresholds:
        # a quantile or a relative threshold of 0 would be none
        asked: dict[str, Any] = {"guard": "warn", kind: max(threshold, 1e-9)}
        kept = choose_classes(n_particles, scores, Rules(**asked)).kept
        n_kept, good_kept = int(n_particles[kept].sum()), float(good[kept].sum())
        row = {"threshold": threshold, "classes": int(kept.sum()), "particles": n_kept}
        row |= {"share": n_kept / max(int(n_particles.sum()), 1), "good_kept": good_kept}
        row |= {"good_lost": float(good[~kept].sum()), "junk_kept": n_kept - good_kept}
        row |= {"loss": expected_loss(n_particles, scores.good_share, kept)}
        rows.append(row | ({"views_lost": count_lost_views(kept)} if count_lost_views else {}))
    return pd.DataFrame(rows)
