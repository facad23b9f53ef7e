"""A round that is passed on without work: whether, and what its classification is then."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from winnow2d.formats.continuation import read_start
from winnow2d.formats.convergence import CONVERGENCE_FILE
from winnow2d.formats.particles import particles_from_table, read_particle_table, sort_by_micrograph
from winnow2d.formats.refinement import IterationWriter, remove_iterations_after
from winnow2d.formats.round_figures import read_round_figures
from winnow2d.formats.state import STATE_FILE
from winnow2d.selection.stopping import RoundFigures, reason_to_stop

logger = logging.getLogger("winnow2d")


def reason_to_pass_on(job: Any) -> str:
    """Return why a job has nothing to do but to pass on what the round before made; empty if it has to work."""
    return reason_of(getattr(job.params, "stop", {}), getattr(job.inputs, "figures", []))


def reason_of(stop: Mapping[str, Any], files: Sequence[str | Path]) -> str:
    """Return why no round is to follow those of which these files tell, newest first; empty if one is."""
    if not stop or not files:
        return ""
    last, *before = (RoundFigures(**read_round_figures(path)) for path in files)  # type: ignore[arg-type]
    name = Path(files[0]).parent.name.replace("_0", "_").replace("_", " ")  # "round 1"
    return reason_to_stop(last, before[0] if before else None, **stop, name=name)


def pass_on_classification(job: Any, reason: str) -> None:
    """Write the classification of the round before for the particles that it kept, as this job's last iteration."""
    (optimiser,) = job.inputs.passed_on
    table = sort_by_micrograph(read_particle_table(job.inputs.particles))
    iteration = read_start(optimiser, table, str(job.inputs.particles)).iteration
    entered, total = particles_from_table(table)[0], job.options.n_iterations  # moved, if their averages were
    particles = replace(iteration.particles, psi_deg=entered.psi_deg, offset_ang=entered.offset_ang)
    iteration = replace(iteration, number=total, total=total, particles=particles)
    remove_iterations_after(job.stem("run"), -1)
    for left in (STATE_FILE, CONVERGENCE_FILE):  # of an earlier run that was not passed on
        (job.directory / left).unlink(missing_ok=True)
    IterationWriter(table, job.options, job.own, job.command).write(job.stem("run"), iteration)
    logger.info("Passed on from %s without any iteration: %s", optimiser, reason)
    job.record(passed_on=optimiser.as_posix(), reason=reason)
