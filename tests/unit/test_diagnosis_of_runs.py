"""Warnings about our own runs on simulated particles: of bad settings, and none of good ones.

Sets and proteins are other ones than those the limits were found on (docs/decisions/0015-run-warnings.md).
"""

import pytest

from simulated_runs import classified, simulated
from winnow2d.selection.diagnosis import diagnose
from winnow2d.selection.features import class_features
from winnow2d.selection.scores import score_classes

DIAMETER_ANG = 140.0
MASK_ANG = 170.0
BASE = dict(
    box=48, pixel_size=4.8, diameter=DIAMETER_ANG, symmetry="D2", seed=31, particles=600, micrographs=12, junk=0.2,
    shift=1.5, snr=0.6,
)  # fmt: skip


@pytest.fixture(scope="module")
def particle_set():
    """Return what most runs classify."""
    return simulated(**BASE)


def warnings_of(iteration, mask_ang):
    share = score_classes(class_features(iteration, mask_ang)).good_share
    return diagnose(iteration, mask_ang, share)


def warnings(particles, mask_ang=MASK_ANG, **options):
    options = {"nr_classes": 8, "nr_iter_em": 12} | options
    return warnings_of(classified(particles, particle_diameter=mask_ang, **options), mask_ang)


@pytest.mark.parametrize("options", [{}, {"tau_fudge": 4.0}, {"do_grad": True, "nr_iter_grad": 50}])
def test_good_settings_are_not_warned_of(particle_set, options):
    assert warnings(particle_set, **options) == []


@pytest.mark.parametrize(("t", "kind"), [(30.0, "noisy_averages"), (0.1, "coarse_averages")])
def test_t_leads_back_to_the_usual(particle_set, t, kind):
    (found,) = warnings(particle_set, tau_fudge=t)
    assert found.kind == kind
    assert found.numbers["suggested_tau_fudge"] == 2
    assert len(found.classes) >= 3


def test_a_mask_of_60_percent_clips(particle_set):
    (found,) = warnings(particle_set, 0.6 * DIAMETER_ANG)
    assert found.kind == "mask_clips"
    assert 0.8 < found.numbers["suggested_particle_diameter"] / DIAMETER_ANG < 1.6


def test_a_mask_of_twice_the_particle_is_too_large():
    (found,) = warnings(simulated(**BASE | {"pixel_size": 6.4}), 2 * DIAMETER_ANG)
    assert found.kind == "mask_too_large"
    assert 0.9 < found.numbers["suggested_particle_diameter"] / DIAMETER_ANG < 1.6


def test_a_mask_that_reaches_neighbours_lets_them_in():
    crowded = simulated(is_crowded=True, **BASE | {"pixel_size": 6.2, "particles": 450})
    (found,) = warnings(crowded, 230.0, nr_classes=6)
    assert found.kind == "neighbours_in_mask"
    assert 0.9 < found.numbers["suggested_particle_diameter"] / DIAMETER_ANG < 1.4


def test_groups_of_six_are_small():
    (found,) = warnings(simulated(**BASE | {"micrographs": 100}))
    assert found.kind == "small_groups"
    assert found.numbers["suggested_nr_groups"] == 15


def test_noise_aligned_to_noise_shows_streaks_and_the_advised_limit_ends_them():
    weak = BASE | {"symmetry": "C1", "seed": 42, "diameter": 120.0, "box": 64, "pixel_size": 3.75, "snr": 0.02}
    particles = simulated(**weak | {"particles": 1500, "junk": 0.0, "micrographs": 30})
    settings = dict(nr_classes=4, tau_fudge=4.0, psi_sampling=3.0, offset_range=2.0, nr_iter_em=20)
    found = warnings(particles, 210.0, **settings)
    assert [one.kind for one in found] == ["streaks"]
    limit = found[0].numbers["suggested_highres_limit"]
    assert limit > 10
    assert "streaks" not in [one.kind for one in warnings(particles, 210.0, highres_limit=limit, **settings)]
