"""What a choice of classes is expected to lose and to let in, and the sentences that say so."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LOSS_TO_WARN = 0.03  # of the good particles: between 2 %, which nobody need hear of, and 5 %, which all must
BELIEVED = 0.2  # good share from which a dropped class counts as a loss: below it is within the errors of the estimate
JUNK_TO_WARN = 0.10  # of the particles kept, where nearly everything is kept


class Notice(NamedTuple):
    """A sentence about a choice."""

    kind: str  # expected_loss, nearly_nothing_kept, nearly_all_kept, floor_not_reached
    sentence: str
    is_warning: bool = True


def expected_good(n_particles: np.ndarray, good_share: np.ndarray) -> np.ndarray:
    """Return how many good particles each class is expected to hold, (k,) float64."""
    return np.asarray(n_particles, dtype=np.float64) * good_share


def expected_loss(n_particles: np.ndarray, good_share: np.ndarray, kept: np.ndarray, least_share: float = 0.0) -> float:
    """Return the share of all good particles that is expected in classes that are not kept; 0 without any.

    Parameters
    ----------
    n_particles : (k,) int array
    good_share : (k,) float array
        Expected share of good particles of each class, calibrated.
    kept : (k,) bool array
    least_share : float
        Classes with a smaller good share are taken for junk alone.
    """
    good = expected_good(n_particles, good_share)
    return float(good[~kept & (good_share >= least_share)].sum() / good.sum()) if good.sum() > 0 else 0.0


def loss_to_tell_of(n_particles: np.ndarray, good_share: np.ndarray, kept: np.ndarray) -> float:
    """Return the expected loss that decides whether a choice is warned of; see `expected_loss`."""
    return expected_loss(n_particles, good_share, kept, BELIEVED)


def expected_junk(n_particles: np.ndarray, good_share: np.ndarray, kept: np.ndarray) -> float:
    """Return the share of junk that is expected among the particles of kept classes; 0 without any."""
    n_kept = n_particles[kept].sum()
    return float(1 - expected_good(n_particles, good_share)[kept].sum() / n_kept) if n_kept else 0.0


def notices_of(
    n_particles: np.ndarray,
    good_share: np.ndarray,
    kept: np.ndarray,
    least_kept: float,
    most_kept: float,
    n_unclassified: int = 0,
) -> list[Notice]:
    """Return what is to be said of a choice that keeps something.

    Parameters
    ----------
    n_particles, good_share, kept
        As in `expected_loss`.
    least_kept, most_kept : float
        Shares of the particles below and above which a choice keeps nearly nothing and nearly all.
    n_unclassified : int
        Particles that entered the round and belong to no class.
    """
    n_all, n_kept = int(n_particles.sum()) + n_unclassified, int(n_particles[kept].sum())
    found = []
    if n_kept < least_kept * n_all:
        found.append(
            Notice(
                "nearly_nothing_kept",
                f"Nearly nothing is kept: {n_kept:,} of {n_all:,} particles ({n_kept / n_all:.1%}), fewer than "
                f"own.least_kept {least_kept:g}. Look at the class averages before you go on with so few.",
            )
        )
    loss = loss_to_tell_of(n_particles, good_share, kept)
    if loss > LOSS_TO_WARN:
        good = expected_good(n_particles, good_share)
        found.append(
            Notice(
                "expected_loss",
                f"About {loss:.1%} of the good particles are expected to be lost: {loss * good.sum():,.0f} of "
                f"{good.sum():,.0f}. A lower threshold keeps more of them.",
            )
        )
    if 0 < most_kept * n_all <= n_kept:
        junk = expected_junk(n_particles, good_share, kept)
        found.append(
            Notice(
                "nearly_all_kept",
                f"Nearly everything is kept: {n_kept:,} of {n_all:,} particles ({n_kept / n_all:.1%}), of which about "
                f"{junk:.0%} are expected to be junk.",
                is_warning=junk > JUNK_TO_WARN,
            )
        )
    return found
