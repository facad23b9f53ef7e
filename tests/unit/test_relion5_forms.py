"""A job.star that RELION 4 or 5 wrote is run by our scripts as it is; ours has all that its window shows."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from conftest import REPOSITORY
from relion_projects import form, run_script
from winnow2d.formats import jobs
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.star import read_star, write_star
from winnow2d.options import OwnOptions

DEFAULTS = yaml.safe_load((REPOSITORY / "tests/golden/job_options.yaml").read_text(encoding="utf-8"))
STEM = "Class2D/job002/run_it004"
INPUTS = {
    "class2d": {"fn_img"}, "extract": set(), "select": {"fn_model", "fn_data"},
    "joinstar": {"fn_part1", "fn_part2", "fn_part3", "fn_part4"},
}  # fmt: skip


@pytest.fixture
def classified(project):
    """Return a project with a classification of RELION 5, registered nowhere."""
    shutil.copytree(REPOSITORY / "tests/golden/relion5/Class2D", project / "Class2D", dirs_exist_ok=True)
    return project


def planned(job, label, **values):
    """Write the files that RELION 5 leaves in the directory of a job it has scheduled."""
    kind = job.split("/")[0].lower()
    texts = {"qsubscript": "/opt/relion/qsub.csh"} | dict.fromkeys(INPUTS[kind], "")
    texts |= DEFAULTS["running"] | DEFAULTS[kind] | values
    rows = {"rlnJobOptionVariable": sorted(texts), "rlnJobOptionValue": [str(texts[name]) for name in sorted(texts)]}
    head = {"rlnJobTypeLabel": label, "rlnJobIsContinue": 0, "rlnJobIsTomo": 0}
    Path(job).mkdir(parents=True)
    write_star(f"{job}/job.star", {"job": head, "joboptions_values": pd.DataFrame(rows, dtype=object)}, version=50001)
    for name in ("job_pipeline.star", "default_pipeline.star", "note.txt"):
        Path(job, name).touch()


@pytest.mark.parametrize("kind", jobs.OPTIONS_OF_TYPE)
def test_our_job_star_has_every_variable_with_relions_default(project, kind):
    options = jobs.OPTIONS_OF_TYPE[kind]
    at_default = options(**{item.name: item.metadata["relion_default"] for item in dataclasses.fields(options)})
    label, number = jobs.LABEL_OF_TYPE[kind], jobs.NUMBER_OF_TYPE[kind]
    jobs.write_job_star("job.star", jobs.JobFile(label, number, at_default, OwnOptions()))
    told, lower = form(Path("job.star")), kind.lower()
    for name, value in (DEFAULTS["running"] | DEFAULTS[lower]).items():
        number = isinstance(value, (int, float))
        assert float(told[name]) == value if number else told[name] == value, name
    former = {"class2d": {"nr_iter", "do_fast_subsets"}, "select": {"fn_coords", "python_exe"}}.get(lower, set())
    assert set(told) == set(DEFAULTS["running"]) | set(DEFAULTS[lower]) | INPUTS[lower] | former | {"qsubscript"}


def test_automatic_selection_with_a_variable_of_a_later_version(classified):
    planned(
        "Select/job005", "relion.select.class2dauto", do_class_ranker="Yes", rank_threshold="0.8",
        fn_model=f"{STEM}_optimiser.star", qsub_extra1="gpu", python_exe="/opt/python",
    )  # fmt: skip
    done = run_script(classified, "select_classes.py", "Select/job005")
    assert done.returncode == 0, done.stderr
    assert "options that Winnow does not know, left out: qsub_extra1" in done.stderr
    assert "python_exe /opt/python has no effect here" in done.stderr
    kept = read_particle_table("Select/job005/particles.star").particles
    assert 0 < len(kept) < 400
    assert (
        read_star("Select/job005/class_averages.star")[""]["rlnReferenceImage"]
        .str.endswith(f"@{STEM}_classes.mrcs")
        .all()
    )
    (row,) = read_star("default_pipeline.star")["pipeline_processes"].to_dict("records")
    assert row["rlnPipeLineProcessName"] == "Select/job005/"
    assert {"relion.select.class2dauto", "7", "Succeeded", "2"} <= set(row.values())


def test_regrouping_then_joining(classified):
    planned(
        "Select/job006", "relion.select.interactive", do_regroup="Yes", nr_groups=3, fn_model=f"{STEM}_optimiser.star"
    )
    done = run_script(classified, "regroup.py", "Select/job006")
    assert done.returncode == 0, done.stderr
    regrouped = read_particle_table("Select/job006/particles.star").particles
    assert len(regrouped) == 400
    parts = {"fn_part1": "Select/job006/particles.star", "fn_part3": "Class2D/job002/run_it003_data.star"}
    planned("JoinStar/job007", "relion.joinstar.particles", do_part="Yes", **parts)
    done = run_script(classified, "join.py", "JoinStar/job007")
    assert done.returncode == 0, done.stderr
    assert len(read_particle_table("JoinStar/job007/join_particles.star").particles) == 800
    row = read_star("default_pipeline.star")["pipeline_processes"].to_dict("records")[1]
    assert {"relion.joinstar.particles", "13", "Succeeded"} <= set(row.values())
    told = form(Path("JoinStar/job007/job.star"))
    assert (told["fn_part1"], told["fn_part2"], told["fn_part3"]) == (*parts.values(), "")


@pytest.mark.parametrize(
    ("job", "script", "label", "values", "words"),
    [
        (
            "Select/job008",
            "select_classes.py",
            "relion.select",
            {"fn_model": "a_optimiser.star"},
            "do_class_ranker: No",
        ),
        ("Select/job008", "select_classes.py", "relion.select", {}, "fn_model names no optimiser file"),
        ("Select/job008", "regroup.py", "relion.select", {"fn_model": "a_model.star"}, "regrouping needs do_regroup"),
        ("JoinStar/job008", "join.py", "relion.joinstar", {"do_part": "Yes"}, "no particle files to join"),
        ("JoinStar/job008", "join.py", "relion.joinstar", {"do_mic": "Yes"}, "Winnow joins particles alone"),
    ],
)
def test_other_work_of_the_same_form_is_refused_and_nothing_written(project, job, script, label, values, words):
    planned(job, label, **values)
    before = {path.name: path.stat().st_mtime_ns for path in Path(job).iterdir()}
    done = run_script(project, script, job)
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ")
    assert words in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in Path(job).iterdir()} == before
    assert not Path("default_pipeline.star").exists()
