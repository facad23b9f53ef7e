"""How good predicted shares of good particles are: ranking, calibration, cross entropy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

GOOD = 0.5  # a class of at least this share of good particles is a good one
N_BINS = 10


def roc_area(is_good: np.ndarray, found: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the area under the ROC curve; NaN where all are of one sort.

    With weights it is the chance, over pairs weighted by both, that the good one is ahead.
    """
    if is_good.all() or not is_good.any():
        return float("nan")
    if weight is None:
        rank = rankdata(found)
        n_good = int(is_good.sum())
        return float((rank[is_good].sum() - n_good * (n_good + 1) / 2) / (n_good * (len(found) - n_good)))
    good, bad = found[is_good], found[~is_good]
    order = np.argsort(bad)
    below = np.concatenate([[0.0], np.cumsum(weight[~is_good][order])])
    first, last = (np.searchsorted(bad[order], good, side=side) for side in ("left", "right"))
    ahead = (below[first] + below[last]) / 2
    return float((ahead * weight[is_good]).sum() / (weight[is_good].sum() * below[-1]))


def calibration_error(share: np.ndarray, found: np.ndarray, weight: np.ndarray) -> float:
    """Return the expected calibration error: how far mean share and mean prediction of ten bins lie apart."""
    which = np.minimum((found * N_BINS).astype(int), N_BINS - 1)
    gap = np.bincount(which, weights=weight * (found - share), minlength=N_BINS)
    return float(np.abs(gap).sum() / weight.sum())


def excess_entropy(share: np.ndarray, found: np.ndarray, weight: np.ndarray) -> float:
    """Return the cross entropy beyond that of the shares themselves, nats: 0 for a perfect prediction."""
    found, share = found.clip(1e-4, 1 - 1e-4), share.clip(1e-9, 1 - 1e-9)
    loss = share * np.log(share / found) + (1 - share) * np.log((1 - share) / (1 - found))
    return float((loss * weight).sum() / weight.sum())


def figures(table: pd.DataFrame, found: np.ndarray) -> dict[str, float]:
    """Return the figures of predictions for classes with particles that are good or junk."""
    share, members = table["good_share"].to_numpy(), table["judged"].to_numpy(dtype=np.float64)
    is_good, one = share >= GOOD, np.ones(len(table))
    return {
        "auc": round(roc_area(is_good, found), 4),
        "auc_by_particles": round(roc_area(is_good, found, members), 4),
        "calibration_error": round(calibration_error(share, found, one), 4),
        "calibration_error_by_particles": round(calibration_error(share, found, members), 4),
        "excess_entropy": round(excess_entropy(share, found, np.sqrt(members)), 4),
    }


def heading() -> str:
    """Return the line above those of `line`."""
    return f"{'':24s}{'classes':>8s}{'AUC':>8s}{'by part.':>9s}{'calib.':>8s}{'by part.':>9s}{'entropy':>9s}"


def line(name: str, table: pd.DataFrame, found: np.ndarray) -> str:
    """Return the figures as a line of text."""
    auc, auc_n, error, error_n, entropy = figures(table, found).values()
    return f"{name:24s}{len(table):8,d}{auc:8.4f}{auc_n:9.4f}{error:8.3f}{error_n:9.3f}{entropy:9.4f}"


def groups_of(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and rows (bool) of all classes and of some parts of them."""
    yield "all classes", np.ones(len(table), bool)
    for stage, name in enumerate(("early", "round 1", "round 2", "round 3")):
        yield name, (table["stage"] == stage).to_numpy()
    size = table["n_particles"].to_numpy()
    for low, high in ((1, 10), (10, 30), (30, 100), (100, 10**9)):
        yield f"{low} to {high - 1} members" if high < 10**6 else f"{low} and more", (size >= low) & (size < high)
