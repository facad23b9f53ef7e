"""The E-step of one chunk of particles after its dense products: posteriors, and what each particle leaves behind."""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined
from .posterior import add_model_image, add_phases, fine_scores
from .significance import coarse_candidates, significant_weight


@inlined
def _grown(array, needed):
    if needed <= len(array):
        return array
    larger = np.empty(max(needed, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


@inlined
def _significant_ids(ids, log_weights, n, border):
    kept = 0
    for i in range(n):
        if log_weights[i] >= border:
            ids[kept] = ids[i]
            kept += 1
    return kept


@inlined
def _normalise(value, n, log_span):
    """Turn log weights into weights relative to the best, in place; return (best pose, best value, their sum)."""
    best = 0
    for i in range(n):
        if value[i] > value[best]:
            best = i
    top = value[best]
    total = 0.0
    for i in range(n):
        value[i] = max(value[i] - top, -log_span)
        total += np.exp(value[i])
    return best, top, total


@inlined
def _keep_group(start, end, value, shift, border, total, kept_shift, kept_weight):
    """Write shifts and posteriors of the significant poses of a group; return how many, and their sum."""
    n, weight = 0, 0.0
    for e in range(start, end):
        if value[e] >= border:
            p = np.exp(value[e]) / total
            kept_shift[n] = shift[e]
            kept_weight[n] = p
            weight += p
            n += 1
    return n, weight


@inlined
def _moments(k, shifts, weights, n, shifts_px, offset_px, prior_px, sums):
    """Add a group's class weight, mean offset and offset variance (px) to `sums` (k, 4)."""
    for e in range(n):
        w = weights[e]
        x = offset_px[0] + shifts_px[shifts[e], 0]
        y = offset_px[1] + shifts_px[shifts[e], 1]
        sums[k, 0] += w
        sums[k, 1] += w * x
        sums[k, 2] += w * y
        sums[k, 3] += w * ((prior_px[k, 0] - x) ** 2 + (prior_px[k, 1] - y) ** 2)


@inlined
def _residual(model, image, ctf, scale, shell, n_px, out):
    """Add the posterior mean of |image - scale * CTF * model|**2 to `out`, shell by shell.

    Pixels outside the model's radius have no model: their share is added with the rest of the shell by
    the caller, so `out` gets only what differs from posterior * |image|**2.
    """
    for p in range(n_px):
        cross = image[0][p] * model[0][p] - image[1][p] * model[1][p]
        c = scale * ctf[p]
        out[shell[p]] += c * c * model[2][p] - 2 * c * cross


@inlined
def _score_poses(i, products, norm, log_prior, images, grids, n_fine_px, rule, scratch, shift, value):
    """Score the children of particle i's significant coarse poses, group by group.

    Returns (groups, poses, significant coarse poses, shift, value): nothing but zeros if no coarse pose has a
    finite weight; `shift` and `value` are replaced by longer ones where they are too short.
    """
    two_fold, fraction, max_count, log_span = rule
    ids, log_weights, rows, group_out = scratch
    scale = images[6][i]
    found, total, _ = coarse_candidates(
        products[0][:, :, i], products[1][:, :, i], norm[:, :, i], log_prior[i], scale,
        two_fold, log_span, ids, log_weights,
    )  # fmt: skip
    if found == 0:
        return 0, 0, 0, shift, value
    border, n_significant = significant_weight(log_weights, found, log_span, total, fraction, max_count)
    found = _significant_ids(ids, log_weights, found, border)
    shift, value = _grown(shift, 8 * found), _grown(value, 8 * found)
    n_groups, n_poses = fine_scores(
        ids, found, (norm.shape[1], log_prior.shape[2]), images[0][i], images[1][i], images[2][i],
        (grids[0], grids[1]), (grids[2], grids[3]), n_fine_px, scale, log_prior[i], rows, (*group_out, shift, value),
    )  # fmt: skip
    return n_groups, n_poses, n_significant, shift, value


@inlined
def _with_room(kept, n_groups, n_kept):
    """Return the kept groups with room for so many groups and poses in all."""
    g_i, g_k, g_f, g_turn, g_start, shift, weight = kept
    return (
        _grown(g_i, n_groups), _grown(g_k, n_groups), _grown(g_f, n_groups), _grown(g_turn, n_groups),
        _grown(g_start, n_groups + 1), _grown(shift, n_kept), _grown(weight, n_kept),
    )  # fmt: skip


@inlined
def _keep_groups(i, here, rule, group_out, shift, value, images, grids, search, work, kept, counts, sums):
    """Append particle i's groups of significant poses to `kept`, and add up what they say of the image.

    `here` is the number of groups, `rule` (best pose, smallest log weight kept, sum of all weights), `work`
    (re, im, model) scratch, `counts` (groups, poses) kept so far, moved on, `sums` (best pose, scale sums, class
    sums) of the particle, written. Returns the sum of the posteriors kept.
    """
    top_pose, border, total = rule
    g_i, g_k, g_f, g_turn, g_start, kept_shift, kept_weight = kept
    sum_re, sum_im, model = work
    n_groups, n_kept = counts[0], counts[1]
    pose, scale_sums, class_sums = sums
    image, ctf, retained = (images[3][i], images[4][i]), images[5][i], 0.0
    for g in range(here):
        start, end = group_out[3][g], group_out[3][g + 1]
        k, f, turn = group_out[0][g], group_out[1][g], group_out[2][g]
        if start <= top_pose < end:
            pose[0], pose[1], pose[2], pose[3] = k, f, turn, shift[top_pose]
        m, weight = _keep_group(start, end, value, shift, border, total, kept_shift[n_kept:], kept_weight[n_kept:])
        if m == 0:
            continue
        part_shift, part_weight = kept_shift[n_kept : n_kept + m], kept_weight[n_kept : n_kept + m]
        add_phases(part_shift, part_weight, grids[2], grids[3], len(sum_re), sum_re, sum_im)
        add_model_image(
            k, f, turn, (grids[0], grids[1]), sum_re, sum_im, weight, image, ctf,
            grids[6][k], grids[5][k], model, scale_sums,
        )  # fmt: skip
        _moments(k, part_shift, part_weight, m, search[0], images[7][i], search[1], class_sums)
        g_i[n_groups], g_k[n_groups], g_f[n_groups], g_turn[n_groups] = i, k, f, turn
        g_start[n_groups] = n_kept
        n_groups, n_kept, retained = n_groups + 1, n_kept + m, retained + weight
    counts[0], counts[1] = n_groups, n_kept
    return retained


@inlined
def _scratch(n_k, n_h, n_t, n_px, real):
    """Return the work space of the scores of one particle: coarse poses, shifted images, groups."""
    n_groups = 4 * n_k * n_h
    ids, log_weights = np.empty(2 * n_k * n_h * n_t, np.int64), np.empty(2 * n_k * n_h * n_t, np.float64)
    rows = (np.empty((4 * n_t, n_px), real.dtype), np.empty((4 * n_t, n_px), real.dtype))
    k, f, turn = np.empty(n_groups, np.int64), np.empty(n_groups, np.int64), np.empty(n_groups, np.int64)
    return ids, log_weights, rows, (k, f, turn, np.empty(n_groups + 1, np.int64))


@inlined
def _nothing_kept(real):
    g_i, g_k, g_f = np.empty(256, np.int64), np.empty(256, np.int64), np.empty(256, np.int64)
    g_turn, g_start, shift = np.empty(256, np.int64), np.empty(257, np.int64), np.empty(1024, np.int64)
    return g_i, g_k, g_f, g_turn, g_start, shift, np.empty(1024, real.dtype)


@compiled
def weigh_chunk(products, norm, log_prior, images, grids, search, sizes, two_fold, fraction, max_count, log_span):
    """Return the posterior of every particle of a chunk, and its sums.

    Parameters
    ----------
    products : (s1, s2), each (k, h, n, t)
        Coarse inner products of real and of imaginary parts.
    norm : (k, h, n) array
    log_prior : (n, k, t) array
    images : (y_re, y_im, power, x_re, x_im, ctf, scale, offset_px)
        CTF * image / sigma2, CTF**2 / sigma2, image, CTF: each (n, p); scale (n,); offset_px (n, 2).
    grids : (a_re, a_im, phase_re, phase_im, shell, scale_mask, n_scale_px)
        Fine references (k, f, p); phases (4 t, p); shell (p,); pixels (k, p) and prefix (k,) for the scale.
    search : (shifts_px, prior_px)
        Fine shifts (4 t, 2); prior centre of each class in px (k, 2).
    sizes : (n_fine_px, n_px, n_shells)
        Pixels compared in the fine pass, pixels of the sums.

    Returns
    -------
    poses : (n, 5) int64
        Best class, row, turn, shift; number of significant coarse poses (0: no finite weight).
    values : (n, 3) float64
        Largest posterior, log evidence without the image's own terms, sum of retained posteriors.
    residual : (n, n_shells) float64; see `_residual`
    scale_sums : (n, 2) float64
    class_sums : (n, k, 4) float64
    groups : (4, g) int64
        Particle, class, row, turn of each group; then group_start (g + 1,), shift and posterior of each pose.
    group_start, kept_shift, kept_weight
    """
    n_fine_px, n_px, n_shells = sizes
    n_k, n_h, n, n_t = products[0].shape
    real = grids[0]
    scratch = _scratch(n_k, n_h, n_t, n_px, real)
    shift, value = np.empty(64, np.int64), np.empty(64, np.float64)
    model = (np.empty(n_px, real.dtype), np.empty(n_px, real.dtype), np.empty(n_px, real.dtype))
    work = (np.empty(n_px, real.dtype), np.empty(n_px, real.dtype), model)
    poses, values = np.zeros((n, 5), np.int64), np.zeros((n, 3))
    residual, scale_sums, class_sums = np.zeros((n, n_shells)), np.zeros((n, 2)), np.zeros((n, n_k, 4))
    kept, counts = _nothing_kept(real), np.zeros(2, np.int64)
    for i in range(n):
        here, n_poses, n_significant, shift, value = _score_poses(
            i, products, norm, log_prior, images, grids, n_fine_px, (two_fold, fraction, max_count, log_span),
            scratch, shift, value,
        )  # fmt: skip
        if here == 0:
            continue
        top_pose, top, total = _normalise(value, n_poses, 2 * log_span)
        if not np.isfinite(total):
            continue
        border, _ = significant_weight(value, n_poses, 2 * log_span, total, fraction, 0)
        for part in model:
            part[:] = 0
        kept = _with_room(kept, counts[0] + here, counts[1] + n_poses)
        retained = _keep_groups(
            i, here, (top_pose, border, total), scratch[3], shift, value, images, grids, search, work,
            kept, counts, (poses[i], scale_sums[i], class_sums[i]),
        )  # fmt: skip
        image, ctf = (images[3][i], images[4][i]), images[5][i]
        _residual(model, image, ctf, images[6][i], grids[4], n_px, residual[i])
        poses[i, 4] = n_significant
        values[i, 0], values[i, 1], values[i, 2] = 1 / total, top + np.log(total), retained
    g_i, g_k, g_f, g_turn, g_start, kept_shift, kept_weight = kept
    n_groups, n_kept = counts[0], counts[1]
    g_start[n_groups] = n_kept
    groups = (g_i[:n_groups], g_k[:n_groups], g_f[:n_groups], g_turn[:n_groups])
    return (
        poses, values, residual, scale_sums, class_sums,
        groups, g_start[: n_groups + 1], kept_shift[:n_kept], kept_weight[:n_kept],
    )  # fmt: skip
