"""Noise, likelihood and norm of images from their own power, particle by particle."""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined


@inlined
def _power(pixels):
    total = 0.0
    for p in range(len(pixels)):
        total += np.float64(pixels[p].real) ** 2 + np.float64(pixels[p].imag) ** 2
    return total


@compiled
def own_terms(power, cut, fine_cut, counts, sigma2, values, residual, half, fine_half):
    """Return noise (n, s), log-likelihood (n,) and relative norm correction (n,).

    Parameters
    ----------
    power : (n, s) float64 array
        Of the whole images, shell by shell.
    cut, fine_cut : (n, c) complex arrays
        Pixels of the last shells, `half` and `fine_half`, that are not in the windows of the M-step and of the fine
        pass.
    counts : (half + 1,) float64 array
        Pixels of the shells of the first window.
    sigma2 : (n, s); values : (n, 3), see `fine.score_fine`; residual : (n, >= half + 1), see `compare_models`
    """
    n, n_shells = power.shape
    noise, evidence, norm = np.empty((n, n_shells)), np.empty(n), np.empty(n)
    for i in range(n):
        high = low = own = entropy = 0.0
        for s in range(half + 1, n_shells):
            noise[i, s] = power[i, s]
            high += power[i, s]
        for s in range(half + 1):
            within = power[i, s] - (_power(cut[i]) if s == half else 0.0)
            noise[i, s] = values[i, 2] * within + residual[i, s]
            low += noise[i, s]
            if s > 0:
                entropy += counts[s] * np.log(2 * np.pi * sigma2[i, s])
        for s in range(1, fine_half + 1):
            within = power[i, s] - (_power(fine_cut[i]) if s == fine_half else 0.0)
            own += within / sigma2[i, s]
        evidence[i] = values[i, 1] - 0.5 * high - 0.5 * own - entropy
        norm[i] = np.sqrt(max(2 * (low + high), 0.0))
    return noise, evidence, norm
