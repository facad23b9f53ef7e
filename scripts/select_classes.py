"""Score the classes of a round and keep the particles of the good ones (RELION job type Select).

The classification is that of the round, or one that another program or project made (input: {optimiser: ...}).
"""

import dataclasses
import logging
import os
from pathlib import Path

from winnow2d import choosing, runner
from winnow2d.config import Round, check_config
from winnow2d.formats.choice_record import NAME as CHOICE
from winnow2d.formats.form_versions import files_of_fn_model
from winnow2d.formats.jobs import JobFile, as_list, is_ours, split_job_name
from winnow2d.formats.ledger import particle_decisions, write_particle_ledger
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.formats.run_warnings import write_run_warnings
from winnow2d.formats.second_chance import write_rejected
from winnow2d.formats.selection_star import (
    class_indices,
    classified_particles,
    remove_selection,
    write_backup_selection,
    write_class_averages,
    write_kept_particles,
    write_rank_files,
)
from winnow2d.intake.classified import enter_classified
from winnow2d.intake.rounds import planned
from winnow2d.passed_rounds import reason_to_pass_on
from winnow2d.recentring import moved_with_averages, moves_of
from winnow2d.round_ends import decisions_passed_on, write_figures
from winnow2d.selection.recentre import recentred

logger = logging.getLogger("winnow2d")

OUTPUTS = {
    "particles": "particles.star", "class_averages": "class_averages.star", "backup_selection": "backup_selection.star",
    "rejected": "rejected.star", "class_ledger": "classes.tsv", "particle_ledger": "particles.tsv",
    "warnings": "warnings.tsv", "figures": "figures.tsv",
}  # fmt: skip


def misfit(form: JobFile) -> str:
    """Return why a form of RELION's Select job does not ask for a choice of classes that can be made here."""
    options = form.options
    if not options.fn_model:
        return "fn_model names no optimiser file of a Class2D job, of which this script chooses classes"
    if options.do_regroup:
        return "do_regroup: Yes is a job of its own; run it with scripts/regroup.py"
    if not (options.do_class_ranker or form.own.selected_classes or as_list(form.inputs.get("overrides", []))):
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


def overrides_of(job: runner.Job) -> Path | None:
    """Return the file with what a person said of the round, where there is one."""
    found = getattr(job.inputs, "overrides", [])
    return next(iter(found), None) if isinstance(found, list) else found


def averages_of(job: runner.Job) -> Path:
    """Return the stack of class averages; a form of RELION names it by the optimiser file alone."""
    beside = job.inputs.model.with_name(job.inputs.model.name.replace("model.star", "classes.mrcs"))
    return getattr(job.inputs, "classes", beside)


with runner.job(globals(), SPEC) as job:
    spare_ledger = job.directory / "classes.tsv"  # Snakemake removes the outputs of a job that fails; this one stays
    remove_selection(job.directory)
    folder = job.outputs.class_ledger.parent
    for path in (spare_ledger, job.outputs.class_ledger, job.outputs.particle_ledger, folder / CHOICE):
        path.unlink(missing_ok=True)

    table = read_particles(job)
    diameter = getattr(job.params, "particle_diameter", 0.0)
    judged = choosing.judge(job.inputs.data, job.inputs.optimiser, job.inputs.model, diameter)
    k = len(judged.classes)
    hand = choosing.by_hand(job.options, job.own, overrides_of(job), averages_of(job), k)
    passed_on = reason_to_pass_on(job)
    guard = choosing.guard_of_views(judged, job.options, job.own, hand)
    if passed_on:
        guard = dataclasses.replace(guard, exceptions=decisions_passed_on(judged, passed_on), notices=())
    choice = choosing.choose(judged, job.options, job.own, hand, guard.exceptions)
    if passed_on:
        logger.info("Passed on: %s", passed_on)
        write_run_warnings(job.outputs.warnings, [])
    else:
        choosing.tell_of_run(job.outputs.warnings, judged, choice, guard, job.inputs.optimiser)
    moves = []
    if job.options.do_recenter and job.own.recentre_particles and not passed_on:
        moves = moves_of(judged.iteration.model, choice.kept, job.inputs.optimiser)

    for path in (job.outputs.class_ledger,) if choice.kept.any() else (job.outputs.class_ledger, spare_ledger):
        choosing.write_classes(path, judged, choice)
    choosing.record_choice(
        folder, job.inputs.data, job.outputs.particles, choice, job.options, job.own, hand, guard, moves
    )
    moved = moved_with_averages(table, moves, str(job.inputs.data))
    filtered = choosing.filtered(judged, choice, job.own, guard)
    index = class_indices(table, k)
    by_filter, _ = particle_decisions(index, choice.kept, choice.rule, filtered.decisions)
    duplicates = choosing.duplicates_of(moved, by_filter, job.options, str(job.inputs.data))
    decisions = {**filtered.decisions, **duplicates}
    write_particle_ledger(
        job.outputs.particle_ledger, *classified_particles(table, k), choice.kept, choice.rule, decisions,
        filtered.numbers,
    )  # fmt: skip
    logger.info(choice.sentence)
    choice.check_not_empty(str(spare_ledger))
    is_kept, _ = particle_decisions(index, choice.kept, choice.rule, decisions)
    if job.options.do_remove_duplicates:
        logger.info(
            "%s duplicates within %g A removed, %s particles remain",
            f"{len(duplicates):,}", job.options.duplicate_threshold, f"{int(is_kept.sum()):,}",
        )  # fmt: skip

    write_kept_particles(job.outputs.particles, moved, is_kept, list(duplicates))
    write_figures(job.outputs.figures, judged, choice, is_kept, passed_on)
    write_rejected(job.outputs.rejected, table, is_kept, list(duplicates))
    stack = job.directory / "class_averages.mrcs" if job.options.do_recenter else None
    if stack:
        model = judged.iteration.model
        write_stack(stack, recentred(model.references[choice.order]), model.pixel_size_ang)
    write_class_averages(
        job.outputs.class_averages, judged.classes, choice.order, choice.score, stack.as_posix() if stack else ""
    )
    write_backup_selection(job.outputs.backup_selection, choice.kept)
    write_rank_files(job.directory, job.inputs.optimiser, table, judged.classes, choice.score)
