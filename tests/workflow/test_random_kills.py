"""Kill anything at any moment: the next start goes on, loses one iteration at most, and ends with the same bytes."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Callable

import pytest

from workflow.killing import CHAINS, kill_at_random, largest_loss, results, unbroken_runs
from workflow.snakemake_runs import command_line, finished, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.faults]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Callable[[str], dict[str, str]]:
    return unbroken_runs(tmp_path_factory.mktemp)


def test_random_kills_lose_one_iteration_at_most_and_no_byte(tmp_path_factory, unbroken, capsys):
    told = kill_at_random("parts", unbroken, tmp_path_factory.mktemp)
    with capsys.disabled():
        print("\n" + "\n  ".join(told))  # noqa: T201


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_told_and_the_next_start_goes_on(tmp_path, unbroken):
    project = tmp_path / "parts"
    project.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(project)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        failures = 0
        for size in ("2m", "4m", "5m", "6m", "8m", "12m", "200m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(project)], check=True)
            snakemake(project, CHAINS["parts"], "--unlock")
            result = snakemake(project, CHAINS["parts"])
            if result.returncode == 0:
                break
            failures += 1
            assert re.search("No space left|no space|disk", result.stdout), result.stdout[-3000:]
        assert failures >= 2
        assert result.returncode == 0, result.stdout[-3000:]
        assert results(project) == unbroken("parts")
        assert largest_loss(project) <= 1
    finally:
        subprocess.run(["umount", "-l", str(project)], check=False)


def test_a_job_without_memory_is_told_and_the_next_start_goes_on(tmp_path, unbroken):
    project = tmp_path / "parts"
    project.mkdir()
    config = CHAINS["parts"]
    finished(project, config, "--until", "split")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (150_000_000, 150_000_000))

    command = command_line(project, config)
    failed = subprocess.run(command, cwd=project.parent, text=True, capture_output=True, check=False, preexec_fn=limit)
    assert failed.returncode != 0
    snakemake(project, config, "--unlock")
    finished(project, config)
    assert results(project) == unbroken("parts")
