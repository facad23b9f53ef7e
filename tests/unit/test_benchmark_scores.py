"""The scorer of the benchmarks on examples whose figures can be counted by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from benchmarks.scores import Truth, read_truth, score, score_file, truth_rows
from winnow2d.errors import StarError
from winnow2d.formats.star import write_star

CLASSES = [1, 1, 1, 2, 2, 2, 1, 0, 3]
IS_GOOD = [True, True, False, True, False, False, True, True, False]
OFF_CENTRE = 6  # the row that is not judged; row 7 has no class


def names(n):
    return [f"{number:06d}@stacks/mic.mrcs" for number in range(1, n + 1)]


def truth_of(is_good, euler_deg=None, unjudged=()):
    n = len(is_good)
    judged = ~np.isin(np.arange(n), unjudged)
    return Truth(names(n), np.array(is_good), judged, np.zeros((n, 3)) if euler_deg is None else np.array(euler_deg))


def table(classes, psi_deg=None):
    psi = np.zeros(len(classes)) if psi_deg is None else psi_deg
    return pd.DataFrame({"rlnImageName": names(len(classes)), "rlnClassNumber": classes, "rlnAnglePsi": psi})


def test_good_and_junk_are_told_apart_as_counted_by_hand():
    # Judged: class 1 good good junk, class 2 good junk junk, class 3 junk. Shares of good mates:
    # good .5 .5 0, junk 1 .5 .5 0; of 12 pairs good wins 1 + 1 + 0 and draws 2 + 2 + 1.
    found = score(table(CLASSES), truth_of(IS_GOOD, unjudged=[OFF_CENTRE]), "C1")
    assert found.auc == pytest.approx((2 + 5 / 2) / 12)
    assert found.purity == pytest.approx((3 * 2 / 3 + 3 * 2 / 3 + 1) / 7)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)


def test_fullness_of_classes_counts_every_particle_of_a_class():
    found = score(table(CLASSES), truth_of(IS_GOOD, unjudged=[OFF_CENTRE]), "C1")
    shares = np.array([4, 3, 1]) / 8
    assert found.effective_classes == pytest.approx(np.prod(shares**-shares))
    assert (found.live_classes, found.largest_share) == (3, 0.5)


def test_equal_classes_count_in_full_and_one_that_eats_all_counts_once():
    even = score(table([1, 2, 3, 4] * 3), truth_of([True, False] * 6), "C1")
    eaten = score(table([2] * 12), truth_of([True, False] * 6), "C1")
    assert (even.effective_classes, eaten.effective_classes) == (pytest.approx(4), pytest.approx(1))
    assert (even.largest_share, eaten.largest_share) == (0.25, 1)


@pytest.mark.parametrize("sense", [1, -1])
def test_psi_is_compared_among_mates_of_one_view_in_either_sense(sense):
    euler_deg = [[30, 40, psi] for psi in (0, 50, 100, 0, 50, 100)]
    psi_deg = sense * np.array([20, 70, 120, 0, 56, 100]) + 7.0  # class 1 as it should be, class 2 once 6 too far
    found = score(table([1, 1, 1, 2, 2, 2], psi_deg), truth_of([True] * 6, euler_deg), "C1")
    assert found.view_deg == pytest.approx(0, abs=1e-4)
    assert found.psi_deg == pytest.approx(0, abs=1e-4)  # the median over pairs: most agree
    psi_deg[5] -= 6 * sense  # class 2 alone: its pairs now disagree by 6, 6 and 12
    worse = score(table([2, 2, 2], psi_deg[3:]), truth_of([True] * 3, euler_deg[3:]), "C1")
    assert worse.psi_deg == pytest.approx(6, abs=1e-4)


@pytest.mark.parametrize(("symmetry", "expected_deg"), [("C1", 80.0), ("C2", 80.0), ("D2", 0.0)])
def test_views_are_alike_up_to_symmetry(symmetry, expected_deg):
    """Tilts of 50 and 130 degrees are mates by the two-fold axis along x only."""
    euler_deg = [[0, 50, 0], [0, 130, 0]]
    found = score(table([1, 1]), truth_of([True] * 2, euler_deg), symmetry)
    assert found.view_deg == pytest.approx(expected_deg, abs=1e-4)


def test_both_layouts_of_a_truth_give_the_same_figures(tmp_path, rng):
    n, kinds = 60, rng.integers(0, 6, 60)
    euler = rng.uniform(0, np.pi, (n, 3))
    psi_deg = np.rad2deg(euler[:, 2]) + rng.normal(0, 10, n)
    particles = table(rng.integers(1, 5, n), psi_deg)
    ours, brought = tmp_path / "ours", tmp_path / "brought"
    (ours / "Extract/job001").mkdir(parents=True)
    brought.mkdir()
    angles = dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), np.rad2deg(euler).T, strict=True))
    kind_names = np.array(["good", "empty_ice", "blob", "aggregate", "other_species", "off_centre"])[kinds]
    own = pd.DataFrame({"rlnImageName": names(n), "winnowKind": kind_names, **angles})
    write_star(ours / "Extract/job001/truth.star", {"truth": own.astype(str)})
    shuffled = particles.sample(frac=1, random_state=1)
    write_star(brought / "particles.star", {"particles": particles[["rlnImageName"]]})
    np.savez(brought / "truth.npz", kind=kinds, euler=euler)
    write_star(tmp_path / "run_data.star", {"particles": shuffled})
    one, other = (score_file(tmp_path / "run_data.star", read_truth(folder), "D2") for folder in (ours, brought))
    assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other))
    assert not np.isnan(dataclasses.astuple(one)).any()


def test_an_image_without_truth_is_named():
    with pytest.raises(StarError, match=r"1 images are not in the truth of this set, e.g. 000003@elsewhere/mic.mrcs"):
        truth_rows([names(2)[0], "000003@elsewhere/mic.mrcs"], truth_of([True] * 2))


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(StarError, match=r"no truth to score against"):
        read_truth(tmp_path)
