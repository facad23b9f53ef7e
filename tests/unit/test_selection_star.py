import numpy as np
import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.formats.ledger import particle_decisions
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.selection_star import (
    class_indices,
    classified_particles,
    group_and_optics,
    read_group_scales,
    with_groups,
    write_backup_selection,
    write_class_averages,
    write_kept_particles,
    write_rank_files,
)
from winnow2d.formats.star import read_star, write_star

OPTICS = pd.DataFrame(
    {"rlnOpticsGroupName": ["a", "b"], "rlnOpticsGroup": ["1", "2"], "rlnImagePixelSize": ["3.540", "3.54"]}
)
PARTICLES = pd.DataFrame(
    {
        "rlnImageName": ["000003@s.mrcs", "000001@s.mrcs", "007@s.mrcs", "000002@s.mrcs"],
        "rlnClassNumber": ["2", "1", "0", "2"],
        "rlnOpticsGroup": ["1", "2", "1", "1"],
        "rlnGroupNumber": ["1", "2", "1", "1"],
        "rlnMaxValueProbDistribution": ["0.5", "1.0", "0.0", "0.25"],
        "foreignColumn": ["1.50", "007", "x", "y"],
    }
)
CLASSES = pd.DataFrame(
    {
        "rlnReferenceImage": ["000001@run_classes.mrcs", "000002@run_classes.mrcs", "000003@run_classes.mrcs"],
        "rlnClassDistribution": ["0.2", "0.5", "0.3"],
        "rlnAccuracyRotations": ["3.0", "4.0", "999.0"],
        "rlnAccuracyTranslationsAngst": ["1.0", "2.0", "999.0"],
        "rlnEstimatedResolution": ["12.0", "inf", "30.0"],
        "rlnOverallFourierCompleteness": ["1.0", "1.0", "-nan"],
        "rlnClassPriorOffsetX": ["0.0", "0.0", "0.0"],
        "rlnClassPriorOffsetY": ["0.0", "0.0", "0.0"],
    }
)


@pytest.fixture
def table():
    return ParticleTable(OPTICS.copy(), PARTICLES.copy())


def test_kept_rows_keep_order_and_every_cell(table, tmp_path):
    is_kept, _ = particle_decisions(class_indices(table, 3), np.array([False, True, True]), [""] * 3)
    write_kept_particles(tmp_path / "particles.star", table, is_kept)
    blocks = read_star(tmp_path / "particles.star")
    pd.testing.assert_frame_equal(blocks["particles"], PARTICLES.iloc[[0, 3]].reset_index(drop=True), check_dtype=False)
    pd.testing.assert_frame_equal(blocks["optics"], OPTICS, check_dtype=False)


def test_particles_without_a_class_are_never_kept(table):
    is_kept, reason = particle_decisions(class_indices(table, 3), np.ones(3, dtype=bool), [""] * 3)
    row = list(table.particles["rlnImageName"]).index("007@s.mrcs")
    assert (is_kept[row], reason[row]) == (False, "never classified")


def test_a_class_beyond_the_model_is_an_error(table):
    with pytest.raises(StarError, match="row 1: rlnClassNumber 2, but the model has 1 classes"):
        class_indices(table, 1)


def test_classified_particles_are_0_based(table):
    names, index, probability = classified_particles(table, 3)
    assert names[1] == "000001@s.mrcs"
    assert index.tolist() == [1, 0, -1, 1]
    assert probability.tolist() == [0.5, 1.0, 0.0, 0.25]


def test_backup_selection_and_class_averages_have_unnamed_blocks(tmp_path):
    write_backup_selection(tmp_path / "backup_selection.star", np.array([True, False, True]))
    write_class_averages(tmp_path / "class_averages.star", CLASSES, np.array([2, 1]), np.array([0.9, 0.25, 0.5]))
    backup, averages = read_star(tmp_path / "backup_selection.star"), read_star(tmp_path / "class_averages.star")
    assert list(backup) == list(averages) == [""]
    assert backup[""]["rlnSelected"].tolist() == ["1", "0", "1"]
    assert averages[""]["rlnReferenceImage"].tolist() == ["000003@run_classes.mrcs", "000002@run_classes.mrcs"]
    assert averages[""]["rlnPredictedClassScore"].tolist() == ["0.5", "0.25"]
    assert list(averages[""].columns) == [
        "rlnReferenceImage", "rlnPredictedClassScore", "rlnClassDistribution", "rlnAccuracyRotations",
        "rlnAccuracyTranslationsAngst", "rlnEstimatedResolution",
    ]  # fmt: skip
    assert averages[""]["rlnEstimatedResolution"].tolist() == ["30.0", "999.000000"]
    assert "\ndata_\n" in (tmp_path / "backup_selection.star").read_text()


def test_rank_files_show_every_class_and_point_to_each_other(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    general = {"rlnOutputRootName": "Class2D/job011/run", "rlnModelStarFile": "m", "rlnExperimentalDataStarFile": "d"}
    write_star("run_it025_optimiser.star", {"optimiser_general": general}, comments=["program", "--i x"])
    write_rank_files("Select/job012", "run_it025_optimiser.star", table, CLASSES, np.array([0.9, 0.25, 0.5]))
    assert not (tmp_path / "Select/job012/rank_optimiser.star").read_text().startswith("# program")
    optimiser = read_star("Select/job012/rank_optimiser.star")["optimiser_general"].iloc[0]
    assert optimiser["rlnOutputRootName"] == "Class2D/job011/run"
    ranked = read_star(optimiser["rlnModelStarFile"])["model_classes"]
    assert ranked["rlnClassScore"].tolist() == ["0.9", "0.25", "0.5"]
    assert ranked["rlnOverallFourierCompleteness"].tolist() == ["1.0", "1.0", "999.000000"]
    assert len(read_star(optimiser["rlnExperimentalDataStarFile"])["particles"]) == 4


def test_group_scales_of_a_model(tmp_path):
    groups = pd.DataFrame(
        {"rlnGroupNumber": [1, 2], "rlnGroupName": ["a", "b"], "rlnGroupScaleCorrection": [0.9, 1.25]}
    )
    write_star(tmp_path / "model.star", {"model_groups": groups})
    assert read_group_scales(tmp_path / "model.star").tolist() == [0.9, 1.25]
    write_star(tmp_path / "rank_model.star", {"model_classes": CLASSES})
    with pytest.raises(StarError, match="no table model_groups"):
        read_group_scales(tmp_path / "rank_model.star")


def test_new_groups_replace_name_and_number_together(table):
    groups, optics = group_and_optics(table)
    assert groups.tolist() == [0, 1, 0, 0]
    assert optics.tolist() == [0, 1, 0, 0]
    renamed = with_groups(table, ["group_2", "group_1", "group_2", "group_2"], np.array([1, 2, 1, 1])).particles
    assert renamed["rlnGroupName"].tolist() == ["group_2", "group_1", "group_2", "group_2"]
    assert renamed["rlnGroupNumber"].tolist() == ["1", "2", "1", "1"]
    others = PARTICLES.drop(columns="rlnGroupNumber")
    pd.testing.assert_frame_equal(renamed[list(others.columns)], others)
