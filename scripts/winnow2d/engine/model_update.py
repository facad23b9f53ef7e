"""Sums of an iteration -> the next model: references by EM or by VDAM, then every other parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.records import Iteration, Model, Moments

from . import maximisation
from .accuracy import NOT_ESTIMATED
from .gradient_step import Step, Stepped, take_step
from .masking import flattened
from .projections import Projections
from .recovery import SPLITTING_ITERATIONS, Halved, halves, split_largest
from .schedule import next_resolution_shell
from .stages import M_STEP, stage
from .sums import Sums
from .vdam_schedule import phases, step_size, tau2_fudge
from .views import View, mean_ctf2, totals

if TYPE_CHECKING:
    from .classify import Classifier

_SPLIT = 5  # purpose of random numbers; others stand in iteration.py
PARAMETER_MOMENTUM = 0.9  # share of the old parameters kept after a mini-batch
_LEAST_MOVE_PX, _LEAST_MOVE_OF_DIAMETER = 2.0, 0.01  # VDAM centres references beyond this


@stage(M_STEP)
def maximise(
    run: Classifier, old: Iteration, views: Sequence[View], size_px: int, n_rows: int
) -> tuple[Model, Moments | None]:
    """Return the model of highest posterior probability (EM); moments of VDAM stay as they were."""
    tau, before = run.class2d.tau_fudge, old.model
    sums, projections, others = totals(views)
    references, sigma2_reference, data_vs_prior, coverage = maximisation.update_references(
        sums, projections, before.references, tau, size_px, run.n_threads, others, _mean_ctf2(run, views)
    )
    references[sums.class_sums[:, 0] == 0] = 0
    centring_px = np.zeros((len(references), 2))
    if run.class2d.do_center:
        references, centring_px = maximisation.centred(references, run.class2d.offset_range)
    found = Stepped(references, before.pdf_class, None, centring_px, sigma2_reference, data_vs_prior, coverage)
    model = _model(run, before, sums, projections, size_px, found, tau, 0.0)
    return _with_lost_classes(run, old.number + 1, references, model), old.moments


def _with_lost_classes(run: Classifier, number: int, references: np.ndarray, model: Model) -> Model:
    """Return the model after EM, in which a class about to be lost is half of the largest."""
    may_split = run.class2d.do_em and number in SPLITTING_ITERATIONS and model.n_classes > 1
    if run.keeps_quirks or not may_split:
        return model
    rng, shell = run.rng(_SPLIT, number), max(model.resolution_shell // 2, 2)
    references, share, n_split = split_largest(references, model.pdf_class, run.mask, shell, rng)
    if not n_split:
        return model
    flat = flattened(references, run.mask).astype(np.float32)
    unmasked = None if model.unmasked_references is None else references.astype(np.float32)
    return replace(model, references=flat, pdf_class=share, unmasked_references=unmasked)


@stage(M_STEP)
def descend(
    run: Classifier, old: Iteration, views: Sequence[View], size_px: int, n_rows: int
) -> tuple[Model, Moments | None]:
    """Return the model after a gradient step (VDAM), and its moments."""
    number, total, options = old.number + 1, run.class2d.n_iterations, run.class2d
    assert old.moments is not None, "VDAM goes on from an iteration of VDAM"
    step = Step(
        number=number,
        phases=phases(total),
        size=step_size(number, total),
        tau2_fudge=tau2_fudge(number, total, options.tau_fudge),
        image_size_px=size_px,
        centre_limit_px=options.offset_range if options.do_center else 0.0,
        least_move_px=max(_LEAST_MOVE_PX, _LEAST_MOVE_OF_DIAMETER * options.particle_diameter / run.pixel_size_ang),
        copies_half=run.keeps_quirks,
        halved=_halved(run, old),
    )
    before = old.model
    sums, projections, others = totals(views)
    found = take_step(
        sums,
        projections,
        before.references,
        before.pdf_class,
        old.moments,
        step,
        run.n_threads,
        others,
        _mean_ctf2(run, views),
    )
    momentum = 0.0 if n_rows == len(old.particles) else PARAMETER_MOMENTUM
    return _model(run, before, sums, projections, size_px, found, step.tau2_fudge, momentum), found.moments


def _halved(run: Classifier, old: Iteration) -> Halved | None:
    """Return what cuts overfull classes in two in the iteration after `old` of VDAM, or None if none is."""
    number = old.number + 1
    if run.keeps_quirks or not phases(run.class2d.n_iterations).is_splitting(number):
        return None
    rng, shell = run.rng(_SPLIT, number), max(old.model.resolution_shell // 2, 2)
    return partial(halves, mask=run.mask, shell=shell, rng=rng)


def _mean_ctf2(run: Classifier, views: Sequence[View]) -> np.ndarray | None:
    return mean_ctf2(views, np.bincount(run.plane.shell, minlength=run.plane.n_shells))


def _pixels_of_shells(run: Classifier) -> np.ndarray:
    """Return how many pixels of an image of each optics group fall on each shell of the model, (g, s)."""
    counts = [geometry.pixels_of_shells() for geometry in run.geometries]
    return np.stack([counts[at] for at in run.geometry_of_optics])


def _model(
    run: Classifier,
    old: Model,
    sums: Sums,
    projections: Projections,
    size_px: int,
    found: Stepped,
    tau: float,
    momentum: float,
) -> Model:
    """Return the model with all parameters but the accuracies, references flattened; `momentum` keeps old values."""
    total = sums.class_sums[:, 0].sum()
    pdf_class = momentum * found.pdf_class + (1 - momentum) * sums.class_sums[:, 0] / total
    if not (run.keeps_quirks or momentum):  # no particle saw yet what a class was made into: a share of 0 would stay 0
        pdf_class = np.where(found.pdf_class == old.pdf_class, pdf_class, found.pdf_class)
    prior_offset, sigma_offset = maximisation.update_offset_prior(
        sums, run.pixel_size_ang, not run.keeps_quirks, (old.prior_offset_ang, old.sigma_offset_ang), momentum
    )
    counts = run.particles_per_group
    return Model(
        pixel_size_ang=run.pixel_size_ang,
        references=flattened(found.references, run.mask).astype(np.float32),
        pdf_class=pdf_class / pdf_class.sum(),
        prior_offset_ang=prior_offset,
        sigma_offset_ang=sigma_offset,
        sigma2_noise=maximisation.update_noise(
            sums, old.sigma2_noise, run.plane, momentum, None if run.keeps_quirks else _pixels_of_shells(run)
        ),
        scale_correction=maximisation.update_scales(sums, counts, old.scale_correction, momentum),
        norm_correction_average=momentum * old.norm_correction_average + (1 - momentum) * sums.norm_sum / total,
        tau2_fudge=tau,
        tau2=projections.tau2,
        sigma2_reference=found.sigma2_reference,
        data_vs_prior=found.data_vs_prior,
        fourier_coverage=found.coverage,
        resolution_shell=next_resolution_shell(found.data_vs_prior),
        image_size_px=size_px,
        log_likelihood=sums.log_likelihood_sum,
        average_max_probability=sums.max_probability_sum / total,
        unmasked_references=found.references.astype(np.float32) if run.class2d.do_em else None,
        centring_ang=found.centring_px * run.pixel_size_ang,
    )


def with_accuracies(model: Model, old: Model, accuracies: tuple[np.ndarray, np.ndarray, np.ndarray] | None) -> Model:
    """Return the model with new accuracies (degrees, px) and orientability, or with those of the model before."""
    if accuracies is None:
        return replace(
            model,
            accuracy_rotation_deg=old.accuracy_rotation_deg,
            accuracy_offset_ang=old.accuracy_offset_ang,
            orientability=old.orientability,
        )
    rotation, offset_px, orientability = accuracies
    estimated = offset_px < NOT_ESTIMATED
    return replace(
        model,
        accuracy_rotation_deg=rotation,
        accuracy_offset_ang=np.where(estimated, offset_px * model.pixel_size_ang, NOT_ESTIMATED),
        orientability=orientability,
    )
