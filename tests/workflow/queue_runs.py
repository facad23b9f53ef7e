"""Run Snakemake on a Slurm of the tests, and tell what became of its jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from conftest import REPOSITORY
from slurm_cluster import Cluster, wait_for
from workflow.snakemake_runs import DEMO, command_line, fingerprints

# The plugin looks after jobs so many seconds after it gave them to the queue, and ever more rarely from then on.
FIRST_LOOK_S = 9
QUEUE = (
    "--workflow-profile", str(REPOSITORY / "profiles/slurm"), "--max-threads", "2",
    "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", str(FIRST_LOOK_S),
)  # fmt: skip
JOB = Path("Class2D/job011")
ONE_ROUND = DEMO | {"rounds": [{}]}


def long_config(n_iterations: int) -> dict:
    """Return the config of one round that takes some time."""
    return ONE_ROUND | {"class2d": DEMO["class2d"] | {"nr_iter_em": n_iterations}}


class QueueRun:
    """A running Snakemake that gives its jobs to a queue."""

    def __init__(self, cluster: Cluster, project: Path, config: dict, *arguments: str):
        project.mkdir(exist_ok=True)
        self.cluster, self.project = cluster, project
        command = command_line(project, config, *QUEUE, *arguments)
        cores = command.index("--cores")  # the queue's nodes have theirs
        del command[cores : cores + 2]
        self._out = open(project.parent / f"{project.name}.out", "a+")
        # scripts/ of this checkout, as the tests have it: what is installed may be that of another one
        environment = cluster.environment | {"PYTHONPATH": str(REPOSITORY / "scripts")}
        self.process = subprocess.Popen(
            command, cwd=project.parent, env=environment, stdout=self._out, stderr=self._out, start_new_session=True
        )

    @property
    def said(self) -> str:
        """What Snakemake has said, also in earlier runs of the same project."""
        self._out.seek(0)
        return self._out.read()

    def ends(self, seconds: float = 240) -> int:
        """Return the exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"Snakemake still runs:\n{self.said}\n{self.cluster.jobs(self.project)}") from None

    def succeeds(self, seconds: float = 240) -> str:
        """Return what Snakemake says of a run that must succeed."""
        assert self.ends(seconds) == 0, self.said
        return self.said

    def reaches(self, iteration: int, seconds: float = 200) -> None:
        """Wait until the classification has written an iteration."""
        wanted = self.project / JOB / f"run_it{iteration:03d}_optimiser.star"
        wait_for(lambda: wanted.is_file() or self.process.poll() is not None, seconds, f"{wanted}\n{self.said}", 0.05)
        assert wanted.is_file(), self.said

    def holds_at(self, iteration: int) -> int:
        """Stop the classification's process when it has written an iteration; return its number.

        So a fault strikes in the middle of it, however fast the machine is. Slurm lets a process go on before it
        tells it to end.
        """
        self.reaches(iteration)
        pid = json.loads((self.project / JOB / ".winnow_lock").read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        return pid

    def kill(self) -> None:
        """Kill Snakemake itself, and nothing that it gave to the queue."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._out.close()


def went_on_after(project: Path) -> list[int]:
    """Return the iterations after which the classification went on."""
    lines = (project / JOB / "run.out").read_text().splitlines()
    return [int(line.split()[4]) for line in lines if line.startswith("Going on after iteration")]


def contents(project: Path, *folders: str) -> dict[str, str]:
    """Return the checksums of a project's tables and images."""
    found = fingerprints(project, *folders)
    kinds = (".star", ".mrcs", ".tsv", ".npy")
    named = {Path(path): checksum for path, (checksum, _) in found.items()}
    times = "benchmark"  # Snakemake's files on time and memory
    return {str(p): sum_ for p, sum_ in named.items() if p.suffix in kinds and not p.name.startswith(times)}


def iterations_done(project: Path) -> list[int]:
    """Return the iterations run.out tells of, in the order they were made; one made again stands there twice."""
    lines = (project / JOB / "run.out").read_text().splitlines()
    bars = [line.split()[0] for line in lines if "resolution" in line and "/" in line.split()[0]]
    return [int(bar.partition("/")[0]) for bar in bars]


def timeline(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a line for each job of a queue: seconds after the first submission, and what it asked for."""
    times = [{key: datetime.fromisoformat(job[key]) for key in ("submitted", "started", "ended")} for job in jobs]
    lines = []
    for job, time in zip(jobs, times, strict=True):
        since = {key: (when - times[0]["submitted"]).total_seconds() for key, when in time.items()}
        lines.append(
            f"{job['comment']:40} submitted {since['submitted']:5.0f} s, started {since['started']:5.0f} s, "
            f"ended {since['ended']:5.0f} s, {job['state']}, {job['memory']}, {job['limit']}, {job['cpus']} cores"
        )
    return lines
