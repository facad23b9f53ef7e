"""data_particles of one iteration after another: the text of columns that stay is laid out once per job."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.star_writing import TEXT_WIDTH, Cells, Loop, text_cells
from winnow2d.records import Particles

_NOT_IN_2D = (labels.ANGLE_ROT, labels.ANGLE_TILT)  # zeros, where the table has no such column


def assigned_columns(particles: Particles, number: int) -> dict[str, np.ndarray]:
    """Return the columns a classification defines, with the results per particle from iteration 1 on."""
    columns = {
        labels.GROUP_NUMBER: particles.group_index + 1,
        labels.ANGLE_PSI: particles.psi_deg,
        labels.ORIGIN_X: particles.offset_ang[:, 0],
        labels.ORIGIN_Y: particles.offset_ang[:, 1],
        labels.CLASS_NUMBER: particles.class_index + 1,
        labels.NORM_CORRECTION: particles.norm_correction,
    }
    if number > 0:
        columns[labels.LOG_LIKELIHOOD] = particles.log_likelihood
        columns[labels.MAX_PROBABILITY] = particles.max_probability
        columns[labels.N_SIGNIFICANT] = particles.n_significant
    return columns


class AssignedRows:
    """The rows of a particle table with what a classification assigns; all other cells are kept verbatim.

    Parameters
    ----------
    table : DataFrame
        data_particles as text, in the order of the particles that are classified.
    """

    def __init__(self, table: pd.DataFrame):
        self._table = table
        self._assigned: tuple[str, ...] = ()
        self._settled: dict[str | tuple[str, ...], Cells | None] = {}

    def at(self, particles: Particles, number: int) -> Loop:
        """Return the table of an iteration, to be written.

        Raises
        ------
        StarError
            The table has another number of rows, or a text cannot be written.
        """
        if len(self._table) != len(particles):
            raise StarError(
                f"{len(self._table)} rows in data_particles, but {len(particles)} particles were classified"
            )
        columns = assigned_columns(particles, number)
        if self._assigned != tuple(columns):
            self._settled, self._assigned = self._laid_out(set(columns)), tuple(columns)
        loop = Loop()
        for keys, cells in self._settled.items():
            loop[keys] = columns[str(keys)] if cells is None else cells
        loop |= columns  # those the table has not
        loop.number_width = TEXT_WIDTH
        return loop

    def _laid_out(self, assigned: set[str]) -> dict[str | tuple[str, ...], Cells | None]:
        """Return the columns of the table in their order, neighbours that stay together; None for assigned ones."""
        settled: dict[str | tuple[str, ...], Cells | None] = {}
        table = self._table
        columns = [*table.columns, *(label for label in _NOT_IN_2D if label not in table.columns)]
        for is_assigned, run in groupby(columns, assigned.__contains__):
            if is_assigned:
                settled |= dict.fromkeys(run)
                continue
            together = tuple(run)
            texts = [self._text(label) for label in together]
            row_of = " ".join([f"%{TEXT_WIDTH}s"] * len(texts)).__mod__
            settled[together] = Cells(list(map(row_of, zip(*texts, strict=True))))
        return settled

    def _text(self, label: str) -> list[str]:
        if label not in self._table.columns:
            return ["0.000000"] * len(self._table)
        return text_cells(label, self._table[label].tolist())
