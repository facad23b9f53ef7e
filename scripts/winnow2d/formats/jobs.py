"""The files RELION keeps in a job's directory: job.star, note.txt, the exit and abort files.

job.star holds RELION's tables in a layout that RELION 3.1 to 5 read, and tables of ours (winnow_...) with
what RELION has no place for, so that the job can be run again from this file alone.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from winnow2d.errors import ConfigError, JobError, StarError, WinnowError
from winnow2d.formats.cells import check_widths, number_of
from winnow2d.formats.form_versions import current_variables, former_variables
from winnow2d.formats.star import format_float, read_star, write_star
from winnow2d.join_options import JoinStarOptions
from winnow2d.option_values import fault_of, option_value
from winnow2d.options import Class2DOptions, ExtractOptions, OwnOptions, SelectOptions

OPTIONS_OF_TYPE: dict[str, type] = {
    "Extract": ExtractOptions, "Class2D": Class2DOptions, "Select": SelectOptions, "JoinStar": JoinStarOptions,
}  # fmt: skip
LABEL_OF_TYPE = {name: f"relion.{name.lower()}" for name in OPTIONS_OF_TYPE}
NUMBER_OF_TYPE = {"Extract": 5, "Class2D": 8, "Select": 7, "JoinStar": 13}

OWN_NAMES = tuple(sorted(item.name for item in dataclasses.fields(OwnOptions)))

PROGRAM = "winnow2d"
PROVENANCE = "provenance.json"
ABORT_FILE = "RELION_JOB_ABORT_NOW"
EXIT_FILES = {
    "Succeeded": "RELION_JOB_EXIT_SUCCESS",
    "Failed": "RELION_JOB_EXIT_FAILURE",
    "Aborted": "RELION_JOB_EXIT_ABORTED",
}

# All that RELION puts in the directory of a job that was scheduled and not run; such a job may be run by us.
FILES_OF_SCHEDULED_JOB = ("job.star", "job_pipeline.star", "default_pipeline.star", "note.txt")

_WIDTHS = {"joboptions_values": 2, "winnow_own": 2, "winnow_params": 2, "winnow_inputs": 3, "winnow_outputs": 3}
_JOB_DIRECTORY = re.compile(r"^([A-Za-z0-9]+)/job(\d{3,})(?=/|$)")


@dataclass(frozen=True)
class JobFile:
    """What job.star says of a job; paths are relative to the project.

    `inputs` and `outputs` map a name to a path or a list of paths; `params` map a name to plain data.
    `own_names` are the fields of `own` that the job was given, sorted; only these are recorded.
    """

    label: str
    type_number: int | None  # RELION 3.1's; None for work that is no RELION job
    options: Any  # dataclass of the job type, or None
    own: OwnOptions
    inputs: Mapping[str, str | list[str]] = field(default_factory=dict)
    outputs: Mapping[str, str | list[str]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    own_names: tuple[str, ...] = OWN_NAMES


def split_job_name(path: str | Path) -> tuple[str, int, str] | None:
    """Return type, number and directory of the job a path lies in: "Class2D/job011/run.out" is of ("Class2D", 11, ...).

    None when the path is not of the form Type/jobNNN/... .
    """
    match = _JOB_DIRECTORY.match(Path(path).as_posix())
    return (match[1], int(match[2]), match[0]) if match else None


def option_text(value: Any) -> str:
    """Return an option's value as RELION writes it: Yes or No, 200 and not 200.0."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return format_float(value).removesuffix(".0")
    return str(value)


def options_from(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Return the frozen dataclass `kind` with the given values, each in its type; the rest at its default.

    Parameters
    ----------
    kind : an options dataclass
    values : option variable -> value or RELION's text
    where : what to name in messages

    Raises
    ------
    ConfigError
        Unknown variables, values of the wrong type or out of bounds, values that are not supported.
    """
    hints = typing.get_type_hints(kind)
    items = {item.name: item for item in dataclasses.fields(kind)}
    problems, good = [], {}
    for name, value in values.items():
        if name not in items:
            problems.append(f"{where}: unknown option {name}")
            continue
        try:
            good[name] = option_value(hints[name], value, name)
        except ConfigError as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
            continue
        fault = fault_of(items[name], good[name])
        problems += [f"{where}: option {name}: {option_text(good[name])} {fault}"] if fault else []
    if problems:
        raise ConfigError(*problems)
    return kind(**good)


def write_job_star(path: str | Path, job: JobFile) -> None:
    """Write job.star; the same job gives the same bytes."""
    is_continued = bool(getattr(job.options, "fn_cont", ""))
    head: dict[str, Any] = {"rlnJobTypeLabel": job.label, "rlnJobIsContinue": int(is_continued), "rlnJobIsTomo": 0}
    if job.type_number is not None:
        head["rlnJobType"] = job.type_number
    blocks: dict[str, Any] = {"job": head}
    if job.options is not None:
        values = dataclasses.asdict(job.options) | former_variables(job.options)
        blocks["joboptions_values"] = _two_columns("rlnJobOptionVariable", "rlnJobOptionValue", _texts(values))
    own = _texts({name: getattr(job.own, name) for name in job.own_names})
    blocks["winnow_own"] = _two_columns("winnowOptionVariable", "winnowOptionValue", own)
    blocks["winnow_inputs"] = _path_rows(job.inputs)
    blocks["winnow_outputs"] = _path_rows(job.outputs)
    params = {name: json.dumps(value, separators=(",", ":")) for name, value in job.params.items()}
    blocks["winnow_params"] = _two_columns("winnowName", "winnowValue", params)
    write_star(path, blocks)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return option values as text, sorted by variable."""
    return {name: option_text(values[name]) for name in sorted(values)}


def _two_columns(first: str, second: str, values: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with a name and a value per row."""
    return pd.DataFrame({first: list(values), second: list(values.values())}, dtype=object)


def _path_rows(paths: Mapping[str, str | list[str]]) -> pd.DataFrame:
    """Return a table with one path per row; an empty list is a row with an empty path."""
    rows = []
    for name, value in paths.items():
        is_list = isinstance(value, list)
        rows += [(name, path, str(int(is_list))) for path in ((value or [""]) if is_list else [value])]
    return pd.DataFrame(rows, columns=["winnowName", "winnowPath", "winnowIsList"], dtype=object)


def label_of(head: pd.Series) -> str:
    """Return the type of the job whose table `job` is given; RELION 3.1 has a number for it."""
    numbers = {str(number): LABEL_OF_TYPE[name] for name, number in NUMBER_OF_TYPE.items()}
    return str(head.get("rlnJobTypeLabel", numbers.get(head.get("rlnJobType", ""), "")))


def read_job_star(path: str | Path, kind: type | None, is_ours: bool = True) -> JobFile:
    """Return the job a job.star describes.

    Parameters
    ----------
    path : path
    kind : the options dataclass of the job type, or None
    is_ours : False if it may be one of RELION's window, which has no inputs and outputs

    Raises
    ------
    JobError
        The file was not written by Winnow (or was written again by RELION, which drops our tables).
    ConfigError, StarError
        Its options or its tables cannot be read.
    """
    tables = read_star(path)
    needed = ("job", "winnow_outputs") if is_ours else ("job",)
    missing = [name for name in needed if name not in tables or (name == "job" and tables[name].empty)]
    if missing:
        raise JobError(
            f"{path}: no table data_{missing[0]}, so this job.star is not one Winnow wrote; run the workflow instead"
        )
    check_widths(tables, _WIDTHS, where=str(path))
    values, is_written_by_us = _mapping(tables.get("joboptions_values")), "winnow_outputs" in tables
    if kind is not None:
        values = current_variables(kind, values, is_written_by_us, str(path))
    head = tables["job"].iloc[0]
    own = _mapping(tables.get("winnow_own"))
    return JobFile(
        label=label_of(head),
        type_number=int(number_of(tables["job"], "rlnJobType", where=str(path))) if "rlnJobType" in head else None,
        options=None if kind is None else options_from(kind, values, str(path)),
        own=options_from(OwnOptions, own, str(path)),
        inputs=_paths(tables.get("winnow_inputs")),
        outputs=_paths(tables.get("winnow_outputs")),
        params=_params(_mapping(tables.get("winnow_params")), str(path)),
        own_names=tuple(sorted(own)) if is_written_by_us else OWN_NAMES,
    )


def _params(texts: Mapping[str, str], path: str) -> dict[str, Any]:
    """Return name -> plain data."""
    try:
        return {name: json.loads(text) for name, text in texts.items()}
    except ValueError as error:
        raise StarError(f"{path}: data_winnow_params cannot be read ({error})") from None


def _mapping(table: pd.DataFrame | None) -> dict[str, str]:
    """Return the first column of a table -> the second."""
    return {} if table is None else dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


def _paths(table: pd.DataFrame | None) -> dict[str, str | list[str]]:
    """Return name -> path or list of paths."""
    found: dict[str, Any] = {}
    for name, path, is_list in [] if table is None else table.itertuples(index=False):
        if is_list == "1":
            found.setdefault(name, []).extend([path] if path else [])
        else:
            found[name] = path
    return found


def append_note(directory: Path, commands: Sequence[str]) -> None:
    """Add one execution to note.txt, in RELION's shape; the only file of a job that says when."""
    lines = ["", f" ++++ Executing new job on {time.ctime()}", " ++++ with the following command(s): "]
    with open(directory / "note.txt", "a", encoding="utf-8") as stream:
        stream.write("\n".join([*lines, *commands, " ++++ ", ""]))


def clear_exit_files(directory: Path) -> None:
    """Remove what an earlier run left: exit files, and a request to abort it."""
    for name in [*EXIT_FILES.values(), ABORT_FILE]:
        (directory / name).unlink(missing_ok=True)


def write_exit_file(directory: Path, status: str) -> None:
    """Leave the empty file by which RELION learns that a job ended, and how (Succeeded, Failed, Aborted)."""
    (directory / EXIT_FILES[status]).touch()


def exit_status(directory: Path) -> str | None:
    """Return how the job of a directory ended by its exit file, or None."""
    return next((status for status, name in EXIT_FILES.items() if (directory / name).exists()), None)


def is_ours(directory: Path) -> bool:
    """Return whether a job directory was made by Winnow."""
    try:
        text = (directory / PROVENANCE).read_text(encoding="utf-8")
        return json.loads(text).get("program") == PROGRAM
    except (OSError, ValueError, AttributeError):
        return False


def check_directory_is_free(directory: Path, known: Sequence[str] = ()) -> None:
    """Raise JobError if a job directory holds files and Winnow did not make it; nothing is written.

    Parameters
    ----------
    directory : path of the job's directory, relative to the project
    known : names below it that may be there already, e.g. a declared log
    """
    for place in (directory.parent, directory):
        if place.exists() and not place.is_dir():
            raise JobError(f"{place} is a file, and jobs are to lie there; rename it")
    if not directory.exists() or is_ours(directory):
        return
    allowed = {str(directory / name) for name in known}
    for path in sorted(directory.rglob("*")):
        is_traceless = path.is_dir() and not path.is_symlink()
        if is_traceless or path.name.startswith((".snakemake", ".winnow")) or str(path) in allowed:
            continue
        raise JobError(
            f"{directory}/ was not made by Winnow (it holds {path.relative_to(directory)}) and is left untouched. "
            "Run Winnow in another project directory, or delete that job in RELION first."
        )


def check_inputs_exist(job: JobFile) -> None:
    """Raise WinnowError for every input file that is not there."""
    named = [(name, path) for name, paths in job.inputs.items() for path in as_list(paths)]
    problems = [f"input {name}: {path} does not exist" for name, path in named if not Path(path).exists()]
    if problems:
        raise WinnowError(*problems)


def as_list(paths: str | list[str]) -> list[str]:
    """Return one path or many as a list."""
    return list(paths) if isinstance(paths, list) else [paths]
