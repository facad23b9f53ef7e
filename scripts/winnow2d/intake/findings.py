"""What an import found wrong: errors that stop it and warnings that do not, gathered and told together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from winnow2d.errors import StarError

logger = logging.getLogger(__name__)

N_NAMED = 5  # how many rows or files a message names before it only counts


@dataclass
class Findings:
    """The problems and warnings of one input, in the order they were found."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, sentence: str) -> None:
        """Add a problem that must stop the import."""
        self.errors.append(sentence)

    def warn(self, sentence: str) -> None:
        """Add something the user should know; the import goes on."""
        self.warnings.append(sentence)

    def settle(self) -> None:
        """Log every warning, then raise all problems at once if there is any.

        Raises
        ------
        StarError
            If there is at least one problem; its `problems` holds all of them.
        """
        for sentence in self.warnings:
            logger.warning("%s", sentence)
        if self.errors:
            raise StarError(*self.errors)


def name_some(names: Sequence[str]) -> str:
    """Return the first few names and how many follow: 'a, b, c and 9 more'."""
    shown = ", ".join(str(name) for name in names[:N_NAMED])
    rest = len(names) - N_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown


def name_rows(is_concerned: np.ndarray) -> str:
    """Return the rows where the (n,) bool array is true, counted from 1: 'row 3' or 'rows 3, 7 and 9 more'."""
    rows = np.flatnonzero(is_concerned) + 1
    return ("row " if len(rows) == 1 else "rows ") + name_some([str(row) for row in rows])


def numbers(column: pd.Series) -> np.ndarray:
    """Return the cells of a text column as float64; what is no finite number becomes NaN."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    values[~np.isfinite(values)] = np.nan
    return values
