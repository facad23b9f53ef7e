"""What depends on the iteration: image sizes and sampling; pure arithmetic."""

from __future__ import annotations

import math

import numpy as np

from winnow2d.numerics.shells import resolution_shell, round_half_away
from winnow2d.options import Class2DOptions

SHELLS_BEYOND_RESOLUTION = 10  # RELION's --incr_size
MIN_RESOLUTION_SHELL = 5
SHELLS_COMPARED_BEYOND = 3  # ours: shells beyond the resolution that the E-step still compares


def first_resolution_shell(box_px: int) -> int:
    """Return the shell of the first references: 7 % of the box."""
    return max(1, round_half_away(0.07 * box_px))


def next_resolution_shell(data_vs_prior: np.ndarray) -> int:
    """Return the shell of the best class's resolution, at least 5."""
    return max(int(resolution_shell(data_vs_prior).max()), MIN_RESOLUTION_SHELL)


def image_size_px(box_px: int, shell: int) -> int:
    """Return s, the width of the Fourier window of the M-step."""
    return min(box_px, 2 * (shell + SHELLS_BEYOND_RESOLUTION))


def expectation_sizes_px(
    options: Class2DOptions,
    box_px: int,
    pixel_size_ang: float,
    psi_step_deg: float,
    size_px: int,
    shell: int | None = None,
) -> tuple[int, int]:
    """Return the window widths of the coarse and the fine pass.

    The coarse pass needs no finer detail than its angular step can tell apart at the mask's edge.

    Parameters
    ----------
    size_px : int
        Window width of the M-step.
    shell : int, optional
        Shell of the current resolution. If given, neither pass looks far beyond it, where there is only noise,
        and the coarse pass takes two thirds of what its angular step could tell apart.
    """
    length = box_px * pixel_size_ang
    if options.highres_limit > 0:
        limited = min(size_px, 2 * round_half_away(length / options.highres_limit))
        return limited, limited
    detail_ang = psi_step_deg / 360 * math.pi * options.particle_diameter / 1.5
    coarse = 2 * math.ceil(length / detail_ang)
    if shell is None:
        return min(coarse, size_px), size_px
    fine = min(size_px, 2 * (shell + SHELLS_COMPARED_BEYOND))
    return min(2 * math.ceil(coarse / 3), fine), fine
