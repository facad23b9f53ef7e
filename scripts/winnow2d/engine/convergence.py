"""Whether more iterations would change a classification: how far averages, classes and poses still move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.fourier import forward, inverse
from winnow2d.records import Iteration

WINDOW = 3  # iterations that are looked at, and as many before them
SETTLED_CLASSES = 0.05  # part of the particles that change class from one iteration to the next
SETTLED_AVERAGES = 0.01  # 1 - correlation of the class averages of two iterations
STILL_FALLING = 0.8  # of what it was before: changes that shrink as fast are still on their way
FINER = 0.97  # resolution, of what it was before: finer by that much is still on its way


@dataclass(frozen=True)
class Step:
    """How far one iteration moved.

    Attributes
    ----------
    number : int
        The iteration.
    is_gradient : bool
        A mini-batch of VDAM; else an iteration over all particles.
    classes : float
        Part of the particles looked at that changed class.
    psi_deg, offset_ang : float
        Changes of poses, as RELION counts them.
    averages : float
        1 - correlation with the averages before, over classes weighted by their particles; a mere shift is none.
    resolution_ang : float
        Of the model.
    """

    number: int
    is_gradient: bool
    classes: float
    psi_deg: float
    offset_ang: float
    averages: float
    resolution_ang: float


@dataclass(frozen=True)
class Verdict:
    """Whether a run has converged, and the figures that say so."""

    is_converged: bool
    sentence: str


def step_between(old: Iteration, new: Iteration, is_gradient: bool) -> Step:
    """Return how far an iteration moved from the one before."""
    model, changes = new.model, new.changes
    return Step(
        number=new.number,
        is_gradient=is_gradient,
        classes=changes.class_fraction,
        psi_deg=changes.psi_deg,
        offset_ang=changes.offset_ang,
        averages=change_of_averages(old.model.references, model.references, model.pdf_class),
        resolution_ang=model.box_px * model.pixel_size_ang / max(model.resolution_shell, 1),
    )


def change_of_averages(old: np.ndarray, new: np.ndarray, weights: np.ndarray) -> float:
    """Return 1 - correlation of class averages (k, y, x) of two iterations, weighted by classes (k,).

    Averages are re-centred now and then, so the best of all shifts counts. Classes without density count as equal.
    """
    one, two = (images.astype(np.float64) - images.mean(axis=(1, 2), keepdims=True) for images in (old, new))
    norm = np.sqrt((one**2).sum(axis=(1, 2)) * (two**2).sum(axis=(1, 2)))
    products = forward(one) * np.conj(forward(two))
    best = inverse(products, one.shape[-1]).max(axis=(1, 2)) * one[0].size
    alike = np.where(norm > 0, best / np.where(norm > 0, norm, 1), 1.0)
    total = weights.sum()
    return float(np.clip(1 - (alike * weights).sum() / total, 0, 1)) if total > 0 else 0.0


def verdict(steps: Sequence[Step]) -> Verdict:
    """Return whether a run has converged, from all its steps in order.

    It has if hardly anything moves any more, or if what moves has stopped shrinking and the resolution stopped to
    improve: particles without a class of their own change it for ever. Steps of VDAM are compared with such, those
    over all particles likewise.
    """
    alike = [step for step in steps if step.is_gradient == steps[-1].is_gradient] if steps else []
    n = min(WINDOW, len(alike) // 2)
    if n < 2:
        return Verdict(False, "not converged: too few iterations to tell")
    before, last = alike[-2 * n : -n], alike[-n:]

    def mean(part: Sequence[Step], name: str) -> float:
        return float(np.mean([getattr(step, name) for step in part]))

    figures = {name: (mean(before, name), mean(last, name)) for name in ("classes", "averages", "resolution_ang")}
    is_settled = figures["classes"][1] <= SETTLED_CLASSES and figures["averages"][1] <= SETTLED_AVERAGES
    is_falling = any(
        now < STILL_FALLING * then and now > limit
        for (then, now), limit in (
            (figures["classes"], SETTLED_CLASSES), (figures["averages"], SETTLED_AVERAGES)
        )
    )  # fmt: skip
    is_finer = figures["resolution_ang"][1] < FINER * figures["resolution_ang"][0]
    (classes_then, classes), (averages_then, averages), (resolution_then, resolution) = figures.values()
    told = (
        f"in the last {n} iterations {classes:.1%} of the particles changed class ({classes_then:.1%} in the {n} "
        f"before), averages changed by {averages:.1%} ({averages_then:.1%}), poses by {mean(last, 'psi_deg'):.1f} "
        f"degrees and {mean(last, 'offset_ang'):.1f} A; resolution {resolution:.1f} A ({resolution_then:.1f} A)"
    )
    is_converged = is_settled or not (is_falling or is_finer)
    state = "converged" if is_settled else "no longer improving" if is_converged else "not converged"
    return Verdict(is_converged, f"{state}: {told}")
