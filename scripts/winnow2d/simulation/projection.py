"""Projections of a density in given orientations, as central slices of its transform."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SLICES_AT_ONCE = 64


def euler_matrices(euler_deg: np.ndarray) -> np.ndarray:
    """Return the matrices (n, 3, 3) that turn the density's frame into the image's, from rot, tilt, psi (n, 3).

    ZYZ convention of RELION (Heymann et al. 2005): an image shows at (x, y) the line integral of the
    density over z at A^T (x, y, z); with rot = tilt = 0 this turns an image feature by -psi from x to y.
    """
    rot, tilt, psi = np.deg2rad(np.asarray(euler_deg, dtype=np.float64)).T
    ca, cb, cg = np.cos(rot), np.cos(tilt), np.cos(psi)
    sa, sb, sg = np.sin(rot), np.sin(tilt), np.sin(psi)
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


class Projector:
    """A density made ready for central slices.

    The transform of the density, padded to `oversampling` times the particle's width, is sampled by
    cubic B-splines; the narrower the particle in the padded cube, the smoother its transform. At 2.5
    a slice differs from the exact line integral by less than 1 % (root mean square).

    Parameters
    ----------
    density : (z, y, x) array, even cube, particle in the middle
    oversampling : float
        Width of the padded cube in particle widths.
    """

    def __init__(self, density: np.ndarray, oversampling: float = 2.5):
        self.box_px = density.shape[0]
        padded_px = self._padded_px(density, oversampling)
        grown = (padded_px - self.box_px) // 2
        padded = np.pad(density.astype(np.float32), grown)
        spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(padded)))
        del padded
        self._spectrum = [
            ndimage.spline_filter(part, order=3, output=np.float32, mode="grid-wrap")
            for part in (spectrum.real, spectrum.imag)
        ]
        self._step, self._origin = padded_px / self.box_px, padded_px // 2
        half = self.box_px // 2
        ky, kx = np.meshgrid(np.fft.fftfreq(self.box_px, 1 / self.box_px), np.arange(half + 1), indexing="ij")
        self._rows, self._columns = np.nonzero(kx**2 + ky**2 < half**2)
        self._kx, self._ky = kx[self._rows, self._columns], ky[self._rows, self._columns]

    def _padded_px(self, density: np.ndarray, oversampling: float) -> int:
        """Return the even width of the padded cube, at least the density's."""
        where = np.argwhere(np.abs(density) > 1e-3 * np.abs(density).max())
        width_px = 2 * np.abs(where - self.box_px // 2).max() + 1 if len(where) else 1
        return max(self.box_px, 2 * int(np.ceil(oversampling * width_px / 2)))

    def project(self, euler_deg: np.ndarray) -> np.ndarray:
        """Return line integrals, unit density times pixel.

        Parameters
        ----------
        euler_deg : (n, 3) array, rot, tilt, psi

        Returns
        -------
        (n, y, x) float32 array
        """
        images = np.zeros((len(euler_deg), self.box_px, self.box_px), dtype=np.float32)
        for start in range(0, len(euler_deg), SLICES_AT_ONCE):
            some = slice(start, start + SLICES_AT_ONCE)
            images[some] = self._project(euler_matrices(euler_deg[some]))
        return images

    def _project(self, matrices: np.ndarray) -> np.ndarray:
        """Return the images of orientations (n, 3, 3)."""
        points = matrices[:, 0, ::-1, None] * self._kx + matrices[:, 1, ::-1, None] * self._ky  # (n, zyx, p)
        points = np.moveaxis(points * self._step + self._origin, 1, 0)
        real, imaginary = (
            ndimage.map_coordinates(part, points, order=3, prefilter=False, mode="grid-wrap", output=np.float32)
            for part in self._spectrum
        )
        spectrum = np.zeros((len(matrices), self.box_px, self.box_px // 2 + 1), dtype=np.complex64)
        spectrum[:, self._rows, self._columns] = real + 1j * imaginary
        images = np.fft.irfft2(spectrum, s=(self.box_px, self.box_px))
        return np.fft.fftshift(images, axes=(1, 2))
