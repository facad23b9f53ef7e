"""The two doors of a script: Snakemake's object, or a job.star named on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow2d.errors import JobError
from winnow2d.formats import jobs
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.star import read_star
from winnow2d.options import OwnOptions

# Options of ours that start nothing anew: a rule hands them over as resources, of which a change reruns nothing.
# None changes what the last iteration is, but for the last digits, in which devices differ.
AS_RESOURCES = ("device", "keep_iterations", "grad_write_iter")
COMPUTE = "compute"  # likewise, a resource with the options of RELION on how to compute, as JSON


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
    option_inputs : option variable that names a file -> name of the input it is filled from, or, where no such
        input was given, that it gives
    optional_inputs : option variable that may name a file -> name of the input it then gives
    option_lists : name of an input that is a list -> option variables that name its first files
    inputs_of : options -> further inputs, by name: what follows from the files that a form names
    required_inputs : names of inputs without which a job.star is another script's
    misfit : job.star -> why it is for another script, if it is: forms of one type ask for different work
    planned_outputs : options -> name of an output -> file in the job's directory: what a job.star asks for.
        With it also one that RELION's window wrote can be run.
    is_relion_job : False for work that is no job of RELION (the report): logs and provenance only
    directory : where such work keeps its run.out and provenance.json; ignored for RELION jobs
    """

    type: str
    label: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    input_nodes: Mapping[str, str] = field(default_factory=dict)
    option_inputs: Mapping[str, str] = field(default_factory=dict)
    optional_inputs: Mapping[str, str] = field(default_factory=dict)
    option_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs_of: Callable[[Any], dict[str, str]] | None = None
    required_inputs: tuple[str, ...] = ()
    misfit: Callable[[JobFile], str] | None = None
    planned_outputs: Callable[[Any], dict[str, str | list[str]]] | None = None
    is_relion_job: bool = True
    directory: str = ""

    @property
    def options_type(self) -> Any:
        """The options dataclass of the job type; None for work without options of RELION's."""
        return jobs.OPTIONS_OF_TYPE[self.type] if self.is_relion_job else None

    @property
    def process_label(self) -> str:
        """RELION's label of the process, or winnow.<type> for work that is no RELION job."""
        return self.label or (jobs.LABEL_OF_TYPE[self.type] if self.is_relion_job else f"winnow.{self.type}")


@dataclass(frozen=True)
class Request:
    """What is asked of a script, whichever door it came through."""

    directory: Path  # relative to the project, which is the working directory
    job: JobFile
    threads: int
    script: Path
    logs: tuple[str, ...] = ()
    is_from_job_star: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)  # of the whole run, for the record


def read_request(script_globals: Mapping[str, Any], spec: JobSpec) -> Request:
    """Return what is asked for; through the second door the project becomes the working directory.

    Raises
    ------
    JobError
        `winnow2d` was imported from another place than the script's folder; the outputs lie in no job
        directory; the job.star on the command line is of another kind of job.
    ConfigError
        An option cannot be read.
    """
    script = Path(script_globals["__file__"])
    _check_package(script)
    if "snakemake" in script_globals:
        request = _from_snakemake(script_globals["snakemake"], spec, script)
    else:
        request = _from_command_line(sys.argv, spec, script)
    request = dataclasses.replace(request, job=_with_inputs(request.job, spec))
    if missing := [name for name in spec.required_inputs if name not in request.job.inputs]:
        raise JobError(
            f"{request.directory}/job.star names no input {', '.join(missing)}, so {script.name} is not the script "
            f"that runs it; {request.directory}/note.txt has the command that did"
        )
    if spec.misfit and (why := spec.misfit(request.job)):
        raise JobError(f"{request.directory}/job.star: {why}")
    return request


def _with_inputs(job: JobFile, spec: JobSpec) -> JobFile:
    """Return a job whose inputs and whose options that name files say the same."""
    inputs, options = dict(job.inputs), job.options
    for option, name in spec.option_inputs.items():
        path = inputs.get(name)
        if isinstance(path, str):
            options = dataclasses.replace(options, **{option: path})
        elif path is None and getattr(options, option):
            inputs[name] = getattr(options, option)
    for name, variables in spec.option_lists.items():
        files = jobs.as_list(inputs.get(name, []))
        first = [*files[: len(variables)], *[""] * (len(variables) - len(files))]
        options = dataclasses.replace(options, **dict(zip(variables, first, strict=True)))
    for option, name in spec.optional_inputs.items():
        inputs.pop(name, None)  # the option says it; what stands in an edited job.star may be older
        if getattr(options, option):
            inputs[name] = getattr(options, option)
    return dataclasses.replace(job, inputs=inputs, options=options)


def _check_package(script: Path) -> None:
    """Raise JobError unless the package stands in the folder of the script."""
    package = Path(__file__).resolve().parent
    if package.parent != script.resolve().parent:
        raise JobError(
            f"winnow2d was imported from {package}, but {script.name} belongs to {script.resolve().parent}. "
            "Remove the other one (pip uninstall winnow2d) or take its folder out of PYTHONPATH."
        )


def _named(files: Any) -> dict[str, str | list[str]]:
    """Return the named files of a rule, as text."""
    return {
        name: os.fspath(value) if isinstance(value, (str, os.PathLike)) else [os.fspath(path) for path in value]
        for name, value in files.items()
    }


def _from_snakemake(snakemake: Any, spec: JobSpec, script: Path) -> Request:
    """Return what a rule asks for."""
    outputs, params = _named(snakemake.output), dict(snakemake.params.items())
    directory = _directory_of(outputs, spec)
    options, own = params.pop("options", {}), params.pop("own", {})
    options = {**options, **json.loads(getattr(snakemake, "resources", {}).get(COMPUTE, "{}"))}
    resources = getattr(snakemake, "resources", {}).items()
    own = own | {name: value for name, value in resources if name in AS_RESOURCES and value}  # 0: nothing reads it
    where = f"rule {getattr(snakemake, 'rule', directory)}"
    kind = spec.options_type
    job = JobFile(
        label=spec.process_label,
        type_number=jobs.NUMBER_OF_TYPE[spec.type] if spec.is_relion_job else None,
        options=None if kind is None else jobs.options_from(kind, options, where),
        own=jobs.options_from(OwnOptions, own, where),
        inputs=_named(snakemake.input),
        outputs=outputs,
        params=params,
        own_names=tuple(sorted(own)),
    )
    config = dict(getattr(snakemake, "config", {}))
    return Request(directory, job, int(snakemake.threads), script, tuple(snakemake.log), config=config)


def _directory_of(outputs: Mapping[str, str | list[str]], spec: JobSpec) -> Path:
    """Return the job directory the outputs lie in."""
    if not spec.is_relion_job:
        return Path(spec.directory)
    for paths in outputs.values():
        for path in jobs.as_list(paths):
            job = jobs.split_job_name(path)
            if job and job[0] == spec.type:
                return Path(job[2])
    raise JobError(
        f"no output lies in a directory {spec.type}/jobNNN; outputs: {', '.join(map(str, outputs.values()))}"
    )


def _from_command_line(arguments: list[str], spec: JobSpec, script: Path) -> Request:
    """Return what a job.star asks for."""
    parser = argparse.ArgumentParser(
        prog=f"python scripts/{script.name}", description=f"Run a {spec.type} job again from its job.star."
    )
    example = f"{spec.type}/job011" if spec.is_relion_job else spec.directory
    parser.add_argument("job_star", type=Path, help=f"{example}/job.star of an earlier run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all this may use")
    given = parser.parse_args(arguments[1:])
    if not given.job_star.is_file():
        raise JobError(f"{given.job_star}: no such file; expected {example}/job.star in a project directory")
    path = given.job_star.resolve()
    depth = 2 if spec.is_relion_job else len(Path(spec.directory).parts)
    os.chdir(path.parents[depth])
    directory = path.parent.relative_to(path.parents[depth])
    head = read_star(path).get("job")  # looked at before the options: another kind of job has others
    label = spec.process_label if head is None or head.empty else jobs.label_of(head.iloc[0])
    # RELION names what a job does only when it runs it: until then a job of any kind of selection is relion.select.
    if label != spec.process_label and not spec.process_label.startswith(f"{label}."):
        raise JobError(f"{directory}/{path.name}: a job of type {label}; {script.name} runs {spec.process_label}")
    job = jobs.read_job_star(directory / path.name, spec.options_type, is_ours=spec.planned_outputs is None)
    number = jobs.NUMBER_OF_TYPE[spec.type] if spec.is_relion_job else None
    inputs, outputs = _inputs_said(job, spec), _outputs_said(job, spec, directory)
    job = dataclasses.replace(job, label=spec.process_label, type_number=number, inputs=inputs, outputs=outputs)
    if spec.is_relion_job and _directory_of(job.outputs, spec) != directory:
        raise JobError(f"{directory}/{path.name}: its outputs lie in {_directory_of(job.outputs, spec)}/, not here")
    return Request(directory, job, max(given.threads, 1), script, is_from_job_star=True)


def _inputs_said(job: JobFile, spec: JobSpec) -> dict[str, str | list[str]]:
    """Return the inputs of a job.star: those of the last run, unless its form names other files by now."""
    said: dict[str, str | list[str]] = {}
    for option, name in spec.option_inputs.items():
        said[name] = getattr(job.options, option)
    for name, variables in spec.option_lists.items():
        said[name] = [path for path in (getattr(job.options, variable) for variable in variables) if path]
    said = {name: files for name, files in said.items() if files}
    if all(files == _as_in_form(job.inputs.get(name), name, spec) for name, files in said.items()):
        return dict(job.inputs)
    return {**job.inputs, **said, **(spec.inputs_of(job.options) if spec.inputs_of else {})}


def _as_in_form(files: str | list[str] | None, name: str, spec: JobSpec) -> str | list[str] | None:
    """Return what a form shows of an input; of a long list only the first files."""
    return files[: len(spec.option_lists[name])] if isinstance(files, list) and name in spec.option_lists else files


def _outputs_said(job: JobFile, spec: JobSpec, directory: Path) -> dict[str, str | list[str]]:
    """Return the outputs of a job.star: what its form asks for here, and what its last run wrote outside jobs.

    A job.star that was copied from another job's directory asks for a job of its own.
    """
    if spec.planned_outputs is None:
        return dict(job.outputs)
    planned: dict[str, str | list[str]] = {}
    for name, files in spec.planned_outputs(job.options).items():
        paths = [f"{directory.as_posix()}/{file}" for file in jobs.as_list(files)]
        planned[name] = paths[0] if isinstance(files, str) else paths
    places = {name: [jobs.split_job_name(path) for path in jobs.as_list(paths)] for name, paths in job.outputs.items()}
    if any(place and Path(place[2]) != directory for found in places.values() for place in found):
        return dict(planned)
    return {**planned, **{name: job.outputs[name] for name in places if name not in planned or None in places[name]}}
