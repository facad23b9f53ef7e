"""Numbers out of the text of a table: tolerant of the nan and inf that RELION writes for dead classes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from winnow2d.errors import StarError


def number_of(table: pd.DataFrame, label: str, default: float | None = None, *, where: str = "") -> float:
    """Return the number in the first row of a table; the default where the column is missing.

    Raises
    ------
    StarError
        If the column is missing without a default, or holds no number. nan and infinity are returned.
    """
    if label not in table.columns or len(table) == 0:
        if default is None:
            raise StarError(f"{where}: no value of {label}")
        return default
    return _float(table[label].iloc[0], label, where)


def number_or(table: pd.DataFrame, label: str, other: float) -> float:
    """Return the number in the first row of a table; the other one where it is missing, no number, nan or infinite."""
    try:
        return finite_or(number_of(table, label, other), other)
    except StarError:
        return other


def numbers_of(table: pd.DataFrame, label: str, default: float | None = None, *, where: str = "") -> np.ndarray:
    """Return a column as (rows,) float64, with 0 for nan and infinity; see `number_of`."""
    if label not in table.columns:
        if default is None:
            raise StarError(f"{where}: no column {label}")
        return np.full(len(table), float(default))
    values = np.array([_float(text, label, where) for text in table[label]], dtype=np.float64)
    return np.where(np.isfinite(values), values, 0.0)


def text_of(table: pd.DataFrame, label: str, *, where: str = "") -> str:
    """Return the text in the first row of a table.

    Raises
    ------
    StarError
        If the column is missing or empty.
    """
    if label not in table.columns or len(table) == 0 or not table[label].iloc[0]:
        raise StarError(f"{where}: no value of {label}")
    return str(table[label].iloc[0])


def check_widths(tables: Mapping[str, pd.DataFrame], widths: Mapping[str, int], *, where: str = "") -> None:
    """Raise StarError unless each of the tables that is there has the number of columns said for its name."""
    problems = [
        f"{where}: data_{name}: {tables[name].shape[1]} columns, expected {width}"
        for name, width in widths.items()
        if name in tables and tables[name].shape[1] != width
    ]
    if problems:
        raise StarError(*problems)


def finite_or(value: float, other: float) -> float:
    """Return the value, or the other one if it is nan or infinite."""
    return value if math.isfinite(value) else other


def _float(text: str, label: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StarError(f"{where}: {label} is '{text}', expected a number") from None
