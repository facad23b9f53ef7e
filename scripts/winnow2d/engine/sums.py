"""Sums over all particles of an iteration, added particle by particle, so that the cut into chunks changes no byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.kernels.rows import add_rows
from winnow2d.records import Particles

from .expectation import ChunkSums, Comparison
from .parallel import for_each

Array = Any


@dataclass
class Sums:
    """What the M-step needs of all particles; everything float64.

    Attributes
    ----------
    data_re, data_im, weight : (halves * k, f, p) arrays
        Un-rotated back-projections per class and angle, on the device; everything else is numpy's.
    noise : (g, s); noise_weight : (g,)
    signal_cross, signal_square : (m,) arrays, per intensity group
    class_sums : (k, 4) array: weight, offset x, offset y, squared distance to the prior centre (px)
    norm_sum, max_probability_sum, log_likelihood_sum : float
    n_weighed : int
    """

    data_re: Array
    data_im: Array
    weight: Array
    noise: np.ndarray
    noise_weight: np.ndarray
    signal_cross: np.ndarray
    signal_square: np.ndarray
    class_sums: np.ndarray
    norm_sum: float = 0.0
    max_probability_sum: float = 0.0
    log_likelihood_sum: float = 0.0
    n_weighed: int = 0


def empty_sums(compared: Comparison, n_optics: int, n_groups: int, n_halves: int = 1) -> Sums:
    """Return sums that are all zero; the classes of each pseudo half-set follow one another."""
    xp = array_module(compared.projections.fine_re)
    n_classes, *unrotated = compared.projections.fine_re.shape
    shape = (n_halves * n_classes, *unrotated)
    return Sums(
        data_re=xp.zeros(shape),
        data_im=xp.zeros(shape),
        weight=xp.zeros(shape),
        noise=np.zeros((n_optics, compared.plane.n_shells)),
        noise_weight=np.zeros(n_optics),
        signal_cross=np.zeros(n_groups),
        signal_square=np.zeros(n_groups),
        class_sums=np.zeros((n_classes, 4)),
    )


def add_chunk_parameters(sums: Sums, chunk: ChunkSums, optics_group: np.ndarray, group_index: np.ndarray) -> None:
    """Add a chunk's sums of noise, intensity scales, classes and offsets, in place.

    Parameters
    ----------
    optics_group, group_index : (n,) int arrays
    """
    used = chunk.is_weighed
    add_rows(sums.noise, optics_group[used], chunk.noise[used])
    np.add.at(sums.noise_weight, optics_group[used], chunk.retained[used])
    np.add.at(sums.signal_cross, group_index[used], chunk.scale_sums[used, 0])
    np.add.at(sums.signal_square, group_index[used], chunk.scale_sums[used, 1])
    add_rows(sums.class_sums, chunk.class_of, chunk.moments)


def add_averages(sums: Sums, particles: Particles, rows: np.ndarray) -> None:
    """Set what becomes the averages over particles: those in `rows` (m,), which all have a finite weight."""
    sums.norm_sum = float(particles.norm_correction[rows].sum())
    sums.max_probability_sum = float(particles.max_probability[rows].sum())
    sums.log_likelihood_sum = float(particles.log_likelihood[rows].sum())
    sums.n_weighed = len(rows)


def add_backprojections(sums: Sums, batch: Sequence[ChunkSums], compared: Comparison, n_threads: int) -> None:
    """Add the un-rotated back-projections of a batch of chunks, in place; each class is one thread's work."""
    parts = [(chunk.groups, (chunk.data_re, chunk.data_im, chunk.power)) for chunk in batch]
    out = (sums.data_re, sums.data_im, sums.weight)
    kernels_of(sums.weight).add_groups(parts, compared.fine_phases, out, for_each(n_threads))


def in_halves(chunk: ChunkSums, half: np.ndarray, n_classes: int) -> ChunkSums:
    """Return a chunk whose back-projections go to the classes of each particle's pseudo half-set (n,)."""
    particle, class_index, *rest = chunk.groups
    offset = array_module(class_index).asarray(half * n_classes)
    return replace(chunk, groups=(particle, class_index + offset[particle], *rest))
