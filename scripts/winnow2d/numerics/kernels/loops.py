"""The compiled loops, all classes at once: what runs where arrays are numpy's."""

from __future__ import annotations

import numpy as np

from . import backproject
from .fine import score_fine
from .model_image import compare_models
from .significance import select_coarse
from .spectra import centre_images, gather, shell_power, shifted_rows, weighted_images

__all__ = [
    "add_groups", "centre_images", "compare_models", "gather", "rotate", "rotate_back",
    "score_fine", "select_coarse", "shell_power", "shifted_rows", "subtract_models", "weighted_images",
]  # fmt: skip


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
