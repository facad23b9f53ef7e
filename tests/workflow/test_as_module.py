"""Winnow as a module of another workflow: its rules under a prefix, beside rules of that workflow."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from conftest import REPOSITORY
from workflow.snakemake_runs import DEMO

pytestmark = pytest.mark.workflow

OTHERS = f"""
configfile: "winnow.yaml"


module winnow:
    snakefile:
        "{REPOSITORY}/Snakefile"
    config:
        config["clean_up"]


use rule * from winnow as winnow_*


rule count:
    default_target: True
    input:
        rules.winnow_all.input,
    output:
        "count.txt",
    shell:
        "grep -c mrcs Select/clean/particles.star > {{output}}"
"""


def test_another_workflow_uses_all_rules_under_a_prefix(tmp_path):
    (tmp_path / "Snakefile").write_text(OTHERS)
    (tmp_path / "winnow.yaml").write_text(yaml.safe_dump({"clean_up": DEMO | {"rounds": [{}]}}))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor"]
    result = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "winnow_class2d" in result.stderr
    assert int((tmp_path / "count.txt").read_text()) >= 100
