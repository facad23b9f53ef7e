"""Prior probability of a pose: its class, and how far the particle lies from where it was picked."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.shells import round_half_away

NEVER = -np.inf


def offset_log_prior(
    old_offset_px: np.ndarray,
    shifts_px: np.ndarray,
    prior_offset_ang: np.ndarray,
    sigma_offset_ang: float,
    pixel_size_ang: float,
    mix_units: bool,
    limit_px: float,
) -> np.ndarray:
    """Return the unnormalised log prior of every class and coarse shift.

    Parameters
    ----------
    old_offset_px : (n, 2) array
        Old offsets rounded to pixels.
    shifts_px : (t, 2) array
        Coarse shifts, unperturbed.
    prior_offset_ang : (k, 2) array
    mix_units : bool
        Add the old offset in pixels to the shift in Angstrom, as RELION does.
    limit_px : float
        Total offsets beyond this have probability 0 (infinity: no limit); the shift closest to the limit
        stays possible, so that no particle is left without a pose.

    Returns
    -------
    (n, k, t) float64 array, (n, 1, t) where all classes have one prior centre
    """
    if mix_units:
        position = old_offset_px[:, None, :] + shifts_px[None] * pixel_size_ang
        factor = pixel_size_ang**2
    else:
        position = (old_offset_px[:, None, :] + shifts_px[None]) * pixel_size_ang
        factor = 1.0
    if not prior_offset_ang.any():
        prior_offset_ang = prior_offset_ang[:1]  # the same for all classes: one is enough
    distance2 = ((position[:, None] - prior_offset_ang[None, :, None]) ** 2).sum(axis=-1)
    log_prior = -factor * distance2 / (2 * sigma_offset_ang**2)
    if np.isfinite(limit_px):
        total2 = ((old_offset_px[:, None, :] + shifts_px[None]) ** 2).sum(axis=-1)
        allowed = total2 <= np.maximum(limit_px**2, total2.min(axis=1, keepdims=True)) + 1e-6
        log_prior = np.where(allowed[:, None, :], log_prior, NEVER)
    return log_prior


def pose_log_prior(offset_log: np.ndarray, pdf_class: np.ndarray) -> np.ndarray:
    """Return the log prior (n, k, t) of class and shift, each divided by its mean over classes and shifts.

    Dividing by the means changes no posterior; with it the log-likelihoods are those RELION writes.
    """
    highest = offset_log.max(axis=(1, 2), keepdims=True)  # far offsets have logarithms that exp() takes for 0
    log_mean = highest + np.log(np.exp(offset_log - highest).mean(axis=(1, 2), keepdims=True))
    return offset_log - log_mean + class_log_prior(pdf_class)[None, :, None]


def class_log_prior(pdf_class: np.ndarray) -> np.ndarray:
    """Return the log of each class's share over the mean share, (k,)."""
    with np.errstate(divide="ignore"):
        return np.where(pdf_class > 0, np.log(pdf_class), NEVER) - np.log(pdf_class.mean())


def rounded_offset_px(offset_ang: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """Return offsets (n, 2) as whole pixels, halves away from zero."""
    return np.asarray(round_half_away(offset_ang / pixel_size_ang)).reshape(-1, 2)
