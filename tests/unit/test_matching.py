"""Partners by place: nearest first, each once, within a distance, in the same micrograph."""

from __future__ import annotations

import numpy as np

from winnow2d.selection.matching import best_match, match_positions

ONE = np.zeros(1, dtype=int)


def test_the_nearest_pair_comes_first_and_nobody_is_taken_twice():
    ours, theirs = np.array([[0.0, 0], [4, 0]]), np.array([[5.0, 0], [100, 0]])
    match = match_positions(ours, theirs, np.zeros(2, int), np.zeros(2, int), 10)
    assert match.partner.tolist() == [-1, 0]
    assert match.distance_ang.tolist() == [np.inf, 1.0]
    second = np.array([[5.0, 0], [-9, 0]])
    assert match_positions(ours, second, np.zeros(2, int), np.zeros(2, int), 10).partner.tolist() == [1, 0]


def test_the_tolerance_is_included_and_micrographs_are_kept_apart():
    ours, theirs = np.array([[0.0, 0]]), np.array([[3.0, 4]])
    assert match_positions(ours, theirs, ONE, ONE, 5.0).partner.tolist() == [0]
    assert match_positions(ours, theirs, ONE, ONE, 4.99).partner.tolist() == [-1]
    assert match_positions(ours, theirs, ONE, ONE + 1, 5.0).partner.tolist() == [-1]
    assert match_positions(ours, theirs, ONE - 1, ONE - 1, 5.0).partner.tolist() == [-1]


def test_particles_shuffled_and_moved_a_little_are_all_found(rng):
    n = 2000
    grid = np.stack(np.meshgrid(np.arange(50), np.arange(40)), axis=-1).reshape(-1, 2) * 30.0
    micrograph, order = rng.integers(0, 7, n), rng.permutation(n)
    moved = (grid + rng.uniform(-5, 5, (n, 2)))[order]
    kept = np.sort(rng.choice(n, 600, replace=False))
    match = match_positions(grid[kept], moved, micrograph[kept], micrograph[order], 10)
    np.testing.assert_array_equal(order[match.partner], kept)


def test_of_two_ways_the_one_with_more_partners_counts_then_the_nearer():
    place = np.array([[0.0, 0], [50, 0]])
    zeros = np.zeros(2, int)
    near, far = (match_positions(place, place + d, zeros, zeros, 10, str(d)) for d in (1.0, 3.0))
    few = match_positions(place, place[:1], zeros, zeros[:1], 10, "few")
    assert best_match([far, near]) is near
    assert best_match([few, far]) is far
