"""Contrast transfer functions of many particles, fast enough not to be kept: `numerics.ctf` has the formula."""

from __future__ import annotations

import math

import numpy as np

from .compiled import compiled

# sin(pi x) for |x| <= 1/2, odd powers of x to the 21st: what is left out is below 1e-17.
_SINE = tuple((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(11))
LEAST = 1e-8  # values closer to zero than this are moved there


@compiled
def _cosines(half_turns, quadratic, even, out):
    """Fill out (p,) with cos(pi u), u the phase of one particle in half turns, by a polynomial without branches."""
    xx, xy, yy = quadratic
    a, b, c, quartic, constant = half_turns[0], half_turns[1], half_turns[2], half_turns[3], half_turns[4]
    constant += 0.5  # -sin(gamma) = cos(gamma + pi / 2)
    if len(even):
        for p in range(len(out)):
            f2 = xx[p] + yy[p]
            out[p] = (a * xx[p] + b * xy[p] + c * yy[p]) + quartic * (f2 * f2) + (constant + even[p])
    else:
        for p in range(len(out)):
            f2 = xx[p] + yy[p]
            out[p] = (a * xx[p] + b * xy[p] + c * yy[p]) + quartic * (f2 * f2) + constant
    for p in range(len(out)):
        whole = out[p] - 2 * np.floor(0.5 * out[p] + 0.5)  # in [-1, 1], exact
        x = 0.5 - abs(whole)
        s = x * x
        value = _SINE[10]
        value = value * s + _SINE[9]
        value = value * s + _SINE[8]
        value = value * s + _SINE[7]
        value = value * s + _SINE[6]
        value = value * s + _SINE[5]
        value = value * s + _SINE[4]
        value = value * s + _SINE[3]
        value = value * s + _SINE[2]
        value = value * s + _SINE[1]
        out[p] = x * (value * s + _SINE[0])


@compiled
def _make_first_peak_intact(half_turns, quadratic, even, out):
    """Put 1 where the phase of one particle is less than half of pi."""
    xx, xy, yy = quadratic
    for p in range(len(out)):
        f2 = xx[p] + yy[p]
        turns = half_turns[0] * xx[p] + half_turns[1] * xy[p] + half_turns[2] * yy[p] + half_turns[3] * f2 * f2
        turns += half_turns[4] + (even[p] if len(even) else 0.0)
        if abs(turns) < 0.5:
            out[p] = 1


@compiled
def transfer_functions(half_turns, envelope, quadratic, even, is_intact, is_squared, rows, out):
    """Fill the rows of `out` that belong to particles of one optics group.

    Parameters
    ----------
    half_turns : (n, 5) float64 array
        gamma / pi of each particle: factors of kx**2, kx * ky, ky**2, |k|**4, and what is constant; see `ctf.phases`.
    envelope : (n, 2) float64 array
        B factor in Angstrom**2, and what the values are multiplied by.
    quadratic : (kx**2, kx * ky, ky**2), (p,) float64 arrays in 1/Angstrom**2, at least as long as rows of `out`
    even : (p,) float64 array
        What even aberrations add, in half turns; empty for none.
    is_intact : bool
        Take 1 instead of the sine up to the first peak.
    is_squared : bool
        Of CTF-premultiplied images.
    rows : (n,) int64 array
    out : (m, p) array, float32 or float64
        Computed in float64.
    """
    n_px = out.shape[1]
    xx, xy, yy = quadratic[0][:n_px], quadratic[1][:n_px], quadratic[2][:n_px]
    values = np.empty(n_px)
    for i in range(len(rows)):
        _cosines(half_turns[i], (xx, xy, yy), even, values)
        if is_intact:
            _make_first_peak_intact(half_turns[i], (xx, xy, yy), even, values)
        if envelope[i, 0] != 0:
            for p in range(n_px):
                values[p] *= math.exp(-0.25 * envelope[i, 0] * (xx[p] + yy[p]))
        scale, row = envelope[i, 1], out[rows[i]]
        for p in range(n_px):
            value = values[p] * scale
            if abs(value) < LEAST:
                value = -LEAST if value < 0 else LEAST
            row[p] = value * value if is_squared else value
