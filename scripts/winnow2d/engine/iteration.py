"""One iteration, of EM or of VDAM, in RELION's order: sampling, projections, E-step, M-step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.errors import ImageError
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.shells import round_half_away
from winnow2d.records import Changes, Iteration, Model, Particles, Sampling

from .accuracy import N_PARTICLES, expected_accuracies
from .draws import uniform_draws
from .expectation import ChunkSums, Comparison, compare_with, expect, rounded_offset_px
from .fixed_poses import FixedComparison, compare_at_fixed_poses, expect_at_fixed_poses
from .gradient_step import N_HALVES
from .gridded_sums import add_batch, sums_of
from .images import coloured_noise, prepare
from .model_update import descend, maximise, with_accuracies
from .parallel import batches, chunks, ordered_map
from .priors import offset_log_prior, pose_log_prior
from .projections import Projections, project
from .sampling import SearchGrid, coarser, perturbed, search_grid
from .schedule import expectation_sizes_px, image_size_px
from .sums import Sums, add_chunk_parameters, in_halves
from .vdam_schedule import step_size

if TYPE_CHECKING:
    from .classify import Classifier

_PERTURBATION, _SOLVENT, _ACCURACY = 1, 2, 3  # purposes of random numbers
_MOST = 2**31 - 1  # RELION's counters are 32 bits wide
_LEAST_GAIN_PER_ANG = 1e-4  # of resolution, as in RELION; its files have six digits
THIN_BELOW = 0.02  # posteriors below this are thinned out, without bias
_MIN_FRACTION_FOR_ACCURACY = 0.01  # RELION estimates accuracies for classes above this only


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
        accuracies = _accuracies(run, old, size_px, sampling)
        sampling = coarser(sampling, float(accuracies[0].min()), float(accuracies[1].min()))
    if not run.class2d.dont_skip_align:
        sampling = replace(sampling, perturbation=0.0)
    compared = _comparison(run, old, sampling, size_px)
    projections = compared.projections
    particles, sums = expectation_over(run, old, compared, rows, progress)
    if sums.n_weighed == 0:
        raise ImageError(f"iteration {number}: none of {len(rows)} images can be compared with a class average")
    if accuracies is None and run.estimates_accuracies(number):
        accuracies = _accuracies(run, old, size_px, sampling, projections)
    update = descend if run.is_gradient(number) else maximise
    model, moments = update(run, old, sums, projections, size_px, len(rows))
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
        step_size=step_size(number, run.class2d.n_iterations) if run.is_gradient(number) else 0.0,
        batch_limits=old.batch_limits,
        moments=moments,
    )


def _comparison(run: Classifier, old: Iteration, sampling: Sampling, size_px: int) -> Comparison | FixedComparison:
    """Return the constants of the E-step, the rotated references among them."""
    model = old.model
    if not run.class2d.dont_skip_align:
        fine_px = expectation_sizes_px(run.class2d, run.box_px, run.pixel_size_ang, sampling.psi_step_deg, size_px)[1]
        return compare_at_fixed_poses(
            model.references, run.plane, (fine_px, size_px), model.sigma2_noise, model.data_vs_prior,
            _prior_px(run, model), run.dtype, run.xp,
        )  # fmt: skip
    grid = search_grid(sampling, run.pixel_size_ang)
    shell = None if run.keeps_quirks else old.model.resolution_shell
    sizes = expectation_sizes_px(run.class2d, run.box_px, run.pixel_size_ang, grid.psi_step_deg, size_px, shell)
    projections = project(old.model.references, grid, run.plane, (sizes[0], size_px), run.dtype, run.n_threads, run.xp)
    return compare_with(
        projections, grid, run.plane, (*sizes, size_px),
        old.model.sigma2_noise, old.model.data_vs_prior, _prior_px(run, old.model), run.max_significant,
        thin=0.0 if run.keeps_quirks else THIN_BELOW,
    )  # fmt: skip


def _prior_px(run: Classifier, model: Model) -> np.ndarray:
    """Return the prior centres in the unit the offsets are compared in: RELION takes Angstrom for pixels here."""
    return model.prior_offset_ang if run.keeps_quirks else model.prior_offset_ang / run.pixel_size_ang


def _log_prior(run: Classifier, old: Iteration, rows: np.ndarray, grid: SearchGrid | None) -> np.ndarray:
    """Return the log prior (n, k, t) of class and coarse shift; without a grid of each particle's own offset."""
    offset_px = rounded_offset_px(old.particles.offset_ang[rows], run.pixel_size_ang)
    if grid is None:
        rest_px = old.particles.offset_ang[rows] / run.pixel_size_ang - offset_px
        offset_px = offset_px + rest_px * (run.pixel_size_ang if run.keeps_quirks else 1.0)
    offset_log = offset_log_prior(
        offset_px,
        np.zeros((1, 2)) if grid is None else grid.coarse_shifts_px,
        old.model.prior_offset_ang,
        old.model.sigma_offset_ang,
        run.pixel_size_ang,
        mix_units=run.keeps_quirks,
        limit_px=np.inf if run.keeps_quirks or grid is None else run.class2d.offset_range,
    )
    # In EM a flat class prior keeps full classes from swallowing the others; RELION's follows the class fractions.
    n_classes, is_gradient = old.model.n_classes, run.is_gradient(old.number + 1)
    pdf_class = old.model.pdf_class if run.keeps_quirks or is_gradient else np.full(n_classes, 1 / n_classes)
    return pose_log_prior(offset_log, pdf_class)


def expect_chunk(
    run: Classifier, old: Iteration, compared: Comparison | FixedComparison, rows: np.ndarray
) -> ChunkSums:
    """Return posteriors and sums of one chunk of particles; VDAM's back-projections are told apart by half-set."""
    particles = old.particles
    offset_px = rounded_offset_px(particles.offset_ang[rows], run.pixel_size_ang)
    noise = None
    if not run.class2d.do_zero_mask:
        rngs = [run.rng(_SOLVENT, 0, int(row)) for row in rows]
        noise = coloured_noise(compared.sigma2_noise[particles.optics_group[rows]], run.plane, rngs)
    norm_factor = old.model.norm_correction_average / particles.norm_correction[rows]
    spectra = prepare(
        run.xp.asarray(run.images.read(rows)), norm_factor, offset_px, run.mask, run.plane, noise, compared.n_px
    )
    scale, optics_group = old.model.scale_correction[particles.group_index[rows]], particles.optics_group[rows]
    is_gradient = run.is_gradient(old.number + 1)
    half = rows % (N_HALVES if is_gradient else 1)
    if isinstance(compared, FixedComparison):
        pose = particles.psi_deg[rows], particles.offset_ang[rows] / run.pixel_size_ang
        prior = _log_prior(run, old, rows, None)[:, :, 0]
        return expect_at_fixed_poses(
            compared, spectra, run.ctf(rows, particles), scale, optics_group, pose, prior, half
        )
    chunk = expect(
        compared,
        spectra,
        run.ctf(rows, particles),
        scale,
        optics_group,
        offset_px,
        _log_prior(run, old, rows, compared.grid),
        uniform_draws(run.own.random_seed, old.number + 1, rows),
    )
    return in_halves(chunk, half, old.model.n_classes) if is_gradient else chunk


def expectation_over(
    run: Classifier,
    old: Iteration,
    compared: Comparison | FixedComparison,
    rows: np.ndarray,
    progress: Callable[[int, int], None],
) -> tuple[Particles, Sums]:
    """Return all particles, those in `rows` with new assignments, and the sums over these rows."""
    source = old.particles
    particles = replace(source, **{name: getattr(source, name).copy() for name in _ASSIGNED})
    n_halves = N_HALVES if run.is_gradient(old.number + 1) else 1
    sums = sums_of(compared, len(old.optics), len(source.group_names), n_halves)
    done, parts = 0, chunks(rows, run.chunk_size)
    for batch in batches(parts):
        results = list(ordered_map(lambda part: expect_chunk(run, old, compared, part), batch, run.n_threads))
        for part, result in zip(batch, results, strict=True):
            _assign(run, particles, part, result, old.model.norm_correction_average)
            norm = particles.norm_correction[part]
            add_chunk_parameters(sums, result, source.optics_group[part], source.group_index[part], norm)
        add_batch(sums, results, compared, run.n_threads)
        done += len(batch)
        progress(done, len(parts))
    return particles, sums


_ASSIGNED = (
    "class_index", "psi_deg", "offset_ang", "norm_correction",
    "max_probability", "n_significant", "log_likelihood",
)  # fmt: skip


def _assign(run: Classifier, particles: Particles, rows: np.ndarray, result: ChunkSums, average: float) -> None:
    """Write the new assignments of a chunk; a particle without a finite weight keeps its pose, with probability 0."""
    used = result.is_weighed
    at = rows[used]
    particles.class_index[at] = result.class_index[used]
    if run.class2d.dont_skip_align:
        particles.psi_deg[at] = result.psi_deg[used]
        particles.offset_ang[at] = result.offset_px[used] * run.pixel_size_ang
    particles.norm_correction[at] *= result.residual_norm[used] / average
    particles.log_likelihood[at] = result.log_likelihood[used]
    particles.max_probability[rows] = np.where(used, result.max_probability, 0.0)
    particles.n_significant[rows] = result.n_significant


def _accuracies(
    run: Classifier, old: Iteration, size_px: int, sampling: Sampling, projections: Projections | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return accuracies (degrees, px) and orientability of the references that enter this iteration."""
    compared_px = min(
        expectation_sizes_px(run.class2d, run.box_px, run.pixel_size_ang, sampling.psi_step_deg, size_px)[1], size_px
    )
    if projections is None:
        grid = search_grid(sampling, run.pixel_size_ang)
        sizes_px = (compared_px, size_px)
        projections = project(old.model.references, grid, run.plane, sizes_px, run.dtype, run.n_threads, run.xp)
    rng = run.rng(_ACCURACY, old.number + 1)
    rows = np.sort(rng.permutation(len(old.particles))[:N_PARTICLES])
    n_px = run.plane.n_within(compared_px / 2)
    sigma2 = old.model.sigma2_noise[old.particles.optics_group[rows]][:, run.plane.shell[:n_px]]
    weights = to_host(run.ctf_of(rows, old.particles))[:, :n_px].astype(np.float64) ** 2 / sigma2
    weights[:, 0] = 0
    least = _MIN_FRACTION_FOR_ACCURACY if run.keeps_quirks else 0.1 / old.model.n_classes
    usable = old.model.pdf_class >= least
    return expected_accuracies(
        projections.spectra, usable, old.particles.psi_deg[rows], weights, run.plane, rng, run.n_threads
    )


def measure_changes(old: Iteration, particles: Particles, model: Model, rows: np.ndarray) -> Changes:
    """Return how far poses and classes of the rows looked at moved since `old`, with the counters carried on.

    As in RELION, angles are compared as they stand (170 and -170 degrees are 340 apart), a change is smaller than
    before if it is 3 % below the smallest, and the smallest share of classes is kept as a whole number.
    """
    before, last = old.particles, old.changes
    psi = float(np.mean(np.abs(particles.psi_deg - before.psi_deg)[rows] % 360))
    moved2 = ((particles.offset_ang - before.offset_ang)[rows] ** 2).sum(axis=1)
    offset = float(np.sqrt(moved2.sum() / (2 * len(moved2))))
    classes = float(np.mean((particles.class_index != before.class_index)[rows]))
    resolution = model.resolution_shell / (model.box_px * model.pixel_size_ang)
    gained = resolution > last.best_resolution_per_ang + _LEAST_GAIN_PER_ANG
    pairs = ((classes, last.smallest_class_fraction), (offset, last.smallest_offset_ang), (psi, last.smallest_psi_deg))
    smaller = any(1.03 * now < smallest for now, smallest in pairs)
    fewest = last.smallest_class_fraction
    most = _MOST if old.moments is None else 1  # RELION's VDAM counts no further
    return Changes(
        psi_deg=psi,
        offset_ang=offset,
        class_fraction=classes,
        smallest_psi_deg=min(psi, last.smallest_psi_deg),
        smallest_offset_ang=min(offset, last.smallest_offset_ang),
        smallest_class_fraction=float(round_half_away(classes)) if classes < fewest else fewest,
        iterations_without_resolution_gain=0 if gained else min(last.iterations_without_resolution_gain + 1, most),
        iterations_without_assignment_change=0 if smaller else last.iterations_without_assignment_change + 1,
        best_resolution_per_ang=max(resolution, last.best_resolution_per_ang),
    )
