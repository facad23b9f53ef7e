"""default_pipeline.star: jobs, their files and the edges between them, in a layout RELION 3.1 to 5 read.

RELION 3.1 knows types and statuses as numbers, RELION 4 and 5 as labels, and each drops the other's
columns when it writes the file. Reading fills in the columns that are missing; every other cell of every
row, whoever wrote it, is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from winnow2d.errors import JobError
from winnow2d.formats.jobs import split_job_name
from winnow2d.formats.node_kinds import NODE_KINDS, NODE_LABELS, NODE_NUMBERS, NodeKind
from winnow2d.formats.star import read_star, write_star

__all__ = ["COUNTER_FLOOR", "NODE_KINDS", "PIPELINE", "NodeKind", "Pipeline", "read_pipeline", "write_pipeline"]

PIPELINE = "default_pipeline.star"
COUNTER_FLOOR = 1001  # jobs made in RELION are numbered from here, so they never take our numbers


STATUS_NUMBERS = {"Running": 0, "Scheduled": 1, "Succeeded": 2, "Failed": 3, "Aborted": 4}
_PROCESS_NUMBERS = {
    "import": 0, "motioncorr": 1, "ctffind": 2, "manualpick": 3, "autopick": 4, "extract": 5, "select": 7,
    "class2d": 8, "class3d": 9, "refine3d": 10, "maskcreate": 12, "joinstar": 13, "subtract": 14,
    "postprocess": 15, "localres": 16, "initialmodel": 18, "multibody": 19, "polish": 20, "ctfrefine": 21,
    "external": 99,
}  # fmt: skip
_OTHER, _OTHER_LABEL = 99, "Other.relion"  # for what only the other RELION has a number or a label for

Row = dict[str, str]
_PROCESS, _ALIAS = "rlnPipeLineProcessName", "rlnPipeLineProcessAlias"
_TYPE_LABEL, _STATUS_LABEL = "rlnPipeLineProcessTypeLabel", "rlnPipeLineProcessStatusLabel"
_TYPE, _STATUS = "rlnPipeLineProcessType", "rlnPipeLineProcessStatus"
_NODE, _NODE_LABEL, _NODE_TYPE = "rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel", "rlnPipeLineNodeType"
_NODE_DEPTH = "rlnPipeLineNodeTypeLabelDepth"
_FROM, _TO, _OF = "rlnPipeLineEdgeFromNode", "rlnPipeLineEdgeToNode", "rlnPipeLineEdgeProcess"
_COLUMNS = {
    # The CCP-EM Pipeliner tells RELION 4 and 5 from 3 by the last of these columns.
    "pipeline_processes": [_PROCESS, _ALIAS, _TYPE, _STATUS, _TYPE_LABEL, _STATUS_LABEL],
    "pipeline_nodes": [_NODE, _NODE_LABEL, _NODE_DEPTH, _NODE_TYPE],
    "pipeline_input_edges": [_FROM, _OF],
    "pipeline_output_edges": [_OF, _TO],
}


@dataclass
class Pipeline:
    """The project's graph; rows are dicts of text, as they stand in the file."""

    general: Row = field(default_factory=lambda: {"rlnPipeLineJobCounter": "1"})
    processes: list[Row] = field(default_factory=list)
    nodes: list[Row] = field(default_factory=list)
    input_edges: list[Row] = field(default_factory=list)
    output_edges: list[Row] = field(default_factory=list)
    others: dict[str, pd.DataFrame] = field(default_factory=dict)  # tables not known here

    @property
    def counter(self) -> int:
        """The number of the next job RELION makes."""
        return int(self.general["rlnPipeLineJobCounter"])

    def raise_counter(self, folders: Iterable[str] = ()) -> None:
        """Set the job counter to the floor at least, and above every job there is, also of those in `folders` alone."""
        jobs = [split_job_name(name) for name in (*(row[_PROCESS] for row in self.processes), *folders)]
        highest = max((job[1] for job in jobs if job), default=0)
        self.general["rlnPipeLineJobCounter"] = str(max(self.counter, COUNTER_FLOOR, highest + 1))

    def process(self, name: str) -> Row | None:
        """Return the row of a job ("Class2D/job011/"), or None."""
        return next((row for row in self.processes if row[_PROCESS] == name), None)

    def _known(self, name: str) -> Row:
        """Return the row of a job that must be there."""
        row = self.process(name)
        if row is None:
            raise JobError(f"{PIPELINE}: no job {name} in it; run it in this project first")
        return row

    def status(self, name: str) -> str:
        """Return the status label of a job; empty for a job that is not there."""
        row = self.process(name)
        return row[_STATUS_LABEL] if row else ""

    def set_process(self, name: str, label: str, number: int, status: str) -> None:
        """Add a job, or say anew what an earlier run of it said; its alias stays."""
        if self.process(name) is None:
            self.processes.append({_PROCESS: name, _ALIAS: "None"})
        self._known(name).update({_TYPE_LABEL: label, _TYPE: str(number)})
        self.set_status(name, status)

    def set_status(self, name: str, status: str) -> None:
        """Set label and number of a job's status."""
        self._known(name).update({_STATUS_LABEL: status, _STATUS: str(STATUS_NUMBERS[status])})

    def alias(self, name: str) -> str:
        """Return a job's alias ("Select/clean/"), or empty."""
        row = self.process(name)
        return "" if row is None or row[_ALIAS] == "None" else row[_ALIAS]

    def aliased(self, alias: str) -> list[str]:
        """Return the names of the jobs that have an alias."""
        return [row[_PROCESS] for row in self.processes if row[_ALIAS] == alias]

    def set_alias(self, name: str, alias: str) -> list[str]:
        """Give a job an alias that no other job keeps; return the names of the jobs that had it."""
        earlier = [row for row in self.processes if row[_ALIAS] == alias and row[_PROCESS] != name]
        for row in earlier:
            row[_ALIAS] = "None"
        self._known(name)[_ALIAS] = alias
        return [row[_PROCESS] for row in earlier]

    def real_path(self, path: str) -> str:
        """Return a path with a job's alias replaced by the job's name."""
        for row in self.processes:
            if row[_ALIAS] != "None" and path.startswith(row[_ALIAS]):
                return row[_PROCESS] + path.removeprefix(row[_ALIAS])
        return path

    def clear_edges(self, name: str) -> None:
        """Forget the edges of a job, and those of its own files that nothing else uses."""
        self.input_edges = [row for row in self.input_edges if row[_OF] != name]
        self.output_edges = [row for row in self.output_edges if row[_OF] != name]
        used = {row[_FROM] for row in self.input_edges}
        self.nodes = [row for row in self.nodes if not row[_NODE].startswith(name) or row[_NODE] in used]

    def set_node(self, path: str, kind: NodeKind | None) -> bool:
        """Add a file unless it is there; return whether it is there now (without a kind it is not added)."""
        if any(row[_NODE] == path for row in self.nodes):
            return True
        if kind is not None:
            self.nodes.append({_NODE: path, _NODE_LABEL: kind.label, _NODE_DEPTH: "1", _NODE_TYPE: str(kind.number)})
        return kind is not None

    def add_input(self, path: str, process: str) -> None:
        """Add the edge from a file to the job that reads it."""
        self.input_edges.append({_FROM: path, _OF: process})

    def add_output(self, process: str, path: str) -> None:
        """Add the edge from a job to a file it makes."""
        self.output_edges.append({_OF: process, _TO: path})

    def outputs(self, name: str) -> list[tuple[str, NodeKind]]:
        """Return the files a job makes, each with its kind."""
        paths = {row[_TO] for row in self.output_edges if row[_OF] == name}
        nodes = [row for row in self.nodes if row[_NODE] in paths]
        return [(row[_NODE], NodeKind(row[_NODE_LABEL], int(row[_NODE_TYPE]))) for row in nodes]

    def running(self) -> list[str]:
        """Return the names of the jobs that are said to be running."""
        return [row[_PROCESS] for row in self.processes if row[_STATUS_LABEL] == "Running"]


def read_pipeline(path: Path) -> Pipeline:
    """Return the graph of a project; an empty one if the file is not there yet.

    Raises
    ------
    StarError
        The file is there and cannot be read.
    JobError
        It has no job counter: it is not a pipeline file.
    """
    if not path.exists():
        return Pipeline()
    tables = read_star(path)
    general = tables.pop("pipeline_general", pd.DataFrame())
    if not len(general) or not str(general.iloc[0].get("rlnPipeLineJobCounter", "")).isdigit():
        raise JobError(f"{path}: no rlnPipeLineJobCounter in data_pipeline_general; this is not a RELION pipeline file")
    processes, nodes, inputs, outputs = [_rows(tables.pop(name, pd.DataFrame())) for name in _COLUMNS]
    _fill_processes(processes, path.parent)
    _fill_nodes(nodes)
    head = {str(label): value for label, value in general.iloc[0].items()}
    return Pipeline(head, processes, nodes, inputs, outputs, tables)


def _rows(table: pd.DataFrame) -> list[Row]:
    """Return a table as a list of rows."""
    return [dict(zip(table.columns, cells, strict=True)) for cells in table.itertuples(index=False, name=None)]


def _fill(rows: Iterable[Row], label: str, translate: Callable[[Row], str]) -> None:
    """Set a cell where a row has none or an empty one."""
    for row in rows:
        if row.get(label, "") == "":
            row[label] = translate(row)


def _label_in_job_star(path: Path) -> str:
    """Return the label a job.star has for its type, which says more than RELION 3.1's number; empty without one."""
    try:
        found = re.search(r"(?m)^_rlnJobTypeLabel\s+(\S+)", path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _fill_processes(rows: list[Row], project: Path) -> None:
    """Add what the other RELION wants to know of each job."""
    label_of_type = {str(number): f"relion.{name}" for name, number in _PROCESS_NUMBERS.items()}
    label_of_status = {str(number): name for name, number in STATUS_NUMBERS.items()}

    def folder(row: Row) -> str:
        return row[_PROCESS].split("/")[0].lower()

    def number(row: Row) -> str:
        name = row[_TYPE_LABEL].removeprefix("relion.").split(".")[0]
        return str(_PROCESS_NUMBERS.get(name, _PROCESS_NUMBERS.get(folder(row), _OTHER)))

    _fill(rows, _ALIAS, lambda row: "None")

    def label(row: Row) -> str:
        by_number = label_of_type.get(row.get(_TYPE, ""), f"relion.{folder(row)}")
        said = _label_in_job_star(project / row[_PROCESS] / "job.star")
        return said if said.startswith(f"{by_number}.") else by_number

    _fill(rows, _TYPE_LABEL, label)
    _fill(rows, _TYPE, number)
    _fill(rows, _STATUS_LABEL, lambda row: label_of_status.get(row.get(_STATUS, ""), "Succeeded"))
    _fill(rows, _STATUS, lambda row: str(STATUS_NUMBERS.get(row[_STATUS_LABEL], STATUS_NUMBERS["Succeeded"])))


def _fill_nodes(rows: list[Row]) -> None:
    """Add what the other RELION wants to know of each file."""

    def number(row: Row) -> str:
        return str(next((n for start, n in NODE_NUMBERS.items() if row[_NODE_LABEL].startswith(start)), _OTHER))

    for row in rows:
        if row.get(_NODE_LABEL, "") == "" and row.get(_NODE_TYPE, "").lstrip("-").isdigit():
            row[_NODE_LABEL] = NODE_LABELS.get(int(row[_NODE_TYPE]), _OTHER_LABEL)
        row.setdefault(_NODE_LABEL, _OTHER_LABEL)
    _fill(rows, _NODE_DEPTH, lambda row: "1")
    _fill(rows, _NODE_TYPE, number)


def write_pipeline(path: Path, pipeline: Pipeline) -> None:
    """Write the graph of a project, whole or not at all; tables without rows are left out."""
    blocks: dict[str, pd.DataFrame | Row] = {"pipeline_general": pipeline.general}
    rows = (pipeline.processes, pipeline.nodes, pipeline.input_edges, pipeline.output_edges)
    for (name, columns), table in zip(_COLUMNS.items(), rows, strict=True):
        further = dict.fromkeys(label for row in table for label in row if label not in columns)
        blocks[name] = pd.DataFrame(table, columns=[*columns, *further], dtype=object).fillna("")
    write_star(path, blocks | pipeline.others)
