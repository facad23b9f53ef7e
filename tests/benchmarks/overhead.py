"""What Snakemake itself takes for three rounds: python -m benchmarks.overhead, or make bench-overhead.

The time a run takes less the times its jobs tell of (provenance.json): start of Snakemake and of nine Python
processes, and what lies between jobs. With --queue the same run goes through a Slurm of its own on this machine, as in
the tests, and the times of its jobs are listed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from slurm_cluster import missing, running_cluster
from workflow.queue_runs import QueueRun, timeline
from workflow.snakemake_runs import DEMO, snakemake

from . import machine

CONFIG = DEMO | {"rounds": [{}, {"class2d": {"nr_classes": 2}}, {"class2d": {"nr_classes": 2}}]}


def say(line: str) -> None:
    """Print a line: a command talks to its user."""
    print(line, flush=True)  # noqa: T201


def time_of_jobs(project: Path) -> tuple[float, int]:
    """Return the seconds that all jobs of a project took by their own account, and how many there are."""
    records = [json.loads(path.read_text()) for path in project.rglob("provenance.json")]
    return sum(record["wall_s"] for record in records), len(records)


def measured(project: Path, cores: int) -> int:
    """Run three rounds twice on this machine, the second time with nothing to do; return the exit status."""
    for what in ("three rounds", "the same again, nothing to do"):
        began = time.monotonic()
        result = snakemake(project, CONFIG, "--cores", str(cores))
        wall_s = time.monotonic() - began
        if result.returncode:
            say(result.stdout)
            return 1
        jobs_s, n_jobs = time_of_jobs(project) if what == "three rounds" else (0.0, 0)
        say(f"{what}: {wall_s:.1f} s, {n_jobs} jobs {jobs_s:.1f} s, Snakemake and starts {wall_s - jobs_s:.1f} s")
    return 0


def queued(project: Path) -> int:
    """Run three rounds through a queue; return the exit status."""
    if lacking := missing():
        say(f"no {', '.join(lacking)}: a Slurm of its own cannot be started")
        return 1
    with running_cluster() as cluster:
        began = time.monotonic()
        run = QueueRun(cluster, project, CONFIG)
        try:
            status = run.ends(600)
        finally:
            run.close()
        say(f"through the queue: {time.monotonic() - began:.1f} s")
        for line in timeline(cluster.jobs(project)):
            say(f"  {line}")
    return status


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.split("\n")[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--queue", action="store_true", help="also through a Slurm of its own (needs root)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where the runs are kept")
    given = parser.parse_args(arguments)
    for line in machine.describe(given.cores, ""):
        say(line)
    folder = given.cache.resolve() / "overhead"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "local").mkdir(parents=True)
    status = measured(folder / "local", given.cores)
    return status or (queued(folder / "queued") if given.queue else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
