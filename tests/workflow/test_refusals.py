"""What ends before any work, and what runs nothing again, under the real Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow2d.formats.jobs import read_job_star
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions
from workflow.snakemake_runs import DEMO, finished, snakemake

pytestmark = pytest.mark.workflow


def refused(project: Path, config: dict | None, *arguments: str) -> str:
    """Return what Snakemake says of a run that must fail with its messages alone."""
    result = snakemake(project, config, *arguments)
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stdout
    return result.stdout


def test_what_a_user_made_in_our_places_stays(tmp_path):
    project = tmp_path / "project"
    theirs = [project / "Select/clean/particles.star", project / "report/index.html"]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    said = refused(project, DEMO)
    assert "Select/clean is a directory and no alias of Winnow's" in said
    assert "report/index.html was not made by Winnow" in said
    assert [path.read_text() for path in theirs] == ["mine", "mine"]
    assert not (project / "Extract").exists()


def test_an_empty_config_of_a_user_is_not_the_demo(tmp_path):
    said = refused(tmp_path / "project", {}, "--dry-run")
    assert "input: missing. Say where the particles are" in said


@pytest.fixture(scope="module")
def entered(tmp_path_factory) -> tuple[Path, dict]:
    """Return a project next to simulated particles, and the config that enters them."""
    folder = tmp_path_factory.mktemp("refusals")
    source, project = folder / "source", folder / "project"
    source.mkdir()
    project.mkdir()
    finished(source, DEMO, "--until", "simulate")
    return project, DEMO | {"input": {"particles": "../source/Extract/job001/particles.star"}}


def test_no_round_starts_if_a_later_one_cannot(entered):
    project, config = entered
    rounds = [{}, {"class2d": {"nr_classes": 201}}, {"class2d": {"particle_diameter": 500}}]
    said = refused(project, config | {"rounds": rounds})
    assert "round 2: class2d.nr_classes: 201 classes for 200 particles" in said
    assert "round 3: class2d.particle_diameter: 500 A is larger than the box (32 px of 7.08 A" in said
    assert not (project / "Class2D").exists()


def test_options_run_again_only_what_reads_them(entered):
    project, config = entered
    finished(project, config | {"rounds": [{}]}, "--until", "select_classes")
    other = {"device": "cpu", "keep_iterations": "last", "grad_write_iter": 3}
    said = finished(project, config | {"rounds": [{}], "own": other}, "--until", "select_classes", "--dry-run")
    assert "rule " not in said
    more = config | {"rounds": [{}, {"class2d": {"nr_classes": 2}}]}
    assert "rule " not in finished(project, more, "--until", "select_classes", "--dry-run").partition("rule class2d")[0]
    seed = finished(project, config | {"rounds": [{}], "own": {"random_seed": 2}}, "--until", "class2d", "--dry-run")
    assert "Class2D/job011" in seed
    assert "rule extract" not in seed


def test_job_star_tells_of_the_options_a_job_reads_and_no_others(entered):
    project, config = entered
    finished(project, config | {"rounds": [{}], "own": {"device": "cpu"}}, "--until", "select_classes")
    read = read_job_star(project / "Class2D/job011/job.star", Class2DOptions)
    assert read.own_names == ("compatibility", "device", "keep_iterations", "precision", "random_seed")
    assert "winnow_own" not in read_star(project / "Select/job012/job.star")
    own = read_star(project / "Extract/job001/job.star")["winnow_own"]
    assert list(own["winnowOptionVariable"]) == ["stacks_root"]
