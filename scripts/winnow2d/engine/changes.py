"""How far an iteration moved poses and classes, counted as RELION counts."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.shells import round_half_away
from winnow2d.records import Changes, Iteration, Model, Particles

_MOST = 2**31 - 1  # RELION's counters are 32 bits wide
_LEAST_GAIN_PER_ANG = 1e-4  # of resolution, as in RELION; its files have six digits


def measure_changes(old: Iteration, particles: Particles, model: Model, rows: np.ndarray) -> Changes:
    """Return how far poses and classes of the rows looked at moved since `old`, with the counters carried on.

    As in RELION, angles are compared as they stand (170 and -170 degrees are 340 apart), a change is smaller than
    before if it is 3 % below the smallest, and the smallest share of classes is kept as a whole number.
    """
    before, last = old.particles, old.changes
    psi = float(np.mean(np.abs(particles.psi_deg - before.psi_deg)[rows] % 360))
    moved2 = ((particles.offset_ang - before.offset_ang)[rows] ** 2).sum(axis=1)
    offset = float(np.sqrt(moved2.sum() / (2 * len(moved2))))
    classes = float(np.mean((particles.class_index != before.class_index)[rows]))
    resolution = model.resolution_shell / (model.box_px * model.pixel_size_ang)
    gained = resolution > last.best_resolution_per_ang + _LEAST_GAIN_PER_ANG
    pairs = ((classes, last.smallest_class_fraction), (offset, last.smallest_offset_ang), (psi, last.smallest_psi_deg))
    smaller = any(1.03 * now < smallest for now, smallest in pairs)
    fewest = last.smallest_class_fraction
    most = _MOST if old.moments is None else 1  # RELION's VDAM counts no further
    return Changes(
        psi_deg=psi,
        offset_ang=offset,
        class_fraction=classes,
        smallest_psi_deg=min(psi, last.smallest_psi_deg),
        smallest_offset_ang=min(offset, last.smallest_offset_ang),
        smallest_class_fraction=float(round_half_away(classes)) if classes < fewest else fewest,
        iterations_without_resolution_gain=0 if gained else min(last.iterations_without_resolution_gain + 1, most),
        iterations_without_assignment_change=0 if smaller else last.iterations_without_assignment_change + 1,
        best_resolution_per_ang=max(resolution, last.best_resolution_per_ang),
    )
