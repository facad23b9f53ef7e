"""Fit the scores given to RELION's class ranker, and check them: python -m training.relion_ranker CACHE [--write]."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from training import measures
from training.cache import CachedJob, read_job
from training.fit import command_line, content_of, cross_validated, fit, largest_difference, text_of
from training.sets import FIRST_TYPICAL
from winnow2d.selection.relion_columns import relion_columns
from winnow2d.selection.relion_features import FEWEST_PARTICLES, relion_features, relion_pictures
from winnow2d.selection.relion_score import MODEL_FILE, usefulness
from winnow2d.selection.trees import model_from

# Where the direction is beyond doubt: more signal and more company speak for a class, the rest against it.
MONOTONE = {
    "alike_mean": 1, "job_mass_deviation": -1, "picture_edge_signal": -1, "picture_centre_offset": -1,
    "signal_resolution": -1,
}  # fmt: skip
SETTINGS = dict(  # what is not that of the class score
    max_iter=220, learning_rate=0.05, max_leaf_nodes=10, min_samples_leaf=40, max_features=0.25
)
_TRUTH = ("good_share", "judged", "n_particles", "job", "seed", "stage")
THRESHOLDS = (0.2, 0.35, 0.5)

logger = logging.getLogger("training")


def examples_of(job: CachedJob, number: int) -> pd.DataFrame:
    """Return the classes of a job that RELION's ranker would tell of, those with more than ten particles.

    Returns
    -------
    DataFrame
        The columns of `relion_columns.relion_columns` and `good_share`, `judged` (members that are good or junk),
        `n_particles`, `job`, `seed` (of the set, hence of the protein), `stage`.
    """
    facts, model = job.facts, job.iteration.model
    n_particles = np.asarray(model.pdf_class, dtype=np.float64) * len(job.iteration.particles)
    told = n_particles > FEWEST_PARTICLES
    if not told.any():
        return pd.DataFrame()
    averages, place = model.references[told], (model.pixel_size_ang, facts["diameter_ang"])
    numbers = (n_particles, facts["resolution_ang"], model.accuracy_rotation_deg, model.accuracy_offset_ang)
    features = relion_features(averages, *place, *(np.asarray(each)[told] for each in numbers))
    columns = relion_columns(features, relion_pictures(averages, *place))
    truth = {
        "good_share": job.good_share[told].astype(np.float64), "judged": (facts["n_good"] + facts["n_junk"])[told],
        "n_particles": n_particles[told], "job": number, "seed": facts["seed"], "stage": facts["stage"],
    }  # fmt: skip
    return pd.DataFrame(columns | truth)


def read_examples(files: Iterable[Path]) -> pd.DataFrame:
    """Return the examples of all files that have any, in order of their job numbers, where truth says something."""
    tables = []
    for path in sorted(files):
        try:
            tables.append(examples_of(read_job(path), int(path.stem.removeprefix("job_"))))
        except ValueError as error:  # a box RELION's ranker refuses
            logger.info("%s: %s", path.name, error)
    table = pd.concat(tables, ignore_index=True)
    return table[table["judged"] > 0].reset_index(drop=True)


def scores_of(table: pd.DataFrame, good_share: np.ndarray) -> np.ndarray:
    """Return the scores (n,) that follow from good shares (n,) in each job."""
    score = np.zeros(len(table))
    for rows in table.groupby("job").indices.values():
        share = good_share[rows]
        score[rows] = share * usefulness(table["signal_resolution"].to_numpy()[rows], share)
    return score


def at_threshold(table: pd.DataFrame, score: np.ndarray, threshold: float) -> tuple[float, float]:
    """Return precision and recall of good particles where classes of at least this score are kept."""
    share, members = table["good_share"].to_numpy(), table["judged"].to_numpy()
    good, kept = share * members, score >= threshold
    return good[kept].sum() / max(members[kept].sum(), 1), good[kept].sum() / good.sum()


def _report(table: pd.DataFrame, found: np.ndarray) -> None:
    """Tell how good the shares of proteins never seen are, and what thresholds on the score would keep."""
    logger.info("%s", measures.heading())
    for name, rows in measures.groups_of(table):
        if rows.any():
            logger.info("%s", measures.line(name, table[rows], found[rows]))
    typical = (table["seed"] >= FIRST_TYPICAL).to_numpy()
    if typical.any():
        logger.info("%s", measures.line("typical sets", table[typical], found[typical]))
    clear = ((table["good_share"] <= 0.2) | (table["good_share"] >= 0.8)).to_numpy()
    logger.info("%s", measures.line("under 20 or over 80 %", table[clear], found[clear]))
    score = scores_of(table, found)
    for threshold in THRESHOLDS:
        logger.info("score >= %.2f: precision %.3f, recall %.3f", threshold, *at_threshold(table, score, threshold))


def main(arguments: list[str] | None = None) -> int:
    """Cross-validate, fit to everything, and write the model if asked to."""
    chosen = command_line(__doc__, arguments)
    table = read_examples(chosen.cache.glob("job_*[0-9].npz"))
    features = [name for name in table if name not in _TRUTH]
    found = cross_validated(table, SETTINGS, features, MONOTONE)
    _report(table, found)
    model = fit(table, SETTINGS, features, MONOTONE)
    about = {
        "what": "log odds of a particle of a class being good: intercept plus one leaf of each tree",
        "made_by": "scripts/training/relion_ranker.py (docs/decisions/0014-relion-ranker.md)",
        "sets": int(table["seed"].nunique()), "classifications": int(table["job"].nunique()), "classes": len(table),
        "cross_validated": measures.figures(table, found),
    }  # fmt: skip
    text = text_of(content_of(model, about, features))
    shipped = model_from(json.loads(text))
    logger.info("largest difference to scikit-learn: %.2g", largest_difference(model, shipped, table, features))
    if chosen.write:
        MODEL_FILE.write_text(text, encoding="utf-8")
        logger.info("wrote %s, %d bytes", MODEL_FILE, MODEL_FILE.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
