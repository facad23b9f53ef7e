"""Views of the particle that a choice of classes would lose: raised into it, or reported.

There are no view angles in 2D: a view is a group of classes whose averages look like each other (`likeness`). The
choice goes by score, and a rare view scores low, for its average is made of few particles. So before a choice is
accepted, each view that none of the kept classes shows is looked at once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from winnow2d.decisions import ClassDecision
from winnow2d.selection.guards import Notice
from winnow2d.selection.likeness import likeness
from winnow2d.selection.moments import picture_features

# Classes of one view correlate nearly as well as a good class does with the good one nearest to it, whatever the noise.
MARGIN = 0.10
LEAST_LIKENESS, MOST_LIKENESS = 0.60, 0.80
BELIEVABLE = 0.25  # good share below which a class is no evidence of a view
KEPT_FROM = 0.6  # good share from which a class is raised: mostly particles, even if that is estimated too high
LEAST_SHARE = 0.005  # of all good particles expected: what is smaller is no view
REPORTED_SHARE = 0.01  # of the same: what is smaller is not spoken of
LOSS_TO_HEAR_OF = 0.02  # of the same: from here on it is a warning
FLAT_SOLVENT = 0.25  # solvent_sd up to which what lies around an average is flat; a blur of many views is no view
MOST_COST = 0.01  # by which all raised classes together may lower the expected share of good particles
RULE = "kept for its view: no kept class looks like it"


@dataclass(frozen=True)
class LostView:
    """Classes that look like each other and like no kept class.

    Attributes
    ----------
    classes : tuple of int
        0-based, those of believable good share, best first.
    n_particles : int
        In these classes.
    n_good : float
        Expected good particles among them.
    """

    classes: tuple[int, ...]
    n_particles: int
    n_good: float


@dataclass(frozen=True)
class Views:
    """What the averages of k classes show, whatever is kept of them.

    Attributes
    ----------
    view : (k,) int64
        The view of each class, numbered from 1 by expected good particles; 0 for a class without particles.
    similarity : (k, k) float64
        Of `likeness`.
    level : float
        Likeness from which two classes show the same view.
    is_clear : (k,) bool
        Whether the average stands on flat solvent, rather than being a blur of many views.
    """

    view: np.ndarray
    similarity: np.ndarray
    level: float
    is_clear: np.ndarray


@dataclass(frozen=True)
class ViewGuard:
    """What the kept classes show of what came in.

    Attributes
    ----------
    exceptions : tuple of ClassDecision
        Classes raised into the choice, with the reason for the ledger.
    notices : tuple of Notice
        Views that are lost, and how many are kept.
    n_views_in, n_views_kept : float
        Effective number of views: how many equally frequent ones would be spread alike.
    """

    exceptions: tuple[ClassDecision, ...]
    notices: tuple[Notice, ...]
    n_views_in: float
    n_views_kept: float


def find_views(
    averages: np.ndarray, pixel_size_ang: float, diameter_ang: float, n_particles: np.ndarray, good_share: np.ndarray
) -> Views:
    """Return which classes show the same view.

    Parameters
    ----------
    averages : (k, y, x) real array
    pixel_size_ang, diameter_ang : float
        The diameter is that of the circular mask.
    n_particles : (k,) int array
    good_share : (k,) float array
        Expected share of good particles.
    """
    live = np.asarray(n_particles) > 0
    similarity = likeness(averages, pixel_size_ang, diameter_ang)
    level = same_view_level(similarity, live & (np.asarray(good_share) >= 0.5))
    view = views_of(similarity, np.asarray(n_particles) * np.asarray(good_share), live, level)
    clear = [_stands_on_flat_solvent(average, pixel_size_ang, diameter_ang) for average in averages]
    return Views(view, similarity, level, np.array(clear, dtype=bool))


def _stands_on_flat_solvent(average: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> bool:
    if not np.isfinite(average).all():
        return False
    return picture_features(average, pixel_size_ang, diameter_ang)["solvent_sd"] <= FLAT_SOLVENT


def guard_views(
    views: Views, n_particles: np.ndarray, good_share: np.ndarray, kept: np.ndarray, raisable: np.ndarray | bool = True
) -> ViewGuard:
    """Return the views a choice would lose, and which classes are raised to keep them.

    Parameters
    ----------
    n_particles, good_share : (k,)
        As in `find_views`.
    kept : (k,) bool array
        The choice so far. Where it keeps nothing, nothing is raised.
    raisable : (k,) bool array or bool
        Classes that may be raised; a view of others is only reported.
    """
    n_particles, good_share = np.asarray(n_particles), np.asarray(good_share)
    kept, good = np.asarray(kept, dtype=bool) & (n_particles > 0), n_particles * good_share
    usual = good[kept].sum() / max(n_particles[kept].sum(), 1)  # good share of the choice
    room = MOST_COST * n_particles[kept].sum()
    raisable = views.is_clear & (good_share >= KEPT_FROM) & raisable
    added, notices = list[int](), list[Notice]()
    for item in views_lost(views, n_particles, good_share, kept):
        best = item.classes[0]
        cost = n_particles[best] * max(usual - good_share[best], 0.0)
        if raisable[best] and cost <= room:
            added.append(best)
            room -= cost
        elif item.n_good >= REPORTED_SHARE * good.sum():
            notices.append(_notice(item, int(views.view[best]), good_share[best], good.sum()))
    spread_in = effective_views(views.view, good)
    spread_kept = effective_views(views.view, good * (kept | np.isin(np.arange(len(kept)), added)))
    notices.append(Notice("views", f"The kept classes show {spread_kept:.1f} of {spread_in:.1f} views.", False))
    exceptions = tuple(ClassDecision(k, True, f"{RULE} (good share {good_share[k]:.3f})") for k in added)
    return ViewGuard(exceptions, tuple(notices), spread_in, spread_kept)


def same_view_level(similarity: np.ndarray, typical: np.ndarray) -> float:
    """Return the likeness from which two averages are taken for one view.

    It follows the data: averages of few noisy particles are less like each other than those of many clear ones.
    """
    others = similarity[np.ix_(typical, typical)] - 2 * np.eye(int(typical.sum()))
    if len(others) < 3:
        return LEAST_LIKENESS
    return float(np.clip(np.median(others.max(axis=1)) - MARGIN, LEAST_LIKENESS, MOST_LIKENESS))


def views_of(similarity: np.ndarray, good: np.ndarray, live: np.ndarray, level: float) -> np.ndarray:
    """Return the view of each class (k,) int64, numbered from 1 by expected good particles; 0 without particles.

    Classes are joined as long as the mean likeness between two groups is at least `level`.
    """
    view = np.zeros(len(live), dtype=np.int64)
    rows = np.flatnonzero(live)
    if len(rows) < 2:
        view[rows] = 1
        return view
    distance = squareform(1 - similarity[np.ix_(rows, rows)], checks=False)
    groups = fcluster(linkage(distance, "average"), 1 - level, "distance") - 1
    weight = np.bincount(groups, weights=good[rows])
    first = np.array([np.flatnonzero(groups == group)[0] for group in range(len(weight))])
    order = np.lexsort((first, -weight))
    view[rows] = np.argsort(order)[groups] + 1
    return view


def views_lost(views: Views, n_particles: np.ndarray, good_share: np.ndarray, kept: np.ndarray) -> list[LostView]:
    """Return views of believable good particles that no kept class shows or looks like, the most believable first.

    Parameters
    ----------
    n_particles, good_share, kept : (k,)
    """
    good = np.asarray(n_particles) * np.asarray(good_share)
    lost: list[LostView] = []
    if not kept.any():
        return lost
    for number in range(1, int(views.view.max(initial=0)) + 1):
        members = views.view == number
        believable = np.flatnonzero(members & (good_share >= BELIEVABLE))
        if (members & kept).any() or not len(believable) or good[believable].sum() < LEAST_SHARE * good.sum():
            continue
        best_first = believable[np.lexsort((believable, -good_share[believable]))]
        if views.similarity[best_first[0]][kept].max() >= views.level:
            continue
        n_own = int(np.asarray(n_particles)[believable].sum())
        lost.append(LostView(tuple(best_first.tolist()), n_own, float(good[believable].sum())))
    return sorted(lost, key=lambda item: -good_share[item.classes[0]])


def effective_views(view: np.ndarray, good: np.ndarray) -> float:
    """Return how many equally frequent views have the entropy of these, 0 if there are none."""
    weight = np.bincount(view[view > 0], weights=good[view > 0], minlength=1)
    part = weight[weight > 0] / max(weight.sum(), 1e-300)
    return float(np.exp(-(part * np.log(part)).sum())) if len(part) else 0.0


def _notice(item: LostView, number: int, good_share: float, n_good: float) -> Notice:
    """Return what is said of a view that is lost: a warning if it is more than nobody need hear of."""
    numbers = ", ".join(str(k + 1) for k in sorted(item.classes))
    classes = f"class {numbers}" if len(item.classes) == 1 else f"classes {numbers}"
    part = item.n_good / n_good
    sentence = (
        f"View {number} is lost: {classes} with {item.n_particles:,} particles, of which about {item.n_good:,.0f} may "
        f"be good ({part:.1%} of all good ones); no kept class looks like it. Look at class {item.classes[0] + 1} "
        f"(good share {good_share:.2f})."
    )
    return Notice("view_lost", sentence, part >= LOSS_TO_HEAR_OF)
