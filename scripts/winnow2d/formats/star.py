"""Tables in and out of STAR files: every cell exactly as it stands, no time stamp, written aside then renamed.

The starfile library reads; `star_scan` looks at the text before it. Writing is ours: `star_writing`.
"""

from __future__ import annotations

import linecache
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import starfile

from winnow2d.errors import StarError
from winnow2d.formats.star_scan import MAX_PROBLEMS, ScannedTable, StarScanner, unprotect
from winnow2d.formats.star_writing import format_float, number_column, write_star

__all__ = ["format_float", "number_column", "read_star", "write_star"]


def read_star(path: str | os.PathLike, wanted: Callable[[str], bool] | None = None) -> dict[str, pd.DataFrame]:
    """Return every table of a STAR file as text, cell by cell as it stands in the file (quotes removed).

    Parameters
    ----------
    path : path
        Windows line ends and a byte order mark are accepted.
    wanted : function or None
        Says by its name whether a block is to be returned; None returns all. All are checked.

    Returns
    -------
    tables : dict
        Name of the block (without data_) to a frame of str; a list block is a frame of one row, a block
        without rows a frame without rows.

    Raises
    ------
    StarError
        File missing, empty, not text, or a table broken: wrong number of values in a row, a blank line
        between rows, a label or a table twice. Line numbers are given, all problems together.
    """
    path = Path(path)
    scan = StarScanner(_read_text(path))
    problems = [f"{path}: {problem}" for problem in scan.problems[:MAX_PROBLEMS]]
    if len(scan.problems) > MAX_PROBLEMS:
        problems.append(f"{path}: {len(scan.problems) - MAX_PROBLEMS} more problems of this kind")
    if not scan.tables and not problems:
        problems.append(f"{path}: no table (data_...) in it; the file is empty or cut off")
    if problems:
        raise StarError(*problems)
    tables = [table for table in scan.tables if wanted is None or wanted(table.name)]
    filled = _read_with_starfile([table for table in tables if table.n_rows])
    return {table.name: filled.get(table.name, pd.DataFrame(columns=table.labels, dtype=object)) for table in tables}


def _read_text(path: Path) -> str:
    """Return the text of a file with line ends of one kind."""
    if not path.is_file():
        raise StarError(f"{path}: no such file")
    content = path.read_bytes()
    if b"\0" in content:
        raise StarError(f"{path}: not a text file; a STAR file was expected")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StarError(f"{path}: not UTF-8 text at byte {error.start}; a STAR file was expected") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_with_starfile(tables: list[ScannedTable]) -> dict[str, pd.DataFrame]:
    """Return tables, all with rows, as starfile reads them from a clean copy of the scanned lines.

    Tables and labels get plain names there, so that no name can be taken for anything else.
    """
    parts = []
    for number, table in enumerate(tables):
        names = [f"_c{i}" for i in range(len(table.labels))]
        pairs = [f"{name} {line}" for name, line in zip(names, table.lines, strict=False)]
        parts += [f"data_{number}", *(["loop_", *names, *table.lines] if table.is_loop else pairs)]
    n_labels = max((len(table.labels) for table in tables), default=0)
    with tempfile.TemporaryDirectory(prefix="winnow-star-") as folder:
        copy = Path(folder, "tables.star")
        copy.write_text("\n".join(parts) + "\n", encoding="utf-8")
        linecache.clearcache()  # starfile reads through this cache, which knows files by name
        blocks = starfile.read(copy, always_dict=True, parse_as_string=[f"c{i}" for i in range(n_labels)])
    frames = {}
    for number, table in enumerate(tables):
        block = blocks[str(number)]
        columns = {}
        for i, label in enumerate(table.labels):
            cells = block[f"c{i}"].tolist() if table.is_loop else [block[f"c{i}"]]
            columns[label] = [unprotect(cell) for cell in cells] if table.is_protected else cells
        frames[table.name] = pd.DataFrame(columns, dtype=object)
    return frames
