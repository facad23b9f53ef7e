"""The search grid: in-plane angles and shifts, coarse and fine, and its random perturbation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from winnow2d.options import Class2DOptions
from winnow2d.records import Sampling


@dataclass(frozen=True)
class SearchGrid:
    """Angles and shifts of one iteration.

    Where the number of angles is even only half of them is listed (`two_fold`): psi + 180 degrees is the
    conjugate reference. Fine row 2 h + a is child a of coarse row h; fine shift 4 t + j child j of shift t.

    Attributes
    ----------
    coarse_psi_deg : (h,) array; fine_psi_deg : (2 h,) array, both perturbed
    unperturbed_fine_psi_deg : (2 h,) array
    coarse_shifts_px : (t, 2) array, unperturbed (the prior looks at these), x then y
    searched_shifts_px : (t, 2) array, perturbed; fine_shifts_px : (4 t, 2) array, perturbed
    """

    two_fold: bool
    psi_step_deg: float
    perturbation_deg: float
    coarse_psi_deg: np.ndarray
    unperturbed_fine_psi_deg: np.ndarray
    coarse_shifts_px: np.ndarray
    searched_shifts_px: np.ndarray
    fine_shifts_px: np.ndarray

    @property
    def fine_psi_deg(self) -> np.ndarray:
        return self.unperturbed_fine_psi_deg + self.perturbation_deg

    def psi_deg(self, row: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Return the angles of fine poses; like RELION, wrapped to (-180, 180] before the perturbation."""
        plain = self.unperturbed_fine_psi_deg[row] + 180.0 * turn
        return np.where(plain > 180, plain - 360, plain) + self.perturbation_deg


def first_sampling(options: Class2DOptions, pixel_size_ang: float) -> Sampling:
    """Return the coarse sampling the options ask for: twice the oversampled steps, shifts in Angstrom."""
    psi_step = 360 / math.ceil(360 / (2 * options.psi_sampling) - 1e-9)
    step = 2 * options.offset_step * pixel_size_ang
    return Sampling(
        psi_step_deg=psi_step,
        offset_range_ang=options.offset_range * pixel_size_ang,
        offset_step_ang=step,
        original_psi_step_deg=psi_step,
        original_offset_step_ang=step,
    )


def perturbed(sampling: Sampling, rng: np.random.Generator) -> Sampling:
    """Return the sampling moved on by a random fraction of a quarter to a half of a step, kept within half a step."""
    factor = sampling.perturbation_factor
    moved = sampling.perturbation + rng.uniform(0.5 * factor, factor)
    return replace(sampling, perturbation=moved - 2 * factor if moved > factor else moved)


def coarser(sampling: Sampling, accuracy_rotation_deg: float, accuracy_offset_ang: float) -> Sampling:
    """Return the sampling widened to what the accuracies justify (RELION's --allow_coarser_sampling).

    Unlike RELION a missing estimate (999) widens nothing: no class was good enough to tell.
    """
    if accuracy_rotation_deg > 360:
        return sampling
    psi_step = max(sampling.original_psi_step_deg, 0.8 * accuracy_rotation_deg * 2)
    limit = min(0.8 * accuracy_offset_ang * 2, 0.95 * sampling.offset_range_ang)
    return replace(
        sampling,
        psi_step_deg=360 / math.ceil(360 / psi_step - 1e-9),
        offset_step_ang=max(sampling.original_offset_step_ang, limit),
    )


def search_grid(sampling: Sampling, pixel_size_ang: float) -> SearchGrid:
    """Return the angles and shifts of a sampling; shifts lie on a square grid within the search radius."""
    n_psi = math.ceil(360 / sampling.psi_step_deg - 1e-9)
    step_deg = 360 / n_psi
    two_fold = n_psi % 2 == 0
    rows = np.arange(n_psi // 2 if two_fold else n_psi)
    children = (rows[:, None] * step_deg + np.array([-0.25, 0.25]) * step_deg).ravel()
    step, reach = sampling.offset_step_ang, sampling.offset_range_ang
    m = math.ceil(reach / step - 1e-9)
    x, y = np.meshgrid(np.arange(-m, m + 1) * step, np.arange(-m, m + 1) * step, indexing="ij")
    inside = x**2 + y**2 < reach**2 + 0.001
    coarse = np.stack([x[inside], y[inside]], axis=-1) / pixel_size_ang
    step_px = step / pixel_size_ang
    quarter = step_px / 4
    offsets = np.array([[-quarter, -quarter], [-quarter, quarter], [quarter, -quarter], [quarter, quarter]])
    moved = sampling.perturbation * step_px
    return SearchGrid(
        two_fold=two_fold,
        psi_step_deg=step_deg,
        perturbation_deg=sampling.perturbation * step_deg,
        coarse_psi_deg=rows * step_deg + sampling.perturbation * step_deg,
        unperturbed_fine_psi_deg=children,
        coarse_shifts_px=coarse,
        searched_shifts_px=coarse + moved,
        fine_shifts_px=(coarse[:, None, :] + offsets[None]).reshape(-1, 2) + moved,
    )
