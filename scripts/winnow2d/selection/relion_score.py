"""What RELION's class ranker tells of a job's classes -> the scores it expects: near 1 a good class, near 0 junk.

The good share comes from a small sum of decision trees in `relion_score.json`, fitted to simulated sets with known
truth by `scripts/training` (docs/decisions/0014-relion-ranker.md). Nothing but NumPy and SciPy is needed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from winnow2d.selection.relion_columns import relion_columns
from winnow2d.selection.trees import ScoreModel, model_from

MODEL_FILE = Path(__file__).with_name("relion_score.json")
LEAST_USEFULNESS = 0.75  # of an average however coarse, as in the scores RELION's own network learned from
GOOD = 0.5  # classes expected to be so good a share decide which resolution is the best


@lru_cache(maxsize=1)
def shipped_model() -> ScoreModel:
    """Return the model that ships with Winnow."""
    return model_from(json.loads(MODEL_FILE.read_text(encoding="utf-8")))


def relion_scores(features: np.ndarray, pictures: np.ndarray, model: ScoreModel | None = None) -> np.ndarray:
    """Return the score of each class of one job, (k,) float64 from 0 to 1.

    Parameters
    ----------
    features : (k, 24) real array, all finite
        Of `relion_features.relion_features`, or RELION's own.
    pictures : (k, 64, 64) real array, all finite
        Of `relion_features.relion_pictures`, or RELION's own; protein positive.
    model : ScoreModel, optional
        Another one than the shipped.
    """
    if not len(features):
        return np.zeros(0)
    columns = relion_columns(features, pictures)
    good_share = 1 / (1 + np.exp(-(model or shipped_model()).log_odds(columns)))
    return good_share * usefulness(columns["signal_resolution"], good_share)


def usefulness(log_resolution: np.ndarray, good_share: np.ndarray) -> np.ndarray:
    """Return how useful averages are (k,), from 0.75 to 1: the finer, the more.

    Parameters
    ----------
    log_resolution : (k,) array
        Logarithm of the resolution in A, or in any other length.
    good_share : (k,) array
        Expected share of good particles.

    Notes
    -----
    0.75 + 0.25 w, with w = (best resolution of the good classes / resolution)^2: the score by which RELION's
    network was taught for classes labelled good.
    """
    good = log_resolution[good_share >= GOOD]
    best = good.min() if good.size else log_resolution.min()
    w = np.exp(2 * np.minimum(best - log_resolution, 0.0))
    return LEAST_USEFULNESS + (1 - LEAST_USEFULNESS) * w
