"""Jobs that RELION 3.1's pipeliner planned are run by our scripts, and it goes on from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import micrograph_sets
from conftest import REPOSITORY
from relion_projects import add_job, form, jobs_of, make_project, pipeliner, run_script
from winnow2d.formats import jobs
from winnow2d.formats.mrc import ParticleStack
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.star import read_star
from winnow2d.join_options import JoinStarOptions
from winnow2d.options import Class2DOptions, ExtractOptions, OwnOptions, SelectOptions

pytestmark = pytest.mark.relion
MODEL = "Class2D/job002/run_it004_model.star"


@pytest.fixture
def classified(project):
    """Return a RELION project with a classification that RELION made."""
    make_project(project)
    shutil.copytree(REPOSITORY / "tests/golden/relion5/Class2D", project / "Class2D", dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "tests/golden/relion5/Extract", project / "Extract", dirs_exist_ok=True)
    (project / "Class2D/job003").rename(project / "Class2D/job004")  # RELION counts from 1
    return project


def succeeded(project, script, job):
    """Run a script on a job that RELION planned; it must succeed, for RELION too."""
    done = run_script(project, script, job)
    assert done.returncode == 0, done.stderr
    assert (project / job / jobs.EXIT_FILES["Succeeded"]).exists()
    pipeliner(project, "--check_job_completion")
    assert jobs_of(project)[f"{job}/"]["rlnPipeLineProcessStatus"] == "2"


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("Class2D", Class2DOptions(), {"fn_img": "a.star"}),
        ("Extract", ExtractOptions(), {"star_mics": "a.star", "coords_suffix": "b.star"}),
        ("Select", SelectOptions(), {"fn_model": MODEL}),
        ("JoinStar", JoinStarOptions(), {"do_part": "Yes", "fn_part1": "a.star", "fn_part2": "b.star"}),
    ],
)
def test_our_job_star_has_every_variable_of_relions_form(project, kind, options, named):
    make_project(project)
    theirs = form(project / add_job(project, kind, **named) / "job.star")
    number = jobs.NUMBER_OF_TYPE[kind]
    jobs.write_job_star("job.star", jobs.JobFile(jobs.LABEL_OF_TYPE[kind], number, options, OwnOptions()))
    assert not set(theirs) - set(form(Path("job.star")))
    pipeliner(
        project, "--addJobFromStar", "job.star", "--addJobOptions", ";".join(f"{a} == {b}" for a, b in named.items())
    )
    again = form(project / f"{kind}/job002/job.star")  # as RELION read ours, and wrote it
    assert set(again) == set(theirs)
    assert named.items() <= again.items()


def test_a_class2d_job(classified):
    job = add_job(
        classified, "Class2D", fn_img="Extract/job001/particles.star", nr_classes=2, nr_iter=1, particle_diameter=190,
        psi_sampling=24, offset_range=2, nr_threads=3,
    )  # fmt: skip
    assert job == "Class2D/job001"
    succeeded(classified, "class2d.py", job)
    assert len(read_star(classified / job / "run_it001_model.star")["model_classes"]) == 2
    assert form(classified / job / "job.star")["do_em"] == "Yes"
    chosen = add_job(classified, "Select", fn_model=f"{job}/run_it001_model.star")
    assert chosen == "Select/job1001"  # our numbers are left free


def test_select_and_joinstar_jobs(classified):
    chosen = add_job(classified, "Select", fn_model=MODEL)
    succeeded(classified, "select_classes.py", chosen)
    averages = read_star(classified / chosen / "class_averages.star")[""]["rlnReferenceImage"]
    assert averages[0] == f"000001@{chosen}/class_averages.mrcs"  # RELION 3.1 centres them unless told otherwise
    assert {"classes.tsv", "particles.tsv"} <= {path.name for path in (classified / chosen).glob("*.tsv")}

    regrouped = add_job(classified, "Select", fn_model=MODEL, do_regroup="Yes", nr_groups=3)
    done = run_script(classified, "select_classes.py", regrouped)
    assert done.returncode == 1
    assert "run it with scripts/regroup.py" in done.stderr
    succeeded(classified, "regroup.py", regrouped)

    join = add_job(
        classified,
        "JoinStar",
        do_part="Yes",
        fn_part1=f"{chosen}/particles.star",
        fn_part2=f"{regrouped}/particles.star",
    )
    succeeded(classified, "join.py", join)
    assert "images stand there more than once" in (classified / join / "run.err").read_text()
    counts = [len(read_particle_table(classified / name).particles) for name in (
        f"{chosen}/particles.star", f"{regrouped}/particles.star", f"{join}/join_particles.star",
    )]  # fmt: skip
    assert counts[1] == 400
    assert counts[2] == counts[0] + counts[1]
    edges = read_star(classified / "default_pipeline.star")["pipeline_input_edges"].to_numpy().tolist()
    for name in (chosen, regrouped):
        assert [f"{name}/particles.star", f"{join}/"] in edges


def test_a_job_that_relion_ran_is_left_alone(classified):
    job = add_job(classified, "Class2D", fn_img="Extract/job001/particles.star")
    (classified / job / "run_it001_data.star").touch()
    before = sorted(path.name for path in (classified / job).iterdir())
    done = run_script(classified, "class2d.py", job)
    assert "not made by Winnow (it holds run_it001_data.star)" in done.stderr
    assert sorted(path.name for path in (classified / job).iterdir()) == before
    assert jobs_of(classified)[f"{job}/"]["rlnPipeLineProcessStatus"] == "1"


def test_an_extract_job_gives_what_relion_makes_of_the_same_form(project):
    make_project(project)
    micrograph_sets.make_project(project)
    picks = "AutoPick/job004/coords_suffix_pick.star"
    Path(picks).write_text("micrographs.star\n")  # what RELION 3.1's picker leaves for Extract to name
    asked = {"star_mics": "micrographs.star", "coords_suffix": picks, "extract_size": 48, "do_rescale": "Yes"}
    mine, theirs = (add_job(project, "Extract", rescale=24, **asked) for _ in range(2))
    succeeded(project, "extract_micrographs.py", mine)
    assert form(project / mine / "job.star")["do_float16"] == "No"
    pipeliner(project, "--RunJobs", f"{theirs}/", "--schedule", "once", "--sec_wait_after", "0")
    tables = [read_particle_table(f"{job}/particles.star").particles for job in (mine, theirs)]
    assert list(tables[0]) == list(tables[1])
    for label in set(tables[0]) - {"rlnImageName", "rlnMicrographName"}:
        np.testing.assert_allclose(*[table[label].astype(float) for table in tables], atol=1e-5, err_msg=label)
    images = [ParticleStack(list(table["rlnImageName"])).read(np.arange(len(table))) for table in tables]
    np.testing.assert_allclose(*images, atol=2e-4)
    edges = read_star("default_pipeline.star")["pipeline_input_edges"].to_numpy().tolist()
    assert ["micrographs.star", f"{mine}/"] in edges
    assert [picks, f"{mine}/"] in edges
