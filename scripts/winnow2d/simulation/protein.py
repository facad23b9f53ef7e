"""Made-up proteins: domains packed in an ellipsoid so that symmetry mates touch but do not clash."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from winnow2d.errors import ConfigError
from winnow2d.simulation.folds import domain, turned

CLASH, CONTACT = 0.84, 1.15  # allowed centre distances of two domains, in sums of their radii
FILLED_SHARE = 0.5  # of the envelope, by the spheres of the domains
N_CANDIDATES = 600

Shape = Literal["compact", "elongated", "flat", "hollow"]
_HOLLOW_INSIDE = 0.55  # of the envelope of a hollow protein is left free, along every axis


def symmetry_operators(symmetry: str) -> np.ndarray:
    """Return the rotations (o, 3, 3) of the point group Cn or Dn, n-fold axis along z, two-fold along x.

    Raises
    ------
    ConfigError
        If the symmetry is not Cn or Dn with n from 1 to 24.
    """
    match = re.fullmatch(r"([CcDd])(\d+)", symmetry.strip())
    if not match or not 1 <= int(match[2]) <= 24:
        raise ConfigError(f"input: demo: symmetry: found '{symmetry}', expected C1 to C24 or D1 to D24")
    angles = 2 * np.pi * np.arange(int(match[2])) / int(match[2])
    zero, one = np.zeros_like(angles), np.ones_like(angles)
    rows = [[np.cos(angles), -np.sin(angles), zero], [np.sin(angles), np.cos(angles), zero], [zero, zero, one]]
    cyclic = np.moveaxis(np.array(rows), 2, 0)
    return np.concatenate([cyclic, cyclic * [1.0, -1.0, -1.0]]) if match[1] in "Dd" else cyclic


def build_protein(symmetry: str, diameter_ang: float, rng: np.random.Generator, shape: Shape = "compact") -> np.ndarray:
    """Return the beads of a made-up protein.

    Domains of helices and sheets are packed, near the centre first, into an ellipsoid until it is
    filled and reached from end to end; then everything is scaled by a few percent to the diameter.

    Parameters
    ----------
    symmetry : str
        Point group, Cn or Dn.
    diameter_ang : float
        Twice the distance of the farthest bead from the centre (the origin).
    rng : numpy Generator
    shape : of the envelope; the axis of a cyclic group is the long one of an elongated protein, the short one of
        a flat one

    Returns
    -------
    (a, 3) float64 array
        x, y, z in Angstrom; about two beads per residue, all of one weight.
    """
    operators = symmetry_operators(symmetry)
    semi_axes = _envelope(operators, diameter_ang, rng, shape)
    inside = _HOLLOW_INSIDE if shape == "hollow" else 0.0
    centres, radii = _pack_domains(operators, semi_axes, rng, inside)
    asymmetric_unit = np.concatenate(
        [domain(radius, rng) + centre for centre, radius in zip(centres, radii, strict=True)]
    )
    beads = np.concatenate([turned(asymmetric_unit, operator) for operator in operators])
    beads = beads - beads.mean(axis=0)
    return beads * (diameter_ang / 2 / np.linalg.norm(beads, axis=1).max())


def _envelope(operators: np.ndarray, diameter_ang: float, rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return the semi-axes (3,) of an ellipsoid that the point group maps onto itself."""
    axes = np.array([1.0, rng.uniform(0.6, 0.8), rng.uniform(0.42, 0.58)])
    order_about_z = int(np.sum(operators[:, 2, 2] > 0.5))
    if order_about_z > 2:  # x and y are alike
        axes = np.array([1.0, 1.0, rng.uniform(0.55, 0.95)])
    if shape == "elongated":
        width = rng.uniform(0.25, 0.4)
        axes = np.array([width, width * rng.uniform(0.7, 1.0) if order_about_z < 3 else width, 1.0])
    elif shape == "flat":
        axes[2] = rng.uniform(0.25, 0.4)
    elif shape == "hollow":
        axes = np.maximum(axes, 0.8)
    return diameter_ang / 2 * axes


def _pack_domains(
    operators: np.ndarray, semi_axes: np.ndarray, rng: np.random.Generator, inside: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres (d, 3) and radii (d,) of the domains of one asymmetric unit."""
    typical = float(np.clip(0.26 * semi_axes.max(), 8.0, 20.0))
    filled = FILLED_SHARE * (1 - inside**3)
    n_wanted = max(round(filled * np.prod(semi_axes) / typical**3 / len(operators)), 1)
    centres, radii = np.zeros((0, 3)), np.zeros(0)
    reach, n_failures = 0.0, 0  # failures in a row
    while n_failures < 25 and (len(radii) < n_wanted or reach < 0.95 * semi_axes.max()):
        radius = typical * rng.uniform(0.8, 1.15)
        centre = _place(radius, centres, radii, operators, semi_axes, inside, rng)
        if centre is None:
            n_failures += 1
            continue
        n_failures = 0
        centres, radii = np.vstack([centres, centre]), np.append(radii, radius)
        reach = float((np.linalg.norm(centres, axis=1) + radii).max())
    if not len(radii):  # too small for several domains: one that overlaps its mates
        return np.array([[0.4 * typical, 0.2 * typical, 0.3 * typical]]), np.array([typical])
    return centres, radii


def _place(
    radius: float,
    centres: np.ndarray,
    radii: np.ndarray,
    operators: np.ndarray,
    semi_axes: np.ndarray,
    inside: float,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Return a centre (3,) near the middle that touches the domains present and clashes with none, or None."""
    directions = rng.normal(size=(N_CANDIDATES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    room = np.maximum(semi_axes - radius, 0.1 * semi_axes)
    candidates = directions * room * rng.uniform(inside**3, 1, (N_CANDIDATES, 1)) ** (1 / 3)
    mates = np.einsum("oij,cj->oci", operators[1:], candidates)
    to_mates = np.linalg.norm(mates - candidates, axis=2) / (2 * radius)
    present = np.concatenate([turned(centres, operator) for operator in operators])
    gaps = np.linalg.norm(candidates[:, None] - present, axis=2) / (radius + np.tile(radii, len(operators)))
    nearest = np.concatenate([gaps.T, to_mates, np.full((1, N_CANDIDATES), np.inf)]).min(axis=0)
    is_free = nearest >= CLASH
    touches = is_free & (nearest <= CONTACT) if len(radii) else is_free
    if not touches.any():
        return None
    depth = np.linalg.norm(candidates / semi_axes, axis=1) + rng.uniform(0, 0.25, N_CANDIDATES)
    return candidates[np.argmin(np.where(touches, depth, np.inf))]
