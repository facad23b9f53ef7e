import dataclasses

import numpy as np
import pandas as pd
import pytest

from report_records import make_pending, make_round, make_truth
from winnow2d.errors import JobError
from winnow2d.report import tables


def test_classes_come_best_first_and_no_resolution_is_infinite():
    ledger = make_round(1, 60).class_ledger.iloc[[3, 0, 5, 1, 4, 2]]
    ledger = ledger.assign(score=[0.4, 0.9, np.nan, 0.9, 0.4, 0.2], n_particles=[7, 5, 1, 8, 7, 3])
    table = tables.class_table(ledger)
    assert table["class_number"].tolist() == [2, 1, 4, 5, 3, 6]
    assert table["resolution_ang"].iloc[-1] == np.inf
    assert table["is_kept"].tolist() == [True, True, False, False, True, False]


def test_resolution_999_means_none():
    ledger = make_round(1, 60).class_ledger.assign(resolution_ang=[10.0, 999.0, 0.0, 12.0, 13.0, np.nan])
    found = tables.class_table(ledger).set_index("class_number")["resolution_ang"]
    assert np.isinf(found[[2, 3, 6]]).all()
    assert found[4] == 12.0


def test_missing_column_is_named():
    with pytest.raises(JobError, match="no column score"):
        tables.class_table(make_round(1, 60).class_ledger.drop(columns="score"))


def test_flow_counts_particles_in_and_out():
    flow = tables.flow_table([make_round(1, 60), make_round(2, 30)], n_input=60)
    assert flow["n_in"].tolist() == [60, 30]
    assert flow["n_kept"].tolist() == [30, 15]
    assert flow["total_fraction"].tolist() == [0.5, 0.25]
    assert flow["n_classes_kept"].tolist() == [3, 3]


def test_group_defocus_is_the_mean_over_its_particles_and_empty_groups_are_left_out():
    record = make_round(1, 60, n_groups=5)
    record.iteration.particles.group_index[:] = np.arange(60) % 4
    table = tables.group_table(record.iteration)
    assert table["name"].tolist() == [f"mic_{g:03d}.mrc" for g in range(4)]
    first = record.iteration.particles
    expected = 0.5 * (first.defocus_u_ang + first.defocus_v_ang)[first.group_index == 2].mean() / 1e4
    assert table["defocus_um"][2] == pytest.approx(expected)
    assert table["scale"].tolist() == pytest.approx([1.0, 1.1, 1.2, 1.3])


def test_correlation_of_classes():
    images = np.random.default_rng(2).normal(size=(3, 8, 8))
    images[2] = 1.0
    found = tables.class_correlations(images, np.stack([2 * images[0] + 3, -images[1], images[2]]))
    assert found[:2] == pytest.approx([1.0, -1.0])
    assert np.isnan(found[2])


def test_truth_counts_by_name_not_by_row():
    first, truth = make_round(1, 8, n_classes=2), make_truth(8)
    second = first.particle_ledger[first.particle_ledger["kept"]].assign(kept=[True, False, True, False])
    shuffled = truth.iloc[::-1]
    score = tables.truth_score(shuffled, [first.particle_ledger, second])
    # Particles 1, 3, 5, 7 are kept first (7 good of 0-based 0, 2, 4, 6), then 1 and 5; ice is 4 and 8.
    assert score.rounds["good_kept"].tolist() == [4, 2]
    assert score.rounds["junk_kept"].tolist() == [0, 0]
    assert score.rounds["recall"].tolist() == pytest.approx([4 / 6, 2 / 4])
    assert score.rounds["recall_total"].tolist() == pytest.approx([4 / 6, 2 / 6])
    assert score.kinds["kind"].tolist() == ["good", "empty_ice"]
    assert score.kinds["entered"].tolist() == [6, 2]


def test_truth_without_a_particle_is_refused():
    with pytest.raises(JobError, match=r"000008@stack\.mrcs is not in the truth"):
        tables.truth_score(make_truth(7), [make_round(1, 8).particle_ledger])


def test_a_ledger_that_disagrees_with_the_selection_is_told():
    record = make_round(1, 60)
    assert tables.disagreements([record]) == []
    (sentence,) = tables.disagreements([dataclasses.replace(record, n_selected=29)])
    assert "keeps 30 particles" in sentence
    assert "holds 29" in sentence


def test_features_are_the_columns_without_a_place_of_their_own():
    assert tables.extra_features(make_round(1, 60).class_ledger) == ["edge_power"]


def test_no_round_gives_an_empty_flow():
    assert isinstance(tables.flow_table([], 10), pd.DataFrame)
    assert len(tables.flow_table([], 10)) == 0


@pytest.mark.parametrize(
    ("numbers", "labels"),
    [
        ([], []),
        ([1, 2], ["Round 1", "Round 2"]),
        ([1, 11, 21, 2], ["Round 1, part 1", "Round 1, part 2", "Round 1, part 3", "Round 2"]),
        (list(range(1, 12)), [f"Round {number}" for number in range(1, 12)]),
    ],
)
def test_parts_of_the_first_round_are_called_so(numbers, labels):
    assert tables.round_labels(numbers) == labels


def test_a_round_that_waits_has_no_row_in_the_flow():
    rounds = [make_round(1, 60), make_pending(2, 30)]
    assert tables.flow_table(rounds, 60)["label"].tolist() == ["Round 1"]
    assert tables.disagreements(rounds) == []
