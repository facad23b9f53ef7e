"""The E-step's and the M-step's loops over poses as CUDA kernels, with the contract of `loops`."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.arrays import array_module
from winnow2d.numerics.kernels import plain_fine
from winnow2d.numerics.kernels.plain_significance import bits_of_weights, candidate_span
from winnow2d.numerics.shells import shell_sums

from .launch import TILE, laid_out, launch, tiles

_COARSE_THREADS, _FINE_THREADS = 256, 64  # as coarse.cu and fine.cu say


def select_coarse(products, norm, log_prior, images, scale, two_fold, fraction, max_count, log_span, rows=None):
    """Return the significant coarse poses of every particle; see `significance.select_coarse`."""
    xp, real = array_module(norm), norm.dtype
    n, n_t, n_k, n_h = products[0].shape
    n_poses, turns = 2 * n_t * n_k * n_h, 2 if two_fold else 1
    span = float(candidate_span(n_poses, fraction, log_span))
    unit = 2.0 ** bits_of_weights(n_poses // 2 * turns)
    s1, s2, norm, re, im, scale = (laid_out(part, real) for part in (*products, norm, *images, scale))
    log_prior, shape = laid_out(log_prior, np.float64), (n_t, n_k, n_h, turns)
    best, border = xp.zeros(n), xp.zeros(n, np.uint64)
    count, kept = xp.zeros(n, np.int64), xp.zeros(n, np.int64)
    launch(
        "coarse", "find_border", real, (n,), _COARSE_THREADS, s1, s2, norm, log_prior, re, im, scale, re.shape[1],
        *shape, float(fraction), int(max_count), float(log_span), span, unit, best, border, count, kept,
    )  # fmt: skip
    start = xp.concatenate([xp.zeros(1, np.int64), xp.cumsum(kept)])
    found = xp.zeros(int(start[-1]), np.int64)
    launch(
        "coarse", "collect", real, (n,), _COARSE_THREADS, s1, s2, norm, log_prior, scale, *shape, span, best, border,
        start, found,
    )  # fmt: skip
    return xp.sort(found) % n_poses, start, count


def _child_scores(ids, particle, shape, images, scale, refs, phases, log_prior, n_px):
    """Return the log weights (s, 2, 4) of the children of coarse poses; see `plain_fine.child_scores`."""
    real, (n_h, n_t) = refs[0].dtype, shape
    y_re, y_im, power, a_re, a_im, phase_re, phase_im, scale = (
        laid_out(part, real) for part in (*images, *refs, *phases, scale)
    )
    out = array_module(ids).empty((len(ids), 2, 4))
    launch(
        "fine", "child_scores", real, (len(ids),), _FINE_THREADS, laid_out(ids, np.int64),
        laid_out(particle, np.int64), y_re, y_im, power, a_re, a_im, phase_re, phase_im, scale,
        laid_out(log_prior, np.float64), len(a_re), n_h, n_t, n_px, y_re.shape[1], a_re.shape[2], phase_re.shape[1],
        out,
    )  # fmt: skip
    return out


def score_fine(ids, first, count, shape, images, scale, refs, phases, log_prior, n_px, fraction, log_span, thin, draws):
    """Return every particle's posterior over the children of its coarse poses; see `fine.score_fine`.

    The scores are this module's; what follows them are plain operations.
    """
    return plain_fine.score_fine(
        ids, first, count, shape, images, scale, refs, phases, log_prior, n_px, fraction, log_span, thin, draws,
        scores_of=_child_scores,
    )  # fmt: skip


def compare_models(groups, start, shift, weight, images, scale, offset_px, refs, phases, scale_pixels, search, shell,
                   n_shells):  # fmt: skip
    """Return residual (n, s), scale sums (n, 2) and moments (g, 4); see `model_image.compare_models`."""
    particle, class_index, row, turn = (laid_out(part, np.int64) for part in groups)
    start, shift = laid_out(start, np.int64), laid_out(shift, np.int64)
    xp, real, n, (_, n_f, n_px) = array_module(scale), refs[0].dtype, len(scale), refs[0].shape
    weight, scale, mask, *rest = (
        laid_out(part, real) for part in (weight, scale, scale_pixels[0], *refs, *phases, *images)
    )
    first = xp.searchsorted(particle, xp.arange(n + 1), side="left").astype(np.int64)
    residual, cross, square = xp.empty((n, n_px), real), xp.empty((n, n_px)), xp.empty((n, n_px))
    launch(
        "models", "model_pixels", real, (n, tiles(n_px)), TILE, first, class_index, row, turn, start, shift, weight,
        *rest, scale, mask, n_f, n_px, images[0].shape[1], residual, cross, square,
    )  # fmt: skip
    moments = xp.empty((len(particle), 4))
    launch(
        "models", "group_moments", real, (tiles(len(particle)),), TILE, particle, class_index, start, shift, weight,
        *(laid_out(part, np.float64) for part in (offset_px, *search)), len(particle), moments,
    )  # fmt: skip
    scale_sums = xp.stack([cross.sum(axis=1), square.sum(axis=1)], axis=1)
    return shell_sums(residual, shell, n_shells), scale_sums, moments


def add_groups(batch, phases, out, map_classes):
    """Add the groups of a batch of chunks to the un-rotated sums of every class; see `loops.add_groups`."""
    xp, (_, n_f, n_px) = array_module(out[0]), out[0].shape
    for groups, images in batch:
        particle, class_index, row, turn, start, shift = (laid_out(part, np.int64) for part in groups[:6])
        real, n = images[0].dtype, len(particle)
        weight, *rest = (laid_out(part, real) for part in (groups[6], *images, *phases))
        target = class_index * n_f + row
        order = xp.argsort(target * max(n, 1) + xp.arange(n))  # keys are unique: any sort is a stable one
        ordered = target[order]
        is_first = xp.concatenate([xp.ones(1, bool), ordered[1:] != ordered[:-1]])[:n]
        begin = xp.flatnonzero(is_first).astype(np.int64)
        ends = xp.concatenate([begin, xp.full(1, n, np.int64)])
        launch(
            "sums", "add_groups", real, (len(begin), tiles(n_px)), TILE, order.astype(np.int64), ends, ordered[begin],
            particle, turn, start, shift, weight, *rest, n_px, *out,
        )  # fmt: skip
