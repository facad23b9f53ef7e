"""What RELION's class ranker tells of a job's classes -> numbers without grey scale or length, for fitted trees.

RELION's numbers carry the averages' grey scale and depend on box, pixel size and number of particles; the picture is as
wide as the mask. Here everything is a ratio: to the spread of the class's own density, or to the typical class of
the job. So a job may be brighter, sharper or larger than any other.
"""

from __future__ import annotations

import numpy as np

from winnow2d.selection.moments import Picture, features_of_picture, picture_of
from winnow2d.selection.polar import polar_pictures, radial_streaks, resemblance
from winnow2d.selection.relative import alike_features, log_ratio, weighted_quantile
from winnow2d.selection.relion_features import PICTURE_PX, in_units

MASK_PX = PICTURE_PX - 2.0  # the picture is one or two of the average's pixels wider than the mask
_TINY = 1e-9
_IN_SPREADS = ("ring_sd", "protein_sd", "solvent_sd", "ring_mean", "solvent_mean", "lowpass_mean", "lowpass_min",
               "lowpass_max")  # fmt: skip
_OF_THE_JOB = ("protein_sum", "solvent_sum", "relative_signal")
_RATIOS = ("contrast", "protein_area", "protein_size", "protein_roundness")
_DIFFERENCES = ("grain_2", "power_slope", "protein_skewness", "solvent_sd", "protein_share")
_HAVE_GREY_SCALE = ("mass", "contrast")


def relion_columns(features: np.ndarray, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Return numbers to judge the classes of one job by, by name, (k,) float64 each, all finite.

    Parameters
    ----------
    features : (k, 24) real array, k > 0
        Of `relion_features.relion_features`.
    pictures : (k, 64, 64) real array
        Of `relion_features.relion_pictures`.

    Returns
    -------
    dict
        `signal_*`: resolution and accuracies, `signal_resolution` and those that say `relative` as logarithms of ratios
        to the job's; `log_size`: logarithm of the number of particles over the median of such logarithms;
        `relion_*`: RELION's own numbers in units of the spread of the low-pass filtered average, and its three
        comparisons; `picture_*`: those of `moments.features_of_picture`, and `polar.radial_streaks`;
        `job_*`: against the job's typical class; `alike_*`: how a class resembles others.
    """
    units = in_units(features)
    signal, weights = _signal(units)
    shown = [picture_of(picture, 1.0, MASK_PX) for picture in pictures]
    measured = [features_of_picture(picture) for picture in shown]
    columns = {name: np.array([each[name] for each in measured]) for name in measured[0]}
    polar, streaks = _polar(shown)
    found = signal | _densities(units) | {"picture_streaks": streaks}
    found |= {f"picture_{name}": values for name, values in columns.items() if name not in _HAVE_GREY_SCALE}
    found |= _against_typical(columns, units, weights)
    live = np.ones(len(weights), bool)
    return found | alike_features(resemblance(polar), weights, -signal["signal_resolution"], live)


def _signal(units: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return how much signal the classes have, and what each counts when a typical one is sought, (k,).

    RELION's two resolutions together give the logarithm of the number of particles, but for a factor of the job.
    """
    coarse = np.maximum(units["relative_resolution"], 1e-6)
    best = np.quantile(coarse, 0.1)
    log_n = 1 / np.maximum(units["weighted_resolution"], 1e-12) / coarse**2
    log_size = (log_n / np.median(log_n)).clip(0, 5)
    weights = (best / coarse) ** 2 * np.exp(np.clip(6 * (log_size - 1), -4, 4))
    rotation, offset = (np.maximum(units[f"accuracy_{of}"], 0.01) for of in ("rotation_deg", "offset_ang"))
    return {
        "signal_cycles": -np.log(coarse),
        "signal_resolution": np.log(coarse / best),
        "signal_accuracy": rotation.clip(0, 30),
        "signal_relative_rotation": np.log(rotation / weighted_quantile(rotation, weights, 0.5)).clip(-4, 4),
        "signal_relative_offset": np.log(offset / weighted_quantile(offset, weights, 0.5)).clip(-4, 4),
        "log_size": log_size,
    }, weights


def _densities(units: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return RELION's densities without their grey scale."""
    spread = np.maximum(units["lowpass_sd"], _TINY)
    found = {f"relion_{name}": (units[name] / spread).clip(-20, 20) for name in _IN_SPREADS}
    found |= {f"relion_{name}": units[name] for name in ("scattered_signal", "edge_signal")}
    found |= {f"relion_{name}": units[name].clip(-5, 5) for name in _OF_THE_JOB}
    removed = np.maximum(units["grain_1"] - units["grain_6"], _TINY * spread)
    for radius in range(2, 6):  # which part of what discs of 1 to 6 pixels remove is gone at this one
        part = (units["grain_1"] - units[f"grain_{radius}"]) / removed
        found[f"relion_grain_{radius}"] = part.clip(-1, 2)
    return found


def _polar(shown: list[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures in polar coordinates (k, r, angle), and the streaks in their solvent (k,)."""
    radius_px = shown[0].r_mask
    polar = polar_pictures(np.stack([picture.density for picture in shown]), radius_px)
    solvent = polar_pictures(np.stack([1.0 - picture.protein for picture in shown]), radius_px)
    return polar, radial_streaks(polar, solvent > 0.5)


def _against_typical(
    columns: dict[str, np.ndarray], units: dict[str, np.ndarray], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return how the pictures differ from the job's typical one: logarithms of ratios, and differences."""
    mass = columns["mass"]
    # averages without any density above their rim say nothing of mass
    heavier = log_ratio(mass, weights) if weighted_quantile(mass, weights, 0.5) > 0 else np.zeros_like(mass)
    found = {"job_mass": heavier, "job_mass_deviation": np.abs(heavier)}
    found["job_lowpass_sd"] = log_ratio(np.maximum(units["lowpass_sd"], _TINY), weights)
    found |= {f"job_{name}": log_ratio(columns[name], weights) for name in _RATIOS}
    for name in _DIFFERENCES:
        found[f"job_{name}"] = columns[name] - weighted_quantile(columns[name], weights, 0.5)
    return found
