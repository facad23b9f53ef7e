"""What the picture of one class average shows: density in the protein, around it, and at the mask's edge.

Every picture is first brought to one grid, 48 pixels across the mask diameter, and to standard
deviation 1 inside the mask; so neither box, pixel size nor grey scale matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from winnow2d.numerics.fourier import forward, inverse
from winnow2d.numerics.grids import radius_map
from winnow2d.numerics.masks import positive_centre_of_mass

DIAMETER_PX = 48  # of the common grid
_LOWPASS_CYCLES = 8  # cycles per diameter kept in the picture that finds the protein (25 A for 200 A)
_THRESHOLD = 0.05  # of the standard deviation of that picture; above it is density
_CORE = 0.6  # protein must reach within this part of the mask radius
_CORE_FILL = 0.1  # and fill at least this part of it, else it counts as scattered
_GRAIN_RADII_PX = (1, 2, 4)


class Picture(NamedTuple):
    """One class average on the common grid."""

    density: np.ndarray  # (y, x): 0 at the mask's rim, standard deviation 1 inside it
    lowpass: np.ndarray  # (y, x)
    spread: float  # standard deviation inside the mask, in the average's own grey scale; 0: nothing to see
    radius: np.ndarray  # (y, x), from the centre, px
    r_mask: float  # px
    protein: np.ndarray  # (y, x) bool
    scattered: np.ndarray  # (y, x) bool, density too small to be a protein


def picture_of(average: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> Picture:
    """Return a class average (y, x), protein positive, on the common grid, with its protein found.

    Parameters
    ----------
    average : (y, x) real array
    pixel_size_ang : float
    diameter_ang : float
        Of the circular mask.
    """
    density = resample(average, pixel_size_ang, diameter_ang)
    radius = radius_map(len(density))
    r_mask = min(DIAMETER_PX / 2, len(density) / 2)
    circle = radius <= r_mask
    spread = float(density[circle].std())
    if not spread > 0:
        nothing = np.zeros(density.shape, bool)
        return Picture(np.zeros_like(density), np.zeros_like(density), 0.0, radius, r_mask, nothing, nothing)
    density = (density - np.median(density[circle & (radius > 0.9 * r_mask)])) / spread
    lowpass = _lowpass(density, _LOWPASS_CYCLES / DIAMETER_PX)
    return Picture(density, lowpass, spread, radius, r_mask, *protein_mask(lowpass, radius, r_mask))


def picture_features(average: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> dict[str, float]:
    """Return what `features_of_picture` measures on a class average; parameters as of `picture_of`."""
    return features_of_picture(picture_of(average, pixel_size_ang, diameter_ang))


def features_of_picture(shown: Picture) -> dict[str, float]:
    """Return what can be measured on one class average alone; all numbers without unit.

    Returns
    -------
    dict
        `mass`: mean density inside the mask above that at its rim, in the average's own grey scale, and `contrast`:
        the standard deviation, likewise; `protein_*`: moments of the density inside the automatic protein mask;
        `protein_area`: its part of the circle; `protein_size`: root mean square distance of its pixels from their
        centre, in diameters; `protein_roundness`: smaller by larger axis of its second moments; `solvent_*`,
        `ring_*`: outside it, and in the outermost 5 % of the radius; `solvent_lowest`: the darkest place there;
        `protein_share`: part of the power inside the circle that lies in the protein; `edge_signal`: part of
        the mask's rim that is protein; `scattered_signal`: part of the density that is not protein; `centre_offset`:
        centre of mass from the centre, in diameters; `grain_r`: part of the positive density that survives an
        opening by a disc of r pixels; `power_low`, `_middle`, `_high`: parts of the power at 1-4, 4-10 and
        10-24 cycles per diameter; `power_slope`: how much the power falls, in log units, from 2-5 to 6-12;
        `stripes`: largest Fourier peak of the solvent over what noise would give.
    """
    if not shown.spread > 0:
        return dict.fromkeys(_NAMES, 0.0)
    density, lowpass, radius, protein = shown.density, shown.lowpass, shown.radius, shown.protein
    circle = radius <= shown.r_mask
    solvent, ring = circle & ~protein, circle & (radius >= 0.95 * shown.r_mask)
    rim = np.rint(radius) == np.rint(shown.r_mask)
    found = _moments(density[protein]) | {"protein_area": protein.sum() / circle.sum()} | _shape(protein)
    found |= {"mass": density[circle].mean() * shown.spread, "contrast": shown.spread}
    found |= {"solvent_mean": _mean(density[solvent]), "solvent_sd": _sd(density[solvent])}
    found |= {"solvent_lowest": lowpass[solvent].min() if solvent.any() else 0.0}
    found |= {"protein_share": (density[protein] ** 2).sum() / max((density[circle] ** 2).sum(), 1e-12)}
    found |= {"ring_mean": _mean(density[ring]), "ring_sd": _sd(density[ring])}
    found |= {"edge_signal": protein[rim].mean() if rim.any() else 0.0}
    found |= {"scattered_signal": shown.scattered.sum() / (shown.scattered.sum() + protein.sum() + 1)}
    found |= {"lowpass_min": lowpass[circle].min(), "lowpass_max": lowpass[circle].max()}
    found |= {"centre_offset": float(np.hypot(*positive_centre_of_mass(lowpass * circle))) / DIAMETER_PX}
    found |= _grain(density, circle) | _power(density * circle)
    found |= {"stripes": _stripes(density, solvent)}
    return {name: float(found[name]) for name in _NAMES}


_NAMES = (
    "mass", "contrast", "protein_mean", "protein_sd", "protein_skewness", "protein_kurtosis", "protein_area",
    "protein_size", "protein_roundness", "protein_share", "solvent_mean", "solvent_sd", "solvent_lowest",
    "ring_mean", "ring_sd", "edge_signal", "scattered_signal", "lowpass_min", "lowpass_max", "centre_offset",
    *(f"grain_{radius}" for radius in _GRAIN_RADII_PX), "power_low", "power_middle", "power_high", "power_slope",
    "stripes",
)  # fmt: skip


def resample(average: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> np.ndarray:
    """Return the image on the grid of DIAMETER_PX pixels per diameter, by cropping or padding its transform."""
    box = average.shape[-1]
    size = max(8, 2 * round(box * pixel_size_ang / diameter_ang * DIAMETER_PX / 2))
    spectrum = forward(np.asarray(average, dtype=np.float64))
    keep = min(box, size) // 2  # the Nyquist row and column are left out: they have no partner on the other grid
    out = np.zeros((size, size // 2 + 1), dtype=complex)
    out[:keep, :keep] = spectrum[:keep, :keep]
    out[1 - keep :, :keep] = spectrum[1 - keep :, :keep]
    return inverse(out, size)


def protein_mask(lowpass: np.ndarray, radius: np.ndarray, r_mask: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the protein is, and density in the core that is too small to be one; (y, x) bool each.

    Islands of density (4-connected, inside the mask) that reach into the core and fill a tenth of it are
    protein; smaller ones are scattered signal; islands that stay outside the core are ignored.
    """
    islands, _ = ndimage.label((lowpass > _THRESHOLD * lowpass.std()) & (radius <= r_mask))
    core = radius <= _CORE * r_mask
    in_core = np.bincount(islands[core], minlength=islands.max() + 1)
    in_core[0] = 0
    is_protein = in_core > _CORE_FILL * core.sum()
    is_scattered = (in_core > 0) & ~is_protein
    return is_protein[islands], is_scattered[islands]


def _lowpass(picture: np.ndarray, cycles_per_px: float) -> np.ndarray:
    """Return the picture without frequencies above the limit (raised-cosine fall over two shells)."""
    size = len(picture)
    ky, kx = np.fft.fftfreq(size) * size, np.arange(size // 2 + 1)
    beyond = np.clip((np.hypot(ky[:, None], kx[None, :]) - cycles_per_px * size) / 2, 0, 1)
    return inverse(forward(picture) * (0.5 + 0.5 * np.cos(np.pi * beyond)), size)


def _moments(values: np.ndarray) -> dict[str, float]:
    """Return mean, standard deviation, skewness and excess kurtosis; zeros without spread."""
    if not values.size or not values.std() > 0:
        return {"protein_mean": _mean(values), "protein_sd": 0.0, "protein_skewness": 0.0, "protein_kurtosis": 0.0}
    z = (values - values.mean()) / values.std()
    higher = {"protein_skewness": (z**3).mean(), "protein_kurtosis": (z**4).mean() - 3}
    return {"protein_mean": values.mean(), "protein_sd": values.std()} | higher


def _shape(protein: np.ndarray) -> dict[str, float]:
    """Return size and roundness of the protein mask; zeros without one."""
    y, x = np.nonzero(protein)
    if len(y) < 3:
        return {"protein_size": 0.0, "protein_roundness": 0.0}
    small, large = np.linalg.eigvalsh(np.cov(np.stack([y, x])))
    roundness = np.sqrt(max(small, 0.0) / large) if large > 0 else 0.0
    return {"protein_size": np.sqrt(small + large) / DIAMETER_PX, "protein_roundness": roundness}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def _sd(values: np.ndarray) -> float:
    return float(values.std()) if values.size else 0.0


def _grain(picture: np.ndarray, circle: np.ndarray) -> dict[str, float]:
    """Return which part of the positive density is left after openings with growing discs."""
    positive = np.maximum(picture, 0) * circle
    total, found = positive.sum(), {}
    for size in _GRAIN_RADII_PX:
        y, x = np.mgrid[-size : size + 1, -size : size + 1]
        opened = ndimage.grey_opening(positive, footprint=x**2 + y**2 <= size**2)
        found[f"grain_{size}"] = opened.sum() / total if total > 0 else 0.0
    return found


def _power(picture: np.ndarray) -> dict[str, float]:
    """Return how the power is shared between three bands of frequency, and how it falls."""
    size = len(picture)
    power = np.abs(forward(picture)) ** 2
    power[:, 1 : (size + 1) // 2] *= 2  # the half that a real transform leaves out
    ky, kx = np.fft.fftfreq(size) * size, np.arange(size // 2 + 1)
    cycles = np.hypot(ky[:, None], kx[None, :]) * DIAMETER_PX / size
    bands = {"power_low": (1, 4), "power_middle": (4, 10), "power_high": (10, 24)}
    sums = {name: power[(cycles >= low) & (cycles < high)].sum() for name, (low, high) in bands.items()}
    total = sum(sums.values())
    near, far = (power[(cycles >= low) & (cycles < high)].mean() for low, high in ((2, 5), (6, 12)))
    slope = np.log(far / near) if near > 0 and far > 0 else 0.0
    shares = {name: value / total if total > 0 else 0.0 for name, value in sums.items()}
    return shares | {"power_slope": float(np.clip(slope, -12, 3))}


def _stripes(picture: np.ndarray, solvent: np.ndarray) -> float:
    """Return how far the highest peak of the solvent's power spectrum stands out of its shell, from 0 to 1.

    In a shell of m pixels of pure noise the largest is about ln(m) times the mean, which counts as 0; a single
    endless wave would be m times the mean, which counts as 1. Ice in a circle of solvent gives 0.2.
    """
    if solvent.sum() < 50:
        return 0.0
    size = len(picture)
    field = np.where(solvent, picture - picture[solvent].mean(), 0.0)
    power = np.abs(forward(field)) ** 2
    ky, kx = np.fft.fftfreq(size) * size, np.arange(size // 2 + 1)
    cycles = np.hypot(ky[:, None], kx[None, :]) * DIAMETER_PX / size
    shell = np.rint(cycles / 2).astype(int)
    peaks = []
    for index in range(3, 12):  # 6 to 22 cycles per diameter: finer than the protein's outline
        values = power[shell == index]
        if values.size > 8 and values.mean() > 0:
            expected = np.log(values.size) + 1
            peaks.append((values.max() / values.mean() - expected) / (values.size - expected))
    return float(np.clip(max(peaks, default=0.0), 0, 1))
