"""A job.star that RELION's window wrote is run as it is; one of ours may be edited and run again."""

from pathlib import Path

import pandas as pd
import pytest

import class2d
from particle_sets import make_particle_set
from winnow2d.formats.star import read_star, write_star

JOB = Path("Class2D/job005")
VALUES = {
    "fn_img": "particles.star", "fn_cont": "", "do_ctf_correction": "Yes", "nr_classes": "2", "do_em": "Yes",
    "do_grad": "No", "nr_iter_em": "2", "nr_iter_grad": "200", "particle_diameter": "24", "psi_sampling": "24",
    "offset_range": "2", "nr_pool": "30", "nr_threads": "6", "scratch_dir": "/ssd", "qsub": "sbatch",
}  # fmt: skip


@pytest.fixture
def run(project, monkeypatch):
    """Return a function that runs the job of a job.star with these values, and tells what run.out says."""
    make_particle_set(project, n=40)
    JOB.mkdir(parents=True)

    def run_job(values, head):
        rows = {"rlnJobOptionVariable": list(values), "rlnJobOptionValue": list(values.values())}
        write_star(JOB / "job.star", {"job": head, "joboptions_values": pd.DataFrame(rows, dtype=object)})
        (JOB / "run.out").unlink(missing_ok=True)
        monkeypatch.setattr("sys.argv", ["class2d.py", f"{JOB}/job.star", "--threads", "1"])
        class2d.main()
        return (JOB / "run.out").read_text()

    return run_job


def test_of_relion_5(run):
    said = run(VALUES, {"rlnJobTypeLabel": "relion.class2d", "rlnJobIsContinue": 0, "rlnJobIsTomo": 0})
    assert "Without effect here: " in said
    assert "nr_pool 30 (Winnow streams its images by itself)" in said
    assert (JOB / "run_it002_optimiser.star").is_file()
    assert (JOB / "RELION_JOB_EXIT_SUCCESS").is_file()
    nodes = set(read_star("default_pipeline.star")["pipeline_nodes"]["rlnPipeLineNodeName"])
    assert nodes == {"particles.star", *(f"{JOB}/run_it002_{name}.star" for name in ("data", "model", "optimiser"))}


def test_it_goes_on_where_the_window_said_so(run):
    head = {"rlnJobTypeLabel": "relion.class2d", "rlnJobIsContinue": 1, "rlnJobIsTomo": 0}
    run(VALUES, head)
    said = run(VALUES | {"fn_img": "", "fn_cont": f"{JOB}/run_it002_optimiser.star", "nr_iter_em": "3"}, head)
    assert f"Going on after iteration 2 of {JOB}/run_it002_optimiser.star" in said
    assert (JOB / "run_it003_optimiser.star").is_file()


def test_of_relion_31_which_has_em_alone(run):
    values = {name: value for name, value in VALUES.items() if name not in ("do_em", "do_grad")}
    run(values | {"nr_iter": "1", "do_fast_subsets": "No"}, {"rlnJobType": 8, "rlnJobIsContinue": 0})
    assert (JOB / "run_it001_optimiser.star").is_file()
    assert read_star(JOB / "run_it001_optimiser.star")["optimiser_general"]["rlnDoGradientRefine"][0] == "0"


@pytest.mark.parametrize(("do_em", "do_grad"), [("Yes", "Yes"), ("No", "No")])
def test_one_algorithm_is_chosen(run, do_em, do_grad, capsys):
    with pytest.raises(SystemExit):
        run(VALUES | {"do_em": do_em, "do_grad": do_grad}, {"rlnJobTypeLabel": "relion.class2d"})
    assert "class2d: do_em and do_grad are both" in (JOB / "run.err").read_text()
    assert not list(JOB.glob("run_it*"))


def test_the_last_optimiser_file_tells_how_it_was_made(run):
    """RELION's layout: the program and its version, the command, an empty line, then the table."""
    run(VALUES, {"rlnJobTypeLabel": "relion.class2d"})
    lines = (JOB / "run_it002_optimiser.star").read_text().split("\n")
    assert lines[0].startswith("# Winnow optimiser; version ")
    program, script, job_star, blank = lines[1].removeprefix("# ").split(" ")
    assert (program, job_star, blank) == ("python", f"{JOB}/job.star", "")
    assert Path(script).resolve() == Path(class2d.__file__).resolve()
    assert not Path(script).is_absolute()
    assert lines[2:6] == ["", "# version 30001", "", "data_optimiser_general"]
