"""Which class averages look like each other, and the views a choice of classes would lose."""

import numpy as np
import pytest

from synthetic import shape_image
from winnow2d.decisions import ClassDecision
from winnow2d.selection.likeness import likeness
from winnow2d.selection.views import (
    RULE,
    effective_views,
    find_views,
    guard_views,
    same_view_level,
    views_lost,
    views_of,
)

BOX, PIXEL_ANG, DIAMETER_ANG = 64, 4.0, 190.0


def picture(shape, psi_deg=0.0, offset_px=(0.0, 0.0), mirrored=False, noise=0.0, seed=1):
    image = shape_image(shape, BOX, psi_deg, offset_px)
    image = image[:, ::-1] if mirrored else image
    return image + noise * np.random.default_rng(seed).normal(size=image.shape)


def like(*pictures):
    return likeness(np.stack(pictures), PIXEL_ANG, DIAMETER_ANG)


@pytest.mark.parametrize(
    "other",
    [dict(psi_deg=137.0), dict(mirrored=True), dict(psi_deg=-40.0, offset_px=(2.3, -3.1), mirrored=True)],
    ids=["turned", "mirrored", "all"],
)
@pytest.mark.parametrize("shape", [0, 1, 3])
def test_an_average_is_like_itself_however_it_lies(shape, other):
    found = like(picture(shape), picture(shape, **other))
    assert found[0, 1] > 0.97
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)


def test_different_averages_are_less_like_each_other_than_noisy_ones_of_one_view():
    noisy = like(picture(0, noise=0.05), picture(0, 77.0, noise=0.05, seed=2))[0, 1]
    assert noisy > 0.85
    different = like(*(picture(shape) for shape in range(4)))
    assert different[np.triu_indices(4, 1)].max() < 0.75


def test_scale_and_level_of_grey_do_not_matter():
    found = like(picture(1), 40 * picture(1, 60.0) + 7)
    assert found[0, 1] > 0.97


def test_what_is_no_picture_is_like_nothing():
    found = like(picture(0), np.full((BOX, BOX), np.nan), np.zeros((BOX, BOX)))
    np.testing.assert_array_equal(found - np.diag([1, 1, 1]), 0)


def test_classes_of_a_view_are_grouped_and_numbered_by_good_particles():
    shapes = [0, 1, 0, 2, 1, 1]
    found = like(*(picture(shape, 30.0 * i, noise=0.05, seed=i) for i, shape in enumerate(shapes)))
    good = np.array([10.0, 50, 10, 5, 50, 0])
    assert views_of(found, good, np.array([True] * 5 + [False]), 0.8).tolist() == [2, 1, 2, 3, 1, 0]


def test_the_level_follows_how_much_classes_of_the_choice_resemble_each_other():
    def level(correlation, n=6):
        return same_view_level(np.full((n, n), correlation) + (1 - correlation) * np.eye(n), np.ones(n, bool))

    assert level(0.83) == pytest.approx(0.73)
    assert (level(0.99), level(0.4), level(0.99, n=2)) == (0.80, 0.60, 0.60)


def test_effective_number_of_views():
    assert effective_views(np.array([1, 2, 3, 3, 0]), np.array([4.0, 4, 2, 2, 99])) == pytest.approx(3)
    assert effective_views(np.array([1, 2]), np.array([1.0, 0])) == pytest.approx(1)
    assert effective_views(np.array([0, 0]), np.array([1.0, 1])) == 0


# Two common views, three classes each, and a rare one; junk is noise that looks like nothing.
SHAPES = (0, 0, 0, 3, 3, 3, 1)
COUNTS = np.array([450, 300, 200, 400, 300, 200, 60, 300])
GOOD_SHARE = np.array([0.95, 0.95, 0.9, 0.95, 0.95, 0.9, 0.7, 0.05])
KEPT = np.array([True, True, True, True, True, False, False, False])


@pytest.fixture(scope="module")
def averages():
    views = [picture(shape, 50.0 * i, mirrored=i % 2 == 1, noise=0.05, seed=i) for i, shape in enumerate(SHAPES)]
    return np.stack([*views, np.random.default_rng(5).normal(size=(BOX, BOX))])


def guard(averages, good_share=GOOD_SHARE, kept=KEPT, counts=COUNTS, **more):
    """Return the views and what is done about those that are lost."""
    share = np.asarray(good_share)
    views = find_views(averages, PIXEL_ANG, DIAMETER_ANG, counts, share)
    return views, guard_views(views, counts, share, np.asarray(kept), **more)


def raised(found):
    """Return the classes that are raised, and the warnings."""
    return [item.class_index for item in found.exceptions], [n.sentence for n in found.notices if n.is_warning]


def changed(values, row, value):
    values = values.copy()
    values[row] = value
    return values


def test_the_only_class_of_a_rare_view_is_raised_and_no_other(averages):
    views, found = guard(averages)
    assert found.exceptions == (ClassDecision(6, True, f"{RULE} (good share 0.700)"),)
    assert [(notice.kind, notice.is_warning) for notice in found.notices] == [("views", False)]
    assert views.view[[0, 1, 2]].tolist() == [views.view[0]] * 3
    assert views.view[[3, 4, 5]].tolist() == [views.view[3]] * 3
    assert len({*views.view[[0, 3, 6, 7]]}) == 4
    assert 2 < found.n_views_kept <= found.n_views_in < 4
    assert len(views_lost(views, COUNTS, GOOD_SHARE, KEPT)) == 1


def test_a_view_that_a_kept_class_shows_is_not_looked_at(averages):
    assert raised(guard(averages, kept=changed(KEPT, 6, True))[1]) == ([], [])
    more = np.concatenate([averages, picture(1, 99.0, noise=0.05, seed=9)[None]])
    found = guard(more, np.append(GOOD_SHARE, 0.8), np.append(KEPT, True), np.append(COUNTS, 40))[1]
    assert raised(found) == ([], [])


def test_of_a_lost_view_the_best_class_is_raised(averages):
    more = np.concatenate([averages, picture(1, 99.0, noise=0.05, seed=9)[None]])
    views, found = guard(more, np.append(GOOD_SHARE, 0.8), np.append(KEPT, False), np.append(COUNTS, 40))
    assert raised(found) == ([8], [])
    assert views.view[8] == views.view[6]


def test_a_doubtful_view_is_reported_and_one_of_junk_is_not(averages):
    found = guard(averages, changed(GOOD_SHARE, 6, 0.45), counts=changed(COUNTS, 6, 90))[1]
    classes, (warning,) = raised(found)
    assert classes == []
    assert "class 7 with 90 particles, of which about 40 may be good (2.3% of all good ones)" in warning
    assert raised(guard(averages, changed(GOOD_SHARE, 6, 0.2))[1]) == ([], [])
    # less than 2 % of all good ones nobody need hear of
    small = guard(averages, changed(GOOD_SHARE, 6, 0.45), counts=changed(COUNTS, 6, 60))[1]
    assert raised(small) == ([], [])
    assert [notice.kind for notice in small.notices] == ["view_lost", "views"]


def test_nothing_is_raised_when_it_is_not_wanted(averages):
    found = guard(averages, raisable=False)[1]
    assert raised(found)[0] == []
    assert len(raised(found)[1]) == 1
    assert found.n_views_kept < found.n_views_in
    assert raised(guard(averages, raisable=np.arange(8) != 6)[1])[0] == []


def test_a_blur_is_reported_whatever_its_good_share(averages):
    blurred = changed(averages, 7, averages[7] + 0.3 * picture(2))  # solvent far from flat
    found = guard(blurred, changed(changed(GOOD_SHARE, 7, 0.6), 6, 0.1))[1]
    assert raised(found)[0] == []
    assert len(raised(found)[1]) == 1


def test_what_is_raised_lowers_the_share_of_good_particles_by_no_more_than_set(averages):
    found = guard(averages, changed(GOOD_SHARE, 6, 0.55), counts=changed(COUNTS, 6, 300))[1]
    assert raised(found)[0] == []
    assert "class 7" in raised(found)[1][0]


def test_few_particles_are_no_view(averages):
    assert raised(guard(averages, counts=changed(COUNTS, 6, 10))[1]) == ([], [])


def test_where_nothing_is_kept_nothing_is_raised(averages):
    found = guard(averages, kept=np.zeros(8, bool))[1]
    assert raised(found) == ([], [])
    assert found.n_views_kept == 0


def test_one_class_or_none_is_enough(averages):
    assert guard(averages[:1], [0.9], [True], np.array([5]))[0].view.tolist() == [1]
    views, found = guard(averages[:2], [0.9, 0.9], [False, False], np.array([0, 0]))
    assert (views.view.tolist(), found.n_views_in) == ([0, 0], 0.0)


def test_order_of_classes_does_not_matter(averages):
    order = np.random.default_rng(2).permutation(8)
    (views, one), (again, other) = (
        guard(averages),
        guard(averages[order], GOOD_SHARE[order], KEPT[order], COUNTS[order]),
    )
    assert [int(order[k]) for k in raised(other)[0]] == raised(one)[0]
    np.testing.assert_array_equal(again.view, views.view[order])
    assert other.n_views_kept == pytest.approx(one.n_views_kept)
