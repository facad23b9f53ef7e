"""The whole engine with other kernels in place of the compiled loops: plain operations, and those of a GPU."""

from dataclasses import replace

import numpy as np
import pytest

from classified import N_PARTICLES, OPTIONS, classifier
from synthetic import make_particles
from winnow2d.engine.classify import Classifier
from winnow2d.engine.iteration import iterate
from winnow2d.errors import ConfigError
from winnow2d.numerics import arrays, kernels
from winnow2d.numerics.kernels.cuda import launch, trial
from winnow2d.options import OwnOptions
from winnow2d.records import Iteration

N_ITERATIONS = 3


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=N_PARTICLES, box=32, snr=0.3, seed=1)


def own(precision, device="cpu", compatibility="none"):
    return OwnOptions(random_seed=7, precision=precision, device=device, compatibility=compatibility)


def after(particles, options, n_iterations=N_ITERATIONS, **changes) -> Iteration:
    """Return the iteration after a few."""
    started = classifier(particles, own=options, **changes)
    for _ in range(n_iterations):
        started.update()
    return started.iteration


def relative(ours, theirs):
    """Return the largest difference over the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.fixture(
    params=["plain", *(pytest.param(name, marks=pytest.mark.gpu) for name in ("plain, gpu", "cuda, gpu"))],
)
def device(request, monkeypatch):
    """Return the option that runs these kernels: on numpy plain operations take the place of the compiled loops."""
    name, _, gpu = request.param.partition(", ")
    monkeypatch.setitem(kernels.KERNELS, "cupy" if gpu else "numpy", getattr(kernels, name))
    return "gpu" if gpu else "cpu"


@pytest.mark.parametrize(
    "changes",
    [{}, dict(psi_sampling=9.0), dict(do_zero_mask=False), dict(allow_coarser=True)],
    ids=["two-fold", "odd number of angles", "noise outside the mask", "coarser"],
)
def test_double_precision_agrees_to_rounding(particles, monkeypatch, device, changes):
    with monkeypatch.context() as usual:
        usual.setitem(kernels.KERNELS, "numpy", kernels.loops)
        theirs = after(particles, own("double"), **changes)
    assert_same(after(particles, own("double", device), **changes), theirs)


def assert_same(ours, theirs):
    a, b = ours.particles, theirs.particles
    # the references are kept in single precision between iterations: 6e-8 grow into what is allowed here
    np.testing.assert_array_equal(a.class_index, b.class_index)
    np.testing.assert_allclose(a.psi_deg, b.psi_deg, atol=1e-6)
    np.testing.assert_allclose(a.offset_ang, b.offset_ang, atol=1e-6)
    np.testing.assert_allclose(a.max_probability, b.max_probability, atol=1e-4)
    np.testing.assert_allclose(a.norm_correction, b.norm_correction, rtol=1e-5)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-6)
    for name in ("references", "sigma2_noise", "tau2", "data_vs_prior", "pdf_class"):
        assert relative(getattr(ours.model, name), getattr(theirs.model, name)) < 1e-4, name
    assert ours.sampling == theirs.sampling


@pytest.mark.parametrize(
    "changes",
    [{}, dict(psi_sampling=9.0), dict(do_em=False, do_grad=True, nr_iter_grad=N_ITERATIONS)],
    ids=["two-fold", "odd number of angles", "VDAM"],
)
def test_the_sources_for_a_gpu_classify_as_the_loops_do(particles, monkeypatch, host_modules, changes):
    """Run as C++ on the CPU, thread by thread; none of them may give its work to its plain twin."""
    theirs = after(particles, own("double"), 2, **changes)
    monkeypatch.setitem(kernels.KERNELS, "numpy", kernels.cuda)
    monkeypatch.setattr(launch, "module_of", host_modules)
    monkeypatch.setattr(trial, "is_good", lambda function, xp: True)
    assert_same(after(particles, own("double"), 2, **changes), theirs)


@pytest.mark.parametrize("compatibility", ["none", "relion"])
def test_single_precision_agrees_for_almost_every_particle(particles, monkeypatch, device, compatibility):
    with monkeypatch.context() as usual:
        usual.setitem(kernels.KERNELS, "numpy", kernels.loops)
        theirs = after(particles, own("single", compatibility=compatibility))
    ours = after(particles, own("single", device, compatibility))
    a, b = ours.particles, theirs.particles
    assert (a.class_index == b.class_index).mean() > 0.99
    assert (np.abs(a.psi_deg - b.psi_deg) < 1e-3).mean() > 0.98
    assert np.median(np.abs(a.max_probability - b.max_probability)) < 1e-3
    assert relative(ours.model.references, theirs.model.references) < 0.01


def test_a_device_gives_the_same_bytes_again(particles, device):
    once, again = (after(particles, own("single", device)) for _ in range(2))
    assert once.model.references.tobytes() == again.model.references.tobytes()
    assert once.particles.log_likelihood.tobytes() == again.particles.log_likelihood.tobytes()


def test_the_kernels_asked_for_are_what_runs(particles, monkeypatch, device):
    """The comparisons above would notice nothing if both sides were compiled."""
    chosen, called = kernels.KERNELS["cupy" if device == "gpu" else "numpy"], set()

    def noting(name, kernel):
        return lambda *arguments: called.add(name) or kernel(*arguments)

    for name in chosen.__all__:
        monkeypatch.setattr(chosen, name, noting(name, getattr(chosen, name)))
    started = classifier(particles, own=own("single", device))
    started._iteration = replace(started._iteration_zero(particles.references, np.full((1, 17), 1e-3)))
    iterate(started, started.iteration, started.iteration.sampling)
    assert called == set(chosen.__all__) - {"subtract_models"}  # VDAM's


def test_a_gpu_that_is_not_there_is_refused_before_any_work(particles, monkeypatch):
    monkeypatch.setattr(arrays, "gpu_is_usable", lambda: False)
    options = replace(OPTIONS, nr_classes=N_PARTICLES + 1)
    with pytest.raises(ConfigError, match=r"own\.device: gpu.*say cpu or auto") as refused:
        Classifier(particles, particles.particles, particles.optics, options, OwnOptions(device="gpu"))
    assert len(refused.value.problems) == 2
    assert classifier(particles, own=OwnOptions(device="auto")).xp is np
