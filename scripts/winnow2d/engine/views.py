"""What the particles of each geometry see of the model in one iteration, and what they leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .expectation import Comparison
from .geometry import Geometry
from .projections import Projections
from .sums import Sums


@dataclass
class View:
    """One geometry's share of an iteration.

    The sums of the first view hold the parameters of all particles; every view's hold the back-projections of
    its own, which lie on its own pixels until they are rotated back.
    """

    geometry: Geometry
    projections: Projections
    compared: Comparison
    sums: Sums


def totals(views: Sequence[View]) -> tuple[Sums, Projections, list[tuple[Sums, Projections]]]:
    """Return sums and projections of the first view, and those of the others, as the M-step takes them."""
    first, *others = views
    return first.sums, first.projections, [(view.sums, view.projections) for view in others]
