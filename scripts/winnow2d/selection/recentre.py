"""Class averages moved to their centre of mass, as RELION's Select job does on request, and their particles with them.

An average stands still in the frame of its class, a particle lies in its own: turned by psi and moved by its offset.
Point r of an image is point R(psi) (r + offset) of its average, with x the column, y the row, both from the centre
pixel, and R(psi) = [[cos psi, -sin psi], [sin psi, cos psi]].
"""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.masks import positive_centre_of_mass


def moves_to_centre(averages: np.ndarray) -> np.ndarray:
    """Return the moves (k, 2), x then y in px, that bring the mass of averages (k, box, box) to N / 2.

    Only positive pixels have mass; an average that has none, or that is no picture (NaN), stays where it is.
    """
    return np.array([_move(average) for average in averages]).reshape(-1, 2)


def _move(average: np.ndarray) -> np.ndarray:
    return -positive_centre_of_mass(average) if np.isfinite(average).all() else np.zeros(2)


def recentred(averages: np.ndarray) -> np.ndarray:
    """Return averages, (k, box, box), whose positive pixels have their centre of mass at N / 2.

    Pixels that leave on one side come in on the other.
    """
    moves_px = moves_to_centre(averages)
    return np.stack([_moved(average, move) for average, move in zip(averages, moves_px, strict=True)])


def offsets_after(offset_ang: np.ndarray, psi_deg: np.ndarray, moves_ang: np.ndarray) -> np.ndarray:
    """Return the offsets (n, 2) with which particles give their average as it is after a move.

    Parameters
    ----------
    offset_ang : (n, 2) array, x then y
        With which they give the average as it was.
    psi_deg : (n,) array
    moves_ang : (n, 2) array, x then y
        How each particle's average was moved, in the frame of the class.

    Notes
    -----
    R(psi) (r + offset) + move = R(psi) (r + offset + R(-psi) move).
    """
    angle = np.deg2rad(psi_deg)
    cosine, sine, (x, y) = np.cos(angle), np.sin(angle), np.asarray(moves_ang).T
    return offset_ang + np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=1)


def _moved(image: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return an image moved by (x, y) in px, wrapped around, with bilinear interpolation."""
    whole = np.floor(shift_px).astype(int)
    fx, fy = shift_px - whole
    near = np.roll(image, (int(whole[1]), int(whole[0])), axis=(0, 1))
    row = near * (1 - fx) + np.roll(near, 1, axis=1) * fx
    return (row * (1 - fy) + np.roll(row, 1, axis=0) * fy).astype(image.dtype)
