"""Simulated particles: truth, conventions, transfer function, noise, junk, determinism, maps."""

import dataclasses
import hashlib

import numpy as np
import pytest

from winnow2d.demo_options import DemoOptions
from winnow2d.errors import ConfigError, ImageError
from winnow2d.numerics.ctf import ctf_values
from winnow2d.numerics.grids import radius_map
from winnow2d.records import MicrographCtfs
from winnow2d.simulation import density, junk, noise, protein
from winnow2d.simulation.dataset import Simulation, normalise_background
from winnow2d.simulation.folds import random_rotation
from winnow2d.simulation.micrographs import draw_imaging, share_particles
from winnow2d.simulation.projection import Projector, euler_matrices

SMALL = DemoOptions(particles=60, micrographs=3, box=32, pixel_size=7.08, seed=3)
NEARLY_NOISE_FREE = 1e6


@pytest.fixture(scope="module")
def clean():
    """Good particles without noise."""
    return Simulation(dataclasses.replace(SMALL, junk=0.0, snr=NEARLY_NOISE_FREE))


@pytest.fixture(scope="module")
def noisy():
    return list(Simulation(dataclasses.replace(SMALL, particles=400, snr=0.05)).micrographs())


def gaussian(box_px, x, y, z, width=1.5):
    axis = np.arange(box_px) - box_px // 2
    zz, yy, xx = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.exp(-((xx - x) ** 2 + (yy - y) ** 2 + (zz - z) ** 2) / (2 * width**2))


def brightest(image):
    row, column = np.unravel_index(np.argmax(image), image.shape)
    return column - image.shape[1] // 2, row - image.shape[0] // 2


def ctf_on_box(simulation, index, box_px):
    pixel = simulation.options.pixel_size
    ky, kx = np.meshgrid(np.fft.fftfreq(box_px, pixel), np.fft.rfftfreq(box_px, pixel), indexing="ij")
    ctfs = simulation.ctfs
    return ctf_values(
        kx,
        ky,
        ctfs.defocus_u_ang[index],
        ctfs.defocus_v_ang[index],
        ctfs.defocus_angle_deg[index],
        ctfs.voltage_kv,
        ctfs.spherical_aberration_mm,
        ctfs.amplitude_contrast,
    )


def imaged(simulation, index, projection, shift_px):
    """The projection as a twice as wide field would show it: shifted, through the transfer function, cut."""
    box_px = projection.shape[0]
    wide_px = 2 * box_px
    wide = np.zeros((wide_px, wide_px))
    start = box_px // 2
    wide[start : start + box_px, start : start + box_px] = projection
    ky, kx = np.meshgrid(np.fft.fftfreq(wide_px), np.fft.rfftfreq(wide_px), indexing="ij")
    phase = np.exp(-2j * np.pi * (kx * shift_px[0] + ky * shift_px[1]))
    spectrum = np.fft.rfft2(wide) * phase * ctf_on_box(simulation, index, wide_px)
    return np.fft.irfft2(spectrum, s=wide.shape)[start : start + box_px, start : start + box_px]


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


# conventions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("psi", "a", "b"),
    [(0, (6, 0), (0, 4)), (90, (0, -6), (4, 0)), (30, (5.2, -3), (2, 3.46))],
)
def test_psi_turns_features_as_relion_does(psi, a, b):
    """The worked example of RELION's pose signs: a feature u of the reference appears at R(psi)^T u."""
    for feature, place in (((6, 0), a), ((0, 4), b)):
        image = Projector(gaussian(32, *feature, 0)).project(np.array([[0.0, 0.0, psi]]))[0]
        assert np.allclose(brightest(image), np.round(place), atol=0)


def test_tilt_and_rot_bring_the_right_axis_to_the_image():
    """At tilt 90 the viewing direction is (cos rot, sin rot, 0), and z runs along -x for psi = 0."""
    along_z = Projector(gaussian(32, 0, 0, 6)).project(np.array([[0.0, 90.0, 0.0], [0.0, 90.0, 90.0]]))
    assert brightest(along_z[0]) == (-6, 0)
    assert brightest(along_z[1]) == (0, 6)
    along_y = Projector(gaussian(32, 0, 6, 0)).project(np.array([[90.0, 90.0, 0.0]]))[0]
    assert brightest(along_y) == (0, 0)


def test_euler_matrices_are_rotations():
    matrices = euler_matrices(np.random.default_rng(0).uniform(-180, 180, (20, 3)))
    assert np.allclose(matrices @ np.swapaxes(matrices, 1, 2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(matrices), 1)


def test_slices_are_line_integrals():
    """Along the axes of the grid the line integral is a plain sum; elsewhere turning the beads must agree."""
    beads = protein.build_protein("C1", 150.0, np.random.default_rng(5))
    projector = Projector(volume := density.density_of_beads(beads, 48, 4.0))
    upright, sideways = projector.project(np.array([[0.0, 0.0, 0.0], [0.0, 90.0, 0.0]]))
    assert correlation(upright, volume.sum(axis=0)) > 0.99999
    assert np.allclose(upright, volume.sum(axis=0), atol=0.01 * upright.max())
    assert np.allclose(sideways[:, 1:], volume.sum(axis=2).T[:, :0:-1], atol=0.01 * upright.max())
    pose = np.array([[37.0, 64.0, -151.0]])
    turned = density.density_of_beads(beads @ euler_matrices(pose)[0].T, 48, 4.0).sum(axis=0)
    assert correlation(projector.project(pose)[0], turned) > 0.9995


# truth -------------------------------------------------------------------------------------------


def test_truth_reproduces_the_images(clean):
    """The projection at the true pose, shifted by the true shift, through the written CTF, is the image."""
    inside = radius_map(32) < 13
    for micrograph in clean.micrographs():
        projections = clean.project(micrograph.euler_deg)
        for row in range(4):
            shift_px = micrograph.shift_ang[row] / clean.options.pixel_size
            expected = imaged(clean, micrograph.index, projections[row], shift_px)
            assert correlation(expected[inside], micrograph.images[row][inside]) > 0.995
            moved = imaged(clean, micrograph.index, projections[row], -shift_px)
            if np.linalg.norm(shift_px) > 1.5:
                assert correlation(moved[inside], micrograph.images[row][inside]) < 0.9


def test_shifts_have_the_wanted_spread(noisy):
    kinds = np.concatenate([micrograph.kinds for micrograph in noisy])
    shifts = np.concatenate([micrograph.shift_ang for micrograph in noisy])[kinds == "good"]
    assert np.std(shifts) == pytest.approx(SMALL.shift * SMALL.pixel_size, rel=0.1)  # 560 draws: s.d. 3 %


def test_off_centre_particles_are_far_off(noisy):
    kinds = np.concatenate([micrograph.kinds for micrograph in noisy])
    away = np.linalg.norm(np.concatenate([micrograph.shift_ang for micrograph in noisy]), axis=1)
    assert away[kinds == "off_centre"].min() > 0.4 * SMALL.diameter
    assert not away[np.isin(kinds, ["empty_ice", "blob", "carbon_edge", "ice_crystal"])].any()


def test_coordinates_lie_in_the_micrograph_and_apart(noisy):
    for micrograph in noisy:
        assert micrograph.coordinates_px.min() >= SMALL.box / 2
        assert len(np.unique(micrograph.coordinates_px, axis=0)) == len(micrograph.kinds)


# imaging -----------------------------------------------------------------------------------------


def test_power_spectrum_vanishes_at_the_zeros_of_the_ctf():
    options = dataclasses.replace(SMALL, particles=150, micrographs=1, junk=0.0, snr=NEARLY_NOISE_FREE, box=96)
    options = dataclasses.replace(options, pixel_size=3.54, diameter=110.0, shift=0.0, symmetry="C1")
    simulation = Simulation(options)
    images = next(simulation.micrographs()).images
    window = np.hanning(96)[:, None] * np.hanning(96)[None, :]
    power = (np.abs(np.fft.rfft2(images * window)) ** 2).mean(axis=0)
    ctf2 = ctf_on_box(simulation, 0, 96) ** 2
    ky, kx = np.meshgrid(np.fft.fftfreq(96, 3.54), np.fft.rfftfreq(96, 3.54), indexing="ij")
    ring = (np.hypot(kx, ky) > 1 / 40) & (np.hypot(kx, ky) < 1 / 12)
    assert power[ring & (ctf2 < 0.01)].mean() < 0.15 * power[ring & (ctf2 > 0.8)].mean()
    assert correlation(np.log(power[ring]), np.log(ctf2[ring] + 0.02)) > 0.6


def test_noise_keeps_its_variance_and_is_coloured():
    ky, kx = np.meshgrid(np.fft.fftfreq(48, 1 / 48), np.arange(25.0), indexing="ij")
    frequency = np.hypot(kx, ky) / 24
    amplitude = noise.noise_amplitude(frequency, np.ones_like(frequency), 1.3)
    spectra = noise.noise_spectra(200, amplitude, 2.0, np.random.default_rng(0))
    images = np.fft.irfft2(spectra, s=(48, 48), norm="forward")
    assert images.std() == pytest.approx(2.0, rel=0.01)
    power = (np.abs(spectra) ** 2).mean(axis=0)
    assert power[frequency < 0.15].mean() > 1.5 * power[frequency > 0.8].mean()


def test_signal_to_noise_ratio_is_as_defined():
    """Noise variance is what the variance of centred projections without CTF over the box is divided by."""
    simulation = Simulation(dataclasses.replace(SMALL, snr=0.25))
    views = np.random.default_rng(1).uniform([-180, 0, -180], [180, 1, 180], (300, 3))
    views[:, 1] = np.rad2deg(np.arccos(2 * views[:, 1] - 1))
    assert simulation.project(views).var() / simulation.sigma_noise**2 == pytest.approx(0.25, rel=0.05)


def test_particles_are_white(clean):
    images = np.concatenate([micrograph.images for micrograph in clean.micrographs()])
    radius = radius_map(32)
    assert images[:, radius < 8].mean() > images[:, radius > 13].mean()


def test_background_is_level_with_mean_0_and_deviation_1(noisy):
    background = radius_map(32) > 12
    for micrograph in noisy:
        values = micrograph.images[:, background].astype(np.float64)
        assert np.abs(values.mean(axis=1)).max() < 1e-5
        assert np.abs(values.std(axis=1) - 1).max() < 1e-5


def test_ramps_are_taken_off():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(3, 32, 32)).astype(np.float32)
    ramp = 5 + 0.3 * np.arange(32)[None, :] - 0.2 * np.arange(32)[:, None]
    assert np.allclose(normalise_background(images + ramp), normalise_background(images), atol=1e-4)


def test_thick_ice_weakens_particles():
    imaging = draw_imaging(500, np.random.default_rng(0))
    assert 0.05 < imaging.signal_scale.std() / imaging.signal_scale.mean() < 0.3
    assert correlation(imaging.ice_thickness, imaging.signal_scale) < -0.4


def test_particles_are_shared_in_proportion():
    counts = share_particles(10000, np.array([1.0, 3.0]), np.random.default_rng(0))
    assert counts.sum() == 10000
    assert counts[1] == pytest.approx(7500, abs=5 * 43)  # binomial s.d. 43


# junk --------------------------------------------------------------------------------------------


def test_junk_has_its_share_and_every_kind():
    kinds = junk.draw_kinds(2000, 0.3, np.random.default_rng(0))
    names, counts = np.unique(kinds, return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    assert found.pop("good") == 1400
    assert found == {kind: round(600 * share) for kind, share in junk.SHARES.items()}


def test_junk_share_of_an_odd_number_is_rounded():
    kinds = junk.draw_kinds(37, 0.3, np.random.default_rng(0))
    assert len(kinds) == 37
    assert np.sum(kinds != "good") == 11


@pytest.mark.parametrize("kind", ["blob", "carbon_edge", "ice_crystal"])
def test_thick_junk_is_brighter_than_ice(noisy, kind):
    """Contamination stands out from the background far more than any particle at this noise."""
    spread = {"good": [], kind: []}
    for micrograph in noisy:
        for name, image in zip(micrograph.kinds, micrograph.images, strict=True):
            if name in spread:
                spread[name].append(np.ptp(image))
    assert len(spread[kind]) >= 3
    assert np.median(spread[kind]) > np.median(spread["good"])


def test_ice_crystals_have_stripes():
    """One or two sharp peaks hold much of a crystal's power at the spacing of fringes."""
    patch = junk.Patch(96, 64, unit=1.0)
    concentrations = []
    for seed in range(8):
        _, direct = junk.ice_crystal(patch, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft2(direct)) ** 2
        frequency = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(96)[None, :])
        power = np.sort(power[(frequency > 1 / 7) & (frequency < 0.4)])[::-1]
        concentrations.append(power[: len(power) // 50].sum() / power.sum())
    assert np.median(concentrations) > 0.6


def test_broken_particles_miss_a_part():
    whole = density.density_of_beads(protein.build_protein("D2", 150.0, np.random.default_rng(1)), 48, 4.0)
    for seed in range(5):
        rest = density.broken(whole, np.random.default_rng(seed))
        assert 0.25 < rest.sum() / whole.sum() < 0.8


def test_preferred_views_are_few():
    options = dataclasses.replace(SMALL, particles=100, junk=0.0, views=2)
    euler = np.concatenate([micrograph.euler_deg for micrograph in Simulation(options).micrographs()])
    directions = euler_matrices(euler)[:, 2]
    nearest_first = directions @ directions[0]
    assert ((nearest_first > 0.9) | (nearest_first < np.median(nearest_first[nearest_first < 0.9]) + 0.4)).all()
    n_near = np.sum(nearest_first > 0.9)
    assert 10 < n_near < 95  # uniform views would have 5 of 100 within 26 degrees


# proteins and maps -------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", ["C1", "C4", "D2", "D7"])
def test_proteins_have_their_symmetry_and_diameter(symmetry):
    beads = protein.build_protein(symmetry, 170.0, np.random.default_rng(4))
    assert 2 * np.linalg.norm(beads, axis=1).max() == pytest.approx(170.0)
    volume = density.density_of_beads(beads, 48, 4.5)
    for operator in protein.symmetry_operators(symmetry):
        assert correlation(volume, density.density_of_beads(beads @ operator.T, 48, 4.5)) > 0.9999


def test_proteins_of_other_seeds_differ():
    volumes = [
        density.density_of_beads(protein.build_protein("C1", 150.0, np.random.default_rng(seed)), 48, 4.0)
        for seed in (1, 2)
    ]
    assert correlation(*volumes) < 0.9


def test_random_rotations_are_proper():
    rotation = random_rotation(np.random.default_rng(0))
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)


def user_map(box_px, pixel_ang, diameter_ang, centre=(0, 0, 0)):
    beads = protein.build_protein("C1", diameter_ang, np.random.default_rng(9)) + np.array(centre)
    return 0.02 * density.density_of_beads(beads, box_px, pixel_ang)


def test_a_map_is_centred_and_magnified_to_the_diameter():
    small = density.density_of_map(user_map(60, 3.0, 120.0), 3.0, 180.0, 64, 4.0)
    odd = np.pad(user_map(80, 2.5, 120.0, centre=(12, -8, 5)), (0, 1))
    other = density.density_of_map(odd, 2.5, 180.0, 64, 4.0)
    assert correlation(small, other) > 0.97
    inside = np.argwhere(small > 0.3) - 32
    assert 2 * 4.0 * np.linalg.norm(inside, axis=1).max() == pytest.approx(180.0, rel=0.12)


def test_a_map_makes_the_particles_of_a_set():
    values = user_map(40, 4.0, 120.0)
    options = dataclasses.replace(SMALL, junk=0.0, snr=NEARLY_NOISE_FREE, shift=0.0)
    simulation = Simulation(options, values, 4.0)
    assert correlation(simulation.density, density.density_of_map(values, 4.0, 170.0, 32, 7.08)) > 0.9999
    micrograph = next(simulation.micrographs())
    expected = imaged(simulation, micrograph.index, simulation.project(micrograph.euler_deg[:1])[0], (0, 0))
    assert correlation(expected, micrograph.images[0]) > 0.97


@pytest.mark.parametrize("values", [np.ones((4, 4, 5)), np.full((4, 4, 4), np.nan), -np.ones((4, 4, 4))])
def test_useless_maps_are_refused(values):
    with pytest.raises(ImageError, match="map"):
        density.density_of_map(values, 1.0, 10.0, 16, 2.0)


# the set -----------------------------------------------------------------------------------------


def digest(simulation):
    state = hashlib.sha256()
    for micrograph in simulation.micrographs():
        for array in (micrograph.images, micrograph.euler_deg, micrograph.shift_ang, micrograph.coordinates_px):
            state.update(np.ascontiguousarray(array).tobytes())
        state.update("".join(micrograph.kinds).encode())
    return state.hexdigest()


def test_same_seed_same_bytes():
    assert digest(Simulation(SMALL)) == digest(Simulation(SMALL))
    assert digest(Simulation(SMALL)) != digest(Simulation(dataclasses.replace(SMALL, seed=4)))


def test_micrographs_can_be_made_again():
    simulation = Simulation(SMALL)
    assert digest(simulation) == digest(simulation)


def test_given_micrographs_are_used():
    n = 9
    given = MicrographCtfs(
        names=[f"Micrographs/{number}.mrc" for number in range(n)],
        defocus_u_ang=12000.0 + np.arange(n),
        defocus_v_ang=11900.0 + np.arange(n),
        defocus_angle_deg=10.0 * np.arange(n),
        phase_shift_deg=np.zeros(n),
        max_resolution_ang=np.full(n, 4.0),
        figure_of_merit=np.full(n, 0.1),
        n_particles=np.arange(1.0, n + 1),
        voltage_kv=200.0,
        spherical_aberration_mm=2.0,
        amplitude_contrast=0.07,
    )
    simulation = Simulation(dataclasses.replace(SMALL, micrographs=4), ctfs=given)
    assert simulation.optics.voltage_kv == 200.0
    assert len(simulation.ctfs.names) == 4
    rows = [given.names.index(name) for name in simulation.ctfs.names]
    assert rows == sorted(rows)
    assert np.array_equal(simulation.ctfs.defocus_u_ang, given.defocus_u_ang[rows])
    assert {micrograph.name for micrograph in simulation.micrographs()} <= set(simulation.ctfs.names)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"box": 31}, "even"), ({"diameter": 300.0}, "diameter"), ({"symmetry": "I3"}, "symmetry")],
)
def test_impossible_options_are_refused(change, word):
    with pytest.raises(ConfigError, match=word):
        Simulation(dataclasses.replace(SMALL, **change))
