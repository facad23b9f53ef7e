"""Classification without alignment (RELION's --skip_align): every particle keeps its angle and offset.

A particle is compared with each class at the one pose its file gives it, so that nothing is shared between
particles: references are rotated for each of them, and its image is put back straight on the padded grid of
its classes. What a chunk leaves has the shape of the E-step's with search, `ChunkSums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module, blocks, complex_dtype, to_host
from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels.top_classes import TOP_BITS, ranked_classes
from winnow2d.numerics.rotation import GridView, RotationTable, rotation_table
from winnow2d.numerics.shells import shell_sums

from .expectation import MIN_SIGNAL_FOR_SCALE, SIGNIFICANT_FRACTION, ChunkSums
from .images import Spectra
from .own_power import own_terms
from .parallel import for_each
from .priors import rounded_offset_px
from .projections import Projections, ReferenceSpectra, rotated
from .stages import FINE, stage

Array = Any


@dataclass(frozen=True)
class FixedComparison:
    """What is the same for all particles of an iteration.

    Attributes
    ----------
    projections : Projections
        Spectra and power of the references; nothing is rotated beforehand.
    shell : (p,) int64
    scale_mask : (k, p) real array
        1 where a class's signal is strong enough to tell of the intensity scale.
    n_px, n_fine_px : int
        Pixels of the M-step, and those that are compared.
    """

    plane: HalfPlane
    projections: Projections
    shell: np.ndarray
    scale_mask: Array
    sigma2_noise: np.ndarray
    prior_px: np.ndarray
    size_px: int
    fine_size_px: int
    n_px: int
    n_fine_px: int
    view: GridView | None

    @property
    def dtype(self) -> np.dtype:
        return self.projections.fine_re.dtype


def table_of(compared: FixedComparison, psi_deg: np.ndarray, is_back: bool = False) -> RotationTable:
    """Return where the half planes of particles fall on the padded grid, one row per particle; see `GridView.sees`."""
    xp = array_module(compared.scale_mask)
    return rotation_table(compared.plane, compared.n_px, psi_deg, compared.dtype, xp, compared.view, is_back)


def compare_at_fixed_poses(
    references: ReferenceSpectra,
    plane: HalfPlane,
    sizes_px: tuple[int, int],
    sigma2_noise: np.ndarray,
    data_vs_prior: np.ndarray,
    prior_px: np.ndarray,
    dtype: np.dtype,
    view: GridView | None = None,
) -> FixedComparison:
    """Return the constants of an iteration's E-step.

    Parameters
    ----------
    plane : HalfPlane
        Of the images.
    sizes_px : (fine, full) window widths
    sigma2_noise : (g, s); data_vs_prior : (k, s); prior_px : (k, 2)
    view : GridView, optional
        How the images see the references, where box, pixel size or magnification differ.
    """
    fine_px, size_px = sizes_px
    xp, n_classes = array_module(references.spectra), len(references.spectra)
    nothing = xp.zeros((n_classes, 0, 0), dtype)
    no_table = rotation_table(plane, 0, np.zeros(0), dtype, xp)
    projections = Projections(
        nothing, nothing, nothing, nothing, nothing, no_table, references.spectra, references.tau2
    )
    n_px = plane.n_within(size_px / 2)
    counts = data_vs_prior[:, plane.shell[:n_px]] > MIN_SIGNAL_FOR_SCALE
    return FixedComparison(
        plane=plane,
        projections=projections,
        shell=plane.shell[:n_px],
        scale_mask=xp.asarray(np.ascontiguousarray(counts), dtype=dtype),
        sigma2_noise=sigma2_noise,
        prior_px=prior_px,
        size_px=size_px,
        fine_size_px=fine_px,
        n_px=n_px,
        n_fine_px=min(plane.n_within(fine_px / 2), n_px),
        view=view,
    )


@stage(FINE)
def expect_at_fixed_poses(
    compared: FixedComparison,
    spectra: Spectra,
    ctf: Array,
    scale: np.ndarray,
    optics_group: np.ndarray,
    pose: tuple[np.ndarray, np.ndarray],
    log_prior: np.ndarray,
    half: np.ndarray,
    data_factor: Array | None = None,
) -> ChunkSums:
    """Return posteriors and sums of one chunk of particles.

    Parameters
    ----------
    spectra : Spectra of n particles, moved by their offsets rounded to pixels
    ctf : (n, p) array, at least as many pixels as the M-step uses
    scale : (n,) array, intensity scale of each particle's group
    optics_group : (n,) int array
    pose : psi in degrees (n,), offset in px (n, 2)
    log_prior : (n, k) array
    half : (n,) int array
        Pseudo half-set of each particle; 0 where there is one set only.
    data_factor : (n, p) array, optional
        See `expectation.expect`.
    """
    xp, n_px, dtype = array_module(spectra.masked), compared.n_px, compared.dtype
    psi_deg, offset_px = pose
    there = compared.plane.on(xp)
    rest = xp.asarray(offset_px - rounded_offset_px(offset_px, 1.0))
    turned = shift_phases(there.kx[:n_px], there.ky[:n_px], rest, compared.plane.box_px)
    sigma2 = compared.sigma2_noise[optics_group]
    weight = xp.asarray(1 / sigma2)[:, there.shell[:n_px]].astype(dtype)
    ctf, factor = ctf[:, :n_px].astype(dtype), xp.asarray(scale, dtype=dtype)[:, None]
    image = (spectra.masked[:, :n_px] * turned).astype(complex_dtype(dtype))
    posterior, *said = _weigh(compared, image, ctf, factor, weight, psi_deg, xp.asarray(log_prior))
    shares, values, residual, scale_sums, classes, held = map(to_host, (posterior, *said))
    noise, evidence, residual_norm = own_terms(compared, spectra, sigma2, values, residual)  # type: ignore[arg-type]
    is_weighed = values[:, 0] > 0
    averaged = ctf if data_factor is None else data_factor[:, :n_px].astype(dtype)
    data = averaged * weight * factor
    unmasked = spectra.unmasked[:, :n_px] * turned
    return ChunkSums(
        class_index=shares.argmax(axis=1),
        psi_deg=psi_deg,
        offset_px=offset_px,
        max_probability=values[:, 0],
        n_significant=(shares > 0).sum(axis=1),
        log_likelihood=evidence,
        residual_norm=residual_norm,
        is_weighed=is_weighed,
        top_classes=classes,
        top_posteriors=held,
        retained=values[:, 2],
        noise=noise,
        scale_sums=scale_sums,
        moments=_moments(shares, offset_px, compared.prior_px),
        class_of=np.tile(np.arange(shares.shape[1]), len(shares)),
        groups=(posterior, psi_deg, half),
        data_re=(data * unmasked.real).astype(dtype),
        data_im=(data * unmasked.imag).astype(dtype),
        power=data * ctf * factor,
    )


def _moments(shares: np.ndarray, offset_px: np.ndarray, prior_px: np.ndarray) -> np.ndarray:
    """Return weight, offset and squared distance to the prior centre of every particle and class, (n * k, 4)."""
    x, y = offset_px[:, :1], offset_px[:, 1:]
    distance2 = (x - prior_px[:, 0]) ** 2 + (y - prior_px[:, 1]) ** 2
    return np.stack([shares, shares * x, shares * y, shares * distance2], axis=2).reshape(-1, 4)


def _weigh(
    compared: FixedComparison,
    image: Array,
    ctf: Array,
    factor: Array,
    weight: Array,
    psi_deg: np.ndarray,
    log_prior: Array,
) -> list[Array]:
    """Return posteriors (n, k), values (n, 3), residuals (n, s), scale sums (n, 2) and top classes with posteriors.

    The values are the largest posterior, the log evidence without the image's own power, and the retained sum.
    A residual is what a shell's power of image less model exceeds the retained share of the image's own by.
    """
    xp, n_classes = array_module(image), len(compared.scale_mask)
    found = []
    for part in blocks(len(image), 8 * n_classes * compared.n_px):
        refs = rotated(compared.projections.spectra, table_of(compared, psi_deg[part]), for_each(1))
        refs = tuple(value.transpose(1, 0, 2) for value in refs)  # (n, k, p)
        own = (image[part], ctf[part], factor[part], weight[part], log_prior[part])
        found.append(_weigh_block(compared, refs, *own))
    return [xp.concatenate(parts) for parts in zip(*found, strict=True)]


def _weigh_block(
    compared: FixedComparison,
    refs: tuple[Array, ...],
    image: Array,
    ctf: Array,
    factor: Array,
    weight: Array,
    log_prior: Array,
) -> tuple[Array, ...]:
    """Do what `_weigh` does for particles whose rotated references (n, k, p) are given."""
    xp, n_fine = array_module(image), compared.n_fine_px
    refs_re, refs_im = refs
    compared_weight = weight.copy()
    compared_weight[:, 0] = 0  # the origin is not compared
    data = (factor * ctf * compared_weight) * image
    ref_power = refs_re**2 + refs_im**2
    cross = _dot(refs_re[..., :n_fine], data.real[:, :n_fine]) + _dot(refs_im[..., :n_fine], data.imag[:, :n_fine])
    norm = _dot(ref_power[..., :n_fine], ((factor * ctf) ** 2 * compared_weight)[:, :n_fine])
    logs = log_prior + cross.astype(xp.float64) - norm.astype(xp.float64) / 2
    posterior, values, tops = _posteriors(logs)
    share = posterior.astype(refs_re.dtype)
    model_re, model_im, model_power = (
        (share[:, None, :] @ part)[:, 0].astype(xp.float64) for part in (refs_re, refs_im, ref_power)
    )
    seen = (factor * ctf).astype(xp.float64)
    missing = seen**2 * model_power - 2 * seen * (image.real * model_re + image.imag * model_im)
    usable = (values[:, :1] > 0).astype(bool)
    residual = shell_sums(xp.where(usable, missing, 0.0), compared.shell, compared.plane.n_shells)
    told = compared.scale_mask[None]
    pairs = (
        _dot(refs_re * told, ctf * image.real) + _dot(refs_im * told, ctf * image.imag),
        _dot(ref_power * told, ctf**2),
    )
    scale_sums = xp.stack([(posterior * xp.where(usable, pair, 0.0)).sum(axis=1) for pair in pairs], axis=1)
    return posterior, values, residual, scale_sums, *tops


def _dot(stack: Array, row: Array) -> Array:
    """Return the products of stacks (n, k, p) with one row (p,) each, (n, k)."""
    return (stack @ row[:, :, None])[:, :, 0]


def _posteriors(logs: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    """Return what sums take of each class (n, k); largest posterior, log evidence, retained sum; the top classes.

    As with search, of the smallest posteriors a thousandth together is left out. A particle without a finite
    weight has zeros throughout.
    """
    xp = array_module(logs)
    logs = xp.where(xp.isnan(logs), -xp.inf, logs)
    highest = logs.max(axis=1, keepdims=True)
    usable = xp.isfinite(highest)
    highest = xp.where(usable, highest, 0.0)
    weights = xp.where(usable, xp.exp(logs - highest), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    posterior = weights / xp.where(usable, total, 1.0)
    order = xp.argsort(-posterior, axis=1, kind="stable")
    ranked = xp.take_along_axis(posterior, order, axis=1)
    before = xp.cumsum(ranked, axis=1) - ranked  # what larger ones hold together
    least = xp.where(before <= SIGNIFICANT_FRACTION, ranked, xp.inf).min(axis=1, keepdims=True)
    kept = xp.where((posterior >= least) & (posterior > 0), posterior, 0.0)
    evidence = xp.where(usable, highest + xp.log(xp.where(usable, total, 1.0)), 0.0)
    values = xp.concatenate([posterior.max(axis=1, keepdims=True), evidence, kept.sum(axis=1, keepdims=True)], 1)
    whole = xp.rint(posterior * 2.0**TOP_BITS).astype(xp.int64)
    return kept, values, ranked_classes(whole)
