"""Bring back the particles of good classes of what a round rejected (RELION job type Select)."""

import logging

import numpy as np

from winnow2d import choosing, runner
from winnow2d.decisions import ParticleDecision
from winnow2d.formats.atomic import replaced
from winnow2d.formats.ledger import particle_decisions, write_particle_ledger
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.second_chance import keys_of, read_rejected, with_returned, with_tag
from winnow2d.formats.selection_star import classified_particles, remove_selection, write_class_averages
from winnow2d.options import OwnOptions, SelectOptions
from winnow2d.selection.choose import Choice
from winnow2d.selection.particle_filter import Filtered
from winnow2d.selection.second_chance import LIMITS, is_worth_it, said_too_few

logger = logging.getLogger("winnow2d")
SPEC = runner.JobSpec(
    type="Select",
    label="relion.select.class2dauto",
    nodes={"particles": "particles"},
    input_nodes={"optimiser": "class2d_optimiser", "kept": "particles", "rejected": "particles"},
    option_inputs={"fn_model": "optimiser"},
    required_inputs=("kept", "rejected", "round_data"),
)


def choose(judged: choosing.Judged, options: SelectOptions) -> Choice:
    """Return the choice from the second classification: a threshold on the score, and nothing that must be kept."""
    own = OwnOptions(guard="warn", least_kept=0.0, most_kept=1.0)
    return choosing.choose(judged, options, own, None)


def prune(judged: choosing.Judged, choice: Choice, own: OwnOptions) -> Filtered:
    """Return who stays away though its class comes back: all that are rather junk, as most of the others are."""
    strict = OwnOptions(particle_filter=own.particle_filter, **LIMITS._asdict())
    return choosing.filtered(judged, choice, strict)


def said(choice: Choice, number: int) -> list[str]:
    """Return for each class what the ledger of particles says of its members."""
    return [
        f"{f'returned in the second chance of round {number}' if kept else 'rejected again'}: {rule}"
        for kept, rule in zip(choice.kept, choice.rule, strict=True)
    ]


def return_none(job: runner.Job, names: list[str], reason: str) -> None:
    """Write what the round kept, as nobody comes back."""
    nobody = np.full(len(names), -1)
    own = {row: ParticleDecision(False, reason) for row in range(len(names))}
    write_particle_ledger(job.outputs.particle_ledger, names, nobody, np.zeros(len(names)), np.zeros(0), [], own)
    with replaced(job.outputs.class_ledger) as (path,):
        path.write_text("class\tkept\trule\n", encoding="utf-8")
    write_particle_table(job.outputs.particles, with_tag(read_particle_table(job.inputs.kept)))
    logger.info("Nobody comes back: %s", reason)
    job.record(reason=reason)


def return_good(job: runner.Job, number: int) -> None:
    """Choose from the second classification, and join what comes back with what the round kept."""
    again = read_particle_table(job.inputs.data)
    diameter = getattr(job.params, "particle_diameter", 0.0)
    judged = choosing.judge(job.inputs.data, job.inputs.optimiser, job.inputs.model, diameter)
    choice = choose(judged, job.options)
    choosing.write_classes(job.outputs.class_ledger, judged, choice)
    names, index, probability = classified_particles(again, len(choice.kept))
    found, rules = prune(judged, choice, job.own), said(choice, number)
    write_particle_ledger(
        job.outputs.particle_ledger, names, index, probability, choice.kept, rules, found.decisions, found.numbers
    )
    is_back, _ = particle_decisions(index, choice.kept, rules, found.decisions)
    data, kept = read_particle_table(job.inputs.round_data), read_particle_table(job.inputs.kept)
    write_particle_table(job.outputs.particles, with_returned(data, kept, again, is_back, number))
    if choice.kept.any():
        path = job.directory / "class_averages.star"
        write_class_averages(path, judged.classes, choice.order, choice.score)
    logger.info("%s of %s rejected particles come back", f"{int(is_back.sum()):,}", f"{len(names):,}")


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        remove_selection(job.directory)
        rejected = read_rejected(job.inputs.rejected)
        names = [] if rejected is None else [name for name, _ in keys_of(rejected.particles)]
        if not is_worth_it(len(names)):
            return_none(job, names, said_too_few(len(names)))
        else:
            return_good(job, int(getattr(job.params, "round_number", 0)) or (job.number or 0) // 10)
