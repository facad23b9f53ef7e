"""Un-rotated sums per class and angle, their rotation back into the class grids, and the rotation forward."""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .model_image import add_phases


@compiled
def add_groups(order, particle, row, turn, start, shift, weight, images, phases, out):
    """Add the groups of one class to its un-rotated sums, in the order given.

    Parameters
    ----------
    order : (m,) int64 array
        Groups of this class, sorted by row, then by particle.
    particle, row, turn, start, shift, weight : arrays
        Groups and their poses, see `fine.score_fine`.
    images : (u_re, u_im, power), each (n, p)
        scale * CTF * unmasked image / sigma2, and scale**2 * CTF**2 / sigma2.
    phases : (re, im), each (4 t, p)
    out : (re, im, weight), each (f, p) float64, added to
        A turn of 180 degrees adds the conjugate.
    """
    n_px = images[0].shape[1]
    phase_re, phase_im = np.empty(n_px, images[0].dtype), np.empty(n_px, images[0].dtype)
    for g in order:
        s, e = start[g], start[g + 1]
        add_phases(shift[s:e], weight[s:e], phases[0], phases[1], n_px, phase_re, phase_im)
        total = weight.dtype.type(0)
        for j in range(s, e):
            total += weight[j]
        u_re, u_im, power = images[0][particle[g]], images[1][particle[g]], images[2][particle[g]]
        sum_re, sum_im, sum_weight = out[0][row[g]], out[1][row[g]], out[2][row[g]]
        sign = u_re.dtype.type(1 if turn[g] == 0 else -1)
        for p in range(n_px):
            sum_re[p] += u_re[p] * phase_re[p] - u_im[p] * phase_im[p]
            sum_im[p] += sign * (u_re[p] * phase_im[p] + u_im[p] * phase_re[p])
            sum_weight[p] += total * power[p]


@compiled
def rotate_one(padded, index, fraction, sign, out_re, out_im):
    """Write one reference rotated by bilinear interpolation.

    Parameters
    ----------
    padded : (m,) complex array
        Flattened half spectrum of the padded reference.
    index : (f, p, 2) int32 array
        Flat positions of the lower left neighbour and of the one above it; their right neighbours follow.
    fraction : (f, p, 2) array
        Distance to the lower left neighbour, x then y.
    sign : (f, p) int8 array
        -1 where the conjugate is taken.
    out_re, out_im : (f, p) arrays
    """
    n_f, n_px = sign.shape
    for f in range(n_f):
        for p in range(n_px):
            below, above = index[f, p, 0], index[f, p, 1]
            fx, fy = fraction[f, p, 0], fraction[f, p, 1]
            low = padded[below] * (1 - fx) + padded[below + 1] * fx
            high = padded[above] * (1 - fx) + padded[above + 1] * fx
            value = low * (1 - fy) + high * fy
            out_re[f, p] = value.real
            out_im[f, p] = value.imag * sign[f, p]


@compiled
def rotate_back_one(sum_re, sum_im, sum_weight, index, fraction, sign, data, weight):
    """Add un-rotated sums (f, p) to the padded half spectrum of their class: the adjoint of `rotate_one`.

    `data` (m,) complex128 and `weight` (m,) float64 are added to.
    """
    n_f, n_px = sign.shape
    for f in range(n_f):
        if not sum_weight[f].any() and not sum_re[f].any() and not sum_im[f].any():
            continue
        for p in range(n_px):
            w = sum_weight[f, p]
            value = complex(sum_re[f, p], sum_im[f, p] * sign[f, p])
            fx, fy = np.float64(fraction[f, p, 0]), np.float64(fraction[f, p, 1])
            below, above = index[f, p, 0], index[f, p, 1]
            share = (1 - fy) * (1 - fx)
            data[below] += value * share
            weight[below] += w * share
            share = (1 - fy) * fx
            data[below + 1] += value * share
            weight[below + 1] += w * share
            share = fy * (1 - fx)
            data[above] += value * share
            weight[above] += w * share
            share = fy * fx
            data[above + 1] += value * share
            weight[above + 1] += w * share


@compiled
def subtract_model(sum_re, sum_im, sum_weight, ref_re, ref_im):
    """Turn the back-projected images of one class into residuals, in place: images less weight times reference.

    All are (f, p); an angle that no image was put at is left alone.
    """
    for f in range(len(sum_weight)):
        if sum_weight[f].any():
            for p in range(sum_weight.shape[1]):
                sum_re[f, p] -= sum_weight[f, p] * ref_re[f, p]
                sum_im[f, p] -= sum_weight[f, p] * ref_im[f, p]
