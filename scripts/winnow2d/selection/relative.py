"""How a class compares with the others of its job: with the typical one, the best ones, and those that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow2d.records import Model

if TYPE_CHECKING:  # RELION's ranker waits for the start of what imports this
    import pandas as pd

NEVER = 99.0  # accuracies above were not estimated (RELION writes 999)
MUCH_ALIKE = 0.8  # correlation from which two averages show much the same
_RATIOS = {  # name of the column: what is divided by the typical class's, as a logarithm
    "relative_information": "spectral_information",
    "relative_max_probability": "max_probability",
    "relative_offset_spread": "offset_spread_ang",
    "relative_offset_distance": "offset_distance_ang",
    "relative_norm": "norm_correction",
    "relative_share": "share",
    "relative_contrast": "contrast",
    "relative_area": "protein_area",
    "relative_size": "protein_size",
    "relative_roundness": "protein_roundness",
}
_DIFFERENCES = {
    "relative_significant": "log_significant",
    "relative_likelihood": "likelihood_deviation",
    "relative_fine_information": "fine_information",
    "relative_coarse_information": "coarse_information",
    "relative_grain": "grain_2",
    "relative_slope": "power_slope",
    "relative_skewness": "protein_skewness",
    "relative_solvent_sd": "solvent_sd",
    "relative_protein_share": "protein_share",
}


def relative_features(
    features: pd.DataFrame, model: Model, alike: np.ndarray, diameter_ang: float
) -> dict[str, np.ndarray]:
    """Return features compared with the job's typical class: a median over particles, not classes.

    Particles of classes with more signal count more, so that a typical class is a good one even where most
    particles are junk. All views of a particle have the same mass, whatever their shape.

    Parameters
    ----------
    features : DataFrame, k rows, all other columns of `features.class_features`
    model : Model
    alike : (k, k), of `polar.resemblance`
    diameter_ang : float, of the mask

    Returns
    -------
    dict of (k,) float arrays
        Logarithms of ratios, or differences; `crowd`: members by those of a mean class, as a logarithm;
        `best_resolution`: against the best tenth; `alike_*`: the best resemblance to another class, the mean one
        weighted by particles and signal, and the signal of the classes it resembles.
    """
    table = {name: features[name].to_numpy(dtype=np.float64) for name in features}
    counts = table["n_particles"]
    weights = counts * table["spectral_information"] ** 2
    found = {name: log_ratio(table[source], weights) for name, source in _RATIOS.items()}
    for name, source in _DIFFERENCES.items():
        found[name] = table[source] - weighted_quantile(table[source], weights, 0.5)
    found |= _mass(table["mass"], weights, counts)
    resolution = table["resolution_ang"]
    best = weighted_quantile(resolution, weights, 0.1)
    found["relative_resolution"] = np.log(resolution / max(best, 1e-12))
    found["relative_accuracy"] = _accuracy(table["accuracy_rotation_deg"], weights)
    live = counts > 0
    mean_size = counts[live].mean() if live.any() else 1.0
    found["crowd"] = np.log(np.maximum(counts, 0.1) / mean_size).clip(-5, 5)
    found["occupancy_ratio"] = np.log(
        np.maximum(table["occupancy"], 1e-9) / np.maximum(table["share"], 1e-9)
    ).clip(-3, 3)  # fmt: skip
    return (
        found
        | _power(model, weights, diameter_ang)
        | alike_features(alike, weights, found["relative_information"], live)
    )


def log_ratio(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the logarithm of values over their weighted median, within -5 ... 5; 0 where that is not positive."""
    typical = weighted_quantile(values, weights, 0.5)
    if not typical > 0:
        return np.zeros(len(values))
    return np.log(np.maximum(values / typical, np.exp(-5.0))).clip(-5, 5)


def _mass(mass: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return how heavy a class is, against the typical class by signal, and by number of particles alone."""
    against = {}
    for name, weight in (("relative_mass", weights), ("counted_mass", counts)):
        # averages without any density above their rim (an early iteration) say nothing of mass
        positive = weighted_quantile(mass, weight, 0.5) > 0
        against[name] = log_ratio(mass, weight) if positive else np.zeros_like(mass)
    return against | {"mass_deviation": np.abs(against["relative_mass"])}


def _accuracy(accuracy_deg: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the logarithm of the rotational accuracy over the typical one; 0 where it was not estimated."""
    known = (accuracy_deg > 0) & (accuracy_deg < NEVER)
    if not known.any():
        return np.zeros(len(accuracy_deg))
    typical = max(weighted_quantile(accuracy_deg[known], weights[known], 0.5), 1e-12)
    return np.where(known, np.log(np.maximum(accuracy_deg, 1e-12) / typical).clip(-3, 3), 0.0)


def _power(model: Model, weights: np.ndarray, diameter_ang: float) -> dict[str, np.ndarray]:
    """Return power in bands of cycles per mask diameter against the typical class."""
    power = np.maximum(np.nan_to_num(np.asarray(model.tau2, dtype=np.float64), nan=0.0), 0.0)
    cycles = np.arange(power.shape[1]) / (model.box_px * model.pixel_size_ang) * diameter_ang
    bands = {"coarse": (0.5, 4.5), "middle": (4.5, 8.0), "fine": (8.0, 16.0)}
    return {
        f"relative_{name}_power": log_ratio(power[:, (cycles >= low) & (cycles < high)].sum(axis=1), weights)
        for name, (low, high) in bands.items()
    }


def alike_features(
    alike: np.ndarray, weights: np.ndarray, information: np.ndarray, live: np.ndarray
) -> dict[str, np.ndarray]:
    """Return how a class resembles others with particles; zeros where there is no other.

    Parameters
    ----------
    alike : (k, k), of `polar.resemblance`
    weights, information : (k,), what a class counts and how much signal it has against the typical one
    live : (k,) bool
    """
    others = np.where(live[None, :] & ~np.eye(len(alike), dtype=bool), alike, 0.0)
    pull = np.maximum(others, 0.0) ** 4 * np.where(live, weights, 0.0)[None, :]
    total = pull.sum(axis=1)
    weight = np.where(live, weights, 0.0)[None, :] * ~np.eye(len(alike), dtype=bool)
    mean = (others * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    return {
        "alike_best": others.max(axis=1, initial=0.0),
        "alike_mean": mean,
        "alike_information": np.where(total > 0, (pull * information[None, :]).sum(axis=1), 0.0)
        / np.where(total > 0, total, 1.0),
        "alike_share": ((others > MUCH_ALIKE) * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12),
    }


def weighted_quantile(values: np.ndarray, weights: np.ndarray, part: float) -> float:
    """Return the value below which `part` of the weight lies; of all values alike if there is no weight."""
    if not weights.sum() > 0:
        weights = np.ones_like(values)
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, part * cumulative[-1])])
