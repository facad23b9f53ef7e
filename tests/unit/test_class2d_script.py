"""The script of the rule class2d, run through its job.star: where it starts, and which files it leaves."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import pytest

import class2d
from particle_sets import make_particle_set, make_two_groups
from winnow2d.engine import iteration
from winnow2d.engine.stages import OTHER, STAGES
from winnow2d.formats import jobs
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.star import read_star
from winnow2d.formats.state import STATE_FILE
from winnow2d.options import Class2DOptions, OwnOptions

JOB = Path("Class2D/job011")
EM = Class2DOptions(
    fn_img="particles.star", do_em=True, do_grad=False, nr_classes=2, nr_iter_em=4, particle_diameter=24.0,
    psi_sampling=24.0, offset_range=2.0,
)  # fmt: skip
VDAM = replace(EM, do_em=False, do_grad=True, nr_iter_grad=6)
OWN = OwnOptions(grad_write_iter=2)


def ask(options, own=OWN):
    """Write the job.star of a classification as Winnow would have left it."""
    JOB.mkdir(parents=True, exist_ok=True)
    (JOB / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    names = {"data": "data.star", "optimiser": "optimiser.star"}
    outputs = {name: f"{JOB}/run_it{options.n_iterations:03d}_{file}" for name, file in names.items()}
    job = jobs.JobFile("relion.class2d", 8, options, own, {"particles": "particles.star"}, outputs)
    jobs.write_job_star(JOB / "job.star", job)


@pytest.fixture
def run(project, monkeypatch):
    """Return a function that runs the job and returns what it adds to run.out; `stop_after`: abort after it."""
    make_particle_set(project, n=40)

    def run_job(options, own=OWN, stop_after=None):
        ask(options, own)
        log = JOB / "run.out"
        before = len(log.read_text()) if log.exists() else 0
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["class2d.py", f"{JOB}/job.star", "--threads", "1"])
            if stop_after is None:
                class2d.main()
            else:
                stop_at(patch, stop_after)
                with pytest.raises(SystemExit):
                    class2d.main()
                assert (JOB / "RELION_JOB_EXIT_ABORTED").exists()
        return log.read_text()[before:]

    return run_job


def stop_at(patch, number):
    """Ask the job to abort once the state of an iteration is on disk."""
    save = class2d.StateFile.save

    def save_and_ask(file, iteration, behind):
        save(file, iteration, behind)
        if iteration.number == number:
            (JOB / jobs.ABORT_FILE).touch()

    patch.setattr(class2d.StateFile, "save", save_and_ask)


def numbers():
    """Return the iterations of which there is any file."""
    return sorted({int(re.match(r"run_it(\d+)", path.name)[1]) for path in JOB.glob("run_it*")})


def results():
    """Return the bytes of every file of the iterations, by name."""
    return {path.name: path.read_bytes() for path in JOB.glob("run_*.*") if path.suffix in (".star", ".mrcs")}


def fresh(run, options, own=OWN):
    """Return the results of a job that never ran before; the directory stays as this job leaves it."""
    shutil.rmtree(JOB, ignore_errors=True)
    run(options, own)
    return results()


# Where it starts


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_unchanged_options_go_on_to_the_same_bytes_from_any_iteration(run, options):
    expected = fresh(run, options)
    for number in range(1, options.n_iterations):
        shutil.rmtree(JOB)
        run(options, stop_after=number)
        said = run(options)
        assert f"Going on after iteration {number}" in said
        assert f"\n{number}/" not in said
        assert results() == expected


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_a_job_stopped_after_every_iteration_goes_on_to_the_same_bytes(run, options):
    expected = fresh(run, options)
    shutil.rmtree(JOB)
    for number in range(1, options.n_iterations):
        run(options, stop_after=number)
    run(options)
    assert results() == expected


KILLED = """
import itertools, os, signal, sys
import class2d
calls, replace, last = itertools.count(1), os.replace, int(sys.argv.pop())

def replace_or_die(*paths):
    if ".winnow_state" in str(paths[0]) or "run_it" in str(paths[0]):
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)

os.replace = replace_or_die
class2d.main()
"""


BEFORE = {"em": (EM, [1, 5, 8, 6, 99]), "vdam": (VDAM, [2, 7, 1, 10, 3, 99])}


@pytest.mark.parametrize(("options", "before"), BEFORE.values(), ids=list(BEFORE))
def test_a_job_killed_while_it_replaces_files_goes_on_to_the_same_bytes(run, options, before):
    """Killed before the n-th of its own renamings of state and iteration files, again and again."""
    expected = fresh(run, options)
    shutil.rmtree(JOB)
    ask(options)
    scripts = str(Path(class2d.__file__).parent)
    ends = []
    for number in before:
        command = [sys.executable, "-c", KILLED, f"{JOB}/job.star", "--threads", "2", str(number)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": scripts}, capture_output=True, check=False)
        ends.append(done.returncode)
    assert ends == [-signal.SIGKILL] * (len(before) - 1) + [0]
    assert results() == expected
    assert not [path.name for pattern in (".winnow_state*", ".run*") for path in JOB.glob(pattern)]


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_a_job_that_ran_out_of_memory_has_the_same_bytes_and_one_warning(run, options, monkeypatch):
    expected = fresh(run, options)
    shutil.rmtree(JOB)
    expect_chunk = iteration.expect_chunk

    def evaluate(*arguments):
        if len(arguments[-1]) > 16:
            raise MemoryError
        return expect_chunk(*arguments)

    monkeypatch.setattr(iteration, "expect_chunk", evaluate)
    run(options)
    assert results() == expected
    assert (JOB / "run.err").read_text().count("Memory ran out with 32 images at a time") == 1


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_two_boxes_go_on_to_the_same_bytes(run, options):
    make_two_groups(Path(), rlnBeamTiltX=["0", "0.5"], rlnEvenZernike=["[0]", "[0.1,-2]"])
    expected = fresh(run, options)
    model = read_star(JOB / f"run_it{options.n_iterations:03d}_model.star")
    assert model["model_general"].iloc[0]["rlnNrOpticsGroups"] == "2"
    for group in (1, 2):
        assert len(model[f"model_optics_group_{group}"]) == 9  # shells of the first group's box
    optics = read_star(JOB / f"run_it{options.n_iterations:03d}_data.star")["optics"]
    assert list(optics["rlnEvenZernike"]) == ["[0]", "[0.1,-2]"]
    shutil.rmtree(JOB)
    run(options, stop_after=3)
    assert "Going on after iteration 3" in run(options)
    assert results() == expected


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_another_tau_fudge_starts_from_iteration_1(run, options):
    other = replace(options, tau_fudge=0.5)
    expected = fresh(run, other)
    shutil.rmtree(JOB)
    run(options, stop_after=3)
    said = run(other)
    assert "Starting from iteration 1, not from the state found: the options" in said
    assert f"\n1/{other.n_iterations} " in said
    assert results() == expected


def test_other_particles_start_from_iteration_1(run, project):
    run(EM, stop_after=3)
    make_particle_set(project, n=30)
    assert "Starting from iteration 1" in run(EM)


def test_an_option_of_own_that_decides_starts_from_iteration_1(run):
    run(EM, stop_after=2)
    assert "Starting from iteration 1" in run(EM, replace(OWN, random_seed=2))


def test_a_state_that_cannot_be_read_starts_from_iteration_1(run):
    run(EM, stop_after=2)
    (JOB / STATE_FILE).write_bytes(b"")
    assert f"{STATE_FILE} cannot be read" in run(EM)


@pytest.mark.parametrize(
    ("options", "changed", "goes_on"),
    [
        pytest.param(EM, {"nr_iter_em": 5}, True, id="em-longer"),
        pytest.param(EM, {"nr_iter_grad": 77}, True, id="em-batches-of-vdam"),
        pytest.param(VDAM, {"nr_iter_grad": 8}, False, id="vdam-longer"),
        pytest.param(VDAM, {"nr_iter_em": 77}, True, id="vdam-iterations-of-em"),
    ],
)
def test_which_total_counts(run, options, changed, goes_on):
    run(options, stop_after=2)
    said = run(replace(options, **changed))
    assert ("Going on after iteration 2" in said) == goes_on
    assert ("Starting from iteration 1" in said) != goes_on


def test_where_and_what_is_kept_starts_nothing_anew(run):
    run(EM, stop_after=2)
    assert "Going on" in run(EM, replace(OWN, device="cpu", keep_iterations="last"))


# Which files it leaves


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_a_start_from_iteration_1_removes_what_another_run_left(run, options):
    run(options)
    (JOB / f"run_it{options.n_iterations:03d}_optimiser.star").unlink()  # as Snakemake does with declared outputs
    shorter = replace(options, **{"nr_iter_em" if options.do_em else "nr_iter_grad": 2}, tau_fudge=1.0)
    unmasked = JOB / "run_unmasked_classes.mrcs"
    unmasked.write_bytes(b"old")
    run(shorter, stop_after=1)
    assert numbers() == ([0, 1] if options.do_em else [0])
    assert not unmasked.exists() or unmasked.read_bytes() != b"old"


def test_fewer_iterations_than_the_state_has_start_anew(run):
    run(EM)
    shorter = replace(EM, nr_iter_em=2)
    assert "it is at iteration 4, beyond the 2 asked for" in run(shorter)
    assert numbers() == [0, 1, 2]
    found = results()
    assert found == fresh(run, shorter)


def test_going_on_removes_iterations_beyond_the_state(run):
    run(EM, stop_after=2)
    for name in ("optimiser.star", "classes.mrcs"):
        (JOB / f"run_it003_{name}").write_bytes(b"cut short")
        (JOB / f"run_it009_{name}").write_bytes(b"another run's")
    run(EM, stop_after=3)
    assert numbers() == [0, 1, 2, 3]
    assert b"cut short" not in results().values()


def test_a_refused_start_leaves_the_files_alone(run):
    run(EM)
    before = results()
    with pytest.raises(SystemExit):
        run(replace(EM, particle_diameter=9999.0))
    assert "9999 A is larger than the box" in (JOB / "run.out").read_text()
    assert results() == before


@pytest.mark.parametrize(("options", "kept"), [(EM, [0, 1, 2, 3, 4]), (VDAM, [0, 2, 4, 6])], ids=["em", "vdam"])
def test_iterations_that_are_kept(run, options, kept):
    run(options)
    assert numbers() == kept
    everything = results()
    run(options, replace(OWN, keep_iterations="last"))
    assert numbers() == kept[-1:]
    shutil.rmtree(JOB)
    run(options, replace(OWN, keep_iterations="last"), stop_after=3)
    assert numbers() == [3 if options.do_em else 2]
    run(options, replace(OWN, keep_iterations="last"))
    assert numbers() == kept[-1:]
    assert {name: everything[name] for name in results()} == results()


# What it says


def test_the_time_left_counts_from_the_first_new_iteration(run, monkeypatch):
    longer = replace(EM, nr_iter_em=6)
    run(longer, stop_after=2)
    clock = itertools.count(0, 30)  # half a minute from one look to the next
    monkeypatch.setattr(class2d, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said = run(longer)
    assert re.findall(r"^(\d)/6 .* (\d+:\d\d) left$", said, re.MULTILINE) == [
        ("3", "1:30"), ("4", "1:00"), ("5", "0:30"), ("6", "0:00"),
    ]  # fmt: skip


# Images that cannot be used


def spoil(project, rows):
    """Make images constant, by row of particles.star; return their names."""
    names = [str(name) for name in read_star(project / "particles.star")["particles"]["rlnImageName"]]
    for row in rows:
        number, file = split_image_name(names[row])
        with mrcfile.open(project / file, mode="r+") as stack:
            stack.data[number] = 3.0
    return [names[row] for row in rows]


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_an_unusable_image_is_listed_and_in_no_class(run, project, options):
    (name,) = spoil(project, [5])
    run(options)
    assert (JOB / "left_out.tsv").read_text() == f"image_name\treason\n{name}\tNaN, infinite or constant pixels\n"
    assert name in (JOB / "run.err").read_text()
    table = read_star(JOB / f"run_it{options.n_iterations:03d}_data.star")["particles"]
    unclassified = table["rlnImageName"][table["rlnClassNumber"].astype(int) == 0]
    assert unclassified.tolist() == [name]


def test_too_many_unusable_images_stop_the_job(run, project):
    spoil(project, [1, 2, 3])
    with pytest.raises(SystemExit):
        run(EM)
    assert "3 of 40 images hold NaN, infinite or constant pixels" in (JOB / "run.err").read_text()
    assert not list(JOB.glob("run_it004*"))


# Where the time went


def test_a_job_says_where_its_time_went(run):
    said = run(EM)
    lines = said[said.index("CPU time by stage") :].splitlines()[1:]
    shares = [float(re.search(r" s +([\d.]+)%", line)[1]) for line in lines if re.search(r" s +[\d.]+%", line)]
    assert len(shares) >= 9
    assert sum(shares) == pytest.approx(100, abs=1)
    times = json.loads((JOB / jobs.PROVENANCE).read_text())["stages"]
    assert list(times) == [*STAGES, OTHER]
    assert times["files"]["cpu_s"] > 0
