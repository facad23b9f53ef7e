"""A circular mask that is too small for the particle, too large for it, or reaches its neighbours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from winnow2d.numerics.fourier import rescaled
from winnow2d.numerics.grids import radius_map
from winnow2d.records import Model

from .averages import Averages
from .finding import Finding

CLIPPED = 0.13  # mean density at the mask's rim over the highest of all radii
NEIGHBOURS = 0.05  # rise of density from the gap around the particle to the rim, likewise
TOO_LARGE = 2.1  # mask diameter over that of what is seen of the particle, on average
_SHARE = 0.5  # of the particles of counted classes that must be in classes concerned
_GAP_DENSITY = 0.35  # over the highest: more is the hollow of a particle, not a gap around it
_SECTORS = 12  # around the circle
_SECTORS_RISING = 0.6  # part of them in which density rises by half of that: neighbours lie all around
_RISE_IN_SD = 1.2  # the rise over what sectors differ by, in standard deviations of their mean
_AT = np.linspace(0, 1, 49)  # radii of the mask at which density is looked at
_RIM, _GAP = _AT >= 0.87, (_AT >= 0.35) & (_AT <= 0.85)
_FLOOR = (_AT >= 0.8) & (_AT < 1)
_SEEN = 0.97  # of the density's power is inside what is seen of the particle
_ABOVE_FLOOR = 1.5  # times the power of the solvent: less is not particle
_BLUR = 0.03  # mask diameters
_ROOM = 1.35  # mask diameter suggested, over what is seen of the particle
_LARGER = 1.5  # mask diameter suggested over that of one that clips, if nothing is known of what is beyond
_STEP_ANG = 5.0  # suggestions are multiples of it


def mask_finding(model: Model, averages: Averages) -> Finding | None:
    """Return the warning about the mask, if there is one."""
    profile = radial_profiles(averages.pictures, averages.mask_px)
    top = np.where(profile.max(axis=1) > 0, profile.max(axis=1), np.inf)
    profile = profile / top[:, None]
    # density at the rim is that of neighbours if there is a gap before it
    return _neighbours(averages, profile, top) or _clipped(model, averages, profile) or _too_large(averages)


def radial_profiles(pictures: np.ndarray, mask_px: float) -> np.ndarray:
    """Return the mean density of pictures (k, y, x) at the radii `_AT`, (k, r)."""
    ring = np.rint(radius_map(pictures.shape[-1])).astype(np.int64).ravel()
    sizes = np.bincount(ring)
    means = (np.bincount(ring, weights=one.ravel()) / sizes for one in pictures)
    return np.stack([np.interp(_AT * mask_px, np.arange(len(sizes)), mean) for mean in means])


def _clipped(model: Model, averages: Averages, profile: np.ndarray) -> Finding | None:
    rim = profile[:, _RIM].mean(axis=1)
    concerned = averages.counted & (rim > CLIPPED)
    if averages.share(concerned) < _SHARE:
        return None
    diameter = averages.mask_diameter_ang
    most = _STEP_ANG * np.floor(averages.box_ang / _STEP_ANG)
    suggested = float(min(_stepped(_diameter_beyond(model, averages, concerned)), most))
    advice = f"Enlarge class2d: {{particle_diameter: {suggested:g}}}"
    if suggested <= diameter:
        advice = "The box has no room for a larger one: extract the particles in a larger box"
    density = averages.mean(rim, concerned)
    return Finding(
        "mask_clips",
        f"In {concerned.sum()} averages the density at the rim of the mask of {diameter:g} A is still {density:.0%} of "
        f"the highest: it cuts into the particle. {advice}.",
        {"rim_density": density, "particle_diameter": diameter, "suggested_particle_diameter": suggested},
        np.flatnonzero(concerned),
    )


def _diameter_beyond(model: Model, averages: Averages, concerned: np.ndarray) -> float:
    """Return a mask diameter that holds the particle, from averages before they were masked where there are any."""
    unmasked, diameter = model.unmasked_references, averages.mask_diameter_ang
    at_least = min(1.2 * diameter, averages.box_ang)
    if unmasked is None or not np.isfinite(unmasked[concerned]).all():
        return min(_LARGER * diameter, averages.box_ang)
    size = averages.pictures.shape[-1]
    pictures = np.asarray(unmasked[concerned], dtype=np.float64)
    pictures = rescaled(pictures, size) if size < model.box_px else pictures
    ring = np.rint(radius_map(size)).astype(np.int64).ravel()
    profile = np.bincount(ring, weights=pictures.mean(axis=0).ravel()) / np.bincount(ring)
    low = np.flatnonzero(profile[: size // 2] < 0.1 * profile.max())
    outside = low[low > averages.mask_px]
    radius = outside[0] if len(outside) else size // 2
    return float(np.clip(2.2 * radius * averages.box_ang / size, at_least, averages.box_ang))


def _neighbours(averages: Averages, profile: np.ndarray, top: np.ndarray) -> Finding | None:
    mean = np.average(profile[averages.counted], axis=0, weights=averages.counts[averages.counted])
    gap = float(_AT[_GAP][mean[_GAP].argmin()])
    height = float(mean[_RIM].mean() - mean[_GAP].min())
    rises = _rises_by_sector(averages, gap) / top[:, None]
    concerned = averages.counted & (rises.mean(axis=1) > 0)
    is_even = averages.mean((rises > NEIGHBOURS / 2).mean(axis=1)) > _SECTORS_RISING
    evidence = averages.mean(np.sqrt(_SECTORS) * rises.mean(axis=1) / np.maximum(rises.std(axis=1), 1e-300))
    has_gap = mean[_GAP].min() < _GAP_DENSITY
    if height < NEIGHBOURS or not (has_gap and is_even) or evidence < _RISE_IN_SD or not concerned.any():
        return None
    diameter = averages.mask_diameter_ang
    suggested = _stepped(gap * diameter)
    return Finding(
        "neighbours_in_mask",
        f"In {concerned.sum()} averages the density rises again from {gap * diameter / 2:.0f} A outward, all around "
        f"and by {height:.0%} of the highest: the mask of {diameter:g} A lets neighbours in. Make it smaller: class2d: "
        f"{{particle_diameter: {suggested:g}}}.",
        {"rise": height, "gap_ang": gap * diameter / 2, "particle_diameter": diameter,
         "suggested_particle_diameter": suggested},
        np.flatnonzero(concerned),
    )  # fmt: skip


def _rises_by_sector(averages: Averages, gap: float) -> np.ndarray:
    """Return the mean density at the rim less that at the gap, (k, sectors)."""
    size = averages.pictures.shape[-1]
    axis, radius = np.arange(size) - size // 2, averages.radius
    angle = np.arctan2(axis[:, None], axis[None, :]) / (2 * np.pi) + 0.5
    sector = np.minimum((angle * _SECTORS).astype(np.int64), _SECTORS - 1)
    rim, at_gap = (radius > 0.87) & (radius < 1.03), np.abs(radius - gap) < 0.08

    def means(where: np.ndarray) -> np.ndarray:
        sizes = np.maximum(np.bincount(sector[where], minlength=_SECTORS), 1)
        return np.stack([np.bincount(sector[where], one[where], _SECTORS) / sizes for one in averages.pictures])

    return means(rim) - means(at_gap)


def _too_large(averages: Averages) -> Finding | None:
    seen, diameter = extents(averages), averages.mask_diameter_ang
    extent = averages.mean(seen) * diameter
    if TOO_LARGE * extent > diameter:
        return None
    suggested = _stepped(_ROOM * averages.quantile(seen, 0.75) * diameter)
    concerned = averages.counted & (TOO_LARGE * seen <= 1)
    return Finding(
        "mask_too_large",
        f"In {concerned.sum()} averages the particle is about {extent:.0f} A wide, and the mask of {diameter:g} A more "
        f"than twice that: noise and neighbours take part. Make it smaller: class2d: {{particle_diameter: "
        f"{suggested:g}}}.",
        {"extent_ang": extent, "particle_diameter": diameter, "suggested_particle_diameter": suggested},
        np.flatnonzero(concerned),
    )


def extents(averages: Averages) -> np.ndarray:
    """Return how far the particle reaches in each average, (k,), in radii of the mask."""
    blur_px = 2 * _BLUR * averages.mask_px
    smooth = ndimage.gaussian_filter(averages.pictures, (0, blur_px, blur_px))
    power = radial_profiles(smooth**2, averages.mask_px)
    floor = np.median(power[:, _FLOOR], axis=1)
    above = np.maximum(power - _ABOVE_FLOOR * floor[:, None], 0) * _AT
    found = []
    for row in above:
        peak = int(row.argmax())
        end = peak + int(np.argmax(np.append(row[peak:], 0.0) <= 0))  # what is seen ends with the first gap
        within = np.cumsum(row[:end]) / max(row[:end].sum(), 1e-300)
        found.append(_AT[np.searchsorted(within, _SEEN)] if row[peak] > 0 else 1.0)
    return np.array(found)


def _stepped(diameter_ang: float) -> float:
    return float(_STEP_ANG * round(diameter_ang / _STEP_ANG))
