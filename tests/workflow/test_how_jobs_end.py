"""Jobs that are killed or aborted are shown as such, to RELION too, and the next start goes on with them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from winnow2d.formats.pipeline_star import read_pipeline
from workflow.snakemake_runs import DEMO, finished, start

pytestmark = pytest.mark.workflow

JOB = Path("Class2D/job011")
CONFIG = DEMO | {"class2d": DEMO["class2d"] | {"nr_iter_em": 20}, "rounds": [{}]}
TARGET = ("--until", "class2d")


@pytest.fixture(scope="module")
def entered(tmp_path_factory) -> Path:
    """Return a project whose particles have been entered; tests work on a copy."""
    project = tmp_path_factory.mktemp("ends") / "entered"
    project.mkdir()
    finished(project, CONFIG, "--until", "simulate")
    return project


@pytest.fixture
def interrupted(entered, tmp_path) -> Callable[[Callable[[Path], None], int | None], Path]:
    """Return a function that ends a run in its third iteration, in one of several ways."""

    def interrupt(how: Callable[[Path], None], group_signal: int | None = None) -> Path:
        project = Path(shutil.copytree(entered, tmp_path / "project", symlinks=True))
        process = start(project, CONFIG, *TARGET)
        third, deadline = project / JOB / "run_it003_optimiser.star", time.monotonic() + 120
        try:
            while not third.is_file() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            how(project)
            if group_signal is not None:
                os.killpg(process.pid, group_signal)
            assert process.wait(120) != 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert third.is_file()
        assert not (project / JOB / "run_it020_data.star").exists()
        return project

    return interrupt


def status(project: Path) -> str:
    return read_pipeline(project / "default_pipeline.star").status(f"{JOB}/")


def exit_files(project: Path) -> list[str]:
    return sorted(path.name for path in (project / JOB).glob("RELION_JOB_EXIT_*"))


def relion_agrees(project: Path) -> bool:
    """Return whether RELION, where it is installed, leaves the status of the job as it is."""
    before = status(project)
    if shutil.which("relion_pipeliner"):
        command = ["relion_pipeliner", "--check_job_completion"]
        subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=100)
    return status(project) == before


def goes_on(project: Path) -> None:
    """Run again; earlier iterations must stay, and the job must end well."""
    first = (project / JOB / "run_it001_optimiser.star").stat().st_mtime_ns
    finished(project, CONFIG, *TARGET)
    assert (project / JOB / "run_it001_optimiser.star").stat().st_mtime_ns == first
    said = (project / JOB / "run.out").read_text()
    assert "Going on after iteration" in said
    assert said.count("\n1/20 ") == 1
    assert (status(project), exit_files(project)) == ("Succeeded", ["RELION_JOB_EXIT_SUCCESS"])
    assert not (project / JOB / "RELION_JOB_ABORT_NOW").exists()
    assert relion_agrees(project)


def ask_to_abort(project: Path) -> None:
    (project / JOB / "RELION_JOB_ABORT_NOW").touch()


def kill_script(project: Path) -> None:
    os.kill(json.loads((project / JOB / ".winnow_lock").read_text())["pid"], signal.SIGKILL)


def nothing(project: Path) -> None:
    return


def test_abort_from_relions_window(interrupted):
    project = interrupted(ask_to_abort)
    assert (status(project), exit_files(project)) == ("Aborted", ["RELION_JOB_EXIT_ABORTED"])
    said = (project / JOB / "run.out").read_text()
    assert f"{JOB}/ aborted: RELION_JOB_ABORT_NOW was found" in said
    last = max(int(path.name[6:9]) for path in (project / JOB).glob("run_it*_optimiser.star"))
    assert f"\n{last}/20 " in said  # the iteration under way was finished, and told
    assert len(list((project / JOB).glob(f"run_it{last:03d}_*"))) == 5
    assert relion_agrees(project)
    goes_on(project)


def test_a_killed_script_is_put_right_by_onerror(interrupted):
    project = interrupted(kill_script)
    assert (status(project), exit_files(project)) == ("Failed", ["RELION_JOB_EXIT_FAILURE"])
    assert relion_agrees(project)
    goes_on(project)


def test_ctrl_c_is_an_abort(interrupted):
    project = interrupted(nothing, signal.SIGINT)
    assert (status(project), exit_files(project)) == ("Aborted", ["RELION_JOB_EXIT_ABORTED"])


def test_all_killed_is_put_right_by_the_next_start(interrupted):
    project = interrupted(nothing, signal.SIGKILL)
    assert (status(project), exit_files(project)) == ("Running", [])  # nobody was left to say so
    finished(project, CONFIG, "--unlock")
    other = CONFIG | {"rounds": [{"class2d": {"nr_classes": 2}, "own": {"random_seed": 2}}]}
    process = start(project, other, *TARGET)  # a start of any kind, here one that begins anew
    deadline = time.monotonic() + 100
    while "FAILURE" not in "".join(exit_files(project)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    is_told = exit_files(project) == ["RELION_JOB_EXIT_FAILURE"]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert is_told
