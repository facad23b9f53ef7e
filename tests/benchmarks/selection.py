"""Two rounds of classification and choice on fresh sets, by the class score, by simpler rules, and by the truth.

python -m benchmarks.selection [--sets NAME ...] [--seed-offset N] [--map MRC] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.selection_sets import CASES, FIRST_SEED, SelectionCase
from training import cache, measures
from training.jobs import classified
from training.sets import SimulatedSet
from training.simple_rules import NUMBERS, THRESHOLDS
from winnow2d.options import SelectOptions
from winnow2d.records import Iteration
from winnow2d.selection.choose import Rules, choose_classes
from winnow2d.selection.features import class_features
from winnow2d.selection.scores import score_classes
from winnow2d.simulation.projection import euler_matrices

N_ROUNDS = 2
logger = logging.getLogger("benchmarks.selection")
Rule = Callable[[pd.DataFrame, np.ndarray], np.ndarray]  # features, true good shares -> kept classes


def by_score(features: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """Return the classes that the automatic choice keeps with its default options."""
    return choose_classes(features["n_particles"].to_numpy(), score_classes(features), Rules()).kept


def by_truth(features: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """Return the classes of which at least half is good; those of particles far off centre alone go."""
    return (features["n_particles"].to_numpy() > 0) & (np.nan_to_num(truth, nan=0.0) >= measures.GOOD)


def _by_number(name: str) -> Rule:
    def rule(features: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
        options = SelectOptions(rank_threshold=THRESHOLDS[name])
        return choose_classes(features, NUMBERS[name](features), options).kept

    return rule


RULES: dict[str, Rule] = {"score": by_score, "truth": by_truth} | {name: _by_number(name) for name in NUMBERS}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one rule made of one set.

    Attributes
    ----------
    precision, recall : of good particles after each round, of those that came in at first
    rare_recall : of good particles of the rarest tenth of views; NaN where all views are alike
    """

    precision: list[float]
    recall: list[float]
    rare_recall: float


def run_rule(
    case: SelectionCase, particles: SimulatedSet, classify: Callable[[np.ndarray], Iteration], rule: Rule
) -> Outcome:
    """Return what a rule keeps in two rounds; `classify` returns the classification of rows of the set."""
    kind = np.array([cache.KIND_NAMES.index(name) for name in particles.kinds])
    rows, precision, recall = np.arange(len(kind)), [], []
    for _ in range(N_ROUNDS):
        last = classify(rows)
        good, junk = cache.class_truth(last.particles.class_index, kind[rows], last.model.n_classes)
        features = class_features(last, case.plan(1).class2d.particle_diameter)
        kept = rule(features, cache.share_of(good, junk))
        rows = rows[(last.particles.class_index >= 0) & np.append(kept, False)[last.particles.class_index]]
        n_good, n_junk = int((kind[rows] == 0).sum()), int(((kind[rows] != 0) & (kind[rows] != cache.OFF_CENTRE)).sum())
        precision.append(n_good / max(n_good + n_junk, 1))
        recall.append(n_good / max(int((kind == 0).sum()), 1))
        if len(rows) < 50:
            break
    return Outcome(precision, recall, rare_recall(particles, kind, rows))


class Classifications:
    """Classifications of parts of a set, each done once: with fewer classes where it is not the whole set."""

    def __init__(self, case: SelectionCase, seed: int, particles: SimulatedSet):
        self._plan, self._particles = case.plan(seed), particles
        self._done: dict[bytes, Iteration] = {}

    def __call__(self, rows: np.ndarray) -> Iteration:
        key = rows.tobytes()
        if key not in self._done:
            class2d, is_first = self._plan.class2d, not self._done
            later = dataclasses.replace(class2d, nr_classes=max(2, round(0.6 * class2d.nr_classes)))
            part = self._particles.subset(rows)
            *_, self._done[key] = classified(part, class2d if is_first else later, self._plan.seed + (not is_first))
        return self._done[key]


def rare_recall(particles: SimulatedSet, kind: np.ndarray, rows: np.ndarray) -> float:
    """Return the part of the good particles kept whose view has the fewest neighbours (the rarest 3 %)."""
    good = np.flatnonzero(kind == 0)
    direction = euler_matrices(particles.euler_deg[good])[:, 2]
    neighbours = (np.abs(direction @ direction.T) > np.cos(np.deg2rad(15))).sum(axis=1)
    rare = good[np.argsort(neighbours, kind="stable")[: max(1, round(0.03 * len(good)))]]
    return float(np.isin(rare, rows).mean())


def run_case(case: SelectionCase, seed: int, rules: dict[str, Rule]) -> tuple[dict[str, Outcome], pd.DataFrame]:
    """Return the outcome of every rule, and the classes of the first round with what was predicted of them."""
    particles = case.particles(seed)
    class2d = case.plan(seed).class2d
    classify = Classifications(case, seed, particles)
    first = classify(np.arange(len(particles.kinds)))
    kind = np.array([cache.KIND_NAMES.index(name) for name in particles.kinds])
    features = class_features(first, class2d.particle_diameter)
    good, junk = cache.class_truth(first.particles.class_index, kind, class2d.nr_classes)
    share, found = cache.share_of(good, junk), score_classes(features).good_share
    table = features.assign(good_share=share, judged=good + junk, found=found, set=case.name)
    return {name: run_rule(case, particles, classify, rule) for name, rule in rules.items()}, table


def print_heading(names: list[str]) -> None:
    """Print the line above those of `print_outcome`."""
    say(f"{'precision / recall after two rounds':36s}" + "".join(f"{name:>24s}" for name in names))


def print_outcome(case: str, found: dict[str, Outcome]) -> None:
    """Print precision and recall of every rule on one set, and the recall of its rarest views by the first rule."""
    cells = "".join(f"{outcome.precision[-1]:>16.3f} / {outcome.recall[-1]:.3f}" for outcome in found.values())
    say(f"{case:36s}{cells}   rare views {next(iter(found.values())).rare_recall:.3f}")


def print_means(outcomes: dict[str, dict[str, Outcome]], names: list[str]) -> None:
    """Print the means over sets, and on how many sets the score is as good as is asked for."""
    means = [
        np.mean([(o[name].precision[-1], o[name].recall[-1]) for o in outcomes.values()], axis=0) for name in names
    ]
    say(f"{'mean':36s}" + "".join(f"{precision:>16.3f} / {recall:.3f}" for precision, recall in means))
    if {"score", "truth"} <= set(names):
        met = [is_enough(found["score"], found["truth"]) for found in outcomes.values()]
        say(f"precision and recall of the score >= 0.95 or within 0.02 of the truth's: {sum(met)} of {len(met)} sets")


def is_enough(found: Outcome, oracle: Outcome) -> bool:
    """Return whether precision and recall are both 0.95, or 0.02 below the oracle's, whichever is less."""
    pairs = ((found.precision[-1], oracle.precision[-1]), (found.recall[-1], oracle.recall[-1]))
    return all(value >= min(0.95, best - 0.02) for value, best in pairs)


def print_classes(table: pd.DataFrame) -> None:
    """Print ranking and calibration of the score, of all sets and of each, and the ranking of the simpler rules."""
    table = table[table["judged"] > 0].reset_index(drop=True)
    found = table["found"].to_numpy()
    say(measures.heading())
    say(measures.line("all sets", table, found))
    for name in dict.fromkeys(table["set"]):
        rows = (table["set"] == name).to_numpy()
        say(measures.line(str(name), table[rows], found[rows]))
    is_good, members = table["good_share"].to_numpy() >= measures.GOOD, table["judged"].to_numpy(dtype=np.float64)
    for name, number in NUMBERS.items():
        areas = (measures.roc_area(is_good, number(table), weight) for weight in (None, members))
        say("{:24s}{:>8s}{:8.4f}{:9.4f}".format(name, "", *areas))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (a command talks to its user)


def main(arguments: list[str] | None = None) -> int:
    """Run the sets that are asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=[case.name for case in CASES])
    parser.add_argument("--rules", nargs="+", default=list(RULES))
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument("--map", type=Path, help="a density map to make one more set of")
    parser.add_argument("--out", type=Path, help="folder for the classes of every set")
    chosen = parser.parse_args(arguments)
    cases = [case for case in CASES if case.name in chosen.sets]
    if chosen.map:
        cases.append(SelectionCase("map", dict(snr=0.4), map=chosen.map))
    outcomes, tables = {}, []
    print_heading(chosen.rules)
    for case in cases:
        start = time.process_time()
        seed = FIRST_SEED + CASES.index(case) if case in CASES else FIRST_SEED + 900
        outcomes[case.name], table = run_case(
            case, seed + 1000 * chosen.seed_offset, {name: RULES[name] for name in chosen.rules}
        )
        tables.append(table)
        print_outcome(case.name, outcomes[case.name])
        sys.stderr.write(f"{case.name}: {time.process_time() - start:.0f} s\n")
    print_means(outcomes, chosen.rules)
    print_classes(pd.concat(tables, ignore_index=True))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        pd.concat(tables, ignore_index=True).to_csv(chosen.out / "classes.tsv", sep="\t", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
