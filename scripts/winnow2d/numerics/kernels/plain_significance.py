"""Which coarse poses carry the posterior, in plain array operations; see `significance`."""

from __future__ import annotations

import math
from typing import Any

from winnow2d.numerics.arrays import array_module, blocks

Array = Any
_MOST_BITS = 40


def select_coarse(products, norm, log_prior, images, scale, two_fold, fraction, max_count, log_span, rows=None):
    """Return the significant coarse poses of every particle of a block; see `loops.select_coarse`.

    Every particle has every shift here: `rows` is None.
    """
    assert rows is None
    xp = array_module(norm)
    n, n_t, n_k, n_h = products[0].shape
    n_poses, turns = 2 * n_t * n_k * n_h, 2 if two_fold else 1
    span = candidate_span(n_poses, fraction, log_span)
    ids, sizes, counts = [], [], []
    for own in blocks(n, 8 * n_poses):
        mine, is_usable = [part[own] for part in products], _is_finite(images, own) & xp.isfinite(scale[own])
        relative = coarse_weights(mine, norm[own], log_prior[own], scale[own], is_usable, two_fold, log_span)
        relative = relative.reshape(len(relative), -1)
        keep, count = significant(relative, fraction, max_count, span)
        ids.append(xp.flatnonzero(keep) % keep.shape[1] * (2 // turns))
        sizes.append(keep.sum(axis=1))
        counts.append(count)
    if not ids:
        return xp.zeros(0, xp.int64), xp.zeros(1, xp.int64), xp.zeros(0, xp.int64)
    start = xp.concatenate([xp.zeros(1, xp.int64), xp.cumsum(xp.concatenate(sizes).astype(xp.int64))])
    return xp.concatenate(ids), start, xp.concatenate(counts)


def candidate_span(n_poses, fraction, log_span):
    """Return how far below the best a pose may lie: all that lie further hold less than the rule leaves out."""
    return min(log_span, math.log(n_poses / (1 - fraction))) if fraction < 1 else log_span


def bits_of_weights(n):
    """Return of how many bits the whole number is that stands for the largest of n weights; their sum fits in 63."""
    return min(_MOST_BITS, 62 - n.bit_length())


def _is_finite(images, own):
    xp = array_module(images[0])
    return xp.isfinite(images[0][own]).all(axis=1) & xp.isfinite(images[1][own]).all(axis=1)


def coarse_weights(products, norm, log_prior, scale, is_usable, two_fold, log_span):
    """Return log weights relative to each particle's best, (n, k, h, t, turns) float64; -inf beyond `log_span`.

    A particle that is not usable (n,), or without a finite weight, has nothing but -inf.
    """
    xp = array_module(norm)
    s1, s2 = (xp.where(is_usable[:, None, None, None], xp.moveaxis(part, 1, 3), 0) for part in products)
    factor = xp.where(is_usable, scale, 0)[:, None, None, None]
    offset = factor * factor * xp.where(is_usable[:, None, None], norm, 0)[..., None]
    base = (factor * s1 - offset).astype(xp.float64) + log_prior[:, :, None, :]
    second = (factor * s2).astype(xp.float64)
    values = xp.stack([base + second, base - second] if two_fold else [base + second], axis=4)
    best = values.reshape(len(values), -1).max(axis=1)
    usable = is_usable & xp.isfinite(best)
    relative = values - xp.where(usable, best, 0.0)[:, None, None, None, None]
    return xp.where(usable[:, None, None, None, None] & (relative > -log_span), relative, -xp.inf)


def significant(relative, fraction, max_count, span=math.inf):
    """Return which weights of each row are significant, (n, m) bool, and how many were counted, (n,).

    Parameters
    ----------
    relative : (n, m) float64 array
        Log weights, 0 for the best; -inf does not count.
    fraction, max_count : see `significance.significant_weight`
    span : float
        Weights this far below the best count in the sum of all, but are never significant.

    Notes
    -----
    The running sum is over whole numbers, so it is exact, and the same however a device adds it up.
    """
    xp = array_module(relative)
    n, m = relative.shape
    ordered = -xp.sort(-relative, axis=1)
    reached = xp.cumsum(xp.rint(xp.exp(ordered) * 2.0 ** bits_of_weights(m)).astype(xp.int64), axis=1)
    enough = reached > fraction * reached[:, -1:]
    if 0 < max_count <= m:
        enough[:, max_count - 1 :] = True
    is_reached, last = enough.any(axis=1), enough.argmax(axis=1)
    is_candidate = relative > -span
    n_candidates = is_candidate.sum(axis=1)
    border = xp.where(is_reached, ordered[xp.arange(n), last], -xp.inf)
    count = xp.where(is_reached, xp.minimum(last + 1, n_candidates), n_candidates)
    return is_candidate & (relative >= border[:, None]), count
