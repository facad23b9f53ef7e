"""Tables in and out of STAR files: every cell exactly as it stands, no time stamp, written aside then renamed.

The starfile library reads; `star_scan` looks at the text before it. Writing is ours, in RELION's layout
(labels with #numbers, right-justified cells, a line with one blank after each table).
"""

from __future__ import annotations

import linecache
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile

from winnow2d.errors import StarError
from winnow2d.formats.atomic import replaced
from winnow2d.formats.star_scan import MAX_PROBLEMS, ScannedTable, StarScanner, unprotect

VERSION = 30001  # of the layout: read as RELION 3.1's by RELION 3.1 to 5
_TEXT_WIDTH, _NUMBER_WIDTH = 10, 12
_LIST_GAP = 12
_ROWS = 10_000  # of which there is text in memory at a time
# Cells that must be quoted: empty, with white space, or with a beginning that means something else.
_SPECIAL = re.compile(r"""(?m)^$|[^\S\n]|^["'\#_]|^(?:data_|loop_)""")


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


def format_float(value: float) -> str:
    """Return the shortest decimal text that reads back as the same float64.

    Raises
    ------
    StarError
        For nan and infinity, which RELION reads as 0 without a word.
    """
    value = float(value)
    if not math.isfinite(value):
        raise StarError(f"{value} cannot be written in a STAR file")
    return repr(value)


def number_column(values: Any, decimals: int | None = None, first_row: int = 1) -> list[str]:
    """Return numbers as text: integers and booleans as integers, floats shortest or with fixed decimals.

    Parameters
    ----------
    values : (n,) bool, integer or float array
    decimals : int or None
        Digits after the point; None for the shortest text that reads back as the same float64.
    first_row : int
        The number messages have for the first value.

    Raises
    ------
    StarError
        If a value is nan or infinite; the first such row is named.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return [str(int(value)) for value in array.tolist()]
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise StarError(f"row {first_row + row}: {array[row]} cannot be written in a STAR file")
    if decimals is None:
        return [repr(value) for value in array.tolist()]
    return [f"{value:.{decimals}f}" for value in array.tolist()]


def write_star(
    path: str | os.PathLike,
    blocks: Mapping[str, pd.DataFrame | Mapping[str, Any]],
    comments: Sequence[str] = (),
    version: int = VERSION,
    is_durable: bool = True,
) -> None:
    """Write tables to a STAR file in RELION's layout, whole or not at all.

    Parameters
    ----------
    path : path
    blocks : mapping
        Block name to a frame (a loop) or a mapping (a list of label and value). Text is written as it is,
        quoted where it must be; numbers as `number_column` has them. Tables without rows are left out.
    comments : sequence of str
        Lines before the first table, without the leading '# '.
    version : int
        The number in '# version'.
    is_durable : bool
        False where someone else waits until the file is on disk.

    Raises
    ------
    StarError
        A value cannot be written: nan, infinity, nothing, or text over several lines.
    """
    with replaced(path, is_durable=is_durable) as (temporary,), open(temporary, "wb") as file:
        file.write("".join(f"# {comment}\n" for comment in comments).encode("utf-8"))
        for name, block in blocks.items():
            if len(block) == 0 or len(block.keys()) == 0:
                continue
            file.write(f"\n# version {version}\n\ndata_{name}\n\n".encode())
            try:
                for part in [_list_lines(block)] if isinstance(block, Mapping) else _loop_parts(block):
                    file.write(part.encode("utf-8"))
            except StarError as error:
                raise StarError(*(f"{path}: table data_{name}: {problem}" for problem in error.problems)) from None
            file.write(b" \n")


def _list_lines(block: Mapping[str, Any]) -> str:
    """Return label and value lines, values in one column."""
    width = max((len(label) for label in block), default=0) + 1 + _LIST_GAP
    lines = []
    for label, value in block.items():
        (cell,) = _column_text(label, pd.Series([value]))
        cell = cell if isinstance(value, str) else cell.rjust(_NUMBER_WIDTH)
        lines.append(f"_{label}".ljust(width) + f"{cell}\n")
    return "".join(lines)


def _loop_parts(table: pd.DataFrame) -> Iterator[str]:
    """Yield labels, then rows of a loop, some at a time: as text a table is several times as large."""
    head = "".join(f"_{label} #{number} \n" for number, label in enumerate(table.columns, start=1))
    yield "loop_ \n" + head
    for first in range(0, len(table), _ROWS):
        columns, widths = [], []
        for position, label in enumerate(table.columns):
            column = table.iloc[first : first + _ROWS, position]
            widths.append(_NUMBER_WIDTH if column.dtype.kind in "iufb" else _TEXT_WIDTH)
            columns.append(_column_text(str(label), column, first + 1))
        row_of = (" ".join(f"%{width}s" for width in widths) + " \n").__mod__
        yield "".join(map(row_of, zip(*columns, strict=True)))


def _column_text(label: str, column: pd.Series, first_row: int = 1) -> list[str]:
    """Return the cells of a column as they stand in the file."""
    try:
        if column.dtype.kind in "iufb":
            return number_column(column.to_numpy(), first_row=first_row)
        cells = [value if isinstance(value, str) else number_column([value])[0] for value in column.tolist()]
    except StarError as error:
        raise StarError(*(f"{label}: {problem}" for problem in error.problems)) from None
    except (TypeError, ValueError):
        raise StarError(f"{label}: a value is neither text nor a number") from None
    joined = "\n".join(cells)
    if joined.count("\n") != len(cells) - 1 or "\r" in joined or "\0" in joined:
        raise StarError(f"{label}: a text has a line break in it")
    return [_quote(label, cell) for cell in cells] if _SPECIAL.search(joined) else cells


def _quote(label: str, cell: str) -> str:
    """Return a cell in quotes where RELION would read it otherwise."""
    if not _SPECIAL.search(cell):
        return cell
    for mark in ('"', "'"):
        if not re.search(mark + r"(?:[ \t]|$)", cell):
            return f"{mark}{cell}{mark}"
    raise StarError(f"{label}: text with both kinds of quotes before blanks cannot be written: {cell[:40]}")
