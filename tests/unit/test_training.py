"""What the class score is made with: cache, labels, measures, and the file against scikit-learn itself."""

import json

import numpy as np
import pandas as pd
import pytest

import selection_cases as cases
from training import cache, examples, measures, sets, simple_rules

KIND = np.array([0, 0, 1, cache.OFF_CENTRE, 0, cache.OFF_CENTRE, 3])


def made_up_table(n=600, seed=1):
    """Return classes whose good share follows from three features, and all columns the fit wants."""
    fit = pytest.importorskip("training.fit")
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, len(fit.FEATURES))), columns=list(fit.FEATURES))
    table["centre_offset"] = rng.integers(0, 3, n) / 10  # ties with thresholds
    total = 2 * table["relative_information"] - 6 * table["centre_offset"] + table["relative_mass"] * table["crowd"]
    table["good_share"], table["judged"] = 1 / (1 + np.exp(-total)), rng.integers(5, 100, n)
    table["seed"], table["job"] = rng.integers(0, 12, n), 0
    return table


def test_particles_far_off_centre_count_as_neither():
    good, junk = cache.class_truth(np.array([0, 0, 0, 1, 2, 2, -1]), KIND, 4)
    assert good.tolist() == [2, 0, 1, 0]
    assert junk.tolist() == [1, 0, 0, 0]
    share = cache.share_of(good, junk)
    assert share[[0, 2]].tolist() == [2 / 3, 1]
    assert np.isnan(share[[1, 3]]).all()


def test_a_cached_job_has_the_same_features(tmp_path):
    iteration = cases.make_iteration()
    n = len(iteration.particles)
    truth = {"kind": np.arange(n) % 2, "row": np.arange(n)}
    facts = {"seed": 7, "stage": 1, "diameter_ang": cases.DIAMETER_ANG}
    cache.write_job(tmp_path / "job_00071.npz", iteration, truth, facts)
    table = examples.read_examples(tmp_path.glob("job_*.npz"))
    assert table["seed"].tolist() == [7] * 4
    assert table["good_share"].round(1).tolist() == [0.5] * 4
    expected = examples.class_features(iteration, cases.DIAMETER_ANG)
    for name in ("relative_mass", "solvent_sd", "alike_best", "likelihood_deviation"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-3, atol=1e-3)


def test_the_file_predicts_what_scikit_learn_does():
    fit = pytest.importorskip("training.fit")
    table = made_up_table()
    model = fit.fit(table, {"max_iter": 40})
    content = fit.content_of(model, {"sets": 1})
    shipped = fit.model_from(json.loads(fit.text_of(content)))
    assert fit.largest_difference(model, shipped, made_up_table(seed=2)) < 1e-5
    assert fit.largest_difference(model, shipped, table) < 1e-5


def test_the_fit_learns_shares_and_is_the_same_each_time():
    fit = pytest.importorskip("training.fit")
    table = made_up_table()
    found = fit.cross_validated(table, {"max_iter": 60})
    assert np.corrcoef(found, table["good_share"])[0, 1] > 0.8
    one, other = (fit.text_of(fit.content_of(fit.fit(table, {"max_iter": 5}), {})) for _ in range(2))
    assert one == other


def test_measures_of_a_perfect_and_of_a_useless_prediction():
    share, weight = np.array([0.9, 0.8, 0.1, 0.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert measures.roc_area(share >= 0.5, share) == 1
    assert measures.roc_area(share >= 0.5, np.full(4, 0.3)) == 0.5
    assert measures.roc_area(share >= 0.5, share, weight) == 1
    assert measures.roc_area(share >= 0.5, -share, weight) == 0
    assert measures.calibration_error(share, share, weight) == 0
    assert measures.calibration_error(share, np.full(4, 0.25), weight) == pytest.approx(0.03)
    assert measures.excess_entropy(share, share, weight) == pytest.approx(0, abs=1e-3)


def test_weighted_roc_area_is_that_of_repeated_rows():
    rng = np.random.default_rng(3)
    found, is_good, weight = rng.integers(0, 5, 40) / 5, rng.random(40) < 0.5, rng.integers(1, 4, 40)
    repeated = measures.roc_area(np.repeat(is_good, weight), np.repeat(found, weight))
    assert measures.roc_area(is_good, found, weight.astype(float)) == pytest.approx(repeated)


def test_the_best_threshold_of_a_simple_rule_parts_good_from_bad():
    table = pd.DataFrame({"good_share": [1.0, 0.9, 0.0, 0.1], "judged": 10, "job": [1, 1, 1, 1]})
    threshold, f1 = simple_rules.best_threshold(table, np.array([0.8, 0.6, 0.4, 0.2]))
    assert 0.4 < threshold <= 0.6
    assert f1 == pytest.approx(2 * 19 / (20 + 20))


@pytest.mark.parametrize("seed", [3, 1003])
def test_a_set_follows_from_its_number_alone_and_has_its_truth(seed):
    plan = sets.draw_plan(seed)
    assert plan == sets.draw_plan(seed) != sets.draw_plan(seed + 1)
    small = sets.dataclasses.replace(
        plan, demo=sets.dataclasses.replace(plan.demo, particles=60, box=32, pixel_size=plan.demo.diameter / 20)
    )
    one, other = sets.simulate(small), sets.simulate(small)
    assert one.images.tobytes() == other.images.tobytes()
    assert len(one.kinds) == len(one.particles) == 60
    assert (one.kinds == "good").sum() == 60 - round(60 * plan.demo.junk)
    part = one.subset(np.array([5, 50]))
    assert (part.read(np.array([1])) == one.images[50]).all()
    assert len(part.particles.group_names) == len(np.unique(part.particles.group_index))
