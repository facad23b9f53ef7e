"""The compiled loops, all classes at once: what runs where arrays are numpy's."""

from __future__ import annotations

import numpy as np

from . import backproject, significance, spectra
from .ctf import transfer_functions
from .fine import score_fine
from .model_image import compare_models
from .spectra import centre_images, gather, possible_rows, shell_power, weighted_images

__all__ = [
    "add_groups", "centre_images", "compare_models", "gather", "possible_rows", "rotate", "rotate_back",
    "score_fine", "select_coarse", "shell_power", "shifted_rows", "subtract_models", "transfer_functions",
    "weighted_images",
]  # fmt: skip


def _rows_of(rows, n, n_t):
    """Return (start, shift) of the rows of coarse products; every particle has every shift if `rows` is None."""
    return (np.arange(n + 1) * n_t, np.tile(np.arange(n_t), n)) if rows is None else rows


def shifted_rows(re, im, phase_re, phase_im, n_px, rows=None):
    """Return images (n, p) at the shifts of their rows; see `spectra.shifted_rows`."""
    return spectra.shifted_rows(re, im, phase_re, phase_im, n_px, *_rows_of(rows, len(re), len(phase_re)))


def select_coarse(products, norm, log_prior, images, scale, two_fold, fraction, max_count, log_span, rows=None):
    """Return the significant coarse poses; see `significance.select_coarse`.

    Parameters
    ----------
    products : (s1, s2), each (n, t, k, h), or (m, k, h) with `rows`
    rows : (start, shift), optional
        Which shifts the products are of, see `spectra.possible_rows`; each particle's are all if not given.
    """
    shape = (-1, norm.shape[1] * norm.shape[2])
    start, shift = _rows_of(rows, len(norm), log_prior.shape[2])
    return significance.select_coarse(
        (products[0].reshape(shape), products[1].reshape(shape)), start, shift, norm, log_prior, images, scale,
        two_fold, fraction, max_count, log_span,
    )  # fmt: skip


def add_groups(batch, phases, out, map_classes):
    """Add the groups of a batch of chunks to the un-rotated sums of every class.

    Parameters
    ----------
    batch : sequence of (groups, images)
        groups: particle, class, row, turn, start, shift, weight, see `fine.score_fine`; images:
        (u_re, u_im, power), each (n, p), see `backproject.add_groups`.
    phases : (re, im), each (4 t, p)
    out : (re, im, weight), each (k, f, p) float64, added to
        Every row gets its particles in the order of the batch.
    map_classes : callable
        Calls a function with every class of a range, on as many threads as it likes.
    """
    n_classes = len(out[0])
    orders = []
    for groups, _ in batch:
        order = np.lexsort((groups[2], groups[1]))  # stable: particles stay in order within a row
        borders = np.searchsorted(groups[1][order], np.arange(n_classes + 1))
        orders.append((order, borders))

    def add_class(k: int) -> None:
        sums = (out[0][k], out[1][k], out[2][k])
        for (groups, images), (order, borders) in zip(batch, orders, strict=True):
            mine = order[borders[k] : borders[k + 1]]
            if len(mine):
                particle, _, row, turn, start, shift, weight = groups
                backproject.add_groups(mine, particle, row, turn, start, shift, weight, images, phases, sums)

    map_classes(add_class, range(n_classes))


def rotate(spectra, table, map_classes):
    """Return real and imaginary parts (k, f, p) of padded half spectra (k, m) at all angles of a table."""
    out_re = np.empty((len(spectra), *table.sign.shape), table.fraction.dtype)
    out_im = np.empty_like(out_re)
    index, fraction, sign = table.index, table.fraction, table.sign
    map_classes(
        lambda k: backproject.rotate_one(spectra[k], index, fraction, sign, out_re[k], out_im[k]), range(len(spectra))
    )
    return out_re, out_im


def rotate_back(sums, table, n_cells, map_classes, out=None):
    """Return un-rotated sums (re, im, weight), each (k, f, p), on padded half spectra: the adjoint of `rotate`.

    Parameters
    ----------
    out : (data, weight), optional
        What they are added to, row by row, instead of zeros; it is returned.

    Returns
    -------
    data (k, m) complex128, weight (k, m) float64, m = n_cells
    """
    re, im, power = sums
    if out is None:
        out = np.zeros((len(re), n_cells), np.complex128), np.zeros((len(re), n_cells))
    data, weight = out
    index, fraction, sign = table.index, table.fraction, table.sign
    map_classes(
        lambda k: backproject.rotate_back_one(re[k], im[k], power[k], index, fraction, sign, data[k], weight[k]),
        range(len(re)),
    )
    return data, weight


def subtract_models(sums, refs, map_classes):
    """Turn back-projected images into residuals, in place: images less weight times reference.

    Parameters
    ----------
    sums : (re, im, weight), each (halves * k, f, p)
    refs : (re, im), each (k, f, p)
    """
    n_classes = len(refs[0])

    def one(row):
        k = row % n_classes
        backproject.subtract_model(sums[0][row], sums[1][row], sums[2][row], refs[0][k], refs[1][k])

    map_classes(one, range(len(sums[2])))
