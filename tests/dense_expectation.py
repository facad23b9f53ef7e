"""A small E-step problem, and the E-step that knows no shortcut: every angle, complex numbers, a sort."""

from dataclasses import dataclass

import numpy as np

from synthetic import shape_image
from winnow2d.engine.expectation import SIGNIFICANT_FRACTION, compare_with, expect
from winnow2d.engine.images import prepare
from winnow2d.engine.projections import project
from winnow2d.engine.sampling import search_grid
from winnow2d.numerics import fourier
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels.backproject import rotate_back_one, rotate_one
from winnow2d.numerics.masks import soft_circle
from winnow2d.numerics.projector import padded_spectra
from winnow2d.numerics.rotation import rotation_table
from winnow2d.records import Sampling

BOX, PIXEL = 16, 4.0
PLANE = half_plane(BOX)
DOUBLE = np.dtype(np.float64)
COARSE_PX, SIZE_PX = 10, 14


@dataclass
class Problem:
    """A few particles and classes, with everything the E-step takes."""

    images: np.ndarray
    references: np.ndarray
    sampling: Sampling
    sigma2: np.ndarray
    data_vs_prior: np.ndarray
    prior_px: np.ndarray
    log_prior: np.ndarray
    ctf: np.ndarray
    scale: np.ndarray
    offset_px: np.ndarray
    max_significant: int = 0

    @property
    def grid(self):
        return search_grid(self.sampling, PIXEL)

    def spectra(self):
        mask = soft_circle(BOX, 5.0, 2.0)
        return prepare(self.images, np.ones(len(self.images)), self.offset_px, mask, PLANE)

    def expected(self, threads=1):
        """Return what the engine makes of it: constants of the iteration, posteriors."""
        projections = project(self.references, self.grid, PLANE, (COARSE_PX, SIZE_PX), DOUBLE, threads)
        compared = compare_with(
            projections, self.grid, PLANE, (COARSE_PX, SIZE_PX, SIZE_PX),
            self.sigma2[None], self.data_vs_prior, self.prior_px, self.max_significant,
        )  # fmt: skip
        groups = np.zeros(len(self.images), int)
        found = expect(compared, self.spectra(), self.ctf, self.scale, groups, self.offset_px, self.log_prior)
        return compared, found


def problem(seed, n_psi, contrast=1.0, n=3, k=2, max_significant=0):
    """Return noisy images of shapes turned by any angle, and references that are not quite theirs."""
    rng = np.random.default_rng(seed)
    sampling = Sampling(360 / n_psi, 2 * PIXEL, 2 * PIXEL, perturbation=rng.uniform(-0.5, 0.5))
    n_t = len(search_grid(sampling, PIXEL).coarse_shifts_px)
    shapes = rng.integers(0, 3, n)
    images = np.stack([shape_image(c, BOX, psi) for c, psi in zip(shapes, rng.uniform(0, 360, n), strict=True)])
    references = np.stack([shape_image(c, BOX) for c in range(k)]) + rng.normal(0, 0.1, (k, BOX, BOX))
    return Problem(
        images=contrast * images + rng.normal(size=images.shape),
        references=contrast * references,
        sampling=sampling,
        sigma2=rng.uniform(0.3, 0.8, PLANE.n_shells) / BOX**2,
        data_vs_prior=rng.uniform(0, 9, (k, PLANE.n_shells)),
        prior_px=rng.normal(0, 1, (k, 2)),
        log_prior=rng.normal(0, 0.5, (n, k, n_t)),
        ctf=rng.uniform(-1, 1, (n, len(PLANE.kx))),
        scale=rng.uniform(0.7, 1.4, n),
        offset_px=rng.integers(-2, 3, (n, 2)),
        max_significant=max_significant,
    )


def significant(log_weights, max_count=0):
    """Return (which weights are significant, how many a sort takes) by RELION's rule."""
    weights = np.exp(log_weights - log_weights.max())
    ordered = np.sort(weights, axis=None)[::-1]
    n = int(np.argmax(np.cumsum(ordered) > SIGNIFICANT_FRACTION * weights.sum())) + 1
    n = min(n, max_count) if max_count else n
    return weights >= ordered[n - 1], n


class Dense:
    """The E-step of one particle with every angle of the circle written out, and complex numbers."""

    def __init__(self, p: Problem, i: int):
        self.p, self.i = p, i
        n_psi = round(360 / p.sampling.psi_step_deg)
        self.step, self.moved = 360 / n_psi, p.sampling.perturbation * 360 / n_psi
        self.coarse_psi = np.arange(n_psi) * self.step
        self.n_px = PLANE.n_within(SIZE_PX / 2)
        self.x = p.spectra().masked[i]
        self.u = p.spectra().unmasked[i]
        self.grids = padded_spectra(p.references, SIZE_PX // 2)
        self._weigh()

    def rotated(self, psi_deg, n_px):
        """Return all references at all angles (k, f, p)."""
        table = rotation_table(PLANE, n_px, np.asarray(psi_deg) + self.moved, DOUBLE)
        re, im = np.empty((2, len(self.grids), *table.sign.shape))
        for k, spectrum in enumerate(self.grids):
            rotate_one(spectrum, table.index, table.fraction, table.sign, re[k], im[k])
        return re + 1j * im

    def scores(self, psi_deg, shifts_px, size_px):
        """Return -q of 4.4 for every class, angle and shift: squared differences over twice the noise."""
        n_px = PLANE.n_within(size_px / 2)
        shifted = self.x[:n_px] * fourier.shift_phases(PLANE.kx[:n_px], PLANE.ky[:n_px], shifts_px, BOX)
        model = self.p.scale[self.i] * self.p.ctf[self.i, :n_px] * self.rotated(psi_deg, n_px)
        difference = np.abs(shifted[None, None] - model[:, :, None]) ** 2 / self.p.sigma2[PLANE.shell[:n_px]]
        return -0.5 * difference[..., 1:].sum(axis=-1)  # the origin is not compared

    def _weigh(self):
        p, grid = self.p, self.p.grid
        log_prior = p.log_prior[self.i]
        coarse = self.scores(self.coarse_psi, grid.searched_shifts_px, COARSE_PX) + log_prior[:, None]
        kept, self.n_significant = significant(coarse, p.max_significant)
        self.fine_psi = (self.coarse_psi[:, None] + self.step * np.array([-0.25, 0.25])).ravel()
        fine = self.scores(self.fine_psi, grid.fine_shifts_px, SIZE_PX) + np.repeat(log_prior, 4, axis=1)[:, None]
        self.fine = np.where(np.repeat(np.repeat(kept, 2, axis=1), 4, axis=2), fine, -np.inf)
        self.top = self.fine.max()
        weights = np.exp(self.fine - self.top)
        self.total = weights.sum()
        self.class_posterior = weights.sum(axis=(1, 2)) / self.total
        keep, _ = significant(self.fine)
        self.posterior = np.where(keep, weights / self.total, 0)  # (k, f, 4 t)
        self.best = np.unravel_index(self.fine.argmax(), self.fine.shape)

    def residual(self):
        """Return the posterior mean of |X_t - c C A|^2 by shell; beyond the window the image's own power."""
        p, n_px = self.p, self.n_px
        phases = fourier.shift_phases(PLANE.kx, PLANE.ky, p.grid.fine_shifts_px, BOX)
        model = np.zeros((*self.posterior.shape[:2], len(PLANE.kx)), complex)
        model[..., :n_px] = p.scale[self.i] * p.ctf[self.i, :n_px] * self.rotated(self.fine_psi, n_px)
        difference = np.abs((self.x * phases)[None, None] - model[:, :, None]) ** 2
        seen = (difference * self.posterior[..., None]).sum(axis=(0, 1, 2))
        outside = (PLANE.shell > SIZE_PX // 2) | np.isin(np.arange(len(PLANE.kx)), PLANE.outside_window(SIZE_PX))
        seen[outside] = np.where(PLANE.shell > SIZE_PX // 2, np.abs(self.x) ** 2, 0)[outside]
        return np.bincount(PLANE.shell, seen, minlength=PLANE.n_shells)

    def log_likelihood(self):
        """Return ln W less what all poses share: noise beyond the window, and the volume of the noise."""
        half = SIZE_PX // 2
        inside = (PLANE.shell <= half) & (np.arange(len(PLANE.kx)) > 0)
        inside[PLANE.outside_window(SIZE_PX)] = False
        beyond = inside.copy()
        beyond[: self.n_px] = False  # in the last shell, but outside the circle: no reference there
        rest = 0.5 * (np.abs(self.x) ** 2 / self.p.sigma2[PLANE.shell])[beyond].sum()
        rest += 0.5 * (np.abs(self.x) ** 2)[PLANE.shell > half].sum()
        volume = np.log(2 * np.pi * self.p.sigma2[PLANE.shell[inside]]).sum()
        return self.top + np.log(self.total) - rest - volume

    def class_sums(self):
        """Return weight, offset and squared distance to the prior of each class, (k, 4)."""
        per_shift = self.posterior.sum(axis=1)
        position = self.p.offset_px[self.i] + self.p.grid.fine_shifts_px
        distance2 = ((position[None] - self.p.prior_px[:, None]) ** 2).sum(axis=-1)
        return np.column_stack([per_shift.sum(axis=1), per_shift @ position, (per_shift * distance2).sum(axis=1)])

    def scale_sums(self):
        """Return signal times reference, and reference squared, where the class has data (4.8)."""
        p, n_px = self.p, self.n_px
        shifted = self.x[:n_px] * fourier.shift_phases(PLANE.kx[:n_px], PLANE.ky[:n_px], p.grid.fine_shifts_px, BOX)
        model = p.ctf[self.i, :n_px] * self.rotated(self.fine_psi, n_px)
        counts = (p.data_vs_prior[:, PLANE.shell[:n_px]] > 3)[:, None, None]
        cross = ((np.conj(model)[:, :, None] * shifted).real * counts).sum(axis=-1)
        square = ((np.abs(model) ** 2)[:, :, None] * counts).sum(axis=-1)
        return np.array([(self.posterior * cross).sum(), (self.posterior * square).sum()])

    def add_to(self, data, weight):
        """Add the particle to the padded grids of all classes, angle by angle (5.1)."""
        p, n_px = self.p, self.n_px
        phases = fourier.shift_phases(PLANE.kx[:n_px], PLANE.ky[:n_px], p.grid.fine_shifts_px, BOX)
        scaled = p.scale[self.i] * p.ctf[self.i, :n_px]
        value = scaled / p.sigma2[PLANE.shell[:n_px]] * self.u[:n_px] * phases
        summed = self.posterior @ value
        table = rotation_table(PLANE, n_px, self.fine_psi + self.moved, DOUBLE)
        for k in range(len(data)):
            weights = self.posterior[k].sum(axis=1)[:, None] * (scaled**2 / p.sigma2[PLANE.shell[:n_px]])
            re, im = np.ascontiguousarray(summed[k].real), np.ascontiguousarray(summed[k].imag)
            rotate_back_one(re, im, weights, table.index, table.fraction, table.sign, data[k], weight[k])
