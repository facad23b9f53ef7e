"""The checks of the house, run as a developer would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

BIN = Path(sys.executable).parent
RULES = ["Snakefile", *sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("rules/*.smk"))]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "scripts", "tests"], id="ruff-check"),
        pytest.param(["ruff", "format", "--check", "scripts", "tests"], id="ruff-format"),
        pytest.param(["mypy"], id="mypy"),
        pytest.param(["lint-imports"], id="import-contracts"),
        pytest.param(["snakefmt", "--check", *RULES], id="snakefmt"),
        pytest.param(["snakemake", "--lint"], id="snakemake-lint", marks=pytest.mark.workflow),
    ],
)
def test_check_passes(command):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    result = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("folder", "limit"), [("scripts", 300), ("rules", 300), ("tests", 400)])
def test_no_file_is_longer_than_a_reader_likes(folder, limit):
    paths = [path for kind in ("*.py", "*.smk") for path in (REPOSITORY / folder).rglob(kind)]
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in paths}
    assert {name: length for name, length in lengths.items() if length > limit} == {}
