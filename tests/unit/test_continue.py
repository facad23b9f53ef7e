"""RELION's "Continue from here": a job goes on from the files of another one, as if it had never stopped."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

import class2d
from particle_sets import make_particle_set
from winnow2d.engine.continuing import continued
from winnow2d.formats import jobs
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, OwnOptions

GOLDEN = Path(__file__).parents[1] / "golden" / "relion5"
EM = Class2DOptions(
    fn_img="particles.star", do_em=True, do_grad=False, nr_classes=2, nr_iter_em=5, particle_diameter=24.0,
    psi_sampling=24.0, offset_range=2.0,
)  # fmt: skip
VDAM = replace(EM, do_em=False, do_grad=True, nr_iter_grad=6)
OWN = OwnOptions(grad_write_iter=2)
FIRST, SECOND = Path("Class2D/job011"), Path("Class2D/job021")


@pytest.fixture
def run(project, monkeypatch):
    """Return a function that runs a job through its job.star and returns what run.out says."""
    make_particle_set(project, n=40)

    def run_job(directory, options, own=OWN, inputs=None):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
        inputs = {"particles": options.fn_img} if inputs is None else inputs
        jobs.write_job_star(directory / "job.star", jobs.JobFile("relion.class2d", 8, options, own, inputs, {}))
        (directory / "run.out").unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["class2d.py", f"{directory}/job.star", "--threads", "1"])
            class2d.main()
        return (directory / "run.out").read_text()

    return run_job


def results(directory, number):
    """Return the bytes of an iteration's files, paths and comments left out."""
    found = {}
    for path in sorted(directory.glob(f"run_it{number:03d}_*")):
        lines = path.read_bytes().replace(str(directory).encode(), b"JOB").split(b"\n")
        found[path.name] = b"\n".join(line for line in lines if path.suffix != ".star" or line[:1] != b"#")
    assert found
    return found


def start_of(number, directory=FIRST):
    return f"{directory}/run_it{number:03d}_optimiser.star"


def numbers(directory=FIRST):
    return sorted(int(path.name[6:9]) for path in directory.glob("run_it*_data.star"))


def message_of(directory):
    return (directory / "run.err").read_text()


# The same bytes


@pytest.mark.parametrize(
    ("options", "number", "changes"),
    [
        pytest.param(EM, 2, {}, id="em"),
        pytest.param(EM, 0, {}, id="em-from-the-start"),
        pytest.param(EM, 3, {"allow_coarser": True, "psi_sampling": 10.0}, id="em-coarser"),
        pytest.param(EM, 3, {"do_zero_mask": False}, id="em-noise-mask"),
        pytest.param(EM, 2, {"dont_skip_align": False}, id="em-fixed-poses"),
        pytest.param(VDAM, 2, {"dont_skip_align": False}, id="vdam-fixed-poses"),
        pytest.param(VDAM, 2, {}, id="vdam"),
        pytest.param(VDAM, 4, {}, id="vdam-later"),
        pytest.param(VDAM, 0, {}, id="vdam-from-the-start"),
    ],
)
@pytest.mark.parametrize("compatibility", ["none", "relion"])
def test_a_run_that_goes_on_from_files_is_the_unbroken_one(run, options, number, changes, compatibility):
    options, own = replace(options, **changes), replace(OWN, compatibility=compatibility)
    run(FIRST, options, own)
    said = run(SECOND, replace(options, fn_cont=start_of(number)), own)
    last = options.n_iterations
    assert f"Going on after iteration {number} of {start_of(number)}" in said
    assert f"\n{number}/{last} " not in said
    assert results(SECOND, last) == results(FIRST, last)
    assert numbers(SECOND)[0] == number
    assert read_star(SECOND / "job.star")["job"]["rlnJobIsContinue"][0] == "1"


def test_the_total_counts_all_iterations(run):
    run(FIRST, replace(EM, nr_iter_em=3))
    run(SECOND, replace(EM, nr_iter_em=5, fn_cont=start_of(3)))
    unbroken = Path("Class2D/job031")
    run(unbroken, EM)
    assert results(SECOND, 5) == results(unbroken, 5)


def test_files_hold_every_number_exactly(run):
    """An iteration read and laid out for going on is, but for what no iteration reads, the state on disk."""
    run(FIRST, VDAM)
    state, _ = class2d.load_state(FIRST, mark_of_state(FIRST))
    read = read_iteration(start_of(6))
    found = continued(read, replace(VDAM, nr_iter_grad=7), "x")
    for name in ("top_classes", "top_posteriors"):
        np.testing.assert_array_equal(getattr(read.particles, name), getattr(state.particles, name))
        assert getattr(found.particles, name) is None  # of no input of the run that goes on
    for record in ("particles", "model", "moments"):
        for name, value in vars(getattr(found, record)).items():
            if name not in ("unmasked_references", "top_classes", "top_posteriors"):
                np.testing.assert_array_equal(value, getattr(getattr(state, record), name), err_msg=f"{record}.{name}")
    assert found.changes == state.changes
    assert found.sampling == state.sampling
    assert (found.step_size, found.batch_limits, found.batch_size) == (
        state.step_size, state.batch_limits, state.batch_size,
    )  # fmt: skip


def mark_of_state(directory):
    """Return the fingerprint that stands in a state."""
    return re.search(rb'"mark": "(\w+)"', (directory / class2d.STATE_FILE).read_bytes())[1].decode()


# In its own directory


def test_a_job_goes_on_in_its_own_directory(run):
    run(FIRST, replace(EM, nr_iter_em=3))
    before = (FIRST / "run_it003_model.star").read_bytes()
    for _ in range(2):  # and a second time changes nothing
        run(FIRST, replace(EM, fn_cont=start_of(3)))
        assert (FIRST / "run_it003_model.star").read_bytes() == before
        assert numbers() == [0, 1, 2, 3, 4, 5]
    run(FIRST, replace(EM, fn_cont=start_of(3), tau_fudge=4.0), replace(OWN, keep_iterations="last"))
    assert numbers() == [3, 5]


def test_another_file_of_the_same_name_begins_anew(run):
    """What counts is the content of the file, and of the files it names."""
    run(FIRST, replace(EM, nr_iter_em=3))
    going_on = replace(EM, fn_cont=start_of(3))
    run(SECOND, going_on)
    assert "\n4/5 " not in run(SECOND, going_on)
    run(FIRST, replace(EM, nr_iter_em=3, tau_fudge=1.0))
    said = run(SECOND, going_on)
    assert "Starting from iteration 4, not from the state found" in said
    assert "\n4/5 " in said


# Options


def test_sampling_and_t_are_taken_anew(run):
    run(FIRST, replace(EM, nr_iter_em=3))
    run(SECOND, replace(EM, fn_cont=start_of(3), psi_sampling=12.0, offset_step=0.5, offset_range=1.0, tau_fudge=4.0))
    old, new = read_iteration(start_of(3)), read_iteration(start_of(5, SECOND))
    assert (old.sampling.psi_step_deg, new.sampling.psi_step_deg) == (45.0, 24.0)  # 48 does not divide 360
    assert new.sampling.offset_step_ang == pytest.approx(old.sampling.offset_step_ang / 2)
    assert new.sampling.offset_range_ang == pytest.approx(old.sampling.offset_range_ang / 2)
    assert new.model.tau2_fudge == 4.0
    assert new.particles.max_probability.mean() != old.particles.max_probability.mean()


def test_options_that_relion_does_not_ask_for_again_are_the_files(run):
    run(FIRST, replace(EM, nr_iter_em=3, ctf_intact_first_peak=True, do_zero_mask=False, highres_limit=9.0))
    said = run(SECOND, replace(EM, fn_cont=start_of(3), nr_classes=7))
    assert f"class2d.nr_classes: 2, as in {start_of(3)}, not 7" in said
    optimiser = read_star(start_of(5, SECOND))["optimiser_general"].iloc[0]
    assert optimiser["rlnDoIgnoreCtfUntilFirstPeak"] == "1"
    assert optimiser["rlnDoZeroMask"] == "0"
    assert float(optimiser["rlnHighresLimitExpectation"]) == 9.0
    assert len(read_star(SECOND / "run_it005_model.star")["model_classes"]) == 2


@pytest.mark.parametrize(("options", "other"), [(EM, VDAM), (VDAM, EM)], ids=["em-vdam", "vdam-em"])
def test_the_algorithm_may_change(run, options, other):
    run(FIRST, options)
    number = options.n_iterations
    total = {"nr_iter_em": 8, "nr_iter_grad": 8}
    run(SECOND, replace(other, **total, fn_cont=start_of(number)))
    last = read_iteration(start_of(8, SECOND))
    assert (last.moments is None) == other.do_em
    assert read_star(start_of(8, SECOND))["optimiser_general"]["rlnDoGradientRefine"][0] == str(int(not other.do_em))


def test_particles_come_from_the_file_where_the_job_names_none(run):
    run(FIRST, replace(EM, nr_iter_em=3))
    run(SECOND, replace(EM, fn_img="", fn_cont=start_of(3)), inputs={})
    run(Path("Class2D/job031"), EM)
    assert results(SECOND, 5) == results(Path("Class2D/job031"), 5)


@pytest.mark.parametrize("job", ["job002", "job003"], ids=["em", "vdam"])
@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("options", [EM, VDAM], ids=["to-em", "to-vdam"])
def test_from_relion_5(run, project, job, number, options):
    shutil.copytree(GOLDEN / "Extract", "Extract")
    shutil.copytree(GOLDEN / "Class2D" / job, f"Class2D/{job}")
    start = f"Class2D/{job}/run_it{number:03d}_optimiser.star"
    particles = "Extract/job001/particles.star"
    total = {"nr_iter_em": number + 2, "nr_iter_grad": number + 2}
    wanted = replace(options, fn_img=particles, fn_cont=start, particle_diameter=190.0, psi_sampling=6.0, **total)
    run(SECOND, replace(wanted, offset_range=5.0), OwnOptions(compatibility="relion", grad_write_iter=1))
    first, last = read_iteration(start_of(number, SECOND)), read_iteration(start_of(number + 2, SECOND))
    np.testing.assert_array_equal(first.model.references, read_iteration(start).model.references)
    assert last.model.n_classes == 5
    assert last.model.average_max_probability > 0
    pipeline = read_star("default_pipeline.star")
    edges = pipeline["pipeline_input_edges"]
    inputs = edges["rlnPipeLineEdgeFromNode"][edges["rlnPipeLineEdgeProcess"] == "Class2D/job021/"]
    assert set(inputs) == {start, particles}
    if job == "job003" and options is VDAM:
        assert last.batch_limits == (100, 200)  # the file's, not those that follow from the number of particles


def test_from_a_run_of_relion_with_a_dead_class(run):
    """RELION writes inf and -nan for it; nothing of the kind is written on."""
    shutil.copytree(GOLDEN / "Extract", "Extract")
    shutil.copytree(GOLDEN / "Class2D" / "job002", "Class2D/job002")
    path = Path("Class2D/job002/run_it003_model.star")
    lines = path.read_text().split("\n")
    row = next(number for number, line in enumerate(lines) if line.lstrip("0").startswith("2@"))
    cells = lines[row].split()
    cells[1], cells[4], cells[5] = "0.000000", "inf", "-nan"
    lines[row] = " ".join(cells)
    path.write_text("\n".join(lines))
    start = "Class2D/job002/run_it003_optimiser.star"
    options = replace(EM, fn_img="Extract/job001/particles.star", fn_cont=start, particle_diameter=190.0)
    run(SECOND, options, OwnOptions(compatibility="relion"))
    assert 1 not in read_iteration(start_of(5, SECOND)).particles.class_index
    for file in SECOND.glob("run_it00[345]_*.star"):
        assert not set(file.read_text().lower().split()) & {"nan", "-nan", "inf", "-inf"}, file


# What cannot go on


@pytest.fixture
def begun(run):
    """Return `run` after three iterations of EM in the first job."""
    run(FIRST, replace(EM, nr_iter_em=3))
    return run


def refused(run, options, **more):
    with pytest.raises(SystemExit):
        run(SECOND, options, **more)
    assert not list(SECOND.glob("run_it*"))
    lines = [line for line in message_of(SECOND).splitlines() if line.startswith("ERROR")]
    assert len(lines) == 1, lines
    return lines[0]


def test_all_iterations_are_done(begun):
    said = refused(begun, replace(EM, nr_iter_em=3, fn_cont=start_of(3)))
    assert f"{start_of(3)} is at iteration 3, and class2d.nr_iter_em: 3 counts all iterations" in said


def test_particles_of_another_file(begun, project):
    (project / "other").mkdir()
    make_particle_set(project / "other", n=40)
    table = read_particle_table("particles.star")
    names = table.particles["rlnImageName"].str.replace("@", "@other/")
    write_particle_table("moved.star", ParticleTable(table.optics, table.particles.assign(rlnImageName=names)))
    said = refused(begun, replace(EM, fn_img="moved.star", fn_cont=start_of(3)))
    assert f"{start_of(3)} (run_it003_data.star): made from other particles than those of moved.star: 40 of 40" in said


def test_fewer_particles_are_enough(begun, project):
    table = read_particle_table("particles.star")
    write_particle_table("fewer.star", ParticleTable(table.optics, table.particles.iloc[::-2].reset_index(drop=True)))
    begun(SECOND, replace(EM, fn_img="fewer.star", fn_cont=start_of(3)))
    before = read_star("Class2D/job011/run_it003_data.star")["particles"].set_index("rlnImageName")
    after = read_star("Class2D/job021/run_it003_data.star")["particles"].set_index("rlnImageName")
    assert len(after) == 20
    assert (before.loc[after.index, "rlnAnglePsi"] == after["rlnAnglePsi"]).all()
    assert "20 of its particles are not in fewer.star" in message_of(SECOND)


def test_another_pixel_size(begun):
    table = read_particle_table("particles.star")
    optics = table.optics.assign(rlnImagePixelSize="1.5")
    write_particle_table("finer.star", ParticleTable(optics, table.particles))
    said = refused(begun, replace(EM, fn_img="finer.star", fn_cont=start_of(3)))
    assert start_of(3) in said
    assert "px of 1.5 A" in said


def test_class_averages_of_another_box(begun):
    with mrcfile.new(FIRST / "run_it003_classes.mrcs", np.zeros((2, 20, 20), np.float32), overwrite=True):
        pass
    said = refused(begun, replace(EM, fn_cont=start_of(3)))
    assert "run_it003_model.star: rlnOriginalImageSize differs from the box of the class averages, 20" in said


@pytest.mark.parametrize("name", ["classes.mrcs", "model.star", "data.star", "sampling.star", "optimiser.star"])
def test_a_file_that_is_missing(begun, name):
    (FIRST / f"run_it003_{name}").unlink()
    said = refused(begun, replace(EM, fn_cont=start_of(3)))
    assert f"run_it003_{name}" in said
    assert "not found" in said or "does not exist" in said


def test_a_file_that_is_no_optimiser(begun):
    said = refused(begun, replace(EM, fn_cont=f"{FIRST}/run_it003_data.star"))
    assert "run_it003_data.star: no table data_optimiser_general" in said


def test_nothing_to_classify(begun):
    assert "neither fn_img (particles) nor fn_cont" in refused(begun, replace(EM, fn_img=""), inputs={})
