"""VDAM: a gradient step per class from a mini-batch, with moments kept on the padded Fourier grid.

The particles of a batch fall into two pseudo half-sets by their row in the table; the difference of the
halves' gradients tells signal from noise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from winnow2d.numerics import padded
from winnow2d.numerics.kernels import gradient
from winnow2d.numerics.masks import fill_solvent, soft_circle
from winnow2d.numerics.projector import EDGE_PX, grid_shells
from winnow2d.numerics.rotation import PAD, padded_shape


@lru_cache(maxsize=4)
def _grids(box_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return |u|**2 and shell of the padded half spectrum, (2 N, N + 2)."""
    squared, shell, _ = grid_shells(box_px)
    return squared.reshape(padded_shape(box_px)), shell.reshape(padded_shape(box_px))


@lru_cache(maxsize=4)
def _box_mask(box_px: int) -> np.ndarray:
    return soft_circle(box_px, box_px / 2, EDGE_PX)


def move_moments(
    data: np.ndarray, weight: np.ndarray, first: np.ndarray, second: np.ndarray, box_px: int, radius: int
) -> None:
    """Move the moments of one class by the gradients of its two pseudo half-sets, in place.

    Parameters
    ----------
    data : (2, 2 N, N + 2) complex128; weight : the same, float64
    first : (2, 2 N, N + 1) complex64; second : (2 N, N + 1) float32
        Pixels from pad * radius on keep theirs; a ring that is reached later starts afresh.
    """
    squared, _ = _grids(box_px)
    gradient.move_moments(
        (data[0], data[1]), (weight[0], weight[1]), (first[0], first[1]), second, squared, PAD * radius
    )  # fmt: skip


def evidence(
    weight: np.ndarray, prior: np.ndarray, box_px: int, radius: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sigma2_reference, data_vs_prior and coverage of one class, (s,) each; see `projector.signal_to_noise`.

    Parameters
    ----------
    weight : (2 N, N + 2) float64 array, Hermitian
    prior : (s,) array
        T * tau2.
    """
    squared, shell = _grids(box_px)
    n_shells, factor = len(prior), PAD**2
    mean, covered = gradient.evidence(weight, factor * prior, squared, shell, PAD * radius, n_shells)
    mean, within = mean * factor, np.arange(n_shells) <= radius
    sigma2 = np.divide(1.0, mean, out=np.zeros(n_shells), where=mean > 1e-30)
    return sigma2 * within, mean * prior * within, covered * within


def class_step_size(step: float, n_classes: int, fraction: float) -> float:
    """Return a class's step: shorter for a class that receives few particles."""
    return step * (1 - np.exp(-(3 * n_classes + 10) * fraction))


def stepped(
    reference: np.ndarray, first: np.ndarray, second: np.ndarray, step: float, tau2_fudge: float, radius: int
) -> np.ndarray:
    """Return one reference (y, x) moved by a gradient step, not yet centred or flattened."""
    box, reach, (rows, columns) = reference.shape[-1], PAD * radius, padded_shape(reference.shape[-1])
    (squared, shell), halves = _grids(box), (first[0], first[1])
    spectrum = padded.spectra(reference[None], rows, reach, columns)[0]
    follow = gradient.trust(halves, spectrum, tau2_fudge, squared, shell, reach, int(shell.max()) + 1)
    gradient.step_spectrum(spectrum, halves, second, follow, step, squared, shell, reach)
    return fill_solvent(padded.images(spectrum[None], box, reach)[0], _box_mask(box))


def shifted_moments(first: np.ndarray, shift_px: np.ndarray, box_px: int) -> np.ndarray:
    """Return first moments (2, 2 N, N + 1) of a reference moved by (x, y) px: a phase factor on the padded grid."""
    rows, columns = padded_shape(box_px)
    ky, kx = np.fft.fftfreq(rows, 1 / rows), np.arange(columns - 1)
    along_x, along_y = (np.exp(-2j * np.pi * k * shift / rows) for k, shift in zip((kx, ky), shift_px, strict=True))
    return first * (along_y[:, None] * along_x)
