"""Sums of particles that keep their poses: back-projections straight on the padded grid of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.rotation import RotationTable, padded_shape

from .expectation import ChunkSums, Comparison
from .fixed_poses import FixedComparison, table_of
from .parallel import for_each
from .projections import rotated
from .sums import Sums, add_backprojections, empty_sums

Array = Any


@dataclass
class GriddedSums(Sums):
    """Sums of which the back-projections are on the padded grid of each class; `data_re` and the like are empty.

    Attributes
    ----------
    grid_data : (halves * k, m) complex128; grid_weight : (halves * k, m) float64
    """

    grid_data: Array = None
    grid_weight: Array = None


def empty_gridded_sums(compared: FixedComparison, n_optics: int, n_groups: int, n_halves: int = 1) -> GriddedSums:
    """Return sums that are all zero; the classes of each pseudo half-set follow one another."""
    spectra = compared.projections.spectra
    xp, n_classes = array_module(spectra), len(spectra)
    n = n_halves * n_classes
    nothing, rows_columns = (
        xp.zeros((n, 0, 0)),
        padded_shape(compared.plane.box_px if compared.view is None else compared.view.box_px),
    )
    shape = (n, rows_columns[0] * rows_columns[1])
    return GriddedSums(
        data_re=nothing,
        data_im=nothing,
        weight=nothing,
        noise=np.zeros((n_optics, compared.plane.n_shells)),
        noise_weight=np.zeros(n_optics),
        signal_cross=np.zeros(n_groups),
        signal_square=np.zeros(n_groups),
        class_sums=np.zeros((n_classes, 4)),
        grid_data=xp.zeros(shape, xp.complex128),
        grid_weight=xp.zeros(shape),
    )


def sums_of(compared: Comparison | FixedComparison, n_optics: int, n_groups: int, n_halves: int) -> Sums:
    """Return sums that are all zero, of the kind a comparison needs."""
    if isinstance(compared, FixedComparison):
        return empty_gridded_sums(compared, n_optics, n_groups, n_halves)
    return empty_sums(compared, n_optics, n_groups, n_halves)


def add_batch(sums: Sums, batch: Sequence[ChunkSums], compared: Comparison | FixedComparison, n_threads: int) -> None:
    """Add the back-projections of a batch of chunks, in place."""
    if isinstance(compared, FixedComparison):
        assert isinstance(sums, GriddedSums)
        add_to_grids(sums, batch, compared, n_threads)
    else:
        add_backprojections(sums, batch, compared, n_threads)


def add_to_grids(sums: GriddedSums, batch: Sequence[ChunkSums], compared: FixedComparison, n_threads: int) -> None:
    """Add a batch of chunks to the padded grids of their classes, in place; each class is one thread's work.

    With two pseudo half-sets, as in VDAM, what is added is the residual: image less model.
    """
    n_classes = len(compared.projections.spectra)
    is_residual = len(sums.grid_weight) > n_classes
    tables = [table_of(compared, chunk.groups[1], is_back=True) for chunk in batch]

    def add_class(target: int) -> None:
        k, half = target % n_classes, target // n_classes
        for chunk, table in zip(batch, tables, strict=True):
            share = to_host(chunk.groups[0])[:, k]
            rows = np.flatnonzero((share > 0) & (np.asarray(chunk.groups[2]) == half))
            if len(rows):
                _add_rows(sums, target, k, chunk, table, rows, is_residual, compared)

    for_each(n_threads)(add_class, range(len(sums.grid_weight)))


def _add_rows(
    sums: GriddedSums,
    target: int,
    k: int,
    chunk: ChunkSums,
    table: RotationTable,
    rows: np.ndarray,
    is_residual: bool,
    compared: FixedComparison,
) -> None:
    """Add some particles of a chunk to one grid."""
    xp = array_module(sums.grid_weight)
    at = xp.asarray(rows)
    mine = RotationTable(table.index[at], table.fraction[at], table.sign[at])
    share = chunk.groups[0][at, k][:, None]
    power = share * chunk.power[at]
    re, im = share * chunk.data_re[at], share * chunk.data_im[at]
    if is_residual:
        ref_re, ref_im = rotated(compared.projections.spectra[k : k + 1], mine, for_each(1))
        re, im = re - power * ref_re[0], im - power * ref_im[0]
    kernels, n_cells = kernels_of(sums.grid_weight), sums.grid_weight.shape[1]
    data, weight = kernels.rotate_back((re[None], im[None], power[None]), mine, n_cells, for_each(1))
    sums.grid_data[target] += data[0]
    sums.grid_weight[target] += weight[0]
