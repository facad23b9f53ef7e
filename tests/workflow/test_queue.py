"""A small project goes through a real Slurm, from extract to report, and comes out the same."""

from __future__ import annotations

import pytest

from workflow.queue_runs import JOB, QueueRun, contents, iterations_done, timeline, went_on_after
from workflow.snakemake_runs import DEMO, start

pytestmark = [pytest.mark.workflow, pytest.mark.slurm]

N_ITERATIONS = 20
ROUNDS = [{"class2d": {"nr_iter_em": N_ITERATIONS}}, {"class2d": {"nr_classes": 2}}]


def test_a_demo_goes_through_the_queue_though_a_job_is_cancelled(cluster, tmp_path, record_property):
    config = DEMO | {"rounds": ROUNDS}
    (tmp_path / "local").mkdir()
    beside = start(tmp_path / "local", config)
    run = QueueRun(cluster, tmp_path / "queued", config)
    try:
        run.holds_at(3)
        cluster.run("scancel", cluster.running(run.project, "class2d"))
        said = run.succeeds()
        assert beside.wait(100) == 0
    finally:
        run.close()
        beside.kill()
    jobs = cluster.jobs(run.project)
    record_property("timeline", "\n".join(timeline(jobs)))
    assert [(job["comment"], job["state"]) for job in jobs] == [
        ("rule_simulate", "COMPLETED"),
        ("rule_class2d_wildcards_01_020", "CANCELLED"),
        ("rule_class2d_wildcards_01_020", "COMPLETED"),
        ("rule_class2d_wildcards_02_003", "COMPLETED"),
    ]  # the light rules have not waited in a queue
    assert "Report: " in said
    told = (run.project / JOB / "run.out").read_text()
    for job in jobs[1:3]:
        assert f"2 threads, queue job {job['id']} on " in told
    assert iterations_done(run.project) == list(range(1, N_ITERATIONS + 1))
    assert len(went_on_after(run.project)) == 1
    for job in jobs:
        assert list((run.project / "logs/slurm").rglob(f"{job['id']}.log")), "logs of jobs that ended well are kept"
    folders = ("Extract", "Class2D", "Select", "report")
    assert contents(run.project, *folders) == contents(tmp_path / "local", *folders)
