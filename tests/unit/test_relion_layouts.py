"""Class2D jobs of RELION 3.1, 4 and 5, whole and with the holes RELION leaves in them, are read alike."""

import re
from pathlib import Path

import numpy as np
import pytest

from relion_layouts import GOLDEN, continue_as_ct, copy_job
from winnow2d.errors import StarError
from winnow2d.formats.given_job import given_job
from winnow2d.formats.iteration_names import iterations_up_to
from winnow2d.formats.refinement import files_of_iteration, read_class_table, read_iteration
from winnow2d.selection.choose import choose_classes
from winnow2d.selection.features import class_features
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import score_classes

LAST = "Class2D/job002/run_it004_optimiser.star"


def change(path, *changes):
    """Replace in a file; every pattern must be there."""
    text = Path(path).read_text()
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text)
        assert count, pattern
    Path(path).write_text(text)


@pytest.mark.parametrize(  # RELION 3.1 has no VDAM
    ("version", "job"), [("3.1", "job002"), ("4.0", "job002"), ("4.0", "job003"), ("5", "job002"), ("5", "job003")]
)
def test_each_version_is_read_alike(project, version, job):
    directory = copy_job(project, version, job, with_stacks=False)
    last = max(path.name for path in Path(directory).glob("*_optimiser.star"))
    found = read_iteration(f"{directory}/{last}")
    expected = read_iteration(GOLDEN / directory / last)
    for name in ("class_index", "psi_deg", "offset_ang", "max_probability", "group_index", "n_significant"):
        np.testing.assert_array_equal(getattr(found.particles, name), getattr(expected.particles, name), err_msg=name)
    for name in ("references", "pdf_class", "data_vs_prior", "tau2", "scale_correction", "accuracy_rotation_deg"):
        np.testing.assert_array_equal(getattr(found.model, name), getattr(expected.model, name), err_msg=name)
    np.testing.assert_allclose(found.model.sigma2_noise, expected.model.sigma2_noise, rtol=1e-6)
    assert found.sampling == expected.sampling
    assert (found.moments is None) == (job == "job002")
    assert (found.batch_limits is None) == (job == "job002")


def test_noise_of_relion_31_is_that_of_its_groups_by_their_particles(project):
    copy_job(project, "3.1", with_stacks=False)
    found, expected = read_iteration(LAST), read_iteration(GOLDEN / LAST)
    np.testing.assert_allclose(found.model.sigma2_noise, expected.model.sigma2_noise, rtol=1e-6)
    change("Class2D/job002/run_it004_model.star", (r"data_model_group_1\n", "data_gone\n"))
    assert not np.allclose(read_iteration(LAST).model.sigma2_noise, expected.model.sigma2_noise, rtol=1e-4)


@pytest.mark.parametrize("after", [2, 3])
def test_files_of_a_run_that_an_old_relion_continued(project, after):
    directory = copy_job(project, "3.1", with_stacks=False)
    last = continue_as_ct(project, directory, after)
    assert last == f"{directory}/run_ct{after}_it004_optimiser.star"
    np.testing.assert_array_equal(
        read_iteration(last).particles.class_index, read_iteration(GOLDEN / LAST).particles.class_index
    )
    given = given_job(last)
    assert given.classes == f"{directory}/run_ct{after}_it004_classes.mrcs"
    models = iterations_up_to(Path(given.model), "model.star")
    assert list(models) == [0, 1, 2, 3, 4]
    assert [path.name.startswith("run_ct") for path in models.values()] == [number > after for number in range(5)]


def test_iterations_are_those_that_led_to_the_last(tmp_path):
    for name in ("run_it005", "run_it010", "run_ct5_it005", "run_ct5_it006", "run_ct5_it007", "run_ct10_it011"):
        (tmp_path / f"{name}_model.star").touch()
    (tmp_path / "run_unmasked_model.star").touch()

    def names(last):
        return [
            path.name.removesuffix("_model.star") for path in iterations_up_to(tmp_path / last, "model.star").values()
        ]

    assert names("run_ct10_it011_model.star") == ["run_it005", "run_it010", "run_ct10_it011"]
    assert names("run_ct5_it007_model.star") == ["run_ct5_it005", "run_ct5_it006", "run_ct5_it007"]
    assert names("run_it010_data.star") == ["run_it005", "run_it010"]


def scored(iteration):
    features = class_features(iteration, 190.0)
    assert np.isfinite(features.to_numpy(dtype=float)).all()
    return choose_classes(features["n_particles"].to_numpy(), score_classes(features), Rules(select_nr_classes=1))


def test_a_class_without_data_has_holes_and_is_never_kept(project):
    """RELION writes inf, nan and 999 for it, no spectrum, and an empty image."""
    copy_job(project, "5", with_stacks=False)
    change(
        "Class2D/job002/run_it004_model.star",
        (r"(00000005@\S+).*", r"\1 0.0 nan -nan inf -nan nan -nan"),
        (r"data_model_class_5\n", "data_gone\n"),
        (r"(_rlnAveragePmax +)\S+", r"\1-nan"),
        (r"(_rlnCurrentResolution +)\S+", r"\1inf"),
    )
    change("Class2D/job002/run_it004_optimiser.star", (r"(_rlnOverallAccuracyRotations +)\S+", r"\1-nan"))
    data = Path("Class2D/job002/run_it004_data.star")
    lines = data.read_text().split("\n")
    at = [line.split()[0] for line in lines if line.startswith("_rlnClassNumber")]
    assert at
    column = [line.split()[0] for line in lines if line.startswith("_rln")].index("_rlnClassNumber") - 8
    rows = [line.split() for line in lines]
    for row in rows:
        if "@" in "".join(row) and row[column] == "5":
            row[column] = "4"
    data.write_text("\n".join(" ".join(row) for row in rows))
    iteration = read_iteration(LAST)
    assert iteration.model.pdf_class[4] == 0
    assert not iteration.model.data_vs_prior[4].any()
    assert iteration.model.resolution_shell == 0
    choice = scored(iteration)
    assert choice.rule[4] == "no particles"
    assert not choice.kept[4]
    assert choice.kept.any()


def test_one_optics_group_without_a_name(project):
    copy_job(project, "3.1", with_stacks=False)
    data = Path("Class2D/job002/run_it004_data.star")
    text, n = re.subn(r"_rlnOpticsGroupName #1 \n", "", data.read_text())
    text, m = re.subn(r"(?m)^ *opticsGroup1 ", "", text)
    assert (n, m) == (1, 1)
    for old, new in zip(range(2, 9), range(1, 8), strict=True):
        text = text.replace(f" #{old} \n", f" #{new} \n", 1)
    data.write_text(text)
    iteration = read_iteration(LAST)
    assert [group.name for group in iteration.optics] == ["opticsGroup1"]
    assert scored(iteration).kept.any()


def test_an_optics_group_that_no_particle_belongs_to_has_no_noise(project):
    copy_job(project, "5", with_stacks=False)
    change(
        "Class2D/job002/run_it004_data.star",
        (r"(?m)^( *)opticsGroup1 +1 (.*)$", r"\1opticsGroup1 1 \2\nunused 2 \2"),
    )
    noise = read_iteration(LAST).model.sigma2_noise
    np.testing.assert_array_equal(noise[0], noise[1])
    change("Class2D/job002/run_it004_model.star", (r"data_model_optics_group_1\n", "data_gone\n"))
    with pytest.raises(StarError, match="no noise spectrum of optics group 1"):
        read_iteration(LAST)


def test_the_files_of_a_job_are_those_of_its_own_project(tmp_path, monkeypatch):
    """Ours has a job of the same number, and theirs lies below it, or beside it, or was moved."""
    ours = tmp_path / "ours"
    for folder in (ours, ours / "theirs", tmp_path / "theirs"):
        copy_job(folder, "5", with_stacks=False)
    (ours / "moved").mkdir()
    (tmp_path / "theirs/Class2D/alias").symlink_to("job002")
    for path in (ours / "theirs/Class2D/job002").iterdir():
        (ours / "moved" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(ours)
    for folder in ("theirs/Class2D/job002", "../theirs/Class2D/job002", "moved", "../theirs/Class2D/alias"):
        optimiser = f"{folder}/run_it004_optimiser.star"
        files = files_of_iteration(optimiser).values()
        assert {path.resolve().parent for path in files} == {Path(folder).resolve()}, folder
        given = given_job(optimiser)
        assert Path(given.data).resolve().parent == Path(folder).resolve()
        assert not Path(given.data).is_absolute()
    assert given_job(str(tmp_path / "theirs" / LAST)).model == str(
        tmp_path / "theirs/Class2D/job002/run_it004_model.star"
    )


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("run_it009_optimiser.star", None, "does not exist; give the path of a run_itNNN_optimiser.star"),
        ("run_it004_model.star", None, "has no rlnCurrentIteration in a table optimiser_general"),
        ("run_it000_optimiser.star", None, "is of iteration 0, at which no particle has a class yet"),
        ("run_it004_optimiser.star", ("_model.star", "_gone.star"), "names Class2D/job002/run_it004_gone.star, which"),
        ("run_it004_optimiser.star", ("_rlnExperimentalData", "_rlnX"), "no value of rlnExperimentalDataStarFile"),
    ],
)
def test_what_is_no_classification_to_select_from(project, name, text, words):
    copy_job(project, "5", with_stacks=False)
    path = Path("Class2D/job002", name)
    if text:
        path.write_text(path.read_text().replace(*text))
    with pytest.raises(StarError, match=re.escape(words)):
        given_job(str(path))


def test_class_averages_that_are_called_otherwise(project):
    copy_job(project, "5", with_stacks=False)
    Path("Class2D/job002/run_it004_classes.mrcs").rename("Class2D/job002/averages.mrcs")
    with pytest.raises(StarError, match=r"names Class2D/job002/run_it004_classes\.mrcs, which was not found"):
        given_job(LAST)
    change("Class2D/job002/run_it004_model.star", (r"run_it004_classes\.mrcs", "averages.mrcs"))
    assert given_job(LAST).classes == "Class2D/job002/averages.mrcs"
    assert len(read_class_table(given_job(LAST).model)) == 5
