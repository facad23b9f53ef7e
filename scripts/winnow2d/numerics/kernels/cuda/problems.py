"""Small drawn arguments of every kernel, the same each time."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from winnow2d.numerics.kernels import plain
from winnow2d.numerics.rotation import RotationTable

Arguments = tuple[Any, ...]
N, N_K, N_H, N_T, N_PX, BOX = 5, 3, 4, 3, 150, 12  # more pixels than one block has threads
_RULE = (0.999, 0, 25.0)  # fraction, no limit, span


class _Draws:
    """Draws arrays of one precision for one module."""

    def __init__(self, real: np.dtype, xp: ModuleType):
        self.rng, self.real, self.xp = np.random.default_rng(1), real, xp

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        return self.xp.asarray((scale * self.rng.normal(size=shape)).astype(self.real))

    def positive(self, *shape: int) -> Any:
        return self.xp.asarray(self.rng.uniform(0.5, 1.5, shape).astype(self.real))

    def pair(self, *shape: int, scale: float = 1.0) -> Arguments:
        return self.normal(*shape, scale=scale), self.normal(*shape, scale=scale)

    def double(self, *shape: int) -> Any:
        return self.xp.asarray(self.rng.normal(size=shape))

    def spectra(self, *shape: int) -> Any:
        re, im = self.pair(*shape)
        return (re + 1j * im).astype(np.result_type(self.real, np.complex64))

    def shell(self, n_shells: int) -> np.ndarray:
        return self.rng.integers(0, n_shells, N_PX)

    def table(self, n_cells: int) -> RotationTable:
        index = self.rng.integers(0, n_cells - 1, (2 * N_H, N_PX, 2)).astype(np.int32)
        sign = self.rng.choice(np.array([-1, 1], np.int8), (2 * N_H, N_PX))
        fraction = self.rng.uniform(size=(2 * N_H, N_PX, 2)).astype(self.real)
        return RotationTable(*(self.xp.asarray(part) for part in (index, fraction, sign)))


def serially(function: Callable[[int], object], classes: Any) -> None:
    """Call a function with every class."""
    for k in classes:
        function(k)


def _select_coarse(real: np.dtype, xp: ModuleType) -> Arguments:
    draw = _Draws(real, xp)
    products, norm = draw.pair(N, N_T, N_K, N_H, scale=2.0), draw.positive(N, N_K, N_H)
    log_prior, scale = draw.double(N, N_K, N_T), draw.positive(N)
    log_prior[:, 1, 0] = -np.inf
    images = draw.pair(N, N_PX)
    images[1][2, 7] = np.nan
    return products, norm, log_prior, images, scale, True, *_RULE


def _score_fine(real: np.dtype, xp: ModuleType) -> Arguments:
    found, draw = plain.select_coarse(*_select_coarse(real, xp)), _Draws(real, xp)
    images = (*draw.pair(N, N_PX, scale=0.1), draw.positive(N, N_PX) * real.type(0.01))
    refs, phases = draw.pair(N_K, 2 * N_H, N_PX), draw.pair(4 * N_T, N_PX)
    log_prior, scale = draw.double(N, N_K, N_T), draw.positive(N)
    return *found, (N_H, N_T), images, scale, refs, phases, log_prior, N_PX - 20, 0.999, 25.0, 0.0, xp.zeros(N)


def _compare_models(real: np.dtype, xp: ModuleType) -> Arguments:
    groups = plain.score_fine(*_score_fine(real, xp))[2:]
    draw, n_shells = _Draws(real, xp), 7
    images, scale, offset_px = (*draw.pair(N, N_PX), draw.normal(N, N_PX)), draw.positive(N), draw.double(N, 2)
    refs, phases = draw.pair(N_K, 2 * N_H, N_PX), draw.pair(4 * N_T, N_PX)
    mask = (draw.normal(N_K, N_PX) > 0).astype(real)
    mask[0] = 0
    pixels = (mask, xp.asarray(np.array([0, N_PX, N_PX])))
    search = (draw.double(4 * N_T, 2), draw.double(N_K, 2))
    return *groups, images, scale, offset_px, refs, phases, pixels, search, draw.shell(n_shells), n_shells


def _add_groups(real: np.dtype, xp: ModuleType) -> Arguments:
    groups, *poses = plain.score_fine(*_score_fine(real, xp))[2:]
    draw = _Draws(real, xp)
    batch = [((*groups, *poses), (*draw.pair(N, N_PX), draw.positive(N, N_PX))) for _ in range(2)]
    out = tuple(draw.double(N_K, 2 * N_H, N_PX) for _ in range(3))
    return batch, draw.pair(4 * N_T, N_PX), out, serially


def _rotate(real: np.dtype, xp: ModuleType) -> Arguments:
    draw = _Draws(real, xp)
    return draw.spectra(N_K, 40), draw.table(40), serially


def _rotate_back(real: np.dtype, xp: ModuleType) -> Arguments:
    draw = _Draws(real, xp)
    return tuple(draw.double(N_K, 2 * N_H, N_PX) for _ in range(3)), draw.table(40), 40, serially


def _centre_images(real: np.dtype, xp: ModuleType) -> Arguments:
    draw = _Draws(real, xp)
    shift = draw.rng.integers(-BOX, BOX, (N, 2))
    shift[0] = 0
    return draw.normal(N, BOX, BOX), draw.positive(N), shift, draw.positive(BOX, BOX) / 2


def _weighted_images(real: np.dtype, xp: ModuleType) -> Arguments:
    draw, n_shells = _Draws(real, xp), 7
    factors = (draw.normal(N, N_PX), draw.normal(N, N_PX), draw.positive(N, N_PX))
    spectra = (draw.spectra(N, N_PX), draw.spectra(N, N_PX - 5))
    return *spectra, *factors, draw.positive(N, n_shells), draw.positive(N), draw.shell(n_shells), N_PX - 9


def _shifted_rows(real: np.dtype, xp: ModuleType) -> Arguments:
    draw = _Draws(real, xp)
    return *draw.pair(N, N_PX), *draw.pair(N_T, N_PX - 4), N_PX - 9


PROBLEMS: dict[str, Callable[[np.dtype, ModuleType], Arguments]] = {
    "select_coarse": _select_coarse,
    "score_fine": _score_fine,
    "compare_models": _compare_models,
    "add_groups": _add_groups,
    "rotate": _rotate,
    "rotate_back": _rotate_back,
    "centre_images": _centre_images,
    "weighted_images": _weighted_images,
    "shifted_rows": _shifted_rows,
}
