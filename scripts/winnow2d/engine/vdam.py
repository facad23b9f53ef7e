"""VDAM: a gradient step per class from a mini-batch, with moments kept on the padded Fourier grid.

The particles of a batch fall into two pseudo half-sets by their row in the table; the difference of the
halves' gradients tells signal from noise.
"""

from __future__ import annotations

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.masks import fill_solvent, soft_circle
from winnow2d.numerics.projector import EDGE_PX, grid_shells, padded_spectra
from winnow2d.numerics.rotation import PAD, padded_shape
from winnow2d.numerics.shells import shell_means

FIRST_MOMENTUM, SECOND_MOMENTUM = 0.9, 0.999
_TINY = 1e-12


def gradient(data: np.ndarray, weight: np.ndarray, box_px: int, radius: int) -> np.ndarray:
    """Return the gradient (..., m) of back-projected residuals: data over weight where that exceeds 1."""
    squared, _, _ = grid_shells(box_px)
    return np.where(squared <= (PAD * radius) ** 2, data / np.maximum(weight, 1.0), 0)


def reached(box_px: int, radius: int) -> np.ndarray:
    """Return which pixels (m,) of the padded grid have moments at a radius; a ring reached later starts afresh."""
    squared, _, _ = grid_shells(box_px)
    return squared < (PAD * radius) ** 2


def updated(first: np.ndarray, second: np.ndarray, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments of one class after a step.

    Parameters
    ----------
    first : (2, m) complex; second : (m,) float64; gradients : (2, m) complex
    """
    is_new = np.array([not half.any() for half in first])[:, None]
    moved = np.where(is_new, gradients, FIRST_MOMENTUM * first + (1 - FIRST_MOMENTUM) * gradients)
    difference, mean = _power(gradients[1] - gradients[0]), _power(gradients.mean(axis=0))
    return moved, SECOND_MOMENTUM * second + (1 - SECOND_MOMENTUM) * difference / (mean + _TINY)


def _power(values: np.ndarray) -> np.ndarray:
    return values.real**2 + values.imag**2


def direction(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the step's direction (m,): the mean first moment over the root of the second."""
    return first.mean(axis=0) / (np.sqrt(second) + _TINY)


def trust(first: np.ndarray, spectrum: np.ndarray, tau2_fudge: float, box_px: int, radius: int) -> np.ndarray:
    """Return how far each pixel follows the gradient (the rest decays), (m,) between 0 and 1.

    Parameters
    ----------
    first : (2, m) complex; spectrum : (m,) complex, padded spectrum of the reference
    """
    squared, shell, _ = grid_shells(box_px)
    inside = np.flatnonzero(squared <= (PAD * radius) ** 2)
    n_shells = box_px // 2 + 2
    noise = shell_means(np.abs(first[0] - first[1])[inside], shell[inside], n_shells)
    signal = shell_means(np.abs(spectrum)[inside], shell[inside], n_shells)
    ratio = np.divide(2 * tau2_fudge * signal, noise, out=np.zeros_like(noise), where=noise > 0)
    return (ratio / (1 + ratio))[np.minimum(shell, n_shells - 1)]


def class_step_size(step: float, n_classes: int, fraction: float) -> float:
    """Return a class's step: shorter for a class that receives few particles."""
    return step * (1 - np.exp(-(3 * n_classes + 10) * fraction))


def stepped(
    reference: np.ndarray, first: np.ndarray, second: np.ndarray, step: float, tau2_fudge: float, radius: int
) -> np.ndarray:
    """Return one reference (y, x) moved by a gradient step, not yet centred or flattened."""
    box = reference.shape[-1]
    spectrum = padded_spectra(reference[None].astype(np.float64), radius, correct_gridding=False)[0]
    follow = trust(first, spectrum, tau2_fudge, box, radius)
    moved = spectrum + step * (follow * direction(first, second) - (1 - follow) * spectrum)
    squared, _, _ = grid_shells(box)
    moved[squared > (PAD * radius) ** 2] = 0
    rows, columns = padded_shape(box)
    half = moved.reshape(rows, columns)[:, : columns - 1] * fourier.centre_signs(rows)
    image = fourier.crop(fourier.inverse(half, rows), box) / PAD**2
    return fill_solvent(image, soft_circle(box, box / 2, EDGE_PX))


def shifted_moments(first: np.ndarray, shift_px: np.ndarray, box_px: int) -> np.ndarray:
    """Return first moments (2, m) of a reference moved by (x, y) px: a phase factor on the padded grid."""
    rows, columns = padded_shape(box_px)
    ky = np.fft.fftfreq(rows, 1 / rows)[:, None]
    kx = np.arange(columns)[None, :]
    phase = np.exp(-2j * np.pi * (kx * shift_px[0] + ky * shift_px[1]) / rows)
    return first * phase.ravel()
