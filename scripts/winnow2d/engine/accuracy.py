"""How well angles and shifts are determined: the smallest error that the noise would let one see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.rotation import rotation_table
from winnow2d.numerics.shells import shell_sums

from .parallel import ordered_map
from .projections import rotated

N_PARTICLES = 10
NOT_ESTIMATED = 999.0
DECISIVE = -np.log(0.01)  # log-likelihood ratio at which an error counts as seen
_ANGLE_STEPS = ((0.2, 0.05), (1, 0.1), (2, 0.2), (5, 0.5), (10, 1), (20, 2), (np.inf, 5))
_SHIFT_STEPS = ((1, 0.1), (2, 0.2), (5, 0.5), (np.inf, 1))
_BLOCK = 12  # errors tried at a time


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
    spectra = to_host(spectra)
    along_x = rng.random((len(psi_deg), len(chosen))) < 0.5
    angles, shifts = np.zeros(len(chosen)), np.zeros(len(chosen))
    for i, psi in enumerate(psi_deg):
        found, terms, reference = _angular_errors(spectra[chosen], psi, weights[i], plane, n_threads)
        angles += found
        shifts += _shift_errors(reference, weights[i], plane, along_x[i])
        orientability[chosen] += shell_sums(terms, plane.shell[:n_px], plane.n_shells)
    rotation[chosen], offset[chosen] = angles / len(psi_deg), shifts / len(psi_deg)
    return rotation, offset, orientability / np.maximum(orientability.sum(axis=1, keepdims=True), 1e-30)


def _angular_errors(
    spectra: np.ndarray, psi: float, weight: np.ndarray, plane: HalfPlane, n_threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per class the first decisive angular error, the evidence per pixel there (0 if none), the reference."""
    n_px, n_classes = len(weight), len(spectra)

    def run(function: object, items: range) -> Iterator[object]:
        return iter(list(ordered_map(function, items, n_threads)))  # type: ignore[arg-type]

    def at(errors: np.ndarray, rows: np.ndarray) -> np.ndarray:
        re, im = rotated(spectra[rows], rotation_table(plane, n_px, psi + errors, np.dtype(np.float64)), run)
        return re + 1j * im

    reference = at(np.zeros(1), np.arange(n_classes))
    found, terms = np.full(n_classes, ANGLE_ERRORS_DEG[-1]), np.zeros((n_classes, n_px))
    open_rows = np.arange(n_classes)
    for start in range(0, len(ANGLE_ERRORS_DEG), _BLOCK):
        errors = ANGLE_ERRORS_DEG[start : start + _BLOCK]
        difference = at(errors, open_rows) - reference[open_rows]
        evidence = (difference.real**2 + difference.imag**2) * (weight / 2)
        seen = evidence.sum(axis=-1) > DECISIVE
        first = np.where(seen.any(axis=1), seen.argmax(axis=1), len(errors) - 1)
        found[open_rows], terms[open_rows] = errors[first], evidence[np.arange(len(first)), first]
        open_rows = open_rows[~seen.any(axis=1)]
        if not len(open_rows):
            break
    terms[open_rows] = 0
    return found, terms, reference[:, 0]


def _shift_errors(reference: np.ndarray, weight: np.ndarray, plane: HalfPlane, along_x: np.ndarray) -> np.ndarray:
    """Return per class the first decisive shift error in px, along x or y."""
    n_px, errors = len(weight), SHIFT_ERRORS_PX
    power = (reference.real**2 + reference.imag**2) * (weight / 2)
    zero = np.zeros_like(errors)
    evidence = np.empty((len(reference), len(errors)))
    for axis, rows in ((0, np.flatnonzero(along_x)), (1, np.flatnonzero(~along_x))):
        shifts = np.stack([errors, zero] if axis == 0 else [zero, errors], axis=-1)
        turned = shift_phases(plane.kx[:n_px], plane.ky[:n_px], shifts, plane.box_px)
        evidence[rows] = power[rows] @ (np.abs(1 - turned) ** 2).T
    seen = evidence > DECISIVE
    return errors[np.where(seen.any(axis=1), seen.argmax(axis=1), len(errors) - 1)]
