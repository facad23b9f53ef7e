"""A first round that goes on from another project's iteration, under the real Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, finished, snakemake

pytestmark = pytest.mark.workflow

START = "../first/Class2D/job011/run_it002_optimiser.star"
GOING_ON = DEMO | {"class2d": DEMO["class2d"] | {"fn_cont": START, "nr_threads": 4}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a finished project, and one that went on after its second iteration."""
    folder = tmp_path_factory.mktemp("going_on")
    for name, config in (("first", DEMO), ("second", GOING_ON)):
        (folder / name).mkdir()
        finished(folder / name, config)
    return folder


def test_it_is_the_unbroken_run(folder):
    first, second = folder / "first", folder / "second"
    said = (second / "Class2D/job011/run.out").read_text()
    assert "Going on after iteration 2" in said
    assert "Without effect here: nr_threads 4" in said
    assert not list((second / "Class2D/job011").glob("run_it001*"))
    names = [path.name for path in (first / "Class2D/job011").glob("run_it003_*")]
    names = [f"Class2D/job011/{name}" for name in names] + ["Select/job022/particles.star"]
    assert len(names) == 6
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_only_the_first_round_goes_on(folder):
    values = read_star(folder / "second/Class2D/job021/job.star")["joboptions_values"]
    assert values["rlnJobOptionValue"][values["rlnJobOptionVariable"] == "fn_cont"].tolist() == [""]
    assert (folder / "second/Class2D/job021/run_it001_data.star").is_file()


def test_the_project_knows_what_the_job_went_on_from(folder):
    edges = read_star(folder / "second/default_pipeline.star")["pipeline_input_edges"]
    of_job = edges["rlnPipeLineEdgeFromNode"][edges["rlnPipeLineEdgeProcess"] == "Class2D/job011/"]
    assert set(of_job) == {START, "Extract/job001/particles.star"}


def test_nothing_runs_again_until_the_file_changes(folder):
    said = snakemake(folder / "second", GOING_ON, "--dry-run")
    assert "Nothing to be done" in said.stdout
    pooled = GOING_ON | {"class2d": GOING_ON["class2d"] | {"nr_pool": 30, "do_preread_images": "Yes"}}
    assert "Nothing to be done" in snakemake(folder / "second", pooled, "--dry-run").stdout
    optimiser = folder / "first/Class2D/job011/run_it002_optimiser.star"
    text = optimiser.read_text()
    optimiser.write_text("# another\n" + text)
    try:
        assert "class2d" in snakemake(folder / "second", GOING_ON, "--dry-run").stdout
    finally:
        optimiser.write_text(text)


def test_a_file_that_is_not_there_is_refused_before_anything_runs(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    answer = snakemake(project, GOING_ON)
    assert answer.returncode != 0
    assert f"class2d.fn_cont: {START} does not exist (round 1)" in answer.stdout
    assert not (project / "Extract").exists()
