"""The M-step of VDAM: gradients of a mini-batch, moments, relocation of a dying class, one step per class."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.kernels import gradient, kernels_of
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.numerics.rotation import PAD, padded_shape
from winnow2d.records import Moments

from . import vdam
from .gridded_sums import GriddedSums
from .maximisation import moved, rotate_back, shortened
from .parallel import for_each, workspace
from .projections import Projections
from .recovery import Halved, split_overfull
from .sums import Sums
from .vdam_schedule import Phases

logger = logging.getLogger(__name__)
N_HALVES = 2
INACTIVE_FRACTION = 0.1  # RELION's --class_inactivity_threshold: of the mean share of live classes
# Share of the way to their mean by which the moments of a centred class's halves come together. The less they differ,
# the more of the gradient a class follows; RELION makes them equal, by taking one half for both.
_NEARER = 0.5
_COPY_DAMPING = 0.9  # of the first moment of a class that was made a copy


@dataclass(frozen=True)
class Step:
    """What the schedule says of one iteration."""

    number: int
    phases: Phases
    size: float
    tau2_fudge: float
    image_size_px: int
    centre_limit_px: float  # longest move of a reference; 0: none is centred
    least_move_px: float
    copies_half: bool  # RELION's quirk: a centred class gets the moment of half 0 in both halves
    halved: Halved | None = None  # cuts overfull classes in two; None: none is


@dataclass
class Stepped:
    """References (k, y, x) after a step, neither flattened nor rounded, their moments and their evidence (k, s)."""

    references: np.ndarray
    pdf_class: np.ndarray  # (k,), with a relocated class's share copied
    moments: Moments | None  # VDAM only
    centring_px: np.ndarray  # (k, 2), x then y: how each reference was moved in the end
    sigma2_reference: np.ndarray
    data_vs_prior: np.ndarray
    coverage: np.ndarray


def first_moments(n_classes: int, box_px: int) -> Moments:
    """Return the moments before the first iteration."""
    shape = (n_classes, 2 * box_px, box_px + 1)
    return Moments(np.zeros((N_HALVES, *shape), np.complex64), np.ones(shape, np.float32))


def residuals_of_classes(
    parts: Sequence[tuple[Sums, Projections]], box_px: int, reach: int, n_threads: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Return what gives a class its residuals, images less weight times reference, and weights, on the padded grid.

    These are numpy's, data (2, 2 N, N + 2) complex128 and weight, and count up to `reach`; what a thread is given for
    a class holds until it asks for the next. The sums hold the residuals afterwards, or are as they were.
    """
    shape = padded_shape(box_px)
    if any(isinstance(sums, GriddedSums) or array_module(sums.weight) is not np for sums, _ in parts):
        data, weight = (part.reshape(N_HALVES, -1, *shape) for part in _residual_sums(parts, box_px, n_threads))
        return lambda k: (data[:, k], weight[:, k])

    def of_class(k: int) -> tuple[np.ndarray, np.ndarray]:
        grid = workspace("grid", (*shape, 8), np.dtype(np.float64))
        data, weight = (workspace(*what) for what in (
            ("data", (N_HALVES, *shape), np.dtype(np.complex128)), ("weight", (N_HALVES, *shape), np.dtype(np.float64))
        ))  # fmt: skip
        gradient.clear(grid, reach)
        for sums, seen in parts:
            table, unrotated = seen.fine_table, (sums.data_re, sums.data_im, sums.weight)
            refs = (seen.fine_re, seen.fine_im)
            gradient.add_residuals(k, unrotated, refs, table.index, table.fraction, table.sign, grid)
        gradient.unpack(grid, reach, data, weight)
        return data, weight

    return of_class


def _residual_sums(
    parts: Sequence[tuple[Sums, Projections]], box_px: int, n_threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals and weights of all classes, (2 k, m) each, wherever the sums lie."""
    for part, seen in parts:
        back_projected, refs = (part.data_re, part.data_im, part.weight), (seen.fine_re, seen.fine_im)
        kernels_of(part.weight).subtract_models(back_projected, refs, for_each(n_threads))
    (sums, projections), *others = parts
    data, weight = rotate_back(sums, projections, box_px, n_threads, others)
    return to_host(data), to_host(weight)


def take_step(
    sums: Sums,
    projections: Projections,
    references: np.ndarray,
    pdf_class: np.ndarray,
    moments: Moments,
    step: Step,
    n_threads: int,
    others: Sequence[tuple[Sums, Projections]] = (),
    ctf2: np.ndarray | None = None,
) -> Stepped:
    """Return the references after one gradient step.

    Parameters
    ----------
    sums : Sums
        Of both pseudo half-sets: the classes of half 0, then those of half 1.
    references : (k, y, x) array
    pdf_class : (k,) array
        Class fractions before this iteration.
    moments : Moments
    others : sequence
        Back-projections of particles of other geometries, see `rotate_back`.
    ctf2 : (s,) array, optional
        Mean CTF**2 of CTF-premultiplied images, see `maximisation.evidence`.

    Notes
    -----
    Source: RELION 5's `BackProjector::reweightGrad`, `getFristMoment`, `getSecondMoment`, `reconstructGrad`.
    """
    box, n_classes, radius = references.shape[-1], len(references), step.image_size_px // 2
    residuals = residuals_of_classes(((sums, projections), *others), box, PAD * radius, n_threads)
    over_classes = for_each(n_threads)
    first, second = np.empty_like(moments.first), np.empty_like(moments.second)
    prior = step.tau2_fudge * (projections.tau2 if ctf2 is None else projections.tau2 * ctf2)
    spectra = np.empty((3, *prior.shape))

    def gather(k: int) -> None:
        data, weight = residuals(k)
        first[:, k], second[k] = moments.first[:, k], moments.second[k]
        vdam.move_moments(data, weight, first[:, k], second[k], box, radius)
        spectra[:, k] = vdam.evidence(weight[0], prior[k], box, radius)

    over_classes(gather, range(n_classes))
    pdf_class, images = pdf_class.copy(), references.astype(np.float64)
    skipped = _relocate(images, first, second, pdf_class, step)
    centring_px = np.zeros((n_classes, 2))

    def move(k: int) -> None:
        if k != skipped:
            length = vdam.class_step_size(step.size, n_classes, pdf_class[k])
            images[k] = vdam.stepped(images[k], first[:, k], second[k], length, step.tau2_fudge, radius)
        centring_px[k] = _centre(images[k : k + 1], first[:, k : k + 1], step)[0]

    over_classes(move, range(n_classes))
    return Stepped(images, pdf_class, Moments(first, second), centring_px, *spectra)


def _relocate(
    images: np.ndarray, first: np.ndarray, second: np.ndarray, pdf_class: np.ndarray, step: Step
) -> int | None:
    """Make a dying class a copy of the one that changes most, in place; return the class, or None.

    Where overfull classes are split and one was, none is made a copy.
    """
    if step.halved is not None and split_overfull(images, first, second, pdf_class, step.halved):
        return None
    live = pdf_class > 0
    drop = int(pdf_class.argmin())
    if not step.phases.is_middle(step.number) or pdf_class[drop] >= INACTIVE_FRACTION / live.sum():
        return None
    lively = [gradient.liveliness((first[0, k], first[1, k]), second[k]) for k in range(len(images))]
    expand = int(np.argmax(pdf_class * np.array(lively)))
    images[drop], second[drop] = images[expand], second[expand]
    first[:, drop] = first[:, expand]
    first[0, drop] *= np.float32(_COPY_DAMPING)
    logger.info("Class %d was dying and goes on as a copy of class %d", drop + 1, expand + 1)
    pdf_class[drop] = pdf_class[expand]
    return drop


def _centre(images: np.ndarray, first: np.ndarray, step: Step) -> np.ndarray:
    """Move badly centred references and their first moments to the middle, in place; return the moves (k, 2) in px."""
    moves_px = np.zeros((len(images), 2))
    if step.centre_limit_px <= 0 or step.phases.is_final(step.number):
        return moves_px
    for k, image in enumerate(images):
        centre = positive_centre_of_mass(image)
        if np.hypot(*centre) <= step.least_move_px:
            continue
        moves_px[k] = shift = -shortened(centre, step.centre_limit_px)
        images[k] = moved(image, shift)
        first[:, k] = vdam.shifted_moments(first[:, k], shift, len(image))
        if step.copies_half:
            first[1, k] = first[0, k]
        else:
            mean = first[:, k].mean(axis=0)
            first[:, k] += np.complex64(_NEARER) * (mean - first[:, k])
    return moves_px
