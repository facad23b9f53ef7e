"""Kept particles -> intensity groups of enough particles for a scale to be estimated."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from winnow2d.errors import ConfigError, StarError

log = logging.getLogger(__name__)

MIN_TARGET = 10  # below this RELION refuses; the scale of so few particles is mostly noise
SMALL_GROUP = 20  # RELION's advice: at least 10 to 20 particles in a group


def regroup(
    scale_correction: np.ndarray, group_index: np.ndarray, optics_group: np.ndarray, n_groups: int
) -> list[str]:
    """Return the new group name of every particle, by RELION's algorithm.

    Old groups are taken in ascending order of their intensity scale, so that a new group joins
    micrographs of like intensity, and never across optics groups. A group that overflows the target
    size opens the next new group, in which its own particles are not counted.

    Parameters
    ----------
    scale_correction : (m,) float array
        rlnGroupScaleCorrection of the old groups.
    group_index : (n,) int array
        Old group of each kept particle, 0-based.
    optics_group : (n,) int array
        Optics group of each kept particle, 0-based.
    n_groups : int
        How many new groups are wanted; the number reached only approximates it.

    Raises
    ------
    ConfigError
        If fewer than 10 particles would fall to a group.
    StarError
        If a particle's group has no scale.
    """
    n, m = len(group_index), len(scale_correction)
    target = n // n_groups
    if target < MIN_TARGET:
        raise ConfigError(
            f"select: nr_groups: {n_groups} groups for {n:,} particles are {target} particles each, and at least "
            f"{MIN_TARGET} are needed. Say at most {max(1, n // MIN_TARGET)}."
        )
    _check_groups(group_index, m)
    counts = np.bincount(group_index, minlength=m)
    optics_of_group = _optics_of_groups(group_index, optics_group, m)
    digits = math.floor(math.log(n_groups) / math.log(10)) + 1  # in floating point, as RELION: 1000 gives 3
    new_id = np.zeros(m, dtype=np.int64)
    identifier = 0
    for optics in range(int(optics_group.max()) + 1):
        identifier += 1
        count = 0
        for old in np.argsort(scale_correction, kind="stable"):
            if counts[old] == 0 or optics_of_group[old] != optics:
                continue
            count += counts[old]
            if count > target:
                identifier += 1
                count = 0
            new_id[old] = identifier
    return [f"group_{new_id[old]:0{digits}d}" for old in group_index]


def regroup_by_size(
    scale_correction: np.ndarray, group_index: np.ndarray, optics_group: np.ndarray, min_size: int
) -> list[str]:
    """Return the new group name of every particle: each group has at least `min_size`, if its optics group has.

    Within an optics group, the old groups are taken in ascending order of their intensity scale and joined until
    there are enough; what is left over in the end goes to the group before. Unlike `regroup`, an old group that has
    particles of several optics groups is parted.

    Parameters
    ----------
    scale_correction, group_index, optics_group
        As in `regroup`.
    min_size : int, at least 1

    Raises
    ------
    StarError
        If a particle's group has no scale.
    """
    m = len(scale_correction)
    _check_groups(group_index, m)
    part = optics_group * m + group_index  # an old group's particles of one optics group
    present, counts = np.unique(part, return_counts=True)
    new_id, n_groups = dict[int, int](), 0
    for optics in np.unique(present // m):
        own = present // m == optics
        order = np.argsort(scale_correction[present[own] % m], kind="stable")
        numbers = _joined(counts[own][order], min_size)
        if numbers[-1] == 0 and counts[own].sum() < min_size:
            log.warning(
                "Optics group %d has %d particles, fewer than min_group_size %d: they are one group",
                optics + 1, counts[own].sum(), min_size,
            )  # fmt: skip
        new_id |= dict(zip(present[own][order].tolist(), n_groups + 1 + numbers, strict=True))
        n_groups += int(numbers[-1]) + 1
    digits = len(str(n_groups))
    return [f"group_{new_id[old]:0{digits}d}" for old in part.tolist()]


def _joined(counts: np.ndarray, min_size: int) -> np.ndarray:
    """Return the number of the new group, from 0, that each of a row of old groups goes to."""
    numbers = np.zeros(len(counts), dtype=np.int64)
    number = size = 0
    for old, count in enumerate(counts):
        numbers[old] = number
        size += count
        if size >= min_size:
            number, size = number + 1, 0
    return np.minimum(numbers, max(number - 1, 0))  # the last one may not be full


def _check_groups(group_index: np.ndarray, m: int) -> None:
    """Raise a StarError if a particle's group is none of the m that have a scale."""
    if len(group_index) and (group_index.min() < 0 or group_index.max() >= m):
        raise StarError(f"rlnGroupNumber runs from {group_index.min() + 1} to {group_index.max() + 1}, but the model "
                        f"has the groups 1 to {m}. Regroup with the model of the same iteration.")  # fmt: skip


def _optics_of_groups(group_index: np.ndarray, optics_group: np.ndarray, m: int) -> np.ndarray:
    """Return the optics group of each old group (m,): that of its first particle; -1 without particles."""
    optics_of_group = np.full(m, -1, dtype=np.int64)
    present, first = np.unique(group_index, return_index=True)
    optics_of_group[present] = optics_group[first]
    mixed = np.unique(group_index[optics_group != optics_of_group[group_index]])
    if len(mixed):
        log.warning("%d groups hold particles of several optics groups; that of the first one counts", len(mixed))
    return optics_of_group


def number_groups(group_names: Sequence[str], micrograph_names: Sequence[str] | None = None) -> np.ndarray:
    """Return each particle's group number (n,), 1-based, as RELION would number these names on reading.

    RELION sorts the particles stably by micrograph name and numbers group names as they first appear.
    Without micrograph names the order is that of the particles.
    """
    n = len(group_names)
    order = range(n) if micrograph_names is None else sorted(range(n), key=lambda i: micrograph_names[i])
    number: dict[str, int] = {}
    for i in order:
        number.setdefault(group_names[i], len(number) + 1)
    return np.array([number[name] for name in group_names], dtype=np.int64)


def warn_of_small_groups(group_names: Sequence[str]) -> list[str]:
    """Log a warning for groups of fewer than 20 particles and return their names, smallest first."""
    names, counts = np.unique(np.asarray(group_names, dtype=str), return_counts=True)
    order = np.lexsort((names, counts))
    small = [str(names[i]) for i in order if counts[i] < SMALL_GROUP]
    if small:
        log.warning(
            "%d of %d groups have fewer than %d particles (the smallest is %s with %d): their intensity scale will be "
            "unreliable below 10 to 20 particles. A smaller nr_groups, or own.min_group_size, gives larger groups.",
            len(small), len(names), SMALL_GROUP, small[0], counts[order[0]],
        )  # fmt: skip
    return small
