"""One class's gradient step on the padded Fourier grid: its moments, how far each shell is trusted, the step.

Grids are half spectra of the padded box, origin at [0, 0]: spectra and moments (2 N, N + 1), sums (2 N, N + 2).
`squared` and `shell`, both (2 N, N + 2), are |u|**2 and the shell of every pixel; `reach` is the largest |u|.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined

FIRST_MOMENTUM, SECOND_MOMENTUM = 0.9, 0.999
TINY = 1e-12


@inlined
def _power(value):
    return value.real * value.real + value.imag * value.imag


@compiled
def clear(grid, reach):
    """Empty the cells (2 N, N + 2, 8) that residuals up to `reach` fall on."""
    rows = len(grid)
    for y in range(rows):
        if min(y, rows - y) <= reach + 1:
            grid[y, : min(reach + 2, grid.shape[1])] = 0


@inlined
def _add(cells, number, share, re0, im0, w0, re1, im1, w1):
    at = 8 * number
    cells[np.uint64(at)] += share * re0
    cells[np.uint64(at + 1)] += share * im0
    cells[np.uint64(at + 2)] += share * w0
    cells[np.uint64(at + 3)] += share * w1
    cells[np.uint64(at + 4)] += share * re1
    cells[np.uint64(at + 5)] += share * im1


@compiled
def add_residuals(k, sums, refs, index, fraction, sign, grid):
    """Rotate the residuals of both pseudo half-sets of class k back onto its grid, one cell for all they have there.

    Parameters
    ----------
    sums : (re, im, weight), each (2 k, f, p) float64
        Un-rotated back-projections; a residual is data less weight times reference.
    refs : (re, im), each (k, f, p)
    index, fraction, sign : see `backproject.rotate_one`
    grid : (m, 8) float64, added to
        Data (re, im) of half 0, the weights of both, data of half 1, and two numbers unused.
    """
    n_k, (n_f, n_px) = len(refs[0]), sign.shape
    cells = grid.reshape(grid.size)
    for f in range(n_f):
        ref_re, ref_im = refs[0][k, f], refs[1][k, f]
        a_re, a_im, a_w = sums[0][k, f], sums[1][k, f], sums[2][k, f]
        b_re, b_im, b_w = sums[0][n_k + k, f], sums[1][n_k + k, f], sums[2][n_k + k, f]
        if not a_w.any() and not b_w.any():
            continue
        for p in range(n_px):
            w0, w1, s = a_w[p], b_w[p], sign[f, p]
            re0, im0 = a_re[p] - w0 * ref_re[p], s * (a_im[p] - w0 * ref_im[p])
            re1, im1 = b_re[p] - w1 * ref_re[p], s * (b_im[p] - w1 * ref_im[p])
            fx, fy = np.float64(fraction[f, p, 0]), np.float64(fraction[f, p, 1])
            below, above = np.int64(index[f, p, 0]), np.int64(index[f, p, 1])
            _add(cells, below, (1 - fy) * (1 - fx), re0, im0, w0, re1, im1, w1)
            _add(cells, below + 1, (1 - fy) * fx, re0, im0, w0, re1, im1, w1)
            _add(cells, above, fy * (1 - fx), re0, im0, w0, re1, im1, w1)
            _add(cells, above + 1, fy * fx, re0, im0, w0, re1, im1, w1)


@compiled
def unpack(grid, reach, data, weight):
    """Write the cells of a grid as data (2, 2 N, N + 2) complex and weight of both halves, Hermitian, up to `reach`.

    What lies beyond keeps what it held.
    """
    rows = len(grid)
    for y in range(rows):
        if min(y, rows - y) <= reach:
            for x in range(min(reach + 1, grid.shape[1])):
                for half in range(2):
                    data[half, y, x] = complex(grid[y, x, 4 * half], grid[y, x, 4 * half + 1])
                    weight[half, y, x] = grid[y, x, 2 + half]
    for half in range(2):
        for y in range(1, min(reach, rows // 2) + 1):
            one, other = data[half, y, 0], data[half, rows - y, 0]
            data[half, y, 0], data[half, rows - y, 0] = one + other.conjugate(), other + one.conjugate()
            total = weight[half, y, 0] + weight[half, rows - y, 0]
            weight[half, y, 0] = weight[half, rows - y, 0] = total


@inlined
def _is_zero(moment):
    for y in range(moment.shape[0]):
        for x in range(moment.shape[1]):
            if moment[y, x] != 0:
                return False
    return True


@compiled
def move_moments(data, weight, first, second, squared, reach):
    """Move the moments of one class, in place; pixels at `reach` or beyond keep theirs.

    Parameters
    ----------
    data, weight : pairs of (2 N, N + 2) complex128 and float64 arrays
        Back-projected residuals of both pseudo half-sets. The gradient is data / max(1, weight).
    first : pair of (2 N, N + 1) complex64 arrays
        0.9 of the old plus 0.1 of the gradient; the gradient itself where all of a half's moment is 0.
    second : (2 N, N + 1) float32
        0.999 of the old plus 0.001 of |difference of the halves' gradients|**2 / |their mean|**2.
    """
    keep0 = 0.0 if _is_zero(first[0]) else FIRST_MOMENTUM
    keep1 = 0.0 if _is_zero(first[1]) else FIRST_MOMENTUM
    for y in range(second.shape[0]):
        for x in range(second.shape[1]):
            if squared[y, x] >= reach * reach:
                continue
            g0 = data[0][y, x] / max(1.0, weight[0][y, x])
            g1 = data[1][y, x] / max(1.0, weight[1][y, x])
            first[0][y, x] = keep0 * first[0][y, x] + (1 - keep0) * g0
            first[1][y, x] = keep1 * first[1][y, x] + (1 - keep1) * g1
            ratio = _power(g1 - g0) / (_power((g0 + g1) / 2) + TINY)
            second[y, x] = SECOND_MOMENTUM * second[y, x] + (1 - SECOND_MOMENTUM) * ratio


@compiled
def trust(first, spectrum, tau2_fudge, squared, shell, reach, n_shells):
    """Return how far each shell (n_shells,) follows the gradient, 0 to 1; the rest of the reference decays.

    Signal is the mean |spectrum| of a shell, noise the mean difference of the halves' moments. As in RELION
    a shell without noise is not trusted.
    """
    noise, signal, counts = np.zeros(n_shells), np.zeros(n_shells), np.zeros(n_shells)
    for y in range(first[0].shape[0]):
        for x in range(first[0].shape[1]):
            if squared[y, x] <= reach * reach:
                s = shell[y, x]
                noise[s] += np.sqrt(np.float64(_power(first[0][y, x] - first[1][y, x])))
                signal[s] += np.sqrt(_power(spectrum[y, x]))
                counts[s] += 1
    follow = np.zeros(n_shells)
    for s in range(n_shells):
        if noise[s] > 0:
            ratio = 2 * tau2_fudge * signal[s] / noise[s]
            follow[s] = ratio / (1 + ratio)
    return follow


@compiled
def step_spectrum(spectrum, first, second, follow, step, squared, shell, reach):
    """Move a reference's spectrum by one step, in place; nothing is left beyond `reach`.

    The direction is the mean first moment over the root of the second.
    """
    for y in range(spectrum.shape[0]):
        for x in range(spectrum.shape[1]):
            if squared[y, x] > reach * reach:
                spectrum[y, x] = 0
                continue
            phi = follow[shell[y, x]]
            mean = (np.complex128(first[0][y, x]) + np.complex128(first[1][y, x])) / 2
            direction = mean / (np.sqrt(np.float64(second[y, x])) + TINY)
            spectrum[y, x] += step * (phi * direction - (1 - phi) * spectrum[y, x])


@compiled
def liveliness(first, second):
    """Return the mean square of a class's direction."""
    total = 0.0
    for y in range(second.shape[0]):
        for x in range(second.shape[1]):
            root = np.sqrt(np.float64(second[y, x])) + TINY
            total += _power((np.complex128(first[0][y, x]) + np.complex128(first[1][y, x])) / 2) / (root * root)
    return total / (second.size + second.shape[0])


@compiled
def evidence(weight, prior, squared, shell, reach, n_shells):
    """Return, per shell, the mean weight, and the share of pixels whose weight outdoes their prior.

    Parameters
    ----------
    weight : (2 N, N + 2) float64
        Back-projected weight of one class.
    prior : (n_shells,) float64
        pad**2 * T * tau2: times the weight, how far the data outweigh the prior.
    """
    total, covered, counts = np.zeros(n_shells), np.zeros(n_shells), np.zeros(n_shells)
    for y in range(weight.shape[0]):
        for x in range(weight.shape[1] - 1):
            s = shell[y, x]
            if squared[y, x] <= reach * reach and s < n_shells:
                total[s] += weight[y, x]
                counts[s] += 1
                if weight[y, x] * prior[s] >= 1:
                    covered[s] += 1
    for s in range(n_shells):
        if counts[s] > 0:
            total[s] /= counts[s]
            covered[s] /= counts[s]
    return total, covered
