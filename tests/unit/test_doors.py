"""What a script is asked for: by a rule of the workflow, or by a job.star on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList

from winnow2d import doors
from winnow2d.errors import JobError, WinnowError
from winnow2d.formats import jobs
from winnow2d.formats.form_versions import files_of_fn_model
from winnow2d.join_options import JoinStarOptions
from winnow2d.options import ExtractOptions, OwnOptions, SelectOptions

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "class2d.py"
CLASS2D = doors.JobSpec(type="Class2D")


def rule(own, resources):
    """Return the globals of a script that Snakemake started."""
    return {
        "__file__": str(SCRIPT),
        "snakemake": SimpleNamespace(
            input=InputFiles(),
            output=OutputFiles(fromdict={"data": "Class2D/job011/run_it003_data.star"}),
            params=Params(fromdict={"own": own}),
            resources=ResourceList(fromdict=resources),
            log=Log(),
            threads=2,
            rule="class2d",
        ),
    }


def test_where_a_job_runs_and_what_it_keeps_come_as_resources():
    resources = {"mem_mb": 100, "device": "cpu", "keep_iterations": "last", "grad_write_iter": 2}
    job = doors.read_request(rule({"random_seed": 3}, resources), CLASS2D).job
    assert job.own == OwnOptions(random_seed=3, device="cpu", keep_iterations="last", grad_write_iter=2)
    assert job.own_names == ("device", "grad_write_iter", "keep_iterations", "random_seed")
    of_em = doors.read_request(rule({"random_seed": 3}, resources | {"grad_write_iter": 0}), CLASS2D).job
    assert of_em.own_names == ("device", "keep_iterations", "random_seed")


def test_another_kind_of_job_is_named_before_its_options_are_read(project, monkeypatch):
    place = Path("Select/job012")
    place.mkdir(parents=True)
    job = jobs.JobFile("relion.select.class2dauto", 7, SelectOptions(), OwnOptions(), outputs={"particles": "x"})
    jobs.write_job_star(place / "job.star", job)
    monkeypatch.setattr("sys.argv", ["class2d.py", str(place / "job.star")])
    with pytest.raises(JobError) as caught:
        doors.read_request({"__file__": str(SCRIPT)}, CLASS2D)
    assert caught.value.problems == (
        "Select/job012/job.star: a job of type relion.select.class2dauto; class2d.py runs relion.class2d",
    )


CHOICE = doors.JobSpec(
    type="Select",
    label="relion.select.class2dauto",
    option_inputs={"fn_model": "optimiser"},
    inputs_of=lambda options: files_of_fn_model(options.fn_model),
    planned_outputs=lambda options: {"particles": "particles.star", "ledger": "classes.tsv"},
)
FIRST = {name: f"Class2D/job011/run_it025_{name}.star" for name in ("optimiser", "model", "data")}


@pytest.fixture
def asked(project, monkeypatch):
    """Return a function that asks, by the command line, for what a job.star of an earlier run says."""

    def ask(directory="Select/job012", label="relion.select.class2dauto", **options):
        place = Path(directory)
        place.mkdir(parents=True, exist_ok=True)
        outputs = {"particles": "Select/job012/particles.star", "ledger": "report/round_01/classes.tsv"}
        job = jobs.JobFile(label, 7, SelectOptions(**options), OwnOptions(), FIRST | {"other": "x"}, outputs)
        jobs.write_job_star(place / "job.star", job)
        monkeypatch.setattr("sys.argv", ["select_classes.py", str(place / "job.star")])
        return doors.read_request({"__file__": str(SCRIPT)}, CHOICE).job

    return ask


def test_inputs_and_outputs_of_the_last_run_are_kept(asked):
    job = asked(fn_model=FIRST["optimiser"])
    assert job.inputs == FIRST | {"other": "x"}
    assert job.outputs == {"particles": "Select/job012/particles.star", "ledger": "report/round_01/classes.tsv"}


def test_what_the_form_names_by_now_counts(asked):
    job = asked(fn_model="Class2D/job021/run_it003_optimiser.star")
    second = {name: f"Class2D/job021/run_it003_{name}.star" for name in FIRST}
    assert job.inputs == second | {"other": "x"}
    assert job.options.fn_model == second["optimiser"]


def test_a_form_copied_to_another_directory_asks_for_a_job_there(asked):
    job = asked("Select/job1005", fn_model=FIRST["optimiser"])
    assert job.outputs == {"particles": "Select/job1005/particles.star", "ledger": "Select/job1005/classes.tsv"}


def test_a_selection_that_was_never_run_has_no_kind_yet(asked):
    job = asked(label="relion.select", fn_model=FIRST["optimiser"])
    assert (job.label, job.type_number) == ("relion.select.class2dauto", 7)
    with pytest.raises(JobError, match=r"of type relion\.select\.interactive"):
        asked(label="relion.select.interactive")


@pytest.mark.parametrize("name", ["", "particles.star", "Class2D/job011/run_it025_sampling.star"])
def test_a_file_that_is_no_classification_is_told(name):
    with pytest.raises(JobError, match="fn_model: expected run_itNNN_optimiser"):
        files_of_fn_model(name)


JOIN = doors.JobSpec(
    type="JoinStar",
    option_lists={"particles": ("fn_part1", "fn_part2", "fn_part3", "fn_part4")},
    planned_outputs=lambda options: {"particles": "join_particles.star"},
)


@pytest.mark.parametrize("n_files", [2, 6])
def test_a_form_shows_the_first_four_of_many_files_and_keeps_all(project, monkeypatch, n_files):
    place, files = Path("JoinStar/job017"), [f"{letter}.star" for letter in "abcdef"[:n_files]]
    place.mkdir(parents=True)
    four = dict(zip(JOIN.option_lists["particles"], files, strict=False))
    options = JoinStarOptions(**four)
    job = jobs.JobFile("relion.joinstar", 13, options, OwnOptions(), {"particles": files}, {"particles": f"{place}/x"})
    jobs.write_job_star(place / "job.star", job)
    monkeypatch.setattr("sys.argv", ["join.py", str(place / "job.star")])
    found = doors.read_request({"__file__": str(SCRIPT)}, JOIN).job
    assert (found.inputs["particles"], found.options) == (files, options)
    changed = dataclasses.replace(options, fn_part2="z.star")
    jobs.write_job_star(place / "job.star", dataclasses.replace(job, options=changed))
    found = doors.read_request({"__file__": str(SCRIPT)}, JOIN).job
    assert found.inputs["particles"] == ["a.star", "z.star", *files[2:4]]


def test_a_job_star_of_another_script_for_the_same_kind_of_job_is_told(project, monkeypatch):
    """Simulated particles enter as an Extract job, too."""
    place = Path("Extract/job001")
    place.mkdir(parents=True)
    job = jobs.JobFile(
        "relion.extract", 5, ExtractOptions(), OwnOptions(), {}, {"particles": f"{place}/particles.star"}
    )
    jobs.write_job_star(place / "job.star", job)
    monkeypatch.setattr("sys.argv", ["extract.py", str(place / "job.star")])
    spec = doors.JobSpec(type="Extract", required_inputs=("particles",))
    with pytest.raises(JobError, match="names no input particles, so extract"):
        doors.read_request({"__file__": str(SCRIPT.with_name("extract.py"))}, spec)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data_job\n\nloop_\n_rlnJobTypeLabel #1\n", "no table data_job"),
        ("data_job\n\n_rlnJobTypeLabel relion.class2d\n_rlnJobType eight\n", "rlnJobType is 'eight'"),
        (
            "data_job\n\n_rlnJobTypeLabel relion.class2d\n\ndata_winnow_params\n\nloop_\n_winnowName #1\n"
            "_winnowValue #2\nx {\n",
            "data_winnow_params cannot be read",
        ),
        (
            "data_job\n\n_rlnJobTypeLabel relion.class2d\n\ndata_winnow_inputs\n\nloop_\n_winnowName #1\nx\n",
            "data_winnow_inputs: 1 columns, expected 3",
        ),
    ],
)
def test_a_broken_job_star_is_told(project, monkeypatch, text, told):
    place = Path("Class2D/job011")
    place.mkdir(parents=True)
    (place / "job.star").write_text(text)
    monkeypatch.setattr("sys.argv", ["class2d.py", str(place / "job.star")])
    spec = doors.JobSpec(type="Class2D", planned_outputs=lambda options: {"data": "run_it001_data.star"})
    with pytest.raises(WinnowError, match=told):
        doors.read_request({"__file__": str(SCRIPT)}, spec)
