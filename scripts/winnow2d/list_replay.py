"""Lists that follow a choice made again from their inputs: a second chance, regrouping, joined parts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from winnow2d.errors import WinnowError
from winnow2d.formats.jobs import JobFile, as_list, read_job_star
from winnow2d.formats.joining import joined
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.second_chance import with_returned, with_tag
from winnow2d.formats.selection_star import group_and_optics, micrograph_names, read_group_scales, with_groups
from winnow2d.join_options import JoinStarOptions
from winnow2d.options import SelectOptions
from winnow2d.passed_rounds import reason_of
from winnow2d.selection.choose import choose_classes
from winnow2d.selection.particle_filter import COLUMN, decisions_by
from winnow2d.selection.regroup import number_groups, regroup, regroup_by_size
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores
from winnow2d.selection.second_chance import LIMITS


def jobs_after(project: Path, kept: str, chosen: str) -> list[str]:
    """Return the jobs between the choice of a round and the list it ends with, in the order they ran.

    Parameters
    ----------
    kept : str
        The particles.star that the round ends with.
    chosen : str
        That of the job that chose.
    """
    found: list[str] = []
    while kept != chosen:
        directory = Path(kept).parent.as_posix()
        if directory in found:
            raise WinnowError(f"{directory}: does not follow from {chosen}; run the rounds again.")
        found.insert(0, directory)
        inputs = _job(project, directory).inputs
        kept = str(inputs.get("kept", inputs.get("particles", "")))
        if not kept:
            raise WinnowError(f"{directory}: does not follow from {chosen}; run the rounds again.")
    return found


def made_again(project: Path, directory: str) -> ParticleTable:
    """Return the particles that a job would write from its inputs as they are now.

    Raises
    ------
    WinnowError
        If an input cannot be read, or a decision on record is not the one that follows from the scores.
    """
    job = _job(project, directory)
    if directory.startswith("JoinStar/"):
        tables = {path: read_particle_table(project / path) for path in as_list(job.inputs["particles"])}
        return joined(tables, int(job.params.get("parts_per_file", 1)), bool(job.params.get("are_regrouped", False)))
    if "rejected" in job.inputs:
        return _second_chance(project, job)
    before = [project / path for path in as_list(job.inputs.get("figures", []))]
    if reason_of(job.params.get("stop", {}), before):
        return read_particle_table(project / _one(job, "particles"))
    return regrouped(
        read_particle_table(project / _one(job, "particles")),
        read_group_scales(project / _one(job, "model")),
        job.options.nr_groups,
        job.own.min_group_size,
    )


def regrouped(table: ParticleTable, scales: np.ndarray, n_groups: int, min_group_size: int = 0) -> ParticleTable:
    """Return particles in intensity groups of enough size.

    Parameters
    ----------
    scales : (m,) float array
        Of the groups they are in.
    n_groups : int
        How many are wanted, where no least size is said.
    min_group_size : int
        0: by their number.
    """
    groups = group_and_optics(table)
    names = regroup_by_size(scales, *groups, min_group_size) if min_group_size else regroup(scales, *groups, n_groups)
    return with_groups(table, names, number_groups(names, micrograph_names(table)))


def differences(table: ParticleTable, there: Path) -> Iterator[str]:
    """Yield where a list of particles, written again, differs from the file that is there."""
    if not there.is_file():
        yield f"{there} is missing."
        return
    with tempfile.TemporaryDirectory() as folder:
        write_particle_table(Path(folder) / "particles.star", table)
        again = (Path(folder) / "particles.star").read_bytes()
    former = there.read_bytes()
    if former != again:
        lines = list(zip(former.splitlines(), again.splitlines(), strict=False))
        first = next((number for number, (one, other) in enumerate(lines, 1) if one != other), len(lines) + 1)
        yield f"{there}: line {first} is not what the choice made again writes."


def _second_chance(project: Path, job: JobFile) -> ParticleTable:
    """Return what a round kept and what comes back, chosen again from the scores of the second classification."""
    kept = read_particle_table(project / _one(job, "kept"))
    classes = read_ledger(project / str(job.outputs["class_ledger"]))
    if not len(classes):  # too few to be classified
        return with_tag(kept)
    path = str(job.outputs["particle_ledger"])
    particles = read_ledger(project / path)
    index = particles["class"].to_numpy(dtype=np.int64) - 1
    rules = Rules(rank_threshold=job.options.rank_threshold, guard="warn", least_kept=0.0, most_kept=1.0)
    counts = np.bincount(index[index >= 0], minlength=len(classes))
    choice = choose_classes(counts, ClassScores(classes["good_share"], classes["score"]), rules)
    is_back = np.append(choice.kept, False)[index]
    if COLUMN in particles:
        probability = particles[COLUMN].to_numpy(dtype=np.float64)
        for row, decision in decisions_by(probability, index, choice.kept, choice.decided_by, LIMITS).items():
            is_back[row] = decision.is_kept
    for row in map(int, np.flatnonzero(is_back != particles["kept"].to_numpy(dtype=bool))):
        said = "comes back" if particles["kept"][row] else "does not come back"
        raise WinnowError(f"{path}, row {row + 1}: {particles['image_name'][row]} {said}; chosen again it is not so.")
    again = read_particle_table(project / _one(job, "data"))
    number = int(job.params.get("round_number", 0))
    return with_returned(read_particle_table(project / _one(job, "round_data")), kept, again, is_back, number)


def _one(job: JobFile, name: str) -> str:
    return as_list(job.inputs[name])[0]


def _job(project: Path, directory: str) -> JobFile:
    kind = JoinStarOptions if directory.startswith("JoinStar/") else SelectOptions
    return read_job_star(project / directory / "job.star", kind)
