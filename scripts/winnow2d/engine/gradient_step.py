"""The M-step of VDAM: gradients of a mini-batch, moments, relocation of a dying class, one step per class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.numerics.rotation import padded_shape
from winnow2d.records import Moments

from . import vdam
from .maximisation import evidence, moved, rotate_back, shortened
from .projections import Projections
from .sums import Sums
from .vdam_schedule import Phases

logger = logging.getLogger(__name__)
N_HALVES = 2
INACTIVE_FRACTION = 0.1  # RELION's --class_inactivity_threshold: of the mean share of live classes
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


@dataclass
class Stepped:
    """References (k, y, x) after a step, neither flattened nor rounded, their moments and their evidence (k, s)."""

    references: np.ndarray
    pdf_class: np.ndarray  # (k,), with a relocated class's share copied
    moments: Moments | None  # VDAM only
    sigma2_reference: np.ndarray
    data_vs_prior: np.ndarray
    coverage: np.ndarray


def first_moments(n_classes: int, box_px: int) -> Moments:
    """Return the moments before the first iteration."""
    shape = (n_classes, 2 * box_px, box_px + 1)
    return Moments(np.zeros((N_HALVES, *shape), np.complex64), np.ones(shape, np.float32))


def subtract_model(sums: Sums, projections: Projections) -> None:
    """Turn back-projected images into back-projected residuals, in place: images less weight times reference."""
    n_classes = len(projections.fine_re)
    for start in range(0, len(sums.weight), n_classes):
        half = slice(start, start + n_classes)
        sums.data_re[half] -= sums.weight[half] * projections.fine_re
        sums.data_im[half] -= sums.weight[half] * projections.fine_im


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
    for part in ((sums, projections), *others):
        subtract_model(*part)
    data, weight = (to_host(part) for part in rotate_back(sums, projections, box, n_threads, others))
    gradients = vdam.gradient(data, weight, box, radius).reshape(N_HALVES, n_classes, -1)
    sigma2_reference, data_vs_prior, coverage = evidence(
        weight[:n_classes], projections.tau2, step.tau2_fudge, box, radius, ctf2
    )
    first, second = _flat(moments)
    reached = vdam.reached(box, radius)
    for k in range(n_classes):
        moved_first, moved_second = vdam.updated(first[:, k], second[k], gradients[:, k])
        first[:, k], second[k] = np.where(reached, moved_first, first[:, k]), np.where(reached, moved_second, second[k])
    pdf_class, images = pdf_class.copy(), references.astype(np.float64)
    skipped = _relocate(images, first, second, pdf_class, step)
    for k in range(n_classes):
        if k != skipped:
            length = vdam.class_step_size(step.size, n_classes, pdf_class[k])
            images[k] = vdam.stepped(images[k], first[:, k], second[k], length, step.tau2_fudge, radius)
    _centre(images, first, step)
    return Stepped(images, pdf_class, _records(first, second, box), sigma2_reference, data_vs_prior, coverage)


def _relocate(
    images: np.ndarray, first: np.ndarray, second: np.ndarray, pdf_class: np.ndarray, step: Step
) -> int | None:
    """Make a dying class a copy of the one that changes most, in place; return the class, or None."""
    live = pdf_class > 0
    drop = int(pdf_class.argmin())
    if not step.phases.is_middle(step.number) or pdf_class[drop] >= INACTIVE_FRACTION / live.sum():
        return None
    lively = [float(np.mean(np.abs(vdam.direction(first[:, k], second[k])) ** 2)) for k in range(len(images))]
    expand = int(np.argmax(pdf_class * np.array(lively)))
    images[drop], second[drop] = images[expand], second[expand]
    first[:, drop] = first[:, expand]
    first[0, drop] *= _COPY_DAMPING
    logger.info("Class %d was dying and goes on as a copy of class %d", drop + 1, expand + 1)
    pdf_class[drop] = pdf_class[expand]
    return drop


def _centre(images: np.ndarray, first: np.ndarray, step: Step) -> None:
    """Move badly centred references and their first moments to the middle, in place."""
    if step.centre_limit_px <= 0 or step.phases.is_final(step.number):
        return
    for k, image in enumerate(images):
        centre = positive_centre_of_mass(image)
        if np.hypot(*centre) <= step.least_move_px:
            continue
        shift = -shortened(centre, step.centre_limit_px)
        images[k] = moved(image, shift)
        first[:, k] = vdam.shifted_moments(first[:, k], shift, len(image))
        if step.copies_half:
            first[1, k] = first[0, k]


def _flat(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Return moments on the padded grid of the numerics, which has one more column, as (2, k, m) and (k, m)."""
    widths = [(0, 0), (0, 0), (0, 1)]
    first = np.stack([np.pad(half, widths) for half in moments.first]).astype(np.complex128)
    second = np.pad(moments.second, widths, constant_values=1).astype(np.float64)
    return first.reshape(*first.shape[:2], -1), second.reshape(len(second), -1)


def _records(first: np.ndarray, second: np.ndarray, box_px: int) -> Moments:
    rows, columns = padded_shape(box_px)
    shape = (rows, columns)
    first = first.reshape(*first.shape[:2], *shape)[..., : columns - 1]
    second = second.reshape(len(second), *shape)[..., : columns - 1]
    return Moments(first.astype(np.complex64), second.astype(np.float32))
