"""Which poses carry the posterior: RELION's rule of the smallest set that holds a fraction of the weight."""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined, without_nan

N_BINS = 512


@inlined
def exponential(x):
    """Return exp(x) for -50 <= x <= 0, to 1e-10 near 0 and 2e-8 at -50, by arithmetic that loops can vectorise."""
    y = x * (1 / 256)
    r = 1 + y * (1 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * (1 / 5040)))))))
    r = (r * r) * (r * r)  # ** 4 of ** 256
    r = (r * r) * (r * r)
    r = (r * r) * (r * r)
    return (r * r) * (r * r)


@inlined
def significant_weight(log_weights, weights, n, log_span, total, fraction, max_count):
    """Return (the smallest log weight that is significant, how many there are).

    Weights are taken in descending order until their sum first exceeds `fraction` of `total`, at most
    `max_count` of them (no limit if <= 0); equal weights at the border all count as significant.

    Parameters
    ----------
    log_weights : (>= n,) array, all within [-log_span, 0]
    weights : (>= n,) array
        exp(log_weights).
    total : float
        Sum of all weights, those too small to be listed included.
    """
    counts = np.zeros(N_BINS + 1, np.int64)
    sums = np.zeros(N_BINS + 1)
    per_unit = N_BINS / log_span
    for i in range(n):
        b = int(-log_weights[i] * per_unit)
        counts[b] += 1
        sums[b] += weights[i]
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
        reached += exponential(inside[j])
        seen += 1
        if reached > target or seen == max_count:
            return inside[j], seen
    return -log_span, seen


@without_nan
def _tops(s1, s2, shift, offset, log_prior, scale, two_fold, tops):
    """Write the best log weight of every (row, class), (r, k), and return the best of all."""
    n_t, n_k, n_h = s1.shape
    best = -np.inf
    for t in range(n_t):
        for k in range(n_k):
            top = s1.dtype.type(-3e38)
            if two_fold:
                for h in range(n_h):
                    top = max(top, scale * (s1[t, k, h] + abs(s2[t, k, h])) - offset[k, h])
            else:
                for h in range(n_h):
                    top = max(top, scale * (s1[t, k, h] + s2[t, k, h]) - offset[k, h])
            tops[t, k] = top + log_prior[k, shift[t]]
            best = max(best, tops[t, k])
    return best


@inlined
def _total(s1, s2, shift, offset, log_prior, scale, two_fold, log_span, best, tops):
    """Return the sum of the weights relative to the best, and how many they are.

    Only (row, class) blocks whose best lies within `log_span` count; in them, whatever is further below than
    that is taken for exp(-log_span), which changes nothing that float64 arithmetic would show.
    """
    n_t, n_k, n_h = s1.shape
    total, n_blocks = 0.0, 0
    for t in range(n_t):
        for k in range(n_k):
            if tops[t, k] <= best - log_span:
                continue
            relative = log_prior[k, shift[t]] - best
            n_blocks += 1
            for h in range(n_h):
                base = np.float64(scale * s1[t, k, h] - offset[k, h]) + relative
                total += exponential(max(min(base + np.float64(scale * s2[t, k, h]), 0.0), -log_span))
            if two_fold:
                for h in range(n_h):
                    base = np.float64(scale * s1[t, k, h] - offset[k, h]) + relative
                    total += exponential(max(min(base - np.float64(scale * s2[t, k, h]), 0.0), -log_span))
    return total, n_blocks * n_h * (2 if two_fold else 1)


@inlined
def _candidates(s1, s2, shift, n_t, offset, log_prior, scale, two_fold, span, best, tops, found):
    """Write the poses that lie less than `span` below the best, unordered; return how many there are."""
    n_rows, n_k, n_h = s1.shape
    ids, log_weights, weights = found
    n = 0
    for k in range(n_k):
        for r in range(n_rows):
            if tops[r, k] > best - span:
                t = shift[r]
                relative = log_prior[k, t] - best
                for h in range(n_h):
                    base = np.float64(scale * s1[r, k, h] - offset[k, h]) + relative
                    second = np.float64(scale * s2[r, k, h])
                    if base + abs(second) <= -span:
                        continue
                    for turn in range(2 if two_fold else 1):
                        value = base + (second if turn == 0 else -second)
                        if value > -span:
                            ids[n] = ((k * n_h + h) * n_t + t) * 2 + turn
                            log_weights[n] = min(value, 0.0)
                            n += 1
    for i in range(n):
        weights[i] = exponential(log_weights[i])
    return n


@inlined
def _is_finite(values):
    total = values.dtype.type(0)
    for p in range(len(values)):
        total += abs(values[p])
    return np.isfinite(total)


@compiled
def select_coarse(
    products, row_start, row_shift, norm, log_prior, images, scale, two_fold, fraction, max_count, log_span
):
    """Return the significant coarse poses of every particle of a block.

    Parameters
    ----------
    products : (s1, s2), each (m, k, h) array
        Inner products of real and of imaginary parts; psi and psi + 180 degrees have s1 + s2 and s1 - s2.
    row_start : (n + 1,) int64, row_shift : (m,) int64
        Where the rows of each particle begin, and the shift of each row: those that are possible.
    norm : (n, k, h) array
        Half the weighted power of the references.
    log_prior : (n, k, t) float64 array
    images : (re, im), each (n, p)
        What the products were made of: a particle whose image is not finite gets no pose.
    scale : (n,) array
        Intensity scale of each particle's group.
    two_fold : bool
    fraction, max_count : see `significant_weight`
    log_span : float
        Poses this far below the best are never significant.

    Returns
    -------
    ids : (m,) int64 array
        Pose ((k * H + h) * T + t) * 2 + turn of each significant pose, ascending within a particle.
    start : (n + 1,) int64 array
        Where each particle's poses begin.
    count : (n,) int64 array
        Significant poses as RELION counts them: equals at the border are not counted, though they are kept.
    """
    n, n_k, n_t = log_prior.shape
    n_h = norm.shape[2]
    n_poses = 2 * n_t * n_k * n_h
    ids, log_weights, weights = np.empty(n_poses, np.int64), np.empty(n_poses), np.empty(n_poses)
    tops, offset = np.empty((n_t, n_k)), np.empty((n_k, n_h), norm.dtype)
    chosen, n_chosen = np.empty(256 * n, np.int64), 0
    start, count = np.zeros(n + 1, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        start[i + 1] = n_chosen
        if not (_is_finite(images[0][i]) and _is_finite(images[1][i]) and np.isfinite(scale[i])):
            continue
        rows = slice(row_start[i], row_start[i + 1])
        s1, s2, shift = products[0][rows], products[1][rows], row_shift[rows]
        for k in range(n_k):
            for h in range(n_h):
                offset[k, h] = scale[i] * scale[i] * norm[i, k, h]
        best = _tops(s1, s2, shift, offset, log_prior[i], scale[i], two_fold, tops)
        if not best > -1e38:
            continue
        total, n_near = _total(s1, s2, shift, offset, log_prior[i], scale[i], two_fold, log_span, best, tops)
        # All poses further below the best than this together hold no more than what the rule leaves out.
        span = min(log_span, np.log(n_near / ((1 - fraction) * total))) if fraction < 1 else log_span
        found = _candidates(
            s1, s2, shift, n_t, offset, log_prior[i], scale[i], two_fold, span, best, tops, (ids, log_weights, weights)
        )
        least, count[i] = significant_weight(log_weights, weights, found, log_span, total, fraction, max_count)
        if n_chosen + found > len(chosen):
            larger = np.empty(max(n_chosen + found, 2 * len(chosen)), np.int64)
            larger[:n_chosen] = chosen[:n_chosen]
            chosen = larger
        first = n_chosen
        for j in range(found):
            if log_weights[j] >= least:
                chosen[n_chosen] = ids[j]
                n_chosen += 1
        chosen[first:n_chosen].sort()
        start[i + 1] = n_chosen
    return chosen[:n_chosen].copy(), start, count
