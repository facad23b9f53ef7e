"""From raw images to what the E-step compares: centred, masked, gathered from their transforms, weighted, shifted."""

from __future__ import annotations

import numpy as np

from .compiled import compiled


@compiled
def centre_images(images, factor, shift_px, outside):
    """Return images times a factor and moved by whole pixels: masked, then as they are, (2, n, y, x).

    Parameters
    ----------
    images : (n, y, x) real array
    factor : (n,) array
    shift_px : (n, 2) int64, x then y
        What enters from outside is zero.
    outside : (y, x) array of the images' dtype
        1 where the mask puts the average of the surroundings, 0 where it keeps the image.
    """
    n, box, _ = images.shape
    out = np.zeros((2, n, box, box), images.dtype)
    total = 0.0
    for y in range(box):
        for x in range(box):
            total += outside[y, x]
    for i in range(n):
        dx, dy = shift_px[i, 0], shift_px[i, 1]
        left, right = max(dx, 0), max(box + min(dx, 0), max(dx, 0))
        masked, plain = out[0, i], out[1, i]
        background = 0.0
        for y in range(max(dy, 0), box + min(dy, 0)):
            source, row = images[i, y - dy, left - dx : right - dx], plain[y, left:right]
            cut, part = outside[y, left:right], images.dtype.type(0)
            for x in range(len(source)):
                value = source[x] * factor[i]
                row[x] = value
                part += value * cut[x]
            background += part
        mean = images.dtype.type(background / total) if total > 0 else images.dtype.type(0)
        for y in range(box):
            for x in range(box):
                masked[y, x] = plain[y, x] + outside[y, x] * (mean - plain[y, x])
    return out


@compiled
def gather(spectra, flat_index, sign):
    """Return half planes (n, p) of transforms (n, m): the pixels at `flat_index` (p,) times `sign` (p,)."""
    n, n_px = len(spectra), len(flat_index)
    out = np.empty((n, n_px), spectra.dtype)
    for i in range(n):
        for p in range(n_px):
            out[i, p] = spectra[i, flat_index[p]] * sign[p]
    return out


@compiled
def shell_power(spectra, shell, n_shells):
    """Return the power of half planes (n, p) per shell, (n, n_shells) float64; `shell` (p,) ascends."""
    n, n_px = spectra.shape
    power = np.zeros((n, n_shells))
    for i in range(n):
        first = 0
        while first < n_px:
            last = first
            while last < n_px and shell[last] == shell[first]:
                last += 1
            ring, total = spectra[i, first:last], 0.0
            for p in range(len(ring)):
                total += np.float64(ring[p].real) ** 2 + np.float64(ring[p].imag) ** 2
            power[i, shell[first]] += total
            first = last
    return power


@compiled
def unusable(images):
    """Return which images (n, y, x) hold a value that is not finite, or one value throughout."""
    n, box_y, box_x = images.shape
    found = np.zeros(n, np.bool_)
    for i in range(n):
        first, is_constant, total = images[i, 0, 0], True, images.dtype.type(0)
        for y in range(box_y):
            row, highest, lowest = images[i, y], first, first
            for x in range(box_x):
                total += row[x] * images.dtype.type(0)  # NaN as soon as one value is not finite
            if is_constant:
                for x in range(box_x):
                    highest, lowest = max(highest, row[x]), min(lowest, row[x])
                is_constant = highest == first and lowest == first
        found[i] = is_constant or not np.isfinite(total)
    return found


@compiled
def weighted_images(masked, unmasked, model, data, power, inverse_sigma2, scale, shell, n_px):
    """Return images as the E-step and the back-projection take them.

    Parameters
    ----------
    masked, unmasked : (n, >= n_px) complex arrays
    model : (n, >= n_px) array
        What multiplies a reference in an image: the CTF.
    data, power : (n, >= n_px) arrays
        What the image and the weight of a back-projection are multiplied with: the CTF and its square.
    inverse_sigma2 : (n, s) array
    scale : (n,) array
    shell : (p,) int64

    Returns
    -------
    y_re, y_im, c2, x_re, x_im, ctf, data_re, data_im, weight : (n, n_px) each
        CTF * image / sigma2 and CTF**2 / sigma2, both 0 at the origin, which is not compared; the masked image;
        the CTF; scale * CTF * unmasked image / sigma2; scale**2 * CTF**2 / sigma2.
    """
    n, real = len(scale), scale.dtype
    out = np.empty((9, n, n_px), real)
    for i in range(n):
        for p in range(n_px):
            w, c = inverse_sigma2[i, shell[p]], model[i, p]
            x, u = masked[i, p], unmasked[i, p]
            out[0, i, p], out[1, i, p], out[2, i, p] = c * x.real * w, c * x.imag * w, c * c * w
            out[3, i, p], out[4, i, p], out[5, i, p] = x.real, x.imag, c
            d = scale[i] * data[i, p] * w
            out[6, i, p], out[7, i, p] = d * u.real, d * u.imag
            out[8, i, p] = scale[i] * scale[i] * power[i, p] * w
        for j in range(3):
            out[j, i, 0] = 0
    return out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8]


@compiled
def shifted_rows(re, im, phase_re, phase_im, n_px, row_start, row_shift):
    """Return images (n, p) at shifts of their own: real parts, then imaginary parts, (m, n_px) each.

    `phase_re` and `phase_im` (t, p) hold every shift; `row_start` and `row_shift` say which each image takes, see
    `significance.select_coarse`.
    """
    rows_re, rows_im = np.empty((len(row_shift), n_px), re.dtype), np.empty((len(row_shift), n_px), re.dtype)
    for i in range(len(re)):
        for r in range(row_start[i], row_start[i + 1]):
            t, a, b = row_shift[r], rows_re[r], rows_im[r]
            for p in range(n_px):
                a[p] = re[i, p] * phase_re[t, p] - im[i, p] * phase_im[t, p]
                b[p] = re[i, p] * phase_im[t, p] + im[i, p] * phase_re[t, p]
    return rows_re, rows_im


@compiled
def possible_rows(log_prior):
    """Return where the rows of each particle begin (n + 1,), and the shift of each row (m,): those of prior above 0.

    `log_prior` is (n, k, t).
    """
    n, n_k, n_t = log_prior.shape
    start, shift, m = np.zeros(n + 1, np.int64), np.empty(n * n_t, np.int64), 0
    for i in range(n):
        for t in range(n_t):
            is_possible = False
            for k in range(n_k):
                is_possible |= log_prior[i, k, t] > -np.inf
            if is_possible:
                shift[m] = t
                m += 1
        start[i + 1] = m
    return start, shift[:m].copy()
