"""The loops over pixels, of images and of rotated references, as CUDA kernels, with the contract of `loops`."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.arrays import array_module

from .launch import TILE, laid_out, launch, tiles

_IMAGE_THREADS = 256  # as images.cu says


def _as_pairs(spectra):
    """Return complex arrays as pairs of reals, contiguous."""
    xp = array_module(spectra)
    return xp.ascontiguousarray(spectra).view(spectra.real.dtype)


def rotate(spectra, table, map_classes):
    """Return real and imaginary parts (k, f, p) of padded half spectra at all angles; see `loops.rotate`."""
    xp, real = array_module(spectra), table.fraction.dtype
    pairs = _as_pairs(spectra).astype(real, copy=False)
    out_re = xp.empty((len(spectra), *table.sign.shape), real)
    out_im = xp.empty_like(out_re)
    n_places = table.sign.size
    launch(
        "rotation", "rotate", real, (tiles(n_places), len(spectra)), TILE, pairs, laid_out(table.index, np.int32),
        laid_out(table.fraction, real), laid_out(table.sign, np.int8), spectra.shape[1], n_places, out_re, out_im,
    )  # fmt: skip
    return out_re, out_im


def rotate_back(sums, table, n_cells, map_classes, out=None):
    """Return un-rotated sums on padded half spectra; see `loops.rotate_back`."""
    re, im, power = (laid_out(part, np.float64) for part in sums)
    xp, n_k, n_places = array_module(re), len(re), table.sign.size
    begin, source, share = _inside_out(table, n_cells)
    data, weight = xp.empty((n_k, n_cells), np.complex128), xp.empty((n_k, n_cells))
    launch(
        "rotation", "rotate_back", np.dtype(np.float64), (tiles(n_cells), n_k), TILE, begin, source, share,
        laid_out(table.sign, np.int8), re, im, power, n_cells, n_places, data, weight,
    )  # fmt: skip
    if out is None:
        return data, weight
    for grid, part in zip(out, (data, weight), strict=True):
        grid += part
    return out


def _inside_out(table, n_cells):
    """Return what each cell of the padded grid gets from a rotation table.

    Returns
    -------
    begin : (n_cells + 1,) int64
        Where each cell's shares begin.
    source : (4 f p,) int64
        The place, angle by pixel, that gives; ascending within a cell.
    share : (4 f p,) float64
    """
    xp = array_module(table.index)
    below, above = (table.index[..., side].astype(np.int64) for side in range(2))
    fx, fy = (table.fraction[..., axis].astype(np.float64) for axis in range(2))
    target = xp.stack([below, below + 1, above, above + 1], axis=-1).ravel()
    share = xp.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], axis=-1).ravel()
    order = xp.argsort(target * target.size + xp.arange(target.size))  # keys are unique: any sort is a stable one
    begin = xp.searchsorted(target[order], xp.arange(n_cells + 1), side="left")
    return begin.astype(np.int64), (order // 4).astype(np.int64), share[order]


def centre_images(images, factor, shift_px, outside):
    """Return images times a factor and moved by whole pixels; see `spectra.centre_images`."""
    xp, real, (n, box, _) = array_module(images), images.dtype, images.shape
    out = xp.empty((2, n, box, box), real)
    total = float(outside.sum(dtype=np.float64))
    launch(
        "images", "centre_images", real, (n,), _IMAGE_THREADS, laid_out(images, real), laid_out(factor, real),
        xp.ascontiguousarray(xp.asarray(shift_px), dtype=np.int64), laid_out(outside, real), total, n, box, out,
    )  # fmt: skip
    return out


def weighted_images(masked, unmasked, model, data, power, inverse_sigma2, scale, shell, n_px):
    """Return images as the E-step and the back-projection take them; see `spectra.weighted_images`."""
    xp, real, n = array_module(scale), scale.dtype, len(scale)
    masked, unmasked = (_as_pairs(part).astype(real, copy=False) for part in (masked, unmasked))
    model, data, power, inverse, scale = (laid_out(part, real) for part in (model, data, power, inverse_sigma2, scale))
    out = xp.empty((9, n, n_px), real)
    launch(
        "images", "weighted_images", real, (n, tiles(n_px)), TILE, masked, unmasked, model, data, power, inverse, scale,
        xp.asarray(shell[:n_px], dtype=np.int64), n, n_px, masked.shape[1] // 2, unmasked.shape[1] // 2, model.shape[1],
        data.shape[1], power.shape[1], inverse.shape[1], out,
    )  # fmt: skip
    return tuple(out)


def shifted_rows(re, im, phase_re, phase_im, n_px, rows=None):
    """Return images (n, p) at every shift (t, p), (n * t, n_px) each; see `spectra.shifted_rows`."""
    xp, real, n, n_t = array_module(re), re.dtype, len(re), len(phase_re)
    re, im, phase_re, phase_im = (laid_out(part, real) for part in (re, im, phase_re, phase_im))
    out_re, out_im = xp.empty((n * n_t, n_px), real), xp.empty((n * n_t, n_px), real)
    launch(
        "images", "shifted_rows", real, (n * n_t, tiles(n_px)), TILE, re, im, phase_re, phase_im, n_t, n_px,
        re.shape[1], phase_re.shape[1], out_re, out_im,
    )  # fmt: skip
    return out_re, out_im
