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


def run_rule(case: SelectionCase, seed: int, particles: SimulatedSet, first: Iteration, rule: Rule) -> Outcome:
    """Return what a rule keeps in two rounds; the first classification is the same for all rules."""
    kind = np.array([cache.KIND_NAMES.index(name) for name in particles.kinds])
    rows, precision, recall = np.arange(len(kind)), [], []
    for round_number in range(1, N_ROUNDS + 1):
        last = first if round_number == 1 else second_round(case, seed, particles.subset(rows))
        good, junk = cache.class_truth(last.particles.class_index, kind[rows], last.model.n_classes)
        features = class_features(last, case.plan(seed).class2d.particle_diameter)
        kept = rule(features, cache.share_of(good, junk))
        rows = rows[(last.particles.class_index >= 0) & np.append(kept, False)[last.particles.class_index]]
        n_good, n_junk = int((kind[rows] == 0).sum()), int(((kind[rows] != 0) & (kind[rows] != cache.OFF_CENTRE)).sum())
        precision.append(n_good / max(n_good + n_junk, 1))
        recall.append(n_good / max(int((kind == 0).sum()), 1))
        if len(rows) < 50:
            break
    return Outcome(precision, recall, rare_recall(particles, kind, rows))


def second_round(case: SelectionCase, seed: int, particles: SimulatedSet) -> Iteration:
    """Return the classification of the particles that a first round kept, with 60 % as many classes."""
    class2d = case.plan(seed).class2d
    later = dataclasses.replace(class2d, nr_classes=max(2, round(0.6 * class2d.nr_classes)))
    *_, last = classified(particles, later, seed + 1)
    return last


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
    *_, first = classified(particles, class2d, seed)
    kind = np.array([cache.KIND_NAMES.index(name) for name in particles.kinds])
    features = class_features(first, class2d.particle_diameter)
    good, junk = cache.class_truth(first.particles.class_index, kind, class2d.nr_classes)
    share, found = cache.share_of(good, junk), score_classes(features).good_share
    table = features.assign(good_share=share, judged=good + junk, found=found, set=case.name)
    return {name: run_rule(case, seed, particles, first, rule) for name, rule in rules.items()}, table


def print_outcomes(outcomes: dict[str, dict[str, Outcome]]) -> None:
    """Print precision and recall after two rounds, a line a set, for every rule."""
    names = list(next(iter(outcomes.values())))
    say(f"{'precision / recall after two rounds':28s}" + "".join(f"{name:>24s}" for name in names))
    for case, found in outcomes.items():
        cells = "".join(f"{found[name].precision[-1]:>16.3f} / {found[name].recall[-1]:.3f}" for name in names)
        say(f"{case:28s}{cells}   rare views {found[names[0]].rare_recall:.3f}")
    mean = {
        name: np.mean([(o[name].precision[-1], o[name].recall[-1]) for o in outcomes.values()], 0) for name in names
    }
    say(f"{'mean':28s}" + "".join(f"{mean[name][0]:>16.3f} / {mean[name][1]:.3f}" for name in names))


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
    for case in cases:
        start = time.process_time()
        seed = FIRST_SEED + CASES.index(case) if case in CASES else FIRST_SEED + 900
        outcomes[case.name], table = run_case(
            case, seed + 1000 * chosen.seed_offset, {name: RULES[name] for name in chosen.rules}
        )
        tables.append(table)
        sys.stderr.write(f"{case.name}: {time.process_time() - start:.0f} s\n")
    print_outcomes(outcomes)
    print_classes(pd.concat(tables, ignore_index=True))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        pd.concat(tables, ignore_index=True).to_csv(chosen.out / "classes.tsv", sep="\t", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
