"""One iteration of another program done again: same state before, same search grid, the same state after?"""

from dataclasses import replace

import numpy as np
import pytest

from winnow2d.engine.classify import Classifier
from winnow2d.engine.iteration import iterate
from winnow2d.engine.parallel import one_blas_thread
from winnow2d.engine.schedule import first_resolution_shell
from winnow2d.formats.mrc import ParticleStack
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import read_iteration
from winnow2d.options import Class2DOptions, OwnOptions


def iteration_of(stem, number):
    """Return an iteration; RELION writes an infinite resolution at iteration 0, though it knows the start shell."""
    iteration = read_iteration(f"{stem}_it{number:03d}_optimiser.star")
    if number == 0:
        shell = first_resolution_shell(iteration.model.box_px)
        iteration = replace(iteration, model=replace(iteration.model, resolution_shell=shell))
    return iteration


def options_of(**changes):
    """Return the options of the runs that are replayed."""
    fixed = dict(do_em=True, do_grad=False, nr_iter_em=4, particle_diameter=190.0)
    return Class2DOptions(**(fixed | changes))


def classifier(stem, root, old, options, precision, compatibility="relion"):
    """Return a Classifier at an iteration of RELION."""
    names = list(read_particle_table(f"{stem}_it001_data.star").particles["rlnImageName"])
    boxes = np.array([group.box_px for group in old.optics])
    stack = ParticleStack(names, root=root, box_px=boxes[old.particles.optics_group])
    own = OwnOptions(precision=precision, compatibility=compatibility)
    return Classifier(stack, old.particles, old.optics, options, own, old)


def next_after(run, old, sampling, rows=None):
    """Return the iteration after `old` on the search grid given, from the particles in `rows`."""
    with one_blas_thread():
        return iterate(run, old, sampling, rows=rows)


def batch_of(old, new):
    """Return the rows of another program's mini-batch: those whose log-likelihood changed."""
    return np.flatnonzero(new.particles.log_likelihood != old.particles.log_likelihood)


def psi_difference_deg(ours, theirs):
    """Return the angles between two sets of in-plane angles, (n,)."""
    return np.abs((ours.psi_deg - theirs.psi_deg + 180) % 360 - 180)


def is_same_pose(ours, theirs):
    """Return whether class, angle and offset agree to the digits of the file, (n,)."""
    near = (psi_difference_deg(ours, theirs) < 2e-4) & (np.abs(ours.offset_ang - theirs.offset_ang).max(axis=1) < 2e-4)
    return near & (ours.class_index == theirs.class_index)


def relative_rms(ours, theirs):
    """Return root mean square difference over root mean square, per image, (k,)."""
    return np.sqrt(((ours - theirs) ** 2).mean(axis=(1, 2)) / (theirs**2).mean(axis=(1, 2)))


def compare_particles(ours, theirs):
    """Raise unless the particles of two iterations agree as far as RELION 3.1's files tell."""
    assert is_same_pose(ours, theirs).all()
    np.testing.assert_array_equal(ours.n_significant, theirs.n_significant)
    np.testing.assert_allclose(ours.max_probability, theirs.max_probability, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.norm_correction, theirs.norm_correction, rtol=0, atol=1e-5)


def compare_models(ours, theirs, ctf2=None):
    """Raise unless the models of two iterations agree as far as RELION 3.1's files tell.

    `ctf2` (s,) is the mean CTF**2 by which RELION 5 and we, but not RELION 3.1, multiply the evidence of
    CTF-premultiplied images; the resolution differs with it.
    """
    # measured at most 1.5e-3 for 100 particles: a class of 30 rests on its prior, made of the six digits of a file
    assert relative_rms(ours.references, theirs.references).max() < 3e-3
    np.testing.assert_allclose(ours.sigma2_noise, theirs.sigma2_noise, rtol=1e-5)
    np.testing.assert_allclose(ours.pdf_class, theirs.pdf_class, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.prior_offset_ang, theirs.prior_offset_ang, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.scale_correction, theirs.scale_correction, rtol=0, atol=1e-5)
    assert ours.sigma_offset_ang == pytest.approx(theirs.sigma_offset_ang, abs=1e-4)
    assert ours.norm_correction_average == pytest.approx(theirs.norm_correction_average, abs=1e-5)
    assert ours.image_size_px == theirs.image_size_px
    assert ours.resolution_shell == theirs.resolution_shell or ctf2 is not None
    edge = ours.image_size_px // 2  # beyond it nothing; in this one shell RELION's ring ends elsewhere
    np.testing.assert_allclose(ours.tau2[:, :edge], theirs.tau2[:, :edge], rtol=1e-3)
    evidence = theirs.data_vs_prior if ctf2 is None else theirs.data_vs_prior * ctf2
    np.testing.assert_allclose(ours.data_vs_prior[:, :edge], evidence[:, :edge], rtol=2e-3)
