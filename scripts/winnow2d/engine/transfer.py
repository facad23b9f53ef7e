"""What the microscope did to the images of each optics group: transfer functions and odd aberrations."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from winnow2d.numerics.aberrations import even_phase, magnified, odd_phase
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.ctf import half_turns
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.shells import shell_sums
from winnow2d.records import OpticsGroup, Particles

from .geometry import Geometry
from .stages import PREPARE, stage

Array = Any


class Transfer:
    """Transfer functions of particles, made anew whenever they are asked for, and phases of odd aberrations.

    Parameters
    ----------
    optics, geometries, geometry_of_optics : see `geometries_of`
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
        self._even = [_even_half_turns(group, plane, xp) for group, plane in zip(optics, planes, strict=True)]
        self._quadratic = [_quadratic(geometry, xp) for geometry in geometries]

    @stage(PREPARE)
    def ctf(self, rows: np.ndarray, particles: Particles, n_px: int | None = None) -> Array:
        """Return what the references are multiplied by, (n, p): the CTF, squared for CTF-premultiplied images.

        The particles have one geometry, and p are the first `n_px` pixels of its half plane; all if not given.
        """
        at, optics_group = self._geometry_index(rows, particles), particles.optics_group[rows]
        n_px = len(self._geometries[at].plane.kx) if n_px is None else n_px
        out = self._xp.empty((len(rows), n_px), self._dtype)
        for g in np.unique(optics_group):
            here = np.flatnonzero(optics_group == g)
            if not self._does_correct[g]:
                out[self._xp.asarray(here)] = 1
                continue
            kernels_of(out).transfer_functions(
                *_parameters(particles, rows[here], self._optics[g]), self._quadratic[at], self._even[g],
                self._intact, bool(self._is_premultiplied[g]), here, out,
            )  # fmt: skip
        return out

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

    @stage(PREPARE)
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


def _parameters(particles: Particles, rows: np.ndarray, group: OpticsGroup) -> tuple[np.ndarray, np.ndarray]:
    """Return `half_turns` and envelopes of particles of one optics group, as the kernels take them."""
    turns = half_turns(
        particles.defocus_u_ang[rows], particles.defocus_v_ang[rows], particles.defocus_angle_deg[rows],
        group.voltage_kv, group.spherical_aberration_mm, group.amplitude_contrast, particles.phase_shift_deg[rows],
    )  # fmt: skip
    envelope = np.empty((len(rows), 2))
    envelope[:, 0], envelope[:, 1] = particles.ctf_bfactor_ang2[rows], particles.ctf_scale[rows]
    return turns, envelope


def _frequencies(group: OpticsGroup, plane: HalfPlane, xp: ModuleType) -> tuple[Array, Array]:
    """Return the magnified frequencies (p,) of the images of an optics group, in 1/Angstrom."""
    there, length = plane.on(xp), group.box_px * group.pixel_size_ang
    return magnified(there.kx / length, there.ky / length, group.magnification)


def _quadratic(geometry: Geometry, xp: ModuleType) -> tuple[Array, Array, Array]:
    """Return kx**2, kx * ky and ky**2 of a geometry, (p,) each, magnified and in 1/Angstrom**2."""
    there, length = geometry.plane.on(xp), geometry.plane.box_px * geometry.pixel_size_ang
    kx, ky = magnified(there.kx / length, there.ky / length, geometry.magnification)
    return kx**2, kx * ky, ky**2


def _even_half_turns(group: OpticsGroup, plane: HalfPlane, xp: ModuleType) -> Array:
    """Return what the even aberrations of an optics group add to gamma / pi, (p,); nothing, (0,), if it has none."""
    if not any(group.even_zernike):
        return xp.empty(0)
    return even_phase(*_frequencies(group, plane, xp), group.even_zernike) / np.pi


def _demodulation(group: OpticsGroup, plane: HalfPlane, xp: ModuleType) -> Array | None:
    """Return exp(-i phase) of an optics group's odd aberrations, (p,) complex128; None if it has none."""
    if not any(group.odd_zernike) and not any(group.beam_tilt_mrad):
        return None
    kx, ky = _frequencies(group, plane, xp)
    phase = odd_phase(kx, ky, group.odd_zernike, group.beam_tilt_mrad, group.voltage_kv, group.spherical_aberration_mm)
    return xp.exp(-1j * phase)
