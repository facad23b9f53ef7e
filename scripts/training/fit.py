"""Fit the class score to cached classifications and check it: python -m training.fit CACHE [--write]."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from training import measures
from training.examples import read_examples
from training.sets import FIRST_TYPICAL
from winnow2d.selection.scores import MODEL_FILE, ScoreModel, model_from

# Columns a score may look at: none has a unit, and none grows with the number of particles.
FEATURES = (
    "spectral_information", "coarse_information", "fine_information", "likelihood_middle", "norm_middle",
    "likelihood_low", "likelihood_high", "norm_high", "probability_high", "profile_difference", "profile_resemblance",
    "probability_middle", "relative_offset_distance", "relative_fine_information", "relative_coarse_information",
    "max_probability", "log_significant", "likelihood_deviation", "likelihood_spread",
    "norm_deviation", "norm_spread", "protein_mean", "protein_sd", "protein_skewness", "protein_kurtosis",
    "protein_area", "protein_size", "protein_roundness", "protein_share", "solvent_mean", "solvent_sd",
    "solvent_lowest", "ring_mean", "ring_sd", "edge_signal", "scattered_signal", "lowpass_min", "lowpass_max",
    "centre_offset", "grain_1", "grain_2", "grain_4", "power_low", "power_middle", "power_high", "power_slope",
    "stripes", "radial_streaks", "relative_information", "relative_max_probability", "relative_offset_spread",
    "relative_norm", "relative_contrast", "relative_area", "relative_size", "relative_roundness",
    "relative_significant", "relative_likelihood", "relative_grain", "relative_slope", "relative_skewness",
    "relative_solvent_sd", "relative_protein_share", "relative_mass", "counted_mass", "mass_deviation",
    "relative_resolution", "relative_accuracy", "crowd", "occupancy_ratio", "relative_coarse_power",
    "relative_middle_power", "relative_fine_power", "alike_best", "alike_mean", "alike_information", "alike_share",
)  # fmt: skip
# Where the direction is beyond doubt: more signal and more company speak for a class, the rest against it.
MONOTONE = {"relative_information": 1, "alike_mean": 1, "edge_signal": -1, "centre_offset": -1, "mass_deviation": -1}
SETTINGS = dict(
    max_iter=250, learning_rate=0.05, max_leaf_nodes=10, min_samples_leaf=60, l2_regularization=5.0, max_features=0.25,
    early_stopping=False, random_state=0,
)  # fmt: skip
N_FOLDS = 5
WIDE_WEIGHT = 0.4  # of a class of the sets of every sort, which hold many that hardly any data set has

logger = logging.getLogger("training")


def fit(
    table: pd.DataFrame, settings: dict[str, Any] | None = None, features: Sequence[str] = FEATURES,
    monotone: Mapping[str, int] = MONOTONE,
) -> HistGradientBoostingClassifier:  # fmt: skip
    """Return the trees fitted to the good shares of classes.

    A class weighs as the root of its members, times its `importance` if the table has that column. A class of
    good share s counts as a good one with weight s and a bad one with weight 1 - s: the loss is then the cross entropy
    of the share itself.
    """
    x, share = table[list(features)].to_numpy(), table["good_share"].to_numpy()
    weight = np.sqrt(table["judged"].to_numpy()) * (table["importance"].to_numpy() if "importance" in table else 1.0)
    model = HistGradientBoostingClassifier(
        **(SETTINGS | (settings or {})), monotonic_cst=[monotone.get(name, 0) for name in features]
    )
    label = np.repeat([1, 0], len(x))
    weights = np.concatenate([weight * share, weight * (1 - share)])
    with threadpool_limits(1):  # more of them wait for each other on a busy machine
        return model.fit(np.concatenate([x, x]), label, sample_weight=weights)


def predicted(
    model: HistGradientBoostingClassifier, table: pd.DataFrame, features: Sequence[str] = FEATURES
) -> np.ndarray:
    """Return the good share (rows,) that scikit-learn's own model predicts."""
    with threadpool_limits(1):
        return model.predict_proba(table[list(features)].to_numpy())[:, 1]


def cross_validated(
    table: pd.DataFrame, settings: dict[str, Any] | None = None, features: Sequence[str] = FEATURES,
    monotone: Mapping[str, int] = MONOTONE,
) -> np.ndarray:  # fmt: skip
    """Return the good share predicted for each class by a model that never saw its protein."""
    found = np.zeros(len(table))
    for learn, check in GroupKFold(N_FOLDS).split(table, groups=table["seed"]):
        model = fit(table.iloc[learn], settings, features, monotone)
        found[check] = predicted(model, table.iloc[check], features)
    return found


def content_of(
    model: HistGradientBoostingClassifier, about: dict[str, Any], features: Sequence[str] = FEATURES
) -> dict[str, Any]:
    """Return what the file of a model says: features by name, and each tree as lists over its nodes.

    Values are rounded to 6 digits; features that no tree asks are left out.
    """
    nodes = [predictors[0].nodes for predictors in model._predictors]
    used = sorted({int(i) for each in nodes for i in each["feature_idx"][~each["is_leaf"].astype(bool)]})
    place = {old: new for new, old in enumerate(used)}
    trees = []
    for each in nodes:
        leaf = each["is_leaf"].astype(bool)
        trees.append({
            "feature": [0 if is_leaf else place[int(i)] for i, is_leaf in zip(each["feature_idx"], leaf, strict=True)],
            "threshold": [0 if is_leaf else float(t) for t, is_leaf in zip(each["num_threshold"], leaf, strict=True)],
            "left": [-1 if is_leaf else int(i) for i, is_leaf in zip(each["left"], leaf, strict=True)],
            "right": [-1 if is_leaf else int(i) for i, is_leaf in zip(each["right"], leaf, strict=True)],
            "value": [float(f"{v:.6g}") if is_leaf else 0 for v, is_leaf in zip(each["value"], leaf, strict=True)],
        })  # fmt: skip
    names = [features[i] for i in used]
    intercept = float(f"{float(np.ravel(model._baseline_prediction)[0]):.6g}")
    return {"about": about, "features": names, "intercept": intercept, "trees": trees}


def text_of(content: dict[str, Any]) -> str:
    """Return the file's text: one line a tree."""
    head = {name: value for name, value in content.items() if name != "trees"}
    lines = json.dumps(head, indent=1)[:-2]
    trees = ",\n  ".join(json.dumps(tree, separators=(", ", ": ")) for tree in content["trees"])
    return f'{lines},\n "trees": [\n  {trees}\n ]\n}}\n'


def largest_difference(
    model: HistGradientBoostingClassifier, shipped: ScoreModel, table: pd.DataFrame, features: Sequence[str] = FEATURES
) -> float:
    """Return by how much the file's good share differs from scikit-learn's anywhere in a table."""
    theirs = predicted(model, table, features)
    return float(np.abs(1 / (1 + np.exp(-shipped.log_odds(table))) - theirs).max())


def command_line(description: str | None, arguments: list[str] | None) -> argparse.Namespace:
    """Return what a command that fits a model is told, its log going to the terminal: `cache` and `write`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the model that ships")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Cross-validate, fit to everything, and write the model if asked to."""
    chosen = command_line(__doc__, arguments)
    table = read_examples(chosen.cache.glob("job_*[0-9].npz"))
    table = table[table["judged"] > 0].reset_index(drop=True)
    table["importance"] = np.where(table["seed"] >= FIRST_TYPICAL, 1.0, WIDE_WEIGHT)
    found = cross_validated(table)
    logger.info("%s", measures.heading())
    for name, rows in measures.groups_of(table):
        logger.info("%s", measures.line(name, table[rows], found[rows]))
    model = fit(table)
    about = {
        "what": "log odds of a particle of a class being good: intercept plus one leaf of each tree",
        "made_by": "scripts/training (docs/decisions/0013-class-score.md)",
        "sets": int(table["seed"].nunique()), "classifications": int(table["job"].nunique()), "classes": len(table),
        "cross_validated": measures.figures(table, found),
    }  # fmt: skip
    content = content_of(model, about)
    shipped = model_from(json.loads(text_of(content)))
    logger.info("largest difference to scikit-learn: %.2g", largest_difference(model, shipped, table))
    if chosen.write:
        MODEL_FILE.write_text(text_of(content), encoding="utf-8")
        logger.info("wrote %s, %d bytes", MODEL_FILE, MODEL_FILE.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
