"""The E-step after its dense products, in plain array operations: the compiled loops' reference, the GPU's path.

Memory is bounded: particles are taken in blocks by how many poses they can have at most, poses and groups
in blocks by their pixels. Which poses are significant is decided in whole numbers, and every other sum is a
matrix product or a reduction over an axis, so a device gives the same bytes every time.
"""

from __future__ import annotations

from winnow2d.numerics.arrays import array_module, blocks
from winnow2d.numerics.shells import shell_sums

from .plain_scores import best_and_posterior, child_rows, coarse_weights, significant
from .plain_sums import add_groups, model_images, rotate, rotate_back, shift_weights

__all__ = ["add_groups", "rotate", "rotate_back", "weigh_chunk"]


def weigh_chunk(products, norm, log_prior, images, grids, search, sizes, two_fold, fraction, max_count, log_span):
    """Return the posterior of every particle of a chunk, and its sums; see `chunk.weigh_chunk`.

    Everything lies where the products are, but `grids[4]`, the shell of each pixel, which is a numpy array.
    """
    n_k, n_h, n, n_t = products[0].shape
    rule = (two_fold, fraction, max_count, log_span)
    parts = []
    for own in blocks(n, 16 * n_k * n_h * n_t):
        dense = [part[:, :, own] for part in products]
        mine = [part[own] for part in images]
        parts.append(_weigh_block(dense, norm[:, :, own], log_prior[own], mine, grids, search, sizes, rule))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts):
    """Return the results of consecutive blocks of particles as those of one."""
    xp = array_module(parts[0][0])
    whole = [xp.concatenate([part[j] for part in parts]) for j in range(5)]
    groups, starts = [], [xp.zeros(1, xp.int64)]
    n_particles = n_poses = 0
    for part in parts:
        groups.append((part[5][0] + n_particles, *part[5][1:]))
        starts.append(part[6][1:] + n_poses)
        n_particles, n_poses = n_particles + len(part[0]), n_poses + len(part[7])
    joined = tuple(xp.concatenate(columns) for columns in zip(*groups, strict=True))
    shift, weight = (xp.concatenate([part[j] for part in parts]) for j in (7, 8))
    return (*whole, joined, xp.concatenate(starts), shift, weight)


def _weigh_block(products, norm, log_prior, images, grids, search, sizes, rule):
    """Do what `weigh_chunk` does for particles that fit in memory."""
    xp, n = array_module(norm), len(log_prior)
    two_fold, fraction, max_count, log_span = rule
    coarse = coarse_weights(products, norm, log_prior, images[6], two_fold, log_span)
    keep, n_significant = significant(coarse.reshape(n, -1), fraction, max_count)
    rows = child_rows(keep.reshape(coarse.shape), images, grids, sizes[0], log_prior)
    poses, values, residual = xp.zeros((n, 5), xp.int64), xp.zeros((n, 3)), xp.zeros((n, sizes[2]))
    scale_sums, class_sums = xp.zeros((n, 2)), xp.zeros((n, len(norm), 4))
    real = grids[0].dtype
    if len(rows.particle) == 0:
        nothing = xp.zeros(0, xp.int64)
        groups = (nothing, nothing, nothing, nothing)
        start, weight = xp.zeros(1, xp.int64), xp.zeros(0, real)
        return poses, values, residual, scale_sums, class_sums, groups, start, nothing, weight
    usable, best, child, posterior, values = best_and_posterior(rows, n, fraction, log_span)
    found = xp.stack(
        [rows.class_index[best], rows.row[best], rows.turn[best], 4 * rows.shift[best] + child, n_significant], axis=1
    )
    poses = xp.where(usable[:, None], found, 0)
    groups, start, shift, weight = _kept(rows, posterior, real)
    whole = (*groups, start, shift, weight)
    model, scale_terms = model_images(whole, grids[:2], grids[2:4], images[3:6], grids[5], n)
    terms = xp.concatenate([scale_terms, _moments(whole, images[7], search)], axis=1)
    scale_sums, class_sums = _sums_by_particle(groups, terms, (n, len(norm), grids[0].shape[1]))
    residual = shell_sums(xp.where(usable[:, None], _residual(model, images), 0.0), grids[4], sizes[2])
    return poses, values, residual, scale_sums, class_sums, groups, start, shift, weight


def _kept(rows, posterior, real):
    """Return the groups of the poses whose posterior is not 0: (particle, class, row, turn), start, shift, weight."""
    xp = array_module(posterior)
    at = xp.flatnonzero(posterior > 0)
    row = at // 4
    group = rows.group[row]
    is_first = xp.concatenate([xp.ones(1, bool), group[1:] != group[:-1]])[: len(at)]
    start = xp.flatnonzero(is_first)
    of = row[start]
    groups = (rows.particle[of], rows.class_index[of], rows.row[of], rows.turn[of])
    start = xp.concatenate([start, xp.full(1, len(at), start.dtype)])
    return groups, start, 4 * rows.shift[row] + at % 4, posterior.ravel()[at].astype(real)


def _moments(groups, offset_px, search):
    """Return the weight, weighted offset and weighted squared distance to the prior of every group, (g, 4)."""
    particle, class_index, _, _, start, shift, weight = groups
    xp = array_module(weight)
    shifts_px, prior_px = search
    out = xp.empty((len(particle), 4))
    for part in blocks(len(particle), 6 * len(shifts_px)):
        dense = shift_weights(start, shift, weight, part.start, part.stop, len(shifts_px)).astype(xp.float64)
        at, centre = offset_px[particle[part]], prior_px[class_index[part]]
        x, y = (at[:, axis, None] + shifts_px[:, axis] for axis in range(2))
        distance2 = (centre[:, :1] - x) ** 2 + (centre[:, 1:] - y) ** 2
        terms = [dense, dense * x, dense * y, dense * distance2]
        out[part] = xp.stack([term.sum(axis=1) for term in terms], axis=1)
    return out


def _sums_by_particle(groups, terms, shape):
    """Return scale sums (n, 2) and class sums (n, k, 4) of terms (g, 6)."""
    xp = array_module(terms)
    n, n_k, n_rows = shape
    particle, class_index, row, turn = groups
    dense = xp.zeros((n, n_k, 2 * n_rows, terms.shape[1]))
    dense[particle, class_index, 2 * row + turn] = terms  # a group has its place for itself
    by_class = dense.sum(axis=2)
    return by_class[:, :, :2].sum(axis=1), by_class[:, :, 2:]


def _residual(model, images):
    """Return |image - scale * CTF * model|**2 less posterior * |image|**2, pixel by pixel, (n, p)."""
    _, _, _, x_re, x_im, ctf, scale, _ = images
    factor = scale[:, None] * ctf
    return factor**2 * model[2] - 2 * factor * (x_re * model[0] - x_im * model[1])
