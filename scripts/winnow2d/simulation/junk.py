"""Things pickers deliver that are not particles, drawn on a patch.

Every function returns two (y, x) float32 images, white on black: what the microscope images through
its transfer function (phase contrast), and what dims the beam directly (thickness contrast). `unit` is
the contrast of the particle itself, `box_px` the width of the box in the middle of the patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SHARES: dict[str, float] = {
    "empty_ice": 0.30,
    "off_centre": 0.14,
    "aggregate": 0.14,
    "broken": 0.12,
    "other_species": 0.10,
    "blob": 0.08,
    "carbon_edge": 0.07,
    "ice_crystal": 0.05,
}
"""The kinds of junk and what share of all junk each has."""


@dataclass(frozen=True)
class Patch:
    """Where junk is drawn: a square wider than the box, so that fringes may come in from outside."""

    patch_px: int
    box_px: int
    unit: float

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (1, patch) and y (patch, 1) in px from the centre."""
        axis = np.arange(self.patch_px, dtype=np.float64) - self.patch_px // 2
        return axis[None, :], axis[:, None]


def draw_kinds(n: int, junk_share: float, rng: np.random.Generator, shares: Mapping[str, float] = SHARES) -> np.ndarray:
    """Return the kind of each of n particles (n,) of str; every kind has its share to within one particle."""
    n_junk = round(n * junk_share)
    exact = n_junk * np.array(list(shares.values())) / sum(shares.values())
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n_junk - counts.sum()]] += 1
    kinds = np.repeat(["good", *shares], [n - n_junk, *counts])
    return rng.permutation(kinds)


def blob(patch: Patch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return one to three drops of contamination, thick and dense, with uneven outlines."""
    x, y = patch.axes()
    thickness = np.zeros((patch.patch_px, patch.patch_px))
    first = rng.uniform(-0.2, 0.2, 2) * patch.box_px
    for number in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
        centre = first + (rng.uniform(-0.3, 0.3, 2) * patch.box_px if number else 0)
        radius = rng.uniform(0.08, 0.28) * patch.box_px
        angle = np.arctan2(y - centre[1], x - centre[0])
        outline = 1 + sum(rng.normal(0, 0.22 / m) * np.cos(m * angle + rng.uniform(0, 2 * np.pi)) for m in (2, 3, 5))
        relative = np.hypot(x - centre[0], y - centre[1]) / (radius * np.clip(outline, 0.4, 2))
        thickness = np.maximum(thickness, radius * np.sqrt(np.clip(1 - relative**2, 0, 1)))
    thickness = ndimage.gaussian_filter(thickness, 0.8) / (0.15 * patch.box_px)
    strength = np.exp(rng.uniform(np.log(0.5), np.log(4.0))) * patch.unit
    return _single(2.0 * strength * thickness), _single(strength * thickness)


def ice_crystal(patch: Patch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a crystal of ice: flat facets, straight sides, and lattice fringes in one or more grains."""
    x, y = patch.axes()
    centre = rng.uniform(-0.3, 0.3, 2) * patch.box_px
    radius = rng.uniform(0.25, 0.6) * patch.box_px
    sides = np.sort(rng.uniform(0, 2 * np.pi) + np.arange(6) * np.pi / 3 + rng.normal(0, 0.2, 6))
    depth = np.full((patch.patch_px, patch.patch_px), np.inf)
    for angle in sides:
        along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        depth = np.minimum(depth, radius * rng.uniform(0.6, 1.1) - along)
    body = 1 / (1 + np.exp(-np.clip(depth / 0.9, -40, 40))) * (0.55 + 0.45 * np.clip(depth / (0.4 * radius), 0, 1))
    fringes = np.zeros_like(body)
    split, tilt = rng.uniform(0, np.pi), rng.uniform(0, np.pi)
    grain = (x - centre[0]) * np.cos(split) + (y - centre[1]) * np.sin(split) > rng.uniform(-0.8, 0.8) * radius
    for part in (grain, ~grain):
        period, phase = rng.uniform(2.6, 6.0), rng.uniform(0, 2 * np.pi)
        bend = rng.normal(0, 0.15) / patch.box_px
        across = x * np.cos(tilt) + y * np.sin(tilt)
        along = -x * np.sin(tilt) + y * np.cos(tilt)
        fringes += part * np.cos(2 * np.pi * (across + bend * along**2) / period + phase)
        tilt += rng.uniform(0.4, 1.4)
    strength = rng.uniform(1.0, 2.5) * patch.unit
    patchy = ndimage.gaussian_filter(rng.normal(size=body.shape), 0.08 * patch.box_px)  # as the crystal is bent
    patchy = np.clip(0.6 + 0.5 * patchy / patchy.std(), 0.1, 1.2)
    stripes = rng.uniform(0.8, 2.0) * patch.unit * fringes * patchy * np.clip(body, 0, 1)
    return _single(1.5 * strength * body), _single(strength * body + stripes)


def carbon_edge(patch: Patch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rim of a hole: grainy carbon on one side of a slightly bent edge, ice on the other."""
    x, y = patch.axes()
    direction, hole_radius = rng.uniform(0, 2 * np.pi), rng.uniform(4, 15) * patch.box_px
    nearest = rng.uniform(-0.25, 0.3) * patch.box_px  # where the rim passes the centre
    centre = (nearest - hole_radius) * np.array([np.cos(direction), np.sin(direction)])
    beyond = np.hypot(x - centre[0], y - centre[1]) - hole_radius
    rough = ndimage.gaussian_filter(rng.normal(size=beyond.shape), 4.0) * 12.0
    carbon = 1 / (1 + np.exp(-np.clip((beyond + rough) / 0.9, -40, 40)))
    thick_rim = 1 + 0.5 * np.exp(-((beyond / (0.08 * patch.box_px)) ** 2))
    grain = rng.normal(0, 1.3, beyond.shape) * patch.unit
    strength = rng.uniform(1.2, 3.0) * patch.unit
    return _single(carbon * (3.0 * strength * thick_rim + grain)), _single(strength * carbon * thick_rim)


def clump(patch: Patch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a cloud of unfolded protein without form, as it sticks to aggregates."""
    x, y = patch.axes()
    centre = rng.normal(0, 0.15, 2) * patch.box_px
    width = rng.uniform(0.18, 0.35) * patch.box_px
    cloud = ndimage.gaussian_filter(rng.normal(size=(patch.patch_px, patch.patch_px)), 0.035 * patch.box_px + 0.6)
    cloud = np.clip(cloud / cloud.std() + 0.4, 0, None)
    cloud = cloud * np.exp(-0.5 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / width**2)
    return _single(rng.uniform(0.5, 1.0) * patch.unit * cloud), _single(0.1 * patch.unit * cloud)


DRAWN = {"blob": blob, "ice_crystal": ice_crystal, "carbon_edge": carbon_edge, "aggregate": clump}
"""What is drawn on the patch for a kind; the other kinds consist of projections or of nothing."""


def _single(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32)
