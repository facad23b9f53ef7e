import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import selection_cases as cases
from winnow2d.selection.features import class_features
from winnow2d.selection.scores import (
    LEAST_USEFULNESS,
    MODEL_FILE,
    MOST_USEFULNESS,
    ClassScores,
    model_from,
    score_classes,
    shipped_model,
    usefulness,
)

STUMP = {
    "features": ["size", "noise"],
    "intercept": 0.5,
    "trees": [
        {"feature": [0, 0, 1, 0, 0], "threshold": [1.0, 0, 2.0, 0, 0], "left": [1, -1, 3, -1, -1],
         "right": [2, -1, 4, -1, -1], "value": [0, -1.0, 0, 2.0, 3.0]},
    ],
}  # fmt: skip


def features_of(iteration):
    return class_features(iteration, cases.DIAMETER_ANG)


def scores_of(iteration):
    return score_classes(features_of(iteration))


def test_a_tree_goes_left_at_its_threshold_and_adds_the_leaf_to_the_log_odds():
    table = pd.DataFrame({"noise": [9.0, 2.0, 2.1], "size": [1.0, 1.1, 5.0]})
    assert model_from(STUMP).log_odds(table).tolist() == [-0.5, 2.5, 3.5]


def test_a_model_without_trees_is_its_intercept():
    model = model_from(STUMP | {"trees": []})
    assert model.log_odds(pd.DataFrame({"size": [1.0], "noise": [0.0]})).tolist() == [0.5]


def test_the_shipped_model_looks_at_features_there_are_and_none_that_has_a_unit():
    features, model = features_of(cases.make_iteration()), shipped_model()
    assert set(model.features) <= set(features.columns)
    assert not [name for name in model.features if name.endswith(("_ang", "_deg")) or name == "n_particles"]
    assert len(set(model.features)) == len(model.features)


def test_the_shipped_model_says_how_it_was_made_and_how_well_it_does():
    about = json.loads(MODEL_FILE.read_text())["about"]
    assert about["sets"] > 80
    assert about["cross_validated"]["calibration_error_by_particles"] < 0.05
    assert MODEL_FILE.stat().st_size < 200_000


def test_a_particle_scores_well_and_edges_and_noise_do_not():
    scores = scores_of(cases.make_iteration())
    assert (scores.score[:2] > 0.5).all()
    assert (scores.score[2:] < 0.35).all()
    assert (scores.good_share >= scores.score).all()


def test_a_job_in_which_nothing_was_classified_has_scores():
    iteration = cases.make_iteration()
    iteration.particles.class_index[:] = -1
    assert scores_of(iteration).score.tolist() == [0, 0, 0, 0]


@given(st.permutations(range(4)))
@settings(max_examples=10)
def test_permuted_classes_give_permuted_scores(order):
    iteration = cases.make_iteration()
    plain, mixed = scores_of(iteration).score, scores_of(cases.permuted(iteration, order)).score
    np.testing.assert_allclose(mixed, plain[list(order)], atol=1e-6)


@pytest.mark.parametrize("factor", [2.0**-10, 8.0])  # exact in floating point: no value crosses a tree's threshold
def test_brightness_of_the_job_does_not_matter(factor):
    bright = scores_of(cases.brightened(cases.make_iteration(), factor))
    np.testing.assert_allclose(bright.score, scores_of(cases.make_iteration()).score, atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_the_unit_of_length_does_not_matter(factor):
    iteration = cases.make_iteration()
    model = dataclasses.replace(iteration.model, pixel_size_ang=iteration.model.pixel_size_ang * factor)
    particles = dataclasses.replace(iteration.particles, offset_ang=iteration.particles.offset_ang * factor)
    larger = dataclasses.replace(iteration, model=model, particles=particles)
    found = score_classes(class_features(larger, cases.DIAMETER_ANG * factor))
    np.testing.assert_allclose(found.score, scores_of(iteration).score, atol=1e-6)


@pytest.mark.parametrize("box_px", [48, 96, 128])
def test_box_and_pixel_size_do_not_matter(box_px):
    expected, found = scores_of(cases.make_iteration()), scores_of(cases.make_iteration(box_px=box_px))
    np.testing.assert_allclose(found.good_share, expected.good_share, atol=0.12)


def test_the_number_of_particles_does_not_matter():
    expected, found = scores_of(cases.make_iteration()), scores_of(cases.make_iteration(copies=7))
    np.testing.assert_allclose(found.score, expected.score, atol=1e-6)


def test_the_same_job_gives_the_same_bytes():
    one, other = scores_of(cases.make_iteration()), scores_of(cases.make_iteration())
    assert one.good_share.tobytes() == other.good_share.tobytes()
    assert one.score.tobytes() == other.score.tobytes()


@pytest.mark.parametrize(("name", "worse"), [("edge_signal", 0.9), ("centre_offset", 0.4), ("mass_deviation", 4.0)])
def test_what_speaks_against_a_class_never_raises_its_good_share(name, worse):
    features = features_of(cases.make_iteration())
    spoilt = score_classes(features.assign(**{name: worse})).good_share
    assert (spoilt <= score_classes(features).good_share).all()


@pytest.mark.parametrize(("name", "better"), [("relative_information", 3.0), ("alike_mean", 1.0)])
def test_what_speaks_for_a_class_never_lowers_its_good_share(name, better):
    features = features_of(cases.make_iteration())
    assert (score_classes(features.assign(**{name: better})).good_share >= score_classes(features).good_share).all()


def test_the_finest_average_is_most_useful_and_the_coarsest_still_passes_when_half_good():
    relative = pd.DataFrame({"relative_resolution": np.log([0.9, 1.0, 2.0, 50.0])})
    found = usefulness(relative)
    assert found[:2].tolist() == [MOST_USEFULNESS] * 2
    assert found[2] == pytest.approx(LEAST_USEFULNESS + (MOST_USEFULNESS - LEAST_USEFULNESS) / 4)
    assert 0.5 * found[3] >= 0.35


def test_expected_loss_is_the_share_of_expected_good_particles_not_kept():
    scores = ClassScores(np.array([0.9, 0.5, 0.0]), np.array([0.9, 0.4, 0.0]))
    n = np.array([100, 20, 50])
    assert scores.expected_good(n).tolist() == [90, 10, 0]
    assert scores.expected_loss(n, np.array([True, False, False])) == pytest.approx(0.1)
    assert scores.expected_loss(np.zeros(3), np.zeros(3, bool)) == 0


def test_a_hundred_classes_are_scored_in_less_than_a_second():
    iteration = cases.make_iteration(pictures=cases.PICTURES * 25, counts=cases.COUNTS * 25, spectra=cases.SPECTRA * 25)
    shipped_model()

    def seconds() -> float:
        start = time.process_time()
        scores_of(iteration)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 1  # the first may share its core with another test


def test_scoring_imports_nothing_that_only_training_needs():
    script = "import sys, winnow2d.selection.features, winnow2d.selection.scores as s; s.shipped_model(); " \
             "print([m for m in ('sklearn', 'torch', 'training') if m in sys.modules])"  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": sys.path[0]}
    )
    assert found.stdout.strip() == "[]"


def test_the_score_is_the_good_share_times_the_usefulness_of_the_average():
    features = features_of(cases.make_iteration())
    found = score_classes(features)
    np.testing.assert_allclose(found.score, found.good_share * usefulness(features), atol=2e-6)
    live = found.good_share > 0
    assert (found.score[live] < found.good_share[live]).all()
