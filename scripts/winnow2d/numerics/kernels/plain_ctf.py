"""Transfer functions in plain array operations; see `ctf` for what is filled."""

from __future__ import annotations

import math

from winnow2d.numerics.arrays import array_module


def transfer_functions(half_turns, envelope, quadratic, even, is_intact, is_squared, rows, out):
    """Fill the rows of `out` that belong to particles of one optics group.

    What is known of each particle comes as numpy's arrays, everything of the pixels (p,) on the device of `out`.
    """
    xp, n_px = array_module(out), out.shape[1]
    xx, xy, yy = (part[:n_px] for part in quadratic)
    of_xx, of_xy, of_yy, quartic, constant = (xp.asarray(part)[:, None] for part in half_turns.T)
    bfactor, scale = (xp.asarray(part)[:, None] for part in envelope.T)
    f2 = xx + yy
    turns = of_xx * xx + of_xy * xy + of_yy * yy + quartic * f2**2 + constant
    if len(even):
        turns = turns + even[:n_px]
    values = -xp.sin(math.pi * turns)
    if is_intact:
        values = xp.where(xp.abs(turns) < 0.5, 1.0, values)
    if envelope[:, 0].any():
        values = values * xp.exp(-bfactor * f2 / 4)
    values = values * scale
    values = xp.where(xp.abs(values) < 1e-8, xp.where(values < 0, -1e-8, 1e-8), values)
    out[xp.asarray(rows)] = values**2 if is_squared else values
