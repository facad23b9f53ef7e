"""What differs from micrograph to micrograph: transfer function, ice, contrast, how many particles and where."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from winnow2d.demo_options import DemoOptions
from winnow2d.records import MicrographCtfs

DEFOCUS_RANGE_ANG = (8000.0, 25000.0)
MICROGRAPH_SIZE_ANG = (5100.0, 3620.0)  # x, y; the field of a K3 camera at 0.885 A/px
CONTRAST_RANGE = (0.85, 1.15)
ICE_SPREAD = 0.25  # s.d. of the logarithm of the thickness

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Imaging:
    """How the m micrographs were taken: thick ice weakens particles and adds noise of its own."""

    ice_thickness: np.ndarray  # (m,), 1 is the typical one
    signal_scale: np.ndarray  # (m,), factor on everything that is not noise


def draw_ctfs(options: DemoOptions, rng: np.random.Generator) -> MicrographCtfs:
    """Return transfer functions of `options.micrographs` micrographs, defoci uniform over 0.8 to 2.5 um."""
    n = options.micrographs
    mean_ang = rng.uniform(*DEFOCUS_RANGE_ANG, n)
    astigmatism_ang = np.abs(rng.normal(0, 250, n))
    return MicrographCtfs(
        names=[f"Micrographs/mic_{number:04d}.mrc" for number in range(1, n + 1)],
        defocus_u_ang=np.round(mean_ang + astigmatism_ang / 2, 3),
        defocus_v_ang=np.round(mean_ang - astigmatism_ang / 2, 3),
        defocus_angle_deg=np.round(rng.uniform(0, 180, n), 3),
        phase_shift_deg=np.zeros(n),
        max_resolution_ang=np.round(rng.uniform(3.2, 6.0, n), 3),
        figure_of_merit=np.round(rng.uniform(0.08, 0.25, n), 5),
        n_particles=np.exp(rng.normal(0, 0.25, n)),
        voltage_kv=options.voltage,
        spherical_aberration_mm=options.spherical_aberration,
        amplitude_contrast=options.amplitude_contrast,
    )


def choose_micrographs(ctfs: MicrographCtfs, n_wanted: int, rng: np.random.Generator) -> MicrographCtfs:
    """Return `n_wanted` of the micrographs, drawn without repetition, in their order; all if there are fewer."""
    n_present = len(ctfs.names)
    if n_wanted >= n_present:
        if n_wanted > n_present:
            _log.warning("%d micrographs wanted, %d in the micrographs STAR file: all are used", n_wanted, n_present)
        return ctfs
    chosen = np.sort(rng.choice(n_present, n_wanted, replace=False))
    taken = {name: value[chosen] if isinstance(value, np.ndarray) else value for name, value in vars(ctfs).items()}
    return MicrographCtfs(**taken | {"names": [ctfs.names[row] for row in chosen]})


def draw_imaging(n_micrographs: int, rng: np.random.Generator) -> Imaging:
    """Return ice thickness and intensity scale of every micrograph."""
    thickness = np.exp(rng.normal(0, ICE_SPREAD, n_micrographs))
    contrast = rng.uniform(*CONTRAST_RANGE, n_micrographs)
    return Imaging(thickness, contrast * np.exp(-0.35 * (thickness - 1)))


def share_particles(n_particles: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how many of the particles lie on each micrograph, in proportion to `weights` (m,)."""
    return rng.multinomial(n_particles, weights / weights.sum())


def draw_coordinates(n: int, box_px: int, pixel_size_ang: float, rng: np.random.Generator) -> np.ndarray:
    """Return whole-pixel coordinates (n, 2), x then y, apart from each other as far as the field allows."""
    field = np.maximum(np.array(MICROGRAPH_SIZE_ANG) / pixel_size_ang, 2 * box_px) - box_px
    n_columns = int(np.ceil(np.sqrt(max(n, 1) * field[0] / field[1])))
    n_rows = -(-max(n, 1) // n_columns)
    cells = rng.permutation(n_columns * n_rows)[:n]
    corner = np.stack([cells % n_columns, cells // n_columns], axis=1)
    within = 0.5 + rng.uniform(-0.3, 0.3, (n, 2))
    return np.floor(box_px / 2 + (corner + within) * field / [n_columns, n_rows])
