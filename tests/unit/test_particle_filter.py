"""Who is pruned from kept classes and rescued from dropped ones, and that nothing but the particles decides it."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic import blank_particles
from winnow2d.decisions import AUTOMATIC
from winnow2d.selection.particle_filter import (
    INTERCEPT,
    LEAST_MEMBERS,
    WEIGHTS,
    Limits,
    filter_particles,
    good_probability,
    particle_features,
)

K, N = 5, 600
SHARE = np.array([0.95, 0.8, 0.5, 0.2, 0.05])
LIMITS = Limits(0.5, 0.02, 0.6)
BY = K * [AUTOMATIC]


@pytest.fixture
def particles():
    """Return particles with drawn posteriors; each is of the class that holds most of them, but for a few."""
    rng = np.random.default_rng(4)
    found = blank_particles(N, rng)
    classes = rng.permuted(np.tile(np.arange(K), (N, 1)), axis=1)[:, :4].astype(np.int32)
    held = np.sort(rng.dirichlet(np.full(5, 0.4), N)[:, :4], axis=1)[:, ::-1].astype(np.float32)
    return replace(
        found,
        class_index=np.where(rng.random(N) < 0.95, classes[:, 0], classes[:, 1]).astype(np.int64),
        top_classes=classes,
        top_posteriors=held,
        norm_correction=rng.lognormal(0, 0.1, N),
        log_likelihood=rng.normal(0, 30, N),
        max_probability=rng.random(N),
        n_significant=rng.integers(1, 200, N),
        offset_ang=rng.normal(0, 5, (N, 2)),
    )


def changed(particles, **columns):
    return good_probability(replace(particles, **columns), SHARE)


def test_without_posteriors_nothing_is_known_and_nobody_decided_on(particles):
    without = replace(particles, top_classes=None, top_posteriors=None)
    assert good_probability(without, SHARE) is None
    assert filter_particles(without, SHARE, SHARE > 0.3, BY, LIMITS) == ({}, {})


def test_the_table_is_all_that_decides(particles):
    features = particle_features(particles, SHARE)
    assert set(features) == {weight.feature for weight in WEIGHTS}
    total = INTERCEPT + sum(weight.value * features[weight.feature] for weight in WEIGHTS)
    np.testing.assert_allclose(good_probability(particles, SHARE), 1 / (1 + np.exp(-total)))


@pytest.mark.parametrize(
    "columns",
    [
        lambda p: {"norm_correction": 3.7 * p.norm_correction},
        lambda p: {"log_likelihood": 1e4 + 12 * p.log_likelihood},
        lambda p: {"offset_ang": 2.5 * p.offset_ang + [3.0, -8.0]},
        lambda p: {"defocus_u_ang": p.defocus_u_ang + 5000},
    ],
    ids=["intensity", "pixels", "scale and centre", "what it does not look at"],
)
def test_units_do_not_matter(particles, columns):
    np.testing.assert_allclose(
        changed(particles, **columns(particles)), good_probability(particles, SHARE), rtol=1e-6
    )  # fmt: skip


def test_neither_the_order_of_particles_nor_of_classes_matters(particles):
    before = good_probability(particles, SHARE)
    order = np.random.default_rng(1).permutation(N)
    names = [name for name, value in vars(particles).items() if isinstance(value, np.ndarray)]
    shuffled = replace(particles, **{name: getattr(particles, name)[order] for name in names})
    np.testing.assert_allclose(good_probability(shuffled, SHARE), before[order])
    to = np.array([3, 0, 4, 1, 2])
    renamed = replace(particles, class_index=to[particles.class_index], top_classes=to[particles.top_classes])
    share = np.empty(K)
    share[to] = SHARE
    np.testing.assert_allclose(good_probability(renamed, share), before)


def test_better_classes_make_better_particles(particles):
    assert (good_probability(particles, np.clip(SHARE + 0.04, 0, 0.97)) > good_probability(particles, SHARE)).all()
    share = SHARE[particles.class_index]
    assert np.corrcoef(share, good_probability(particles, SHARE))[0, 1] > 0.5


def test_what_is_unusual_in_its_class_is_less_likely_good(particles):
    before = good_probability(particles, SHARE)
    for factor in (2.0, 0.5):
        norm = particles.norm_correction.copy()
        norm[7] *= factor
        assert changed(particles, norm_correction=norm)[7] < before[7]
    offset = particles.offset_ang.copy()
    offset[7] += 60
    assert changed(particles, offset_ang=offset)[7] < before[7]


def test_a_class_too_small_to_compare_says_nothing_of_its_members(particles):
    index = particles.class_index.copy()
    index[index == 4] = 3
    index[: LEAST_MEMBERS - 1] = 4
    features = particle_features(replace(particles, class_index=index), SHARE)
    for name in ("norm", "log_likelihood", "offset"):
        assert not features[name][: LEAST_MEMBERS - 1].any()
        assert features[name][LEAST_MEMBERS:].any()


def test_the_least_likely_go_first_and_no_more_than_are_to_be_lost(particles):
    kept, probability = SHARE > 0.3, np.round(good_probability(particles, SHARE), 6)
    is_kept = kept[particles.class_index]
    found = filter_particles(particles, SHARE, kept, BY, LIMITS)
    pruned = np.array([row for row, decision in found.decisions.items() if not decision.is_kept])
    assert len(pruned) > 10
    assert is_kept[pruned].all()
    assert probability[pruned].sum() <= 0.02 * probability[is_kept].sum()
    stays = np.setdiff1d(np.flatnonzero(is_kept), pruned)
    assert probability[pruned].max() <= probability[stays].min()
    nobody = filter_particles(particles, SHARE, kept, BY, LIMITS._replace(prune_loss=0.0))
    assert all(decision.is_kept for decision in nobody.decisions.values())
    below = filter_particles(particles, SHARE, kept, BY, Limits(0.3, 1.0, 1.0))
    assert set(below.decisions) == set(np.flatnonzero(is_kept & (probability < 0.3)))


def test_those_above_the_limit_are_rescued_and_the_ledger_says_why(particles):
    kept = np.array([True, False, False, False, False])
    found = filter_particles(particles, SHARE, kept, BY, LIMITS)
    rescued = [row for row, decision in found.decisions.items() if decision.is_kept]
    probability = found.numbers["good_posterior"]
    assert set(rescued) == set(np.flatnonzero(~kept[particles.class_index] & (probability > 0.6)))
    assert rescued
    row = rescued[0]
    expected = (
        f"likely to be good: {probability[row]:.3f} > rescue_above 0.6 (in class {particles.class_index[row] + 1})"
    )
    assert found.decisions[row].reason == expected
    assert found.sentence.endswith(f"{len(rescued):,} rescued from others")


def test_classes_a_person_decided_on_stay_whole(particles):
    by = ["Jane Doe", AUTOMATIC, AUTOMATIC, "Jane Doe", "Jane Doe"]
    kept = np.array([False, True, False, True, True])
    found = filter_particles(particles, SHARE, kept, by, Limits(1.0, 1.0, 0.0))
    assert set(particles.class_index[list(found.decisions)]) == {1, 2}


def test_who_belongs_to_no_class_is_not_rescued(particles):
    index = particles.class_index.copy()
    index[:20] = -1
    lost = replace(particles, class_index=index)
    found = filter_particles(lost, SHARE, np.zeros(K, bool), BY, Limits(0.0, 0.0, 0.0))
    assert min(found.decisions) >= 20
    assert not found.numbers["good_posterior"][:20].any()
