"""The warnings about a run: report/round_NN/warnings.tsv, tab separated text with a header; no other line if silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from winnow2d.formats.atomic import replaced

COLUMNS = ("kind", "sentence", "classes", "numbers")


class RunWarning(Protocol):
    """What is written of a warning."""

    @property
    def kind(self) -> str: ...
    @property
    def sentence(self) -> str: ...
    @property
    def numbers(self) -> Mapping[str, float]: ...
    @property
    def classes(self) -> np.ndarray: ...


def write_run_warnings(path: str | Path, warnings: Iterable[RunWarning]) -> None:
    """Write one row per warning; classes count from 1, numbers stand as name=value."""
    rows = [
        (
            one.kind,
            one.sentence,
            ",".join(str(number + 1) for number in one.classes),
            ",".join(f"{name}={value:.6g}" for name, value in one.numbers.items()),
        )
        for one in warnings
    ]
    lines = ["\t".join(row) for row in (COLUMNS, *rows)]
    with replaced(path) as (temporary,):
        temporary.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def read_run_warnings(path: str | Path) -> pd.DataFrame:
    """Return the warnings as text cells, one row each; none if the file is missing (a round of an older version)."""
    if not Path(path).is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    header, *lines = Path(path).read_text(encoding="utf-8").splitlines()
    return pd.DataFrame([line.split("\t") for line in lines], columns=header.split("\t"))
