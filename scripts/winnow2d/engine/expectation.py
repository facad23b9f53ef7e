"""The E-step: dense inner products of a chunk of particles, their posteriors, and the sums they leave behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels.chunk import weigh_chunk
from winnow2d.numerics.shells import round_half_away

from .images import Spectra
from .projections import Projections
from .sampling import SearchGrid

LOG_SPAN = 25.0  # coarse poses e**-25 below the best hold less than a millionth of the weight
SIGNIFICANT_FRACTION = 0.999  # RELION's --adaptive_fraction
MIN_SIGNAL_FOR_SCALE = 3.0  # data_vs_prior above which a shell counts for the intensity scale


@dataclass(frozen=True)
class Comparison:
    """What is the same for all particles of an iteration.

    Attributes
    ----------
    coarse_phases : (re, im), each (t, p_coarse); fine_phases : (re, im), each (4 t, p)
    shell : (p,) int64; scale_mask : (k, p) real; n_scale_px : (k,) int64
    sigma2_noise : (g, s) float64
    prior_px : (k, 2)
        Centre of the offset prior in the unit in which the offset variance is taken.
    """

    grid: SearchGrid
    plane: HalfPlane
    projections: Projections
    coarse_phases: tuple[np.ndarray, np.ndarray]
    fine_phases: tuple[np.ndarray, np.ndarray]
    shell: np.ndarray
    scale_mask: np.ndarray
    n_scale_px: np.ndarray
    sigma2_noise: np.ndarray
    prior_px: np.ndarray
    size_px: int
    fine_size_px: int
    max_significant: int

    @property
    def n_coarse_px(self) -> int:
        return self.coarse_phases[0].shape[1]

    @property
    def n_px(self) -> int:
        return self.fine_phases[0].shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.projections.fine_re.dtype


@dataclass
class ChunkSums:
    """Posteriors of a chunk of particles and everything the M-step needs of it.

    Attributes
    ----------
    class_index, psi_deg, offset_px, max_probability, n_significant : (n,) arrays, offset (n, 2)
    log_likelihood : (n,); residual_norm : (n,), norm correction relative to the old one
    is_weighed : (n,) bool
        False for a particle without a finite weight: it keeps its pose and is in no sum.
    noise : (n, s), scale_sums : (n, 2), class_sums : (n, k, 4)
    groups : particle, class, row, turn of every (class, angle) with posterior; start, shift, weight
    data_re, data_im, power : (n, p)
        scale * CTF * unmasked image / sigma2 and scale**2 * CTF**2 / sigma2.
    """

    class_index: np.ndarray
    psi_deg: np.ndarray
    offset_px: np.ndarray
    max_probability: np.ndarray
    n_significant: np.ndarray
    log_likelihood: np.ndarray
    residual_norm: np.ndarray
    is_weighed: np.ndarray
    noise: np.ndarray
    scale_sums: np.ndarray
    class_sums: np.ndarray
    groups: tuple[np.ndarray, ...]
    data_re: np.ndarray
    data_im: np.ndarray
    power: np.ndarray


def compare_with(
    projections: Projections,
    grid: SearchGrid,
    plane: HalfPlane,
    sizes_px: tuple[int, int, int],
    sigma2_noise: np.ndarray,
    data_vs_prior: np.ndarray,
    prior_px: np.ndarray,
    max_significant: int = 0,
) -> Comparison:
    """Return the constants of an iteration's E-step.

    Parameters
    ----------
    sizes_px : (coarse, fine, full) window widths
    sigma2_noise : (g, s); data_vs_prior : (k, s); prior_px : (k, 2)
    max_significant : int
        Largest number of significant coarse poses of a particle; 0 is no limit.
    """
    dtype = projections.fine_re.dtype
    n_coarse, n_px = plane.n_within(sizes_px[0] / 2), plane.n_within(sizes_px[2] / 2)

    def phases(shifts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        values = shift_phases(plane.kx[:n], plane.ky[:n], shifts, plane.box_px)
        return values.real.astype(dtype), values.imag.astype(dtype)

    counts = data_vs_prior[:, plane.shell[:n_px]] > MIN_SIGNAL_FOR_SCALE
    last = np.where(counts.any(axis=1), n_px - counts[:, ::-1].argmax(axis=1), 0)
    return Comparison(
        grid=grid,
        plane=plane,
        projections=projections,
        coarse_phases=phases(grid.searched_shifts_px, n_coarse),
        fine_phases=phases(grid.fine_shifts_px, n_px),
        shell=plane.shell[:n_px],
        scale_mask=counts.astype(dtype),
        n_scale_px=last.astype(np.int64),
        sigma2_noise=sigma2_noise,
        prior_px=prior_px,
        size_px=sizes_px[2],
        fine_size_px=sizes_px[1],
        max_significant=max_significant,
    )


def coarse_products(
    compared: Comparison, weighted_re: np.ndarray, weighted_im: np.ndarray, power: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the dense products of the coarse pass: (k, h, n, t) twice, and the norms (k, h, n).

    Parameters
    ----------
    weighted_re, weighted_im : (n, p) arrays
        CTF * image / sigma2.
    power : (n, p) array
        CTF**2 / sigma2.
    """
    n_px = compared.n_coarse_px
    phase_re, phase_im = compared.coarse_phases
    re, im = weighted_re[:, None, :n_px], weighted_im[:, None, :n_px]
    rows_re = (re * phase_re - im * phase_im).reshape(-1, n_px)
    rows_im = (re * phase_im + im * phase_re).reshape(-1, n_px)
    projections = compared.projections
    n_k, n_rows = len(projections.fine_re), len(compared.grid.coarse_psi_deg)
    shape = (n_k, n_rows, len(weighted_re), len(phase_re))
    s1 = (projections.coarse_re @ rows_re.T).reshape(shape)
    s2 = (projections.coarse_im @ rows_im.T).reshape(shape)
    norm = (projections.coarse_half_power @ power[:, :n_px].T).reshape(shape[:3])
    return s1, s2, norm


def expect(
    compared: Comparison,
    spectra: Spectra,
    ctf: np.ndarray,
    scale: np.ndarray,
    optics_group: np.ndarray,
    old_offset_px: np.ndarray,
    log_prior: np.ndarray,
) -> ChunkSums:
    """Return posteriors and sums of one chunk of particles.

    Parameters
    ----------
    spectra : Spectra of n particles
    ctf : (n, p) array, at least as many pixels as the M-step uses
    scale : (n,) array, intensity scale of each particle's group
    optics_group : (n,) int array
    old_offset_px : (n, 2) array, rounded
    log_prior : (n, k, t) float64 array
    """
    n_px, dtype, plane = compared.n_px, compared.dtype, compared.plane
    sigma2 = compared.sigma2_noise[optics_group]  # (n, s)
    weight = (1 / sigma2)[:, compared.shell].astype(dtype)
    ctf = np.ascontiguousarray(ctf[:, :n_px], dtype=dtype)
    x_re = np.ascontiguousarray(spectra.masked.real[:, :n_px], dtype=dtype)
    x_im = np.ascontiguousarray(spectra.masked.imag[:, :n_px], dtype=dtype)
    compared_weight = weight.copy()
    compared_weight[:, 0] = 0  # the origin is not compared
    weighted_re, weighted_im = ctf * x_re * compared_weight, ctf * x_im * compared_weight
    power = ctf**2 * compared_weight
    s1, s2, norm = coarse_products(compared, weighted_re, weighted_im, power)
    projections, grid = compared.projections, compared.grid
    n_fine_px = plane.n_within(compared.fine_size_px / 2)
    sizes = (min(n_fine_px, n_px), n_px, plane.n_shells)
    poses, values, residual, scale_sums, class_sums, groups, start, shift, posterior = weigh_chunk(
        (s1, s2),
        norm,
        log_prior,
        (weighted_re, weighted_im, power, x_re, x_im, ctf, scale.astype(dtype), old_offset_px.astype(np.float64)),
        (projections.fine_re, projections.fine_im, *compared.fine_phases, compared.shell)
        + (compared.scale_mask, compared.n_scale_px),
        (grid.fine_shifts_px, compared.prior_px),
        sizes,
        grid.two_fold,
        SIGNIFICANT_FRACTION,
        compared.max_significant,
        LOG_SPAN,
    )
    noise, evidence, residual_norm = _own_terms(compared, spectra, sigma2, values, residual)
    data_weight = ctf * weight * scale[:, None].astype(dtype)
    return ChunkSums(
        class_index=poses[:, 0],
        psi_deg=grid.psi_deg(poses[:, 1], poses[:, 2]),
        offset_px=old_offset_px + grid.fine_shifts_px[poses[:, 3]],
        max_probability=values[:, 0],
        n_significant=poses[:, 4],
        log_likelihood=evidence,
        residual_norm=residual_norm,
        is_weighed=poses[:, 4] > 0,
        noise=noise,
        scale_sums=scale_sums,
        class_sums=class_sums,
        groups=(*groups, start, shift, posterior),
        data_re=data_weight * spectra.unmasked.real[:, :n_px],
        data_im=data_weight * spectra.unmasked.imag[:, :n_px],
        power=data_weight * ctf * scale[:, None].astype(dtype),
    )


def _windowed_power(spectra: Spectra, plane: HalfPlane, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return power (n, r) and pixel count (r,) of the shells inside a window, whose row ky = -size / 2 is missing."""
    half = size_px // 2
    power = spectra.power[:, : half + 1].copy()
    counts = np.bincount(plane.shell, minlength=plane.n_shells)[: half + 1].astype(np.float64)
    if size_px < plane.box_px:
        outside = plane.outside_window(size_px)
        cut = spectra.masked[:, outside]
        power[:, half] -= (cut.real.astype(np.float64) ** 2 + cut.imag.astype(np.float64) ** 2).sum(axis=1)
        counts[half] -= len(outside)
    return power, counts


def _own_terms(
    compared: Comparison, spectra: Spectra, sigma2: np.ndarray, values: np.ndarray, residual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise (n, s), log-likelihood (n,) and relative norm correction (n,) from the images' own power."""
    half, fine_half = compared.size_px // 2, compared.fine_size_px // 2
    windowed, _ = _windowed_power(spectra, compared.plane, compared.size_px)
    noise = spectra.power.copy()
    noise[:, : half + 1] = values[:, 2:3] * windowed + residual[:, : half + 1]
    high = spectra.power[:, half + 1 :].sum(axis=1)
    power, counts = _windowed_power(spectra, compared.plane, compared.fine_size_px)
    own = 0.5 * high + 0.5 * (power[:, 1:] / sigma2[:, 1 : fine_half + 1]).sum(axis=1)
    entropy = (counts[1:] * np.log(2 * np.pi * sigma2[:, 1 : fine_half + 1])).sum(axis=1)
    norm2 = 2 * (noise[:, : half + 1].sum(axis=1) + high)
    return noise, values[:, 1] - own - entropy, np.sqrt(np.maximum(norm2, 0))


def rounded_offset_px(offset_ang: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """Return offsets (n, 2) as whole pixels, halves away from zero."""
    return np.asarray(round_half_away(offset_ang / pixel_size_ang)).reshape(-1, 2)
