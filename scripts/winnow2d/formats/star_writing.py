"""Tables as the text of STAR files: every cell exactly as it stands, no time stamp.

The layout is RELION's: labels with #numbers, right-justified cells, a line with one blank after each table.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from winnow2d.errors import StarError, problems_of
from winnow2d.formats.atomic import replaced

VERSION = 30001  # of the layout: read as RELION 3.1's by RELION 3.1 to 5
TEXT_WIDTH, _NUMBER_WIDTH = 10, 12
_LIST_GAP = 12
ROWS = 10_000  # of which there is text in memory at a time
# Cells that must be quoted: empty, with white space, or with a beginning that means something else.
_SPECIAL = re.compile(r"""(?m)^$|[^\S\n]|^["'\#_]|^(?:data_|loop_)""")


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
    numbers = plain_numbers(np.asarray(values), first_row)
    if decimals is None or not numbers or isinstance(numbers[0], int):
        return [repr(number) for number in numbers]
    return [f"{number:.{decimals}f}" for number in numbers]


def plain_numbers(array: np.ndarray, first_row: int = 1) -> list[int] | list[float]:
    """Return numbers whose text, `str`, is what stands in a file; see `number_column`."""
    if array.dtype.kind in "iub":
        return array.astype(np.int64).tolist() if array.dtype.kind == "b" else array.tolist()
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise StarError(f"row {first_row + row}: {array[row]} cannot be written in a STAR file")
    return array.tolist()


@dataclass(frozen=True)
class Cells:
    """A column's cells as they stand in the file, laid out once and written often."""

    text: list[str]

    def __len__(self) -> int:
        return len(self.text)


class Loop(dict):
    """A table of rows as columns by label: arrays of numbers, lists of text, or `Cells`; lighter than a frame.

    Neighbours laid out together are `Cells` by a tuple of their labels.
    """

    number_width = _NUMBER_WIDTH

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.values()), ()))


Block: TypeAlias = pd.DataFrame | Loop | Mapping[str, Any]
Blocks: TypeAlias = Mapping[str, Block]


def write_star(
    path: str | os.PathLike,
    blocks: Blocks,
    comments: Sequence[str] = (),
    version: int = VERSION,
    is_durable: bool = True,
) -> None:
    """Write tables to a STAR file in RELION's layout, whole or not at all; see `star_parts`, `atomic.replaced`.

    Raises
    ------
    StarError
        A value cannot be written: nan, infinity, nothing, or text over several lines.
    """
    with replaced(path, is_durable=is_durable) as (temporary,), open(temporary, "wb") as file, problems_of(path):
        file.writelines(star_parts(blocks, comments, version))


def star_parts(blocks: Blocks, comments: Sequence[str] = (), version: int = VERSION) -> Iterator[bytes]:
    """Yield tables as the content of a STAR file in RELION's layout, part by part.

    Parameters
    ----------
    blocks : mapping
        Block name to a frame or a `Loop`, or a mapping (a list of label and value). Text is written as it is,
        quoted where it must be; numbers as `number_column` has them. Tables without rows are left out. Where one
        object stands under several names it is laid out once.
    comments : sequence of str
        Lines before the first table, without the leading '# '.
    version : int
        The number in '# version'.

    Raises
    ------
    StarError
        A value cannot be written: nan, infinity, nothing, or text over several lines.
    """
    yield "".join(f"# {comment}\n" for comment in comments).encode("utf-8")
    uses = Counter(map(id, blocks.values()))
    laid_out: dict[int, list[bytes]] = {}
    for name, block in blocks.items():
        if _is_empty(block):
            continue
        yield f"\n# version {version}\n\ndata_{name}\n\n".encode()
        with problems_of(f"table data_{name}"):
            parts: Iterable[bytes] = laid_out.get(id(block)) or table_parts(block)
            if uses[id(block)] > 1:
                parts = laid_out[id(block)] = list(parts)
            yield from parts
        yield b" \n"


def _is_empty(block: Block) -> bool:
    if isinstance(block, Loop):
        return block.n_rows == 0
    return len(block) == 0 or len(block.keys()) == 0


def table_parts(block: Block) -> Iterator[bytes]:
    """Yield the lines of one table."""
    if isinstance(block, Loop):
        yield from _loop_parts(block)
    elif isinstance(block, Mapping):
        yield _list_lines(block).encode("utf-8")
    else:
        columns = enumerate(block.columns)
        yield from _loop_parts(Loop({str(label): block.iloc[:, place].to_numpy() for place, label in columns}))


def _loop_parts(loop: Loop) -> Iterator[bytes]:
    """Yield labels, then rows, some at a time: as text a table is several times as large."""
    columns = {keys: cells if isinstance(cells, Cells) else _array(cells) for keys, cells in loop.items()}
    labels = [label for keys in columns for label in (keys if isinstance(keys, tuple) else (keys,))]
    yield ("loop_ \n" + "".join(f"_{label} #{number} \n" for number, label in enumerate(labels, start=1))).encode()
    row_of = (" ".join(f"%{_width(cells, loop.number_width)}s" for cells in columns.values()) + " \n").__mod__
    for first in range(0, loop.n_rows, ROWS):
        texts = [_column_cells(label, cells, first) for label, cells in columns.items()]
        yield "".join(map(row_of, zip(*texts, strict=True))).encode("utf-8")


def _array(cells: np.ndarray | list[str]) -> np.ndarray:
    return np.array(cells, dtype=object) if isinstance(cells, list) else cells


def _width(cells: Cells | np.ndarray, number_width: int) -> int:
    if isinstance(cells, Cells):
        return 0
    return number_width if cells.dtype.kind in "iufb" else TEXT_WIDTH


def number_cells(values: np.ndarray) -> Cells:
    """Return a column of numbers as it stands in a table."""
    return Cells([cell.rjust(_NUMBER_WIDTH) for cell in number_column(values)])


def _list_lines(block: Mapping[str, Any]) -> str:
    """Return label and value lines, values in one column."""
    width = max((len(label) for label in block), default=0) + 1 + _LIST_GAP
    lines = []
    for label, value in block.items():
        if isinstance(value, str):
            (cell,) = text_cells(label, [value])
        else:
            with _numbers_of(label):
                cell = number_column([value])[0].rjust(_NUMBER_WIDTH)
        lines.append(f"_{label}".ljust(width) + f"{cell}\n")
    return "".join(lines)


def _column_cells(label: str, column: Cells | np.ndarray, first: int) -> list[Any]:
    """Return what stands for the cells of some rows of a column, from row `first` on: text, or numbers of Python."""
    if isinstance(column, Cells):
        return column.text[first : first + ROWS]
    part = column[first : first + ROWS]
    if part.dtype.kind in "iufb":
        with _numbers_of(label):
            return plain_numbers(part, first + 1)
    return text_cells(label, part.tolist())


def text_cells(label: str, values: list[Any]) -> list[str]:
    """Return text, and numbers between it, as they stand in the file, quoted where they must be."""
    with _numbers_of(label):
        cells = [value if isinstance(value, str) else number_column([value])[0] for value in values]
    joined = "\n".join(cells)
    if joined.count("\n") != len(cells) - 1 or "\r" in joined or "\0" in joined:
        raise StarError(f"{label}: a text has a line break in it")
    return [_quote(label, cell) for cell in cells] if _SPECIAL.search(joined) else cells


@contextmanager
def _numbers_of(label: str) -> Iterator[None]:
    """Have errors name the column."""
    try:
        with problems_of(label):
            yield
    except StarError:
        raise
    except (TypeError, ValueError):
        raise StarError(f"{label}: a value is neither text nor a number") from None


def _quote(label: str, cell: str) -> str:
    """Return a cell in quotes where RELION would read it otherwise."""
    if not _SPECIAL.search(cell):
        return cell
    for mark in ('"', "'"):
        if not re.search(mark + r"(?:[ \t]|$)", cell):
            return f"{mark}{cell}{mark}"
    raise StarError(f"{label}: text with both kinds of quotes before blanks cannot be written: {cell[:40]}")
