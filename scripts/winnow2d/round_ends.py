"""What a round came to, and whether a further one is passed on without work, for the scripts of both jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from winnow2d.choosing import Judged
from winnow2d.decisions import ClassDecision
from winnow2d.formats.continuation import read_start
from winnow2d.formats.particles import particles_from_table, read_particle_table, sort_by_micrograph
from winnow2d.formats.refinement import IterationWriter, remove_iterations_after
from winnow2d.formats.round_figures import read_round_figures, write_round_figures
from winnow2d.formats.state import STATE_FILE
from winnow2d.selection.choose import Choice
from winnow2d.selection.stopping import RoundFigures, figures_of, reason_to_stop

logger = logging.getLogger("winnow2d")
EARLY_STOP = "early stop"


def reason_to_pass_on(job: Any) -> str:
    """Return why a job has nothing to do but to pass on what the round before made; empty if it has to work."""
    stop: Mapping[str, Any] = getattr(job.params, "stop", {})
    files = getattr(job.inputs, "figures", [])
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
    (job.directory / STATE_FILE).unlink(missing_ok=True)
    IterationWriter(table, job.options, job.own, job.command).write(job.stem("run"), iteration)
    logger.info("Passed on from %s without any iteration: %s", optimiser, reason)
    job.record(passed_on=optimiser.as_posix(), reason=reason)


def decisions_passed_on(judged: Judged, reason: str) -> tuple[ClassDecision, ...]:
    """Return that every class with particles is kept: they are those that the round before kept."""
    if not reason:
        return ()
    live = np.flatnonzero(judged.n_particles > 0)
    return tuple(ClassDecision(int(k), True, f"passed on: {reason}", EARLY_STOP) for k in live)


def write_figures(path: Path, judged: Judged, choice: Choice, is_kept: np.ndarray, passed_on: str) -> None:
    """Write what a round came to."""
    figures = figures_of(
        judged.n_particles, judged.scores.good_share, judged.features["resolution_ang"].to_numpy(), choice.kept,
        len(is_kept), int(is_kept.sum()), passed_on,
    )  # fmt: skip
    write_round_figures(path, asdict(figures))
