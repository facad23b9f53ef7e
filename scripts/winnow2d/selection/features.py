"""What is known of each class, as numbers: from its average, its spectra and its particles.

All of it is scale-free: box, pixel size, grey scale and number of particles do not matter where a
number enters a score. What compares a class with the others of its job stands in `relative.py`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.numerics.shells import estimated_resolution_ang
from winnow2d.records import Iteration, Model, Particles
from winnow2d.selection.moments import Picture, features_of_picture, picture_of
from winnow2d.selection.polar import polar_pictures, profile_differences, radial_streaks, resemblance
from winnow2d.selection.relative import relative_features, weighted_quantile

__all__ = ["class_features", "weighted_quantile"]

NOT_ESTIMATED = 999.0  # RELION's accuracy of a class where none was estimated
_SPREAD_OF_NORMAL = 1.4826  # standard deviation of a normal distribution by its median absolute deviation


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
        `spectral_information` (nats per cycle over a diameter; `coarse_*` below 5 cycles per diameter, `fine_*` from 9
        on), `weighted_resolution` and `box_resolution` (RELION's
        ranker: 1 / (resolution^2 ln n) and resolution / box length); the members' means `max_probability`,
        `log_significant`, `norm_correction`, `log_likelihood`, their spreads `offset_spread_ang`,
        `likelihood_spread`, `norm_spread`, how far they were moved (`offset_distance_ang`), and, against particles of
        the same micrograph in units of the spread of all, `likelihood_deviation`, `norm_deviation`; `*_middle` are
        medians; those of `moments.features_of_picture`; `radial_streaks`; and
        those of `relative.relative_features`.
    """
    model, particles = iteration.model, iteration.particles
    columns = _spectral(model, particle_diameter_ang) | _members(particles, model.n_classes)
    columns = {"n_particles": columns.pop("n_particles"), "share": columns.pop("share")} | columns
    columns |= _of_relion(columns, model)
    pictures = [picture_of(average, model.pixel_size_ang, particle_diameter_ang) for average in model.references]
    shown = pd.DataFrame([features_of_picture(picture) for picture in pictures])
    features = pd.concat([pd.DataFrame(columns), shown], axis=1)
    polar, is_solvent = _polar(pictures)
    features["radial_streaks"] = radial_streaks(polar, is_solvent)
    weights = features["n_particles"].to_numpy() * features["spectral_information"].to_numpy() ** 2
    features = features.assign(**profile_differences(polar, features["contrast"].to_numpy(), weights))
    return features.assign(**relative_features(features, model, resemblance(polar), particle_diameter_ang))


def _polar(pictures: list[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures in polar coordinates (k, r, angle), and where they show solvent."""
    radius_px = pictures[0].r_mask
    polar = polar_pictures(np.stack([picture.density for picture in pictures]), radius_px)
    solvent = np.stack([1.0 - picture.protein for picture in pictures])
    return polar, polar_pictures(solvent, radius_px) > 0.5


def _spectral(model: Model, diameter_ang: float) -> dict[str, np.ndarray]:
    """Return what the model says of each class, (k,) each."""
    ratio = finite(model.data_vs_prior)
    k, box_ang = model.n_classes, model.box_px * model.pixel_size_ang
    shell_cycles = diameter_ang / box_ang  # cycles per diameter from one shell to the next
    nats, cycles = np.log1p(ratio), np.arange(ratio.shape[1]) * shell_cycles
    return {
        "occupancy": np.asarray(model.pdf_class, dtype=np.float64),
        "resolution_ang": estimated_resolution_ang(ratio, model.box_px, model.pixel_size_ang),
        "accuracy_rotation_deg": _or_not_estimated(model.accuracy_rotation_deg, k),
        "accuracy_offset_ang": _or_not_estimated(model.accuracy_offset_ang, k),
        "spectral_information": nats[:, 1:].sum(axis=1) * shell_cycles,
        "coarse_information": nats[:, (cycles >= 0.5) & (cycles < 5)].sum(axis=1) * shell_cycles,
        "fine_information": nats[:, cycles >= 9].sum(axis=1) * shell_cycles,
    }


def _or_not_estimated(values: np.ndarray, k: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return np.nan_to_num(values, nan=NOT_ESTIMATED, posinf=NOT_ESTIMATED) if len(values) == k else np.full(k, 999.0)


def finite(values: np.ndarray) -> np.ndarray:
    """Return values with nan as 0 and infinities as the largest finite double, never below 0."""
    return np.maximum(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0), 0.0)


def _of_relion(columns: dict[str, np.ndarray], model: Model) -> dict[str, np.ndarray]:
    """Return the two resolutions RELION's ranker looks at, (k,) each."""
    resolution = columns["resolution_ang"]
    log_n = np.log(np.maximum(columns["n_particles"], 2))
    box_ang = model.box_px * model.pixel_size_ang
    return {"weighted_resolution": 1 / (resolution**2 * log_n), "box_resolution": resolution / box_ang}


def _members(particles: Particles, k: int) -> dict[str, np.ndarray]:
    """Return means and spreads over the particles of each class, (k,) each; 0 for a class without any."""
    index = particles.class_index
    seen = index >= 0
    counts = np.bincount(index[seen], minlength=k)

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(index[seen], weights=finite_any(values)[seen], minlength=k)
        return sums / np.maximum(counts, 1)

    def spread(values: np.ndarray) -> np.ndarray:
        return np.sqrt(mean((finite_any(values) - mean(values)[index]) ** 2))

    def middle(values: np.ndarray, part: float = 0.5) -> np.ndarray:
        quantiles = pd.Series(finite_any(values)[seen]).groupby(index[seen]).quantile(part)
        return quantiles.reindex(range(k), fill_value=0.0).to_numpy()

    away = particles.offset_ang - np.median(particles.offset_ang[seen], axis=0) if seen.any() else particles.offset_ang
    likelihood = _against_micrograph(particles.log_likelihood, particles.group_index, seen)
    norm = _against_micrograph(np.log(np.maximum(particles.norm_correction, 1e-6)), particles.group_index, seen)
    return {
        "n_particles": counts.astype(np.int64),
        "share": counts / max(len(index), 1),
        "max_probability": mean(particles.max_probability),
        "log_significant": mean(np.log(np.maximum(particles.n_significant, 1))),
        "offset_spread_ang": np.sqrt(sum(spread(particles.offset_ang[:, axis]) ** 2 for axis in (0, 1)) / 2),
        "offset_distance_ang": np.sqrt(mean((away**2).sum(axis=1) / 2)),
        "norm_correction": mean(particles.norm_correction),
        "log_likelihood": mean(particles.log_likelihood),
        "likelihood_deviation": mean(likelihood),
        "likelihood_low": middle(likelihood, 0.15),
        "likelihood_middle": middle(likelihood),
        "likelihood_high": middle(likelihood, 0.85),
        "likelihood_spread": spread(likelihood),
        "norm_deviation": mean(norm),
        "norm_middle": middle(norm),
        "norm_high": middle(norm, 0.85),
        "norm_spread": spread(norm),
        "probability_middle": middle(particles.max_probability),
        "probability_high": middle(particles.max_probability, 0.85),
    }


def _against_micrograph(values: np.ndarray, group: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return values less the median of the group's seen particles, in units of the spread of all, clipped; (n,)."""
    table = pd.Series(finite_any(values)).where(seen)
    rest = (table - table.groupby(np.asarray(group)).transform("median")).fillna(0.0).to_numpy()
    scale = _SPREAD_OF_NORMAL * float(np.median(np.abs(rest[seen]))) if seen.any() else 0.0
    return (rest / scale).clip(-20, 20) if scale > 0 else np.zeros(len(rest))


def finite_any(values: np.ndarray) -> np.ndarray:
    """Return values with nan and infinities as 0."""
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
