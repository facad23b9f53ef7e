"""Score the classes of a round and keep the particles of the good ones (RELION job type Select).

The classification is that of the round, or one that another program or project made (input: {optimiser: ...}).
"""

import logging
import os
from pathlib import Path

import numpy as np

from winnow2d import runner
from winnow2d.config import Round, check_config
from winnow2d.errors import problems_of
from winnow2d.formats.form_versions import files_of_fn_model
from winnow2d.formats.jobs import is_ours, split_job_name
from winnow2d.formats.ledger import write_class_ledger, write_particle_ledger
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.formats.positions import image_pixel_size, micrograph_indices, micrograph_pixel_sizes, read_positions
from winnow2d.formats.refinement import class_table_from_here, read_iteration
from winnow2d.formats.selection_star import (
    class_image_names,
    class_indices,
    classified_particles,
    mask_diameter_ang,
    remove_selection,
    rows_of,
    write_backup_selection,
    write_class_averages,
    write_kept_particles,
    write_rank_files,
)
from winnow2d.intake.classified import enter_classified
from winnow2d.intake.rounds import planned
from winnow2d.options import SelectOptions
from winnow2d.selection.choose import choose_classes
from winnow2d.selection.duplicates import later_duplicates
from winnow2d.selection.features import class_features
from winnow2d.selection.recentre import recentred
from winnow2d.selection.scores import score_classes

logger = logging.getLogger("winnow2d")

OUTPUTS = {
    "particles": "particles.star", "class_averages": "class_averages.star", "backup_selection": "backup_selection.star",
    "class_ledger": "classes.tsv", "particle_ledger": "particles.tsv",
}  # fmt: skip


def misfit(options: SelectOptions) -> str:
    """Return why a form of RELION's Select job does not ask for a choice of classes by their scores; empty if so."""
    if not options.fn_model:
        return "fn_model names no optimiser file of a Class2D job, of which this script chooses classes"
    if options.do_regroup:
        return "do_regroup: Yes is a job of its own; run it with scripts/regroup.py"
    if not options.do_class_ranker:
        return "do_class_ranker: No is a choice by hand in RELION's window; with Yes it is made here"
    return ""


SPEC = runner.JobSpec(
    type="Select",
    label="relion.select.class2dauto",
    nodes={"particles": "particles", "class_averages": "class_averages"},
    input_nodes={"optimiser": "class2d_optimiser"},
    option_inputs={"fn_model": "optimiser"},
    inputs_of=lambda options: files_of_fn_model(options.fn_model),
    misfit=misfit,
    planned_outputs=lambda options: OUTPUTS,
)


def duplicates_of(table: ParticleTable, kept_classes: np.ndarray, options: SelectOptions, where: str) -> dict[int, str]:
    """Return the rows of duplicates among the particles of kept classes, with the reason for the ledger."""
    rows = np.flatnonzero(np.append(kept_classes, False)[class_indices(table, len(kept_classes))])
    kept = rows_of(table, rows)
    positions = read_positions(kept, f"{where}, of kept classes")
    pixel = options.image_angpix if options.image_angpix > 0 else image_pixel_size(table, where)
    micrograph_pixels = micrograph_pixel_sizes(kept, where)
    if micrograph_pixels is not None and not np.allclose(micrograph_pixels, pixel, rtol=1e-3):
        logging.getLogger(__name__).warning(
            "Distances between particles are taken with pixels of %g A, but data_optics tells of micrographs with "
            "%s A: if those are the pixels of rlnCoordinateX, set select.image_angpix.",
            pixel, ", ".join(f"{value:g}" for value in np.unique(micrograph_pixels)),
        )  # fmt: skip
    place = positions.coordinate_px - positions.offset_ang * (1 / pixel)
    micrograph = micrograph_indices(positions.micrograph_names)
    partner = later_duplicates(place, micrograph, options.duplicate_threshold / pixel)
    distance = pixel * np.sqrt(((place - place[partner]) ** 2).sum(axis=1))
    names = kept.particles["rlnImageName"].tolist()
    return {
        int(rows[row]): f"duplicate: {distance[row]:.1f} A from {names[partner[row]]}"
        for row in np.flatnonzero(partner >= 0)
    }


def later_rounds() -> tuple[Round, ...]:
    """Return the rounds after this one: no params of the rule, or a changed round would select again."""
    rule = globals().get("snakemake")
    return check_config(rule.config).rounds[1:] if rule and rule.config else ()


def read_particles(job: runner.Job) -> ParticleTable:
    """Return the particles of the classification; those of one that was not made here are checked and linked."""
    data, later = job.inputs.data, later_rounds()
    job_of_data = split_job_name(os.path.relpath(data.resolve(), Path.cwd().resolve()))
    if job_of_data and is_ours(data.parent):  # of this project, whose names are found here
        return read_particle_table(data)
    return enter_classified(
        source=data,
        project=Path(),
        job_directory=job.directory.as_posix(),
        stacks_root=job.own.stacks_root,
        do_ctf_correction=any(item.class2d.do_ctf_correction for item in later),
        rounds=planned(later),
    )


def has_average(references: np.ndarray, where: str) -> np.ndarray:
    """Return which class averages (k, y, x) are pictures, (k,) bool: RELION may leave NaN of a class it lost."""
    is_whole = np.isfinite(references).all(axis=(1, 2))
    if not is_whole.all():
        classes = ", ".join(map(str, np.flatnonzero(~is_whole) + 1))
        logger.warning("%s: NaN or infinite pixels in class %s; the score is 0", where, classes)
    return is_whole


with runner.job(globals(), SPEC) as job:
    spare_ledger = job.directory / "classes.tsv"  # Snakemake removes the outputs of a job that fails; this one stays
    remove_selection(job.directory)
    for path in (spare_ledger, job.outputs.class_ledger, job.outputs.particle_ledger):
        path.unlink(missing_ok=True)

    table = read_particles(job)
    iteration = read_iteration(job.inputs.optimiser)
    with problems_of(job.inputs.data):
        class_indices(table, iteration.model.n_classes)  # before anything is counted by them
    diameter = getattr(job.params, "particle_diameter", None) or mask_diameter_ang(job.inputs.optimiser)
    features = class_features(iteration, diameter or iteration.model.box_px * iteration.model.pixel_size_ang)
    n_unclassified = int((iteration.particles.class_index < 0).sum())
    scores = np.where(
        has_average(iteration.model.references, str(job.inputs.model)), score_classes(features).score, 0.0
    )
    choice = choose_classes(features, scores, job.options, n_unclassified)
    classes = class_table_from_here(job.inputs.model, job.inputs.optimiser)

    for path in (job.outputs.class_ledger,) if choice.kept.any() else (job.outputs.class_ledger, spare_ledger):
        write_class_ledger(
            path, class_image_names(classes), choice.score, choice.threshold, choice.kept, choice.rule, features
        )
    has_duplicates_removed = job.options.do_remove_duplicates and choice.kept.any()
    duplicates = duplicates_of(table, choice.kept, job.options, str(job.inputs.data)) if has_duplicates_removed else {}
    write_particle_ledger(
        job.outputs.particle_ledger, *classified_particles(table, len(classes)), choice.kept, choice.rule, duplicates
    )
    logger.info(choice.sentence)
    choice.check_not_empty(str(spare_ledger))
    if has_duplicates_removed:
        logger.info(
            "%s duplicates within %g A removed, %s particles remain",
            f"{len(duplicates):,}", job.options.duplicate_threshold,
            f"{int(choice.n_particles[choice.kept].sum()) - len(duplicates):,}",
        )  # fmt: skip

    write_kept_particles(job.outputs.particles, table, choice.kept, list(duplicates))
    stack = job.directory / "class_averages.mrcs" if job.options.do_recenter else None
    if stack:
        write_stack(stack, recentred(iteration.model.references[choice.order]), iteration.model.pixel_size_ang)
    write_class_averages(
        job.outputs.class_averages, classes, choice.order, choice.score, stack.as_posix() if stack else ""
    )
    write_backup_selection(job.outputs.backup_selection, choice.kept)
    write_rank_files(job.directory, job.inputs.optimiser, table, classes, choice.score)
