"""Which poses carry the posterior: RELION's rule of the smallest set that holds a fraction of the weight."""

from __future__ import annotations

import numpy as np

from .compiled import inlined

N_BINS = 512


@inlined
def significant_weight(log_weights, n, log_span, total, fraction, max_count):
    """Return (the smallest log weight that is significant, how many there are).

    Weights are taken in descending order until their sum first exceeds `fraction` of `total`, at most
    `max_count` of them (no limit if <= 0); equal weights at the border all count as significant.

    Parameters
    ----------
    log_weights : (>= n,) array, all within [-log_span, 0]
    total : float
        Sum of exp(log_weights).
    """
    counts = np.zeros(N_BINS + 1, np.int64)
    sums = np.zeros(N_BINS + 1)
    per_unit = N_BINS / log_span
    for i in range(n):
        b = int(-log_weights[i] * per_unit)
        counts[b] += 1
        sums[b] += np.exp(log_weights[i])
    target = fraction * total
    reached, seen, border = 0.0, 0, N_BINS
    for b in range(N_BINS + 1):
        over_count = max_count > 0 and seen + counts[b] >= max_count
        if reached + sums[b] > target or over_count:
            border = b
            break
        reached += sums[b]
        seen += counts[b]
    inside = np.empty(counts[border], log_weights.dtype)
    m = 0
    for i in range(n):
        if int(-log_weights[i] * per_unit) == border:
            inside[m] = log_weights[i]
            m += 1
    inside.sort()
    for j in range(m - 1, -1, -1):
        reached += np.exp(inside[j])
        seen += 1
        if reached > target or seen == max_count:
            return inside[j], seen
    return -log_span, seen


@inlined
def coarse_candidates(s1, s2, norm, log_prior, scale, two_fold, log_span, ids, log_weights):
    """Write the poses within `log_span` of the best one, and return (how many, their total weight, best).

    Parameters
    ----------
    s1, s2 : (k, h, t) arrays
        Products of real and of imaginary parts; psi and psi + 180 degrees have s1 + s2 and s1 - s2.
    norm : (k, h) array
        Half the weighted power of the references.
    log_prior : (k, t) array
    scale : float
        Intensity scale of the particle's group.
    ids, log_weights : arrays of length 2 * k * h * t, written
        Pose number ((k * H + h) * T + t) * 2 + turn, ascending, and log weight relative to the best.
    """
    n_k, n_h, n_t = s1.shape
    best = -np.inf
    for k in range(n_k):
        for h in range(n_h):
            offset = scale * scale * norm[k, h]
            for t in range(n_t):
                second = abs(s2[k, h, t]) if two_fold else s2[k, h, t]
                best = max(best, scale * (s1[k, h, t] + second) - offset + log_prior[k, t])
    n, total = 0, 0.0
    if not np.isfinite(best):
        return n, total, best
    for k in range(n_k):
        for h in range(n_h):
            offset = scale * scale * norm[k, h] + best
            for t in range(n_t):
                base = scale * s1[k, h, t] - offset + log_prior[k, t]
                for turn in range(2 if two_fold else 1):
                    value = base + (scale * s2[k, h, t] if turn == 0 else -scale * s2[k, h, t])
                    if value > -log_span:
                        value = min(value, 0.0)
                        ids[n] = ((k * n_h + h) * n_t + t) * 2 + turn
                        log_weights[n] = value
                        total += np.exp(value)
                        n += 1
    return n, total, best
