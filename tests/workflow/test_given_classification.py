"""Round 1 is a classification that RELION made, in this project or in another (input: {optimiser: ...})."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from relion_layouts import GOLDEN, copy_job
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import copy_project, fingerprints, finished, snakemake

pytestmark = pytest.mark.workflow

GIVEN = "../theirs/Class2D/job002/run_it004_optimiser.star"
CONFIG = {
    "input": {"optimiser": GIVEN},
    "class2d": {"nr_classes": 2, "do_em": True, "nr_iter_em": 1, "particle_diameter": 190, "psi_sampling": 12},
    "select": {"rank_threshold": 0.8, "do_regroup": True, "nr_groups": 4},
    # a class of one iteration may score badly: a floor keeps the chain going
    "rounds": [{}, {"select": {"select_nr_classes": 2, "do_regroup": False}}],
}
ONE_ROUND = {"input": CONFIG["input"], "select": {"rank_threshold": 0.5}, "rounds": [{}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with RELION's project, as it was, and ours, which is finished."""
    folder = tmp_path_factory.mktemp("given")
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
    copy_job(folder / "theirs")
    (folder / "theirs/Class2D/job002/job.star").write_text("# version 50001\n\ndata_job\n\n_rlnJobTypeLabel class2d\n")
    before = fingerprints(folder / "theirs", "Class2D", "Extract")
    finished(folder / "ours", CONFIG)
    assert fingerprints(folder / "theirs", "Class2D", "Extract") == before
    assert sorted(path.name for path in (folder / "theirs").iterdir()) == ["Class2D", "Extract"]
    return folder


def test_particles_of_its_good_classes_are_kept_as_they_are(folder):
    ours = folder / "ours"
    given = read_particle_table(folder / "theirs/Class2D/job002/run_it004_data.star")
    kept = read_particle_table(ours / "Select/job012/particles.star")
    ledger = read_ledger(ours / "report/round_01/classes.tsv")
    numbers = [str(number) for number in ledger["class"][ledger["kept"]]]
    assert 0 < len(numbers) < 5
    expected = given.particles[given.particles["rlnClassNumber"].isin(numbers)]
    assert list(kept.particles.columns) == list(expected.columns)
    assert kept.particles.to_numpy().tolist() == expected.to_numpy().tolist()
    assert kept.optics.equals(given.optics)


def test_only_jobs_that_were_run_are_there(folder):
    ours = folder / "ours"
    processes = read_star(ours / "default_pipeline.star")["pipeline_processes"]["rlnPipeLineProcessName"]
    assert list(processes) == ["Select/job012/", "Select/job013/", "Class2D/job021/", "Select/job022/"]
    assert sorted(path.name for path in (ours / "Class2D").iterdir()) == ["job021"]
    assert not list(ours.glob("Extract/job001/*.*"))
    assert os.readlink(ours / "Select/clean") == "../Select/job022/"
    edges = read_star(ours / "default_pipeline.star")["pipeline_input_edges"]
    of_first = edges["rlnPipeLineEdgeFromNode"][edges["rlnPipeLineEdgeProcess"] == "Select/job012/"]
    assert list(of_first) == [GIVEN]
    options = read_star(ours / "Select/job012/job.star")["joboptions_values"]
    assert GIVEN in options["rlnJobOptionValue"].tolist()


def test_images_and_averages_are_found_from_our_project(folder):
    ours = folder / "ours"
    names = read_particle_table(ours / "Select/job012/particles.star").particles["rlnImageName"]
    for name in names.str.partition("@")[2].unique():
        assert (ours / name).is_symlink()
        assert (ours / name).samefile(folder / "theirs" / name)
    averages = read_star(ours / "Select/job012/class_averages.star")[""]["rlnReferenceImage"]
    stack = folder / "theirs/Class2D/job002/run_it004_classes.mrcs"
    assert all((ours / name.partition("@")[2]).samefile(stack) for name in averages)


def test_the_next_round_classifies_what_was_kept_and_regrouped(folder):
    ours = folder / "ours"
    regrouped = read_particle_table(ours / "Select/job013/particles.star").particles
    assert 3 <= regrouped["rlnGroupName"].nunique() <= 5
    classified = read_particle_table(ours / "Class2D/job021/run_it001_data.star").particles
    assert classified["rlnImageName"].tolist() == regrouped["rlnImageName"].tolist()
    assert set(classified["rlnClassNumber"]) == {"1", "2"}


def test_the_page_tells_of_it(folder):
    html = (folder / "ours/report/index.html").read_text(encoding="utf-8")
    for words in ("../theirs/Class2D/job002", "<b>400</b>", "190 Å", "3 (left) and 4 (right)", "Iteration 2: ", "EM"):
        assert words in html, words
    assert html.count('class="tile ') == 5 + 2


def test_nothing_runs_again_until_the_given_file_changes(folder):
    ours = folder / "ours"
    assert "Nothing to be done" in snakemake(ours, CONFIG, "--dry-run").stdout
    optimiser = folder / "theirs/Class2D/job002/run_it004_optimiser.star"
    text, times = optimiser.read_text(), optimiser.stat()
    optimiser.write_text("# another\n" + text)
    try:
        assert "rule select_classes" in snakemake(ours, CONFIG, "--dry-run").stdout
    finally:
        optimiser.write_text(text)
        os.utime(optimiser, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_round_more_leaves_the_earlier_ones_alone(folder):
    longer = CONFIG | {"rounds": [*CONFIG["rounds"], {"select": {"do_regroup": False}}]}
    said = snakemake(folder / "ours", longer, "--dry-run").stdout
    assert "Class2D/job031" in said
    for job in ("job012", "job013", "job021", "job022"):
        assert f"output: Select/{job}" not in said
        assert f"output: Class2D/{job}" not in said


@pytest.mark.parametrize("directory", ["Class2D/job003", "Class2D/job021"])
def test_a_job_of_the_same_project_by_vdam(tmp_path, directory):
    """Its number may be one that a round of ours could have: it is no output of ours all the same."""
    project = tmp_path / "project"
    project.mkdir()
    copy_job(project, "4.0", "job003")
    if directory != "Class2D/job003":
        text = {path: path.read_text() for path in project.glob("Class2D/job003/*.star")}
        for path, old in text.items():
            path.write_text(old.replace("Class2D/job003", directory))
        (project / "Class2D/job003").rename(project / directory)
    before = fingerprints(project, "Class2D", "Extract")
    finished(project, ONE_ROUND | {"input": {"optimiser": f"{directory}/run_it006_optimiser.star"}})
    assert fingerprints(project, "Class2D", "Extract") == before
    given = read_particle_table(project / directory / "run_it006_data.star").particles
    kept = read_particle_table(project / "Select/clean/particles.star").particles
    assert 0 < len(kept) < len(given)
    assert set(kept["rlnImageName"]) < set(given["rlnImageName"])
    assert not list(project.rglob("*.mrcs.new"))
    assert not any(path.is_symlink() for path in project.rglob("*.mrcs"))
    assert "VDAM" in (project / "report/index.html").read_text(encoding="utf-8")


def test_images_are_needed_only_where_a_round_follows(folder, tmp_path):
    shutil.copytree(GOLDEN / "Class2D/job002", tmp_path / "theirs/Class2D/job002")
    project = tmp_path / "ours"
    project.mkdir()
    answer = snakemake(project, CONFIG)
    assert answer.returncode != 0
    assert "data_particles: 10 of 10 stacks are missing" in answer.stdout
    assert not (project / "Select/job012/particles.star").exists()
    assert not (project / "Extract").exists()
    finished(project, ONE_ROUND | {"select": {"rank_threshold": CONFIG["select"]["rank_threshold"]}})
    assert "10 of 10 stacks are missing" in (project / "Select/job012/run.out").read_text()
    ours, other = (read_particle_table(path / "Select/job012/particles.star") for path in (project, folder / "ours"))
    assert ours.particles.equals(other.particles)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Class2D/job002/run_it009_optimiser.star", "does not exist"),
        ("../theirs/Class2D/job002/run_it000_optimiser.star", "is of iteration 0"),
        ("Class2D/job021/run_it001_optimiser.star", "lies in a job that a later round is to write"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_anything_runs(folder, tmp_path, name, words):
    copy_project(folder / "theirs", tmp_path / "theirs")
    project = copy_project(folder / "ours", tmp_path / "ours")
    before = fingerprints(project, "Class2D", "Select")
    answer = snakemake(project, CONFIG | {"input": {"optimiser": name}})
    assert answer.returncode != 0
    assert f"input.optimiser: {name} {words}" in answer.stdout
    assert "Traceback" not in answer.stdout
    assert fingerprints(project, "Class2D", "Select") == before


@pytest.mark.parametrize(
    "name", ["Select/job052/particles.star", "Class2D/job051/run_it003_data.star", "Select/job013/particles.star"]
)
def test_particles_of_relions_jobs_are_an_input_whatever_their_number(tmp_path, name):
    """Their number is one that a further round, or one that regrouped, would have: they are no output of ours."""
    project = tmp_path / "project"
    (project / name).parent.mkdir(parents=True)
    shutil.copy(GOLDEN / "Class2D/job002/run_it004_data.star", project / name)
    config = ONE_ROUND | {"input": {"particles": name}, "class2d": CONFIG["class2d"]}
    said = snakemake(project, config, "--dry-run").stdout
    assert "rule extract" in said
    assert "total                 6" in said
