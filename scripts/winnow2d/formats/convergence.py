"""convergence.tsv in the directory of a classification: how far each iteration moved, one row an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from winnow2d.errors import WinnowError
from winnow2d.formats.atomic import replaced

CONVERGENCE_FILE = "convergence.tsv"
COLUMNS = ("iteration", "over", "changed_class", "psi_deg", "offset_ang", "averages", "resolution_ang")
_OVER = {True: "mini-batch", False: "all"}
Row = tuple[int, bool, float, float, float, float, float]


def write_convergence(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows: iteration, whether it is a mini-batch, and what `COLUMNS` name."""
    lines = ["\t".join(COLUMNS)]
    for number, is_gradient, *values in rows:
        lines.append("\t".join([str(number), _OVER[is_gradient], *(f"{value:.6g}" for value in values)]))
    with replaced(path, is_durable=False) as (temporary,):
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_convergence(path: Path, up_to: int | None = None) -> list[Row]:
    """Return the rows up to an iteration; none if there is no such file, as in jobs of RELION.

    Raises
    ------
    WinnowError
        A line is none of ours.
    """
    if not path.is_file():
        return []
    rows: list[Row] = []
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        try:
            number, over, classes, psi, offset, averages, resolution = line.split("\t")
            rows.append((
                int(number), over == _OVER[True], float(classes), float(psi), float(offset), float(averages),
                float(resolution),
            ))  # fmt: skip
        except ValueError:
            raise WinnowError(f"{path}: line {at} is no row of {', '.join(COLUMNS)}; remove the file") from None
    return rows if up_to is None else [row for row in rows if row[0] <= up_to]
