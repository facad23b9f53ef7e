"""Fine poses of the significant coarse ones, their posterior, and what a particle leaves behind.

One particle at a time, in three steps: `coarse_candidates` picks coarse poses, `fine_scores` scores their
2 x 4 children, `particle_sums` adds up the model image. Pose (class k, row f, turn) has the in-plane angle
of row f of the fine reference table, plus 180 degrees if turn is 1 (the conjugate reference).
"""

from __future__ import annotations

import numpy as np

from .compiled import inlined


@inlined
def _shift_rows(y_re, y_im, phase_re, phase_im, t, n_px, row_re, row_im):
    for j in range(4 * t, 4 * t + 4):
        for p in range(n_px):
            row_re[j, p] = y_re[p] * phase_re[j, p] - y_im[p] * phase_im[j, p]
            row_im[j, p] = y_re[p] * phase_im[j, p] + y_im[p] * phase_re[j, p]


@inlined
def _products(a_re, a_im, row_re, row_im, n_px, out):
    """Write out[0, j] = sum(a_re * row_re[j]) and out[1, j] = sum(a_im * row_im[j]) for four rows."""
    s0 = s1 = s2 = s3 = a_re[0] * 0
    u0 = u1 = u2 = u3 = a_re[0] * 0
    r0, r1, r2, r3 = row_re[0], row_re[1], row_re[2], row_re[3]
    i0, i1, i2, i3 = row_im[0], row_im[1], row_im[2], row_im[3]
    for p in range(n_px):
        s0 += a_re[p] * r0[p]
        s1 += a_re[p] * r1[p]
        s2 += a_re[p] * r2[p]
        s3 += a_re[p] * r3[p]
        u0 += a_im[p] * i0[p]
        u1 += a_im[p] * i1[p]
        u2 += a_im[p] * i2[p]
        u3 += a_im[p] * i3[p]
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = s0, s1, s2, s3
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = u0, u1, u2, u3


@inlined
def _half_power(weight, a_re, a_im, n_px):
    total = weight[0] * 0
    for p in range(n_px):
        total += weight[p] * (a_re[p] * a_re[p] + a_im[p] * a_im[p])
    return 0.5 * total


@inlined
def fine_scores(ids, n_ids, shape, y_re, y_im, power, refs, phases, n_px, scale, log_prior, rows, out):
    """Write the log weights of all children of the coarse poses `ids`, group by group.

    Parameters
    ----------
    ids : (>= n_ids,) int64 array, ascending; see `coarse_candidates`
    shape : (n_h, n_t) of the coarse grid
    y_re, y_im : (p,) arrays
        CTF * image / sigma2.
    power : (p,) array
        CTF**2 / sigma2.
    refs : (a_re, a_im), each (k, f, p); row 2 h + a is child a of coarse row h
    phases : (re, im), each (4 t, p); row 4 t + j is child j of coarse shift t
    rows : two (4 t, p) arrays of scratch
    out : (group_k, group_f, group_turn, group_start, shift, value), written

    Returns
    -------
    n_groups, n_poses
    """
    n_h, n_t = shape
    a_re, a_im = refs
    group_k, group_f, group_turn, group_start, shift, value = out
    row_re, row_im = rows
    is_shifted = np.zeros(n_t, np.bool_)
    turns = np.zeros(n_t, np.int64)
    block = np.empty((n_t, 2, 4), a_re.dtype)
    n_groups, n_poses, i = 0, 0, 0
    while i < n_ids:
        kh = ids[i] // (2 * n_t)
        k, h = kh // n_h, kh % n_h
        turns[:] = 0
        while i < n_ids and ids[i] // (2 * n_t) == kh:
            turns[(ids[i] // 2) % n_t] |= 1 + ids[i] % 2
            i += 1
        for t in range(n_t):
            if turns[t] and not is_shifted[t]:
                _shift_rows(y_re, y_im, phases[0], phases[1], t, n_px, row_re, row_im)
                is_shifted[t] = True
        for f in range(2 * h, 2 * h + 2):
            offset = scale * scale * _half_power(power, a_re[k, f], a_im[k, f], n_px)
            for t in range(n_t):
                if turns[t]:
                    part = slice(4 * t, 4 * t + 4)
                    _products(a_re[k, f], a_im[k, f], row_re[part], row_im[part], n_px, block[t])
            for turn in range(2):
                start = n_poses
                sign = scale if turn == 0 else -scale
                for t in range(n_t):
                    if turns[t] & (1 + turn):
                        for j in range(4):
                            shift[n_poses] = 4 * t + j
                            value[n_poses] = scale * block[t, 0, j] + sign * block[t, 1, j] - offset + log_prior[k, t]
                            n_poses += 1
                if n_poses > start:
                    group_k[n_groups], group_f[n_groups], group_turn[n_groups] = k, f, turn
                    group_start[n_groups] = start
                    n_groups += 1
    group_start[n_groups] = n_poses
    return n_groups, n_poses


@inlined
def add_model_image(
    k, f, turn, refs, phase_re, phase_im, weight, image, ctf, n_scale_px, scale_mask, model, scale_sums
):
    """Add one group's share to the particle's model image and to its intensity-scale sums.

    Parameters
    ----------
    phase_re, phase_im : (p,) arrays
        Sum over the group's shifts of posterior * phase factor.
    weight : float
        Sum of the group's posteriors.
    image : (x_re, x_im); ctf : (p,)
    n_scale_px, scale_mask : int, (p,) array
        Pixels that count for the intensity scale of class k: a prefix, and 0 or 1 in it.
    model : (re, im, power), each (p,), added to
        sum of posterior * conj(A) * phase, and of posterior * |A|**2.
    scale_sums : (2,) float64 array, added to
        Signal times reference, and reference squared.
    """
    a_re, a_im = refs[0][k, f], refs[1][k, f]
    m_re, m_im, m_power = model
    zero = a_re[0] * 0
    sign, weight = zero + (1 if turn == 0 else -1), zero + weight
    for p in range(len(m_re)):
        m_re[p] += a_re[p] * phase_re[p] + sign * a_im[p] * phase_im[p]
        m_im[p] += a_re[p] * phase_im[p] - sign * a_im[p] * phase_re[p]
        m_power[p] += weight * (a_re[p] * a_re[p] + a_im[p] * a_im[p])
    x_re, x_im = image
    cross, square = a_re[0] * 0, a_re[0] * 0
    for p in range(n_scale_px):
        re = a_re[p] * phase_re[p] + sign * a_im[p] * phase_im[p]
        im = a_re[p] * phase_im[p] - sign * a_im[p] * phase_re[p]
        cross += scale_mask[p] * ctf[p] * (x_re[p] * re - x_im[p] * im)
        square += scale_mask[p] * ctf[p] * ctf[p] * (a_re[p] * a_re[p] + a_im[p] * a_im[p])
    scale_sums[0] += cross
    scale_sums[1] += weight * square


@inlined
def add_phases(shifts, weights, phase_re, phase_im, n_px, out_re, out_im):
    """Write sum over poses of weight * phase factor of its shift; returns nothing."""
    out_re[:] = 0
    out_im[:] = 0
    for e in range(len(shifts)):
        w, t = weights[e], shifts[e]
        for p in range(n_px):
            out_re[p] += w * phase_re[t, p]
            out_im[p] += w * phase_im[t, p]
