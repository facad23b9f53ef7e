"""Score the classes of a round and keep the particles of the good ones (RELION job type Select).

The classification is that of the round, or one that another program or project made (input: {optimiser: ...}).
"""

import logging
from pathlib import Path

import numpy as np

from winnow2d import runner
from winnow2d.config import Round, check_config
from winnow2d.formats.jobs import is_ours
from winnow2d.formats.ledger import write_class_ledger, write_particle_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.formats.refinement import class_table_from_here, read_iteration
from winnow2d.formats.selection_star import (
    class_image_names,
    classified_particles,
    remove_selection,
    write_backup_selection,
    write_class_averages,
    write_kept_particles,
    write_rank_files,
)
from winnow2d.intake.enter import enter_classified
from winnow2d.intake.rounds import planned
from winnow2d.selection.choose import choose_classes
from winnow2d.selection.features import class_features
from winnow2d.selection.scores import score_classes

logger = logging.getLogger("winnow2d")

SPEC = runner.JobSpec(
    type="Select",
    label="relion.select.class2dauto",
    nodes={"particles": "particles", "class_averages": "class_averages"},
    input_nodes={"optimiser": "class2d_optimiser"},
    option_inputs={"fn_model": "optimiser"},
)


def later_rounds() -> tuple[Round, ...]:
    """Return the rounds after this one: no params of the rule, or a changed round would select again."""
    rule = globals().get("snakemake")
    return check_config(rule.config).rounds[1:] if rule and rule.config else ()


def read_particles(job: runner.Job) -> ParticleTable:
    """Return the particles of the classification; those of one that was not made here are checked and linked."""
    data, later = job.inputs.data, later_rounds()
    if is_ours(data.parent) and data.resolve().is_relative_to(Path.cwd().resolve()):
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
    box_ang = iteration.model.box_px * iteration.model.pixel_size_ang
    features = class_features(iteration, job.params.particle_diameter or box_ang)
    n_unclassified = int((iteration.particles.class_index < 0).sum())
    scores = np.where(has_average(iteration.model.references, str(job.inputs.model)), score_classes(features), 0.0)
    choice = choose_classes(features, scores, job.options, n_unclassified)
    classes = class_table_from_here(job.inputs.model, job.inputs.optimiser)

    for path in (job.outputs.class_ledger,) if choice.kept.any() else (job.outputs.class_ledger, spare_ledger):
        write_class_ledger(
            path, class_image_names(classes), choice.score, choice.threshold, choice.kept, choice.rule, features
        )
    write_particle_ledger(
        job.outputs.particle_ledger, *classified_particles(table, len(classes)), choice.kept, choice.rule
    )
    logger.info(choice.sentence)
    choice.check_not_empty(str(spare_ledger))

    write_kept_particles(job.outputs.particles, table, choice.kept)
    write_class_averages(job.outputs.class_averages, classes, choice.order, choice.score)
    write_backup_selection(job.outputs.backup_selection, choice.kept)
    write_rank_files(job.directory, job.inputs.optimiser, table, classes, choice.score)
