"""What the microscope did to the images of each optics group: transfer functions and odd aberrations."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from winnow2d.numerics.aberrations import magnified, odd_phase
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.shells import shell_sums
from winnow2d.records import OpticsGroup, Particles

from .geometry import Geometry
from .images import transfer_functions

Array = Any
_CTF_CACHE_BYTES = 2**30


class Transfer:
    """Transfer functions of particles, kept in memory if all of them fit, and phases of odd aberrations.

    Parameters
    ----------
    optics, geometries, geometry_of_optics : see `geometries_of`
    particles : Particles
        Whose defocus and optics groups never change.
    do_ctf_correction, intact_first_peak : bool
    dtype : dtype of the transfer functions
    xp : module
        Where they are computed, and stay.
    """

    def __init__(
        self,
        optics: Sequence[OpticsGroup],
        geometries: Sequence[Geometry],
        geometry_of_optics: np.ndarray,
        particles: Particles,
        do_ctf_correction: bool,
        intact_first_peak: bool,
        dtype: np.dtype,
        xp: ModuleType = np,
    ):
        self._optics, self._geometries, self._geometry_of_optics = optics, geometries, geometry_of_optics
        self._intact, self._dtype, self._xp = intact_first_peak, dtype, xp
        self._does_correct = np.array([do_ctf_correction and not group.is_ctf_corrected for group in optics])
        self._is_premultiplied = self._does_correct & [group.is_ctf_premultiplied for group in optics]
        planes = [geometries[at].plane for at in geometry_of_optics]
        self._phases = [_demodulation(group, plane, xp) for group, plane in zip(optics, planes, strict=True)]
        self._is_cached = np.zeros(len(particles), bool)
        self._cache: list[Array] | None = None
        of_particle = geometry_of_optics[particles.optics_group]
        counts = np.bincount(of_particle, minlength=len(geometries))
        self._place = np.empty(len(particles), np.int64)
        for at in range(len(geometries)):
            self._place[of_particle == at] = np.arange(counts[at])
        shapes = [(n, len(geometry.plane.kx)) for n, geometry in zip(counts, geometries, strict=True)]
        if sum(n * n_px for n, n_px in shapes) * dtype.itemsize <= _CTF_CACHE_BYTES:
            self._cache = [xp.empty(shape, dtype) for shape in shapes]

    def ctf(self, rows: np.ndarray, particles: Particles) -> Array:
        """Return what the references are multiplied by, (n, p): the CTF, squared for CTF-premultiplied images.

        The particles have one geometry, and p are the pixels of its whole half plane.
        """
        if self._cache is None:
            return self.computed_ctf(rows, particles)
        cache = self._cache[self._geometry_index(rows, particles)]
        unknown = rows[~self._is_cached[rows]]
        if len(unknown):
            cache[self._xp.asarray(self._place[unknown])] = self.computed_ctf(unknown, particles)
            self._is_cached[unknown] = True
        return cache[self._xp.asarray(self._place[rows])]

    def computed_ctf(self, rows: np.ndarray, particles: Particles) -> Array:
        """Return the same without a look at what is in memory."""
        plane, xp = self._geometries[self._geometry_index(rows, particles)].plane, self._xp
        n_px = len(plane.kx)
        is_corrected = self._does_correct[particles.optics_group[rows]]
        if not is_corrected.any():
            return xp.ones((len(rows), n_px), self._dtype)
        values = transfer_functions(particles, rows, self._optics, plane, n_px, self._intact, xp)
        squared = self._is_premultiplied[particles.optics_group[rows]]
        if squared.any():
            values = xp.where(xp.asarray(squared)[:, None], values**2, values)
        if not is_corrected.all():
            values[xp.asarray(np.flatnonzero(~is_corrected))] = 1
        return values.astype(self._dtype)

    def data_factor(
        self, rows: np.ndarray, particles: Particles, ctf: Array, scale: np.ndarray | None = None
    ) -> Array | None:
        """Return what images are multiplied by when they are averaged, (n, p), where that is not `ctf`.

        `scale` (n,), if given, is RELION's quirk: it averages CTF-premultiplied images without their intensity scale.
        """
        is_premultiplied = self._is_premultiplied[particles.optics_group[rows]]
        if not is_premultiplied.any():
            return None
        factor = np.ones(len(rows)) if scale is None else 1 / scale
        there = self._xp.asarray(factor, dtype=self._dtype)[:, None]
        return self._xp.where(self._xp.asarray(is_premultiplied)[:, None], there, ctf)

    def ctf2_sums(
        self, rows: np.ndarray, particles: Particles, ctf: Array, scale: np.ndarray, shell: np.ndarray
    ) -> np.ndarray:
        """Return the sum of scale * CTF**2 over the pixels of each shell, (n, s_own); 0 unless CTF-premultiplied."""
        is_counted = self._is_premultiplied[particles.optics_group[rows]]
        weight = self._xp.asarray(scale * is_counted)[:, None]
        plane = self._geometries[self._geometry_index(rows, particles)].plane
        return to_host(shell_sums(weight * ctf[:, : len(shell)], shell, plane.n_shells))

    def phases(self, optics_group: np.ndarray, plane: HalfPlane, mirrored_row: int = 0) -> Array | None:
        """Return what spectra of particles of these optics groups (n,) are multiplied by; None where all is 1.

        It takes away the phases of odd aberrations and beam tilt: (n, p) complex128, on the device.

        Parameters
        ----------
        plane : HalfPlane
            Of the images.
        mirrored_row : int
            RELION's quirk, if not 0: at (0, ky) of this row, the last of its window, it takes the phase of -ky.
        """
        turned = [g for g in np.unique(optics_group) if self._phases[g] is not None]
        if not turned:
            return None
        factor = self._xp.ones((len(optics_group), len(plane.kx)), np.complex128)
        for g in turned:
            factor[self._xp.asarray(np.flatnonzero(optics_group == g))] = self._phases[g]
        if mirrored_row:
            at = self._xp.asarray(np.flatnonzero((plane.kx == 0) & (plane.ky == mirrored_row)))
            factor[:, at] = factor[:, at].conj()
        return factor

    def _geometry_index(self, rows: np.ndarray, particles: Particles) -> int:
        return int(self._geometry_of_optics[particles.optics_group[rows[0]]]) if len(rows) else 0


def _demodulation(group: OpticsGroup, plane: HalfPlane, xp: ModuleType) -> Array | None:
    """Return exp(-i phase) of an optics group's odd aberrations, (p,) complex128; None if it has none."""
    if not any(group.odd_zernike) and not any(group.beam_tilt_mrad):
        return None
    there, length = plane.on(xp), group.box_px * group.pixel_size_ang
    kx, ky = magnified(there.kx / length, there.ky / length, group.magnification)
    phase = odd_phase(kx, ky, group.odd_zernike, group.beam_tilt_mrad, group.voltage_kv, group.spherical_aberration_mm)
    return xp.exp(-1j * phase)
