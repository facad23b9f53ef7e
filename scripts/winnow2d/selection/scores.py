"""Features of a class -> the share of good particles to be expected in it, and a score for the threshold.

The good share comes from a small sum of decision trees in `class_score.json`, fitted to simulated sets with known
truth by `scripts/training` (docs/decisions/0013-class-score.md). Nothing but NumPy is needed to evaluate it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from winnow2d.selection.trees import ScoreModel, model_from

MODEL_FILE = Path(__file__).with_name("class_score.json")
LEAST_USEFULNESS, MOST_USEFULNESS = 0.7, 0.9  # of the coarsest and the finest average of a job


class ClassScores(NamedTuple):
    """What is expected of each class of a job; both 0 for a class without particles.

    Attributes
    ----------
    good_share : (k,) float64, expected share of good particles, calibrated
    score : (k,) float64, good_share x usefulness of the average, 0 to 1
    """

    good_share: np.ndarray
    score: np.ndarray

    def expected_good(self, n_particles: np.ndarray) -> np.ndarray:
        """Return how many good particles each class (k,) is expected to hold."""
        return self.good_share * np.asarray(n_particles, dtype=np.float64)

    def expected_loss(self, n_particles: np.ndarray, kept: np.ndarray) -> float:
        """Return which part of the good particles expected in all classes lies in those not kept; 0 if there are none.

        Parameters
        ----------
        n_particles : (k,) int array
        kept : (k,) bool array
        """
        good = self.expected_good(n_particles)
        return float(good[~np.asarray(kept, dtype=bool)].sum() / good.sum()) if good.sum() > 0 else 0.0


@lru_cache(maxsize=1)
def shipped_model() -> ScoreModel:
    """Return the model that ships with Winnow."""
    return model_from(json.loads(MODEL_FILE.read_text(encoding="utf-8")))


def score_classes(features: pd.DataFrame, model: ScoreModel | None = None) -> ClassScores:
    """Return the expected good share and the score of each class, rounded to 6 decimals as files have them.

    Parameters
    ----------
    features : DataFrame, k rows
        Of `features.class_features`.
    model : ScoreModel, optional
        Another one than the shipped.
    """
    model = model or shipped_model()
    is_live = features["n_particles"].to_numpy() > 0
    good_share = np.where(is_live, 1 / (1 + np.exp(-model.log_odds(features))), 0.0)
    score = good_share * usefulness(features)
    return ClassScores(np.round(good_share, 6), np.round(score, 6))


def usefulness(features: pd.DataFrame) -> np.ndarray:
    """Return how useful each average is (k,): 0.9 at the best resolution of the job, less the coarser, at least 0.7.

    With the usual threshold of 0.35 a class of which at least half is good is always kept, whatever its resolution:
    small classes of a rare view are coarse. A sharp average is kept from a good share of 0.39 on.
    """
    relative = features["relative_resolution"].to_numpy(dtype=np.float64)  # log(resolution / best)
    finest = np.exp(-2 * np.maximum(relative, 0.0))
    return LEAST_USEFULNESS + (MOST_USEFULNESS - LEAST_USEFULNESS) * finest
