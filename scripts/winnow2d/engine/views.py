"""What the particles of each geometry see of the model in one iteration, and what they leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .expectation import Comparison
from .fixed_poses import FixedComparison
from .geometry import Geometry
from .projections import Projections
from .sums import Sums


@dataclass
class View:
    """One geometry's share of an iteration.

    The sums of the first view hold the parameters of all particles; every view's hold the back-projections of
    its own, which lie on its own pixels until they are rotated back. `ctf2` (s,) sums scale * CTF**2 over the pixels
    of each shell of the model, of CTF-premultiplied particles only.
    """

    geometry: Geometry
    projections: Projections
    compared: Comparison | FixedComparison
    sums: Sums
    ctf2: np.ndarray


def totals(views: Sequence[View]) -> tuple[Sums, Projections, list[tuple[Sums, Projections]]]:
    """Return sums and projections of the first view, and those of the others, as the M-step takes them."""
    first, *others = views
    return first.sums, first.projections, [(view.sums, view.projections) for view in others]


def mean_ctf2(views: Sequence[View], pixels_of_shell: np.ndarray) -> np.ndarray | None:
    """Return the mean CTF**2 of each shell (s,) over all particles, CTF-premultiplied ones alone having any.

    None where no particle is CTF-premultiplied. A shell without any counts as 1, as in RELION.
    """
    total = sum(view.ctf2 for view in views)
    if not np.any(total):
        return None
    mean = total / (views[0].sums.noise_weight.sum() * pixels_of_shell)
    return np.where(mean > 0, mean, 1.0)
