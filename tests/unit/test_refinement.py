"""Iteration files: RELION's are read, ours hold the same numbers, in RELION's types and tables."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from winnow2d.errors import ImageError, StarError
from winnow2d.formats import labels
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import (
    iteration_numbers,
    read_class_table,
    read_iteration,
    remove_iterations_after,
    write_iteration,
)
from winnow2d.formats.spectra import estimated_resolution_ang, leading_shell, overall_coverage
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, OwnOptions

RELION5 = Path(__file__).parents[1] / "golden" / "relion5"
JOB = RELION5 / "Class2D" / "job002"
OPTIONS = Class2DOptions(do_em=True, do_grad=False, nr_classes=5, particle_diameter=190.0)


def relion(number):
    iteration = read_iteration(JOB / f"run_it{number:03d}_optimiser.star")
    return iteration, read_particle_table(JOB / f"run_it{number:03d}_data.star")


def write(iteration, table, stem="Class2D/job011/run"):
    write_iteration(stem, iteration, table, OPTIONS, OwnOptions(random_seed=42), "a --b\nc")


def same(ours, theirs, path="iteration"):
    """Hold two records against each other, field by field."""
    if dataclasses.is_dataclass(theirs):
        for field in dataclasses.fields(theirs):
            same(getattr(ours, field.name), getattr(theirs, field.name), f"{path}.{field.name}")
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-6, err_msg=path)
    else:
        assert ours == theirs, path


def test_how_averages_were_moved_after_averaging_is_kept(project):
    iteration, table = relion(2)
    assert iteration.model.centring_ang is None  # RELION does not tell
    moved = np.arange(10.0).reshape(5, 2) - 4.25
    write(dataclasses.replace(iteration, model=dataclasses.replace(iteration.model, centring_ang=moved)), table)
    back = read_iteration("Class2D/job011/run_it002_optimiser.star")
    np.testing.assert_allclose(back.model.centring_ang, moved)
    classes = read_class_table("Class2D/job011/run_it002_model.star")
    assert classes["winnowCentringYAngst"].astype(float).tolist() == moved[:, 1].tolist()


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_what_relion_wrote_comes_back_the_same(project, number):
    iteration, table = relion(number)
    write(iteration, table)
    back = read_iteration(f"Class2D/job011/run_it{number:03d}_optimiser.star")
    same(back, iteration)
    names = {file.name for file in (project / "Class2D/job011").iterdir()}
    kinds = {"classes.mrcs", "data.star", "model.star", "optimiser.star"} | ({"sampling.star"} if number else set())
    assert names == {f"run_it{number:03d}_{kind}" for kind in kinds}


def test_numbers_of_relion_are_understood():
    iteration, _ = relion(4)
    assert (iteration.number, iteration.total) == (4, 4)
    assert iteration.model.references.shape == (5, 48, 48)
    assert iteration.model.pdf_class.sum() == pytest.approx(1, abs=1e-5)
    assert (iteration.model.sigma2_noise > 0).all()
    assert iteration.sampling.psi_step_deg == 12.0
    # RELION's average counts weight, not particles: about 0.1 % apart here
    mean = iteration.particles.max_probability.mean()
    assert mean == pytest.approx(iteration.model.average_max_probability, rel=2e-3)
    tau2, sigma2 = iteration.model.tau2, iteration.model.sigma2_reference
    known = iteration.model.data_vs_prior > 0.01
    ratio = iteration.model.tau2_fudge * tau2[known] / sigma2[known]
    assert np.allclose(ratio, iteration.model.data_vs_prior[known], rtol=1e-3)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_resolution_and_completeness_are_relions(project, number):
    iteration, table = relion(number)
    write(iteration, table)
    ours = read_class_table(f"Class2D/job011/run_it{number:03d}_model.star")
    theirs = read_class_table(JOB / f"run_it{number:03d}_model.star")
    assert list(ours.columns) == list(theirs.columns)
    for label in ours.columns[1:]:
        assert np.allclose(ours[label].astype(float), theirs[label].astype(float), atol=2e-6), label
    general = read_star(f"Class2D/job011/run_it{number:03d}_model.star")["model_general"]
    expected = read_star(JOB / f"run_it{number:03d}_model.star")["model_general"]
    assert list(general.columns) == list(expected.columns)
    for label in general.columns:
        assert float(general[label].iloc[0]) == pytest.approx(float(expected[label].iloc[0]), rel=1e-6), label


def test_both_generations_of_labels_and_tables_are_there(project):
    iteration, table = relion(2)
    write(iteration, table)
    ours = read_star("Class2D/job011/run_it002_optimiser.star")["optimiser_general"].iloc[0]
    theirs = read_star(JOB / "run_it002_optimiser.star")["optimiser_general"].iloc[0]
    assert set(theirs.index) <= set(ours.index)
    assert {"rlnDoStochasticEM", "rlnSgdSigma2FudgeHalflife", "rlnSgdInBetweenIterations"} <= set(ours.index)
    for label in set(theirs.index):
        if labels.LABELS[label].type in ("int", "bool"):
            assert int(ours[label]) == int(theirs[label]), label
    assert ours["rlnDoGradientRefine"] == ours["rlnDoStochasticGradientDescent"] == "0"
    for label in ours.index:
        convert = {"int": int, "bool": lambda text: {"0": 0, "1": 1}[text], "float": float, "text": str}
        convert[labels.LABELS[label].type](ours[label])
    text = Path("Class2D/job011/run_it002_optimiser.star").read_text().split("\n")
    assert text[0].startswith("# Winnow optimiser")
    assert text[1] == "# a --b c "
    assert text[2] == ""
    model = read_star("Class2D/job011/run_it002_model.star")
    assert model["model_group_10"].equals(model["model_optics_group_1"])
    assert "inf" not in str(model["model_general"].to_numpy())


def test_noise_per_intensity_group_is_averaged(project):
    iteration, table = relion(2)
    write(iteration, table)
    path = Path("Class2D/job011/run_it002_model.star")
    path.write_text(path.read_text().replace("data_model_optics_group_1\n", "data_old\n"))
    same(read_iteration("Class2D/job011/run_it002_optimiser.star").model.sigma2_noise, iteration.model.sigma2_noise)
    path.write_text(path.read_text().replace("data_model_group_", "data_gone_"))
    with pytest.raises(StarError, match="no noise spectrum of optics group 1"):
        read_iteration("Class2D/job011/run_it002_optimiser.star")


def test_dead_classes_of_relion_are_read(project):
    shutil.copytree(JOB, "Class2D/job002")
    path = Path("Class2D/job002/run_it004_model.star")
    text, n_classes = re.subn(r"56\.640000     0\.921061", "inf     -nan", path.read_text())
    text, n_likelihoods = re.subn(r"(_rlnLogLikelihood +)\S+", r"\1-nan", text)
    assert (n_classes, n_likelihoods) == (1, 1)
    path.write_text(text)
    assert read_iteration("Class2D/job002/run_it004_optimiser.star").model.log_likelihood == 0.0
    assert read_class_table(path)["rlnOverallFourierCompleteness"][1] == "-nan"


def test_unknown_accuracies_and_resolution_are_written_finite(project):
    iteration, table = relion(1)
    iteration.model.accuracy_rotation_deg = np.zeros(0)
    iteration.model.accuracy_offset_ang = np.full(5, np.inf)
    iteration.model.resolution_shell = 0
    iteration.model.unmasked_references = iteration.model.references + 1
    iteration.model.data_vs_prior[2] = 0.0
    write(iteration, table)
    classes = read_class_table("Class2D/job011/run_it001_model.star")
    assert set(classes["rlnAccuracyRotations"]) == set(classes["rlnAccuracyTranslationsAngst"]) == {"999.0"}
    assert float(classes["rlnEstimatedResolution"][2]) == pytest.approx(48 * 4.72)
    assert read_iteration("Class2D/job011/run_it001_optimiser.star").model.resolution_shell == 0
    assert Path("Class2D/job011/run_unmasked_classes.mrcs").exists()


def test_all_files_or_none(project):
    iteration, table = relion(2)
    write(iteration, table)
    before = {path: path.read_bytes() for path in Path("Class2D/job011").iterdir()}
    iteration.particles.psi_deg[:] = 1.0
    iteration.model.tau2[0, 3] = np.nan
    with pytest.raises(StarError, match="rlnReferenceTau2: row 4"):
        write(iteration, table)
    assert {path: path.read_bytes() for path in Path("Class2D/job011").iterdir()} == before
    iteration.model.tau2[0, 3] = 0.0
    iteration.model.references = iteration.model.references * np.nan
    with pytest.raises(ImageError, match="nan"):
        write(iteration, table)
    iteration.model.scale_correction = np.ones(3)
    iteration.model.references = np.zeros((5, 48, 48))
    with pytest.raises(StarError, match="3 scales"):
        write(iteration, table)


def test_missing_files_are_named(project):
    iteration, table = relion(2)
    write(iteration, table)
    Path("Class2D/job011/run_it002_sampling.star").unlink()
    with pytest.raises(StarError, match=r"names Class2D/job011/run_it002_sampling\.star, which was not found"):
        read_iteration("Class2D/job011/run_it002_optimiser.star")
    with pytest.raises(StarError, match="no table data_model_classes"):
        read_class_table("Class2D/job011/run_it002_data.star")


def test_iterations_beyond_one_are_removed_and_nothing_else(project):
    iteration, table = relion(2)
    for number in (0, 2, 12, 1000):
        write(dataclasses.replace(iteration, number=number), table)
    job = Path("Class2D/job011")
    others = ["run_it012_mine.png", "other_it012_data.star", "run_unmasked_classes.mrcs", "run_it12_data.star"]
    for name in others:
        (job / name).touch()
    assert iteration_numbers(f"{job}/run") == [0, 2, 12, 1000]
    remove_iterations_after(f"{job}/run", 2)
    assert iteration_numbers(f"{job}/run") == [0, 2]
    assert all((job / name).exists() for name in others)
    remove_iterations_after(f"{job}/run", -1)
    assert {path.name for path in job.iterdir()} == set(others) - {"run_unmasked_classes.mrcs"}
    assert iteration_numbers("Class2D/job099/run") == []


def test_spectra_by_hand():
    assert leading_shell([5, 2, 1, 0.5, 9]) == 2
    assert leading_shell([0.5, 2, 2]) == 0
    assert leading_shell([2, 2, 2]) == 2
    assert leading_shell([2, np.nan, 2]) == 0
    assert estimated_resolution_ang([2, 2, 2, 0], 6, 2.0) == 6.0
    assert overall_coverage([0, 1, 1], [1, 1, 1]) == 0.0
    # cube of 27 points: the centre, and 26 at distances 1, sqrt 2 and sqrt 3, all rounded down to 1
    assert overall_coverage([2, 2, 2, 0], [1.0, 0.5, 0.25, 0.0]) == pytest.approx((1 + 26 * 0.5) / 27)
