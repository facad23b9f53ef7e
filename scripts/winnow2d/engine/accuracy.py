"""How well angles and shifts are determined: the smallest error that the noise would let one see."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels.accuracy import first_decisive_angle
from winnow2d.numerics.rotation import padded_shape
from winnow2d.numerics.shells import shell_sums

from .parallel import ordered_map

N_PARTICLES = 10
NOT_ESTIMATED = 999.0
DECISIVE = -np.log(0.01)  # log-likelihood ratio at which an error counts as seen
_ANGLE_STEPS = ((0.2, 0.05), (1, 0.1), (2, 0.2), (5, 0.5), (10, 1), (20, 2), (np.inf, 5))
_SHIFT_STEPS = ((1, 0.1), (2, 0.2), (5, 0.5), (np.inf, 1))


def _errors(steps: tuple[tuple[float, float], ...], last: float) -> np.ndarray:
    """Return the errors that are tried, growing by steps that grow, the last one beyond `last`."""
    errors = [0.0]
    while errors[-1] <= last:
        errors.append(errors[-1] + next(step for below, step in steps if errors[-1] < below))
    return np.array(errors[1:])


ANGLE_ERRORS_DEG = _errors(_ANGLE_STEPS, 30.0)
SHIFT_ERRORS_PX = _errors(_SHIFT_STEPS, 10.0)


def expected_accuracies(
    spectra: np.ndarray,
    usable: np.ndarray,
    psi_deg: np.ndarray,
    weights: np.ndarray,
    plane: HalfPlane,
    rng: np.random.Generator,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the angular (degrees) and shift (px) accuracy of every class, and where in Fourier space they come from.

    Parameters
    ----------
    spectra : (k, m) complex array
        Padded half spectra of the references, on any device; everything else is numpy's, as the work is.
    usable : (k,) bool array
        Classes to estimate; the others get 999.
    psi_deg : (i,) array
        Angles of a few particles.
    weights : (i, p) array
        CTF**2 / sigma2 of these particles, 0 at the origin.

    Returns
    -------
    rotation_deg, offset_px : (k,) arrays
    orientability : (k, s) array
        Share of each shell in the evidence at the angular accuracy, of all particles together; 0 for classes not
        estimated, or of which no particle tells an angle within the errors tried.
    """
    n_px, n_classes = weights.shape[1], len(spectra)
    rotation, offset = np.full(n_classes, NOT_ESTIMATED), np.full(n_classes, NOT_ESTIMATED)
    orientability = np.zeros((n_classes, plane.n_shells))
    chosen = np.flatnonzero(usable)
    if not len(chosen) or not len(psi_deg):
        return rotation, offset, orientability
    spectra = to_host(spectra)[chosen]
    along_x = rng.random((len(psi_deg), len(chosen))) < 0.5
    shape, kx, ky = padded_shape(plane.box_px), plane.kx[:n_px], plane.ky[:n_px]

    def one(c: int) -> tuple[float, float, np.ndarray]:
        angle, shift, shares = 0.0, 0.0, np.zeros(plane.n_shells)
        for i, psi in enumerate(psi_deg):
            found, terms, (re, im) = first_decisive_angle(
                spectra[c], shape, kx, ky, weights[i], psi, ANGLE_ERRORS_DEG, DECISIVE
            )
            angle += ANGLE_ERRORS_DEG[found]
            shift += _shift_error((re**2 + im**2) * weights[i], plane, bool(along_x[i, c]))
            if terms.sum() > DECISIVE:  # RELION leaves out particles that tell no angle within the errors tried
                shares += shell_sums(terms, plane.shell[:n_px], plane.n_shells)
        return angle, shift, shares

    results = list(ordered_map(one, range(len(chosen)), n_threads))
    angles, shifts, shares = (np.array(part) for part in zip(*results, strict=True))
    rotation[chosen], offset[chosen] = angles / len(psi_deg), shifts / len(psi_deg)
    orientability[chosen] = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
    return rotation, offset, orientability


def _shift_error(power: np.ndarray, plane: HalfPlane, along_x: bool) -> float:
    """Return the first decisive shift error in px, along x or y, of a reference of weighted power (p,)."""
    k = (plane.kx if along_x else plane.ky)[: len(power)]
    of_index = np.bincount(np.abs(k), power, minlength=1)
    turns = np.arange(len(of_index)) / plane.box_px * SHIFT_ERRORS_PX[:, None]
    evidence = (2 * np.sin(np.pi * turns) ** 2) @ of_index  # half of |1 - exp(2 pi i turns)|**2
    seen = evidence > DECISIVE
    return float(SHIFT_ERRORS_PX[seen.argmax() if seen.any() else -1])
