"""Scores of coarse poses and of the children of the significant ones, in plain array operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow2d.numerics.arrays import array_module, blocks

Array = Any
_MOST_BITS = 40  # of a whole number that stands for the weight of the best pose


@dataclass(frozen=True)
class ChildRows:
    """Fine poses four by four, ordered by particle, class, row, turn and coarse shift.

    Attributes
    ----------
    particle, class_index, row, turn, shift : (r,) int64 arrays
        `row` is that of the fine table, `shift` the coarse one: the poses are its four children.
    group : (r,) int64 array
        Number of the (particle, class, row, turn), ascending.
    value : (r, 4) float64 array
        Log weights.
    """

    particle: Array
    class_index: Array
    row: Array
    turn: Array
    shift: Array
    group: Array
    value: Array


def coarse_weights(products, norm, log_prior, scale, two_fold, log_span):
    """Return log weights relative to each particle's best, (n, k, h, turns, t) float64; -inf beyond `log_span`.

    A particle without a finite weight has nothing but -inf.
    """
    xp = array_module(norm)
    s1, s2 = (xp.moveaxis(part, 2, 0) for part in products)
    factor = scale[:, None, None, None]
    base = (factor * s1).astype(xp.float64) - (factor * factor * xp.moveaxis(norm, 2, 0)[..., None])
    base = base + log_prior[:, :, None, :]
    second = xp.where(xp.isfinite(s2), factor * s2, xp.nan)  # infinity less infinity would warn
    values = xp.stack([base + second, base - second] if two_fold else [base + second], axis=3)
    values = xp.where(xp.isnan(values), -xp.inf, values)
    best = values.reshape(len(values), -1).max(axis=1)
    usable = xp.isfinite(best)
    relative = values - xp.where(usable, best, 0.0)[:, None, None, None, None]
    return xp.where(usable[:, None, None, None, None] & (relative > -log_span), relative, -xp.inf)


def significant(relative, fraction, max_count):
    """Return which weights of each row are significant, (n, m) bool, and how many were counted, (n,).

    Parameters
    ----------
    relative : (n, m) float64 array
        Log weights, 0 for the best; -inf does not count.
    fraction, max_count : see `significance.significant_weight`

    Notes
    -----
    The running sum is over whole numbers, so it is exact, and the same however a device adds it up.
    """
    xp = array_module(relative)
    n, m = relative.shape
    bits = min(_MOST_BITS, 62 - m.bit_length())
    ordered = -xp.sort(-relative, axis=1)
    reached = xp.cumsum(xp.rint(xp.exp(ordered) * 2.0**bits).astype(xp.int64), axis=1)
    enough = reached > fraction * reached[:, -1:]
    if 0 < max_count <= m:
        enough[:, max_count - 1 :] = True
    is_reached, last = enough.any(axis=1), enough.argmax(axis=1)
    is_candidate = relative > -xp.inf
    n_candidates = is_candidate.sum(axis=1)
    border = xp.where(is_reached, ordered[xp.arange(n), last], -xp.inf)
    count = xp.where(is_reached, xp.minimum(last + 1, n_candidates), n_candidates)
    return is_candidate & (relative >= border[:, None]), count


def child_rows(keep, images, grids, n_fine_px, log_prior):
    """Return the children of the significant coarse poses `keep` (n, k, h, turns, t) with their log weights."""
    xp = array_module(keep)
    n, n_k, n_h, n_turns, n_t = keep.shape
    scores = _child_scores(_unravelled(xp.flatnonzero(keep), keep.shape), images, grids, n_fine_px, log_prior)
    twice = xp.broadcast_to(keep[:, :, :, None], (n, n_k, n_h, 2, n_turns, n_t))
    i, k, h, a, turn, t = _unravelled(xp.flatnonzero(xp.ascontiguousarray(twice)), twice.shape)
    number = xp.cumsum(keep.ravel().astype(xp.int64)) - 1
    sample = number[(((i * n_k + k) * n_h + h) * n_turns + turn) * n_t + t]
    row = 2 * h + a
    group = ((i * n_k + k) * (2 * n_h) + row) * n_turns + turn
    return ChildRows(i, k, row, turn, t, group, scores[sample, a])


def _unravelled(flat, shape):
    """Return the index along every axis of flat positions in an array of that shape."""
    indices = []
    for length in reversed(shape):
        indices.append(flat % length)
        flat = flat // length
    return indices[::-1]


def _child_scores(samples, images, grids, n_fine_px, log_prior):
    """Return the log weights (s, 2, 4) of the children, angle by shift, of coarse poses (i, k, h, turn, t)."""
    xp = array_module(log_prior)
    y_re, y_im, power = (part[:, :n_fine_px] for part in images[:3])
    a_re, a_im = (part[:, :, :n_fine_px] for part in grids[:2])
    phase_re, phase_im = (part[:, :n_fine_px] for part in grids[2:4])
    out = xp.empty((len(samples[0]), 2, 4))
    for part in blocks(len(out), 24 * n_fine_px):
        i, k, h, turn, t = (index[part] for index in samples)
        rows, shifts = 2 * h[:, None] + xp.arange(2), 4 * t[:, None] + xp.arange(4)
        ref_re, ref_im = a_re[k[:, None], rows], a_im[k[:, None], rows]
        re, im = y_re[i][:, None], y_im[i][:, None]
        turned_re, turned_im = phase_re[shifts], phase_im[shifts]
        first = xp.matmul(ref_re, (re * turned_re - im * turned_im).swapaxes(1, 2))
        second = xp.matmul(ref_im, (re * turned_im + im * turned_re).swapaxes(1, 2))
        half_power = xp.matmul(ref_re**2 + ref_im**2, power[i][:, :, None]) / 2
        scale = images[6][i][:, None, None]
        sign = scale * (1 - 2 * turn).astype(scale.dtype)[:, None, None]
        value = scale * first + sign * second - scale * scale * half_power
        out[part] = value + log_prior[i, k, t][:, None, None]
    return out


def best_and_posterior(rows, n_particles, fraction, log_span):
    """Return the posterior of every fine pose, and which pose of each particle is best.

    Returns
    -------
    usable : (n,) bool
        False for a particle without a finite weight.
    best, child : (n,) int64
        Row and child of the best pose.
    posterior : (r, 4) float64
        0 where a pose is not significant.
    values : (n, 3) float64, see `chunk.weigh_chunk`
    """
    xp = array_module(rows.value)
    particles = xp.arange(n_particles)
    first = xp.searchsorted(rows.particle, particles, side="left")
    width = int((xp.searchsorted(rows.particle, particles, side="right") - first).max())
    place = (rows.particle, xp.arange(len(rows.particle)) - first[rows.particle])
    padded = xp.full((n_particles, width, 4), -xp.inf)
    padded[place] = rows.value
    padded = padded.reshape(n_particles, 4 * width)
    top = padded.max(axis=1)
    usable = xp.isfinite(top)
    top = xp.where(usable, top, 0.0)
    relative = padded - top[:, None]
    relative = xp.where(usable[:, None] & (relative > -xp.inf), xp.maximum(relative, -2 * log_span), -xp.inf)
    weights = xp.exp(relative)
    total = xp.where(usable, weights.sum(axis=1), 1.0)
    keep, _ = significant(relative, fraction, 0)
    posterior = xp.where(keep, weights / total[:, None], 0.0)
    values = xp.stack([1 / total, top + xp.log(total), posterior.sum(axis=1)], axis=1)
    values = xp.where(usable[:, None], values, 0.0)
    at = padded.argmax(axis=1)
    best = xp.minimum(first + at // 4, len(rows.particle) - 1)
    return usable, best, at % 4, posterior.reshape(n_particles, width, 4)[place], values
