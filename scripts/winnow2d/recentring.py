"""Particles of kept classes moved with their re-centred averages (select.do_recenter, own.recentre_particles)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.poses import read_poses, with_offsets
from winnow2d.formats.selection_star import centres_classes, class_indices
from winnow2d.records import Model
from winnow2d.selection.recentre import moves_to_centre, offsets_after

logger = logging.getLogger("winnow2d")
_DECIMALS = 6  # of moves, as of offsets: those on record are those that were made

Moves = Sequence[Sequence[float]]


def moves_of(model: Model, kept_classes: np.ndarray, optimiser: Path) -> list[list[float]]:
    """Return how far each class's average is moved from where its particles put it: k pairs, x then y, in A.

    Where the classification centres its averages, they also moved after the particles of the last iteration were
    averaged. Classes that are not kept do not move.

    Parameters
    ----------
    model : Model
        Of the last iteration.
    kept_classes : (k,) bool array
    optimiser : path
        Of the same iteration, which says whether averages were centred.
    """
    moves_ang = moves_to_centre(model.references) * model.pixel_size_ang
    if model.centring_ang is not None:
        moves_ang += model.centring_ang
    elif centres_classes(optimiser):
        logger.warning(
            "%s: this classification moved its averages at the end of every iteration and does not say how far; the "
            "particles' offsets are re-centred to within the last of these moves.",
            optimiser,
        )
    return [[float(value) for value in pair] for pair in np.round(moves_ang * kept_classes[:, None], _DECIMALS) + 0.0]


def moved_with_averages(table: ParticleTable, moves_ang: Moves, where: str) -> ParticleTable:
    """Return the particles with offsets that give the averages as they were moved; all else verbatim.

    Parameters
    ----------
    moves_ang : k pairs, or none
        Of `moves_of`; without any the particles stay as they are.
    where : str
        Name of the file, for messages.
    """
    if not len(moves_ang):
        return table
    index = class_indices(table, len(moves_ang))
    moves = np.append(np.asarray(moves_ang, dtype=np.float64), [[0.0, 0.0]], axis=0)[index]  # the last: of no class
    psi_deg, offset_ang = read_poses(table, where)
    return with_offsets(table, offsets_after(offset_ang, psi_deg, moves), moves.any(axis=1))
