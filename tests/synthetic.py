"""Particles with known truth: asymmetric shapes of Gaussian blobs, evaluated exactly at every pose."""

from dataclasses import dataclass

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.aberrations import even_phase, magnified
from winnow2d.numerics.ctf import ctf_values
from winnow2d.records import OpticsGroup, Particles

PIXEL_SIZE_ANG = 4.0
N_GROUPS = 4
# Each shape: blobs (x, y, height) in units of a quarter of the box; none looks like itself when turned or mirrored.
_SHAPES = (
    ((-0.9, 0.0, 1.0), (-0.3, 0.0, 1.0), (0.3, 0.0, 1.0), (0.9, 0.0, 1.0), (0.9, 0.6, 1.2)),
    ((-0.6, -0.6, 1.2), (0.6, -0.6, 0.8), (0.0, 0.7, 1.0), (0.7, 0.5, 0.7)),
    ((0.0, 0.0, 1.8), (0.5, 0.0, 1.0), (0.0, 0.9, 0.6)),
    ((-0.9, -0.3, 1.0), (-0.9, 0.3, 1.0), (0.9, 0.3, 1.4), (0.5, -0.8, 0.8)),
)


@dataclass
class ParticleSet:
    """A stack in memory with its table and its truth; `read` makes it a stack for the Classifier."""

    images: np.ndarray  # (n, y, x) float32
    particles: Particles
    optics: list[OpticsGroup]
    truth: Particles  # class, psi and offset as they were drawn
    references: np.ndarray  # (k, y, x)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.images[indices]


def ctfs_of(particles, rows, optics, plane, n_px, intact_first_peak=False) -> np.ndarray:
    """Return the transfer functions (n, p) of particles as the formula says, one at a time."""
    values = []
    for row in rows:
        group = optics[particles.optics_group[row]]
        length = group.box_px * group.pixel_size_ang
        kx, ky = magnified(plane.kx[:n_px] / length, plane.ky[:n_px] / length, group.magnification)
        names = ("defocus_u_ang", "defocus_v_ang", "defocus_angle_deg")
        defocus = (getattr(particles, name)[row] for name in names)
        lens = group.voltage_kv, group.spherical_aberration_mm, group.amplitude_contrast
        more = particles.phase_shift_deg[row], particles.ctf_bfactor_ang2[row], particles.ctf_scale[row]
        even = even_phase(kx, ky, group.even_zernike)
        values.append(ctf_values(kx, ky, *defocus, *lens, *more, intact_first_peak, even))
    return np.array(values)


def shape_image(k: int, box: int, psi_deg: float = 0.0, offset_px: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return shape k as a particle shows it: X(r) = A(R(psi) (r + o)), (y, x)."""
    y, x = np.mgrid[:box, :box] - box // 2
    angle = np.deg2rad(psi_deg)
    u, v = x + offset_px[0], y + offset_px[1]
    u, v = np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v
    width = box / 16
    blobs = ((a * box / 4, b * box / 4, height) for a, b, height in _SHAPES[k % len(_SHAPES)])
    return sum(height * np.exp(-((u - a) ** 2 + (v - b) ** 2) / (2 * width**2)) for a, b, height in blobs)


def blank_particles(n: int, rng: np.random.Generator | None = None) -> Particles:
    """Return n particles of one optics group that nothing is known of; with `rng` a defocus around 1 micrometre."""
    defocus = np.full(n, 10000.0) if rng is None else rng.uniform(8000, 12000, n)
    return Particles(
        optics_group=np.zeros(n, np.int64),
        group_index=np.arange(n) % N_GROUPS,
        group_names=[f"mic{m}" for m in range(N_GROUPS)],
        defocus_u_ang=defocus,
        defocus_v_ang=defocus - (0 if rng is None else 400),
        defocus_angle_deg=np.zeros(n) if rng is None else rng.uniform(0, 180, n),
        phase_shift_deg=np.zeros(n),
        ctf_bfactor_ang2=np.zeros(n),
        ctf_scale=np.ones(n),
        psi_deg=np.zeros(n),
        offset_ang=np.zeros((n, 2)),
        class_index=np.full(n, -1),
        norm_correction=np.ones(n),
        log_likelihood=np.zeros(n),
        max_probability=np.zeros(n),
        n_significant=np.zeros(n, np.int64),
    )


def one_optics_group(box: int) -> OpticsGroup:
    """Return the optics group of the synthetic particles."""
    return OpticsGroup("one", 300.0, 2.7, 0.1, PIXEL_SIZE_ANG, box)


def make_particles(k: int, n: int, box: int, snr: float, seed: int) -> ParticleSet:
    """Return n particles of k shapes with random angle, offset and CTF, and white noise of variance 1.

    `snr` is the mean power of the signal over that of the noise, both over the whole box.
    """
    rng = np.random.default_rng(seed)
    particles, truth = blank_particles(n, rng), blank_particles(n)
    truth.class_index = rng.permutation(np.arange(n) % k)
    truth.psi_deg = rng.uniform(-180, 180, n)
    truth.offset_ang = rng.normal(0, 1.0, (n, 2)) * PIXEL_SIZE_ANG
    optics = one_optics_group(box)
    drawn = zip(truth.class_index, truth.psi_deg, truth.offset_ang / PIXEL_SIZE_ANG, strict=True)
    clean = np.stack([shape_image(*(c, box, psi, tuple(offset))) for c, psi, offset in drawn])
    f = np.meshgrid(np.fft.rfftfreq(box, PIXEL_SIZE_ANG), np.fft.fftfreq(box, PIXEL_SIZE_ANG))
    ctf = ctf_values(
        f[0].ravel(), f[1].ravel(), particles.defocus_u_ang[:, None], particles.defocus_v_ang[:, None],
        particles.defocus_angle_deg[:, None], optics.voltage_kv, optics.spherical_aberration_mm,
        optics.amplitude_contrast,
    ).reshape(n, box, -1)  # fmt: skip
    seen = fourier.inverse(fourier.forward(clean) * ctf, box)
    factor = np.sqrt(snr / (seen**2).mean())
    images = factor * seen + rng.normal(size=seen.shape)
    references = factor * np.stack([shape_image(c, box) for c in range(k)])
    return ParticleSet(images.astype(np.float32), particles, [optics], truth, references)


def purity(found: np.ndarray, true: np.ndarray) -> float:
    """Return the fraction of particles whose true class is the commonest one of the class they were put into."""
    return sum(np.bincount(true[found == k]).max() for k in np.unique(found)) / len(true)
