"""The classes that hold most of a particle's posterior: summed over angles and shifts, before anything is left out.

Poses too far below the best to be looked at in the fine pass hold less than a thousandth together.
"""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.arrays import array_module

from .compiled import inlined

N_TOP = 4  # classes told of
NONE = -1
LEAST_POSTERIOR = 1e-6  # a class with less is not told of: rounding would decide its place
TOP_BITS = 40  # of the whole number that stands for a posterior of 1


@inlined
def _insert(k, posterior, classes, posteriors):
    """Put a class in its place in a descending list, in place; the last one goes. Of equals the first stays first."""
    at = N_TOP
    while at > 0 and posterior > posteriors[at - 1]:
        at -= 1
    for j in range(N_TOP - 1, at, -1):
        classes[j], posteriors[j] = classes[j - 1], posteriors[j - 1]
    if at < N_TOP:
        classes[at], posteriors[at] = k, posterior


@inlined
def write_top_classes(n_groups, group_k, group_start, weights, total, classes, posteriors):
    """Write the classes with the largest posteriors, and these; both (N_TOP,), given as `NONE` and 0.

    Parameters
    ----------
    group_k, group_start : (>= n_groups,) and (>= n_groups + 1,) int64
        Class of each group of poses, ascending, and where its poses begin.
    weights : array of the poses' weights; their sum is `total`.
    """
    g = 0
    while g < n_groups:
        k, weight = group_k[g], 0.0
        while g < n_groups and group_k[g] == k:
            for e in range(group_start[g], group_start[g + 1]):
                weight += weights[e]
            g += 1
        if weight >= LEAST_POSTERIOR * total:
            _insert(k, weight / total, classes, posteriors)


def top_classes(particle, class_index, posterior, n, n_k):
    """Return what `write_top_classes` writes, of n particles: (n, N_TOP) int64 and float64.

    Parameters
    ----------
    particle, class_index : (r,) int64 arrays
        Rows of poses, those of a particle and class one after the other.
    posterior : (r, q) float64 array

    Notes
    -----
    Sums are of whole numbers, so that they are the same however a device adds them up.
    """
    xp = array_module(posterior)
    held = xp.zeros((n, n_k), xp.int64)
    if len(particle):
        reached = xp.cumsum(xp.rint(posterior * 2.0**TOP_BITS).astype(xp.int64).sum(axis=1))
        key = particle * n_k + class_index
        last = xp.flatnonzero(xp.concatenate([key[1:] != key[:-1], xp.ones(1, bool)]))
        upto = reached[last]
        held[particle[last], class_index[last]] = upto - xp.concatenate([xp.zeros(1, xp.int64), upto[:-1]])
    return ranked_classes(held)


def ranked_classes(held):
    """Return the N_TOP classes of each row (n, k) of posteriors as whole numbers, and what they hold."""
    xp, n_k = array_module(held), held.shape[1]
    numbers = xp.arange(n_k)
    order = xp.argsort(numbers - held * n_k, axis=1)[:, :N_TOP]  # keys are unique: any sort is a stable one
    posteriors = xp.take_along_axis(held, order, axis=1) * 2.0**-TOP_BITS
    is_told = posteriors >= LEAST_POSTERIOR
    missing = ((0, 0), (0, N_TOP - order.shape[1]))
    classes = xp.pad(xp.where(is_told, order, NONE), missing, constant_values=NONE)
    return classes.astype(np.int64), xp.pad(xp.where(is_told, posteriors, 0.0), missing)
