"""Which projections stand where in each box: poses, and the copies that junk of real protein is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

VIEW_SPREAD = 0.1  # s.d. of a preferred view's direction, rad
PROTEIN, OTHER_SPECIES, FIRST_BROKEN = 0, 1, 2  # numbers of the densities
N_BROKEN = 3


@dataclass
class Copies:
    """Projections to be added up: each belongs to a particle (row), shows a density, is turned and shifted."""

    row: list[int] = field(default_factory=list)
    density: list[int] = field(default_factory=list)
    euler_deg: list[np.ndarray] = field(default_factory=list)
    shift_px: list[np.ndarray] = field(default_factory=list)

    def add(self, row: int, density: int, euler_deg: np.ndarray, shift_px: np.ndarray) -> None:
        """Add one projection."""
        self.row.append(row)
        self.density.append(density)
        self.euler_deg.append(euler_deg)
        self.shift_px.append(shift_px)


class Views:
    """Where particles are seen from: from everywhere alike, or mostly from some directions.

    Parameters
    ----------
    n_preferred : int
        0 for a uniform distribution; otherwise the number of preferred views, of unequal weight.
    rare_share : float
        Part of the particles that is seen from the last of them; 0 leaves it a weight like the others'.
    """

    def __init__(self, n_preferred: int, rng: np.random.Generator, rare_share: float = 0.0):
        self._directions = rng.normal(size=(n_preferred, 3))
        self._directions /= np.linalg.norm(self._directions, axis=1, keepdims=True)
        weights = rng.uniform(0.3, 1.0, n_preferred)
        if rare_share and n_preferred > 1:
            weights[-1] = weights[:-1].sum() * rare_share / (1 - rare_share)
        self._weights = weights / weights.sum() if n_preferred else weights

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return rot, tilt, psi (3,) in degrees; psi is always uniform."""
        direction = rng.normal(size=3)
        if len(self._weights):
            view = self._directions[rng.choice(len(self._weights), p=self._weights)]
            direction = view + VIEW_SPREAD * direction
        direction = direction / np.linalg.norm(direction)
        rot, tilt = np.arctan2(direction[1], direction[0]), np.arccos(np.clip(direction[2], -1, 1))
        return np.array([np.rad2deg(rot), np.rad2deg(tilt), rng.uniform(-180, 180)])


class SceneDirector:
    """Draws the contents of boxes.

    Parameters
    ----------
    views : Views
    diameter_px, box_px : float, int
    shift_px : float
        Standard deviation, per axis, of the picker's centring error.
    """

    def __init__(self, views: Views, diameter_px: float, box_px: int, shift_px: float):
        self._views = views
        self._diameter_px = diameter_px
        self._shift_px = shift_px
        self._farthest_px = box_px - diameter_px / 2  # beyond, a copy would come round the patch into the box

    def draw(self, row: int, kind: str, copies: Copies, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Add the copies of one box; return the pose (rot, tilt, psi) and shift (x, y; px) of the first, or zeros."""
        if kind in ("good", "broken", "other_species"):
            density = {"good": PROTEIN, "other_species": OTHER_SPECIES}.get(kind, FIRST_BROKEN)
            density += int(rng.integers(N_BROKEN)) if kind == "broken" else 0
            return self._one(row, density, rng.normal(0, self._shift_px, 2), copies, rng)
        if kind == "off_centre":
            away = rng.uniform(0.42, 0.75) * self._diameter_px * _heading(rng)
            pose = self._one(row, PROTEIN, away, copies, rng)
            if rng.random() < 0.35:  # picked between two
                other = -away + rng.normal(0, 0.08, 2) * self._diameter_px
                self._one(row, PROTEIN, other, copies, rng)
            return pose
        if kind == "aggregate":
            return self._aggregate(row, copies, rng)
        return np.zeros(3), np.zeros(2)

    def _one(
        self, row: int, density: int, shift_px: np.ndarray, copies: Copies, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        euler_deg = self._views.draw(rng)
        shift_px = shift_px * min(1.0, self._farthest_px / max(float(np.linalg.norm(shift_px)), 1e-9))
        copies.add(row, density, euler_deg, shift_px)
        return euler_deg, shift_px

    def _aggregate(self, row: int, copies: Copies, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Add three to six particles and fragments that stick together and overlap."""
        places = [rng.normal(0, 0.15, 2) * self._diameter_px]
        pose = self._one(row, PROTEIN, places[0], copies, rng)
        for _ in range(rng.integers(2, 6)):
            neighbour = places[rng.integers(len(places))]
            places.append(neighbour + rng.uniform(0.35, 0.75) * self._diameter_px * _heading(rng))
            density = PROTEIN if rng.random() < 0.6 else FIRST_BROKEN + int(rng.integers(N_BROKEN))
            self._one(row, density, places[-1], copies, rng)
        return pose


def _heading(rng: np.random.Generator) -> np.ndarray:
    """Return a random direction (2,) in the plane."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
