"""The frame around every job: its directory, its lock, its place in the RELION project, and how it ends.

A script of a rule looks like this, and its body is the same through both doors::

    from winnow2d import runner

    SPEC = runner.JobSpec(
        type="Class2D",
        nodes={"data": "class2d_data", "optimiser": "class2d_optimiser"},  # output name -> kind of node
        input_nodes={"particles": "particles"},                            # input name -> kind of node
        option_inputs={"fn_img": "particles"},                             # option <- input name
    )

    with runner.job(globals(), SPEC) as job:
        table = read_particle_table(job.inputs.particles)
        while not classifier.done:
            job.stop_if_aborted()
            iteration = classifier.update()
            write_iteration(job.stem("run"), iteration, table, job.options, job.own, job.command)
            job.progress(iteration.number, iteration.total, "resolution 12.3 A")

Doors: (a) Snakemake's `script:` directive, whose object `snakemake` is found in the globals. Its params
may hold `options` (dict of the round's options of this job type), `own` (dict) and `version`; all other
params reach the script as `job.params.<name>`. (b) `python scripts/class2d.py Class2D/job011/job.star
[--threads N]`, from what an earlier run wrote into that file.

Leaving the block normally is success if every declared output exists. A WinnowError ends the job with
its message alone, any other exception with a traceback in run.err; both leave with exit status 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from winnow2d.options import OwnOptions


@dataclass(frozen=True)
class JobSpec:
    """What a script says of its kind of job.

    Attributes
    ----------
    type : "Extract", "Class2D" or "Select"; any other name with `is_relion_job=False`
    label : RELION's process label; empty means the type's own, e.g. relion.class2d. Automatic selection
        is relion.select.class2dauto, regrouping relion.select.interactive.
    nodes : name of an output -> kind of node (`pipeline_star.NODE_KINDS`): particles, class2d_data,
        class2d_optimiser, class_averages
    input_nodes : name of an input -> kind of node, for the edges of the project's graph
    option_inputs : option variable that names a file -> name of the input it is filled from
    is_relion_job : False for work that is no job of RELION (the report): logs and provenance only
    directory : where such work keeps its run.out and provenance.json; ignored for RELION jobs
    """

    type: str
    label: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    input_nodes: Mapping[str, str] = field(default_factory=dict)
    option_inputs: Mapping[str, str] = field(default_factory=dict)
    is_relion_job: bool = True
    directory: str = ""


class Job:
    """A running job, as its script sees it.

    Attributes
    ----------
    directory : Path, e.g. Class2D/job011, relative to the project, which is the working directory
    name : "Class2D/job011/", as in default_pipeline.star
    number : 11 (0 for work that is no RELION job)
    options : frozen dataclass of the job type (ExtractOptions, Class2DOptions, SelectOptions) or None
    own : OwnOptions
    inputs, outputs : Path, or list of Path where the rule names a list, by name: `job.inputs.particles`
    params : the rule's other params by name
    threads : int
    command : "python scripts/class2d.py Class2D/job011/job.star", the command that runs it again
    """

    directory: Path
    name: str
    number: int
    options: Any
    own: OwnOptions
    inputs: SimpleNamespace
    outputs: SimpleNamespace
    params: SimpleNamespace
    threads: int
    command: str

    def stem(self, root: str) -> str:
        """Return the start of a file name in the job's directory: stem("run") is "Class2D/job011/run"."""
        return f"{self.name}{root}"

    @property
    def abort_requested(self) -> bool:
        """Whether RELION's window (or anyone) asked for an end by a file RELION_JOB_ABORT_NOW."""
        raise NotImplementedError

    def stop_if_aborted(self) -> None:
        """Leave the block as Aborted if that was asked for; call it where state is safely on disk."""
        raise NotImplementedError

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Move the bar on the terminal, and write `done/total text` as a line of run.out."""
        raise NotImplementedError


@contextlib.contextmanager
def job(script_globals: Mapping[str, Any], spec: JobSpec) -> Iterator[Job]:
    """Enter a job: check and lock its directory, write its files, register it as Running; see the module."""
    raise NotImplementedError
    yield
