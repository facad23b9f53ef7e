"""The contract of `loops` on a GPU: kernels written in CUDA C++, and plain array operations for the rest.

The sources have been compiled by NVRTC, and run as C++ on a CPU, thread by thread, against the plain operations;
they have not run on a GPU yet. So each function here is tried on a small drawn problem before its first use in a
precision (`trial`): if it fails there or differs from its plain twin, a warning says so and the twin does the work.

No thread adds to a floating-point sum of another one, so the bytes never depend on timing.
"""

from __future__ import annotations

from winnow2d.numerics.kernels.plain import gather, possible_rows, shell_power, subtract_models, transfer_functions

from . import pixels, poses
from .trial import tried

__all__ = [
    "add_groups", "centre_images", "compare_models", "gather", "possible_rows", "rotate", "rotate_back",
    "score_fine", "select_coarse", "shell_power", "shifted_rows", "subtract_models", "transfer_functions",
    "weighted_images",
]  # fmt: skip

add_groups = tried(poses.add_groups)
centre_images = tried(pixels.centre_images)
compare_models = tried(poses.compare_models)
rotate = tried(pixels.rotate)
rotate_back = tried(pixels.rotate_back)
score_fine = tried(poses.score_fine)
select_coarse = tried(poses.select_coarse)
shifted_rows = tried(pixels.shifted_rows)
weighted_images = tried(pixels.weighted_images)
