"""Intensity groups too small for a scale of their own."""

from __future__ import annotations

import numpy as np

from winnow2d.records import Particles

from .finding import Finding

FEW, SMALL = 10, 20  # particles: RELION asks for at least 10 to 20 in a group
# Some sparse micrographs are in every set and do no harm; the warning is for sets where they matter.
_SHARE_IN_FEW, _GROUPS_WITH_FEW = 0.002, 0.02  # of all particles in groups below FEW, or of all groups
_SHARE_IN_SMALL = 0.05  # of all particles in groups below SMALL
_WANTED = 40  # particles per new group: the smallest of them then has about SMALL


def small_groups(particles: Particles) -> Finding | None:
    """Return the warning that groups are too small, if a part of the particles that matters is in such groups."""
    counts = np.bincount(particles.group_index, minlength=len(particles.group_names))
    counts = counts[counts > 0]
    n, is_few, is_small = counts.sum(), counts < FEW, counts < SMALL
    if len(counts) < 2:
        return None  # one group has no scale of its own
    has_few = counts[is_few].sum() > _SHARE_IN_FEW * n or is_few.sum() > _GROUPS_WITH_FEW * len(counts)
    if not has_few and not counts[is_small].sum() > _SHARE_IN_SMALL * n:
        return None
    wanted = max(1, int(n) // _WANTED)
    numbers = {
        "groups": len(counts), "groups_below_10": int(is_few.sum()), "groups_below_20": int(is_small.sum()),
        "particles_in_groups_below_20": int(counts[is_small].sum()), "smallest": int(counts.min()),
        "suggested_nr_groups": wanted,
    }  # fmt: skip
    return Finding(
        "small_groups",
        f"{is_small.sum():,} of {len(counts):,} groups have fewer than {SMALL} particles, {is_few.sum():,} of them "
        f"fewer than {FEW} (the smallest has {counts.min()}): intensity scales of so few are mostly noise. Regroup the "
        f"particles: select: {{do_regroup: true, nr_groups: {wanted}}} gives groups of about {int(n) // wanted}.",
        numbers,
    )
