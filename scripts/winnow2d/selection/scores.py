"""Features of a class -> a score from 0 (junk) to 1 (a good class): one readable table of coefficients.

The score is a logistic function of a weighted sum. The weights were set by hand, on simulated sets of
several proteins with known truth, and round; each has its reason beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class Term(NamedTuple):
    """One row of the table: weight * clip(feature, low, high) is added to the sum."""

    feature: str
    weight: float
    low: float
    high: float
    reason: str


INTERCEPT = 1.0
TERMS = (
    Term("relative_information", 2.0, -1.5, 0.5, "members of a good class add up to signal beyond coarse shells"),
    Term("relative_coarse_power", 1.5, -1.5, 0.5, "empty ice dilutes the average, so its coarse density is weak"),
    Term("edge_signal", -3.0, 0.0, 1.0, "density that reaches the mask's rim: neighbours, aggregates, carbon"),
    Term("scattered_signal", -2.0, 0.0, 1.0, "specks of density without a particle: noise aligned to noise"),
    Term("ring_mean", -1.0, 0.0, 2.0, "a bright outermost ring: edges and blobs larger than the mask"),
)


def score_classes(features: pd.DataFrame) -> np.ndarray:
    """Return a score from 0 to 1 for each class, rounded to 6 decimals as files have it.

    Parameters
    ----------
    features : DataFrame, k rows
        Of `features.class_features`.

    Returns
    -------
    (k,) float64 array
        0 for a class without particles.
    """
    total = np.full(len(features), INTERCEPT)
    for term in TERMS:
        total += term.weight * features[term.feature].to_numpy(dtype=np.float64).clip(term.low, term.high)
    score = 1 / (1 + np.exp(-total))
    return np.round(np.where(features["n_particles"].to_numpy() > 0, score, 0.0), 6)
