"""Fit the weights of the particle filter to simulated sets: python -m training.particles --seeds 3001 3016.

The sets are such as most data are, and none that the class scores were fitted to: the filter is to know how far these
can be trusted on others. Printed are the table for `selection/particle_filter.py`, and how well good particles are
told from others in sets that a fit has not seen, against what their classes alone say.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from training.cache import KIND_NAMES, OFF_CENTRE
from training.jobs import stages_of
from training.sets import FIRST_TYPICAL, draw_plan, simulate
from winnow2d.selection.features import class_features
from winnow2d.selection.particle_filter import INTERCEPT, WEIGHTS, particle_features
from winnow2d.selection.scores import score_classes

logger = logging.getLogger("training")
FEATURES = tuple(weight.feature for weight in WEIGHTS)
KEPT_SCORE = 0.35  # of classes: those that a choice keeps


@dataclass
class Example:
    """The particles of one finished classification."""

    seed: int
    round_number: int
    features: np.ndarray  # (n, f)
    is_good: np.ndarray  # (n,) bool
    good_share: np.ndarray  # (n,), of its class as the score expects it
    is_kept: np.ndarray  # (n,) bool, whether its class reaches the usual threshold


def examples_of(seed: int) -> list[Example]:
    """Return the classifications of both rounds of a set; particles off centre count as good ones do not."""
    plan = draw_plan(seed)
    particles, found = simulate(plan), []
    kind = np.array([KIND_NAMES.index(name) for name in particles.kinds])
    for stage, round_number, iteration, rows in stages_of(plan, particles):
        if stage == 0:
            continue
        scores = score_classes(class_features(iteration, plan.class2d.particle_diameter))
        features = particle_features(iteration.particles, scores.good_share)
        assert features is not None
        judged = (iteration.particles.class_index >= 0) & (kind[rows] != OFF_CENTRE)
        index = iteration.particles.class_index[judged]
        found.append(
            Example(
                seed,
                round_number,
                np.column_stack([features[name] for name in FEATURES])[judged],
                kind[rows][judged] == 0,
                scores.good_share[index],
                scores.score[index] >= KEPT_SCORE,
            )
        )
    return found


def fit(examples: list[Example]) -> LogisticRegression:
    """Return the logistic function fitted to particles of all sets, every classification with the same weight."""
    weights = np.concatenate([np.full(len(one.is_good), 1000 / len(one.is_good)) for one in examples])
    x, y = np.concatenate([one.features for one in examples]), np.concatenate([one.is_good for one in examples])
    return LogisticRegression(C=1.0, max_iter=500).fit(x, y, sample_weight=weights)


def area(is_good: np.ndarray, value: np.ndarray) -> float:
    """Return the area under the ROC curve; nan where all are alike."""
    return float(roc_auc_score(is_good, value)) if len(set(is_good)) == 2 else float("nan")


def tell_of_unseen(examples: list[Example]) -> None:
    """Log how well particles of kept classes are judged in sets left out of the fit, and by the class alone."""
    areas, expected = [], []
    for seed in sorted({one.seed for one in examples}):
        model = fit([one for one in examples if one.seed != seed])
        for one in examples:
            if one.seed == seed:
                probability, kept = model.predict_proba(one.features)[:, 1], one.is_kept
                areas.append(
                    (area(one.is_good[kept], one.good_share[kept]), area(one.is_good[kept], probability[kept]))
                )
                expected.append((one.is_good.mean(), probability.mean()))
    by_class, by_filter = np.nanmean(areas, axis=0)
    logger.info("in kept classes of unseen sets: area %.3f by class, %.3f by filter", by_class, by_filter)
    error = float(np.abs(np.diff(expected, axis=1)).mean())
    logger.info("good particles expected in a classification are off by %.3f of all on average", error)


def main(arguments: list[str] | None = None) -> int:
    """Fit the table to a range of sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(3001, 3016), metavar=("FIRST", "LAST"))
    first, last = parser.parse_args(arguments).seeds
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logger.setLevel(logging.INFO)
    if first < FIRST_TYPICAL:
        parser.error(f"--seeds: sets such as most data are begin at {FIRST_TYPICAL}")
    examples = []
    for seed in range(first, last + 1):
        examples += examples_of(seed)
        logger.info("set %d: %d classifications so far", seed, len(examples))
    tell_of_unseen(examples)
    model = fit(examples)
    logger.info("INTERCEPT = %.3f (was %.3f)", model.intercept_[0], INTERCEPT)
    for weight, value in zip(WEIGHTS, model.coef_[0], strict=True):
        logger.info("%s %.3f (was %.3f)", weight.feature, value, weight.value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
