"""Features of a class -> a score from 0 (junk) to 1 (a good class): one readable table of coefficients.

The score is a logistic function of a weighted sum. The weights were set by hand, on simulated sets of
several proteins with known truth, and round; each has its reason beside it. A second pass makes it easier
for doubtful classes where nearly all particles are in good ones, as after a first round: small classes
never look their best, and junk is rare there.
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


class ClassScores(NamedTuple):
    """What is thought of each class, (k,) float64 each, rounded to 6 decimals as files have it."""

    good_share: np.ndarray  # expected share of good particles among its members
    score: np.ndarray  # how good it is as a whole, 0 to 1: what a threshold looks at


USUAL_GOOD_SHARE = 0.80  # of the particles in classes of fair size; doubt is not lessened below it
FAIR_SIZE = 0.25  # of the mean size: smaller classes tell little about the set
LENIENCE = 3.0  # added to the sum per unit of log odds beyond the usual share
MOST_LENIENCE = 2.5  # added to the sum at most, reached where 90 % are in good classes


def score_classes(features: pd.DataFrame) -> ClassScores:
    """Return the expected share of good particles and the score of each class.

    Parameters
    ----------
    features : DataFrame, k rows
        Of `features.class_features`.

    Returns
    -------
    ClassScores
        Both 0 for a class without particles.
    """
    total = np.full(len(features), INTERCEPT)
    for term in TERMS:
        total += term.weight * features[term.feature].to_numpy(dtype=np.float64).clip(term.low, term.high)
    n_particles = features["n_particles"].to_numpy(dtype=np.float64)
    total += _lenience(total, n_particles)
    score = np.round(np.where(n_particles > 0, _logistic(total), 0.0), 6)
    return ClassScores(score, score)


def _lenience(total: np.ndarray, n_particles: np.ndarray) -> float:
    """Return what is added to every class, in proportion to the log odds of a good particle beyond the usual ones."""
    if not n_particles.sum() > 0:
        return 0.0
    fair = np.where(n_particles >= FAIR_SIZE * n_particles.mean(), n_particles, 0)
    good_share = (fair * _logistic(4 * total)).sum() / fair.sum()  # nearly a count, yet smooth
    odds = max(good_share, 1e-9) / max(1 - good_share, 1e-9)
    beyond = np.log(odds) - np.log(USUAL_GOOD_SHARE / (1 - USUAL_GOOD_SHARE))
    return float(np.clip(LENIENCE * beyond, 0.0, MOST_LENIENCE))


def _logistic(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))
