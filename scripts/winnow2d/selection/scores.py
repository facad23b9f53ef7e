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


INTERCEPT = 2.0
TERMS = (
    Term(
        "mass_deviation", -3.5, 0.0, 1.2, "all views of a particle weigh the same: ice less, blobs more, others differ"
    ),
    Term("relative_information", 1.8, -1.5, 0.3, "members of a good class agree, so signal grows beyond coarse shells"),
    Term("solvent_sd", -2.5, 0.0, 0.6, "what lies around a good average is flat; noise, neighbours and edges are not"),
    Term("relative_max_probability", 0.4, -1.5, 0.3, "junk fits everywhere about as well, so its posteriors are broad"),
    Term("edge_signal", -2.0, 0.0, 0.4, "density that reaches the mask's rim: neighbours, aggregates, carbon"),
    Term("centre_offset", -4.0, 0.0, 0.15, "a gradient or an edge has its centre of mass beside the middle"),
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
