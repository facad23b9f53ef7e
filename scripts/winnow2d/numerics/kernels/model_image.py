"""What the retained poses say of each image: its model, and with it noise, norm, intensity scale and offsets."""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined


@inlined
def add_phases(shifts, weights, phase_re, phase_im, n_px, out_re, out_im):
    """Write sum over poses of weight * phase factor of its shift; returns nothing."""
    w, t = weights[0], shifts[0]
    for p in range(n_px):
        out_re[p] = w * phase_re[t, p]
        out_im[p] = w * phase_im[t, p]
    for e in range(1, len(shifts)):
        w, t = weights[e], shifts[e]
        for p in range(n_px):
            out_re[p] += w * phase_re[t, p]
            out_im[p] += w * phase_im[t, p]


@inlined
def _add_model(a_re, a_im, turn, phase_re, phase_im, weight, model, n_px):
    """Add a group's posterior * conj(A) * phase and posterior * |A|**2 to the model (re, im, power) of its class."""
    m_re, m_im, m_power = model
    sign, weight = a_re.dtype.type(1 if turn == 0 else -1), a_re.dtype.type(weight)
    for p in range(n_px):
        m_re[p] += a_re[p] * phase_re[p] + sign * a_im[p] * phase_im[p]
        m_im[p] += a_re[p] * phase_im[p] - sign * a_im[p] * phase_re[p]
        m_power[p] += weight * (a_re[p] * a_re[p] + a_im[p] * a_im[p])


@inlined
def _add_scale(model, image, ctf, mask, n_px, out):
    """Add signal times reference, and reference squared, of one class to the particle's scale sums."""
    cross, square = ctf.dtype.type(0), ctf.dtype.type(0)
    for p in range(n_px):
        factor = mask[p] * ctf[p]
        cross += factor * (image[0][p] * model[0][p] - image[1][p] * model[1][p])
        square += factor * ctf[p] * model[2][p]
    out[0] += cross
    out[1] += square


@inlined
def _move(model, total, n_px):
    """Add the model of a class to that of the particle, and empty it."""
    for j in range(3):
        for p in range(n_px):
            total[j][p] += model[j][p]
            model[j][p] = 0


@inlined
def _add_moments(shifts, weights, shifts_px, offset_px, prior_px, out):
    """Add a group's weight, offset and squared distance to the prior centre (px) of its class to `out` (4,)."""
    for e in range(len(shifts)):
        w = np.float64(weights[e])
        x = offset_px[0] + shifts_px[shifts[e], 0]
        y = offset_px[1] + shifts_px[shifts[e], 1]
        out[0] += w
        out[1] += w * x
        out[2] += w * y
        out[3] += w * ((prior_px[0] - x) ** 2 + (prior_px[1] - y) ** 2)


@inlined
def _residual(model, image, ctf, scale, shell, n_px, out):
    """Add the posterior mean of |image - scale * CTF * model|**2 less posterior * |image|**2, shell by shell."""
    for p in range(n_px):
        cross = image[0][p] * model[0][p] - image[1][p] * model[1][p]
        c = scale * ctf[p]
        out[shell[p]] += c * c * model[2][p] - 2 * c * cross


@compiled
def compare_models(groups, start, shift, weight, images, scale, offset_px, refs, phases, scale_pixels, search, shell,
                   n_shells):  # fmt: skip
    """Return what the retained poses of a chunk say of its images.

    Parameters
    ----------
    groups, start, shift, weight : see `score_fine`; ordered by particle, then by class
    images : (x_re, x_im, ctf), each (n, p)
    scale : (n,); offset_px : (n, 2) float64
    refs : (a_re, a_im), each (k, f, p); phases : (re, im), each (4 t, p)
    scale_pixels : ((k, p) real, (k,) int64)
        Pixels that count for the intensity scale of a class: 0 or 1, and how long the prefix with ones is.
    search : (shifts_px, prior_px)
        Fine shifts (4 t, 2); prior centre of each class in px (k, 2).
    shell : (p,) int64

    Returns
    -------
    residual : (n, n_shells) float64; see `_residual`
    scale_sums : (n, 2) float64
        Signal times reference, and reference squared.
    moments : (g, 4) float64
        Weight, weighted offset x and y, weighted squared distance to the prior centre of its class, of each group.
    """
    particle, class_index, row, turn = groups
    n, n_px = len(scale), refs[0].shape[2]
    residual, scale_sums, moments = np.zeros((n, n_shells)), np.zeros((n, 2)), np.zeros((len(particle), 4))
    real = refs[0].dtype
    phase_re, phase_im = np.empty(n_px, real), np.empty(n_px, real)
    model = (np.zeros(n_px, real), np.zeros(n_px, real), np.zeros(n_px, real))
    total = (np.zeros(n_px, real), np.zeros(n_px, real), np.zeros(n_px, real))
    for g in range(len(particle)):
        i, k = particle[g], class_index[g]
        shifts, weights = shift[start[g] : start[g + 1]], weight[start[g] : start[g + 1]]
        add_phases(shifts, weights, phases[0], phases[1], n_px, phase_re, phase_im)
        _add_moments(shifts, weights, search[0], offset_px[i], search[1][k], moments[g])
        _add_model(refs[0][k, row[g]], refs[1][k, row[g]], turn[g], phase_re, phase_im, moments[g, 0], model, n_px)
        is_last = g + 1 == len(particle) or particle[g + 1] != i
        if is_last or class_index[g + 1] != k:
            image = (images[0][i], images[1][i])
            if scale_pixels[1][k] > 0:
                _add_scale(model, image, images[2][i], scale_pixels[0][k], scale_pixels[1][k], scale_sums[i])
            _move(model, total, n_px)
        if is_last:
            _residual(total, (images[0][i], images[1][i]), images[2][i], scale[i], shell, n_px, residual[i])
            for part in total:
                part[:] = 0
    return residual, scale_sums, moments
