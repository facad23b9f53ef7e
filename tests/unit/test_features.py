import dataclasses

import numpy as np
import pytest

import selection_cases as cases
from winnow2d.selection.features import class_features, weighted_quantile
from winnow2d.selection.moments import picture_features
from winnow2d.selection.scores import score_classes

D = cases.DIAMETER_ANG


def features_of(iteration):
    return class_features(iteration, D)


def picture_of(picture, box_px=64):
    return picture_features(picture(*cases.grid(box_px)), cases.BOX_ANG / box_px, D)


def test_features_lead_with_counts_and_are_all_finite():
    features = features_of(cases.make_iteration())
    assert list(features.columns[:4]) == ["n_particles", "share", "occupancy", "resolution_ang"]
    assert features["n_particles"].tolist() == list(cases.COUNTS)
    assert features["share"].sum() == pytest.approx(1)
    assert np.isfinite(features.to_numpy(dtype=float)).all()


def test_members_are_averaged_by_class_and_the_unvisited_left_out():
    iteration = cases.make_iteration()
    particles = iteration.particles
    particles.class_index[:5] = -1
    features = features_of(iteration)
    assert features["n_particles"].sum() == sum(cases.COUNTS) - 5
    members = particles.class_index == 3
    assert features["max_probability"][3] == pytest.approx(particles.max_probability[members].mean())
    assert features["offset_spread_ang"][3] == pytest.approx(np.sqrt(particles.offset_ang[members].var(axis=0).mean()))


def test_a_picture_shows_where_its_density_is():
    protein, edge = picture_of(cases.protein), picture_of(cases.edge)
    assert protein["edge_signal"] == 0
    assert edge["edge_signal"] > 0.15
    assert protein["centre_offset"] < 0.05
    assert edge["centre_offset"] > 0.15
    assert protein["protein_mean"] > 0.9
    shifted = picture_of(lambda x, y: cases.protein(x - 30, y))
    assert shifted["centre_offset"] == pytest.approx(30 / D, abs=0.04)


def test_mass_is_the_same_for_every_shape_and_half_for_half_the_particle():
    round_one, long_one, half = (
        picture_of(lambda x, y, w=width, a=amount: a * cases.gaussian(x * w, y / w, 0, 0, 12))["mass"]
        for width, amount in ((1.0, 1.0), (0.7, 1.0), (1.0, 0.5))
    )
    assert long_one == pytest.approx(round_one, rel=0.03)
    assert half == pytest.approx(round_one / 2)


def test_a_lighter_species_weighs_less():
    def lighter(x, y):
        return 0.5 * cases.protein(x, y)

    pictures = (cases.protein, cases.protein, lighter)
    iteration = cases.make_iteration(pictures=pictures, counts=(60, 45, 20), spectra=cases.SPECTRA[:1] * 3)
    features = features_of(iteration)
    np.testing.assert_allclose(features["relative_mass"], [0, 0, np.log(0.5)], atol=1e-6)
    np.testing.assert_allclose(features["relative_contrast"], [0, 0, np.log(0.5)], atol=1e-6)


def test_averages_without_density_leave_mass_out():
    iteration = cases.make_iteration()
    iteration.model.references[:] = -iteration.model.references
    assert features_of(iteration)["mass_deviation"].tolist() == [0.0] * 4


def test_small_grains_do_not_survive_openings_and_large_ones_do():
    fine, coarse = picture_of(cases.specks), picture_of(lambda x, y: cases.gaussian(x, y, 0, 0, 25))
    assert fine["grain_4"] < 0.3
    assert coarse["grain_4"] > 0.9


def test_stripes_are_found_and_noise_has_none():
    noise = np.random.default_rng(0).normal(size=(64, 64)) + 3 * cases.protein(*cases.grid(64))
    assert picture_of(cases.stripes)["stripes"] > 0.15
    assert picture_features(noise, cases.BOX_ANG / 64, D)["stripes"] < 0.05


def test_an_empty_picture_and_an_empty_class_have_finite_features_and_score_0():
    iteration = cases.make_iteration(counts=(60, 0, 20, 30))
    iteration.model.references[1] = 0
    iteration.model.tau2[1] = 0
    iteration.model.data_vs_prior[1] = np.nan
    iteration.model.data_vs_prior[2, 0] = np.inf
    features = features_of(iteration)
    assert np.isfinite(features.to_numpy(dtype=float)).all()
    assert score_classes(features).score[1] == 0
    assert score_classes(features).good_share[1] == 0


def test_accuracies_that_were_never_estimated_are_999():
    iteration = cases.make_iteration()
    iteration = dataclasses.replace(
        iteration, model=dataclasses.replace(iteration.model, accuracy_rotation_deg=np.zeros(0))
    )
    assert features_of(iteration)["accuracy_rotation_deg"].tolist() == [999.0] * 4


def test_weighted_quantile_counts_weights_not_values():
    assert weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([10.0, 1.0, 1.0]), 0.5) == 3.0
    assert weighted_quantile(np.array([3.0, 1.0, 2.0]), np.zeros(3), 0.5) == 2.0
