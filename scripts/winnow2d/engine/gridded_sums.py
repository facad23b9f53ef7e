"""Sums of particles that keep their poses: back-projections straight on the padded grid of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.rotation import RotationTable

from .expectation import ChunkSums, Comparison
from .fixed_poses import FixedComparison, table_of
from .parallel import for_each
from .projections import rotated
from .stages import SUMS, stage
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
    nothing, shape = xp.zeros((n, 0, 0)), (n, spectra.shape[1])
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


@stage(SUMS)
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
    back = [table_of(compared, chunk.groups[1], is_back=True) for chunk in batch]
    forth = back if compared.view is None else [table_of(compared, chunk.groups[1]) for chunk in batch]

    def add_class(target: int) -> None:
        k, half = target % n_classes, target // n_classes
        spectra = compared.projections.spectra[k : k + 1] if is_residual else None
        for chunk, *tables in zip(batch, back, forth, strict=True):
            share = to_host(chunk.groups[0])[:, k]
            rows = np.flatnonzero((share > 0) & (np.asarray(chunk.groups[2]) == half))
            if len(rows):
                own = slice(target, target + 1)
                grid = sums.grid_data[own], sums.grid_weight[own]
                _back_project(chunk, k, rows, tables, spectra, grid)

    for_each(n_threads)(add_class, range(len(sums.grid_weight)))


def _back_project(
    chunk: ChunkSums,
    k: int,
    rows: np.ndarray,
    tables: Sequence[RotationTable],
    spectra: Array | None,
    grid: tuple[Array, Array],
) -> None:
    """Add some particles' share of class k, one after another, to its grid, data and weight, (1, m) each.

    With the spectrum (1, m) of the class residuals are added. `tables` hold all particles of the chunk, for
    back-projection and for the reference.
    """
    at = array_module(chunk.power).asarray(rows)
    back, forth = (RotationTable(table.index[at], table.fraction[at], table.sign[at]) for table in tables)
    share = chunk.groups[0][at, k][:, None]
    power = share * chunk.power[at]
    re, im = share * chunk.data_re[at], share * chunk.data_im[at]
    if spectra is not None:
        ref_re, ref_im = rotated(spectra, forth, for_each(1))
        re, im = re - power * ref_re[0], im - power * ref_im[0]
    kernels = kernels_of(chunk.power)
    kernels.rotate_back((re[None], im[None], power[None]), back, grid[0].shape[1], for_each(1), grid)
