"""Classifications of particles from several microscopes: boxes, pixel sizes, aberrations, premultiplied images."""

from dataclasses import replace

import numpy as np
import pytest

from classified import N_PARTICLES, OPTIONS, differences, is_finite
from synthetic import PIXEL_SIZE_ANG, make_particles, purity
from winnow2d.engine.classify import Classifier
from winnow2d.engine.iteration import iterate
from winnow2d.engine.parallel import one_blas_thread
from winnow2d.engine.transfer import Transfer
from winnow2d.numerics import fourier, kernels
from winnow2d.numerics.aberrations import odd_phase
from winnow2d.options import OwnOptions

BOX = 32
BOXES = (BOX, 28, 40)
VDAM = replace(OPTIONS, do_em=False, do_grad=True, nr_iter_grad=6)


class Mixed:
    """Images of several boxes, as a stack for the Classifier: those of one box at a time."""

    def __init__(self, images):
        self.images = images

    def read(self, indices):
        return np.stack([self.images[index] for index in indices])


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=N_PARTICLES, box=BOX, snr=0.3, seed=1)


@pytest.fixture(scope="module")
def mixed(particles):
    """Return stack, particles and optics: every second image as it is, the others cut or with finer pixels."""
    group = np.array([0, 1, 0, 2])[np.arange(N_PARTICLES) % 4]
    images = list(particles.images)
    for row, g in enumerate(group):
        if g == 1:
            images[row] = fourier.crop(images[row], BOXES[1])
        elif g == 2:
            images[row] = finer(images[row], BOXES[2])
    first = particles.optics[0]
    optics = [
        first,
        replace(first, name="cut", box_px=BOXES[1]),
        replace(first, name="finer", box_px=BOXES[2], pixel_size_ang=PIXEL_SIZE_ANG * BOX / BOXES[2]),
    ]
    own = replace(
        particles.particles, optics_group=group, group_index=group, group_names=[group.name for group in optics]
    )
    return Mixed(images), own, optics


def finer(image, box):
    """Return an image of more pixels for the same length, with the same frequencies."""
    half = np.zeros((box, box // 2 + 1), complex)
    spectrum = fourier.forward(image.astype(float))
    n = len(image)
    for row in range(-n // 2 + 1, n // 2):
        half[row, : n // 2] = spectrum[row, : n // 2]
    return fourier.inverse(half, box).astype(np.float32)


def classified(stack, particles, optics, n_iterations, options=OPTIONS, n_threads=1, **own):
    run = Classifier(stack, particles, optics, options, OwnOptions(random_seed=7, **own), n_threads=n_threads)
    for _ in range(n_iterations):
        run.update()
    return run.iteration


def test_particles_of_three_geometries_are_sorted_together(particles, mixed):
    found = classified(*mixed, 12)
    assert purity(found.particles.class_index, particles.truth.class_index) >= 0.9
    assert found.model.box_px == BOX
    assert found.model.pixel_size_ang == PIXEL_SIZE_ANG
    for group in range(3):  # every class takes its share of every geometry
        counts = np.bincount(found.particles.class_index[found.particles.optics_group == group], minlength=3)
        assert counts.min() > 5


def test_offsets_are_angstrom_in_every_geometry(particles, mixed):
    found, truth = classified(*mixed, 12).particles, particles.truth
    for k in range(3):
        mine = found.class_index == k
        psi = np.deg2rad(found.psi_deg[mine])
        cos, sin = np.cos(psi), np.sin(psi)
        design = np.concatenate([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)])
        moved = (found.offset_ang - truth.offset_ang)[mine]
        target = np.concatenate([moved[:, 0], moved[:, 1]])
        centre = np.linalg.lstsq(design, target, rcond=None)[0]
        residual = (design @ centre - target).reshape(2, -1)
        for group in range(3):
            here = found.optics_group[mine] == group
            assert np.sqrt(np.mean(residual[:, here] ** 2)) < 0.75 * PIXEL_SIZE_ANG


@pytest.mark.parametrize("options", [OPTIONS, VDAM], ids=["EM", "VDAM"])
def test_threads_change_no_byte_of_three_geometries(mixed, options):
    one, two = (classified(*mixed, 3, options, n_threads=n) for n in (1, 2))
    assert differences(one, two) == []
    assert is_finite(one.model)


def test_the_noise_of_every_geometry_is_recovered(mixed):
    """White noise has 1 / (2 N**2) per component in a box of N; finer pixels spread it over more of them.

    Compared where there is no signal, with what the mask leaves of it. RELION's count of pixels would miss by
    (28 / 32)**2 in the second group.
    """
    found = classified(*mixed, 4)
    run = Classifier(*mixed, OPTIONS, OwnOptions())
    left = [(geometry.mask**2).mean() for geometry in run.geometries]
    for group, box in enumerate((BOX, BOXES[1], BOX)):
        norm = found.particles.norm_correction[found.particles.optics_group == group].mean()
        images = (norm / found.model.norm_correction_average) ** 2  # the noise is that of normalised images
        outer = found.model.sigma2_noise[group, 10:13] * 2 * box**2 * images
        np.testing.assert_allclose(outer.mean(), left[group], rtol=0.1)


def test_plain_operations_find_the_same_in_three_geometries(mixed, monkeypatch):
    """What runs on a GPU, here on numpy."""
    theirs = classified(*mixed, 3, precision="double")
    monkeypatch.setitem(kernels.KERNELS, "numpy", kernels.plain)
    ours = classified(*mixed, 3, precision="double")
    np.testing.assert_array_equal(ours.particles.class_index, theirs.particles.class_index)
    np.testing.assert_allclose(ours.particles.offset_ang, theirs.particles.offset_ang, atol=1e-6)
    np.testing.assert_allclose(ours.model.references, theirs.model.references, atol=1e-4)
    np.testing.assert_allclose(ours.model.sigma2_noise, theirs.model.sigma2_noise, rtol=1e-5)


def test_noise_instead_of_zeros_outside_the_mask(mixed):
    assert is_finite(classified(*mixed, 2, replace(OPTIONS, do_zero_mask=False)).model)


def test_two_groups_of_one_geometry_are_one(particles):
    """The same state and search: the same bytes, but a noise spectrum per group, whose mean is the one."""
    started = Classifier(particles, particles.particles, particles.optics, OPTIONS, OwnOptions(random_seed=7))
    old = started.update()
    twice = particles.optics * 2
    group = np.arange(N_PARTICLES) % 2
    split = replace(
        old,
        optics=twice,
        particles=replace(old.particles, optics_group=group),
        model=replace(old.model, sigma2_noise=np.tile(old.model.sigma2_noise, (2, 1))),
    )
    other = Classifier(particles, split.particles, twice, OPTIONS, started.own, split)
    assert len(other.geometries) == 1
    with one_blas_thread():
        one, two = iterate(started, old, old.sampling), iterate(other, split, old.sampling)
    names = {"iteration.optics", "iteration.particles.optics_group", "iteration.model.sigma2_noise"}
    assert set(differences(one, two)) == names
    mean = two.model.sigma2_noise.mean(axis=0)
    np.testing.assert_allclose(mean, one.model.sigma2_noise[0], rtol=1e-3)  # 90 particles each, weights 0.999


def test_a_group_that_lost_its_particles_keeps_its_noise(mixed):
    stack, particles, optics = mixed
    without = replace(particles, optics_group=np.where(particles.optics_group == 2, 0, particles.optics_group))
    rows = np.flatnonzero(particles.optics_group != 2)
    without = replace(without, **{
        name: getattr(without, name)[rows]
        for name, value in vars(without).items()
        if isinstance(value, np.ndarray)
    })  # fmt: skip
    found = classified(Mixed([stack.images[row] for row in rows]), without, optics, 2)
    assert is_finite(found.model)
    assert (found.model.sigma2_noise > 0).all()


def test_a_group_of_one_particle_has_noise(particles):
    """Its own image is no mean image to be subtracted."""
    group = (np.arange(N_PARTICLES) == 5).astype(int)
    own = replace(particles.particles, optics_group=group)
    first = classified(particles, own, particles.optics * 2, 0)
    np.testing.assert_allclose(first.model.sigma2_noise[0], classified_noise(particles), rtol=0.02)
    assert 0.3 < np.median(first.model.sigma2_noise[1] / first.model.sigma2_noise[0]) < 3
    assert is_finite(classified(particles, own, particles.optics * 2, 2).model)


def classified_noise(particles):
    return classified(particles, particles.particles, particles.optics, 0).model.sigma2_noise[0]


def test_one_geometry_has_one_view_and_converts_nothing(particles):
    run = Classifier(particles, particles.particles, particles.optics, OPTIONS, OwnOptions())
    assert [geometry.is_models_own for geometry in run.geometries] == [True]
    rows, optics_group = np.arange(5), np.zeros(5, int)
    assert run.transfer.phases(optics_group, run.plane) is None
    assert run.transfer.data_factor(rows, particles.particles, run.transfer.ctf(rows, particles.particles)) is None


def transfer_of(particles, optics, group=None, **options):
    run = Classifier(particles, particles.particles, optics, replace(OPTIONS, **options), OwnOptions())
    own = particles.particles if group is None else replace(particles.particles, optics_group=group)
    made = Transfer(
        optics, run.geometries, run.geometry_of_optics, run.class2d.do_ctf_correction, False, np.dtype(np.float64)
    )
    return made, own


def test_premultiplied_images_are_modelled_by_the_square_and_averaged_as_they_are(particles):
    first = particles.optics[0]
    optics = [first, replace(first, is_ctf_premultiplied=True)]
    group, rows, scale = np.arange(N_PARTICLES) % 2, np.arange(4), np.array([1.0, 0.5, 1.0, 2.0])
    transfer, own = transfer_of(particles, optics, group)
    plain = transfer_of(particles, [first])[0].ctf(rows, particles.particles)
    ctf = transfer.ctf(rows, own)
    np.testing.assert_allclose(ctf[[0, 2]], plain[[0, 2]])
    np.testing.assert_allclose(ctf[[1, 3]], plain[[1, 3]] ** 2)
    factor = transfer.data_factor(rows, own, ctf)
    np.testing.assert_array_equal(factor[[0, 2]], ctf[[0, 2]])
    assert (factor[[1, 3]] == 1).all()
    quirk = transfer.data_factor(rows, own, ctf, scale)
    np.testing.assert_allclose(quirk[[1, 3]], [[2.0], [0.5]] * np.ones_like(ctf[:2]))
    shell = np.arange(17)[np.minimum(np.arange(200) // 12, 16)]
    sums = transfer.ctf2_sums(rows, own, ctf, scale, shell)
    assert not sums[[0, 2]].any()
    for row in (1, 3):
        expected = np.bincount(shell, scale[row] * ctf[row, :200], minlength=17)
        np.testing.assert_allclose(sums[row], expected, rtol=1e-6)


def test_corrected_images_have_no_transfer_function(particles):
    """RELION 5 switches CTF correction off altogether where all groups are of this kind."""
    optics = [particles.optics[0], replace(particles.optics[0], is_ctf_corrected=True, is_ctf_premultiplied=True)]
    transfer, own = transfer_of(particles, optics, np.arange(N_PARTICLES) % 2)
    ctf = transfer.ctf(np.arange(4), own)
    assert (ctf[[1, 3]] == 1).all()
    assert (ctf[[0, 2], 0] < 0.2).all()
    assert transfer.data_factor(np.arange(4), own, ctf) is None
    without, _ = transfer_of(particles, optics, np.arange(N_PARTICLES) % 2, do_ctf_correction=False)
    assert (without.ctf(np.arange(4), own) == 1).all()


def test_a_tilted_beam_is_taken_out_of_the_spectra(particles):
    first = particles.optics[0]
    tilted = replace(first, beam_tilt_mrad=(2.0, -1.0), odd_zernike=(0.5, 0.0, 3.0))
    transfer, _ = transfer_of(particles, [first, tilted])
    plane = Classifier(particles, particles.particles, [first], OPTIONS, OwnOptions()).plane
    phases = transfer.phases(np.array([1, 0]), plane)
    length = BOX * PIXEL_SIZE_ANG
    phase = odd_phase(plane.kx / length, plane.ky / length, tilted.odd_zernike, (2.0, -1.0), 300.0, 2.7)
    np.testing.assert_allclose(phases[0], np.exp(-1j * phase))
    assert (phases[1] == 1).all()
    mirrored = transfer.phases(np.array([1]), plane, 10)[0]
    changed = np.flatnonzero(mirrored != phases[0])
    assert list(zip(plane.kx[changed], plane.ky[changed], strict=True)) == [(0, 10)]


def premultiplied(particle_set, options, **own):
    optics = [replace(particle_set.optics[0], is_ctf_premultiplied=True)]
    return classified(particle_set, particle_set.particles, optics, 2, options, **own)


@pytest.mark.parametrize("options", [OPTIONS, VDAM], ids=["EM", "VDAM"])
def test_premultiplied_images_claim_less_evidence(particles, options):
    """Their weights count noise that the CTF has taken down with the signal."""
    found = premultiplied(particles, options)
    assert is_finite(found.model)
    expected = (
        found.model.tau2
        * found.model.tau2_fudge
        / np.where(found.model.sigma2_reference > 0, found.model.sigma2_reference, np.inf)
    )
    edge = found.model.image_size_px // 2
    ratio = found.model.data_vs_prior[:, 1:edge] / expected[:, 1:edge]
    assert (0 < ratio).all()
    assert (ratio < 1).all()
    np.testing.assert_allclose(ratio, ratio[:1].repeat(3, axis=0), rtol=1e-9)
