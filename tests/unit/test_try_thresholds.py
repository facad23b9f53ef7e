import numpy as np
import pandas as pd
import pytest

import try_thresholds
from relion_layouts import GOLDEN
from winnow2d.selection.scores import ClassScores
from winnow2d.selection.trial import trial_table

COUNTS = np.array([100, 50, 50])
SCORES = ClassScores(np.array([0.9, 0.6, 0.1]), np.array([0.8, 0.4, 0.1]))


def test_each_threshold_tells_what_is_kept_and_lost():
    table = trial_table(
        COUNTS, SCORES, thresholds=(0.0, 0.3, 0.5, 0.9), count_lost_views=lambda kept: int((~kept).sum())
    )
    assert table["classes"].tolist() == [3, 2, 1, 0]
    assert table["particles"].tolist() == [200, 150, 100, 0]
    np.testing.assert_allclose(table["good_kept"], [125, 120, 90, 0])
    np.testing.assert_allclose(table["good_lost"], [0, 5, 35, 125])
    np.testing.assert_allclose(table["junk_kept"], [75, 30, 10, 0])
    np.testing.assert_allclose(table["loss"], [0, 0.04, 0.28, 1])
    assert table["views_lost"].tolist() == [0, 1, 2, 3]


def test_other_kinds_of_thresholds():
    assert trial_table(COUNTS, SCORES, "relative_threshold", (0.5, 0.6))["classes"].tolist() == [2, 1]
    assert trial_table(COUNTS, SCORES, "quantile_threshold", (0.5, 0.6, 0.0))["particles"].tolist() == [100, 150, 100]


@pytest.fixture
def optimiser():
    return GOLDEN / "Class2D/job002/run_it004_optimiser.star"


def test_a_classification_of_relion_is_shown_and_nothing_written_beside_it(optimiser, tmp_path, capsys):
    before = sorted(optimiser.parent.iterdir())
    path = tmp_path / "table.tsv"
    assert try_thresholds.main([str(optimiser), "--thresholds", "0.05,0.5", "--tsv", str(path)]) == 0
    first, heads, *rows = capsys.readouterr().out.splitlines()
    assert first.endswith("400 particles in 5 classes, rank_threshold:")
    assert heads.split("  ")[0] == "threshold"
    assert "views lost" in heads
    assert len(rows) == 2
    table = pd.read_csv(path, sep="\t")
    assert table["particles"].is_monotonic_decreasing
    np.testing.assert_allclose(table["good_kept"] + table["junk_kept"], table["particles"], rtol=1e-4)
    assert sorted(optimiser.parent.iterdir()) == before


def test_what_is_no_classification_is_told(tmp_path, capsys):
    assert try_thresholds.main([str(tmp_path)]) == 1
    assert "no choice and no proposal; has that round been classified?" in capsys.readouterr().err
    assert try_thresholds.main([str(tmp_path / "x.star")]) == 1
    assert "expected a project directory or a run_itNNN_optimiser.star" in capsys.readouterr().err
