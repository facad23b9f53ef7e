"""Run programs of others in a project: each must succeed where it should, and say why where it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path


def attempt(project: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Return the finished process, started in the project; its output holds stdout and stderr together."""
    arguments = [str(argument) for argument in command]
    return subprocess.run(
        arguments, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300
    )


def run(project: Path, *command: str | Path) -> str:
    """Return what a program says that must succeed."""
    result = attempt(project, *command)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}"
    return result.stdout


def refused(project: Path, *command: str | Path) -> str:
    """Return what a program says that must refuse."""
    result = attempt(project, *command)
    assert result.returncode != 0, f"{' '.join(map(str, command))}\n{result.stdout}"
    return result.stdout
