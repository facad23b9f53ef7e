"""Show what each threshold would keep and lose in a round; nothing is selected: see --help."""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d import choosing
from winnow2d.errors import JobError, WinnowError
from winnow2d.formats.choice_record import read_choice
from winnow2d.formats.jobs import read_job_star
from winnow2d.selection.trial import KINDS, THRESHOLDS, trial_table
from winnow2d.selection.views import BELIEVABLE, views_lost

HEADS = {
    "threshold": "threshold", "classes": "classes", "particles": "particles", "share": "share",
    "good_kept": "good kept", "good_lost": "good lost", "junk_kept": "junk kept", "loss": "loss of good",
    "views_lost": "views lost",
}  # fmt: skip


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python scripts/try_thresholds.py",
        description="Show for each threshold how many classes and particles a choice would keep, how many good ones "
        "(expected) it would keep and lose, how much junk it would let in, and how many views of the particle it would "
        "lose. Nothing is written in the project.",
    )
    parser.add_argument(
        "where", type=Path, help="a project directory, or the run_itNNN_optimiser.star of a Class2D job"
    )
    parser.add_argument("--round", default="1", help="of a project: the round, by its report folder (default 1)")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help=f"which option to try (default {KINDS[0]})")
    parser.add_argument("--thresholds", help="e.g. 0.2,0.35,0.5 (default: 0.05 to 0.95)")
    parser.add_argument("--tsv", type=Path, help="also write the table there")
    return parser.parse_args(arguments)


def optimiser_of(where: Path, name: str) -> Path:
    """Return the optimiser file of a round of a project, or the one named."""
    if not where.is_dir():
        if not where.name.endswith("_optimiser.star"):
            raise JobError(f"{where}: expected a project directory or a run_itNNN_optimiser.star.")
        return where
    folder = where / f"report/round_{name.zfill(2)}"
    if (folder / "choice.yaml").is_file():
        data = read_choice(folder).classification
        return where / data.replace("_data.star", "_optimiser.star")
    if (folder / "job.star").is_file():  # it waits for a choice by hand
        return where / str(read_job_star(folder / "job.star", None).inputs["optimiser"])
    raise JobError(f"{folder}: no choice and no proposal; has that round been classified?")


def n_views_lost(judged: choosing.Judged, kept: np.ndarray) -> int:
    """Return how many views of believable good particles no kept class shows; all of them where nothing is kept."""
    if not kept.any():
        return len(set(judged.views.view[judged.scores.good_share >= BELIEVABLE]))
    return len(views_lost(judged.views, judged.n_particles, judged.scores.good_share, kept))


def lines(table: pd.DataFrame) -> list[str]:
    """Return the table as lines of text."""
    shown = pd.DataFrame({HEADS[name]: table[name] for name in table.columns})
    formats = {"share": "{:.1%}", "loss of good": "{:.1%}", "threshold": "{:g}"}
    texts = {head: [formats.get(head, "{:,.0f}").format(value) for value in shown[head]] for head in shown.columns}
    widths = {head: max(map(len, [head, *column])) for head, column in texts.items()}
    heads = "  ".join(head.rjust(width) for head, width in widths.items())
    rows = zip(*texts.values(), strict=True)
    return [heads, *("  ".join(map(str.rjust, row, widths.values())) for row in rows)]


def main(arguments: list[str]) -> int:
    """Print the table; return the exit status."""
    asked = parsed(arguments)
    try:
        thresholds = [float(text) for text in asked.thresholds.split(",")] if asked.thresholds else THRESHOLDS
        optimiser = optimiser_of(asked.where, asked.round)
        data, model = (optimiser.with_name(optimiser.name.replace("optimiser", name)) for name in ("data", "model"))
        judged = choosing.judge(data, optimiser, model)
        count_lost = partial(n_views_lost, judged)
        table = trial_table(judged.n_particles, judged.scores, asked.kind, thresholds, count_lost)
    except (WinnowError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 (a command talks to its user)
        return 1
    total = int(judged.n_particles.sum()) + judged.n_unclassified
    print(f"{optimiser}: {total:,} particles in {len(judged.classes):,} classes, {asked.kind}:")  # noqa: T201
    print("\n".join(lines(table)))  # noqa: T201
    if asked.tsv:
        table.to_csv(asked.tsv, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
