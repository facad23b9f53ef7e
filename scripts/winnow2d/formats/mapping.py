"""Rows of another extraction for particles of ours: on one scale first, then with our poses where they are wanted."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.positions import Positions, image_pixel_size, micrograph_pixel_sizes
from winnow2d.formats.star import number_column

logger = logging.getLogger(__name__)


def pixel_sizes_of_both(kept: ParticleTable, extraction: ParticleTable, angpix: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel sizes of the micrographs that coordinates are given in, (n,) and (m,) in Angstrom.

    Parameters
    ----------
    kept, extraction : ParticleTable
    angpix : float
        Said by the user for both; else what data_optics says of the micrographs. A file that says nothing is
        taken to be of the other's micrographs; where neither does, the smaller image pixel is taken, with a warning.
    """
    if angpix > 0:
        return np.full(len(kept.particles), angpix), np.full(len(extraction.particles), angpix)
    ours, theirs = micrograph_pixel_sizes(kept, "kept particles"), micrograph_pixel_sizes(extraction, "own.map_to")
    if ours is not None and theirs is not None:
        return ours, theirs
    said = ours if ours is not None else theirs
    if said is None:
        smaller = min(image_pixel_size(kept, "kept particles"), image_pixel_size(extraction, "own.map_to"))
        logger.warning(
            "Neither file says the pixel size of the micrographs; %g A, the smaller one of the images, is taken. "
            "If coordinates are in other pixels, set own.map_angpix.", smaller,
        )  # fmt: skip
        return np.full(len(kept.particles), smaller), np.full(len(extraction.particles), smaller)
    if len(np.unique(said)) > 1:
        found = ", ".join(f"{value:g}" for value in np.unique(said))
        raise StarError(
            f"one file tells of micrographs with several pixel sizes ({found} A) and the other of none. "
            "Set own.map_angpix, if all coordinates are in the same pixels, or add rlnMicrographOriginalPixelSize."
        )
    return np.full(len(kept.particles), said[0]), np.full(len(extraction.particles), said[0])


def mapped_table(
    extraction: ParticleTable,
    partner: np.ndarray,
    kept: ParticleTable | None = None,
    centre_ang: np.ndarray | None = None,
    coordinate_ang: np.ndarray | None = None,
) -> ParticleTable:
    """Return the rows of the extraction that are partners, in its order and with all its columns.

    Parameters
    ----------
    extraction : ParticleTable, m particles
    partner : (n,) int array
        Row of the extraction for each of our particles; -1 for none.
    kept : ParticleTable or None, n particles
        With it, psi and offset become ours; an offset so that it leads to the same point of the micrograph.
    centre_ang : (n, 2) float array
        Where our particles lie (pick - offset).
    coordinate_ang : (m, 2) float array
        Where the extraction was picked.
    """
    ours = np.flatnonzero(partner >= 0)
    ours = ours[np.argsort(partner[ours], kind="stable")]
    rows = partner[ours]
    particles = extraction.particles.iloc[rows].reset_index(drop=True)
    if kept is not None and centre_ang is not None and coordinate_ang is not None:
        offset = coordinate_ang[rows] - centre_ang[ours]
        psi = kept.particles[labels.ANGLE_PSI].iloc[ours].tolist() if labels.ANGLE_PSI in kept.particles else None
        columns = {} if psi is None else {labels.ANGLE_PSI: psi}
        columns |= {labels.ORIGIN_X: number_column(offset[:, 0], 6), labels.ORIGIN_Y: number_column(offset[:, 1], 6)}
        for label in (labels.ANGLE_ROT, labels.ANGLE_TILT):
            if label not in particles:
                columns[label] = ["0.000000"] * len(rows)
        particles = particles.assign(**{name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    return ParticleTable(extraction.optics, particles)


def centres_ang(positions: Positions, pixel_ang: np.ndarray) -> np.ndarray:
    """Return where particles lie, (n, 2) in Angstrom: the pick moved by the offset."""
    return picks_ang(positions, pixel_ang) - positions.offset_ang


def picks_ang(positions: Positions, pixel_ang: np.ndarray) -> np.ndarray:
    """Return where particles were picked, (n, 2) in Angstrom."""
    return positions.coordinate_px * pixel_ang[:, None]


def check_enough(
    n_matched: int, kept: Positions, extraction: Positions, names: dict[str, str], tolerance: float
) -> None:
    """Raise StarError, with advice, if more than half of our particles have no partner.

    Parameters
    ----------
    n_matched : int
    kept, extraction : Positions
    names : dict
        Our micrograph -> theirs.
    tolerance : float, Angstrom
    """
    if 2 * n_matched >= len(kept):
        return
    micrographs = dict.fromkeys(kept.micrograph_names)
    missing = [name for name in micrographs if name not in names]
    text = f"own.map_to: only {n_matched:,} of {len(kept):,} particles were found within {tolerance:g} A. "
    text += f"{len(micrographs) - len(missing):,} of {len(micrographs):,} micrographs have a partner"
    if missing:
        theirs = [name for name in dict.fromkeys(extraction.micrograph_names) if name not in names.values()]
        text += f"; without one is {missing[0]}" + (f", and theirs {theirs[0]}" if theirs else "")
    raise StarError(
        f"{text}. Is it an extraction of the same particles? If so, see that rlnCoordinateX and Y are in the pixels "
        "that data_optics (rlnMicrographOriginalPixelSize) or own.map_angpix says, that the other program has not "
        "flipped the micrographs, and try a larger own.map_tolerance."
    )
