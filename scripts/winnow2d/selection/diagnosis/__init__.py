"""What the averages of a run say about its settings: warnings with evidence and advice, which never stop a run."""

from __future__ import annotations

import numpy as np

from winnow2d.records import Iteration

from .averages import averages_of
from .finding import Finding
from .groups import small_groups
from .mask import mask_finding
from .regularisation import noisy_or_coarse
from .streaks import streaks

__all__ = ["KINDS", "Finding", "diagnose"]

KINDS = (
    "streaks", "noisy_averages", "coarse_averages", "mask_clips", "neighbours_in_mask", "mask_too_large",
    "small_groups",
)  # fmt: skip


def diagnose(
    iteration: Iteration,
    diameter_ang: float,
    good_share: np.ndarray | None = None,
    highres_limit_ang: float = -1.0,
) -> list[Finding]:
    """Return the warnings about a run, in the order of `KINDS`; none where nothing is wrong.

    Parameters
    ----------
    iteration : Iteration
        The last one of a classification.
    diameter_ang : float
        Diameter of its circular mask.
    good_share : (k,) array, optional
        Expected share of good particles in each class. With it, classes of junk say nothing about T and the mask.
    highres_limit_ang : float
        To which its E-step was limited; not above 0: it was not.
    """
    model = iteration.model
    found: list[Finding | None] = []
    everything = averages_of(iteration, diameter_ang)
    if everything.counted.any():
        good = averages_of(iteration, diameter_ang, good_share)
        of_mask = mask_finding(model, good)
        of_solvent = None
        if of_mask is None or of_mask.kind != "mask_clips":  # else what is near the rim is no solvent
            of_solvent = streaks(everything, highres_limit_ang)
        # an average of aligned noise does not show how wide the particle is
        found = [of_solvent, *noisy_or_coarse(model, good), None if of_solvent else of_mask]
    found.append(small_groups(iteration.particles))
    return [one for one in found if one is not None]
