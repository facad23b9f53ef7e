"""The checks of the house, run as a developer would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import REPOSITORY

BIN = Path(sys.executable).parent
RULES = ["Snakefile", *sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("rules/*.smk"))]

SPELLED = ["scripts", "tests", "rules", "docs", "Snakefile", "config.yaml", "pyproject.toml", "README.md"]
SPELLED += ["CHANGELOG.md", "CONTRIBUTING.md"]
MAX_FILE_BYTES = 500 * 1024


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "scripts", "tests"], id="ruff-check"),
        pytest.param(["ruff", "format", "--check", "scripts", "tests"], id="ruff-format"),
        pytest.param(["codespell", *SPELLED], id="codespell"),
        pytest.param(["validate-pyproject", "pyproject.toml"], id="validate-pyproject"),
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


def test_no_file_in_the_repository_is_large():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True, capture_output=True, check=True)
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    sizes = {path.name: path.lstat().st_size for path in paths if path.is_file()}
    assert sizes, "git lists no file"
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_BYTES} == {}


def test_every_hook_of_pre_commit_can_be_run():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    names = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert {"codespell", "check-added-large-files", "validate-pyproject"} <= names
    assert [name for name in names if not (BIN / name).is_file()] == []
