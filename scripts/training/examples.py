"""Cached classifications -> one table of classes: features, what is true, and how much each counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from training.cache import CachedJob, read_job
from winnow2d.selection.features import class_features


def examples_of(job: CachedJob, number: int) -> pd.DataFrame:
    """Return the classes of a job that have particles.

    Returns
    -------
    DataFrame
        The features and `good_share` (NaN if all members are far off centre), `judged` (members that are good or
        junk), `job`, `seed` (of the set, hence of the protein), `stage`.
    """
    facts = job.facts
    features = class_features(job.iteration, facts["diameter_ang"])
    truth = pd.DataFrame(
        {
            "good_share": job.good_share.astype(np.float64),
            "judged": facts["n_good"] + facts["n_junk"],
            "job": number,
            "seed": facts["seed"],
            "stage": facts["stage"],
        }
    )
    table = pd.concat([features, truth], axis=1)
    return table[table["n_particles"] > 0].reset_index(drop=True)


def read_examples(files: Iterable[Path]) -> pd.DataFrame:
    """Return the examples of all files, in order of their job numbers."""
    by_number = {int(path.stem.removeprefix("job_")): path for path in files}
    return pd.concat([examples_of(read_job(by_number[n]), n) for n in sorted(by_number)], ignore_index=True)
