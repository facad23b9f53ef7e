"""A rare view of simulated proteins: 2 % of the good particles, in one small class that the choice left out."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from winnow2d.demo_options import DemoOptions
from winnow2d.selection.views import find_views, guard_views, views_lost
from winnow2d.simulation.dataset import Simulation

PIXEL_ANG, DIAMETER_ANG = 4.72, 170.0  # the diameter of simulated particles
SPREAD_RAD = 0.1  # of the directions within a view
NOISE = 0.15  # of an average's deviation
# three classes of each of two common views, one of the rare one, one of all views mixed, one of noise
COUNTS = np.array([300, 250, 200, 250, 220, 180, 38, 80, 60])
GOOD_SHARE = np.array([0.97] * 6 + [0.75, 0.7, 0.1])
KEPT = np.array([True] * 6 + [False] * 3)
RARE, MIXED = 6, 7


def average(simulation, directions, rng):
    """Return the average of 30 particles seen from about these directions, turned alike, with noise."""
    seen = directions[rng.integers(len(directions), size=30)] + SPREAD_RAD * rng.normal(size=(30, 3))
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    rot, tilt = np.arctan2(seen[:, 1], seen[:, 0]), np.arccos(seen[:, 2].clip(-1, 1))
    psi = np.full(30, rng.uniform(-180, 180)) if len(directions) == 1 else rng.uniform(-180, 180, 30)
    image = simulation.project(np.stack([np.rad2deg(rot), np.rad2deg(tilt), psi], axis=1)).mean(axis=0)
    return image + NOISE * image.std() * smooth_noise(image.shape, rng)


def smooth_noise(shape, rng):
    noise = gaussian_filter(rng.normal(size=shape), 1.2)
    return noise / noise.std()


@pytest.fixture(scope="module", params=[("C1", 1), ("C2", 2), ("D2", 3), ("C4", 4)], ids=lambda p: p[0])
def views(request):
    symmetry, seed = request.param
    simulation = Simulation(DemoOptions(particles=20, symmetry=symmetry, seed=seed, box=48, pixel_size=PIXEL_ANG))
    rng = np.random.default_rng(seed)
    one, two, rare = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    shown = [[one]] * 3 + [[two]] * 3 + [[rare]]
    averages = [average(simulation, np.array(directions), rng) for directions in shown]
    everywhere = rng.normal(size=(30, 3))
    averages.append(average(simulation, everywhere / np.linalg.norm(everywhere, axis=1, keepdims=True), rng))
    averages[MIXED] += 0.6 * averages[MIXED].std() * smooth_noise(averages[MIXED].shape, rng)
    averages.append(smooth_noise(averages[0].shape, rng) * averages[0].std())
    return find_views(np.array(averages), PIXEL_ANG, 1.15 * DIAMETER_ANG, COUNTS, GOOD_SHARE)


def test_the_rare_view_is_kept_and_nothing_else(views):
    found = guard_views(views, COUNTS, GOOD_SHARE, KEPT)
    assert COUNTS[RARE] * GOOD_SHARE[RARE] / (COUNTS * GOOD_SHARE).sum() == pytest.approx(0.02, abs=0.001)
    assert [item.class_index for item in found.exceptions] == [RARE]


def test_classes_of_one_view_are_one(views):
    assert len({*views.view[:3]}) == len({*views.view[3:6]}) == 1
    assert views.view[RARE] not in np.delete(views.view, RARE)


def test_it_is_lost_without_that(views):
    assert views_lost(views, COUNTS, GOOD_SHARE, KEPT)[0].classes[0] == RARE
    found = guard_views(views, COUNTS, changed(GOOD_SHARE, RARE, 0.5), KEPT)
    assert not found.exceptions
    assert any(notice.kind == "view_lost" and f"class {RARE + 1} " in notice.sentence for notice in found.notices)


def changed(values, row, value):
    values = values.copy()
    values[row] = value
    return values
