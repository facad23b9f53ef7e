"""Log prior of every class and coarse shift of many particles, in one pass: `engine.priors` has the formulas."""

from __future__ import annotations

import numpy as np

from .compiled import compiled

_SLACK = 1e-6  # of squared offsets: those at the limit are within it


@compiled
def pose_log_prior(old_offset_px, shifts_px, prior_offset_ang, sigma_offset_ang, pixel_size_ang, mix_units, limit_px,
                   class_log):  # fmt: skip
    """Return log priors (n, k, t) float64, each divided by its mean over classes and shifts.

    Parameters
    ----------
    old_offset_px : (n, 2); shifts_px : (t, 2); prior_offset_ang : (k, 2) float64 arrays
    sigma_offset_ang, pixel_size_ang, mix_units, limit_px : see `engine.priors.offset_log_prior`
    class_log : (k,) float64 array
        Log share of each class over the mean share; -inf for a class that never is.
    """
    n, n_k, n_t = len(old_offset_px), len(prior_offset_ang), len(shifts_px)
    out, has_one_centre = np.empty((n, n_k, n_t)), not prior_offset_ang.any()
    old_unit, factor = (1.0, pixel_size_ang**2) if mix_units else (pixel_size_ang, 1.0)
    n_centres = 1 if has_one_centre else n_k
    total2 = np.empty(n_t)
    for i in range(n):
        least2, highest = np.inf, -np.inf
        for t in range(n_t):
            x, y = old_offset_px[i, 0] + shifts_px[t, 0], old_offset_px[i, 1] + shifts_px[t, 1]
            total2[t] = x * x + y * y
            least2 = min(least2, total2[t])
        limit2 = max(limit_px * limit_px, least2) + _SLACK
        for k in range(n_centres):
            for t in range(n_t):
                x = old_offset_px[i, 0] * old_unit + shifts_px[t, 0] * pixel_size_ang - prior_offset_ang[k, 0]
                y = old_offset_px[i, 1] * old_unit + shifts_px[t, 1] * pixel_size_ang - prior_offset_ang[k, 1]
                value = -factor * (x * x + y * y) / (2 * sigma_offset_ang**2)
                out[i, k, t] = value if total2[t] <= limit2 else -np.inf
                highest = max(highest, out[i, k, t])
        total = 0.0
        for k in range(n_centres):
            for t in range(n_t):
                total += np.exp(out[i, k, t] - highest)
        log_mean = highest + np.log(total / (n_centres * n_t))
        for k in range(n_k - 1, -1, -1):  # the one centre is class 0's place
            source = 0 if has_one_centre else k
            for t in range(n_t):
                out[i, k, t] = out[i, source, t] - log_mean + class_log[k]
    return out
