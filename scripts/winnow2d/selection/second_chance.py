"""The second chance: which rejected particles are classified once more by themselves, and in how many classes."""

from __future__ import annotations

from winnow2d.selection.particle_filter import Limits

PARTICLES_PER_CLASS = 20  # at least: an average of fewer shows no junk from no particle
LEAST_CLASSES = 5  # so that what is wrongly rejected need not share a class with all the junk
# In a second chance most are junk: all that are rather junk stay away, and nobody comes back without its class.
LIMITS = Limits(prune_below=0.5, prune_loss=1.0, rescue_above=1.0)
SMALLEST_POOL = PARTICLES_PER_CLASS * LEAST_CLASSES


def is_worth_it(n_rejected: int) -> bool:
    """Return whether rejected particles are enough to be classified by themselves."""
    return n_rejected >= SMALLEST_POOL


def n_classes(n_rejected: int, n_classified: int, n_classes_of_round: int) -> int:
    """Return in how many classes the rejected particles of a round are put.

    As many particles to a class as in the round itself, but at least `LEAST_CLASSES` classes and at least
    `PARTICLES_PER_CLASS` particles to each.
    """
    alike = round(n_classes_of_round * n_rejected / max(n_classified, 1))
    return max(1, min(max(alike, LEAST_CLASSES), n_rejected // PARTICLES_PER_CLASS))


def said_too_few(n_rejected: int) -> str:
    """Return why rejected particles are passed on as they are."""
    return f"{n_rejected} rejected particles are too few to be classified by themselves: {SMALLEST_POOL} are needed"
