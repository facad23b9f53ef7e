"""Protein domains as clouds of beads: helices and strands at their real spacings, packed in a sphere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HELIX_RISE_ANG, HELIX_TURN_DEG = 1.5, 100.0
BACKBONE_RADIUS_ANG, SIDE_CHAIN_RADIUS_ANG = 2.3, 3.8
HELIX_SPACING_ANG, STRAND_SPACING_ANG, STRAND_RISE_ANG, SHEET_SPACING_ANG = 9.8, 4.8, 3.3, 10.0
STRAND_TWIST_DEG = -20.0


def helix(length_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return the beads (a, 3) of an alpha helix along z, centred: one for the backbone, one per side chain."""
    n_residues = max(int(length_ang / HELIX_RISE_ANG), 4)
    z = (np.arange(n_residues) - (n_residues - 1) / 2) * HELIX_RISE_ANG
    turn = np.deg2rad(HELIX_TURN_DEG) * np.arange(n_residues) + rng.uniform(0, 2 * np.pi)
    spoke = np.stack([np.cos(turn), np.sin(turn), np.zeros(n_residues)], axis=1)
    axis = np.stack([np.zeros(n_residues), np.zeros(n_residues), z], axis=1)
    reach = SIDE_CHAIN_RADIUS_ANG + rng.normal(0, 0.9, (n_residues, 1))
    return np.concatenate([axis + BACKBONE_RADIUS_ANG * spoke, axis + reach * spoke])


def strand(length_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return the beads (a, 3) of an extended strand along z, side chains to +y and -y in turn."""
    n_residues = max(int(length_ang / STRAND_RISE_ANG), 3)
    z = (np.arange(n_residues) - (n_residues - 1) / 2) * STRAND_RISE_ANG
    side = np.where(np.arange(n_residues) % 2, 1.0, -1.0)
    zeros = np.zeros(n_residues)
    backbone = np.stack([zeros, 0.8 * side, z], axis=1)
    chains = np.stack([zeros, (3.2 + rng.normal(0, 0.4, n_residues)) * side, z], axis=1)
    return np.concatenate([backbone, chains])


def sheet(n_strands: int, length_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return the beads of a twisted sheet in the plane y = 0: strands along z, side by side along x."""
    strands = []
    for number in range(n_strands):
        place = number - (n_strands - 1) / 2
        beads = turned(strand(length_ang, rng), _about_x(np.deg2rad(STRAND_TWIST_DEG) * place))
        strands.append(_moved(beads, place * STRAND_SPACING_ANG, 0.0))
    return np.concatenate(strands)


def helix_bundle(radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return helices side by side on a hexagonal lattice, each a little askew."""
    lattice = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
    beads = []
    for i, j in lattice:
        x, y = HELIX_SPACING_ANG * (i + j / 2 + 0.25), HELIX_SPACING_ANG * j * np.sqrt(3) / 2
        if np.hypot(x, y) <= radius_ang - 3.5:
            beads.append(_askew_helix(x, y, radius_ang, rng))
    return np.concatenate(beads) if beads else helix(2 * radius_ang, rng)


def layered_sheet(radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return a sheet between two layers of helices (as in a Rossmann fold)."""
    beads = [sheet(max(int(1.6 * radius_ang / STRAND_SPACING_ANG), 3), 1.4 * radius_ang, rng)]
    for y in (-SHEET_SPACING_ANG, SHEET_SPACING_ANG):
        for place in range(-2, 3):
            x = HELIX_SPACING_ANG * (place + 0.5 * (y > 0) - 0.25)
            if np.hypot(x, y) <= radius_ang - 3.5:
                beads.append(_askew_helix(x, y, radius_ang, rng))
    return np.concatenate(beads)


def sandwich(radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return two sheets face to face (as in an immunoglobulin), crossed by 30 degrees."""
    n_strands = max(int(1.5 * radius_ang / STRAND_SPACING_ANG), 3)
    upper, lower = (sheet(n_strands, 1.6 * radius_ang, rng) for _ in range(2))
    upper = turned(upper, _about_y(np.pi / 6))
    return np.concatenate([_moved(upper, 0.0, SHEET_SPACING_ANG / 2), _moved(lower, 0.0, -SHEET_SPACING_ANG / 2)])


def barrel(radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return a ring of eight slanted strands inside a ring of eight helices (as in a TIM barrel)."""
    beads = []
    for number in range(8):
        around = _about_z(2 * np.pi * number / 8)
        slanted = turned(strand(min(1.3 * radius_ang, 18), rng), _about_y(np.deg2rad(36)))
        beads.append(turned(_moved(turned(slanted, _about_z(np.pi / 2)), 7.0, 0.0), around))
        if radius_ang > 15:
            outer = turned(helix(1.1 * radius_ang, rng), _about_x(np.deg2rad(-30)))
            beads.append(turned(_moved(outer, 16.0, 0.0), around))
    return np.concatenate(beads)


FOLDS: tuple[Callable[[float, np.random.Generator], np.ndarray], ...] = (helix_bundle, layered_sheet, sandwich, barrel)


def domain(radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return the beads (a, 3) x y z in Angstrom of a domain of a random fold, turned at random, centred on 0."""
    beads = FOLDS[rng.integers(len(FOLDS))](radius_ang, rng)
    beads = beads[np.linalg.norm(beads, axis=1) <= radius_ang]
    return turned(beads, random_rotation(rng))


def turned(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points (a, 3) turned by a matrix (3, 3); a plain sum, the same to the bit with any number of threads."""
    return np.einsum("ij,aj->ai", matrix, points)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation matrix (3, 3), uniform over all rotations (from a random unit quaternion)."""
    w, x, y, z = (quaternion := rng.normal(size=4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _askew_helix(x: float, y: float, radius_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return a helix through (x, y, 0) as long as the sphere allows, tilted by some 10 degrees."""
    length = 2 * np.sqrt(max(radius_ang**2 - x * x - y * y, 36.0))
    tilted = turned(helix(length * rng.uniform(0.75, 1.0), rng), _about_x(np.deg2rad(rng.normal(0, 9))))
    return _moved(turned(tilted, _about_y(np.deg2rad(rng.normal(0, 9)))), x, y)


def _moved(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return points (a, 3) moved by (x, y, 0)."""
    return points + np.array([x, y, 0.0])


def _about_x(angle_rad: float) -> np.ndarray:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _about_y(angle_rad: float) -> np.ndarray:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _about_z(angle_rad: float) -> np.ndarray:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
