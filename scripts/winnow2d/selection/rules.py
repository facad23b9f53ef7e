"""The rules of an automatic choice: which score is enough, which floors hold, which guard watches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from winnow2d.options import OwnOptions, SelectOptions

# Options of ours that an automatic choice of classes looks at.
OWN_RULES = ("relative_threshold", "quantile_threshold", "guard", "least_kept", "most_kept")


@dataclass(frozen=True)
class Rules:
    """What an automatic choice looks at beside the scores; names and meanings are those of the options."""

    rank_threshold: float = 0.35
    relative_threshold: float = 0.0
    quantile_threshold: float = 0.0
    select_nr_parts: int = -1
    select_nr_classes: int = -1
    guard: str = "keep"
    least_kept: float = 0.1
    most_kept: float = 0.98

    @classmethod
    def of(cls, select: SelectOptions, own: OwnOptions | None = None) -> Rules:
        """Return the rules that options ask for."""
        own = own or OwnOptions()
        return cls(
            **{
                item.name: getattr(own if item.name in OWN_RULES else select, item.name)
                for item in dataclasses.fields(cls)
            }
        )


def faults_of_rules(select: SelectOptions, own: OwnOptions) -> list[str]:
    """Return what contradicts itself in the options of a round's choice."""
    faults = []
    if own.relative_threshold > 0 and own.quantile_threshold > 0:
        faults.append("own: relative_threshold and quantile_threshold are both on; choose one")
    if own.selected_classes and select.do_class_ranker:
        faults.append(
            "own.selected_classes: is a choice by hand, but select.do_class_ranker is Yes, an automatic one. Say No to "
            "keep these classes alone, or change the automatic choice by a file overrides/round_NN.yaml"
        )
    if select.do_regroup and own.min_group_size and select.nr_groups != 1:
        faults.append(
            f"own.min_group_size: {own.min_group_size} and select.nr_groups: {select.nr_groups} both say how to "
            "regroup; leave out one, or say nr_groups: 1"
        )
    return faults


class Limit(NamedTuple):
    """Which classes score well enough, and how that is said."""

    above: np.ndarray  # (k,) bool
    threshold: float  # the lowest score that is enough
    name: str  # of the threshold, with what it follows from
    enough: str  # how the rule of a class that is above begins; {score} is filled in
    too_little: str


def best_first(scores: np.ndarray, n_particles: np.ndarray) -> np.ndarray:
    """Return the classes in order of their scores; of equal ones the larger, then the earlier first."""
    return np.lexsort((-np.asarray(n_particles), -np.asarray(scores)))


def limit_of(rules: Rules, scores: np.ndarray, n_particles: np.ndarray) -> Limit:
    """Return which classes score well enough.

    Parameters
    ----------
    scores : (k,) float array
        0 to 1.
    n_particles : (k,) int array
        A class without particles is never above.
    """
    live = n_particles > 0
    if rules.quantile_threshold > 0:
        return _quantile(rules.quantile_threshold, scores, n_particles)
    if rules.relative_threshold > 0:
        best = float(scores[live].max()) if live.any() else 0.0
        threshold = round(rules.relative_threshold * best, 6)
        name = f"relative_threshold {rules.relative_threshold:g} of the best score {best:.3f} = {threshold:.3f}"
    else:
        threshold, name = rules.rank_threshold, f"rank_threshold {rules.rank_threshold:g}"
    return Limit(
        live & (scores >= threshold), threshold, name, f"score {{score}} >= {name}", f"score {{score}} < {name}"
    )


def _quantile(share: float, scores: np.ndarray, n_particles: np.ndarray) -> Limit:
    """Return the best-scoring classes that together hold a share of the particles."""
    order = best_first(np.where(n_particles > 0, scores, -1.0), n_particles)
    before = np.cumsum(n_particles[order]) - n_particles[order]  # particles in better classes
    above = np.zeros(len(scores), dtype=bool)
    # sums of whole numbers against a share of one: a hair below counts as reached
    above[order] = (n_particles[order] > 0) & (before < share * n_particles.sum() * (1 - 1e-12))
    threshold = float(scores[above].min()) if above.any() else 0.0
    name = f"quantile_threshold {share:g}"
    among = f"the best-scoring classes that hold {100 * share:g} % of the particles ({name}; score {{score}})"
    return Limit(above, threshold, name, f"among {among}", f"not among {among}")
