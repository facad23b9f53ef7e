"""One iteration, of EM or of VDAM, in RELION's order: sampling, projections, E-step, M-step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.errors import ImageError
from winnow2d.numerics.kernels.priors import pose_log_prior
from winnow2d.numerics.kernels.rows import add_rows
from winnow2d.numerics.kernels.top_classes import N_TOP, NONE
from winnow2d.records import Iteration, Model, Particles, Sampling

from .changes import measure_changes
from .draws import uniform_draws
from .evaluation import Worker, evaluated
from .expectation import ChunkSums, Comparison, compare_with, expect
from .fixed_poses import FixedComparison, compare_at_fixed_poses, expect_at_fixed_poses
from .geometry import Geometry
from .gradient_step import N_HALVES
from .gridded_sums import add_batch, sums_of
from .images import coloured_noise, prepare
from .model_update import descend, maximise, with_accuracies
from .priors import class_log_prior, rounded_offset_px
from .probes import reference_accuracies
from .projections import ReferenceSpectra, project, reference_spectra
from .sampling import SearchGrid, coarser, perturbed, search_grid
from .schedule import expectation_sizes_px, image_size_px
from .sums import Sums, add_averages, add_chunk_parameters, in_halves
from .vdam_schedule import step_size
from .views import View

if TYPE_CHECKING:
    from .classify import Classifier

_PERTURBATION, _SOLVENT = 1, 2  # purposes of random numbers
THIN_BELOW = 0.02  # posteriors below this are thinned out, without bias


def next_iteration(run: Classifier, old: Iteration, progress: Callable[[int, int], None]) -> Iteration:
    """Return the iteration after `old`."""
    number = old.number + 1
    sampling = perturbed(old.sampling, run.rng(_PERTURBATION, number))
    return iterate(run, old, sampling, progress)


def iterate(
    run: Classifier,
    old: Iteration,
    sampling: Sampling,
    progress: Callable[[int, int], None] = lambda done, total: None,
    rows: np.ndarray | None = None,
) -> Iteration:
    """Return the iteration after `old` with a given sampling (the door for replaying another program's iterations).

    Parameters
    ----------
    rows : (n,) int array, optional
        Particles to look at, ascending; all of them, or the mini-batch of the schedule, if not given.
    """
    number, n_particles = old.number + 1, len(old.particles)
    if rows is None:
        rows = run.batch(number)
    size_px = image_size_px(run.box_px, old.model.resolution_shell)
    accuracies = None
    if run.class2d.allow_coarser and run.class2d.dont_skip_align and number > 1:
        accuracies = reference_accuracies(run, old, size_px, sampling)
        sampling = coarser(sampling, float(accuracies[0].min()), float(accuracies[1].min()))
    if not run.class2d.dont_skip_align:
        sampling = replace(sampling, perturbation=0.0)
    spectra = reference_spectra(old.model.references, size_px, run.dtype, run.xp)
    views = [_view(run, old, geometry, sampling, spectra, size_px) for geometry in run.geometries]
    particles, sums = expectation_over(run, old, views, rows, progress)
    if sums.n_weighed == 0:
        raise ImageError(f"iteration {number}: none of {len(rows)} images can be compared with a class average")
    if accuracies is None and run.estimates_accuracies(number):
        accuracies = reference_accuracies(run, old, size_px, sampling, spectra)
    update = descend if run.is_gradient(number) else maximise
    model, moments = update(run, old, views, size_px, len(rows))
    return Iteration(
        number=number,
        total=run.class2d.n_iterations,
        model=with_accuracies(model, old.model, accuracies),
        particles=particles,
        optics=old.optics,
        sampling=sampling,
        changes=measure_changes(old, particles, model, rows),
        n_left_out=len(rows) - sums.n_weighed,
        batch_size=-1 if len(rows) == n_particles else len(rows),
        step_size=0.0 if run.class2d.do_em else step_size(number, run.class2d.n_iterations),
        batch_limits=old.batch_limits,
        moments=moments,
    )


def _view(
    run: Classifier,
    old: Iteration,
    geometry: Geometry,
    sampling: Sampling,
    references: ReferenceSpectra,
    size_px: int,
) -> View:
    """Return what particles of one geometry are compared with in an iteration, and their empty sums."""
    model = old.model
    n_halves = N_HALVES if run.is_gradient(old.number + 1) else 1
    compared = _comparison(run, old, geometry, sampling, references, size_px)
    sums = sums_of(compared, len(old.optics), len(old.particles.group_names), n_halves)
    if not geometry.is_models_own:
        sums = replace(sums, noise=np.zeros(model.sigma2_noise.shape))
    return View(geometry, compared.projections, compared, sums, np.zeros(model.sigma2_noise.shape[1]))


def _comparison(
    run: Classifier,
    old: Iteration,
    geometry: Geometry,
    sampling: Sampling,
    references: ReferenceSpectra,
    size_px: int,
) -> Comparison | FixedComparison:
    """Return the constants of the E-step of one geometry's particles, the rotated references among them."""
    model, plane = old.model, geometry.plane
    grid = search_grid(sampling, geometry.pixel_size_ang) if run.class2d.dont_skip_align else None
    psi_step_deg = sampling.psi_step_deg if grid is None else grid.psi_step_deg
    shell = None if run.keeps_quirks else model.resolution_shell
    sizes = expectation_sizes_px(run.class2d, run.box_px, run.pixel_size_ang, psi_step_deg, size_px, shell)
    coarse_px, fine_px, full_px = (geometry.size_px(size) for size in (*sizes, size_px))
    view, prior_px = geometry.view(size_px // 2, full_px), _prior_px(run, model, geometry)
    spectra = geometry.spectrum(model.sigma2_noise), geometry.spectrum(model.data_vs_prior)
    if grid is None:
        return compare_at_fixed_poses(references, plane, (fine_px, full_px), *spectra, prior_px, run.dtype, view)
    projections = project(references, grid, plane, (coarse_px, full_px), run.dtype, run.n_threads, run.xp, view)
    return compare_with(
        projections, grid, plane, (coarse_px, fine_px, full_px), *spectra, prior_px, run.max_significant,
        thin=0.0 if run.keeps_quirks else THIN_BELOW,
    )  # fmt: skip


def _prior_px(run: Classifier, model: Model, geometry: Geometry) -> np.ndarray:
    """Return the prior centres in the unit the offsets are compared in: RELION takes Angstrom for pixels here."""
    return model.prior_offset_ang if run.keeps_quirks else model.prior_offset_ang / geometry.pixel_size_ang


def _log_prior(
    run: Classifier, old: Iteration, geometry: Geometry, rows: np.ndarray, grid: SearchGrid | None
) -> np.ndarray:
    """Return the log prior (n, k, t) of class and coarse shift; without a grid of each particle's own offset."""
    pixel_size, reach_px = geometry.pixel_size_ang, np.inf
    offset_px = rounded_offset_px(old.particles.offset_ang[rows], pixel_size)
    shifts_px = np.zeros((1, 2)) if grid is None else grid.coarse_shifts_px
    if grid is None:
        rest_px = old.particles.offset_ang[rows] / pixel_size - offset_px
        offset_px = offset_px + rest_px * (pixel_size if run.keeps_quirks else 1.0)
    elif not run.keeps_quirks:
        reach_px = run.class2d.offset_range * run.pixel_size_ang / pixel_size
    # In EM a flat class prior keeps full classes from swallowing the others; RELION's follows the class fractions.
    n_classes, is_gradient = old.model.n_classes, run.is_gradient(old.number + 1)
    pdf_class = old.model.pdf_class if run.keeps_quirks or is_gradient else np.full(n_classes, 1 / n_classes)
    return pose_log_prior(
        offset_px.astype(np.float64), shifts_px, old.model.prior_offset_ang, float(old.model.sigma_offset_ang),
        float(pixel_size), run.keeps_quirks, float(reach_px), class_log_prior(pdf_class),
    )  # fmt: skip


def expect_chunk(
    run: Classifier, old: Iteration, worker: Worker, view: View, rows: np.ndarray
) -> tuple[ChunkSums, np.ndarray | None]:
    """Return posteriors and sums of one chunk of particles; VDAM's back-projections are told apart by half-set.

    With CTF-premultiplied particles also the share of each in `View.ctf2`, (n, s_own).
    """
    particles, geometry, compared = old.particles, view.geometry, view.compared
    optics_group = particles.optics_group[rows]
    offset_px = rounded_offset_px(particles.offset_ang[rows], geometry.pixel_size_ang)
    noise = None
    if not run.class2d.do_zero_mask:
        rngs = [run.rng(_SOLVENT, 0, int(row)) for row in rows]
        noise = coloured_noise(compared.sigma2_noise[optics_group], geometry.plane, rngs)
    norm_factor = old.model.norm_correction_average / particles.norm_correction[rows]
    images = worker.images.read(rows)
    last_row = compared.size_px // 2 if run.keeps_quirks else 0
    transfer = worker.transfer
    phases = transfer.phases(optics_group, geometry.plane, last_row)
    n_px = compared.n_px
    spectra = prepare(images, norm_factor, offset_px, geometry.mask, geometry.plane, noise, n_px, phases)
    scale = old.model.scale_correction[particles.group_index[rows]]
    ctf = transfer.ctf(rows, particles, n_px)
    data_factor = transfer.data_factor(rows, particles, ctf, scale if run.keeps_quirks else None)
    is_gradient = run.is_gradient(old.number + 1)
    half = rows % (N_HALVES if is_gradient else 1)
    ctf2 = None if data_factor is None else transfer.ctf2_sums(rows, particles, ctf, scale, compared.shell)
    if isinstance(compared, FixedComparison):
        pose = particles.psi_deg[rows], particles.offset_ang[rows] / geometry.pixel_size_ang
        prior = _log_prior(run, old, geometry, rows, None)[:, :, 0]
        fixed = expect_at_fixed_poses(compared, spectra, ctf, scale, optics_group, pose, prior, half, data_factor)
        return fixed, ctf2
    log_prior = _log_prior(run, old, geometry, rows, compared.grid)
    draws = uniform_draws(run.own.random_seed, old.number + 1, rows)
    chunk = expect(compared, spectra, ctf, scale, optics_group, offset_px, log_prior, draws, data_factor)
    return in_halves(chunk, half, old.model.n_classes) if is_gradient else chunk, ctf2


def expectation_over(
    run: Classifier, old: Iteration, views: Sequence[View], rows: np.ndarray, progress: Callable[[int, int], None]
) -> tuple[Particles, Sums]:
    """Return all particles, those in `rows` with new assignments, and the sums over these rows.

    Chunks hold particles of one geometry; the geometries follow one another. Whatever is summed is summed particle
    by particle, so that chunks and batches may have any size.
    """
    source = old.particles
    source = _with_top_classes(source)
    particles = replace(source, **{name: getattr(source, name).copy() for name in _ASSIGNED})
    sums, done, is_weighed = views[0].sums, 0, np.zeros(len(source), bool)
    place = run.geometry_of_optics[source.optics_group[rows]]
    for at, view in enumerate(views):
        for batch in evaluated(run, partial(expect_chunk, run, old), view, rows[place == at]):
            for part, (result, ctf2) in batch:
                _assign(run, particles, part, result, old.model.norm_correction_average, view.geometry.pixel_size_ang)
                is_weighed[part] = result.is_weighed
                in_model = view.geometry.in_model_units(result)
                add_chunk_parameters(sums, in_model, source.optics_group[part], source.group_index[part])
                if ctf2 is not None:
                    weighed = view.geometry.summed(ctf2[result.is_weighed])
                    add_rows(view.ctf2[None], np.zeros(len(weighed), np.int64), weighed)
                done += len(part)
            add_batch(view.sums, [chunk for _, (chunk, _) in batch], view.compared, run.n_threads)
            progress(done, len(rows))
    add_averages(sums, particles, rows[is_weighed[rows]])
    return particles, sums


_ASSIGNED = (
    "class_index", "psi_deg", "offset_ang", "norm_correction",
    "max_probability", "n_significant", "log_likelihood", "top_classes", "top_posteriors",
)  # fmt: skip


def _with_top_classes(particles: Particles) -> Particles:
    """Return particles with room for the classes that hold most of their posteriors."""
    if particles.top_classes is not None:
        return particles
    shape = (len(particles), N_TOP)
    return replace(
        particles, top_classes=np.full(shape, NONE, np.int32), top_posteriors=np.zeros(shape, np.float32)
    )  # fmt: skip


def _assign(
    run: Classifier, particles: Particles, rows: np.ndarray, result: ChunkSums, average: float, pixel_size_ang: float
) -> None:
    """Write the new assignments of a chunk; a particle without a finite weight keeps its pose, with probability 0."""
    used = result.is_weighed
    at = rows[used]
    particles.class_index[at] = result.class_index[used]
    if run.class2d.dont_skip_align:
        particles.psi_deg[at] = result.psi_deg[used]
        particles.offset_ang[at] = result.offset_px[used] * pixel_size_ang
    particles.norm_correction[at] *= result.residual_norm[used] / average
    particles.log_likelihood[at] = result.log_likelihood[used]
    particles.max_probability[rows] = np.where(used, result.max_probability, 0.0)
    particles.n_significant[rows] = result.n_significant
    assert particles.top_classes is not None
    assert particles.top_posteriors is not None
    particles.top_classes[rows], particles.top_posteriors[rows] = result.top_classes, result.top_posteriors
