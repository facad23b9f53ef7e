"""Which classes are kept, and the rule that decided, in words."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from winnow2d.decisions import AUTOMATIC, ClassDecision
from winnow2d.errors import WinnowError
from winnow2d.selection.guards import LOSS_TO_WARN, Notice, loss_to_tell_of, notices_of
from winnow2d.selection.rules import Limit, Rules, best_first, limit_of
from winnow2d.selection.scores import ClassScores


@dataclass(frozen=True)
class Choice:
    """The decision on every class of one round.

    `order` lists the kept classes as class_averages.star does: those above the threshold in class
    order, then those a floor or a guard added, best score first, then those kept for another reason.
    """

    kept: np.ndarray  # (k,) bool
    rule: list[str]  # (k,)
    decided_by: list[str]  # (k,)
    threshold: float
    order: np.ndarray  # (kept classes,) int64, 0-based
    n_particles: np.ndarray  # (k,) int64, members of each class
    scores: ClassScores
    rules: Rules
    n_unclassified: int = 0  # particles that entered the round and belong to no class
    faults: list[Notice] = field(default_factory=list)  # what the rules could not reach

    @property
    def score(self) -> np.ndarray:
        """The score of each class, (k,)."""
        return self.scores.score

    @property
    def sentence(self) -> str:
        """The choice in one line, e.g. "4,213 of 9,120 particles from 35 of 100 classes"."""
        n_kept, n_all = int(self.n_particles[self.kept].sum()), int(self.n_particles.sum()) + self.n_unclassified
        return f"{n_kept:,} of {n_all:,} particles from {int(self.kept.sum()):,} of {len(self.kept):,} classes"

    @property
    def notices(self) -> list[Notice]:
        """What is to be said of the choice: warnings, and remarks."""
        if not self.kept.any():
            return list(self.faults)
        rules, is_share = self.rules, self.rules.quantile_threshold > 0  # then the share is what was asked for
        limits = (0.0 if is_share else rules.least_kept, 1.1 if is_share else rules.most_kept)
        said = notices_of(self.n_particles, self.scores.good_share, self.kept, *limits, self.n_unclassified)
        return [*self.faults, *said]

    def with_decisions(self, decisions: tuple[ClassDecision, ...] | list[ClassDecision]) -> Choice:
        """Return the choice with these classes decided otherwise, or decided the same by another.

        A class without particles stays dropped.
        """
        kept, rule, by = self.kept.copy(), list(self.rule), list(self.decided_by)
        order = self.order.tolist()
        for k, is_kept, why, who in decisions:
            by[k] = who
            if self.n_particles[k] == 0:
                rule[k] = f"no particles ({why})"
                continue
            kept[k], rule[k] = is_kept, f"{why} (else: {self.rule[k]})"
            if is_kept and k not in order:
                order.append(k)
            if not is_kept and k in order:
                order.remove(k)
        places = np.array(order, dtype=np.int64)
        return dataclasses.replace(self, kept=kept, rule=rule, decided_by=by, order=places)

    def check_not_empty(self, ledger: str) -> None:
        """Raise WinnowError when no class is kept, naming a threshold that would keep one and the ledger to look at."""
        if self.kept.any():
            return
        if not (self.n_particles > 0).any():
            raise WinnowError("no particle belongs to any class: the classification left nothing to select from")
        best = int(best_first(np.where(self.n_particles > 0, self.score, -1.0), self.n_particles)[0])
        if set(self.decided_by) != {AUTOMATIC}:
            raise WinnowError(
                f"no class with particles is kept by this choice by hand. {ledger} lists every class; the best score "
                f"is {self.score[best]:.3f} (class {best + 1}, {self.n_particles[best]:,} particles)."
            )
        lower = math.floor(self.score[best] * 100) / 100
        raise WinnowError(
            f"no class reaches rank_threshold {self.threshold:g}: the best score is {self.score[best]:.3f} "
            f"(class {best + 1}, {self.n_particles[best]:,} particles). {ledger} lists every class. "
            f"If its class averages look good, say select: {{rank_threshold: {lower:g}}} "
            "or select: {select_nr_classes: 1}."
        )


def choose_classes(n_particles: np.ndarray, scores: ClassScores, rules: Rules, n_unclassified: int = 0) -> Choice:
    """Return which classes an automatic selection keeps.

    A class is kept when its score is at least `rank_threshold`, as in RELION; or at least
    `relative_threshold` times the best score; or when it is among the best-scoring classes that hold the
    share `quantile_threshold` of the particles. If that keeps fewer particles than `select_nr_parts`, the
    best of the others are added until it is reached; otherwise, if it keeps fewer classes than
    `select_nr_classes`, classes are added likewise. Then the guard: where less than `least_kept` of the
    particles would be left although many good ones are expected among the others, or where nothing would
    be left at all, the best of the others are added. Ties go to the larger class. A class without particles
    is never kept.

    Parameters
    ----------
    n_particles : (k,) int array
        How many particles have this as their best class.
    scores : ClassScores
        (k,) each.
    rules : Rules
    n_unclassified : int
        Particles that belong to no class; they are only counted.

    Notes
    -----
    RELION counts the particles of a class as its share of the posterior; here they are the particles that
    will be written, but for single ones that are pruned or duplicates of others.
    """
    n_particles = np.asarray(n_particles, dtype=np.int64)
    scores = ClassScores(*(np.asarray(values, dtype=np.float64) for values in scores))
    limit = limit_of(rules, scores.score, n_particles)
    by_floor, floor, faults = _added_by_a_floor(limit.above, scores.score, n_particles, rules)
    kept = limit.above.copy()
    kept[by_floor] = True
    by_guard = _added_by_the_guard(kept, scores, n_particles, rules, n_unclassified)
    if by_guard:
        faults.append(_said_of_the_guard(kept, by_guard, n_particles, limit, rules, n_unclassified))
    kept[by_guard] = True
    added = dict.fromkeys(by_floor, f"added to reach {floor}")
    added |= dict.fromkeys(by_guard, f"added by the guard (own.least_kept {rules.least_kept:g})")
    rule = [_words(k, limit, scores.score, n_particles, added) for k in range(len(n_particles))]
    order = np.array([*np.flatnonzero(limit.above), *by_floor, *by_guard], dtype=np.int64)
    decided_by = [AUTOMATIC] * len(rule)
    return Choice(kept, rule, decided_by, limit.threshold, order, n_particles, scores, rules, n_unclassified, faults)


def _said_of_the_guard(
    kept: np.ndarray, added: list[int], n_particles: np.ndarray, limit: Limit, rules: Rules, n_unclassified: int
) -> Notice:
    """Return the warning that the guard had to add classes."""
    n_kept, n_all = int(n_particles[kept].sum()), int(n_particles.sum()) + n_unclassified
    classes = ", ".join(str(k + 1) for k in added)
    return Notice(
        "guard",
        f"Only {n_kept:,} of {n_all:,} particles ({n_kept / n_all:.1%}) are kept by {limit.name}, fewer than "
        f"own.least_kept {rules.least_kept:g}: the guard keeps the best of the other classes too ({classes}; "
        f"{int(n_particles[added].sum()):,} particles). own: {{guard: warn}} keeps none of them.",
    )


def _words(k: int, limit: Limit, scores: np.ndarray, n_particles: np.ndarray, added: dict[int, str]) -> str:
    """Return the rule that decided on class k, in words."""
    if n_particles[k] == 0:
        return "no particles"
    words = (limit.enough if limit.above[k] else limit.too_little).format(score=f"{scores[k]:.3f}")
    return f"{added[k]} ({words})" if k in added else words


def _added_by_a_floor(
    above: np.ndarray, scores: np.ndarray, n_particles: np.ndarray, rules: Rules
) -> tuple[list[int], str, list[Notice]]:
    """Return the classes a floor adds, best score first, the floor's name and value, and if it is out of reach."""
    live = n_particles > 0
    if n_particles[above].sum() < rules.select_nr_parts:
        amount, wanted, floor = n_particles, rules.select_nr_parts, f"select_nr_parts {rules.select_nr_parts}"
    elif above.sum() < rules.select_nr_classes:
        amount, wanted, floor = live, rules.select_nr_classes, f"select_nr_classes {rules.select_nr_classes}"
    else:
        return [], "", []
    reached, added = int(amount[above].sum()), list[int]()
    for k in best_first(scores, n_particles):
        if reached >= wanted:
            break
        if live[k] and not above[k]:
            added.append(int(k))
            reached += int(amount[k])
    sentence = f"{floor} cannot be reached: all classes together have {reached}"
    return added, floor, [Notice("floor_not_reached", sentence)] if reached < wanted else []


def _added_by_the_guard(
    kept: np.ndarray, scores: ClassScores, n_particles: np.ndarray, rules: Rules, n_unclassified: int
) -> list[int]:
    """Return the classes that the guard adds, best score first.

    It adds until the share `least_kept` is reached, or until few good particles are expected among the rest: where
    nearly all particles are junk, keeping few of them is right.
    """
    if rules.guard != "keep" or rules.quantile_threshold > 0:
        return []
    now, added = kept.copy(), list[int]()
    enough = rules.least_kept * (int(n_particles.sum()) + n_unclassified)
    for k in best_first(scores.score, n_particles):
        is_lossless = loss_to_tell_of(n_particles, scores.good_share, now) <= LOSS_TO_WARN
        if n_particles[now].sum() >= max(enough, 1) or (now.any() and is_lossless):
            break
        if n_particles[k] > 0 and not now[k]:
            now[k] = True
            added.append(int(k))
    return added
