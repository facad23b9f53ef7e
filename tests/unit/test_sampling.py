"""The search grid: RELION's counts, steps and perturbation."""

from dataclasses import replace

import numpy as np
import pytest

from winnow2d.engine.sampling import coarser, first_sampling, perturbed, search_grid
from winnow2d.options import Class2DOptions
from winnow2d.records import Sampling

PIXEL = 3.54
FIRST = first_sampling(Class2DOptions(), PIXEL)


def all_angles(grid, fine):
    """Return every angle of the search, those of half a turn included."""
    rows = np.arange(len(grid.fine_psi_deg if fine else grid.coarse_psi_deg))
    if not fine:
        listed = grid.coarse_psi_deg
        return np.concatenate([listed, listed + 180]) if grid.two_fold else listed
    return np.concatenate([grid.psi_deg(rows, turn) for turn in range(2 if grid.two_fold else 1)])


def test_defaults_give_thirty_angles_and_twentyone_shifts():
    """RELION's window: 6 degrees, 5 px, 1 px are the steps after oversampling."""
    grid = search_grid(FIRST, PIXEL)
    assert FIRST.psi_step_deg == 12
    assert FIRST.offset_step_ang == pytest.approx(2 * PIXEL)
    assert FIRST.offset_range_ang == pytest.approx(5 * PIXEL)
    assert len(all_angles(grid, fine=False)) == 30
    assert len(all_angles(grid, fine=True)) == 60
    assert len(grid.coarse_shifts_px) == 21
    assert len(grid.fine_shifts_px) == 84
    assert np.hypot(*grid.coarse_shifts_px.T).max() <= 5


@pytest.mark.parametrize(("step", "n"), [(6.0, 30), (4.0, 45), (5.3, 34), (7.0, 26), (90.0, 2)])
def test_angles_are_evenly_spread(step, n):
    """Rounded up to whole numbers of steps; half of them listed where half a turn is a whole number of steps."""
    grid = search_grid(first_sampling(Class2DOptions(psi_sampling=step), PIXEL), PIXEL)
    assert grid.two_fold == (n % 2 == 0)
    for fine, count in ((False, n), (True, 2 * n)):
        angles = np.sort(all_angles(grid, fine) % 360)
        assert len(angles) == count
        np.testing.assert_allclose(np.diff(angles), 360 / count)


def test_children_lie_a_quarter_step_around_their_parent():
    grid = search_grid(replace(FIRST, perturbation=0.3), PIXEL)
    children = grid.fine_psi_deg.reshape(-1, 2) - grid.coarse_psi_deg[:, None]
    np.testing.assert_allclose(children, np.tile([-3.0, 3.0], (15, 1)))
    around = grid.fine_shifts_px.reshape(-1, 4, 2) - grid.searched_shifts_px[:, None]
    np.testing.assert_allclose(np.abs(around), 0.5)
    np.testing.assert_allclose(around.sum(axis=1), 0, atol=1e-12)
    assert len({tuple(child) for child in np.sign(around[0])}) == 4


def test_the_perturbation_moves_everything_but_the_prior():
    plain, moved = search_grid(FIRST, PIXEL), search_grid(replace(FIRST, perturbation=0.3), PIXEL)
    np.testing.assert_allclose(moved.coarse_psi_deg - plain.coarse_psi_deg, 3.6)
    np.testing.assert_allclose(moved.fine_psi_deg - plain.fine_psi_deg, 3.6)
    np.testing.assert_allclose(moved.searched_shifts_px - plain.searched_shifts_px, 0.6)
    np.testing.assert_allclose(moved.fine_shifts_px - plain.fine_shifts_px, 0.6)
    np.testing.assert_array_equal(moved.coarse_shifts_px, plain.coarse_shifts_px)


def test_written_angles_are_wrapped_before_the_perturbation():
    grid = search_grid(replace(FIRST, perturbation=0.5), PIXEL)
    angles = all_angles(grid, fine=True)
    assert angles.min() > -180
    assert 180 < angles.max() <= 180 + 6


def test_perturbations_walk_by_a_quarter_to_half_and_stay_within_half():
    rng, sampling, steps, values = np.random.default_rng(1), FIRST, [], []
    for _ in range(300):
        after = perturbed(sampling, rng)
        steps.append((after.perturbation - sampling.perturbation) % 1.0)
        values.append(after.perturbation)
        sampling = after
    assert min(steps) >= 0.25
    assert max(steps) <= 0.5
    assert max(steps) - min(steps) > 0.2
    assert -0.5 <= min(values) < -0.4
    assert 0.4 < max(values) <= 0.5


def test_no_range_leaves_one_shift():
    grid = search_grid(first_sampling(Class2DOptions(offset_range=0.0), PIXEL), PIXEL)
    np.testing.assert_array_equal(grid.coarse_shifts_px, [[0, 0]])
    assert len(grid.fine_shifts_px) == 4


def test_coarser_sampling_is_what_relion_takes():
    """RELION 3.1.3 with --allow_coarser_sampling at accuracies of 30.1 degrees and 47.672 A: 45 degrees, 22.42 A."""
    sampling = Sampling(12.0, 23.6, 9.44, original_psi_step_deg=12.0, original_offset_step_ang=9.44)
    wide = coarser(sampling, 30.1, 47.672)
    assert wide.psi_step_deg == 45
    assert wide.offset_step_ang == pytest.approx(22.42)
    assert wide.offset_range_ang == sampling.offset_range_ang
    np.testing.assert_allclose(search_grid(wide, 4.72).coarse_shifts_px[[0, -1]], [[-4.75, 0], [4.75, 0]])


def test_coarser_sampling_is_never_finer_and_needs_an_estimate():
    wide = coarser(coarser(FIRST, 20.0, 9.0), 1.0, 0.5)
    assert (wide.psi_step_deg, wide.offset_step_ang) == (FIRST.psi_step_deg, FIRST.offset_step_ang)
    assert coarser(FIRST, 999.0, 999.0) == FIRST
