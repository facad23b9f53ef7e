"""A small project goes through a real Slurm, from extract to report, and comes out the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_cluster import wait_for
from workflow.queue_runs import JOB, QueueRun, iterations_done, long_config, timeline
from workflow.snakemake_runs import DEMO, finished, fingerprints

pytestmark = [pytest.mark.workflow, pytest.mark.slurm]


def contents(project: Path, *folders: str) -> dict[str, str]:
    """Return the checksums of a project's results; what tells of time and place is left out."""
    aside = ("run.out", "run.err", "note.txt", "provenance.json", "job.star", "winnow_state.bin")
    found = fingerprints(project, *folders)
    return {path: checksum for path, (checksum, _) in found.items() if Path(path).name not in aside}


@pytest.fixture
def queued(cluster, tmp_path):
    """Return a function that starts Snakemake on the queue; all of them end with the test."""
    runs = []

    def run(config, *arguments, project="queued"):
        runs.append(QueueRun(cluster, tmp_path / project, config, *arguments))
        return runs[-1]

    yield run
    for each in runs:
        each.close()


def test_a_demo_goes_through_the_queue(cluster, queued, tmp_path, record_property):
    run = queued(DEMO)
    said = run.succeeds()
    jobs = cluster.jobs(run.project)
    record_property("timeline", "\n".join(timeline(jobs)))
    assert [(job["comment"], job["state"]) for job in jobs] == [
        ("rule_simulate", "COMPLETED"),
        ("rule_class2d_wildcards_01_003", "COMPLETED"),
        ("rule_class2d_wildcards_02_003", "COMPLETED"),
    ]  # the light rules have not waited in a queue
    assert "Report: " in said
    assert f"queue job {jobs[1]['id']} on " in (run.project / JOB / "run.out").read_text()
    for job in jobs:
        assert list((run.project / "logs/slurm").rglob(f"{job['id']}.log")), "logs of jobs that ended well are kept"
    local = tmp_path / "local"
    local.mkdir()
    finished(local, DEMO)
    folders = ("Extract", "Class2D", "Select", "report")
    assert contents(run.project, *folders) == contents(local, *folders)


def test_a_cancelled_job_goes_on_with_the_next_start(cluster, queued):
    config = long_config(30)
    run = queued(config, "--until", "class2d", "--retries", "0")
    run.reaches(3)
    cluster.run("scancel", cluster.running(run.project, "class2d"))
    assert run.ends() != 0
    lost = len(iterations_done(run.project))
    again = queued(config, "--until", "class2d", "--retries", "0")
    again.succeeds()
    done = iterations_done(run.project)
    assert done[:lost] == list(range(1, lost + 1))
    assert len(done) <= 31
    assert (run.project / JOB / "run_it030_data.star").is_file()
    wait_for(lambda: not cluster.running(run.project, "class2d"), 10, "nothing left in the queue")
