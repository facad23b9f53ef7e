"""Refined offsets on a re-extraction: taken to zero, or turned into whole pixels of the coordinates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.extraction.settings import Recentring
from winnow2d.formats import labels
from winnow2d.formats.coordinates import X, Y
from winnow2d.formats.star import number_column

_DECIMALS = 6


def recentred(
    particles: pd.DataFrame, recentring: Recentring, micrograph_pixel_ang: float, particle_pixel_ang: np.ndarray
) -> pd.DataFrame:
    """Return particles with coordinates and offsets as the re-extraction wants them.

    Parameters
    ----------
    particles : DataFrame of str
        Coordinates in micrograph pixels; offsets in A, missing ones are 0.
    recentring : Recentring
    micrograph_pixel_ang : float
    particle_pixel_ang : (n,) array
        Pixel sizes the reference point is given in.

    Notes
    -----
    The point of the reference, projected by the particle's Euler angles, is taken from the offset; of the rest,
    whole pixels (halves away from zero) go to the coordinate and the remainder stays as offset. Source:
    `preprocessing.cpp` of RELION, getCoordinateMetaDataTable; tests/relion/test_reextract_31.py.
    """
    particles = particles.copy()
    if not recentring.do_reset and not recentring.do_recenter:
        return particles
    if recentring.do_reset:
        for label in (labels.ORIGIN_X, labels.ORIGIN_Y):
            particles[label] = number_column(np.zeros(len(particles)), _DECIMALS)
        return particles
    offset_ang = np.stack([_numbers(particles, label) for label in (labels.ORIGIN_X, labels.ORIGIN_Y)], axis=1)
    if any(recentring.reference_point_px):
        point_ang = np.array(recentring.reference_point_px) * particle_pixel_ang[:, None]
        angles = [_numbers(particles, label) for label in (labels.ANGLE_ROT, labels.ANGLE_TILT, labels.ANGLE_PSI)]
        offset_ang = offset_ang - np.einsum("nij,nj->ni", projecting_rows(*angles), point_ang)
    offset_px = offset_ang / micrograph_pixel_ang
    whole_px = np.trunc(offset_px + np.copysign(0.5, offset_px))
    rest_ang = offset_ang - whole_px * micrograph_pixel_ang
    for axis, (coordinate, origin) in enumerate(((X, labels.ORIGIN_X), (Y, labels.ORIGIN_Y))):
        particles[coordinate] = number_column(_numbers(particles, coordinate) - whole_px[:, axis], _DECIMALS)
        particles[origin] = number_column(rest_ang[:, axis] + 0.0, _DECIMALS)
    return particles


def projecting_rows(rot_deg: np.ndarray, tilt_deg: np.ndarray, psi_deg: np.ndarray) -> np.ndarray:
    """Return the first two rows (n, 2, 3) of RELION's Euler matrices: what takes a point of a map to its projection."""
    (ca, cb, cg), (sa, sb, sg) = (
        [function(np.deg2rad(angle)) for angle in (rot_deg, tilt_deg, psi_deg)] for function in (np.cos, np.sin)
    )
    first = np.stack([cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb], axis=-1)
    second = np.stack([-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb], axis=-1)
    return np.stack([first, second], axis=1)


def _numbers(particles: pd.DataFrame, label: str) -> np.ndarray:
    """Return a column (n,), zeros where the table has none."""
    if label not in particles:
        return np.zeros(len(particles))
    values = pd.to_numeric(particles[label], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise StarError(f"{label} is '{particles[label].iloc[bad[0]]}', expected a number")
    return values
