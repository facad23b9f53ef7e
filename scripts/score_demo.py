"""Print how many good and junk particles each round of a demo kept: python scripts/score_demo.py PROJECT."""

import sys
from pathlib import Path

import pandas as pd

from winnow2d.errors import JobError, WinnowError
from winnow2d.formats.jobs import as_list, read_job_star
from winnow2d.formats.second_chance import read_decisions
from winnow2d.formats.star import read_star
from winnow2d.report.tables import GOOD, TruthScore, truth_score

HELP = "usage: python scripts/score_demo.py PROJECT   (PROJECT: the directory with Extract, Class2D, Select, report)"


def score_project(project: Path) -> TruthScore:
    """Return what every round of a demo project kept, against its truth."""
    truth = project / "Extract/job001/truth.star"
    if not truth.is_file():
        raise JobError(f"{truth}: no such file; only the demo (input: {{demo: ...}}) has a truth to compare with.")
    report = project / "report/job.star"
    if not report.is_file():
        raise JobError(f"{report}: no such file; let the demo finish its report.")
    # report/ may hold ledgers of rounds that were taken out of the config since: the report names those that count.
    inputs = read_job_star(report, None).inputs
    ledgers, again = (as_list(inputs.get(name, [])) for name in ("particle_ledgers", "second_chances"))
    renamed = [read_star(path)["truth"] for path in sorted(project.glob("Extract/job??8/truth.star"))]
    return truth_score(
        read_star(truth)["truth"],
        [read_decisions(project / path, [project / one for one in again]) for path in ledgers],
        renamed,
    )


def lines(score: TruthScore) -> list[str]:
    """Return the score as lines of text, one per round."""
    good = int(score.kinds.loc[score.kinds["kind"] == GOOD, "entered"].sum())
    total = int(score.kinds["entered"].sum())
    text = [f"Input: {total:,} particles, {good:,} good and {total - good:,} junk"]
    return text + [_line(row) for _, row in score.rounds.iterrows()]


def _line(row: pd.Series) -> str:
    """Return one round as a line."""
    kept = f"kept {int(row['good_kept']):,} of {int(row['good_in']):,} good"
    junk = f"{int(row['junk_kept']):,} of {int(row['junk_in']):,} junk"
    rates = f"precision {row['precision']:.3f}, recall {row['recall']:.3f} (of the input {row['recall_total']:.3f})"
    return f"Round {int(row['number'])}: {kept} and {junk} particles; {rates}"


def main(arguments: list[str]) -> int:
    """Print the score of the project named on the command line; return the exit status."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(HELP)  # noqa: T201 (a command talks to its user)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    try:
        print("\n".join(lines(score_project(Path(arguments[0])))))  # noqa: T201
    except WinnowError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
