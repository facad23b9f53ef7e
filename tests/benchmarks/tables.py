"""Tables of figures: for reading, for other programs, and their means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
NOTHING = "-"


@dataclass(frozen=True)
class Column:
    """A column: the key of its values, its heading, and how a number is shown."""

    key: str
    heading: str
    shown: str = ""

    def text(self, row: Row) -> str:
        """Return the cell of a row; a dash where there is no value."""
        value = row.get(self.key)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return NOTHING
        return format(value, self.shown) if self.shown and isinstance(value, (int, float)) else str(value)


def as_text(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return a table with aligned columns, words to the left and numbers to the right; empty columns are left out."""
    shown = [column for column in columns if any(column.text(row) != NOTHING for row in rows)]
    lines = []
    cells = [[column.heading for column in shown], *([column.text(row) for column in shown] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(shown))]
    for line in cells:
        aligned = [
            cell.rjust(width) if column.shown else cell.ljust(width)
            for column, cell, width in zip(shown, line, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def write_tsv(path: Path, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Write all columns of a table under their keys, numbers in full, missing ones empty."""
    lines = ["\t".join(column.key for column in columns)]
    for row in rows:
        values = [row.get(column.key) for column in columns]
        lines.append("\t".join("" if value is None else str(value) for value in values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def mean_row(rows: Sequence[Row], **named: Any) -> dict[str, Any]:
    """Return the mean of every number the rows have (NaN is no number), with some cells given."""
    means: dict[str, Any] = {}
    for key in {key for row in rows for key in row}:
        values = [row.get(key) for row in rows]
        numbers = [value for value in values if isinstance(value, (int, float)) and not math.isnan(value)]
        if numbers:
            means[key] = sum(numbers) / len(numbers)
    return {**means, **named}


def ratio(one: float | None, other: float | None) -> float | None:
    """Return how many times the other the first is; None if either is missing or nothing."""
    return one / other if one and other else None
