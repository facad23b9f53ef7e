"""Jobs on disks that are full or read-only: one clear line, no traceback, and nothing in the way of the next start."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params

from winnow2d import runner
from winnow2d.failures import problems_to_put_right
from winnow2d.formats.atomic import replaced

JOB = Path("Class2D/job011")
SPEC = runner.JobSpec(type="Class2D", nodes={"data": "class2d_data"}, input_nodes={"particles": "particles"})
SAID = "No space left on device; put that right and start the job again"


def full(*arguments, **named):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def run(project):
    """Return a function that runs a job, whose body may be given; it returns the exit status."""
    Path("particles.star").write_text("data_x\n\n_a 1\n")

    def run_job(body=lambda: None, logs=()):
        asked = SimpleNamespace(
            input=InputFiles(fromdict={"particles": "particles.star"}),
            output=OutputFiles(fromdict={"data": f"{JOB}/run_it003_data.star"}),
            params=Params(fromdict={"options": {}, "own": {}}), log=Log(list(logs)), threads=1, rule="class2d",
        )  # fmt: skip
        script = Path(runner.__file__).parents[1] / "class2d.py"
        try:
            with runner.job({"__file__": str(script), "snakemake": asked}, SPEC) as job:
                body()
                job.outputs.data.touch()
        except SystemExit as stop:
            return stop.code
        return 0

    return run_job


def test_a_full_disk_ends_a_job_with_one_line(run, capsys):
    assert run(full) == 1
    assert capsys.readouterr().err == f"ERROR: {JOB}: {SAID}\n"
    assert (JOB / "run.err").read_text() == f"ERROR: {JOB}: {SAID}\n"
    assert (JOB / "RELION_JOB_EXIT_FAILURE").exists()


def test_the_file_is_named_where_the_system_names_it(run, capsys):
    def write():
        raise PermissionError(errno.EACCES, "Permission denied", "elsewhere/x.star")

    assert run(write) == 1
    assert capsys.readouterr().err.startswith("ERROR: elsewhere/x.star: Permission denied; ")


def test_a_mistake_of_ours_keeps_its_traceback(run):
    def write():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    assert run(write) == 1
    assert "Traceback" in (JOB / "run.err").read_text()
    assert problems_to_put_right(KeyError("x"), JOB) == []


def test_a_full_disk_before_the_job_begins_leaves_no_lock(run, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("winnow2d.joblock.json.dump", full)
        assert run() == 1
    assert capsys.readouterr().err == f"ERROR: .: {SAID}\n"
    assert list(JOB.iterdir()) == []
    assert run() == 0


@pytest.mark.parametrize("what", ["project.set_status", "jobs.write_exit_file"])
def test_a_job_ends_though_not_all_can_be_told(run, capsys, monkeypatch, what):
    monkeypatch.setattr(f"winnow2d.runner.{what}", full)
    assert run() == 0
    assert f"WARNING: {JOB}/ is not yet shown as Succeeded: " in capsys.readouterr().err
    assert not (JOB / ".winnow_lock").exists()


def test_a_failure_is_told_though_its_record_cannot_be_written(run, capsys, monkeypatch):
    def fill_the_disk():
        monkeypatch.setattr("winnow2d.provenance.replaced", full)
        full()

    assert run(fill_the_disk) == 1
    assert f"ERROR: {JOB}: {SAID}" in capsys.readouterr().err
    assert (JOB / "RELION_JOB_EXIT_FAILURE").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_logs_do_without_what_the_disk_has_no_room_for(run, capsys):
    assert run(logs=["/dev/full"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_no_place_for_logs_is_one_line(run, capsys, monkeypatch):
    monkeypatch.setattr("winnow2d.progress._file_handler", full)
    assert run() == 1
    assert capsys.readouterr().err == f"ERROR: {JOB}: {SAID}\n"
    assert not (JOB / ".winnow_lock").exists()


def test_a_file_on_a_full_disk_is_whole_or_absent(run):
    def write():
        with replaced(JOB / "a") as [temporary]:
            temporary.write_text("half")
            full()

    assert run(write) == 1
    assert not [path for path in JOB.iterdir() if path.name.startswith((".a", "a"))]
