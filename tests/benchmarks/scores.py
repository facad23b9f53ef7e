"""How good a classification of particles with known truth is.

Particles far off centre count neither as good nor as junk, and particles of no class not at all. How full
the classes are is counted over all particles of a class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from winnow2d.errors import StarError
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.star import read_star
from winnow2d.simulation.projection import euler_matrices
from winnow2d.simulation.protein import symmetry_operators

N_PAIRS = 20_000  # class mates drawn
SAME_VIEW_DEG = 12.0  # class mates seen from within this angle are alike but for a turn in the plane
MAJORITY = 0.5
FAR_OFF_CENTRE = 5  # a kind in truth.npz; 0 is good

TRUTH_STAR, TRUTH_NPZ, PARTICLES = "Extract/job001/truth.star", "truth.npz", "particles.star"


@dataclass(frozen=True)
class Truth:
    """What the particles of a simulated set are.

    Attributes
    ----------
    names : list of str, image names
    is_good, is_judged : (n,) bool
        Not judged are particles far off centre.
    euler_deg : (n, 3) rot, tilt, psi
    """

    names: list[str]
    is_good: np.ndarray
    is_judged: np.ndarray
    euler_deg: np.ndarray


@dataclass(frozen=True)
class Score:
    """The figures of a classification; NaN where nothing can be said.

    Attributes
    ----------
    auc : area under the ROC curve of the share of good particles among the other particles of the class
    purity : share of particles on the majority's side (good or junk) of their class
    precision, recall : of good particles, if every class with a majority of good ones were kept
    view_deg, view_random_deg : median angle between the views of good class mates, and of any good particles
    psi_deg : median in-plane disagreement of class mates of nearly the same view
    effective_classes : exp(entropy) of the classes' shares; live_classes : classes with particles
    largest_share : of the particles in one class
    """

    auc: float
    purity: float
    precision: float
    recall: float
    view_deg: float
    view_random_deg: float
    psi_deg: float
    effective_classes: float
    live_classes: int
    largest_share: float


def read_truth(folder: Path) -> Truth:
    """Return the truth of a project Winnow simulated, or of a folder with particles.star and truth.npz.

    Raises
    ------
    StarError
        The folder has neither, or its particles and its truth differ in number.
    """
    if (folder / TRUTH_STAR).is_file():
        table = read_star(folder / TRUTH_STAR)["truth"]
        euler_deg = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].astype(float).to_numpy()
        kind = table["winnowKind"].to_numpy()
        return Truth(list(table["rlnImageName"]), kind == "good", kind != "off_centre", euler_deg)
    if not (folder / TRUTH_NPZ).is_file():
        raise StarError(f"{folder}: found neither {TRUTH_STAR} nor {TRUTH_NPZ}, so there is no truth to score against")
    names = list(read_star(folder / PARTICLES)["particles"]["rlnImageName"])
    with np.load(folder / TRUTH_NPZ) as arrays:
        kind, euler_deg = arrays["kind"], np.rad2deg(arrays["euler"])
    if len(kind) != len(names):
        raise StarError(f"{folder}: {len(names)} rows in {PARTICLES}, but {len(kind)} in {TRUTH_NPZ}")
    return Truth(names, kind == 0, kind != FAR_OFF_CENTRE, euler_deg)


def truth_rows(image_names: Iterable[str], truth: Truth) -> np.ndarray:
    """Return the row of the truth (n,) of every image; the folder of a stack does not matter.

    Raises
    ------
    StarError
        An image the truth does not have.
    """
    row_of = {_key(name): row for row, name in enumerate(truth.names)}
    names = list(image_names)
    missing = [name for name in names if _key(name) not in row_of]
    if missing:
        raise StarError(f"{len(missing)} images are not in the truth of this set, e.g. {missing[0]}")
    return np.array([row_of[_key(name)] for name in names], dtype=np.int64)


def _key(name: str) -> tuple[int, str]:
    number, stack = split_image_name(name)
    return number, PurePosixPath(stack).name


def score_file(data_star: Path, truth: Truth, symmetry: str) -> Score:
    """Return the figures of a data STAR file with classes and psi angles."""
    return score(read_star(data_star)["particles"], truth, symmetry)


def score(particles: pd.DataFrame, truth: Truth, symmetry: str) -> Score:
    """Return the figures of a table of particles.

    Parameters
    ----------
    particles : DataFrame with rlnImageName, rlnClassNumber, rlnAnglePsi
    truth : Truth
    symmetry : str, point group of the good particles: views that it maps onto each other are alike
    """
    rows = truth_rows(particles["rlnImageName"], truth)
    class_number = particles["rlnClassNumber"].astype(int).to_numpy()
    psi_deg = particles["rlnAnglePsi"].astype(float).to_numpy()
    shares = occupancy(class_number[class_number > 0])
    judged = truth.is_judged[rows] & (class_number > 0)
    rows, class_number, psi_deg = rows[judged], class_number[judged], psi_deg[judged]
    is_good = truth.is_good[rows]
    good = np.flatnonzero(is_good)
    view_deg, view_random_deg, disagreement_deg = _views(
        class_number[good], psi_deg[good], truth.euler_deg[rows[good]], symmetry
    )
    return Score(
        *_separation(class_number, is_good),
        view_deg=view_deg,
        view_random_deg=view_random_deg,
        psi_deg=disagreement_deg,
        effective_classes=float(np.exp(-np.sum(shares * np.log(shares)))),
        live_classes=len(shares),
        largest_share=float(shares.max(initial=0.0)),
    )


def occupancy(class_number: np.ndarray) -> np.ndarray:
    """Return the share of the particles of each class that has any."""
    counts = np.unique(class_number, return_counts=True)[1]
    return counts / counts.sum()


def _separation(class_number: np.ndarray, is_good: np.ndarray) -> tuple[float, float, float, float]:
    """Return auc, purity, precision and recall of classes (n,) that hold good particles and junk."""
    n_good = int(is_good.sum())
    if n_good in (0, len(is_good)):
        return np.nan, np.nan, np.nan, np.nan
    of = np.unique(class_number, return_inverse=True)[1]
    size, good_in = np.bincount(of), np.bincount(of, weights=is_good)
    others_good = (good_in[of] - is_good) / np.maximum(size[of] - 1, 1)
    rank = rankdata(others_good)
    auc = (rank[is_good].sum() - n_good * (n_good + 1) / 2) / (n_good * (len(is_good) - n_good))
    share = (good_in / size)[of]
    kept = share >= MAJORITY
    precision = is_good[kept].mean() if kept.any() else 0.0
    return float(auc), float(np.maximum(share, 1 - share).mean()), float(precision), float(kept[is_good].mean())


def _views(
    class_number: np.ndarray, psi_deg: np.ndarray, euler_deg: np.ndarray, symmetry: str
) -> tuple[float, float, float]:
    """Return how far apart good class mates, and any good particles, are seen, and the psi disagreement; degrees."""
    one, mate, other = _draw_pairs(class_number)
    if not len(one):
        return np.nan, np.nan, np.nan
    matrices, operators = euler_matrices(euler_deg), symmetry_operators(symmetry)
    angle_deg, nearest = _view_angles_deg(matrices[one, 2], matrices[mate, 2], operators)
    random_deg, _ = _view_angles_deg(matrices[one, 2], matrices[other, 2], operators)
    near = angle_deg < SAME_VIEW_DEG
    psi = np.nan
    if near.any():
        one, mate = one[near], mate[near]
        between = np.einsum("nab,ncb,ndc->nad", matrices[one], operators[nearest[near]], matrices[mate])
        true = np.arctan2(between[:, 0, 1] - between[:, 1, 0], between[:, 0, 0] + between[:, 1, 1])
        found = np.deg2rad(psi_deg[one] - psi_deg[mate])
        # Either sense of rotation: a program's convention is no matter of quality.
        psi = min(_median_turn_deg(true - found), _median_turn_deg(true + found))
    return float(np.median(angle_deg)), float(np.median(random_deg)), psi


def _median_turn_deg(angle_rad: np.ndarray) -> float:
    return float(np.median(np.abs(np.rad2deg(np.angle(np.exp(1j * angle_rad))))))


def _draw_pairs(class_number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (m,) of random particles, of a class mate of each, and of any other particle; always the same."""
    rng = np.random.default_rng(0)
    members = {number: np.flatnonzero(class_number == number) for number in np.unique(class_number)}
    triples = []
    for _ in range(N_PAIRS if len(class_number) else 0):
        one = int(rng.integers(len(class_number)))
        mates = members[class_number[one]]
        if len(mates) < 2:
            continue
        mate = int(mates[rng.integers(len(mates))])
        if mate != one:
            triples.append((one, mate, int(rng.integers(len(class_number)))))
    one, mate, other = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    return one, mate, other


def _view_angles_deg(first: np.ndarray, second: np.ndarray, operators: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the angle (n,) between directions (n, 3) up to symmetry, and the operator that brings them nearest."""
    cosine = np.einsum("na,oba,nb->no", first, operators, second)
    nearest = cosine.argmax(axis=1)
    return np.rad2deg(np.arccos(np.clip(cosine.max(axis=1), -1, 1))), nearest
