"""How well angles and shifts are determined: the smallest error that the noise would let one see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.rotation import GridView, rotation_table
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


@dataclass(frozen=True)
class Probe:
    """A particle that errors are tried on.

    Attributes
    ----------
    weight : (p,) array
        CTF**2 / sigma2, 0 at the origin.
    plane, view : pixels of its image, and how they see the references
    shell : (p,) int array
        Shell of the model of each pixel.
    model_px : float
        Its pixel size in pixels of the model.
    """

    psi_deg: float
    weight: np.ndarray
    plane: HalfPlane
    view: GridView | None
    shell: np.ndarray
    model_px: float


def expected_accuracies(
    spectra: np.ndarray,
    usable: np.ndarray,
    probes: Sequence[Probe],
    n_shells: int,
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
    probes : a few particles

    Returns
    -------
    rotation_deg, offset_px : (k,) arrays
        In pixels of the model.
    orientability : (k, s) array
        Share of each shell in the evidence at the angular accuracy; 0 for classes not estimated.
    """
    n_classes = len(spectra)
    rotation, offset = np.full(n_classes, NOT_ESTIMATED), np.full(n_classes, NOT_ESTIMATED)
    orientability = np.zeros((n_classes, n_shells))
    chosen = np.flatnonzero(usable)
    if not len(chosen) or not len(probes):
        return rotation, offset, orientability
    spectra = to_host(spectra)
    along_x = rng.random((len(probes), len(chosen))) < 0.5
    angles, shifts = np.zeros(len(chosen)), np.zeros(len(chosen))
    for i, probe in enumerate(probes):
        found, terms, reference = _angular_errors(spectra[chosen], probe, n_threads)
        angles += found
        shifts += _shift_errors(reference, probe.weight, probe.plane, along_x[i]) * probe.model_px
        shares = shell_sums(terms, probe.shell, n_shells)
        orientability[chosen] += shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
    rotation[chosen], offset[chosen] = angles / len(probes), shifts / len(probes)
    return rotation, offset, orientability / len(probes)


def _angular_errors(spectra: np.ndarray, probe: Probe, n_threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per class the first decisive angular error, the evidence per pixel there, and the reference at psi."""
    weight, n_px, n_classes, double = probe.weight, len(probe.weight), len(spectra), np.dtype(np.float64)

    def run(function: object, items: range) -> Iterator[object]:
        return iter(list(ordered_map(function, items, n_threads)))  # type: ignore[arg-type]

    def at(errors: np.ndarray, rows: np.ndarray) -> np.ndarray:
        table = rotation_table(probe.plane, n_px, probe.psi_deg + errors, double, view=probe.view)
        re, im = rotated(spectra[rows], table, run)
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
