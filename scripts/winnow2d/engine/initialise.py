"""The state before the first iteration: noise spectra from the images, and blurred random references."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.grids import HalfPlane, radius_map
from winnow2d.numerics.kernels.backproject import rotate_back_one
from winnow2d.numerics.masks import fill_solvent
from winnow2d.numerics.projector import make_hermitian, reconstruct
from winnow2d.numerics.rotation import GridView, padded_shape, rotation_table
from winnow2d.numerics.shells import round_half_away, shell_means

from .schedule import first_resolution_shell

IMAGES_PER_OPTICS_GROUP = 1000  # RELION's --nr_parts_sigma2noise for 2D
N_BLOBS = 40


class NoiseEstimate:
    """Adds up spectra of images, and gives their noise power: the mean spectrum less that of the mean image."""

    def __init__(self, box_px: int):
        self._shell = round_half_away(np.hypot(*np.meshgrid(np.arange(box_px // 2 + 1), _rows(box_px)))).ravel()
        self._box = box_px
        self.n_images = 0
        self._power = np.zeros(box_px // 2 + 1)
        self._sum = np.zeros((box_px, box_px))

    def add(self, images: np.ndarray) -> None:
        """Add images (n, y, x)."""
        self._power += self._spectrum(images).sum(axis=0)
        self._sum += images.sum(axis=0, dtype=np.float64)
        self.n_images += len(images)

    def _spectrum(self, images: np.ndarray) -> np.ndarray:
        spectra = fourier.forward(images.astype(np.float64)).reshape(len(images), -1)
        return shell_means(spectra.real**2 + spectra.imag**2, self._shell, self._box // 2 + 1)

    def power(self) -> np.ndarray:
        """Return the mean power of the images per shell (s,)."""
        return self._power / max(self.n_images, 1)

    def power_of_mean(self) -> np.ndarray:
        """Return the power of the mean image per shell (s,): what all images have in common is not noise."""
        return self._spectrum((self._sum / max(self.n_images, 1))[None])[0]

    def with_all(self, others: Iterable[NoiseEstimate]) -> NoiseEstimate:
        """Return the estimate of these images and those of others of the same box."""
        total = NoiseEstimate(self._box)
        for part in (self, *others):
            total._power += part._power
            total._sum += part._sum
            total.n_images += part.n_images
        return total

    def sigma2(self) -> np.ndarray:
        """Return the noise power per component (s,); shells that come out negative take a neighbour's."""
        return positive((self.power() - self.power_of_mean()) / 2)


def positive(sigma2: np.ndarray) -> np.ndarray:
    """Return a spectrum (s,) whose shells that are not above 0 take the value of a neighbour."""
    sigma2 = sigma2.copy()
    for r in range(1, len(sigma2)):
        if sigma2[r] <= 0:
            sigma2[r] = sigma2[r - 1]
    for r in range(len(sigma2) - 2, -1, -1):
        if sigma2[r] <= 0:
            sigma2[r] = sigma2[r + 1]
    return sigma2


def _rows(box_px: int) -> np.ndarray:
    ky = np.arange(box_px)
    return np.where(ky <= box_px // 2, ky, ky - box_px)


class FirstAverages:
    """Averages of a few particles each at random angles, only their lowest frequencies.

    Parameters
    ----------
    plane : HalfPlane
        Of the model.
    """

    def __init__(self, plane: HalfPlane, n_classes: int, rng: np.random.Generator):
        self._plane, self._rng, self._n_classes = plane, rng, n_classes
        self.radius = max(2, first_resolution_shell(plane.box_px) // 2)
        rows, columns = padded_shape(plane.box_px)
        self._data = np.zeros((n_classes, rows * columns), np.complex128)
        self._weight = np.zeros(self._data.shape)
        self.n_images = 0

    def add(
        self,
        spectra: np.ndarray,
        ctf: np.ndarray,
        data_factor: np.ndarray | None = None,
        plane: HalfPlane | None = None,
        view: GridView | None = None,
    ) -> None:
        """Add images, the next ones in turn to the next classes.

        Parameters
        ----------
        spectra, ctf : (n, p) arrays
            Centred half planes, and what they hold of the references; pixels beyond the radius do not count.
        data_factor : (n, p) array, optional
            What the spectra are multiplied by, where that is not `ctf`.
        plane, view : optional
            Pixels of the images, and how they see the model's, where these differ.
        """
        plane = self._plane if plane is None else plane
        n_px = plane.n_within(self.radius if view is None else view.own_radius)
        factors = ctf if data_factor is None else data_factor
        psi = self._rng.uniform(0, 360, len(spectra))
        for spectrum, transfer, factor, angle in zip(spectra, ctf, factors, psi, strict=True):
            table = rotation_table(plane, n_px, np.array([angle]), np.dtype(np.float64), view=view, is_back=True)
            value, k = spectrum[:n_px] * factor[:n_px], self.n_images % self._n_classes
            rotate_back_one(
                value.real[None].copy(), value.imag[None].copy(), (factor * transfer)[None, :n_px].copy(),
                table.index, table.fraction, table.sign, self._data[k], self._weight[k],
            )  # fmt: skip
            self.n_images += 1

    def references(self, mask: np.ndarray, particle_diameter_px: float) -> np.ndarray:
        """Return the first references (k, y, x): averages turned into random blobs, smooth and masked."""
        box = self._plane.box_px
        make_hermitian(self._data, self._weight, box)
        averages = reconstruct(self._data, self._weight, box, self.radius)
        averages = low_pass(averages, first_resolution_shell(box))
        blobs = np.stack([self._blobs(image, particle_diameter_px) for image in averages])
        return fill_solvent(low_pass(blobs, first_resolution_shell(box)), mask)

    def _blobs(self, image: np.ndarray, diameter_px: float) -> np.ndarray:
        positive, negative = (self._blob_image(image, diameter_px) for _ in range(2))
        blobs = positive - negative / 2
        return blobs * (image.std() / max(blobs.std(), 1e-12))

    def _blob_image(self, image: np.ndarray, diameter_px: float) -> np.ndarray:
        box = len(image)
        centres = self._rng.normal(box / 2, diameter_px / 7, (N_BLOBS, 2)).clip(0, box - 1)
        heights = np.abs(image[tuple(np.floor(centres).astype(int).T)])
        axis = np.arange(box)
        fall = 10 / diameter_px
        y = np.exp(-(((axis[None] - centres[:, :1]) * fall) ** 2))
        x = np.exp(-(((axis[None] - centres[:, 1:]) * fall) ** 2))
        return (heights[:, None] * y).T @ x


def low_pass(images: np.ndarray, shell: int) -> np.ndarray:
    """Return images (k, y, x) without frequencies beyond a shell, with a raised cosine 2 shells wide."""
    box = images.shape[-1]
    radius = np.hypot(_rows(box)[:, None], np.arange(box // 2 + 1)[None, :])
    fall = 0.5 - 0.5 * np.cos(np.pi * (shell + 1 - radius) / 2)
    keep = np.where(radius < shell - 1, 1.0, np.where(radius > shell + 1, 0.0, fall))
    return fourier.inverse(fourier.forward(images) * keep, box)


def particle_mask_radius_px(particle_diameter_ang: float, pixel_size_ang: float, box_px: int) -> float:
    """Return the radius of the particle mask; its soft edge lies outside of it."""
    return min(particle_diameter_ang / (2 * pixel_size_ang), float(radius_map(box_px).max()))
