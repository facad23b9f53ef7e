"""The fine pass: scores of the children of significant coarse poses, and the posterior they make.

Pose (class k, row f, turn) has the in-plane angle of row f of the fine reference table, plus 180 degrees if
turn is 1 (the conjugate reference). A group is all poses of a particle with one class, row and turn.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined
from .significance import exponential, grown, significant_weight
from .top_classes import N_TOP, NONE, write_top_classes

_REGISTERS = 32  # pixels that a loop takes at a time: what is left over costs as much again


@inlined
def _padded_px(n_px, n_given):
    """Return how many pixels loops run over: whole registers where images are as long, zeros beyond n_px."""
    return min(-(-n_px // _REGISTERS) * _REGISTERS, n_given)


@inlined
def _shift_rows(y_re, y_im, phase_re, phase_im, t, row_re, row_im):
    for j in range(4 * t, 4 * t + 4):
        a, b, cos, sin = row_re[j], row_im[j], phase_re[j], phase_im[j]
        for p in range(len(y_re)):
            a[p] = y_re[p] * cos[p] - y_im[p] * sin[p]
            b[p] = y_re[p] * sin[p] + y_im[p] * cos[p]


@inlined
def _products(a, b, row, out):
    """Write out[0, j] = sum(a * row[j]) and out[1, j] = sum(b * row[j]) for four rows, two angles at a time."""
    s0 = s1 = s2 = s3 = a.dtype.type(0)
    u0 = u1 = u2 = u3 = a.dtype.type(0)
    r0, r1, r2, r3 = row[0], row[1], row[2], row[3]
    for p in range(len(r0)):
        s0 += a[p] * r0[p]
        s1 += a[p] * r1[p]
        s2 += a[p] * r2[p]
        s3 += a[p] * r3[p]
        u0 += b[p] * r0[p]
        u1 += b[p] * r1[p]
        u2 += b[p] * r2[p]
        u3 += b[p] * r3[p]
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = s0, s1, s2, s3
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = u0, u1, u2, u3


@inlined
def _half_power(weight, a_re, a_im):
    total = weight.dtype.type(0)
    for p in range(len(weight)):
        total += weight[p] * (a_re[p] * a_re[p] + a_im[p] * a_im[p])
    return total * weight.dtype.type(0.5)


@inlined
def _score(ids, shape, image, refs, phases, scale, log_prior, scratch, out):
    """Write the log weights of all children of the coarse poses `ids`, group by group; return (groups, poses)."""
    n_h, n_t = shape
    a_re, a_im = refs
    y_re, y_im, power = image
    group_k, group_f, group_turn, group_start, shift, value = out
    row_re, row_im, is_shifted, turns, seen, real, imaginary = scratch
    is_shifted[:] = False
    n_groups, n_poses, i = 0, 0, 0
    while i < len(ids):
        kh = ids[i] // (2 * n_t)
        k, h, n_seen = kh // n_h, kh % n_h, 0
        while i < len(ids) and ids[i] // (2 * n_t) == kh:  # ascending: a shift's turns follow one another
            t = (ids[i] // 2) % n_t
            if n_seen == 0 or seen[n_seen - 1] != t:
                seen[n_seen], turns[n_seen] = t, 0
                n_seen += 1
            turns[n_seen - 1] |= 1 + ids[i] % 2
            i += 1
        for e in range(n_seen):
            t = seen[e]
            part = slice(4 * t, 4 * t + 4)
            if not is_shifted[t]:
                _shift_rows(y_re, y_im, phases[0], phases[1], t, row_re, row_im)
                is_shifted[t] = True
            _products(a_re[k, 2 * h], a_re[k, 2 * h + 1], row_re[part], real[e])
            _products(a_im[k, 2 * h], a_im[k, 2 * h + 1], row_im[part], imaginary[e])
        for a in range(2):
            f = 2 * h + a
            offset = np.float64(scale * scale * _half_power(power, a_re[k, f], a_im[k, f]))
            for turn in range(2):
                start = n_poses
                sign = scale if turn == 0 else -scale
                for e in range(n_seen):
                    if turns[e] & (1 + turn):
                        t = seen[e]
                        for j in range(4):
                            shift[n_poses] = 4 * t + j
                            value[n_poses] = (
                                np.float64(scale * real[e, a, j] + sign * imaginary[e, a, j]) - offset + log_prior[k, t]
                            )
                            n_poses += 1
                if n_poses > start:
                    group_k[n_groups], group_f[n_groups], group_turn[n_groups] = k, f, turn
                    group_start[n_groups] = start
                    n_groups += 1
    group_start[n_groups] = n_poses
    return n_groups, n_poses


@inlined
def _normalise(value, weights, n, log_span):
    """Make log weights relative to the best, in place, and write the weights; return (best pose, best value, sum)."""
    best = 0
    for i in range(n):
        if value[i] > value[best]:
            best = i
    top = value[best]
    total = 0.0
    for i in range(n):
        value[i] = max(value[i] - top, -log_span)
        weights[i] = exponential(value[i])
        total += weights[i]
    return best, top, total


@inlined
def _keep(i, n_groups, found, weights, border, total, thin, draw, kept, counts):
    """Append the groups of particle i whose poses carry posterior to `kept`; return the sum of what is kept.

    A posterior below `thin` is kept as `thin` or not at all, so that the expected sum is what it was: every
    time the running sum of the small ones passes a multiple of `thin` (counted from `draw`) one is kept.
    """
    group_k, group_f, group_turn, group_start, shift, value = found
    g_i, g_k, g_f, g_turn, g_start, kept_shift, kept_weight = kept
    n_kept_groups, n_kept, retained, small = counts[0], counts[1], 0.0, draw
    for g in range(n_groups):
        first = n_kept
        for e in range(group_start[g], group_start[g + 1]):
            if value[e] < border:
                continue
            p = weights[e] / total
            if p < thin:
                before = np.floor(small)
                small += p / thin
                if np.floor(small) == before:
                    continue
                p = thin
            kept_shift[n_kept], kept_weight[n_kept] = shift[e], p
            retained += p
            n_kept += 1
        if n_kept > first:
            g_i[n_kept_groups], g_k[n_kept_groups], g_f[n_kept_groups] = i, group_k[g], group_f[g]
            g_turn[n_kept_groups], g_start[n_kept_groups] = group_turn[g], first
            n_kept_groups += 1
    counts[0], counts[1] = n_kept_groups, n_kept
    return retained


@inlined
def _place(best, n_groups, found, pose):
    """Write class, row, turn and shift of pose number `best`."""
    group_k, group_f, group_turn, group_start, shift, _ = found
    for g in range(n_groups):
        if group_start[g] <= best < group_start[g + 1]:
            pose[0], pose[1], pose[2], pose[3] = group_k[g], group_f[g], group_turn[g], shift[best]


@inlined
def _scratch(shape, n_k, n_px, real):
    """Return work space: shifted images and products; an image; found groups, without shift and value."""
    n_h, n_t = shape
    rows = (np.empty((4 * n_t, n_px), real.dtype), np.empty((4 * n_t, n_px), real.dtype))
    image = (np.zeros(n_px, real.dtype), np.zeros(n_px, real.dtype), np.zeros(n_px, real.dtype))
    products = (np.empty((n_t, 2, 4), real.dtype), np.empty((n_t, 2, 4), real.dtype))
    n = 4 * n_k * n_h
    groups = (np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n + 1, np.int64))
    shifts = (np.zeros(n_t, np.bool_), np.zeros(n_t, np.int64), np.zeros(n_t, np.int64))
    return (*rows, *shifts, *products), image, groups


@inlined
def _room(kept, n_groups, n_poses):
    g_i, g_k, g_f, g_turn, g_start, shift, weight = kept
    return (
        grown(g_i, n_groups), grown(g_k, n_groups), grown(g_f, n_groups), grown(g_turn, n_groups),
        grown(g_start, n_groups + 1), grown(shift, n_poses), grown(weight, n_poses),
    )  # fmt: skip


@inlined
def _nothing_kept(real):
    g_i, g_k, g_f = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64)
    g_turn, g_start, shift = np.empty(1024, np.int64), np.empty(1025, np.int64), np.empty(4096, np.int64)
    return g_i, g_k, g_f, g_turn, g_start, shift, np.empty(4096, real.dtype)


@compiled
def score_fine(ids, first, count, shape, images, scale, refs, phases, log_prior, n_px, fraction, log_span, thin, draws):
    """Return the posterior of every particle of a chunk over the children of its coarse poses.

    Parameters
    ----------
    ids, first, count : arrays
        Coarse poses of each particle, see `select_coarse`.
    shape : (n_h, n_t) of the coarse grid
    images : (y_re, y_im, power), each (n, p)
        CTF * image / sigma2 and CTF**2 / sigma2.
    scale : (n,) array
    refs : (a_re, a_im), each (k, f, p); row 2 h + a is child a of coarse row h
    phases : (re, im), each (4 t, p); row 4 t + j is child j of coarse shift t
    log_prior : (n, k, t) float64 array
    n_px : int
        Pixels compared.
    fraction : float
        Share of the posterior that is kept, in the most probable poses.
    thin : float
        Posterior below which a pose is kept by chance, with this weight; 0 keeps all. See `_keep`.
    draws : (n,) float64 array, in [0, 1)

    Returns
    -------
    poses : (n, 5 + N_TOP) int64
        Best class, row, turn, shift; number of significant coarse poses (0: no finite weight); the classes with the
        largest posteriors, see `top_classes`.
    values : (n, 3 + N_TOP) float64
        Largest posterior, log evidence without the image's own terms, sum of retained posteriors; posteriors of the
        classes with the largest, of all poses scored.
    groups : particle, class, row, turn, each (g,) int64
    start : (g + 1,) int64, shift (m,) int64, weight (m,) real
        Where a group's poses begin; the shift and the posterior of each pose.
    """
    n, n_k = len(count), refs[0].shape[0]
    n_padded = _padded_px(n_px, images[0].shape[1])
    work, image, (group_k, group_f, group_turn, group_start) = _scratch(shape, n_k, n_padded, refs[0])
    shift, value, weights = np.empty(1024, np.int64), np.empty(1024), np.empty(1024)
    poses, values = np.zeros((n, 5 + N_TOP), np.int64), np.zeros((n, 3 + N_TOP))
    poses[:, 5:] = NONE
    kept, counts = _nothing_kept(refs[0]), np.zeros(2, np.int64)
    for i in range(n):
        mine = ids[first[i] : first[i + 1]]
        if len(mine) == 0:
            continue
        shift, value = grown(shift, 16 * len(mine)), grown(value, 16 * len(mine))
        weights = grown(weights, len(value))
        found = (group_k, group_f, group_turn, group_start, shift, value)
        image[0][:n_px], image[1][:n_px], image[2][:n_px] = (
            images[0][i, :n_px],
            images[1][i, :n_px],
            images[2][i, :n_px],
        )
        n_groups, n_poses = _score(mine, shape, image, refs, phases, scale[i], log_prior[i], work, found)
        best, top, total = _normalise(value, weights, n_poses, 2 * log_span)
        if not np.isfinite(total):
            continue
        border, _ = significant_weight(value, weights, n_poses, 2 * log_span, total, fraction, 0)
        kept = _room(kept, counts[0] + n_groups, counts[1] + n_poses)
        retained = _keep(i, n_groups, found, weights, border, total, thin, draws[i], kept, counts)
        _place(best, n_groups, found, poses[i])
        write_top_classes(n_groups, group_k, group_start, weights, total, poses[i, 5:], values[i, 3:])
        poses[i, 4] = count[i]
        values[i, 0], values[i, 1], values[i, 2] = 1 / total, top + np.log(total), retained
    g_i, g_k, g_f, g_turn, g_start, kept_shift, kept_weight = kept
    n_groups, n_kept = counts[0], counts[1]
    g_start[n_groups] = n_kept
    groups = (g_i[:n_groups].copy(), g_k[:n_groups].copy(), g_f[:n_groups].copy(), g_turn[:n_groups].copy())
    return (
        poses, values, groups, g_start[: n_groups + 1].copy(), kept_shift[:n_kept].copy(), kept_weight[:n_kept].copy()
    )  # fmt: skip
