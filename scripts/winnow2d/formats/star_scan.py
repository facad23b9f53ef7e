"""A first look at a STAR file: where its tables are, what is wrong with them, and what a reader could damage.

RELION truncates a table at a blank line and reads a wrong table for an empty one, both silently; here
every such trap becomes a sentence with a line number. Cells that the starfile library would change are
put in a code of ours (`ScannedTable.add`), and taken out of it after reading (`unprotect`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_PROBLEMS = 5  # sentences per file; the rest is counted

_MARK = "\x02"  # begins a cell in code; does not occur in a sensible file
_TOKEN = re.compile(r"""[ \t]*(?:"(.*?)"(?=[ \t]|$)|'(.*?)'(?=[ \t]|$)|(\#.*)|([^ \t]+))""")
_LABEL = re.compile(r"""_[^\s"'\#\\]+""")
# What starfile, shlex or pandas read otherwise than RELION: quotes, comments, escapes, other white space,
# missing-value words, and a row that looks like the head of a table.
_RISKY = re.compile(
    r"""["'\#\\\x02]|[^\S \t]|[\x00-\x08\x0e-\x1f]|(?:^|[ \t])(?:nan|NaN|<NA>)(?:[ \t]|$)|^[ \t]*(?:data_|loop_|_)"""
)
_SUSPICIOUS = ("'", '"', "#", "\\", "nan", "NaN", "<NA>", "data_", "loop_")


def _is_risky(line: str) -> bool:
    """Whether a row must be read by our own rules; most rows are cleared without the costly pattern."""
    if line.isascii() and line.isprintable() and not line.lstrip().startswith("_"):
        if not any(text in line for text in _SUSPICIOUS):
            return False
    return _RISKY.search(line) is not None


@dataclass
class ScannedTable:
    """One block of a STAR file; `lines` are what the reader is given for it."""

    name: str
    line_number: int
    is_loop: bool = False
    labels: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # rows, or the values of a list
    is_protected: bool = False  # some cells are in code

    @property
    def n_rows(self) -> int:
        return len(self.lines) if self.is_loop else min(1, len(self.lines))

    def add(self, cells: list[str]) -> None:
        """Add a row in code."""
        self.lines.append(" ".join(_MARK + cell.encode("utf-8").hex() for cell in cells))
        self.is_protected = True


def split_fields(line: str) -> list[str]:
    """Return the cells of a row: quotes removed, a trailing comment left out."""
    cells = []
    for double, single, comment, plain in _TOKEN.findall(line):
        if comment:
            break
        cells.append(plain or double or single)
    return cells


def unprotect(cell: str) -> str:
    """Return the text of a cell, in code or not."""
    return bytes.fromhex(cell[1:]).decode("utf-8") if cell.startswith(_MARK) else cell


class StarScanner:
    """Walks over the lines of one file once; afterwards `tables` and `problems` are complete."""

    def __init__(self, text: str):
        self.tables: list[ScannedTable] = []
        self.problems: list[str] = []
        self._names: set[str] = set()
        self._number = 0
        self._state = self._outside
        for number, line in enumerate(text.split("\n"), start=1):
            self._number = number
            self._state = self._state(line)
        self._finish_table()

    def _problem(self, sentence: str) -> None:
        self.problems.append(f"line {self._number}: {sentence}")

    def _finish_table(self) -> None:
        if self.tables and len(set(self.tables[-1].labels)) < len(self.tables[-1].labels):
            labels = self.tables[-1].labels
            double = sorted({label for label in labels if labels.count(label) > 1})
            where = f"table data_{self.tables[-1].name} (line {self.tables[-1].line_number})"
            self.problems.append(f"{where}: label {', '.join(double)} stands there twice")

    def _begin_table(self, line: str):
        self._finish_table()
        name = line.strip()[len("data_") :]
        if name in self._names:
            self._problem(f"a second table data_{name}; each name may stand once")
        self._names.add(name)
        self.tables.append(ScannedTable(name, self._number))
        return self._head

    def _outside(self, line: str):
        """Before the first table."""
        bare = line.strip()
        if not bare or bare.startswith("#"):
            return self._outside
        if bare.startswith("data_"):
            return self._begin_table(line)
        self._problem(f"expected a table (data_...), found '{bare[:40]}'; this is not a STAR file")
        return self._ignore

    def _ignore(self, line: str):
        """After a mistake: go on at the next table."""
        return self._begin_table(line) if line.strip().startswith("data_") else self._ignore

    def _head(self, line: str):
        """After data_NAME."""
        bare = line.strip()
        if not bare or bare.startswith("#"):
            return self._head
        if bare.startswith("loop_"):
            self.tables[-1].is_loop = True
            return self._labels
        if bare.startswith("_"):
            return self._list(line)
        if bare.startswith("data_"):
            return self._begin_table(line)
        self._problem(f"expected loop_ or a label, found '{bare[:40]}'")
        return self._ignore

    def _add_label(self, label: str) -> None:
        if not _LABEL.fullmatch(label):
            self._problem(f"'{label}' is not a label; is a blank missing before its number?")
        self.tables[-1].labels.append(label[1:])

    def _list(self, line: str):
        """Inside a table of label and value pairs."""
        table, bare = self.tables[-1], line.strip()
        if not bare or bare.startswith("#"):
            return self._list
        if bare.startswith("data_"):
            return self._begin_table(line)
        cells = split_fields(bare)
        if not bare.startswith("_") or len(cells) != 2:
            self._problem(f"table data_{table.name}: expected one label and one value, found '{bare[:60]}'")
            return self._list
        self._add_label(cells[0])
        table.add(cells[1:])
        return self._list

    def _labels(self, line: str):
        """Inside the labels of a loop."""
        bare = line.strip()
        if bare.startswith("_"):
            self._add_label(bare.split()[0])
            return self._labels
        if not bare or bare.startswith("#"):
            return self._labels
        if bare.startswith("data_") and len(bare.split()) == 1:
            return self._begin_table(line)
        if not self.tables[-1].labels:
            self._problem(f"table data_{self.tables[-1].name}: rows without labels")
            return self._ignore
        return self._rows(line)

    def _rows(self, line: str):
        """Inside the rows of a loop."""
        table = self.tables[-1]
        if not _is_risky(line):
            cells = line.split()
            if cells:
                table.lines.append(line)
        else:
            bare = line.strip()
            if bare.startswith("data_") and len(bare.split()) == 1:
                return self._begin_table(line)
            cells = split_fields(line)
            if cells:
                table.add(cells)
        if not cells:
            return self._after
        if len(cells) != len(table.labels):
            self._problem(f"table data_{table.name}: {len(cells)} values for {len(table.labels)} labels")
        return self._rows

    def _after(self, line: str):
        """After a loop: only comments, blank lines or the next table."""
        bare = line.strip()
        if not bare or bare.startswith("#"):
            return self._after
        if bare.startswith("data_"):
            return self._begin_table(line)
        self._problem(f"a row of table data_{self.tables[-1].name} after a blank or comment line; remove that line")
        return self._ignore
