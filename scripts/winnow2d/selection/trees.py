"""Sums of decision trees, as the files of fitted models describe them, evaluated with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tree:
    """One decision tree of m nodes, root first; a class goes left where feature <= threshold.

    `left` and `right` are -1 in a leaf, where `value` is added to the log odds.
    """

    feature: np.ndarray  # (m,) int64, index into the model's features
    threshold: np.ndarray  # (m,)
    left: np.ndarray  # (m,) int64
    right: np.ndarray  # (m,) int64
    value: np.ndarray  # (m,)

    def evaluate(self, table: np.ndarray) -> np.ndarray:
        """Return what the tree adds to the log odds of each row (k,) of features (k, f)."""
        node, rows = np.zeros(len(table), dtype=np.int64), np.arange(len(table))
        while (self.left[node] >= 0).any():
            goes_left = table[rows, self.feature[node]] <= self.threshold[node]
            below = np.where(goes_left, self.left[node], self.right[node])
            node = np.where(self.left[node] >= 0, below, node)
        return self.value[node]


@dataclass(frozen=True)
class ScoreModel:
    """A fitted model: an intercept and the sum of one leaf of each tree.

    Attributes
    ----------
    features : names of the columns it looks at
    intercept : float, log odds before any tree
    trees : of the log odds
    """

    features: tuple[str, ...]
    intercept: float
    trees: tuple[Tree, ...]

    def log_odds(self, features: Mapping[str, Any]) -> np.ndarray:
        """Return the log odds (k,) of a particle of each class being good.

        Parameters
        ----------
        features : (k,) numbers by name, as a mapping or a DataFrame
        """
        table = np.stack([np.asarray(features[name], dtype=np.float64) for name in self.features], axis=1)
        return self.intercept + sum((tree.evaluate(table) for tree in self.trees), np.zeros(len(table)))


def model_from(content: Mapping[str, Any]) -> ScoreModel:
    """Return the model that the content of a file like `class_score.json` describes."""
    trees = tuple(
        Tree(
            *(np.array(tree[name], dtype=np.int64 if name in ("feature", "left", "right") else np.float64)
              for name in ("feature", "threshold", "left", "right", "value"))
        )
        for tree in content["trees"]
    )  # fmt: skip
    return ScoreModel(tuple(content["features"]), float(content["intercept"]), trees)
