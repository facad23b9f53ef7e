"""Preparing images in plain array operations; see `spectra` for what each function returns."""

from __future__ import annotations

from winnow2d.numerics.arrays import array_module
from winnow2d.numerics.shells import shell_sums


def centre_images(images, factor, shift_px, outside):
    """Return images times a factor and moved by whole pixels: masked, then as they are, (2, n, y, x)."""
    xp, (n, box, _) = array_module(images), images.shape
    row = xp.arange(box)
    x, y = (row[None, :] - xp.asarray(shift_px)[:, axis, None] for axis in range(2))  # where each pixel comes from
    inside = ((y >= 0) & (y < box))[:, :, None] & ((x >= 0) & (x < box))[:, None, :]
    at = (xp.arange(n)[:, None, None], y.clip(0, box - 1)[:, :, None], x.clip(0, box - 1)[:, None, :])
    plain = xp.where(inside, images[at] * factor[:, None, None], 0).astype(images.dtype)
    total = outside.sum(dtype=xp.float64)
    mean = (plain * outside).sum(axis=(1, 2), dtype=xp.float64) / xp.where(total > 0, total, 1)
    masked = plain + outside * (mean.astype(images.dtype)[:, None, None] - plain)
    return xp.stack([masked, plain])


def gather(spectra, flat_index, sign):
    """Return half planes (n, p) of transforms (n, m): the pixels at `flat_index` (p,) times `sign` (p,)."""
    return spectra[:, flat_index] * sign


def shell_power(spectra, shell, n_shells):
    """Return the power of half planes (n, p) per shell, (n, n_shells) float64; `shell` is numpy's."""
    xp = array_module(spectra)
    return shell_sums(spectra.real.astype(xp.float64) ** 2 + spectra.imag.astype(xp.float64) ** 2, shell, n_shells)


def weighted_images(masked, unmasked, model, data, power, inverse_sigma2, scale, shell, n_px):
    """Return images as the E-step and the back-projection take them."""
    xp, cut = array_module(scale), slice(None, n_px)
    w, c = inverse_sigma2[:, xp.asarray(shell[cut])], xp.ascontiguousarray(model[:, cut])
    x_re, x_im = (xp.ascontiguousarray(part) for part in (masked[:, cut].real, masked[:, cut].imag))
    compared = w.copy()
    compared[:, 0] = 0
    d = scale[:, None] * data[:, cut] * w
    weight = scale[:, None] * scale[:, None] * power[:, cut] * w
    return (
        c * x_re * compared, c * x_im * compared, c * c * compared, x_re, x_im, c,
        d * unmasked[:, cut].real, d * unmasked[:, cut].imag, weight,
    )  # fmt: skip


def shifted_rows(re, im, phase_re, phase_im, n_px, rows=None):
    """Return images (n, p) at every shift (t, p): real parts, then imaginary parts, (n * t, n_px) each."""
    re, im = re[:, None, :n_px], im[:, None, :n_px]
    phase_re, phase_im = phase_re[:, :n_px], phase_im[:, :n_px]
    return (re * phase_re - im * phase_im).reshape(-1, n_px), (re * phase_im + im * phase_re).reshape(-1, n_px)


def possible_rows(log_prior):
    """Return None: array operations compare every particle at every shift; see `spectra.possible_rows`."""
    return None
