"""What the retained poses say of each image, in plain array operations; see `model_image`."""

from __future__ import annotations

from winnow2d.numerics.arrays import array_module, blocks
from winnow2d.numerics.shells import shell_sums

from .plain_sums import shift_weights


def compare_models(groups, start, shift, weight, images, scale, offset_px, refs, phases, scale_pixels, search, shell,
                   n_shells):  # fmt: skip
    """Return residual (n, s), scale sums (n, 2) and moments (g, 4); see `model_image.compare_models`.

    `shell` is numpy's, everything else lies on one device.
    """
    particle, class_index, row, turn = groups
    xp, n, n_px = array_module(scale), len(scale), refs[0].shape[2]
    model = [xp.zeros((n, n_px), refs[0].dtype) for _ in range(3)]
    scale_sums, moments = xp.zeros((n, 2)), xp.zeros((len(particle), 4))
    for part in blocks(len(particle), 16 * n_px + 8 * len(phases[0])):
        i, k = particle[part], class_index[part]
        dense = shift_weights(start, shift, weight, part.start, part.stop, len(phases[0]))
        said = _group_models(dense, refs, k, row[part], turn[part], phases)
        mine = sum_over(i, n, refs[0].dtype)
        for sums, value in zip(model, said, strict=True):
            sums += mine @ value
        terms = _scale_terms(said, [image[i] for image in images], scale_pixels[0][k])
        scale_sums += mine.astype(xp.float64) @ terms
        moments[part] = _moments(dense, offset_px[i], search[0], search[1][k])
    residual = _residual(model, images, scale)
    is_weighed = xp.zeros(n, bool)
    is_weighed[particle] = True
    return shell_sums(xp.where(is_weighed[:, None], residual, 0), shell, n_shells), scale_sums, moments


def sum_over(index, n, dtype):
    """Return the matrix (n, g) that adds up what belongs to each of n places, given the place of each (g,)."""
    xp = array_module(index)
    return (index[None, :] == xp.arange(n)[:, None]).astype(dtype)


def _group_models(dense, refs, k, row, turn, phases):
    """Return posterior * conj(A) * phase (re, im) and posterior * |A|**2 of every group, (g, p) each.

    `dense` (g, 4 t) are the posteriors of each group by shift.
    """
    phase_re, phase_im = dense @ phases[0], dense @ phases[1]
    a_re, a_im = refs[0][k, row], refs[1][k, row]
    sign = (1 - 2 * turn).astype(a_re.dtype)[:, None]
    re = a_re * phase_re + sign * a_im * phase_im
    im = a_re * phase_im - sign * a_im * phase_re
    return re, im, dense.sum(axis=1)[:, None] * (a_re**2 + a_im**2)


def _scale_terms(said, images, mask):
    """Return signal times reference, and reference squared, of every group, (g, 2) float64."""
    xp, (re, im, power), (x_re, x_im, ctf) = array_module(mask), said, images
    counted = mask * ctf
    cross = (counted * (x_re * re - x_im * im)).sum(axis=1, dtype=xp.float64)
    return xp.stack([cross, (counted * ctf * power).sum(axis=1, dtype=xp.float64)], axis=1)


def _moments(dense, offset_px, shifts_px, centre_px):
    """Return weight, weighted offset and weighted squared distance to the prior of every group, (g, 4) float64."""
    xp = array_module(dense)
    weight = dense.astype(xp.float64)
    x, y = (offset_px[:, axis, None] + shifts_px[:, axis] for axis in range(2))
    distance2 = (centre_px[:, :1] - x) ** 2 + (centre_px[:, 1:] - y) ** 2
    return xp.stack([part.sum(axis=1) for part in (weight, weight * x, weight * y, weight * distance2)], axis=1)


def _residual(model, images, scale):
    """Return |image - scale * CTF * model|**2 less posterior * |image|**2, pixel by pixel, (n, p)."""
    x_re, x_im, ctf = images
    factor = scale[:, None] * ctf
    return factor**2 * model[2] - 2 * factor * (x_re * model[0] - x_im * model[1])
