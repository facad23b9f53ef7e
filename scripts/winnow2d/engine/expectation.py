"""The E-step: dense inner products of a chunk of particles, their posteriors, and the sums they leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import BLOCK_VALUES, array_module, to_host
from winnow2d.numerics.fourier import shift_phases_on_grid
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels import kernels_of

from .images import Spectra
from .own_power import own_terms
from .parallel import SMALLEST_CHUNK
from .projections import Projections
from .sampling import SearchGrid
from .stages import COARSE, FINE, stage

Array = Any
LOG_SPAN = 25.0  # coarse poses e**-25 below the best hold less than a millionth of the weight
SIGNIFICANT_FRACTION = 0.999  # RELION's --adaptive_fraction
_ROWS = SMALLEST_CHUNK  # particles whose coarse products are made at a time, so that they stay in the cache
MIN_SIGNAL_FOR_SCALE = 3.0  # data_vs_prior above which a shell counts for the intensity scale


@dataclass(frozen=True)
class Comparison:
    """What is the same for all particles of an iteration; phases and `scale_mask` are on the device.

    Attributes
    ----------
    coarse_phases : (re, im), each (t, p_coarse); fine_phases : (re, im), each (4 t, p)
    shell : (p,) int64; scale_mask : (k, p) real; n_scale_px : (k,) int64; sigma2_noise : (g, s) float64
    prior_px : (k, 2)
        Centre of the offset prior in the unit in which the offset variance is taken.
    """

    grid: SearchGrid
    plane: HalfPlane
    projections: Projections
    coarse_phases: tuple[Array, Array]
    fine_phases: tuple[Array, Array]
    shell: np.ndarray
    scale_mask: Array
    n_scale_px: np.ndarray
    sigma2_noise: np.ndarray
    prior_px: np.ndarray
    size_px: int
    fine_size_px: int
    max_significant: int
    thin: float

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

    What back-projection takes, `groups` and the last three, stays on the device; the rest is numpy's.

    Attributes
    ----------
    class_index, psi_deg, offset_px, max_probability, n_significant : (n,) arrays, offset (n, 2)
    log_likelihood : (n,); residual_norm : (n,), norm correction relative to the old one
    is_weighed : (n,) bool; False for a particle without a finite weight: it keeps its pose and is in no sum.
    top_classes, top_posteriors : (n, 4), see `records.Particles`
    retained : (n,), sum of the posteriors that are in the sums; noise : (n, s); scale_sums : (n, 2)
    moments : (m, 4); class_of : (m,), the class of each; ordered by particle
        Weight, weighted offset x, y, squared distance to the prior centre (px), class by class and angle by angle.
    groups : particle, class, row, turn of every (class, angle) with posterior; start, shift, weight
    data_re, data_im, power : (n, p)
        scale * CTF * unmasked image / sigma2, without CTF if that is premultiplied; scale**2 * CTF**2 / sigma2.
    """

    class_index: np.ndarray
    psi_deg: np.ndarray
    offset_px: np.ndarray
    max_probability: np.ndarray
    n_significant: np.ndarray
    log_likelihood: np.ndarray
    residual_norm: np.ndarray
    is_weighed: np.ndarray
    top_classes: np.ndarray
    top_posteriors: np.ndarray
    retained: np.ndarray
    noise: np.ndarray
    scale_sums: np.ndarray
    moments: np.ndarray
    class_of: np.ndarray
    groups: tuple[Array, ...]
    data_re: Array
    data_im: Array
    power: Array


def compare_with(
    projections: Projections,
    grid: SearchGrid,
    plane: HalfPlane,
    sizes_px: tuple[int, int, int],
    sigma2_noise: np.ndarray,
    data_vs_prior: np.ndarray,
    prior_px: np.ndarray,
    max_significant: int = 0,
    thin: float = 0.0,
) -> Comparison:
    """Return the constants of an iteration's E-step.

    Parameters
    ----------
    sizes_px : (coarse, fine, full) window widths
    sigma2_noise : (g, s); data_vs_prior : (k, s); prior_px : (k, 2)
    max_significant : int
        Largest number of significant coarse poses of a particle; 0 is no limit.
    thin : float
        Posteriors below this are kept by chance, with this weight; 0 keeps all.
    """
    dtype, xp = projections.fine_re.dtype, array_module(projections.fine_re)
    there = plane.on(xp)
    n_coarse, n_px = plane.n_within(sizes_px[0] / 2), plane.n_within(sizes_px[2] / 2)

    def phases(shifts: np.ndarray, n: int) -> tuple[Array, Array]:
        values = shift_phases_on_grid(there.kx[:n], there.ky[:n], xp.asarray(shifts), plane.box_px)
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
        scale_mask=xp.asarray(np.ascontiguousarray(counts), dtype=dtype),
        n_scale_px=last.astype(np.int64),
        sigma2_noise=sigma2_noise,
        prior_px=prior_px,
        size_px=sizes_px[2],
        fine_size_px=sizes_px[1],
        max_significant=max_significant,
        thin=thin,
    )


def coarse_products(
    compared: Comparison, weighted_re: Array, weighted_im: Array, power: Array, rows: tuple[Array, Array] | None = None
) -> tuple[Array, Array, Array]:
    """Return the dense products of the coarse pass: (n, t, k, h) twice, and the norms (n, k, h).

    With `rows` only products of the shifts named there, (m, k, h).

    Parameters
    ----------
    weighted_re, weighted_im : (n, p) arrays
        CTF * image / sigma2.
    power : (n, p) array
        CTF**2 / sigma2.
    """
    n_px, (phase_re, phase_im) = compared.n_coarse_px, compared.coarse_phases
    rows_re, rows_im = kernels_of(power).shifted_rows(weighted_re, weighted_im, phase_re, phase_im, n_px, rows)
    projections = compared.projections
    n_k, n_rows = len(projections.fine_re), len(compared.grid.coarse_psi_deg)
    shape = (len(weighted_re), len(phase_re), n_k, n_rows) if rows is None else (len(rows_re), n_k, n_rows)
    s1 = (rows_re @ projections.coarse_re.T).reshape(shape)
    s2 = (rows_im @ projections.coarse_im.T).reshape(shape)
    norm = (power[:, :n_px] @ projections.coarse_half_power.T).reshape(len(weighted_re), n_k, n_rows)
    return s1, s2, norm


@stage(COARSE)
def _select(compared: Comparison, images: tuple[Array, ...], scale: Array, log_prior: Array) -> tuple[Array, ...]:
    """Return each particle's significant coarse poses: ids, where a particle's begin, how many RELION counts."""
    xp, n = array_module(scale), len(scale)
    n_poses = len(compared.coarse_phases[0]) * len(compared.projections.coarse_re)
    size = min(n, _ROWS if xp is np else max(1, BLOCK_VALUES // n_poses))
    found = []
    for first in range(0, n, size):
        part = slice(first, first + size)
        rows = kernels_of(scale).possible_rows(log_prior[part])
        s1, s2, norm = coarse_products(compared, images[0][part], images[1][part], images[2][part], rows)
        found.append(
            kernels_of(norm).select_coarse(
                (s1, s2), norm, log_prior[part], (images[0][part], images[1][part]), scale[part],
                compared.grid.two_fold, SIGNIFICANT_FRACTION, compared.max_significant, LOG_SPAN, rows,
            )
        )  # fmt: skip
    if len(found) == 1:
        return found[0]
    ids, starts, counts = zip(*found, strict=True)
    begin = np.cumsum([0] + [len(part) for part in ids[:-1]])
    start = xp.concatenate([part[:-1] + first for part, first in zip(starts, begin.tolist(), strict=True)])
    last = xp.full(1, sum(len(part) for part in ids), start.dtype)
    return xp.concatenate(ids), xp.concatenate([start, last]), xp.concatenate(counts)


def _weigh(
    compared: Comparison,
    images: tuple[Array, ...],
    scale: Array,
    old_offset_px: np.ndarray,
    log_prior: np.ndarray,
    draws: np.ndarray,
) -> tuple[Any, ...]:
    """Return poses, values, groups, start, shift, weight (see `score_fine`), then what `compare_models` says."""
    projections, grid, xp = compared.projections, compared.grid, array_module(scale)
    kernels, log_prior = kernels_of(scale), xp.asarray(log_prior)
    refs, n_px = (projections.fine_re, projections.fine_im), compared.n_px
    n_fine_px = min(compared.plane.n_within(compared.fine_size_px / 2), n_px)
    found = kernels.score_fine(
        *_select(compared, images, scale, log_prior), (len(grid.coarse_psi_deg), len(grid.coarse_shifts_px)),
        images[:3], scale, refs, compared.fine_phases, log_prior, n_fine_px,
        SIGNIFICANT_FRACTION, LOG_SPAN, compared.thin, xp.asarray(draws),
    )  # fmt: skip
    said = kernels.compare_models(
        *found[2:], images[3:6], scale, xp.asarray(old_offset_px, dtype=np.float64), refs, compared.fine_phases,
        (compared.scale_mask, compared.n_scale_px), (xp.asarray(grid.fine_shifts_px), xp.asarray(compared.prior_px)),
        compared.shell, compared.plane.n_shells,
    )  # fmt: skip
    return (*found, *said)


@stage(FINE)
def expect(
    compared: Comparison,
    spectra: Spectra,
    ctf: Array,
    scale: np.ndarray,
    optics_group: np.ndarray,
    old_offset_px: np.ndarray,
    log_prior: np.ndarray,
    draws: np.ndarray | None = None,
    data_factor: Array | None = None,
) -> ChunkSums:
    """Return posteriors and sums of one chunk of particles.

    Parameters
    ----------
    spectra : Spectra of n particles
    ctf : (n, p) array, at least as many pixels as the M-step uses, on the device of the spectra
        What the images are modelled to hold of the references: CTF**2 for CTF-premultiplied images.
    scale : (n,) array, intensity scale of each particle's group
    optics_group : (n,) int array
    old_offset_px : (n, 2) array, rounded
    log_prior : (n, k, t) float64 array
    draws : (n,) float64 array, optional
        Where the thinning of small posteriors starts to count, in [0, 1); 0 if not given.
    data_factor : (n, p) array, optional
        What images are multiplied by when they are averaged; `ctf` if not given, 1 for CTF-premultiplied images.
        The weight of the average is `data_factor` * `ctf`.
    """
    xp, n_px, grid = array_module(spectra.masked), compared.n_px, compared.grid
    sigma2 = compared.sigma2_noise[optics_group]  # (n, s)
    scale_there = xp.asarray(scale, dtype=compared.dtype)
    averaged = ctf if data_factor is None else data_factor.astype(compared.dtype)
    *images, data_re, data_im, power = kernels_of(ctf).weighted_images(
        spectra.masked, spectra.unmasked, ctf, averaged, averaged * ctf,
        xp.asarray(1 / sigma2, dtype=compared.dtype), scale_there, compared.plane.shell, n_px,
    )  # fmt: skip
    draws = np.zeros(len(scale)) if draws is None else draws
    poses, values, groups, *of_groups, residual, scale_sums, moments = _weigh(
        compared, tuple(images), scale_there, old_offset_px, log_prior, draws
    )
    poses, values, residual, scale_sums, moments = map(to_host, (poses, values, residual, scale_sums, moments))
    noise, evidence, residual_norm = own_terms(compared, spectra, sigma2, values, residual)
    return ChunkSums(
        class_index=poses[:, 0],
        psi_deg=grid.psi_deg(poses[:, 1], poses[:, 2]),
        offset_px=old_offset_px + grid.fine_shifts_px[poses[:, 3]],
        max_probability=values[:, 0],
        n_significant=poses[:, 4],
        log_likelihood=evidence,
        residual_norm=residual_norm,
        is_weighed=poses[:, 4] > 0,
        top_classes=poses[:, 5:],
        top_posteriors=values[:, 3:],
        noise=noise,
        scale_sums=scale_sums,
        moments=moments,
        class_of=to_host(groups[1]),
        retained=values[:, 2],
        groups=(*groups, *of_groups),
        data_re=data_re,
        data_im=data_im,
        power=power,
    )
