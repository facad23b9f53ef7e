"""VDAM's schedules: the example of 10,000 particles in 100 iterations, and a run of RELION 5.0.1 (job003)."""

from pathlib import Path

import numpy as np
import pytest

from winnow2d.engine.vdam_schedule import Phases, batch_limits, batch_size, phases, step_size, tau2_fudge
from winnow2d.formats.star import read_star

STEM = Path(__file__).parents[1] / "golden" / "relion5" / "Class2D" / "job003" / "run"
EXAMPLE = dict(n_iterations=100, n_particles=10_000, n_classes=50, limits=batch_limits(10_000))


@pytest.mark.parametrize(
    ("number", "size"),
    [(1, 200), (29, 200), (30, 200), (31, 216), (55, 600), (79, 984), (80, 1000), (99, 1000), (100, 10_000)],
)
def test_batches_of_the_example(number, size):
    assert batch_size(number, **EXAMPLE) == size


def test_particles_visited_in_the_example():
    assert sum(batch_size(number, **EXAMPLE) for number in range(1, 101)) == 65_400


def test_one_class_never_looks_at_all_particles():
    assert batch_size(100, **EXAMPLE | {"n_classes": 1}) == 1000


@pytest.mark.parametrize(
    ("n_particles", "limits"),
    [(400, (200, 1000)), (100_000, (500, 5000)), (1_000_000, (5000, 50_000)), (10_000_000, (10_000, 100_000))],
)
def test_limits_of_the_batch(n_particles, limits):
    assert batch_limits(n_particles) == limits


@pytest.mark.parametrize(
    ("n_iterations", "expected"), [(200, Phases(60, 100, 40)), (12, Phases(3, 7, 2)), (1, Phases(0, 1, 0))]
)
def test_phases(n_iterations, expected):
    assert phases(n_iterations) == expected


def test_classes_are_relocated_strictly_after_the_beginning_of_the_middle_phase():
    part = phases(100)
    assert [number for number in range(1, 101) if part.is_middle(number)] == list(range(31, 80))
    assert [number for number in range(1, 101) if part.is_final(number)] == list(range(80, 101))


def test_overfull_classes_are_split_in_the_first_three_fifths_of_the_middle_phase():
    part = phases(100)
    assert [number for number in range(1, 101) if part.is_splitting(number)] == list(range(31, 60))


def test_first_values():
    assert step_size(1, 100) == pytest.approx(0.9, abs=1e-4)
    assert tau2_fudge(1, 100, 2.0) == pytest.approx(1.0, abs=1e-4)


def test_the_step_falls_and_t_rises_to_their_last_values():
    steps = [step_size(number, 200) for number in range(1, 201)]
    taus = [tau2_fudge(number, 200, 3.0) for number in range(1, 201)]
    assert np.diff(steps).max() < 1e-12
    assert np.diff(taus).min() > -1e-12
    assert (steps[-1], taus[-1]) == pytest.approx((0.3, 3.0))
    # halfway at n_ini + a / 2, with a of 50 and of 25 iterations
    assert step_size(85, 200) == pytest.approx(0.6)
    assert tau2_fudge(72, 200, 3.0) < 2 < tau2_fudge(73, 200, 3.0)


@pytest.mark.parametrize(
    ("number", "step", "tau"),
    [(1, 0.899987, 1.0), (2, 0.899722, 1.000001), (3, 0.894059, 1.009901), (4, 0.793647, 1.990099)],
)
def test_twelve_iterations(number, step, tau):
    assert step_size(number, 12) == pytest.approx(step, abs=5e-7)
    assert tau2_fudge(number, 12, 2.0) == pytest.approx(tau, abs=5e-7)


@pytest.mark.parametrize("number", range(1, 7))
def test_relions_files_tell_the_same(number):
    optimiser = read_star(f"{STEM}_it{number:03d}_optimiser.star")["optimiser_general"].iloc[0]
    model = read_star(f"{STEM}_it{number:03d}_model.star")["model_general"].iloc[0]
    assert step_size(number, 12) == pytest.approx(float(optimiser["rlnGradCurrentStepsize"]), abs=5.1e-7)
    assert tau2_fudge(number, 12, 2.0) == pytest.approx(float(model["rlnTau2FudgeFactor"]), abs=5.1e-7)
    assert batch_size(number, 12, 400, 5, (100, 200)) == int(optimiser["rlnSgdSubsetSize"])


@pytest.mark.parametrize("n_iterations", range(1, 30))
@pytest.mark.parametrize("n_particles", [1, 199, 200, 1000, 4321])
def test_short_runs_and_small_sets(n_iterations, n_particles):
    limits = batch_limits(n_particles)
    sizes = [
        batch_size(number, n_iterations, n_particles, n_classes=3, limits=limits)
        for number in range(1, n_iterations + 1)
    ]
    assert all(1 <= size <= n_particles for size in sizes)
    assert sizes == sorted(sizes)
    assert sizes[-1] == n_particles
    for number in range(1, n_iterations + 1):
        assert 0.3 <= step_size(number, n_iterations) <= 0.9
        assert 1.0 <= tau2_fudge(number, n_iterations, 2.0) <= 2.0
