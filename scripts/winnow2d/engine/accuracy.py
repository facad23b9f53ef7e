"""How well angles and shifts are determined: the smallest error that the noise would let one see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels.accuracy import first_decisive_angle
from winnow2d.numerics.rotation import GridView, padded_shape
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

    @property
    def padded_shape(self) -> tuple[int, int]:
        return padded_shape(self.plane.box_px if self.view is None else self.view.box_px)

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where the model is seen, kx and ky (p,), and the weights there: 0 beyond what it has."""
        n_px = len(self.weight)
        kx, ky = self.plane.kx[:n_px].astype(np.float64), self.plane.ky[:n_px].astype(np.float64)
        if self.view is None:
            return kx, ky, self.weight
        is_seen = self.view.sees(kx, ky, False)
        x, y = self.view.seen_at(kx, ky)
        return np.where(is_seen, x, 0.0), np.where(is_seen, y, 0.0), np.where(is_seen, self.weight, 0.0)


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
        Share of each shell in the evidence at the angular accuracy, of all particles together; 0 for classes not
        estimated, or of which no particle tells an angle within the errors tried.
    """
    n_classes = len(spectra)
    rotation, offset = np.full(n_classes, NOT_ESTIMATED), np.full(n_classes, NOT_ESTIMATED)
    orientability = np.zeros((n_classes, n_shells))
    chosen = np.flatnonzero(usable)
    if not len(chosen) or not len(probes):
        return rotation, offset, orientability
    spectra = to_host(spectra)[chosen]
    along_x = rng.random((len(probes), len(chosen))) < 0.5

    def one(c: int) -> tuple[float, float, np.ndarray]:
        angle, shift, shares = 0.0, 0.0, np.zeros(n_shells)
        for probe, is_x in zip(probes, along_x[:, c], strict=True):
            kx, ky, weight = probe.seen()
            found, terms, (re, im) = first_decisive_angle(
                spectra[c], probe.padded_shape, kx, ky, weight, probe.psi_deg, ANGLE_ERRORS_DEG, DECISIVE
            )
            angle += ANGLE_ERRORS_DEG[found]
            shift += _shift_error((re**2 + im**2) * weight, probe.plane, bool(is_x)) * probe.model_px
            if terms.sum() > DECISIVE:  # RELION leaves out particles that tell no angle within the errors tried
                shares += shell_sums(terms, probe.shell, n_shells)
        return angle, shift, shares

    results = list(ordered_map(one, range(len(chosen)), n_threads))
    angles, shifts, shares = (np.array(part) for part in zip(*results, strict=True))
    rotation[chosen], offset[chosen] = angles / len(probes), shifts / len(probes)
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
