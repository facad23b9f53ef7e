import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow2d.errors import ConfigError, StarError
from winnow2d.selection.regroup import number_groups, regroup, regroup_by_size, warn_of_small_groups


def particles_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


def test_worked_example_of_relions_rule():
    # Four groups of 30 particles by hand: in order of scale they are 2, 0, 3, 1; target = 120 // 2 = 60.
    # 2: count 30. 0: count 60, not above 60. 3: 90 > 60, so it opens id 2 with count 0. 1: count 30, id 2.
    names = regroup(np.array([0.9, 1.3, 0.7, 1.1]), particles_of([30] * 4), np.zeros(120, dtype=int), 2)
    assert names[::30] == ["group_1", "group_2", "group_1", "group_2"]


def test_the_group_that_overflows_is_not_counted_in_the_new_one():
    # target = 100 // 5 = 20. 15 -> id 1; 30 > 20 -> id 2, count 0; then 15 -> id 2; 30 > 20 -> id 3 ...
    names = regroup(np.arange(4.0), particles_of([15, 15, 15, 55]), np.zeros(100, dtype=int), 5)
    assert [names[i] for i in (0, 15, 30, 45)] == ["group_1", "group_2", "group_2", "group_3"]


def test_groups_never_cross_optics_groups():
    groups = particles_of([40, 40, 40, 40])
    names = np.array(regroup(np.array([1.0, 1.1, 1.2, 1.3]), groups, groups % 2, 1))
    assert set(names[groups % 2 == 0]).isdisjoint(names[groups % 2 == 1])
    assert sorted(set(names)) == ["group_1", "group_2"]


@pytest.mark.parametrize(("n_groups", "width"), [(9, 1), (10, 2), (99, 2), (1000, 3)])
def test_width_of_the_number_is_relions(n_groups, width):
    names = regroup(np.ones(1), np.zeros(10 * n_groups, dtype=int), np.zeros(10 * n_groups, dtype=int), n_groups)
    assert names[0] == "group_" + "2".zfill(width)  # one old group above the target opens id 2


def test_too_many_groups_are_refused_with_the_largest_number_possible():
    with pytest.raises(ConfigError, match=r"20 groups for 199 particles are 9 particles each.*at most 19"):
        regroup(np.ones(2), particles_of([100, 99]), np.zeros(199, dtype=int), 20)


def test_a_group_outside_the_model_is_an_error():
    with pytest.raises(StarError, match="1 to 3, but the model has the groups 1 to 2"):
        regroup(np.ones(2), particles_of([10, 10, 10]), np.zeros(30, dtype=int), 1)


def test_numbers_follow_names_as_relion_reads_them():
    names = ["group_2", "group_1", "group_2", "group_3"]
    assert number_groups(names).tolist() == [1, 2, 1, 3]
    assert number_groups(names, ["m/c", "m/a", "m/c", "m/b"]).tolist() == [3, 1, 3, 2]


def test_small_groups_are_reported_smallest_first(caplog):
    names = ["a"] * 19 + ["b"] * 20 + ["c"] * 5
    with caplog.at_level(logging.WARNING):
        assert warn_of_small_groups(names) == ["c", "a"]
    assert "2 of 3 groups have fewer than 20 particles (the smallest is c with 5)" in caplog.text


def test_no_warning_for_groups_of_twenty(caplog):
    assert warn_of_small_groups(["a"] * 20 + ["b"] * 40) == []
    assert not caplog.records


def sizes_of(names):
    return dict(zip(*np.unique(names, return_counts=True), strict=True))


def test_groups_of_like_intensity_are_joined_until_there_are_enough():
    # in order of scale: 2 (8 particles), 0 (5), 3 (12), 1 (3); at least 12: 2 + 0 | 3 and the 3 that are left over
    groups = particles_of([5, 3, 8, 12])
    names = np.array(regroup_by_size(np.array([0.9, 1.3, 0.7, 1.1]), groups, np.zeros(28, dtype=int), 12))
    assert set(names[(groups == 2) | (groups == 0)]) == {"group_1"}
    assert set(names[(groups == 3) | (groups == 1)]) == {"group_2"}


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=30).filter(any),
    min_size=st.integers(1, 80),
    seed=st.integers(0, 99),
)
def test_every_group_has_enough_or_is_all_of_its_optics_group(counts, min_size, seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(particles_of(counts))
    optics, scales = rng.integers(0, 3, len(groups)), rng.uniform(0.5, 2, len(counts))
    names = np.array(regroup_by_size(scales, groups, optics, min_size))
    for number in np.unique(optics):
        own = optics == number
        assert set(names[own]).isdisjoint(names[~own])
        assert min(sizes_of(names[own]).values()) >= min(min_size, own.sum())
        ranges = sorted((scales[groups[own & (names == name)]].max(), name) for name in set(names[own]))
        assert [name for _, name in ranges] == sorted(set(names[own]))  # of like intensity, ascending
        assert max(sizes_of(names[own]).values()) < 2 * min_size + max(counts)
    numbers = number_groups(names)
    assert len(set(zip(names, numbers, strict=True))) == len(set(names)) == numbers.max()


def test_an_optics_group_of_too_few_is_one_group_and_reported(caplog):
    groups, optics = particles_of([6, 7, 40]), np.repeat([1, 0], [13, 40])
    with caplog.at_level(logging.WARNING):
        names = regroup_by_size(np.array([1.0, 0.5, 0.8]), groups, optics, 20)
    assert sizes_of(names) == {"group_1": 40, "group_2": 13}
    assert "Optics group 2 has 13 particles, fewer than min_group_size 20: they are one group" in caplog.text


def test_joining_needs_the_scale_of_every_group():
    with pytest.raises(StarError, match="1 to 3, but the model has the groups 1 to 2"):
        regroup_by_size(np.ones(2), particles_of([10, 10, 10]), np.zeros(30, dtype=int), 10)
