"""The references of one iteration, rotated to every angle of the search grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import complex_dtype, to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.projector import padded_spectra, spectrum_power
from winnow2d.numerics.rotation import GridView, RotationTable, rotation_table

from .parallel import for_each
from .sampling import SearchGrid
from .stages import REFERENCES, stage

Array = Any


@dataclass(frozen=True)
class Projections:
    """Rotated references as the products of the E-step want them; all but `tau2` on the device.

    Attributes
    ----------
    coarse_re, coarse_im, coarse_half_power : (k * h, p_coarse) real arrays
    fine_re, fine_im : (k, 2 h, p) real arrays
    fine_table : RotationTable
        Where the fine rows lie on the padded grid; the M-step turns its sums back with it.
    spectra : (k, m) complex array
        Padded half spectra of the references.
    tau2 : (k, s) float64 array
        Power of the references per component: the prior of the M-step.
    """

    coarse_re: Array
    coarse_im: Array
    coarse_half_power: Array
    fine_re: Array
    fine_im: Array
    fine_table: RotationTable
    spectra: Array
    tau2: np.ndarray


def rotated(spectra: Array, table: RotationTable, map_classes: Callable[..., object]) -> tuple[Array, Array]:
    """Return real and imaginary parts (k, f, p) of all references at all angles of a table."""
    return kernels_of(spectra).rotate(spectra, table, map_classes)


@dataclass(frozen=True)
class ReferenceSpectra:
    """The references of an iteration on the padded grid, (k, m) complex on the device, and their power (k, s)."""

    spectra: Array
    tau2: np.ndarray


@stage(REFERENCES)
def reference_spectra(references: np.ndarray, size_px: int, dtype: np.dtype, xp: ModuleType = np) -> ReferenceSpectra:
    """Return the padded spectra of references (k, y, x) up to a window of `size_px`, made by module `xp`."""
    spectra = padded_spectra(xp.asarray(references, dtype=np.float64), size_px // 2)
    tau2 = to_host(spectrum_power(spectra, references.shape[-1], size_px // 2))
    return ReferenceSpectra(spectra.astype(complex_dtype(dtype)), tau2)


@stage(REFERENCES)
def project(
    references: np.ndarray | ReferenceSpectra,
    grid: SearchGrid,
    plane: HalfPlane,
    sizes_px: tuple[int, int],
    dtype: np.dtype,
    n_threads: int,
    xp: ModuleType = np,
    view: GridView | None = None,
) -> Projections:
    """Return the references rotated for one iteration.

    Parameters
    ----------
    references : (k, y, x) array, or their spectra
    plane : HalfPlane
        Of the images.
    sizes_px : (coarse, full)
        Window widths of the coarse pass and of the M-step.
    xp : module
        numpy or cupy: where the projections are made, and stay.
    view : GridView, optional
        How the images see the references, where box, pixel size or magnification differ.
    """
    coarse_px, size_px = sizes_px
    if not isinstance(references, ReferenceSpectra):
        references = reference_spectra(references, size_px, dtype, xp)
    spectra, tau2 = references.spectra, references.tau2
    n_coarse, n_px = plane.n_within(coarse_px / 2), plane.n_within(size_px / 2)

    map_classes = for_each(n_threads)
    coarse_view = None if view is None else replace(view, own_radius=coarse_px // 2)
    coarse_table = rotation_table(plane, n_coarse, grid.coarse_psi_deg, dtype, xp, coarse_view)
    coarse = rotated(spectra, coarse_table, map_classes)
    fine_table = rotation_table(plane, n_px, grid.fine_psi_deg, dtype, xp, view)
    fine = rotated(spectra, fine_table, map_classes)
    if view is not None:
        fine_table = rotation_table(plane, n_px, grid.fine_psi_deg, dtype, xp, view, is_back=True)
    coarse_re, coarse_im = (part.reshape(-1, n_coarse) for part in coarse)
    return Projections(
        coarse_re, coarse_im, (coarse_re**2 + coarse_im**2) / 2, fine[0], fine[1], fine_table, spectra, tau2
    )
