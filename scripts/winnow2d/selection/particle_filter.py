"""How likely each particle is a good one, beyond what its class says, and who is pruned or rescued by that.

A class is kept or dropped as a whole; the particles in it are not alike. Their posteriors over the classes, and how
they compare with the other members of their class, tell good ones from others within it. The probability is a
logistic function of a weighted sum: one readable table of weights, fitted to simulated sets with known truth by
`scripts/training/particles.py`. Everything is compared with the class, so box, pixel size, protein, noise and numbers
of particles do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow2d.decisions import AUTOMATIC, ClassDecision, ParticleDecision
from winnow2d.records import Particles

COLUMN = "good_posterior"  # of the ledger
LEAST_MEMBERS = 8  # of a class whose members can be compared with each other
MOST_DEVIATION = 5.0  # robust standard deviations beyond which a member is no more unusual
LEAST_SHARE = 0.01  # good shares are taken for at least this and at most one less this


class Weight(NamedTuple):
    """One row of the table: `value` times the feature is added to the sum."""

    feature: str
    value: float
    reason: str


INTERCEPT = -0.541
WEIGHTS = (
    Weight("good_share", 1.089, "log odds of a good class among those the particle belongs to, by its posteriors"),
    Weight("top_posterior", 0.818, "junk fits several classes alike"),
    Weight("norm", -0.560, "more or less power than the others of its class: ice, blobs, carbon, nothing at all"),
    Weight("log_likelihood", -0.286, "fits worse, or suspiciously better, than the others of its class"),
    Weight("offset", -0.378, "farther away from the usual place: a neighbour, or nothing in particular"),
)


def good_probability(particles: Particles, good_share: np.ndarray) -> np.ndarray | None:
    """Return how likely each particle is good, (n,) float64; None where the posteriors over classes are not known.

    Parameters
    ----------
    particles : Particles
        Of the last iteration of a classification. One that belongs to no class has probability 0.
    good_share : (k,) array
        Expected share of good particles in each class.
    """
    features = particle_features(particles, good_share)
    if features is None:
        return None
    total = INTERCEPT + sum(weight.value * features[weight.feature] for weight in WEIGHTS)
    return np.where(particles.class_index >= 0, 1 / (1 + np.exp(-total)), 0.0)


def particle_features(particles: Particles, good_share: np.ndarray) -> dict[str, np.ndarray] | None:
    """Return what the table weighs, by name, (n,) each; None where the posteriors over classes are not known."""
    classes, held = particles.top_classes, particles.top_posteriors
    if classes is None or held is None:
        return None
    held = held.astype(np.float64)
    index, k = particles.class_index, len(good_share)
    share = np.clip(_posterior_share(index, classes, held, good_share), LEAST_SHARE, 1 - LEAST_SHARE)
    centre = [_medians(particles.offset_ang[:, axis], index, k)[index] for axis in (0, 1)]
    distance = np.hypot(*(particles.offset_ang[:, axis] - centre[axis] for axis in (0, 1)))
    norm = np.log(np.maximum(particles.norm_correction, 1e-6))
    return {
        "good_share": np.log(share / (1 - share)),
        "top_posterior": held[:, 0],
        "norm": np.abs(_deviation(norm, index, k)),
        "log_likelihood": np.abs(_deviation(particles.log_likelihood, index, k)),
        "offset": _deviation(distance, index, k),
    }


def _posterior_share(index: np.ndarray, classes: np.ndarray, held: np.ndarray, good_share: np.ndarray) -> np.ndarray:
    """Return the good share that each particle's posteriors expect; what is not told of them counts as usual, (n,)."""
    counts = np.bincount(index[index >= 0], minlength=len(good_share))
    usual = float((good_share * counts).sum() / max(counts.sum(), 1))
    told = (held * np.append(good_share, 0.0)[classes]).sum(axis=1)
    return told + np.clip(1 - held.sum(axis=1), 0, 1) * usual


def _medians(values: np.ndarray, index: np.ndarray, k: int) -> np.ndarray:
    """Return the median over the members of each class, (k,), 0 for a class without any."""
    members = _members(index, k)
    return np.array([np.median(values[rows]) if len(rows) else 0.0 for rows in members])


def _members(index: np.ndarray, k: int) -> list[np.ndarray]:
    """Return the rows of the members of each class, ascending."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.searchsorted(index[order], np.arange(k + 1)))[1:-1]


def _deviation(values: np.ndarray, index: np.ndarray, k: int) -> np.ndarray:
    """Return how far each particle is from the median of its class, in robust standard deviations, (n,).

    0 in a class too small to tell, and for a value that is no number.
    """
    found = np.zeros(len(values))
    for rows in _members(index, k):
        if len(rows) >= LEAST_MEMBERS:
            away = values[rows] - np.nanmedian(values[rows])
            spread = 1.4826 * np.nanmedian(np.abs(away)) + 1e-9
            found[rows] = np.clip(np.nan_to_num(away / spread), -MOST_DEVIATION, MOST_DEVIATION)
    return found


class Limits(NamedTuple):
    """Where the filter decides otherwise than the class."""

    prune_below: float  # probability below which a particle may leave a kept class
    prune_loss: float  # share of the good ones expected in kept classes that may go with them
    rescue_above: float  # probability above which a particle of a dropped class is kept


class Filtered(NamedTuple):
    """What the filter says of particles, beside their classes.

    Attributes
    ----------
    decisions : row (0-based) -> ParticleDecision
    numbers : name -> (n,) array, for the ledger; empty where nothing is known
    """

    decisions: dict[int, ParticleDecision]
    numbers: dict[str, np.ndarray]

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        n_kept = sum(decision.is_kept for decision in self.decisions.values())
        return f"{len(self.decisions) - n_kept:,} particles pruned from kept classes, {n_kept:,} rescued from others"


def filter_particles(
    particles: Particles, good_share: np.ndarray, kept: np.ndarray, decided_by: list[str], limits: Limits
) -> Filtered:
    """Return which particles are pruned from kept classes and rescued from dropped ones.

    The least likely are pruned first, until with the next one more than `prune_loss` of the good particles expected
    would be gone. A class that a person decided on stays as decided, whole.

    Parameters
    ----------
    good_share, kept, decided_by : (k,)
        Of each class: the expected share of good particles, the decision, and who made it.
    """
    probability = good_probability(particles, good_share)
    if probability is None:
        return Filtered({}, {})
    probability = np.round(probability, 6)  # as the ledger has it
    decisions = decisions_by(probability, particles.class_index, kept, decided_by, limits)
    return Filtered(decisions, {COLUMN: probability})


def deciders(decided_by: Sequence[str], exceptions: Sequence[ClassDecision]) -> list[str]:
    """Return who decided on each class, (k,): classes that hold a rare view are left alone, as a person's are."""
    rare = {item.class_index for item in exceptions}
    return ["rare view" if k in rare else who for k, who in enumerate(decided_by)]


def decisions_by(
    probability: np.ndarray, index: np.ndarray, kept: np.ndarray, decided_by: Sequence[str], limits: Limits
) -> dict[int, ParticleDecision]:
    """Return what follows from the probabilities of particles: row (0-based) -> decision; see `filter_particles`.

    Parameters
    ----------
    probability : (n,) array
    index : (n,) int array
        The class of each particle; -1 for none.
    """
    is_automatic = np.append(np.array(decided_by) == AUTOMATIC, False)[index]
    is_kept = np.append(np.asarray(kept, dtype=bool), False)[index]
    doubtful = np.flatnonzero(is_automatic & is_kept & (probability < limits.prune_below))
    doubtful = doubtful[np.argsort(probability[doubtful], kind="stable")]
    lost = np.cumsum(probability[doubtful])
    pruned = np.sort(doubtful[lost <= limits.prune_loss * probability[is_kept].sum()])
    rescued = np.flatnonzero(is_automatic & ~is_kept & (probability > limits.rescue_above))
    return {
        int(row): ParticleDecision(False, f"unlikely to be good: {probability[row]:.3f} (in class {index[row] + 1})")
        for row in pruned
    } | {
        int(row): ParticleDecision(
            True, f"likely to be good: {probability[row]:.3f} > rescue_above {limits.rescue_above:g} "
            f"(in class {index[row] + 1})",
        )
        for row in rescued
    }  # fmt: skip
