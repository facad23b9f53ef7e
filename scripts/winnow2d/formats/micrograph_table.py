"""micrographs.star: the optics table and one row per micrograph, checked for what Extract needs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.optics_table import CTF_OF_OPTICS
from winnow2d.formats.star import format_float, read_star

MICROGRAPH_PIXEL_SIZE = "rlnMicrographPixelSize"
CTF_OF_MICROGRAPHS = (labels.DEFOCUS_U, labels.DEFOCUS_V, labels.DEFOCUS_ANGLE)
# What a particle takes over from its micrograph, in Extract's order, and its value where the file has none.
PASSED_ON: dict[str, str | None] = {
    "rlnCtfMaxResolution": None,
    "rlnCtfFigureOfMerit": None,
    labels.DEFOCUS_U: None,
    labels.DEFOCUS_V: None,
    labels.DEFOCUS_ANGLE: None,
    labels.CTF_BFACTOR: "0.000000",
    labels.CTF_SCALEFACTOR: "1.000000",
    labels.PHASE_SHIFT: "0.000000",
}
_LIMITS_ANG = (0.05, 100.0)  # of pixel sizes


@dataclass(frozen=True)
class MicrographTable:
    """A micrographs STAR file as text: `optics` has a row per optics group, `micrographs` one per micrograph.

    `pixel_size_ang` and `optics_row` have an element per micrograph.
    """

    source: str
    optics: pd.DataFrame
    micrographs: pd.DataFrame
    pixel_size_ang: np.ndarray
    optics_row: np.ndarray

    def ctf_cells(self, row: int) -> dict[str, str]:
        """Return label -> cell of what the particles of a micrograph take over from it."""
        if not set(CTF_OF_MICROGRAPHS) <= set(self.micrographs.columns):
            return {}
        table = self.micrographs
        cells = {label: table[label].iloc[row] if label in table else cell for label, cell in PASSED_ON.items()}
        return {label: cell for label, cell in cells.items() if cell is not None}


def read_micrograph_table(path: str | os.PathLike, needs_ctf: bool) -> MicrographTable:
    """Return the micrographs of a STAR file of RELION 3.1 or later.

    Parameters
    ----------
    path : path
    needs_ctf : bool
        Whether particles must have a CTF: defoci here, and the microscope in the optics table.

    Raises
    ------
    StarError
        Tables, columns or numbers are missing or wrong, optics groups not defined, micrographs twice;
        all problems together, each with its row.
    """
    tables = read_star(path)
    missing = [name for name in ("optics", "micrographs") if name not in tables or not len(tables[name])]
    if missing:
        found = ", ".join(f"data_{name}" for name in tables)
        raise StarError(
            f"{path}: no table data_{' and data_'.join(missing)} with rows (found {found}); expected the "
            "micrographs_ctf.star of RELION 3.1 or later"
        )
    optics, micrographs = tables["optics"], tables["micrographs"]
    if MICROGRAPH_PIXEL_SIZE not in optics and labels.IMAGE_PIXEL_SIZE in optics:  # as RELION takes it
        optics = optics.rename(columns={labels.IMAGE_PIXEL_SIZE: MICROGRAPH_PIXEL_SIZE})
    problems = _missing_columns(optics, micrographs, needs_ctf)
    if problems:
        raise StarError(*(f"{path}: {problem}" for problem in problems))
    problems = _wrong_numbers(optics, micrographs, needs_ctf) + _doubles(micrographs)
    row_of = {number: row for row, number in enumerate(optics[labels.OPTICS_GROUP])}
    unknown = [row for row, number in enumerate(micrographs[labels.OPTICS_GROUP]) if number not in row_of]
    if unknown:
        problems.append(
            f"table data_micrographs row {unknown[0] + 1}: optics group "
            f"'{micrographs[labels.OPTICS_GROUP].iloc[unknown[0]]}' is not in data_optics (it has "
            f"{', '.join(row_of)}); {len(unknown)} such rows"
        )
    if problems:
        raise StarError(*(f"{path}: {problem}" for problem in problems))
    optics_row = np.array([row_of[number] for number in micrographs[labels.OPTICS_GROUP]])
    sizes = optics[MICROGRAPH_PIXEL_SIZE].astype(float).to_numpy()
    return MicrographTable(os.fspath(path), optics, micrographs, sizes[optics_row], optics_row)


def _missing_columns(optics: pd.DataFrame, micrographs: pd.DataFrame, needs_ctf: bool) -> list[str]:
    needed_optics = [labels.OPTICS_GROUP, labels.VOLTAGE, labels.SPHERICAL_ABERRATION, MICROGRAPH_PIXEL_SIZE]
    needed_rows = [labels.MICROGRAPH_NAME, labels.OPTICS_GROUP, *(CTF_OF_MICROGRAPHS if needs_ctf else ())]
    needed_optics += [labels.AMPLITUDE_CONTRAST] if needs_ctf else []
    problems = []
    for name, table, needed in (("optics", optics, needed_optics), ("micrographs", micrographs, needed_rows)):
        missing = [label for label in needed if label not in table]
        if missing:
            why = ""
            if set(missing) & set(CTF_OF_MICROGRAPHS):
                why = "; estimate the CTF of the micrographs first, or say class2d: {do_ctf_correction: No}"
            problems.append(f"table data_{name} has no column {', '.join(missing)}{why}")
    return problems


def _wrong_numbers(optics: pd.DataFrame, micrographs: pd.DataFrame, needs_ctf: bool) -> list[str]:
    """Return one sentence per column with cells that cannot be, naming the first such row."""
    any_number = (-np.inf, np.inf)
    checks = [("optics", optics, label, any_number, "a number") for label in CTF_OF_OPTICS if label in optics]
    low, high = _LIMITS_ANG
    checks.append(
        ("optics", optics, MICROGRAPH_PIXEL_SIZE, _LIMITS_ANG, f"a pixel size between {low:g} and {high:g} A")
    )
    if needs_ctf:
        checks += [("micrographs", micrographs, label, any_number, "a number") for label in CTF_OF_MICROGRAPHS]
    problems = []
    for name, table, label, (lowest, highest), expected in checks:
        values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= lowest) & (values <= highest)))
        if len(bad):
            more = f"; {len(bad)} such rows" if len(bad) > 1 else ""
            found = table[label].iloc[bad[0]]
            problems.append(f"table data_{name} row {bad[0] + 1}: {label} is '{found}', expected {expected}{more}")
    return problems


def _doubles(micrographs: pd.DataFrame) -> list[str]:
    is_double = micrographs[labels.MICROGRAPH_NAME].duplicated().to_numpy()
    if not is_double.any():
        return []
    row = int(np.argmax(is_double))
    name = micrographs[labels.MICROGRAPH_NAME].iloc[row]
    first = micrographs[labels.MICROGRAPH_NAME].tolist().index(name)
    return [f"table data_micrographs rows {first + 1} and {row + 1} are the same micrograph, {name}; keep one of them"]


def extracted_optics(table: MicrographTable, box_px: int, output_px: int) -> pd.DataFrame:
    """Return data_optics of particles cut with `box_px` and rescaled to `output_px`."""
    sizes = table.optics[MICROGRAPH_PIXEL_SIZE].astype(float)
    written_anew = (labels.IMAGE_PIXEL_SIZE, labels.IMAGE_SIZE, labels.IMAGE_DIMENSIONALITY)
    optics = table.optics.drop(columns=[MICROGRAPH_PIXEL_SIZE, *written_anew], errors="ignore")
    if labels.OPTICS_GROUP_NAME not in optics:
        optics.insert(0, labels.OPTICS_GROUP_NAME, [f"opticsGroup{number}" for number in optics[labels.OPTICS_GROUP]])
    columns = {
        labels.IMAGE_PIXEL_SIZE: [format_float(size * (box_px / output_px)) for size in sizes],
        labels.IMAGE_SIZE: str(output_px),
        labels.IMAGE_DIMENSIONALITY: "2",
        labels.IS_CTF_PREMULTIPLIED: optics.get(labels.IS_CTF_PREMULTIPLIED, "0"),
    }
    optics = optics.drop(columns=[labels.IS_CTF_PREMULTIPLIED], errors="ignore")
    return optics.assign(**columns).astype(object)
