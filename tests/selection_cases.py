"""Made-up iterations for tests of selection: class averages drawn from formulas, so that any grid samples the same."""

import dataclasses

import numpy as np

from winnow2d.numerics.shells import shell_means
from winnow2d.records import Changes, Iteration, Model, Particles, Sampling

BOX_ANG = 240.0
DIAMETER_ANG = 160.0


def grid(box_px):
    axis = (np.arange(box_px) - box_px // 2) * (BOX_ANG / box_px)
    return np.meshgrid(axis, axis)


def gaussian(x, y, cx, cy, width):
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))


def disc(x, y, radius=80.0):
    return 0.5 - 0.5 * np.tanh((np.hypot(x, y) - radius) / 8)


def protein(x, y):
    """A compact particle with internal structure."""
    body = gaussian(x, y, 0, 0, 28) - 0.12 * gaussian(x, y, 0, 0, 60)
    domains = [(-25, 5), (20, 20), (5, -25), (28, -12), (-10, 28)]
    return body + sum(0.8 * gaussian(x, y, cx, cy, 9) for cx, cy in domains)


def edge(x, y):
    """Half of the picture bright."""
    return disc(x, y) / (1 + np.exp(-(x + 0.3 * y - 15) / 6))


def specks(x, y):
    """Noise aligned to noise: small grains of both signs all over the mask."""
    rng = np.random.default_rng(3)
    places = rng.uniform(-75, 75, (160, 2))
    signs = rng.choice([-1.0, 1.0], 160)
    return (
        0.15 * disc(x, y) * sum(sign * gaussian(x, y, cx, cy, 5) for sign, (cx, cy) in zip(signs, places, strict=True))
    )


def stripes(x, y):
    """Ice crystal: a wave over the whole mask below a weak particle."""
    return 0.3 * protein(x, y) + 0.25 * disc(x, y) * np.cos(2 * np.pi * (0.8 * x + 0.6 * y) / 14)


PICTURES = (protein, protein, edge, specks)
COUNTS = (60, 45, 20, 30)
# How far each class's data outweigh the prior: level at shell 1 and the frequency (1/A) at which it has fallen to 1.
SPECTRA = ((300.0, 1 / 10), (200.0, 1 / 12), (900.0, 1 / 40), (20.0, 1 / 35))


def make_iteration(box_px=64, pictures=PICTURES, counts=COUNTS, spectra=SPECTRA, copies=1):
    """Return an iteration of len(pictures) classes; every class has its count times `copies` particles."""
    x, y = grid(box_px)
    references = np.array([picture(x, y) for picture in pictures])
    frequency = np.arange(box_px // 2 + 1) / BOX_ANG
    ratio = np.array([level * np.exp(-np.log(level) * frequency / limit) for level, limit in spectra])
    ratio[:, frequency > 1 / 8] = 0.01
    power = np.array([_shell_power(image) for image in references])
    k = len(pictures)
    model = Model(
        pixel_size_ang=BOX_ANG / box_px, references=references, pdf_class=np.array(counts) / max(sum(counts), 1),
        prior_offset_ang=np.zeros((k, 2)), sigma_offset_ang=5.0, sigma2_noise=np.ones((1, box_px // 2 + 1)),
        scale_correction=np.ones(1), norm_correction_average=1.0, tau2_fudge=2.0, tau2=power,
        sigma2_reference=np.ones_like(power), data_vs_prior=ratio, fourier_coverage=np.ones_like(power),
        resolution_shell=10, image_size_px=box_px, accuracy_rotation_deg=np.full(k, 999.0),
        accuracy_offset_ang=np.full(k, 999.0),
    )  # fmt: skip
    particles = _particles(np.repeat(np.arange(k), counts), copies)
    return Iteration(25, 25, model, particles, [], Sampling(12.0, 5.0, 2.0), Changes())


def _shell_power(image):
    box = len(image)
    index = np.fft.fftfreq(box) * box
    shell = np.rint(np.hypot(index[:, None], index[None, :])).astype(int)
    power = np.abs(np.fft.fft2(image) / box**2) ** 2 / 2
    return shell_means(power.ravel(), shell.ravel(), box // 2 + 1)


def _particles(class_index, copies):
    rng = np.random.default_rng(1)
    n = len(class_index)
    sharp = np.where(class_index < 2, 0.8, 0.4)
    columns = dict(
        optics_group=np.zeros(n, dtype=np.int64), group_index=np.zeros(n, dtype=np.int64),
        defocus_u_ang=np.full(n, 1e4), defocus_v_ang=np.full(n, 1e4), defocus_angle_deg=np.zeros(n),
        phase_shift_deg=np.zeros(n), ctf_bfactor_ang2=np.zeros(n), ctf_scale=np.ones(n),
        psi_deg=rng.uniform(-180, 180, n), offset_ang=rng.normal(0, 5, (n, 2)), class_index=class_index,
        norm_correction=rng.normal(1, 0.05, n), log_likelihood=rng.normal(5000, 20, n),
        max_probability=sharp + rng.uniform(-0.1, 0.1, n), n_significant=rng.integers(1, 50, n),
    )  # fmt: skip
    repeated = {name: np.concatenate([column] * copies) for name, column in columns.items()}
    return Particles(group_names=["mic"], **repeated)


def permuted(iteration, order):
    """Return the same iteration with its classes in another order."""
    model = iteration.model
    names = ("references", "pdf_class", "prior_offset_ang", "tau2", "sigma2_reference", "data_vs_prior")
    names += ("fourier_coverage", "accuracy_rotation_deg", "accuracy_offset_ang")
    model = dataclasses.replace(model, **{name: getattr(model, name)[order] for name in names})
    place = np.argsort(order)
    particles = dataclasses.replace(iteration.particles, class_index=place[iteration.particles.class_index])
    return dataclasses.replace(iteration, model=model, particles=particles)


def brightened(iteration, factor):
    """Return the same iteration with averages `factor` times as bright and the powers to match."""
    model = iteration.model
    scaled = dict(references=model.references * factor, tau2=model.tau2 * factor**2)
    scaled |= dict(sigma2_reference=model.sigma2_reference * factor**2)
    return dataclasses.replace(iteration, model=dataclasses.replace(model, **scaled))
