import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params

from winnow2d import runner
from winnow2d.errors import JobError, StarError
from winnow2d.formats import jobs
from winnow2d.formats.pipeline_star import PIPELINE, read_pipeline
from winnow2d.formats.star import read_star

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "class2d.py"
DATA = "Class2D/job011/run_it003_data.star"

CLASS2D = runner.JobSpec(
    type="Class2D",
    nodes={"data": "class2d_data"},
    input_nodes={"particles": "particles"},
    option_inputs={"fn_img": "particles"},
)


def rule(**changes):
    """Return the globals of a script that Snakemake started, made of Snakemake's own containers."""
    parts = dict(
        input=InputFiles(fromdict={"particles": "particles.star"}),
        output=OutputFiles(fromdict={"data": DATA}),
        params=Params(fromdict={"options": {"nr_classes": 5, "do_em": True}, "own": {"random_seed": 3}, "extra": [1]}),
        log=Log(),
        threads=2,
        rule="class2d",
    )
    return {"__file__": str(SCRIPT), "snakemake": SimpleNamespace(**(parts | changes))}


@pytest.fixture
def particles(project):
    Path("particles.star").write_text("data_x\n\n_a 1\n")
    return project


def status():
    return read_pipeline(Path(PIPELINE)).status("Class2D/job011/")


def exit_files():
    return sorted(path.name for path in Path("Class2D/job011").glob("RELION_JOB_EXIT_*"))


def run_it(script_globals=None):
    with runner.job(script_globals or rule(), CLASS2D) as job:
        job.outputs.data.write_text("data_y\n\n_b 2\n")
    return job


@pytest.mark.filterwarnings("default")
def test_job_that_succeeds(particles):
    with runner.job(rule(), CLASS2D) as job:
        assert job.directory == Path("Class2D/job011")
        assert (job.name, job.number, job.threads) == ("Class2D/job011/", 11, 2)
        assert (job.options.nr_classes, job.options.fn_img, job.own.random_seed) == (5, "particles.star", 3)
        assert job.inputs.particles == Path("particles.star")
        assert job.params.extra == [1]
        _, script, file = job.command.split()
        assert Path(script).resolve() == SCRIPT
        assert file == "Class2D/job011/job.star"
        assert not job.abort_requested
        assert status() == "Running"
        assert (job.directory / ".winnow_lock").exists()
        job.progress(1, 3, "resolution 12 A")
        logging.getLogger("winnow2d.engine").info("a line")
        logging.getLogger("matplotlib").info("chatter")
        warnings.warn("be careful", stacklevel=1)
        job.outputs.data.write_text("data_y\n\n_b 2\n")
    assert status() == "Succeeded"
    assert exit_files() == ["RELION_JOB_EXIT_SUCCESS"]
    assert not Path("Class2D/job011/.winnow_lock").exists()
    assert Path(f".Nodes/ParticleGroupMetadata/{DATA}").exists()
    out, err = (Path("Class2D/job011", name).read_text() for name in ("run.out", "run.err"))
    assert "1/3 resolution 12 A\na line\n" in out
    assert "chatter" not in out
    assert "be careful" in err
    assert "a line" not in err
    assert read_pipeline(Path("Class2D/job011/job_pipeline.star")).counter == 2
    assert Path("Class2D/job011", PIPELINE).exists()
    assert f"python {SCRIPT} Class2D/job011/job.star" in Path("Class2D/job011/note.txt").read_text()


def test_provenance_says_what_was_done(particles):
    run_it()
    record = json.loads(Path("Class2D/job011/provenance.json").read_text())
    assert (record["program"], record["status"], record["random_seed"]) == ("winnow2d", "Succeeded", 3)
    (described,) = record["inputs"]["particles"]
    assert described["size_bytes"] == 13
    assert described["sha256"] == hashlib.sha256(b"data_x\n\n_a 1\n").hexdigest()
    assert record["wall_s"] >= 0
    assert record["peak_memory_mb"] > 1
    assert "numpy" in record["packages"]


def test_both_doors_give_the_same_job(particles, monkeypatch):
    first = run_it()
    before = Path("Class2D/job011/job.star").read_bytes()
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(particles / "Class2D/job011/job.star"), "--threads", "7"])
    second = run_it({"__file__": str(SCRIPT)})
    assert Path.cwd() == particles
    assert second.threads == 7
    for name in ("directory", "options", "own", "inputs", "outputs", "params", "command"):
        assert getattr(second, name) == getattr(first, name)
    assert Path("Class2D/job011/job.star").read_bytes() == before
    assert Path("Class2D/job011/note.txt").read_text().count("Executing new job") == 2


def test_job_star_of_another_kind_is_refused(particles, monkeypatch, capsys):
    run_it()
    monkeypatch.setattr(sys, "argv", ["extract.py", "Class2D/job011/job.star"])
    with pytest.raises(SystemExit), runner.job({"__file__": str(SCRIPT)}, runner.JobSpec(type="Extract")):
        raise AssertionError
    assert "ERROR: Class2D/job011/job.star: " in capsys.readouterr().err


def test_users_mistake_is_shown_without_traceback(particles, capsys):
    with pytest.raises(SystemExit) as caught, runner.job(rule(), CLASS2D):
        raise StarError("row 3 is wrong", "row 4 is wrong")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "ERROR: row 3 is wrong\nERROR: row 4 is wrong\n"
    assert Path("Class2D/job011/run.err").read_text() == "ERROR: row 3 is wrong\nERROR: row 4 is wrong\n"
    assert (status(), exit_files()) == ("Failed", ["RELION_JOB_EXIT_FAILURE"])


def test_mistake_of_ours_has_one_line_here_and_its_traceback_in_run_err(particles, capsys):
    with pytest.raises(SystemExit), runner.job(rule(), CLASS2D):
        _ = [1, 2, 3][7]
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "IndexError in test_runner.py, line" in shown
    assert "Traceback (most recent call last)" in Path("Class2D/job011/run.err").read_text()
    assert (status(), exit_files()) == ("Failed", ["RELION_JOB_EXIT_FAILURE"])
    run_it()
    assert (status(), exit_files()) == ("Succeeded", ["RELION_JOB_EXIT_SUCCESS"])


def test_missing_output_and_missing_input_fail(particles, capsys):
    with pytest.raises(SystemExit), runner.job(rule(), CLASS2D):
        pass
    assert f"without {DATA}" in capsys.readouterr().err
    Path("particles.star").unlink()
    with pytest.raises(SystemExit):
        run_it()
    assert "input particles: particles.star does not exist" in capsys.readouterr().err
    assert status() == "Failed"


def abort_at_once():
    with runner.job(rule(), CLASS2D) as job:
        Path("Class2D/job011/RELION_JOB_ABORT_NOW").touch()
        job.stop_if_aborted()
        job.outputs.data.touch()


def test_abort_is_obeyed_and_forgotten_at_the_next_start(particles):
    with pytest.raises(SystemExit) as caught:
        abort_at_once()
    assert caught.value.code == 1
    assert (status(), exit_files()) == ("Aborted", ["RELION_JOB_EXIT_ABORTED"])
    assert not Path(DATA).exists()
    assert not run_it().abort_requested
    assert status() == "Succeeded"


def go_on_though_the_lock_is_lost():
    with runner.job(rule(), CLASS2D) as job:
        job.stop_if_aborted()
        job._lock.is_lost = True
        job.stop_if_aborted()
        job.outputs.data.touch()


def test_job_another_machine_took_over_stops(particles, capsys):
    with pytest.raises(SystemExit):
        go_on_though_the_lock_is_lost()
    assert "another machine took this job for dead and has taken it over" in capsys.readouterr().err
    assert not Path(DATA).exists()
    assert (status(), exit_files()) == ("Running", [])  # the other machine runs it


def test_loop_that_ends_by_abort_requested_is_aborted_too(particles):
    with pytest.raises(SystemExit), runner.job(rule(), CLASS2D) as job:
        (job.directory / "RELION_JOB_ABORT_NOW").touch()
    assert status() == "Aborted"


def test_foreign_directory_is_left_untouched(particles, capsys):
    Path("Class2D/job011").mkdir(parents=True)
    Path("Class2D/job011/run_it025_optimiser.star").write_text("theirs")
    with pytest.raises(SystemExit):
        run_it()
    assert "not made by Winnow" in capsys.readouterr().err
    assert os.listdir("Class2D/job011") == ["run_it025_optimiser.star"]
    assert not Path(PIPELINE).exists()
    with pytest.raises(JobError, match="Class2D/job011"):
        runner.check_job_directories(["Extract/job001", "Class2D/job011"])


def test_second_job_in_the_same_directory_is_stopped(particles, capsys):
    seen = []
    with runner.job(rule(), CLASS2D) as job:
        try:
            run_it()
        except SystemExit as stop:
            seen = [stop.code, capsys.readouterr().err, status()]
        job.outputs.data.touch()
    assert (seen[0], seen[2]) == (1, "Running")
    assert "Class2D/job011/ is in use by process" in seen[1]
    assert status() == "Succeeded"


def test_package_from_elsewhere_is_refused(particles, capsys):
    with pytest.raises(SystemExit):
        run_it(rule() | {"__file__": "/elsewhere/scripts/class2d.py"})
    assert "was imported from" in capsys.readouterr().err
    assert not Path("Class2D").exists()


def test_unknown_option_is_refused_before_anything_is_written(particles, capsys):
    with pytest.raises(SystemExit):
        run_it(rule(params=Params(fromdict={"options": {"nr_clases": 5}})))
    assert "rule class2d: unknown option nr_clases" in capsys.readouterr().err
    assert not Path("Class2D").exists()


def test_report_is_no_job_of_relion(particles):
    spec = runner.JobSpec(type="report", is_relion_job=False, directory="report")
    Path("report").mkdir()
    Path("report/older.html").touch()
    asked = rule(output=OutputFiles(fromdict={"page": "report/index.html"}), log=Log(["logs/page.log"]))
    asked["snakemake"].params = Params(fromdict={})
    with runner.job(asked, spec) as job:
        assert (job.options, job.number) == (None, 0)
        job.outputs.page.touch()
    found = sorted(path.name for path in Path("report").iterdir())
    assert found == ["index.html", "job.star", "older.html", "provenance.json", "run.err", "run.out"]
    assert not Path(PIPELINE).exists()
    assert "report/ Succeeded" in Path("logs/page.log").read_text()


STOPPED = """
import sys, time
sys.path.insert(0, {scripts!r})
from winnow2d import runner
spec = runner.JobSpec(type="Class2D")
with runner.job({{"__file__": {script!r}}}, spec) as job:
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, "Aborted"), (signal.SIGINT, "Aborted")])
def test_signal_leaves_a_job_in_order(particles, number, expected):
    process = start_and_wait(particles)
    process.send_signal(number)
    assert process.wait(30) == 1
    assert (status(), exit_files()) == (expected, ["RELION_JOB_EXIT_ABORTED"])
    assert not Path("Class2D/job011/.winnow_lock").exists()


def test_killed_job_is_put_right_by_the_next_start(particles):
    process = start_and_wait(particles)
    process.kill()
    process.wait(30)
    assert status() == "Running"
    assert runner.mark_dead_jobs() == ["Class2D/job011/"]
    assert status() == "Failed"
    run_it()
    assert status() == "Succeeded"


def start_and_wait(project_directory):
    run_it()
    text = STOPPED.format(scripts=str(SCRIPT.parent), script=str(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, "-c", text, "Class2D/job011/job.star"],
        cwd=project_directory,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
    return process


SNAKEFILE = """
rule class2d:
    input:
        particles="particles.star",
        several=["particles.star"],
        none=[],
    output:
        data="Class2D/job011/run_it003_data.star",
    log:
        "logs/class2d.log",
    params:
        options=dict(nr_classes=4),
        own=dict(),
        version="1",
    script: {script!r}
"""

SCRIPT_TEXT = """
import json
from winnow2d import runner
with runner.job(globals(), runner.JobSpec(type="Class2D", option_inputs={"fn_img": "particles"})) as job:
    told = [job.options.nr_classes, job.options.fn_img, job.command, vars(job.inputs)]
    job.outputs.data.write_text(json.dumps(told, default=str))
"""


@pytest.mark.workflow
def test_real_snakemake_runs_a_script(particles, monkeypatch):
    scripts = particles / "repository" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "winnow2d").symlink_to(SCRIPT.parent / "winnow2d")
    (scripts / "class2d.py").write_text(SCRIPT_TEXT)
    (particles / "repository" / "Snakefile").write_text(SNAKEFILE.format(script="scripts/class2d.py"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = [sys.executable, "-m", "snakemake", "-s", "repository/Snakefile", "--cores", "1", "--quiet"]
    started = time.monotonic()
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode != 0  # the package is a link to another folder: exactly what the runner must refuse
    assert "was imported from" in answer.stderr
    (scripts / "winnow2d").unlink()
    subprocess.run(["cp", "-r", str(SCRIPT.parent / "winnow2d"), str(scripts)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(scripts))  # before a package that is installed in the environment
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode == 0, answer.stderr
    n_classes, fn_img, rerun, inputs = json.loads(Path(DATA).read_text())
    assert (n_classes, fn_img) == (4, "particles.star")
    assert rerun == "python repository/scripts/class2d.py Class2D/job011/job.star"
    assert inputs["none"] == []
    assert status() == "Succeeded"
    assert "Class2D/job011/ Succeeded" in Path("logs/class2d.log").read_text()
    assert time.monotonic() - started < 120


def test_job_star_tells_a_reader_all_options(particles):
    run_it()
    tables = read_star("Class2D/job011/job.star")
    of_31 = {"nr_iter", "do_fast_subsets"}
    told = set(tables["joboptions_values"]["rlnJobOptionVariable"])
    assert told == set(jobs.OPTIONS_OF_TYPE["Class2D"].__dataclass_fields__) | of_31
