"""The numbers and pictures by which RELION's class ranker (4.0, 5) tells its scorer of a class.

Every class is told by 24 numbers and one picture of 64 x 64 pixels. The numbers are measured on the average resampled
to 4 A per pixel, in the average's own grey scale, and brought to about -1 ... 1 by fixed constants; the last three are
compared with the other classes of the job instead.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from winnow2d.numerics import fourier
from winnow2d.numerics.grids import radius_map
from winnow2d.numerics.shells import round_half_away
from winnow2d.selection.moments import protein_mask

PICTURE_PX = 64
PIXEL_ANG = 4.0  # of the grid that the numbers are measured on
LEAST_PX = 15  # of that grid; RELION stops below
LOWPASS_ANG = 25.0
RING = 0.95  # inner radius of the ring, in mask radii
FEWEST_PARTICLES = 10  # classes with no more are not told of
NOT_ESTIMATED = 99.0  # accuracies above it were not estimated
USUAL_ACCURACY = (5.0, 8.0)  # deg, A: taken instead
_GRAIN_RADII_PX = range(1, 7)

# name, and what is taken away from it and divides it
_SCALES = (
    ("accuracy_rotation_deg", 4.352, 4.759), ("accuracy_offset_ang", 3.871, 3.019),
    ("weighted_resolution", 0.001, 0.002), ("relative_resolution", 0.061, 0.088), ("ring_mean", -0.199, 0.283),
    ("ring_sd", 0.424, 0.629), ("protein_sd", 0.744, 0.585), ("solvent_mean", -0.380, 0.378),
    ("solvent_sd", 0.292, 0.485), ("scattered_signal", 0.024, 0.075), ("edge_signal", 0.047, 0.075),
    ("lowpass_mean", 0.116, 0.182), ("lowpass_sd", 0.638, 0.429), ("lowpass_min", -1.112, 1.087),
    ("lowpass_max", 2.990, 1.758), ("grain_1", 837.576, 1958.823), ("grain_2", 726.097, 2845.330),
    ("grain_3", 602.175, 3605.858), ("grain_4", 483.469, 4001.972), ("grain_5", 328.014, 4399.578),
    ("grain_6", 196.059, 4709.751),
)  # fmt: skip
_OF_THE_JOB = ("protein_sum", "solvent_sum", "relative_signal")  # in standard deviations over the classes of the job
NAMES = (*(name for name, _, _ in _SCALES), *_OF_THE_JOB)
_MEAN = np.array([mean for _, mean, _ in _SCALES])
_SD = np.array([sd for _, _, sd in _SCALES])


def relion_features(
    averages: np.ndarray, pixel_size_ang: float, diameter_ang: float, n_particles: np.ndarray,
    resolution_ang: np.ndarray, accuracy_rotation_deg: np.ndarray, accuracy_offset_ang: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return what RELION writes into features.npy, (k, 24) float32, columns as in `NAMES`.

    Parameters
    ----------
    averages : (k, y, x) real array, an even box
        Of the classes with more than `FEWEST_PARTICLES` particles, protein positive.
    pixel_size_ang, diameter_ang : float
        Diameter of the circular mask.
    n_particles : (k,) array, > 1
        Class fraction times the number of particles.
    resolution_ang : (k,) array, > 0
    accuracy_rotation_deg, accuracy_offset_ang : (k,) arrays
        Where either was not estimated (above 99) both are 5 degrees and 8 A, which is RELION's way with classes
        of up to 100 particles; it estimates them anew for larger ones.

    Raises
    ------
    ValueError
        If the averages have fewer than 15 pixels of 4 A.
    """
    averages = np.asarray(averages, dtype=np.float64)
    box_ang = averages.shape[-1] * pixel_size_ang
    resolution_ang = np.asarray(resolution_ang, dtype=np.float64)
    rotation, offset = (np.asarray(a, dtype=np.float64) for a in (accuracy_rotation_deg, accuracy_offset_ang))
    unknown = (rotation > NOT_ESTIMATED) | (offset > NOT_ESTIMATED)
    known = {
        "accuracy_rotation_deg": np.where(unknown, USUAL_ACCURACY[0], rotation),
        "accuracy_offset_ang": np.where(unknown, USUAL_ACCURACY[1], offset),
        "weighted_resolution": 1 / (resolution_ang**2 * np.log(n_particles)),
        "relative_resolution": resolution_ang / box_ang,
    }
    pictures = [_measured(average, diameter_ang) for average in on_grid(averages, pixel_size_ang)]
    columns = known | {name: np.array([picture[name] for picture in pictures]) for name in NAMES[len(known) :]}
    fixed = (np.stack([columns[name] for name, _, _ in _SCALES], axis=1) - _MEAN) / _SD
    relative = np.stack([_standardised(columns[name]) for name in _OF_THE_JOB], axis=1)
    return np.concatenate([fixed, relative], axis=1).astype(np.float32)


def relion_pictures(averages: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> np.ndarray:
    """Return what RELION writes into images.npy, (k, 64, 64) float32: the mask's square, in the averages' grey scale.

    Parameters
    ----------
    averages : (k, y, x) real array, an even box
        Filled with zeros where it is smaller than the mask.
    """
    averages = np.asarray(averages, dtype=np.float64)
    width = int(np.ceil(diameter_ang / pixel_size_ang)) + 1
    width += width % 2
    box_px = averages.shape[-1]
    square = fourier.crop(averages, width) if width <= box_px else fourier.pad(averages, width)
    return fourier.rescaled(square, PICTURE_PX).astype(np.float32)


def in_units(features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the numbers of features.npy in their units, by name, (k,) float64 each; the last three as they are."""
    features = np.asarray(features, dtype=np.float64)
    values = np.concatenate([features[:, : len(_SCALES)] * _SD + _MEAN, features[:, len(_SCALES) :]], axis=1)
    return dict(zip(NAMES, values.T, strict=True))


def on_grid(averages: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """Return averages resampled to 4 A per pixel, in a box of an even number of pixels.

    Raises
    ------
    ValueError
        If they would have fewer than 15 pixels.
    """
    size = int(round_half_away(np.float64(averages.shape[-1] * (pixel_size_ang / PIXEL_ANG))))
    size -= size % 2
    if size < LEAST_PX:
        raise ValueError(f"a box of {averages.shape[-1]} px of {pixel_size_ang:g} A has fewer than 15 px of 4 A")
    return fourier.rescaled(averages, size)


def _measured(picture: np.ndarray, diameter_ang: float) -> dict[str, float]:
    """Return what is measured on one average at 4 A per pixel, (y, x), in its own grey scale."""
    size = len(picture)
    r_mask, radius = min(diameter_ang / (2 * PIXEL_ANG), size / 2), radius_map(size)
    lowpass = _lowpass(picture)
    protein, scattered = protein_mask(lowpass, radius, r_mask)
    solvent = (radius <= r_mask) & ~protein
    ring = (radius >= RING * r_mask) & (radius <= r_mask)
    rim = round_half_away(radius) == round_half_away(np.float64(r_mask))
    protein_mean, protein_sd = _mean_and_sd(picture[protein])
    solvent_mean, solvent_sd = _mean_and_sd(picture[solvent])
    ring_mean, ring_sd = _mean_and_sd(picture[ring])
    found = {"ring_mean": ring_mean, "ring_sd": ring_sd, "protein_sd": protein_sd}
    found |= {"solvent_mean": solvent_mean, "solvent_sd": solvent_sd}
    found |= {"scattered_signal": scattered.sum() / (scattered.sum() + protein.sum() + 1)}
    found |= {"edge_signal": protein[rim].mean(), "lowpass_mean": lowpass.mean(), "lowpass_sd": lowpass.std()}
    found |= {"lowpass_min": lowpass.min(), "lowpass_max": lowpass.max()}
    found |= {f"grain_{r}": _opened(picture, r).sum() for r in _GRAIN_RADII_PX}
    found |= {"protein_sum": protein_mean * protein.sum(), "solvent_sum": solvent_mean * solvent.sum()}
    found |= {"relative_signal": (protein_mean - solvent_mean) * protein.sum()}
    return {name: float(value) for name, value in found.items()}


def _mean_and_sd(values: np.ndarray) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if values.size else (0.0, 0.0)


def _lowpass(picture: np.ndarray) -> np.ndarray:
    """Return the picture without what is finer than 25 A (raised-cosine fall over two shells)."""
    size = len(picture)
    last = float(round_half_away(np.float64(size * PIXEL_ANG / LOWPASS_ANG)))
    ky, kx = np.fft.fftfreq(size) * size, np.arange(size // 2 + 1)
    beyond = np.clip((np.hypot(ky[:, None], kx[None, :]) - (last - 1)) / 2, 0, 1)
    return fourier.inverse(fourier.forward(picture) * (0.5 + 0.5 * np.cos(np.pi * beyond)), size)


def _opened(picture: np.ndarray, radius_px: int) -> np.ndarray:
    """Return the grey opening of a picture with a disc, which is cut at the picture's borders."""
    y, x = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    disc = x**2 + y**2 <= radius_px**2
    eroded = ndimage.grey_erosion(picture, footprint=disc, mode="constant", cval=np.inf)
    return ndimage.grey_dilation(eroded, footprint=disc, mode="constant", cval=-np.inf)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return values in standard deviations from their mean; zeros where they do not differ."""
    spread = values.std() if values.size else 0.0
    return (values - values.mean()) / spread if spread >= 1e-10 else np.zeros_like(values)
