"""A first round that goes on from another project's iteration, under the real Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, copy_project, fingerprints, finished, snakemake

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
    assert len(names) == 7
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
    assert f"class2d.fn_cont: {START} (round 1) does not exist" in answer.stdout
    assert not (project / "Extract").exists()


@pytest.mark.parametrize(
    ("job", "total", "words"),
    [
        ("job011", 3, "is at iteration 3, and class2d.nr_iter_em: 3 counts all iterations, also those already done"),
        ("job011", 2, "is at iteration 3, and class2d.nr_iter_em: 2 counts all iterations"),
        ("job021", 5, "is what this project itself is to write, and would be removed first"),
    ],
)
def test_an_output_of_the_project_itself_is_refused_and_stays(folder, job, total, words):
    """Snakemake would remove it, as an output of a job, before the script could refuse."""
    project, name = folder / "first", f"Class2D/{job}/run_it003_optimiser.star"
    before = fingerprints(project, "Class2D")
    config = DEMO | {
        "class2d": DEMO["class2d"] | {"fn_cont": name, "nr_iter_em": total},
        "rounds": [{}, {"class2d": {"nr_classes": 2, "nr_iter_em": 3}}],
    }
    answer = snakemake(project, config)
    assert answer.returncode != 0
    assert f"class2d.fn_cont: {name} (round 1) {words}" in answer.stdout
    assert "Traceback" not in answer.stdout
    assert fingerprints(project, "Class2D") == before


def test_the_job_goes_on_from_its_own_last_iteration_with_more(folder, tmp_path):
    project = copy_project(folder / "first", tmp_path / "project")
    name = "Class2D/job011/run_it003_optimiser.star"
    config = DEMO | {"class2d": DEMO["class2d"] | {"fn_cont": name, "nr_iter_em": 4}, "rounds": [{}]}
    finished(project, config, "--until", "class2d")
    assert (project / "Class2D/job011/run_it004_optimiser.star").is_file()
    assert (project / name).is_file()
    assert "rule class2d" not in snakemake(project, config, "--until", "class2d", "--dry-run").stdout


@pytest.mark.parametrize("text", ["data_other\n\n_rlnCurrentIteration 1\n", "data_optimiser_general\n\n_rlnX 1\n", "a"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.star").write_text(text)
    answer = snakemake(project, DEMO | {"class2d": DEMO["class2d"] | {"fn_cont": "a.star"}})
    assert answer.returncode != 0
    assert "class2d.fn_cont: a.star (round 1) has no rlnCurrentIteration in a table" in answer.stdout
