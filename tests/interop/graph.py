"""The graph of a project as RELION 3.1 understands it, to be compared before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from winnow2d.formats.pipeline_star import PIPELINE, read_pipeline
from winnow2d.formats.star import read_star


@dataclass(frozen=True)
class Graph:
    """Jobs by name with type, status and alias; files with their type; edges."""

    jobs: dict[str, tuple[str, str, str]]
    files: dict[str, str]
    inputs: set[tuple[str, str]]
    outputs: set[tuple[str, str]]
    counter: int

    def holds(self, other: Graph) -> bool:
        """Return whether all of another graph is in this one, unchanged."""
        return (
            other.jobs.items() <= self.jobs.items()
            and other.files.items() <= self.files.items()
            and other.inputs <= self.inputs
            and other.outputs <= self.outputs
        )

    def inputs_of(self, job: str) -> list[str]:
        """Return the files a job reads, sorted."""
        return sorted(path for path, process in self.inputs if process == job)

    def outputs_of(self, job: str) -> list[str]:
        """Return the files a job makes, sorted."""
        return sorted(path for process, path in self.outputs if process == job)


def read_graph(project: Path) -> Graph:
    """Return the graph of a project."""
    pipeline = read_pipeline(project / PIPELINE)
    return Graph(
        jobs={
            row["rlnPipeLineProcessName"]: (
                row["rlnPipeLineProcessType"], row["rlnPipeLineProcessStatus"], row["rlnPipeLineProcessAlias"]
            )
            for row in pipeline.processes
        },
        files={row["rlnPipeLineNodeName"]: row["rlnPipeLineNodeType"] for row in pipeline.nodes},
        inputs={(row["rlnPipeLineEdgeFromNode"], row["rlnPipeLineEdgeProcess"]) for row in pipeline.input_edges},
        outputs={(row["rlnPipeLineEdgeProcess"], row["rlnPipeLineEdgeToNode"]) for row in pipeline.output_edges},
        counter=pipeline.counter,
    )  # fmt: skip


def options_of(job_star: Path) -> dict[str, str]:
    """Return the options of a job.star as text."""
    table = read_star(job_star)["joboptions_values"]
    return dict(zip(table["rlnJobOptionVariable"], table["rlnJobOptionValue"], strict=True))
