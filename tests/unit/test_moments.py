"""VDAM's moment files: RELION's are read and written back pixel by pixel; sizes that do not fit are refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from winnow2d.engine import vdam_schedule
from winnow2d.errors import ImageError, StarError
from winnow2d.formats.moments import first_moment_parts, read_moments, second_moment_parts
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.optimiser_star import FINAL_FRACTION
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import read_class_table, read_iteration, remove_iteration, write_iteration
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Moments

CLASS2D = Path(__file__).parents[1] / "golden" / "relion5" / "Class2D"
STEM = CLASS2D / "job003" / "run"
OPTIONS = Class2DOptions(do_em=False, do_grad=True, nr_classes=5, nr_iter_grad=12, particle_diameter=190.0)


def names_of(file, n_classes=5):
    return [f"{k + 1}@{file}" for k in range(n_classes)]


def read(first, second, n_classes=5, box=48):
    return read_moments(names_of(first, n_classes), names_of(second, n_classes), n_classes, box)


def relion(number):
    return read(f"{STEM}_it{number:03d}_1moment.mrcs", f"{STEM}_it{number:03d}_2moment.mrcs")


def write(moments):
    Path("1.mrcs").write_bytes(b"".join(first_moment_parts(moments)))
    Path("2.mrcs").write_bytes(b"".join(second_moment_parts(moments)))


@pytest.mark.parametrize("number", [0, 1, 4])
def test_relions_pixels_come_back_the_same(project, number):
    write(relion(number))
    for order in (1, 2):
        ours, theirs = mrcfile.read(f"{order}.mrcs"), mrcfile.read(f"{STEM}_it{number:03d}_{order}moment.mrcs")
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)  # as numbers: RELION writes some zeros as -0


def test_where_the_numbers_stand(project, rng):
    """Rows run from -N to N - 1, columns are real and imaginary parts in turn; half 1 follows half 0."""
    first = np.zeros((2, 2, 16, 9), np.complex64)
    first[1, 0, 3, 5], first[0, 1, -2, 0] = 2 - 7j, 4 + 1j
    second = np.ones((2, 16, 9), np.float32)
    second[1, 0, 8] = 0.25
    write(Moments(first, second))
    sections = mrcfile.read("1.mrcs")
    assert sections.shape == (4, 16, 18)
    assert (sections[2, 8 + 3, 10], sections[2, 8 + 3, 11]) == (2, -7)
    assert (sections[1, 8 - 2, 0], sections[1, 8 - 2, 1]) == (4, 1)
    assert np.count_nonzero(sections) == 4
    sections = mrcfile.read("2.mrcs")
    assert (sections[1, 8, 16], sections[1, 8, 17]) == (0.25, 0)
    back = read("1.mrcs", "2.mrcs", n_classes=2, box=8)
    assert back.first.dtype == np.complex64
    assert back.second.dtype == np.float32
    np.testing.assert_array_equal(back.first, first)
    np.testing.assert_array_equal(back.second, second)


def test_the_origin_of_relions_moments_is_at_the_corner():
    """The spectrum of a real image is its own mate across the origin, in the column kx = 0."""
    column = relion(3).first[..., 0]
    np.testing.assert_allclose(column[..., 1:48], np.conj(column[..., :48:-1]), rtol=1e-5, atol=1e-9)
    assert np.abs(column[..., 1:10]).min() > 0


@pytest.mark.parametrize(
    ("n_sections", "box_y", "box_x"), [(9, 96, 98), (10, 96, 96), (10, 48, 98), (10, 98, 96)], ids=str
)
def test_wrong_sizes_are_refused(project, n_sections, box_y, box_x):
    write_stack("1.mrcs", np.zeros((n_sections, box_y, box_x)), 1.0)
    with pytest.raises(ImageError) as caught:
        read("1.mrcs", f"{STEM}_it001_2moment.mrcs")
    for words in ("1.mrcs", f"{n_sections} sections of {box_y} x {box_x}", "10 sections of 96 x 98", "48 px"):
        assert words in str(caught.value)


def test_second_moments_that_are_too_few_are_refused(project):
    write_stack("2.mrcs", np.zeros((4, 96, 98)), 1.0)
    with pytest.raises(ImageError, match=r"2\.mrcs: 4 sections"):
        read(f"{STEM}_it001_1moment.mrcs", "2.mrcs")


def test_a_file_that_is_missing_or_cut_is_refused(project):
    with pytest.raises(ImageError, match=r"1\.mrcs"):
        read("1.mrcs", f"{STEM}_it001_2moment.mrcs")
    Path("1.mrcs").write_bytes(Path(f"{STEM}_it001_1moment.mrcs").read_bytes()[:-4])
    with pytest.raises(ImageError, match=r"1\.mrcs"):
        read("1.mrcs", f"{STEM}_it001_2moment.mrcs")


def test_moments_that_are_not_finite_are_not_written(project):
    moments = relion(1)
    moments.second[0, 0, 0] = np.inf
    with pytest.raises(ImageError, match="nan or infinite"):
        b"".join(second_moment_parts(moments))
    assert not Path("2.mrcs").exists()


# As files of an iteration


def write_vdam(number, own=OwnOptions(compatibility="relion"), **changes):  # noqa: B008 (frozen)
    iteration = replace(read_iteration(f"{STEM}_it{number:03d}_optimiser.star"), **changes)
    table = read_particle_table(f"{STEM}_it{number:03d}_data.star")
    write_iteration("Class2D/job011/run", iteration, table, OPTIONS, own, "command")
    return iteration


def test_an_iteration_comes_back_with_its_moments(project):
    iteration = write_vdam(3, step_size=0.894059)
    back = read_iteration("Class2D/job011/run_it003_optimiser.star")
    np.testing.assert_array_equal(back.moments.first, iteration.moments.first)
    np.testing.assert_array_equal(back.moments.second, iteration.moments.second)
    assert back.batch_size == 100
    files = {path.name for path in Path("Class2D/job011").iterdir()}
    theirs = {path.name for path in (CLASS2D / "job003").glob("run_it003_*")}
    assert files == theirs
    optimiser = read_star("Class2D/job011/run_it003_optimiser.star")["optimiser_general"].iloc[0]
    expected = read_star(f"{STEM}_it003_optimiser.star")["optimiser_general"].iloc[0]
    for label in ("rlnDoGradientRefine", "rlnDoStochasticGradientDescent", "rlnSgdSubsetSize", "rlnGradEmIters"):
        assert int(optimiser[label]) == int(expected[label]), label
    for label in ("rlnGradCurrentStepsize", "rlnSgdMuFactor", "rlnSgdClassInactivityThreshold"):
        assert float(optimiser[label]) == pytest.approx(float(expected[label]), abs=1e-6), label


@pytest.mark.parametrize(
    ("total", "asked", "compatibility", "n_em"),
    [(12, 5, "none", 2), (12, 1, "none", 1), (200, 5, "none", 5), (3, 5, "none", 0), (200, 5, "relion", 0)],
)
def test_as_many_em_iterations_are_told_as_there_are(project, total, asked, compatibility, n_em):
    write_vdam(3, OwnOptions(grad_em_iters=asked, compatibility=compatibility), total=total)
    optimiser = read_star("Class2D/job011/run_it003_optimiser.star")["optimiser_general"].iloc[0]
    assert int(optimiser["rlnGradEmIters"]) == n_em
    assert n_em in (0, asked, vdam_schedule.phases(total).final)
    assert FINAL_FRACTION == vdam_schedule.FINAL_FRACTION


def test_the_model_file_names_the_moments(project):
    write_vdam(2)
    classes = read_class_table("Class2D/job011/run_it002_model.star")
    for label, order in (("rlnGradMoment1", 1), ("rlnGradMoment2", 2)):
        file = f"Class2D/job011/run_it002_{order}moment.mrcs"
        assert list(classes[label]) == [f"{k:06d}@{file}" for k in range(1, 6)]
    assert set(classes.columns) == set(read_class_table(f"{STEM}_it002_model.star").columns)


def test_particles_that_were_in_no_batch_are_in_class_0(project):
    write_vdam(1)
    ours, theirs = (
        read_particle_table(f"{stem}_it001_data.star").particles["rlnClassNumber"]
        for stem in ("Class2D/job011/run", STEM)
    )
    assert list(ours.astype(int)) == list(theirs.astype(int))
    assert (ours == "0").sum() == 300


def test_an_iteration_goes_with_its_moments(project):
    write_vdam(2)
    remove_iteration("Class2D/job011/run", 2)
    assert list(Path("Class2D/job011").iterdir()) == []


def test_a_named_moment_file_that_is_gone_is_told(project):
    shutil.copytree(CLASS2D / "job003", "Class2D/job003")
    Path("Class2D/job003/run_it002_1moment.mrcs").unlink()
    with pytest.raises(StarError, match="run_it002_1moment"):
        read_iteration("Class2D/job003/run_it002_optimiser.star")


def test_em_has_no_moments_and_no_gradient_flags(project):
    number, stem = 2, CLASS2D / "job002" / "run"
    iteration = read_iteration(f"{stem}_it{number:03d}_optimiser.star")
    assert iteration.moments is None
    options = replace(OPTIONS, do_em=True, do_grad=False)
    table = read_particle_table(f"{stem}_it{number:03d}_data.star")
    write_iteration("Class2D/job011/run", iteration, table, options, OwnOptions(), "command")
    optimiser = read_star("Class2D/job011/run_it002_optimiser.star")["optimiser_general"].iloc[0]
    for label in ("rlnDoGradientRefine", "rlnDoStochasticGradientDescent", "rlnDoStochasticEM", "rlnGradEmIters"):
        assert int(optimiser[label]) == 0, label
    assert int(optimiser["rlnSgdSubsetSize"]) == -1
    assert not any("Moment" in label for label in read_class_table("Class2D/job011/run_it002_model.star"))
    assert not list(Path("Class2D/job011").glob("*moment*"))
