"""Which classes are kept, and the rule that decided, in words."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winnow2d.errors import ConfigError, WinnowError
from winnow2d.options import SelectOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """The decision on every class of one round.

    `order` lists the kept classes as class_averages.star does: those above the threshold in class
    order, then those a floor added, best score first.
    """

    kept: np.ndarray  # (k,) bool
    rule: list[str]  # (k,)
    threshold: float
    order: np.ndarray  # (kept classes,) int64, 0-based
    n_particles: np.ndarray  # (k,) int64, members of each class
    score: np.ndarray  # (k,)
    n_unclassified: int = 0  # particles that entered the round and belong to no class

    @property
    def sentence(self) -> str:
        """The choice in one line, e.g. "4,213 of 9,120 particles from 35 of 100 classes"."""
        n_kept, n_all = int(self.n_particles[self.kept].sum()), int(self.n_particles.sum()) + self.n_unclassified
        return f"{n_kept:,} of {n_all:,} particles from {int(self.kept.sum()):,} of {len(self.kept):,} classes"

    def check_not_empty(self, ledger: str) -> None:
        """Raise WinnowError when no class is kept, naming a threshold that would keep one and the ledger to look at."""
        if self.kept.any():
            return
        if not (self.n_particles > 0).any():
            raise WinnowError("no particle belongs to any class: the classification left nothing to select from")
        best = int(np.argmax(np.where(self.n_particles > 0, self.score, -1.0)))
        lower = math.floor(self.score[best] * 100) / 100
        raise WinnowError(
            f"no class reaches rank_threshold {self.threshold:g}: the best score is {self.score[best]:.3f} "
            f"(class {best + 1}, {self.n_particles[best]:,} particles). {ledger} lists every class. "
            f"If its class averages look good, say select: {{rank_threshold: {lower:g}}} "
            "or select: {select_nr_classes: 1}."
        )


def choose_classes(
    features: pd.DataFrame, scores: np.ndarray, options: SelectOptions, n_unclassified: int = 0
) -> Choice:
    """Return which classes are kept by RELION's rule of automatic selection.

    A class is kept when its score is at least `rank_threshold`. If that keeps fewer particles than
    `select_nr_parts`, the best of the others are added until it is reached; otherwise, if it keeps
    fewer classes than `select_nr_classes`, classes are added likewise. Ties go to the larger class.
    A class without particles is never kept.

    Parameters
    ----------
    features : DataFrame, k rows
        Needs the column `n_particles`: how many particles have this as their best class.
    scores : (k,) float array
        0 to 1.
    options : SelectOptions
        `do_class_ranker`, `rank_threshold`, `select_nr_parts`, `select_nr_classes`.
    n_unclassified : int
        Particles that belong to no class; they are only counted.

    Raises
    ------
    ConfigError
        If `do_class_ranker` is off.

    Notes
    -----
    RELION counts the particles of a class as its share of the posterior; here they are the particles that
    will really be written, so that a floor holds exactly.
    """
    if not options.do_class_ranker:
        raise ConfigError("select: do_class_ranker: false: manual selection is not supported yet. Say true.")
    n_particles = features["n_particles"].to_numpy().astype(np.int64)
    live, threshold = n_particles > 0, options.rank_threshold
    above = live & (scores >= threshold)
    added, floor = _added_by_a_floor(above, live, scores, n_particles, options)
    kept = above.copy()
    kept[added] = True
    rule = []
    for k, score in enumerate(scores):
        if not live[k]:
            rule.append("no particles")
        elif above[k]:
            rule.append(f"score {score:.3f} >= rank_threshold {threshold:g}")
        elif kept[k]:
            rule.append(f"added to reach {floor} (score {score:.3f} < rank_threshold {threshold:g})")
        else:
            rule.append(f"score {score:.3f} < rank_threshold {threshold:g}")
    order = np.concatenate([np.flatnonzero(above), np.array(added, dtype=np.int64)]).astype(np.int64)
    return Choice(kept, rule, threshold, order, n_particles, np.asarray(scores, dtype=np.float64), n_unclassified)


def _added_by_a_floor(
    above: np.ndarray, live: np.ndarray, scores: np.ndarray, n_particles: np.ndarray, options: SelectOptions
) -> tuple[list[int], str]:
    """Return the classes a floor adds, best score first, and the floor's name and value."""
    if n_particles[above].sum() < options.select_nr_parts:
        amount, wanted, floor = n_particles, options.select_nr_parts, f"select_nr_parts {options.select_nr_parts}"
    elif above.sum() < options.select_nr_classes:
        amount, wanted, floor = live, options.select_nr_classes, f"select_nr_classes {options.select_nr_classes}"
    else:
        return [], ""
    reached = int(amount[above].sum())
    best_first = np.lexsort((-n_particles, -np.asarray(scores)))
    added: list[int] = []
    for k in best_first:
        if reached >= wanted:
            break
        if live[k] and not above[k]:
            added.append(int(k))
            reached += int(amount[k])
    if reached < wanted:
        log.warning("%s cannot be reached: all classes together have %d", floor, reached)
    return added, floor
