"""What is known of each class, as numbers: from its average, its spectra and its particles.

All of it is scale-free: box, pixel size, grey scale and number of particles do not matter where a
number enters a score. Numbers that say `relative` compare a class with the others of its job.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.numerics.shells import estimated_resolution_ang
from winnow2d.records import Iteration, Model, Particles
from winnow2d.selection.moments import picture_features

NOT_ESTIMATED = 999.0  # RELION's accuracy of a class where none was estimated


def class_features(iteration: Iteration, particle_diameter_ang: float) -> pd.DataFrame:
    """Return one row of features per class, in class order.

    Parameters
    ----------
    iteration : Iteration
        The last one of a classification.
    particle_diameter_ang : float
        Diameter of the circular mask of that classification.

    Returns
    -------
    DataFrame, k rows, index 0 ... k - 1
        All values finite. `n_particles` (members: particles whose best class it is), `share` of all particles,
        `occupancy` (sum of the posterior), `resolution_ang`, `accuracy_rotation_deg`, `accuracy_offset_ang`,
        `spectral_information` (nats per cycle over a diameter), the members' `max_probability`,
        `log_significant`, `offset_spread_ang`, `norm_correction`, `log_likelihood`; those of
        `moments.picture_features`; and the `relative_*` ones.
    """
    model, particles = iteration.model, iteration.particles
    columns = _spectral(model, particle_diameter_ang) | _members(particles, model.n_classes)
    columns = {"n_particles": columns.pop("n_particles"), "share": columns.pop("share")} | columns
    pictures = [picture_features(average, model.pixel_size_ang, particle_diameter_ang) for average in model.references]
    features = pd.concat([pd.DataFrame(columns), pd.DataFrame(pictures)], axis=1)
    return features.assign(**_relative(features, model))


def _spectral(model: Model, diameter_ang: float) -> dict[str, np.ndarray]:
    """Return what the model says of each class, (k,) each."""
    ratio = finite(model.data_vs_prior)
    k, box_ang = model.n_classes, model.box_px * model.pixel_size_ang
    shell_cycles = diameter_ang / box_ang  # cycles per diameter from one shell to the next
    return {
        "occupancy": np.asarray(model.pdf_class, dtype=np.float64),
        "resolution_ang": estimated_resolution_ang(ratio, model.box_px, model.pixel_size_ang),
        "accuracy_rotation_deg": _or_not_estimated(model.accuracy_rotation_deg, k),
        "accuracy_offset_ang": _or_not_estimated(model.accuracy_offset_ang, k),
        "spectral_information": np.log1p(ratio[:, 1:]).sum(axis=1) * shell_cycles,
    }


def _or_not_estimated(values: np.ndarray, k: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return np.nan_to_num(values, nan=NOT_ESTIMATED, posinf=NOT_ESTIMATED) if len(values) == k else np.full(k, 999.0)


def finite(values: np.ndarray) -> np.ndarray:
    """Return values with nan as 0 and infinities as the largest finite double, never below 0."""
    return np.maximum(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0), 0.0)


def _members(particles: Particles, k: int) -> dict[str, np.ndarray]:
    """Return means and spreads over the particles of each class, (k,) each; 0 for a class without any."""
    index = particles.class_index
    seen = index >= 0
    counts = np.bincount(index[seen], minlength=k)

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(index[seen], weights=finite_any(values)[seen], minlength=k)
        return sums / np.maximum(counts, 1)

    centre = [mean(particles.offset_ang[:, axis]) for axis in (0, 1)]
    away = [(particles.offset_ang[:, axis] - centre[axis][index]) ** 2 for axis in (0, 1)]
    return {
        "n_particles": counts.astype(np.int64),
        "share": counts / max(len(index), 1),
        "max_probability": mean(particles.max_probability),
        "log_significant": mean(np.log(np.maximum(particles.n_significant, 1))),
        "offset_spread_ang": np.sqrt(mean((away[0] + away[1]) / 2)),
        "norm_correction": mean(particles.norm_correction),
        "log_likelihood": mean(particles.log_likelihood),
    }


def finite_any(values: np.ndarray) -> np.ndarray:
    """Return values with nan and infinities as 0."""
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _relative(features: pd.DataFrame, model: Model) -> dict[str, np.ndarray]:
    """Return features compared with the job's typical class: a median over particles, not classes.

    Particles of classes with more signal count more, so that a typical class is a good one even where most
    particles are junk. All views of a particle have the same mass, whatever their shape.
    """
    weights = features["n_particles"].to_numpy() * features["spectral_information"].to_numpy() ** 2
    power = finite(model.tau2)
    box_ang = model.box_px * model.pixel_size_ang

    def ratio(values: np.ndarray) -> np.ndarray:
        typical = weighted_quantile(values, weights, 0.5)
        return np.log(np.maximum(values, 1e-12) / max(typical, 1e-12)).clip(-5, 5)

    mass = features["mass"].to_numpy()
    # averages without any density above their rim (an early iteration) say nothing of mass
    mass = ratio(mass) if weighted_quantile(mass, weights, 0.5) > 0 else np.zeros_like(mass)
    resolution = features["resolution_ang"].to_numpy()
    best = weighted_quantile(resolution, weights, 0.1)
    middle = np.arange(power.shape[1]) / box_ang
    coarse, fine = (middle > 0) & (middle < 1 / 40), (middle >= 1 / 30) & (middle < 1 / 12)
    return {
        "relative_mass": mass,
        "mass_deviation": np.abs(mass),
        "relative_resolution": np.log(resolution / max(best, 1e-12)),
        "relative_information": ratio(features["spectral_information"].to_numpy()),
        "relative_max_probability": ratio(features["max_probability"].to_numpy()),
        "relative_significant": features["log_significant"].to_numpy()
        - weighted_quantile(features["log_significant"].to_numpy(), weights, 0.5),
        "relative_offset_spread": ratio(features["offset_spread_ang"].to_numpy()),
        "relative_norm": ratio(features["norm_correction"].to_numpy()),
        "relative_share": ratio(features["share"].to_numpy()),
        "relative_coarse_power": ratio(power[:, coarse].sum(axis=1)),
        "relative_fine_power": ratio(power[:, fine].sum(axis=1)),
        "relative_likelihood": features["log_likelihood"].to_numpy()
        - weighted_quantile(features["log_likelihood"].to_numpy(), weights, 0.5),
    }


def weighted_quantile(values: np.ndarray, weights: np.ndarray, part: float) -> float:
    """Return the value below which `part` of the weight lies; of all values alike if there is no weight."""
    if not weights.sum() > 0:
        weights = np.ones_like(values)
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, part * cumulative[-1])])
