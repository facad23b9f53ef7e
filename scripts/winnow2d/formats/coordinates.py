"""Where particles were picked: per-micrograph STAR files, EMAN .box, plain text, and RELION's list of such files.

Coordinates are centres in pixels of the micrograph, counted from 0; cells stay as they stand in the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats.star import format_float, read_star

X, Y, FIGURE_OF_MERIT = "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"
COORDINATE_FILES, COORDINATE_FILE = "coordinate_files", "rlnMicrographCoordinates"
_SELECTION_TYPE = "rlnParticleSelectionType"  # the mark of a click in RELION's window; Extract drops it
_JOB_FOLDER = re.compile(r"^(?:.*?/)?[A-Za-z0-9]+/job\d{3,}/(?=.)")
_NODE = "coords_suffix"  # how RELION 3.1 calls the file that stands for a folder of coordinates


def without_job_folder(name: str) -> str:
    """Return a micrograph's path without the leading Type/jobNNN/ of the job that made it."""
    return _JOB_FOLDER.sub("", name, count=1)


def micrograph_stem(name: str) -> str:
    """Return a micrograph's path without job folder and extension: what its coordinates and stacks are called after.

    Of a packed micrograph (.mrc.gz) both extensions go.
    """
    stem = without_job_folder(name)
    for packed in (".gz", ".bz2"):
        stem = stem.removesuffix(packed)
    return os.path.splitext(stem)[0]


def is_pattern(coordinates: str) -> bool:
    """Return whether coordinates are named by a pattern, not by one file."""
    return "*" in coordinates or Path(coordinates).name.startswith(_NODE)


def coordinate_file(pattern: str, micrograph: str) -> Path:
    """Return the coordinates of a micrograph by a pattern, whose * stands for its path without job and extension.

    `AutoPick/job004/*_autopick.star` and RELION 3.1's `AutoPick/job004/coords_suffix_autopick.star` mean the same.
    Where there is no such file, but one by the micrograph's bare name, that one is meant.
    """
    name = Path(pattern).name
    if "*" not in pattern and name.startswith(_NODE):
        pattern = (Path(pattern).parent / f"*{name.removeprefix(_NODE)}").as_posix()
    before, _, after = pattern.partition("*")
    stem = micrograph_stem(micrograph)
    full = Path(f"{before}{stem}{after}")
    bare = Path(f"{before}{Path(stem).name}{after}")
    return bare if bare.is_file() and not full.is_file() else full


def read_coordinate_list(path: str | os.PathLike, table: pd.DataFrame) -> dict[str, Path]:
    """Return micrograph -> file of its coordinates, from the table coordinate_files of RELION 4 and 5.

    Raises
    ------
    StarError
        A column is missing or a micrograph stands there twice.
    """
    missing = [label for label in ("rlnMicrographName", COORDINATE_FILE) if label not in table]
    if missing:
        raise StarError(*(f"{path}: table data_{COORDINATE_FILES} has no column {label}" for label in missing))
    names, first = table["rlnMicrographName"].tolist(), dict[str, int]()
    for row, name in enumerate(names, 1):
        if name in first:
            raise StarError(f"{path}: rows {first[name]} and {row} name the same micrograph, {name}; keep one of them")
        first[name] = row
    return {name: Path(file) for name, file in zip(names, table[COORDINATE_FILE], strict=True)}


def read_coordinates(path: str | os.PathLike) -> pd.DataFrame:
    """Return what was picked on one micrograph: a row per particle, of text, with at least X and Y.

    Raises
    ------
    StarError
        File missing or unreadable, columns missing, or a coordinate that is no number; the row is named.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".star":
        table = _first_table(path)
    else:
        table = _from_text(path, is_box=suffix == ".box")
    for label in (X, Y):
        values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=float)
        bad = [row for row, value in enumerate(values) if not abs(value) < 1e9]
        if bad:
            found = table[label].iloc[bad[0]]
            raise StarError(f"{path}: row {bad[0] + 1}: {label} is '{found}', expected a number of pixels")
    return table.drop(columns=_SELECTION_TYPE, errors="ignore")


def _first_table(path: Path) -> pd.DataFrame:
    """Return the first block of a STAR file; an empty one, as a picker that found nothing leaves it, has no rows."""
    nothing = pd.DataFrame({X: [], Y: []}, dtype=object)
    if path.is_file() and not path.read_bytes().strip():
        return nothing
    table = next(iter(read_star(path).values()))
    if not len(table):
        return nothing
    missing = [label for label in (X, Y) if label not in table]
    if missing:
        raise StarError(f"{path}: its first table has no column {' and '.join(missing)}; are these coordinates?")
    return table


def _from_text(path: Path, is_box: bool) -> pd.DataFrame:
    """Return the coordinates of an EMAN .box file (corner and size) or of lines with x and y."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StarError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not a text file'})") from None
    n_needed, x, y = 4 if is_box else 2, [], []
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells:
            continue
        try:
            values = [float(cell) for cell in cells[:n_needed]]
        except ValueError:
            values = []
        if len(values) < n_needed:
            if number == 1 and not is_box:
                continue  # a header
            raise StarError(
                f"{path}: line {number}: expected {'x y width height' if is_box else 'x y'}, found '{line}'"
            )
        x.append(format_float(values[0] + (values[2] / 2 if is_box else 0)))
        y.append(format_float(values[1] + (values[3] / 2 if is_box else 0)))
    return pd.DataFrame({X: x, Y: y}, dtype=object)
