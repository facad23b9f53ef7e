"""What a script is asked for: by a rule of the workflow, or by a job.star on the command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList

from winnow2d import doors
from winnow2d.errors import JobError
from winnow2d.formats import jobs
from winnow2d.options import OwnOptions, SelectOptions

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
