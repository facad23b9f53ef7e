"""The contract of `loops` in plain array operations: the reference of the compiled loops, on any array module.

Memory is bounded: particles are taken in blocks by how many poses they can have at most, poses and groups
in blocks by their pixels. Which poses are significant, and which small ones are kept, is decided in whole
numbers, and every other sum is a matrix product or a reduction over an axis, so a device gives the same
bytes every time.
"""

from __future__ import annotations

from .plain_ctf import transfer_functions
from .plain_fine import score_fine
from .plain_models import compare_models
from .plain_significance import select_coarse
from .plain_spectra import centre_images, gather, possible_rows, shell_power, shifted_rows, weighted_images
from .plain_sums import add_groups, rotate, rotate_back, subtract_models

__all__ = [
    "add_groups", "centre_images", "compare_models", "gather", "possible_rows", "rotate", "rotate_back",
    "score_fine", "select_coarse", "shell_power", "shifted_rows", "subtract_models", "transfer_functions",
    "weighted_images",
]  # fmt: skip
