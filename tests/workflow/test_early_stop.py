"""own.stop_share: once a round keeps nearly all, the rounds after it are passed on, and the jobs are all there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from conftest import REPOSITORY
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, fingerprints, finished

pytestmark = pytest.mark.workflow

STOPPED = DEMO | {
    "rounds": [
        {},
        {"class2d": {"nr_classes": 2}, "select": {"do_recenter": True}},
        {"own": {"continue_to": 5}, "select": {"do_regroup": True, "nr_groups": 2}},
    ],
    "own": {"stop_share": 0.3},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = tmp_path_factory.mktemp("stopped") / "demo"
    project.mkdir()
    finished(project, STOPPED)
    return project


def particles(path):
    return read_star(path)["particles"]


def test_later_rounds_hold_what_the_first_one_kept(project):
    first, *later = (project / f"Select/job0{number}2/particles.star" for number in (1, 2, 3))
    for path in later:
        assert particles(path).equals(particles(first))
    for number in (2, 3):
        job = project / f"Class2D/job0{number}1"
        assert "Passed on from" in (job / "run.out").read_text(encoding="utf-8")
        assert "round 1 kept" in json.loads((job / "provenance.json").read_text(encoding="utf-8"))["reason"]
        assert read_iteration(job / "run_it003_optimiser.star").model.n_classes == 3
        assert len(particles(job / "run_it003_data.star")) == len(particles(first))
        assert not (job / "run_it002_data.star").exists()
        rules = (project / f"report/round_0{number}/classes.tsv").read_text(encoding="utf-8")
        assert "passed on: round 1 kept" in rules
    assert "Passed on unchanged" in (project / "Class2D/job034/run.out").read_text(encoding="utf-8")
    assert particles(project / "Select/job033/particles.star").equals(particles(first))


def test_the_choice_can_be_made_again(project):
    command = [sys.executable, str(REPOSITORY / "scripts/replay.py"), str(project)]
    result = subprocess.run(command, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_without_a_stop_the_rounds_after_the_first_are_made(project):
    first = ("Extract/job001", "Class2D/job011", "Select/job012", "report/round_01")
    before = fingerprints(project, *first)
    finished(project, STOPPED | {"own": {}})
    assert fingerprints(project, *first) == before
    assert (project / "Class2D/job021/run_it002_data.star").exists()
    assert read_iteration(project / "Class2D/job021/run_it003_optimiser.star").model.n_classes == 2
