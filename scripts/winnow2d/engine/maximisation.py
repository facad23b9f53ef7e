"""The M-step: class averages of highest posterior probability, noise, fractions and scales from the sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.numerics.projector import make_hermitian, reconstruct, signal_to_noise
from winnow2d.numerics.rotation import padded_shape

from .gridded_sums import GriddedSums
from .parallel import for_each
from .projections import Projections
from .sums import Sums

Array = Any
MIN_SIGMA2_OFFSET_ANG2 = 2.0  # RELION's --min_sigma2_offset
MIN_CLASS_WEIGHT = 1e-6  # a class with less keeps its reference


def rotate_back(
    sums: Sums,
    projections: Projections,
    box_px: int,
    n_threads: int,
    others: Sequence[tuple[Sums, Projections]] = (),
) -> tuple[Array, Array]:
    """Return the class sums on their padded grids, Hermitian: data (k, m) complex128, weight (k, m) float64.

    They lie where the sums are. `others` are the sums of particles of other geometries, turned back with their
    own tables onto the same grid.
    """
    rows, columns = padded_shape(box_px)

    def turned_back(sums: Sums, projections: Projections) -> tuple[Array, Array]:
        if isinstance(sums, GriddedSums):  # of fixed poses: there already
            return sums.grid_data, sums.grid_weight
        unrotated = (sums.data_re, sums.data_im, sums.weight)
        kernels = kernels_of(sums.weight)
        return kernels.rotate_back(unrotated, projections.fine_table, rows * columns, for_each(n_threads))

    data, weight = turned_back(sums, projections)
    for part in others:
        more_data, more_weight = turned_back(*part)
        data, weight = data + more_data, weight + more_weight
    make_hermitian(data, weight, box_px)
    return data, weight


def evidence(
    weight: Array, tau2: np.ndarray, tau2_fudge: float, box_px: int, radius: int, ctf2: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Return `signal_to_noise` on the host.

    The noise of CTF-premultiplied images is multiplied by the CTF as they are: their data outweigh the prior by the
    mean CTF**2 (s,) less than their weights say.
    """
    signal = tau2 if ctf2 is None else tau2 * ctf2
    return tuple(to_host(part) for part in signal_to_noise(weight, signal, tau2_fudge, box_px, radius))


def update_references(
    sums: Sums,
    projections: Projections,
    old: np.ndarray,
    tau2_fudge: float,
    size_px: int,
    n_threads: int,
    others: Sequence[tuple[Sums, Projections]] = (),
    ctf2: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the class averages of highest posterior probability, and how far the data outweigh the prior.

    Parameters
    ----------
    old : (k, y, x) array
        References of the iteration before: kept where a class has no weight.
    size_px : int
        Window width of the iteration.
    others : sequence
        Back-projections of particles of other geometries, see `rotate_back`.
    ctf2 : (s,) array, optional
        Mean CTF**2 of CTF-premultiplied images, see `evidence`.

    Returns
    -------
    references : (k, y, x) float64 array, neither centred nor masked
    sigma2_reference, data_vs_prior, coverage : (k, s) float64 arrays

    Notes
    -----
    Source: Scheres (2012) J. Mol. Biol. 415, 406-418; RELION's `BackProjector::reconstruct` without gridding.
    """
    box, radius = old.shape[-1], size_px // 2
    data, weight = rotate_back(sums, projections, box, n_threads, others)
    sigma2_reference, data_vs_prior, coverage = evidence(weight, projections.tau2, tau2_fudge, box, radius, ctf2)
    references = np.empty(old.shape)

    def one(k: int) -> None:
        if sums.class_sums[k, 0] < MIN_CLASS_WEIGHT:
            references[k] = old[k]
        else:
            prior = tau2_fudge * projections.tau2[k : k + 1]
            references[k] = to_host(reconstruct(data[k : k + 1], weight[k : k + 1], box, radius, prior)[0])

    for_each(n_threads)(one, range(len(old)))
    return references, sigma2_reference, data_vs_prior, coverage


def update_noise(
    sums: Sums, old: np.ndarray, plane: HalfPlane, momentum: float = 0.0, pixels: np.ndarray | None = None
) -> np.ndarray:
    """Return the noise power (g, s): the residual's per component, never below the shell before where it vanishes.

    Parameters
    ----------
    momentum : float
        The share of the old value that is kept: 0.9 after a mini-batch.
    pixels : (g, s) array, optional
        How many pixels of an image of each group fall on a shell; those of `plane` if not given, as in RELION, which
        takes the model's for all.
    """
    counts = np.bincount(plane.shell, minlength=plane.n_shells)
    sigma2 = old.copy()
    for g in np.flatnonzero(sums.noise_weight > 0):
        found = sums.noise[g] / (2 * sums.noise_weight[g] * np.maximum(counts if pixels is None else pixels[g], 1))
        sigma2[g] = momentum * old[g] + (1 - momentum) * found
        for r in range(1, plane.n_shells):
            if sigma2[g, r] < 1e-14:
                sigma2[g, r] = sigma2[g, r - 1]
    return sigma2


def update_scales(
    sums: Sums, particles_per_group: np.ndarray, old: np.ndarray | None = None, momentum: float = 0.0
) -> np.ndarray:
    """Return intensity scales (m,): clipped to a fifth and five times their median, particle-weighted mean 1."""
    if len(particles_per_group) == 1:
        return np.ones(1)
    square = sums.signal_square
    scale = np.divide(sums.signal_cross, square, out=np.ones_like(square), where=square > 0)
    if old is not None:
        scale = momentum * old + (1 - momentum) * scale
    median = float(np.sort(scale)[len(scale) // 2])
    scale = np.clip(scale, median / 5, 5 * median) if median > 0 else np.ones_like(scale)
    return scale / ((scale * particles_per_group).sum() / particles_per_group.sum())


def update_offset_prior(
    sums: Sums,
    pixel_size_ang: float,
    centred: bool,
    old: tuple[np.ndarray, float] = (np.zeros(2), 0.0),
    momentum: float = 0.0,
) -> tuple[np.ndarray, float]:
    """Return the prior centre of each class (k, 2) and the offset spread, in Angstrom.

    `centred` keeps the centres at 0; otherwise, as in RELION, the class's sum is divided by the weight of
    all classes.
    """
    total = sums.class_sums[:, 0].sum()
    centre = pixel_size_ang * sums.class_sums[:, 1:3] / total
    variance = pixel_size_ang**2 * sums.class_sums[:, 3].sum() / (2 * total)
    variance = momentum * old[1] ** 2 + (1 - momentum) * variance
    centre = np.zeros_like(centre) if centred else momentum * old[0] + (1 - momentum) * centre
    return centre, float(np.sqrt(max(variance, MIN_SIGMA2_OFFSET_ANG2)))


def centred(references: np.ndarray, limit_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return references moved so that their positive pixels have their centre of mass at N / 2, at most `limit_px`.

    With them comes how each was moved, (k, 2) px: the offsets of this iteration's particles do not know of it.
    """
    shifts_px = np.array([-shortened(positive_centre_of_mass(image), limit_px) for image in references])
    return np.stack([moved(image, shift) for image, shift in zip(references, shifts_px, strict=True)]), shifts_px


def shortened(vector: np.ndarray, limit: float) -> np.ndarray:
    """Return a vector no longer than `limit`."""
    length = float(np.hypot(*vector))
    return vector * (limit / length) if length > limit else vector


def moved(image: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return an image moved by (x, y) with bilinear interpolation; zero where the source lies outside the image."""
    box = image.shape[-1]
    source = np.arange(box) - shift_px[:, None]  # (2, box): x, then y
    inside = (source >= 0) & (source <= box - 1)
    low = np.clip(np.floor(source).astype(int), 0, box - 2)
    (fx, fy), (x, y) = source - low, low
    fy = fy[:, None]
    below = image[y][:, x] * (1 - fx) + image[y][:, x + 1] * fx
    above = image[y + 1][:, x] * (1 - fx) + image[y + 1][:, x + 1] * fx
    return (below * (1 - fy) + above * fy) * (inside[1][:, None] & inside[0])
