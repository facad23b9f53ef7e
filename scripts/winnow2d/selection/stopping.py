"""Whether further rounds are worth their time: what a round kept, and what it improved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_GAIN = 0.005  # of the expected share of good particles
FINER = 0.98  # of the resolution of the round before


@dataclass(frozen=True)
class RoundFigures:
    """What a round came to.

    Attributes
    ----------
    n_entered, n_kept : int
        Particles.
    good_before, good_after : float
        Expected share of good ones among those that were classified and those that were kept.
    resolution_ang : float
        Of the kept classes, the median over their particles; 0 if none was kept.
    passed_on : str
        Why the round was passed on without work; empty if it was not.
    """

    n_entered: int
    n_kept: int
    good_before: float
    good_after: float
    resolution_ang: float
    passed_on: str = ""


def figures_of(
    n_particles: np.ndarray,
    good_share: np.ndarray,
    resolution_ang: np.ndarray,
    kept: np.ndarray,
    n_entered: int,
    n_kept: int,
    passed_on: str = "",
) -> RoundFigures:
    """Return what a round came to, from its classes, (k,) each, and its numbers of particles."""

    def share(of: np.ndarray) -> float:
        total = n_particles[of].sum()
        return float((n_particles * good_share)[of].sum() / total) if total else 0.0

    order = np.argsort(resolution_ang[kept], kind="stable")
    counts = np.cumsum(n_particles[kept][order])
    middle = resolution_ang[kept][order][np.searchsorted(counts, counts[-1] / 2)] if kept.any() else 0.0
    everything = np.ones(len(kept), dtype=bool)
    return RoundFigures(n_entered, n_kept, share(everything), share(kept), float(middle), passed_on)


def reason_to_stop(
    last: RoundFigures, before: RoundFigures | None, stop_share: float, stop_unimproved: bool, name: str = "the last"
) -> str:
    """Return why no further round is to be made after `last`; empty if one is.

    Parameters
    ----------
    last, before : RoundFigures
        Of the newest round and of the one before it, None if there is none.
    stop_share : float
        A round that keeps more than this share of its particles is the last; 1: none is.
    stop_unimproved : bool
        Whether a round is the last if neither the share of good particles nor the resolution got better by it.
    name : str
        What to call the newest round.
    """
    if last.passed_on:
        return last.passed_on
    share = last.n_kept / max(last.n_entered, 1)
    if share > stop_share:
        return f"{name} kept {share:.1%} of its particles, more than own.stop_share {stop_share:g}"
    gain = last.good_after - last.good_before
    if stop_unimproved and before and gain < LEAST_GAIN and last.resolution_ang > FINER * before.resolution_ang > 0:
        return (
            f"{name} improved nothing: expected good particles {last.good_before:.1%} to "
            f"{last.good_after:.1%}, resolution {before.resolution_ang:.1f} to {last.resolution_ang:.1f} A"
        )
    return ""
