"""Where a classification leaves RELION's rules by default, and keeps them where compatibility is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from classified import N_PARTICLES, classifier, run
from synthetic import make_particles
from winnow2d.engine.iteration import iterate
from winnow2d.options import OwnOptions

MODES = {name: OwnOptions(random_seed=7, compatibility=name) for name in ("none", "relion")}
N_CLASSES = 3


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=N_CLASSES, n=N_PARTICLES, box=32, snr=0.3, seed=1)


@pytest.fixture(scope="module")
def early(particles):
    return run(particles, 2)


def twins(iteration):
    """Return an iteration whose first two classes differ in nothing but their fractions, 8 to 1."""
    model = iteration.model
    fields = ("references", "prior_offset_ang", "tau2", "sigma2_reference", "data_vs_prior", "fourier_coverage")
    same = {name: getattr(model, name)[[0, 0, 2]] for name in fields}
    return replace(iteration, model=replace(model, **same, pdf_class=np.array([0.8, 0.1, 0.1])))


@pytest.mark.parametrize(("mode", "ratio"), [("none", 1.0), ("relion", 8.0)])
def test_class_fractions_weigh_poses_in_compatibility_mode_only(particles, early, mode, ratio):
    start = twins(early)
    found = iterate(classifier(particles, iteration=start, own=MODES[mode]), start, start.sampling)
    first, second, _ = found.model.pdf_class
    assert first / second == pytest.approx(ratio, rel=0.15)  # not exact: a border of significance cuts poses off


@pytest.mark.parametrize("do_em", [True, False], ids=["em", "vdam"])
@pytest.mark.parametrize("mode", ["none", "relion"])
def test_significant_coarse_poses_are_at_most_five_per_class_but_in_relions_em(particles, mode, do_em):
    """The first averages are blobs: hundreds of poses are as good as the best."""
    found = run(particles, 1, own=MODES[mode], do_em=do_em, do_grad=not do_em, nr_iter_grad=20)
    seen = found.particles.n_significant[found.particles.n_significant > 0]
    assert len(seen) >= N_PARTICLES / 2
    if mode == "relion" and do_em:
        assert np.median(seen) > 10 * N_CLASSES
    else:
        assert seen.max() == 5 * N_CLASSES
