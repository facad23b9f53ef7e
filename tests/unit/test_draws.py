"""Numbers drawn for single particles depend on seed, iteration and row, and on nothing else."""

import numpy as np

from winnow2d.engine.draws import uniform_draws

N = 20_000
ROWS = np.arange(N)


def test_draws_are_uniform():
    draws = uniform_draws(1, 3, ROWS)
    assert draws.dtype == np.float64
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert ((counts - N / 20) ** 2 / (N / 20)).sum() < 43.8  # chi squared of 19 degrees: one in a thousand
    assert len(np.unique(draws)) == N


def test_neighbours_in_row_iteration_and_seed_know_nothing_of_each_other():
    draws = uniform_draws(1, 3, ROWS)
    others = [draws[1:], uniform_draws(1, 4, ROWS), uniform_draws(2, 3, ROWS), uniform_draws(0, 3, ROWS)]
    for other in others:
        n = len(other)
        assert abs(np.corrcoef(draws[:n], other)[0, 1]) < 4 / np.sqrt(n)
        assert not (draws[:n] == other).any()


def test_draws_do_not_depend_on_how_rows_are_cut_or_ordered(rng):
    draws = uniform_draws(7, 2, ROWS)
    for part in np.array_split(ROWS, 13):
        np.testing.assert_array_equal(uniform_draws(7, 2, part), draws[part])
    order = rng.permutation(N)
    np.testing.assert_array_equal(uniform_draws(7, 2, order), draws[order])
    assert len(uniform_draws(7, 2, ROWS[:0])) == 0


def test_every_seed_has_draws_of_its_own():
    """Small, large and negative ones; a seed is taken modulo 2**64."""
    seeds = [0, 1, 2, 2**31, 2**63, 2**64 - 1]
    firsts = [float(uniform_draws(seed, 1, ROWS[:1])[0]) for seed in seeds]
    assert len(set(firsts)) == len(seeds)
    np.testing.assert_array_equal(uniform_draws(-1, 1, ROWS), uniform_draws(2**64 - 1, 1, ROWS))


def test_draws_stay_what_they_are():
    """A change of these numbers changes every result; computed by hand with Python's whole numbers."""

    def mixed(value):
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    for seed, number, row in ((1, 1, 0), (123, 45, 6789)):
        start = mixed((seed * golden + number) % 2**64)
        expected = (mixed((start + (row + 1) * golden) % 2**64) >> 11) / 2**53
        assert uniform_draws(seed, number, np.array([row]))[0] == expected
