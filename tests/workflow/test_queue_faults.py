"""Whatever ends a job in a queue, the next one goes on from its last iteration and ends with the same bytes.

Each fault strikes a classification that is stopped in the middle. All but one are tried at the same time, each in a
project of its own, as most of the time is spent waiting for the plugin to look after its jobs again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from slurm_cluster import Cluster, wait_for
from workflow.queue_runs import JOB, QueueRun, contents, iterations_done, long_config, went_on_after
from workflow.snakemake_runs import finished

pytestmark = [pytest.mark.workflow, pytest.mark.slurm, pytest.mark.faults]

N_ITERATIONS = 20
CONFIG = long_config(N_ITERATIONS)
UNTIL = ("--until", "class2d")
ENDED_BY_QUEUE = 60  # seconds until Slurm has ended what it was told to end; it looks at time limits every 30 s


class Scene:
    """A copy of a project in which a fault is tried."""

    def __init__(self, cluster: Cluster, entered: Path, name: str, node: str):
        self.cluster, self.node = cluster, node
        self.project = Path(shutil.copytree(entered, entered.with_name(name), symlinks=True))
        self.runs: list[QueueRun] = []

    def start(self, *arguments: str) -> QueueRun:
        """Start Snakemake on the queue."""
        node = ("--default-resources", f"slurm_extra='--nodelist={self.node}'")
        self.runs.append(QueueRun(self.cluster, self.project, CONFIG, *UNTIL, *node, *arguments))
        return self.runs[-1]

    @property
    def jobs(self) -> list[dict[str, str]]:
        """The jobs the queue was given."""
        return self.cluster.jobs(self.project)

    def running(self) -> str:
        """Return the number of the job that classifies."""
        return self.cluster.running(self.project, "class2d")

    def control(self, *words: str) -> None:
        """Tell the controller something."""
        subprocess.run(["scontrol", *words], env=self.cluster.environment, check=True, capture_output=True, timeout=30)

    def check_lost(self, at_most: int = 1) -> None:
        """Check that no iteration was made twice, but for the one under way, and that none is missing."""
        done = iterations_done(self.project)
        assert sorted(set(done)) == list(range(1, N_ITERATIONS + 1))
        assert len(done) - len(set(done)) <= at_most, done


def cancelled(scene: Scene) -> None:
    """scancel; the next start goes on."""
    run = scene.start("--retries", "0")
    run.holds_at(3)
    scene.cluster.run("scancel", scene.running())
    assert run.ends() != 0
    assert [job["state"] for job in scene.jobs] == ["CANCELLED"]
    scene.start("--retries", "0").succeeds()
    scene.check_lost()


def out_of_time(scene: Scene) -> None:
    """The time limit strikes; the retry asks for more and goes on."""
    run = scene.start("--retries", "1")
    run.holds_at(3)
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 2))
    scene.control("update", f"JobId={scene.running()}", f"EndTime={soon}")
    wait_for(lambda: scene.jobs[0]["state"] == "TIMEOUT", ENDED_BY_QUEUE, "the time limit strikes")
    run.succeeds()
    assert [(job["state"], job["limit"]) for job in scene.jobs[1:]] == [("COMPLETED", "1:10:00")]
    assert "aborted: signal SIGTERM" in (scene.project / JOB / "run.out").read_text()
    scene.check_lost()


def out_of_memory(scene: Scene) -> None:
    """Slurm kills a job that takes more memory than it asked for; the retry asks for more and goes on."""
    run = scene.start("--retries", "1", "--set-resources", "class2d:mem_mb=260 * 8 ** (attempt - 1)")
    run.succeeds()
    assert [(job["state"], job["memory"]) for job in scene.jobs] == [("FAILED", "260M"), ("COMPLETED", "2080M")]
    log = next((scene.project / "logs/slurm").rglob(f"{scene.jobs[0]['id']}.log")).read_text()
    assert "exceeded memory limit" in log
    scene.check_lost()


def killed(scene: Scene) -> None:
    """The process is killed without a word; the retry asks for twice the memory and time."""
    run = scene.start("--retries", "1")
    os.kill(run.holds_at(3), signal.SIGKILL)
    run.succeeds()
    first, second = scene.jobs
    assert (first["state"], second["state"]) == ("FAILED", "COMPLETED")
    assert (first["memory"], second["memory"]) == ("3000M", "5500M")
    assert (first["limit"], second["limit"]) == ("40:00", "1:10:00")
    scene.check_lost()


def node_down(scene: Scene) -> None:
    """The node goes down; Slurm puts the job back by itself, and Snakemake notices nothing."""
    run = scene.start("--retries", "0")
    run.holds_at(3)
    number = scene.running()
    scene.control("update", f"NodeName={scene.node}", "State=DOWN", "Reason=test")
    wait_for(lambda: scene.running() != number, ENDED_BY_QUEUE, "the job is no longer running")
    with contextlib.suppress(subprocess.CalledProcessError):  # it may have come back by itself (ReturnToService)
        scene.control("update", f"NodeName={scene.node}", "State=RESUME")
    run.succeeds()
    assert [(job["id"], job["state"]) for job in scene.jobs] == [(number, "COMPLETED")]
    scene.check_lost()


def snakemake_killed(scene: Scene) -> None:
    """Snakemake is killed; the next start waits for the job that still runs, and starts no second one beside it."""
    run = scene.start("--retries", "0")
    pid = run.holds_at(3)
    run.kill()
    number = scene.running()
    scene.start("--unlock").succeeds(60)
    again = scene.start("--retries", "0")
    sentence = f"{JOB}/ is in use by process {pid} on"
    wait_for(lambda: sentence in again.said or again.process.poll() is not None, 60, f"it waits\n{again.said}")
    assert f"`scancel {number}` ends it" in again.said
    time.sleep(3)
    assert [job["id"] for job in scene.jobs] == [number], "a second job beside the first"
    os.kill(pid, signal.SIGCONT)
    again.succeeds()
    scene.check_lost(at_most=0)
    assert went_on_after(scene.project) == [N_ITERATIONS]  # the files are written again from the state


def controller_restarted(scene: Scene) -> None:
    """The controller goes away and comes back while a job runs; nobody notices."""
    run = scene.start("--retries", "0")
    pid = run.holds_at(3)
    wait_for(lambda: "has been submitted" in run.said and scene.running(), 60, "both sides know of the job")
    scene.cluster.stop_controller()
    os.kill(pid, signal.SIGCONT)
    time.sleep(5)
    scene.cluster.start_controller()
    run.succeeds()
    assert [job["state"] for job in scene.jobs] == ["COMPLETED"]
    scene.check_lost(at_most=0)
    assert went_on_after(scene.project) == []


# Each has a node it may use; a fault of a node strikes whatever runs there.
TOGETHER = {cancelled: "node1", out_of_time: "node1", out_of_memory: "node1", killed: "node1",
            snakemake_killed: "node1", node_down: "node2"}  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """Return a project that was classified without a fault, on this machine; entered/ beside it has not been."""
    folder = tmp_path_factory.mktemp("queue_faults")
    for name in ("entered", "unbroken"):
        (folder / name).mkdir()
    finished(folder / "entered", CONFIG, "--until", "simulate")
    shutil.copytree(folder / "entered", folder / "unbroken", symlinks=True, dirs_exist_ok=True)
    finished(folder / "unbroken", CONFIG, *UNTIL)
    return folder / "unbroken"


@pytest.fixture(scope="module")
def tried(cluster, unbroken) -> Iterator[dict[Callable[[Scene], None], tuple[Scene, Future]]]:
    """Return the scenes of all faults that can be tried together, and what becomes of them."""
    scenes = {}
    for fault, node in TOGETHER.items():
        scenes[fault] = Scene(cluster, unbroken.with_name("entered"), fault.__name__, node)
    try:
        with ThreadPoolExecutor(len(scenes)) as pool:
            yield {fault: (scene, pool.submit(fault, scene)) for fault, scene in scenes.items()}
    finally:
        for scene in scenes.values():
            for run in scene.runs:
                run.close()


def check_bytes(scene: Scene, unbroken: Path) -> None:
    assert contents(scene.project, str(JOB)) == contents(unbroken, str(JOB))


@pytest.mark.parametrize("fault", TOGETHER, ids=lambda fault: fault.__name__)
def test_a_fault_costs_an_iteration_at_most(tried, unbroken, fault):
    scene, outcome = tried[fault]
    outcome.result(500)
    check_bytes(scene, unbroken)


def test_a_controller_that_comes_back_costs_nothing(tried, cluster, unbroken):
    for _, outcome in tried.values():
        outcome.exception(500)  # it strikes whatever runs
    scene = Scene(cluster, unbroken.with_name("entered"), "controller", "node1")
    try:
        controller_restarted(scene)
    finally:
        for run in scene.runs:
            run.close()
    check_bytes(scene, unbroken)
