"""Jobs run as a user would run them: a job.star is written and its script started as a process of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow2d.demo_options import DemoOptions
from winnow2d.errors import JobError
from winnow2d.formats import jobs
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, ExtractOptions, OwnOptions

from .cases import Mode, ParticleSet, option_values, peer_command

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MEASURED = Path(__file__).with_name("measured.py")
PARTICLES = "particles.star"
EXTRACT, CLASS2D = "Extract/job001", "Class2D/job011"


@dataclass(frozen=True)
class Measures:
    """What a process used: user and system time, wall time, and its peak of memory with and without mapped files."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    own_peak_mb: float


def run_measured(command: Sequence[str], folder: Path, n_cores: int) -> Measures:
    """Run a command in a folder on so many cores, with the environment as it is, and return what it used.

    Raises
    ------
    JobError
        It failed; the message has its last lines.
    """
    report, log = folder / "measures.json", folder / "output.txt"
    with open(log, "w", encoding="utf-8") as output:
        launcher = [sys.executable, "-I", "-S", str(MEASURED), str(report), str(n_cores), *command]
        launched = subprocess.run(launcher, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
    measures = json.loads(report.read_text()) if launched.returncode == 0 else {"exit_status": launched.returncode}
    if measures.pop("exit_status") != 0:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
        raise JobError(f"{' '.join(command)}\nin {folder} failed:\n{last}")
    return Measures(**measures)


def write_job(folder: Path, job: jobs.JobFile, directory: str) -> None:
    """Write the job.star of a job that has not run, in a directory that is Winnow's."""
    (folder / directory).mkdir(parents=True, exist_ok=True)
    (folder / directory / jobs.PROVENANCE).write_text(json.dumps({"program": jobs.PROGRAM}))
    jobs.write_job_star(folder / directory / "job.star", job)


def simulate(project: Path, demo: DemoOptions) -> None:
    """Simulate a particle set as the job Extract/job001 of a project."""
    outputs = {name: f"{EXTRACT}/{name}.star" for name in ("particles", "truth")}
    params = {"demo": dataclasses.asdict(demo)}
    job = jobs.JobFile("relion.extract", 5, ExtractOptions(), OwnOptions(), {}, outputs, params, own_names=())
    write_job(project, job, EXTRACT)
    run_measured([sys.executable, str(SCRIPTS / "simulate.py"), f"{EXTRACT}/job.star"], project, n_cores=1)


def set_folder(particle_set: ParticleSet, cache: Path) -> Path:
    """Return the folder of a set, simulated now unless an equal one is there."""
    if particle_set.demo is None:
        return particle_set.folder
    folder, made_of = cache / "sets" / particle_set.name, json.dumps(dataclasses.asdict(particle_set.demo))
    mark = folder / "made_of.json"
    if not mark.is_file() or mark.read_text() != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        simulate(folder, particle_set.demo)
        mark.write_text(made_of)
    return folder


def particles_of(folder: Path) -> Path:
    """Return the particle table of a set."""
    extracted = folder / EXTRACT / PARTICLES
    return extracted if extracted.is_file() else folder / PARTICLES


def fresh_project(project: Path, folder: Path) -> Path:
    """Return a new empty project with particles.star in it, in which the stack names of a set resolve."""
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    table = particles_of(folder)
    (project / PARTICLES).symlink_to(table)
    stacks = {split_image_name(name)[1] for name in read_star(table)["particles"]["rlnImageName"]}
    for top in sorted({Path(stack).parts[0] for stack in stacks}):
        if top != "/":
            (project / top).symlink_to(folder / top)
    return project


def classification(particle_set: ParticleSet, mode: Mode, seed: int) -> jobs.JobFile:
    """Return the job of a classification.

    Raises
    ------
    ConfigError
        This version has no such option.
    """
    own = {"random_seed": seed, "device": "cpu", **mode.own}
    last = f"{CLASS2D}/run_it{mode.n_iterations:03d}_"
    return jobs.JobFile(
        label="relion.class2d",
        type_number=jobs.NUMBER_OF_TYPE["Class2D"],
        options=jobs.options_from(Class2DOptions, option_values(particle_set, mode), f"mode {mode.name}"),
        own=jobs.options_from(OwnOptions, own, f"mode {mode.name}"),
        inputs={"particles": PARTICLES},
        outputs={name: f"{last}{name}.star" for name in ("data", "optimiser")},
    )


def classify(project: Path, job: jobs.JobFile, n_cores: int, before: Sequence[str] = ()) -> tuple[Measures, Path]:
    """Run a classification in a project; return what it used and its last data STAR file.

    Parameters
    ----------
    before : arguments of Python that come before the script
    """
    write_job(project, job, CLASS2D)
    script = [str(SCRIPTS / "class2d.py"), f"{CLASS2D}/job.star", "--threads", str(n_cores)]
    measures = run_measured([sys.executable, *before, *script], project, n_cores)
    if jobs.exit_status(project / CLASS2D) != "Succeeded":
        raise JobError(f"the job in {project}/{CLASS2D} did not succeed; see its run.err")
    return measures, project / str(job.outputs["data"])


def run_peer(project: Path, program: str, particle_set: ParticleSet, n_iterations: int, n_cores: int) -> Measures:
    """Run some iterations of the peer in a project."""
    (project / "peer").mkdir()
    return run_measured(peer_command(program, particle_set, n_iterations, n_cores), project, n_cores)


def extrapolated(measures: Measures, project: Path, n_run: int, n_wanted: int) -> Measures:
    """Return what more iterations of the peer would use, each like the mean of those after the first.

    Times of iterations are those of their files; CPU time is shared out as the wall time.
    """
    written = [(project / f"peer/run_it{number:03d}_data.star").stat().st_mtime for number in (1, n_run)]
    per_iteration = (written[1] - written[0]) / (n_run - 1) if n_run > 1 else measures.wall_s
    factor = 1 + (n_wanted - n_run) * per_iteration / measures.wall_s
    return dataclasses.replace(measures, cpu_s=measures.cpu_s * factor, wall_s=measures.wall_s * factor)


def measures_with(prefix: str, measures: Measures | None) -> Mapping[str, Any]:
    """Return the figures of a run as cells of a table; none if there was no run."""
    return {} if measures is None else {f"{prefix}{name}": value for name, value in vars(measures).items()}
