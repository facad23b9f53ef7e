"""make slurm-check tells in seconds whether a cluster can run Winnow, and all that is wrong at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts/slurm_check.py"


def check(environment: dict[str, str], project: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit status and what was said."""
    command = [sys.executable, str(SCRIPT), "--project", str(project), *arguments]
    result = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=100)
    assert result.stderr == ""
    return result.returncode, result.stdout


@pytest.mark.workflow
@pytest.mark.slurm
def test_a_cluster_that_can_run_it(cluster, tmp_path):
    status, said = check(cluster.environment, tmp_path, "--gpus", "0", "--threads", "8")
    assert status == 0, said
    for words in ("partition main: up", "snakemake-executor-plugin-slurm ", "a classification fits",
                  f"wrote into {tmp_path}", "winnow2d ", "Ready: docs/slurm.md"):  # fmt: skip
        assert words in said
    assert "PROBLEM" not in said
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.workflow
@pytest.mark.slurm
def test_all_problems_are_told_at_once(cluster, tmp_path):
    """The test's GPUs are none, and no node has so many cores."""
    status, said = check(cluster.environment, tmp_path, "--threads", "400")
    assert status == 1
    assert "Slurm refuses what a classification asks for (--cpus-per-task=400" in said
    assert "CuPy sees 0 GPUs there, not 1 (CUDA_VISIBLE_DEVICES=0;" in said
    assert said.endswith("\n2 problems\n")


@pytest.mark.workflow
@pytest.mark.slurm
def test_a_partition_that_is_not_there(cluster, tmp_path):
    status, said = check(cluster.environment, tmp_path, "--partition", "gpu-long")
    assert status == 1
    assert "gpu-long is not known to Slurm. There are: main" in said


def test_a_machine_without_slurm(tmp_path):
    status, said = check({"PATH": str(tmp_path)}, tmp_path)
    assert status == 1
    assert "sbatch, srun, squeue, scancel, sinfo, scontrol not on PATH: run this on a login node" in said
