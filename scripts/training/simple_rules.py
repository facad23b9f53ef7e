"""Three simpler rules to compare the class score with, each with its best fixed threshold on the typical cached sets.

python -m training.simple_rules CACHE prints the thresholds that stand in THRESHOLDS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from training.examples import read_examples
from training.sets import FIRST_TYPICAL

LARGEST_CROWD = 8.0  # a class of eight times the mean size has occupancy 1


def resolution_number(features: pd.DataFrame) -> np.ndarray:
    """Return the best resolution of the job over each class's (k,), 0 to 1."""
    return np.exp(-np.maximum(features["relative_resolution"].to_numpy(dtype=np.float64), 0.0))


def occupancy_number(features: pd.DataFrame) -> np.ndarray:
    """Return members by those of the mean class (k,), an eighth of it, at most 1."""
    return (np.exp(features["crowd"].to_numpy(dtype=np.float64)) / LARGEST_CROWD).clip(0, 1)


def ratio_number(features: pd.DataFrame) -> np.ndarray:
    """Return occupancy over resolution (k,), 0 to 1."""
    return occupancy_number(features) * resolution_number(features)


NUMBERS: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    "resolution": resolution_number, "occupancy": occupancy_number, "occupancy / resolution": ratio_number,
}  # fmt: skip
THRESHOLDS = {"resolution": 0.38, "occupancy": 0.045, "occupancy / resolution": 0.035}


def best_threshold(table: pd.DataFrame, number: np.ndarray) -> tuple[float, float]:
    """Return the threshold with the best F1 of good particles, averaged over classifications, and that F1.

    Parameters
    ----------
    table : of `examples.read_examples`
    number : (rows,) what the rule looks at, 0 to 1
    """
    good = (table["good_share"].fillna(0.0) * table["judged"]).to_numpy()
    judged, job = table["judged"].to_numpy(dtype=np.float64), pd.factorize(table["job"])[0]
    best = (0.0, -1.0)
    for threshold in np.round(np.arange(0.0, 1.0, 0.005), 3):
        kept = number >= threshold
        kept_good, kept_all, all_good = (np.bincount(job, weights=w) for w in (good * kept, judged * kept, good))
        f1 = float(np.mean(2 * kept_good / np.maximum(kept_all + all_good, 1)))
        best = max(best, (float(threshold), f1), key=lambda pair: pair[1])
    return best


def main(cache: str) -> None:
    """Print the best threshold of every rule."""
    table = read_examples(Path(cache).glob("job_*[0-9].npz"))
    table = table[(table["stage"] > 0) & (table["seed"] >= FIRST_TYPICAL)].reset_index(drop=True)
    for name, number in NUMBERS.items():
        sys.stdout.write("{}: threshold {:g}, F1 {:.4f}\n".format(name, *best_threshold(table, number(table))))


if __name__ == "__main__":
    main(sys.argv[1])
