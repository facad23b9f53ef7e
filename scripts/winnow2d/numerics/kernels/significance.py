"""Which poses carry the posterior: RELION's rule of the smallest set that holds a fraction of the weight."""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined, larger

N_BINS = 512
BLOCK = 32  # columns of a row of products that are looked at together, or passed over together
_UNIT = 16  # numbers written at a time where one is repeated


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


@inlined
def _spread_prior(log_prior, t, n_h, row):
    """Write the log prior of shift t to the columns (class by class, n_h each) of a row of products."""
    for k in range(log_prior.shape[0]):
        value = row.dtype.type(log_prior[k, t])
        for first in range(0, n_h, _UNIT):  # what is written too far is overwritten by the next class
            for j in range(_UNIT):
                row[np.uint64(k * n_h + first + j)] = value


@inlined
def _top(s1, s2, prior, offset, scale, two_fold, first, width):
    top = s1.dtype.type(-3e38)
    for j in range(width):
        c = np.uint64(first + j)
        second = abs(s2[c]) if two_fold else s2[c]
        top = larger(top, scale * (s1[c] + second) + (prior[c] - offset[c]))  # type: ignore[call-arg]  # numba gives the context
    return top


@inlined
def _tops(s1, s2, shift, prior, n_h, offset, log_prior, scale, two_fold, tops):
    """Write the best log weight of every block of every row, (r, b), and return the best of all."""
    n_c, best = s1.shape[1], s1.dtype.type(-3e38)
    for r in range(len(s1)):
        _spread_prior(log_prior, shift[r], n_h, prior)
        for b in range(n_c // BLOCK):
            tops[r, b] = _top(s1[r], s2[r], prior, offset, scale, two_fold, b * BLOCK, BLOCK)
            best = max(best, tops[r, b])
        if n_c % BLOCK:
            first = n_c - n_c % BLOCK
            tops[r, n_c // BLOCK] = _top(s1[r], s2[r], prior, offset, scale, two_fold, first, n_c - first)
            best = max(best, tops[r, n_c // BLOCK])
    return np.float64(best)


@inlined
def _count_above(tops, n_rows, least):
    n = 0
    for r in range(n_rows):
        for b in range(tops.shape[1]):
            n += tops[r, b] > least
    return n


@inlined
def _write_values(s1, s2, prior, offset, scale, best, first, width, out):
    for j in range(width):
        c = np.uint64(first + j)
        base, second = scale * s1[c] + (prior[c] - offset[c]), scale * s2[c]
        out[0, j] = np.float64(base + second) - best
        out[1, j] = np.float64(base - second) - best


@inlined
def _values(s1, s2, prior, offset, scale, best, first, out):
    """Write the log weights of a block relative to the best at both turns, (2, BLOCK); -inf beyond the last column."""
    if first + BLOCK <= len(s1):
        _write_values(s1, s2, prior, offset, scale, best, first, BLOCK, out)
    else:
        out[:] = -np.inf
        _write_values(s1, s2, prior, offset, scale, best, first, len(s1) - first, out)


@inlined
def _total(s1, s2, shift, prior, n_h, offset, log_prior, scale, two_fold, log_span, best, tops, values):
    """Return the sum of the weights relative to the best, and how many they are.

    Only blocks whose best lies within `log_span` count; in them, whatever is further below than that is taken for
    exp(-log_span), which changes nothing that float64 arithmetic would show.
    """
    total, n_blocks, turns = 0.0, 0, 2 if two_fold else 1
    for r in range(len(s1)):
        _spread_prior(log_prior, shift[r], n_h, prior)
        for b in range(tops.shape[1]):
            if tops[r, b] <= best - log_span:
                continue
            n_blocks += 1
            _values(s1[r], s2[r], prior, offset, scale, best, b * BLOCK, values)
            for turn in range(turns):
                for j in range(BLOCK):
                    total += exponential(max(min(values[turn, j], 0.0), -log_span))
    return total, n_blocks * BLOCK * turns


@inlined
def _candidates(s1, s2, shift, prior, n_h, n_t, offset, log_prior, scale, two_fold, span, best, tops, values, found):
    """Write the poses that lie less than `span` below the best, unordered; return how many there are.

    Every value of a block is written, and the next one over it unless it is to stay: no branch to guess.
    """
    ids, log_weights, weights = found
    n = 0
    for r in range(len(s1)):
        t = shift[r]
        _spread_prior(log_prior, t, n_h, prior)
        for b in range(tops.shape[1]):
            if tops[r, b] <= best - span:
                continue
            _values(s1[r], s2[r], prior, offset, scale, best, b * BLOCK, values)
            for turn in range(2 if two_fold else 1):
                for j in range(BLOCK):
                    at = np.uint64(n)
                    ids[at] = ((b * BLOCK + j) * n_t + t) * 2 + turn
                    log_weights[at] = values[turn, j]
                    n += values[turn, j] > -span
    for i in range(n):
        log_weights[i] = min(log_weights[i], 0.0)
        weights[i] = exponential(log_weights[i])
    return n


@inlined
def grown(array, needed):
    """Return the array, or a larger one that begins like it."""
    if needed <= len(array):
        return array
    longer = np.empty(max(needed, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


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
    products : (s1, s2), each (m, k * h) array
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
    n_h, n_c = norm.shape[2], n_k * norm.shape[2]
    ids, log_weights, weights = np.empty(1024, np.int64), np.empty(1024), np.empty(1024)
    tops, values = np.empty((n_t, -(-n_c // BLOCK)), norm.dtype), np.empty((2, BLOCK))
    offset, prior = np.empty(n_c, norm.dtype), np.empty(n_c + _UNIT, norm.dtype)
    chosen, n_chosen = np.empty(256 * n, np.int64), 0
    start, count, norm_of = np.zeros(n + 1, np.int64), np.zeros(n, np.int64), norm.reshape(n, n_c)
    for i in range(n):
        start[i + 1] = n_chosen
        if not (_is_finite(images[0][i]) and _is_finite(images[1][i]) and np.isfinite(scale[i])):
            continue
        rows = slice(row_start[i], row_start[i + 1])
        s1, s2, shift = products[0][rows], products[1][rows], row_shift[rows]
        for c in range(n_c):
            offset[c] = scale[i] * scale[i] * norm_of[i, c]
        best = _tops(s1, s2, shift, prior, n_h, offset, log_prior[i], scale[i], two_fold, tops)
        if not best > -1e38:
            continue
        total, n_near = _total(
            s1, s2, shift, prior, n_h, offset, log_prior[i], scale[i], two_fold, log_span, best, tops, values
        )
        # All poses further below the best than this together hold no more than what the rule leaves out.
        span = min(log_span, np.log(n_near / ((1 - fraction) * total))) if fraction < 1 else log_span
        most = 2 * BLOCK * _count_above(tops, len(s1), best - span) + 1
        ids, log_weights, weights = grown(ids, most), grown(log_weights, most), grown(weights, most)
        found = _candidates(
            s1, s2, shift, prior, n_h, n_t, offset, log_prior[i], scale[i], two_fold, span, best, tops, values,
            (ids, log_weights, weights),
        )  # fmt: skip
        least, count[i] = significant_weight(log_weights, weights, found, log_span, total, fraction, max_count)
        chosen = grown(chosen, n_chosen + found + 1)
        first = n_chosen
        for j in range(found):
            chosen[n_chosen] = ids[j]
            n_chosen += log_weights[j] >= least
        chosen[first:n_chosen].sort()
        start[i + 1] = n_chosen
    return chosen[:n_chosen].copy(), start, count
