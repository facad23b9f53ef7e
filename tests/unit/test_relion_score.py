"""The scores given to RELION's class ranker: laws of the numbers they rest on, and what the shipped trees say."""

import json

import numpy as np
import pytest

import selection_cases as cases
from winnow2d.selection.relion_columns import relion_columns
from winnow2d.selection.relion_features import relion_features, relion_pictures
from winnow2d.selection.relion_score import LEAST_USEFULNESS, MODEL_FILE, relion_scores, shipped_model, usefulness

N_CLASSES = 12
KINDS = np.arange(N_CLASSES) % len(cases.PICTURES)


def told(brightness=1.0, box_px=64, counts=100.0, resolution=None, order=None):
    """Return what RELION would tell of a job's classes: pictures of the cases, with a little noise that differs."""
    pixel_size_ang = cases.BOX_ANG / box_px
    x, y = cases.grid(box_px)
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.02, (N_CLASSES, 16, 16)).repeat(box_px // 16, axis=1).repeat(box_px // 16, axis=2)
    averages = brightness * (np.stack([cases.PICTURES[kind](x, y) for kind in KINDS]) + noise)
    n = np.full(N_CLASSES, counts) * np.linspace(1, 1.2, N_CLASSES)
    resolution = np.full(N_CLASSES, 12.0) if resolution is None else resolution
    order = np.arange(N_CLASSES) if order is None else order
    numbers = [each[order] for each in (n, resolution, np.full(N_CLASSES, 3.0), np.full(N_CLASSES, 2.0))]
    features = relion_features(averages[order], pixel_size_ang, 160.0, *numbers)
    return features, relion_pictures(averages[order], pixel_size_ang, 160.0)


@pytest.fixture(scope="module")
def columns():
    return relion_columns(*told())


def test_the_model_looks_at_columns_there_are(columns):
    assert set(shipped_model().features) <= set(columns)


def test_columns_are_finite(columns):
    assert all(values.shape == (N_CLASSES,) and np.isfinite(values).all() for values in columns.values())


@pytest.mark.parametrize("brightness", [0.2, 30.0])
def test_grey_scale_does_not_matter(columns, brightness):
    brighter = relion_columns(*told(brightness))
    for name, values in columns.items():
        np.testing.assert_allclose(brighter[name], values, rtol=1e-3, atol=2e-3, err_msg=name)


def test_the_order_of_classes_does_not_matter():
    order = np.random.default_rng(1).permutation(N_CLASSES)
    np.testing.assert_allclose(relion_scores(*told(order=order)), relion_scores(*told())[order], atol=1e-6)


@pytest.mark.parametrize("case", ["one class", "blank classes", "all blank", "not resolved"])
def test_scores_of_odd_jobs_are_numbers(case):
    features, pictures = (array.copy() for array in told())
    if case == "one class":
        features, pictures = features[:1], pictures[:1]
    elif case == "blank classes":
        pictures[2:4] = 0
    elif case == "all blank":
        features, pictures = np.zeros_like(features), np.zeros_like(pictures)
    elif case == "not resolved":  # 999 A
        features, _ = told(resolution=np.full(N_CLASSES, 999.0))
    scores = relion_scores(features, pictures)
    assert scores.shape == (len(features),)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_no_class():
    assert relion_scores(np.zeros((0, 24)), np.zeros((0, 64, 64))).shape == (0,)


def test_usefulness_falls_with_the_square_of_the_resolution():
    resolution = np.array([10.0, 20.0, 5.0, 40.0])
    found = usefulness(np.log(resolution), np.array([0.9, 0.8, 0.1, 0.6]))
    assert found == pytest.approx([1, 0.75 + 0.25 / 4, 1, 0.75 + 0.25 / 16])  # class 3 is no good one
    assert usefulness(np.log(resolution), np.zeros(4))[2] == 1
    assert (found >= LEAST_USEFULNESS).all()


def test_a_good_class_of_any_resolution_passes_relions_threshold():
    """0.5 is RELION's default: the coarsest average passes it where two of three particles are good."""
    assert 0.67 * usefulness(np.log([5.0, 500.0]), np.array([0.9, 0.67]))[1] > 0.5


def test_the_shipped_model_says_how_it_was_made_and_how_well_it_does():
    about = json.loads(MODEL_FILE.read_text(encoding="utf-8"))["about"]
    assert about["sets"] >= 60
    assert about["cross_validated"]["auc"] > 0.92
    assert about["cross_validated"]["calibration_error"] < 0.03
    assert MODEL_FILE.stat().st_size < 500_000
