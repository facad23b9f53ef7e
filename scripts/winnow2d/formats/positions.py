"""Where particles lie in their micrographs, from a particle table: the pick, the offset, and the pixel of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.optics_table import column_reader
from winnow2d.formats.particles import ParticleTable

_NEEDED = (labels.MICROGRAPH_NAME, *labels.COORDINATES)
_MICROGRAPH_PIXELS = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")


@dataclass(frozen=True)
class Positions:
    """The places of n particles.

    Attributes
    ----------
    micrograph_names : list of str (n)
    coordinate_px : (n, 2) float64, x then y
        Pixels of the micrograph, as picked: rlnCoordinateX and Y.
    offset_ang : (n, 2) float64, x then y
        The shift that centres the particle; zeros where the file has none. The particle itself lies at
        coordinate - offset.
    """

    micrograph_names: list[str]
    coordinate_px: np.ndarray
    offset_ang: np.ndarray

    def __len__(self) -> int:
        return len(self.micrograph_names)


def read_positions(table: ParticleTable, where: str) -> Positions:
    """Return where the particles of a table lie.

    Raises
    ------
    StarError
        Without micrograph names or coordinates, or with cells that are not numbers; `where` is named.
    """
    frame, problems = table.particles, list[str]()
    missing = [label for label in _NEEDED if label not in frame]
    if missing:
        raise StarError(
            f"{where}: data_particles has no {', '.join(missing)}; without them nobody knows where the particles lie."
        )
    column = column_reader(frame, "particles", problems)
    coordinates = np.stack([column(label, 0.0) for label in labels.COORDINATES], axis=1)
    offsets = np.stack([column(label, 0.0) for label in (labels.ORIGIN_X, labels.ORIGIN_Y)], axis=1)
    if problems:
        raise StarError(*(f"{where}: {problem}" for problem in problems))
    return Positions(list(frame[labels.MICROGRAPH_NAME]), coordinates, offsets)


def micrograph_indices(names: list[str]) -> np.ndarray:
    """Return names as numbers, (n,) int64: equal where the names are equal."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def image_pixel_size(table: ParticleTable, where: str) -> float:
    """Return the pixel size of the images of the first optics group, in Angstrom."""
    sizes = _pixel_sizes(table, labels.IMAGE_PIXEL_SIZE, where)
    if sizes is None:
        raise StarError(f"{where}: data_optics has no {labels.IMAGE_PIXEL_SIZE}")
    return float(sizes[0])


def micrograph_pixel_sizes(table: ParticleTable, where: str) -> np.ndarray | None:
    """Return the pixel size of each particle's micrograph, (n,) float64 in Angstrom; None where the file says none."""
    for label in _MICROGRAPH_PIXELS:
        sizes = _pixel_sizes(table, label, where)
        if sizes is not None:
            group = {number: row for row, number in enumerate(table.optics[labels.OPTICS_GROUP])}
            return sizes[[group[number] for number in table.particles[labels.OPTICS_GROUP]]]
    return None


def _pixel_sizes(table: ParticleTable, label: str, where: str) -> np.ndarray | None:
    """Return a column of pixel sizes of the optics table, (g,); None without it."""
    if label not in table.optics:
        return None
    problems: list[str] = []
    sizes = column_reader(table.optics, "optics", problems)(label, 0.0)
    if problems or (sizes <= 0).any():
        raise StarError(f"{where}: data_optics: {label} is {', '.join(table.optics[label])}, expected numbers above 0")
    return sizes
