"""How large an angular error must be for the noise to let one see it, class by class."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.rotation import PAD

from .compiled import compiled, inlined

_STRIDE = 4  # errors looked at first; those between only where the evidence passes the border


@inlined
def _rotate(padded, shape, kx, ky, n_px, cos, sin, out):
    """Write a padded half spectrum, bilinearly interpolated at pad * R(psi) k, to `out` (2, p)."""
    rows, columns = shape
    for p in range(n_px):
        x, y = PAD * (cos * kx[p] - sin * ky[p]), PAD * (sin * kx[p] + cos * ky[p])
        sign = 1.0
        if x < 0:
            x, y, sign = -x, -y, -1.0
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        below, above = (y0 % rows) * columns + x0, ((y0 + 1) % rows) * columns + x0
        low = padded[below] * (1 - fx) + padded[below + 1] * fx
        high = padded[above] * (1 - fx) + padded[above + 1] * fx
        value = low * (1 - fy) + high * fy
        out[0, p], out[1, p] = value.real, value.imag * sign


@inlined
def _terms(padded, shape, kx, ky, weight, psi_deg, reference, turned, terms):
    """Write the evidence per pixel against the reference at an angle, and return its sum."""
    radians = psi_deg * np.pi / 180
    _rotate(padded, shape, kx, ky, len(weight), np.cos(radians), np.sin(radians), turned)
    total = 0.0
    for p in range(len(weight)):
        re, im = turned[0, p] - reference[0, p], turned[1, p] - reference[1, p]
        terms[p] = (re * re + im * im) * weight[p] / 2
        total += terms[p]
    return total


@compiled
def first_decisive_angle(padded, shape, kx, ky, weight, psi_deg, errors_deg, decisive):
    """Return the number of the first decisive error, the evidence per pixel there, and the reference at `psi_deg`.

    Parameters
    ----------
    padded : (m,) complex array
        Padded half spectrum of one class, flattened from `shape` (2 N, N + 2).
    kx, ky : (p,) arrays, within the padded grid at any angle: there are no checks; weight : (p,) array
        CTF**2 / sigma2.
    errors_deg : (e,) ascending array; the last one counts as decisive

    Notes
    -----
    The evidence grows with the error as long as the error is small: of every four errors the last is looked at
    first.
    """
    n_px, last = len(weight), len(errors_deg) - 1
    reference, turned = np.empty((2, n_px)), np.empty((2, n_px))
    terms = np.empty(n_px)
    _terms(padded, shape, kx, ky, weight, psi_deg, turned, reference, terms)  # only to make the reference
    end = min(_STRIDE - 1, last)
    while end < last:
        if _terms(padded, shape, kx, ky, weight, psi_deg + errors_deg[end], reference, turned, terms) > decisive:
            break
        end = min(end + _STRIDE, last)
    for e in range(max(end - _STRIDE + 1, 0), end + 1):
        evidence = _terms(padded, shape, kx, ky, weight, psi_deg + errors_deg[e], reference, turned, terms)
        if evidence > decisive or e == end:
            return e, terms, reference
    return last, terms, reference
