"""Scores of the children of significant coarse poses and their posterior, in plain array operations; see `fine`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow2d.numerics.arrays import array_module, blocks

from .plain_significance import bits_of_weights, significant
from .top_classes import N_TOP, NONE, top_classes

Array = Any


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


def child_scores(ids, particle, shape, images, scale, refs, phases, log_prior, n_px):
    """Return the log weights (s, 2, 4) of the children, angle by shift, of coarse poses `ids` of particles (s,)."""
    xp, (n_h, n_t) = array_module(log_prior), shape
    y_re, y_im, power = (part[:, :n_px] for part in images)
    a_re, a_im = (part[:, :, :n_px] for part in refs)
    phase_re, phase_im = (part[:, :n_px] for part in phases)
    out = xp.empty((len(ids), 2, 4))
    for part in blocks(len(out), 24 * n_px):
        i, turn, t, kh = particle[part], ids[part] % 2, ids[part] // 2 % n_t, ids[part] // (2 * n_t)
        k, h = kh // n_h, kh % n_h
        rows, shifts = 2 * h[:, None] + xp.arange(2), 4 * t[:, None] + xp.arange(4)
        ref_re, ref_im = a_re[k[:, None], rows], a_im[k[:, None], rows]
        re, im = y_re[i][:, None], y_im[i][:, None]
        turned_re, turned_im = phase_re[shifts], phase_im[shifts]
        first = xp.matmul(ref_re, (re * turned_re - im * turned_im).swapaxes(1, 2))
        second = xp.matmul(ref_im, (re * turned_im + im * turned_re).swapaxes(1, 2))
        half_power = xp.matmul(ref_re**2 + ref_im**2, power[i][:, :, None]) / 2
        factor = scale[i][:, None, None]
        sign = factor * (1 - 2 * turn).astype(scale.dtype)[:, None, None]
        value = factor * first + sign * second - factor * factor * half_power
        out[part] = value + log_prior[i, k, t][:, None, None]
    return out


def score_fine(ids, first, count, shape, images, scale, refs, phases, log_prior, n_px, fraction, log_span, thin, draws,
               scores_of=child_scores):  # fmt: skip
    """Return every particle's posterior over the children of its coarse poses; see `fine.score_fine`.

    `scores_of` may be a faster twin of `child_scores`.
    """
    xp, n = array_module(scale), len(count)
    widest = int((first[1:] - first[:-1]).max()) if n else 0
    parts = []
    for own in blocks(n, 128 * widest):
        begin, end = int(first[own.start]), int(first[own.stop])
        mine = [part[own] for part in images]
        rows = child_rows(
            ids[begin:end], first[own.start : own.stop + 1] - begin, shape, mine, scale[own], refs, phases,
            log_prior[own], n_px, scores_of,
        )  # fmt: skip
        parts.append(_weigh(rows, count[own], fraction, log_span, thin, draws[own], refs[0]))
    if not parts:
        none = xp.zeros(0, xp.int64)
        parts = [_nothing(0, none, refs[0].dtype)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts):
    """Return the results of consecutive blocks of particles as those of one."""
    xp = array_module(parts[0][0])
    groups, starts = [], [xp.zeros(1, xp.int64)]
    n_particles = n_poses = 0
    for poses, _, mine, start, shift, _ in parts:
        groups.append((mine[0] + n_particles, *mine[1:]))
        starts.append(start[1:] + n_poses)
        n_particles, n_poses = n_particles + len(poses), n_poses + len(shift)
    poses, values, shift, weight = (xp.concatenate([part[j] for part in parts]) for j in (0, 1, 4, 5))
    joined = tuple(xp.concatenate(columns) for columns in zip(*groups, strict=True))
    return poses, values, joined, xp.concatenate(starts), shift, weight


def _nothing(n, none, real):
    """Return the result for n particles without a pose."""
    xp = array_module(none)
    poses = xp.zeros((n, 5 + N_TOP), xp.int64)
    poses[:, 5:] = NONE
    return (
        poses, xp.zeros((n, 3 + N_TOP)), (none, none, none, none), xp.zeros(1, xp.int64), none, xp.zeros(0, real)
    )  # fmt: skip


def _weigh(rows, count, fraction, log_span, thin, draws, refs):
    """Return what `score_fine` does, for particles that fit in memory; `refs` (k, f, p)."""
    xp, n, real = array_module(rows.value), len(count), refs.dtype
    if len(rows.particle) == 0:
        return _nothing(n, rows.particle, real)
    place, first, width = _places(rows.particle, n)
    usable, best, values, keep, posterior = _posterior(rows, n, place, width, fraction, log_span)
    classes, held = top_classes(rows.particle, rows.class_index, posterior, n, len(refs))
    keep, posterior = _thinned(rows.particle, first, keep, posterior, thin, draws)
    padded = xp.zeros((n, width, 4))
    padded[place] = xp.where(keep, posterior, 0.0)
    values[:, 2] = padded.reshape(n, -1).sum(axis=1)
    at = xp.minimum(first + best // 4, len(rows.particle) - 1)
    found = xp.stack([rows.class_index[at], rows.row[at], rows.turn[at], 4 * rows.shift[at] + best % 4, count], axis=1)
    poses = xp.concatenate([xp.where(usable[:, None], found, 0), classes], axis=1)
    return poses, xp.concatenate([values, held], axis=1), *_kept(rows, keep, posterior, real)


def child_rows(ids, first, shape, images, scale, refs, phases, log_prior, n_px, scores_of=child_scores):
    """Return the children of coarse poses with their log weights; see `fine.score_fine`.

    Poses are in the order of `ids`, first by particle; a coarse pose has two children in angle, four in shift.
    """
    xp, (n_h, n_t), n_k = array_module(ids), shape, len(refs[0])
    i = xp.searchsorted(first, xp.arange(len(ids)), side="right") - 1
    turn, t, kh = ids % 2, ids // 2 % n_t, ids // (2 * n_t)
    k, h = kh // n_h, kh % n_h
    scores = scores_of(ids, i, shape, images, scale, refs, phases, log_prior, n_px)
    group = ((i * n_k + k) * n_h + h)[:, None] * 4 + 2 * xp.arange(2) + turn[:, None]
    order = xp.argsort((group * n_t + t[:, None]).ravel())  # keys are unique: any sort is a stable one
    of, a = order // 2, order % 2
    return ChildRows(i[of], k[of], 2 * h[of] + a, turn[of], t[of], group.ravel()[order], scores[of, a])


def _places(particle, n):
    """Return where each row goes in an array of particle by row, each particle's first row, and the most rows."""
    xp = array_module(particle)
    numbers = xp.arange(n)
    first = xp.searchsorted(particle, numbers, side="left")
    width = int((xp.searchsorted(particle, numbers, side="right") - first).max())
    return (particle, xp.arange(len(particle)) - first[particle]), first, width


def _posterior(rows, n, place, width, fraction, log_span):
    """Return the posterior of every fine pose, and which pose of each particle is best.

    Returns
    -------
    usable : (n,) bool
        False for a particle without a finite weight.
    best : (n,) int64
        Number of its best pose within its rows, four to a row.
    values : (n, 3) float64, the first of `fine.score_fine`; the last is still 0
    keep : (r, 4) bool; posterior : (r, 4) float64
    """
    xp = array_module(rows.value)
    padded = xp.full((n, width, 4), -xp.inf)
    padded[place] = rows.value
    padded = padded.reshape(n, 4 * width)
    top = padded.max(axis=1)
    usable = xp.isfinite(top)
    top = xp.where(usable, top, 0.0)
    relative = padded - top[:, None]
    relative = xp.where(usable[:, None] & (relative > -xp.inf), xp.maximum(relative, -2 * log_span), -xp.inf)
    weights = xp.exp(relative)
    total = xp.where(usable, weights.sum(axis=1), 1.0)
    keep, _ = significant(relative, fraction, 0)
    values = xp.where(usable[:, None], xp.stack([1 / total, top + xp.log(total), 0 * total], axis=1), 0.0)
    back = (part.reshape(n, width, 4)[place] for part in (keep, weights / total[:, None]))
    return usable, padded.argmax(axis=1), values, *back


def _thinned(particle, first, keep, posterior, thin, draws):
    """Return which poses are kept and with what weight, small posteriors thinned out; see `fine._keep`.

    Their running sum is one of whole numbers, as in `significant`.
    """
    xp = array_module(posterior)
    small = keep & (posterior < thin)
    if not small.any():
        return keep, posterior
    bits = bits_of_weights(small.size)
    steps = xp.where(small, xp.rint(posterior / thin * 2.0**bits), 0.0).astype(xp.int64)
    reached = xp.cumsum(steps.ravel()).reshape(steps.shape)
    before = (reached - steps)[first[particle], 0]  # of the particle's first pose
    start = xp.floor(draws * 2.0**bits).astype(xp.int64)[particle]
    reached = reached - before[:, None] + start[:, None]
    passes = (reached >> bits) != ((reached - steps) >> bits)
    return keep & (passes | ~small), xp.where(small, thin, posterior)


def _kept(rows, keep, posterior, real):
    """Return the groups of the poses that are kept: (particle, class, row, turn), start, shift, weight."""
    xp = array_module(posterior)
    at = xp.flatnonzero(keep)
    row = at // 4
    group = rows.group[row]
    is_first = xp.concatenate([xp.ones(1, bool), group[1:] != group[:-1]])[: len(at)]
    start = xp.flatnonzero(is_first)
    of = row[start]
    groups = (rows.particle[of], rows.class_index[of], rows.row[of], rows.turn[of])
    start = xp.concatenate([start, xp.full(1, len(at), start.dtype)])
    return groups, start, 4 * rows.shift[row] + at % 4, posterior.ravel()[at].astype(real)
