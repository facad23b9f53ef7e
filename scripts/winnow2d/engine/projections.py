"""The references of one iteration, rotated to every angle of the search grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels.backproject import rotate_one
from winnow2d.numerics.projector import padded_spectra, spectrum_power
from winnow2d.numerics.rotation import RotationTable, rotation_table

from .parallel import ordered_map
from .sampling import SearchGrid


@dataclass(frozen=True)
class Projections:
    """Rotated references as the products of the E-step want them.

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

    coarse_re: np.ndarray
    coarse_im: np.ndarray
    coarse_half_power: np.ndarray
    fine_re: np.ndarray
    fine_im: np.ndarray
    fine_table: RotationTable
    spectra: np.ndarray
    tau2: np.ndarray


def rotated(
    spectra: np.ndarray, table: RotationTable, map_classes: Callable[..., object]
) -> tuple[np.ndarray, np.ndarray]:
    """Return real and imaginary parts (k, f, p) of all references at all angles of a table."""
    shape = (len(spectra), *table.sign.shape)
    out_re = np.empty(shape, table.fraction.dtype)
    out_im = np.empty_like(out_re)
    map_classes(
        lambda k: rotate_one(spectra[k], table.index, table.fraction, table.sign, out_re[k], out_im[k]),
        range(len(spectra)),
    )
    return out_re, out_im


def project(
    references: np.ndarray,
    grid: SearchGrid,
    plane: HalfPlane,
    sizes_px: tuple[int, int],
    dtype: np.dtype,
    n_threads: int,
) -> Projections:
    """Return the references rotated for one iteration.

    Parameters
    ----------
    references : (k, y, x) array
    sizes_px : (coarse, full)
        Window widths of the coarse pass and of the M-step.
    """
    coarse_px, size_px = sizes_px
    spectra = padded_spectra(references.astype(np.float64), size_px // 2)
    tau2 = spectrum_power(spectra, plane.box_px, size_px // 2)
    spectra = spectra.astype(np.result_type(dtype, np.complex64))
    n_coarse, n_px = plane.n_within(coarse_px / 2), plane.n_within(size_px / 2)

    def map_classes(function: Callable[[int], object], classes: range) -> None:
        for _ in ordered_map(function, classes, n_threads):
            pass

    coarse = rotated(spectra, rotation_table(plane, n_coarse, grid.coarse_psi_deg, dtype), map_classes)
    fine_table = rotation_table(plane, n_px, grid.fine_psi_deg, dtype)
    fine = rotated(spectra, fine_table, map_classes)
    coarse_re, coarse_im = (part.reshape(-1, n_coarse) for part in coarse)
    return Projections(
        coarse_re, coarse_im, (coarse_re**2 + coarse_im**2) / 2, fine[0], fine[1], fine_table, spectra, tau2
    )
