"""Rotations and sums over poses in plain array operations: the reference of the compiled loops, and the GPU's path.

Nothing here adds into a shared place at once: sums are matrix products, reductions, or run in rounds
(`in_order.rounds`), so a device gives the same bytes every time.
"""

from __future__ import annotations

from winnow2d.numerics.arrays import array_module, blocks

from .in_order import rounds


def shift_weights(start, shift, weight, first, last, n_shifts):
    """Return the posteriors of groups first ... last - 1 as a dense array (groups, n_shifts).

    Parameters
    ----------
    start, shift, weight : arrays
        Poses of all groups, see `fine.score_fine`.
    """
    xp = array_module(weight)
    begin, end = int(start[first]), int(start[last])
    group = xp.searchsorted(start[first:last], xp.arange(begin, end), side="right") - 1
    dense = xp.zeros((last - first, n_shifts), weight.dtype)
    dense[group, shift[begin:end]] = weight[begin:end]  # a group has every shift at most once
    return dense


def add_groups(batch, phases, out, map_classes):
    """Add the groups of a batch of chunks to the un-rotated sums of every class; see `loops.add_groups`."""
    n_rows, n_px = out[0].shape[1:]
    flat = [part.reshape(-1, n_px) for part in out]
    for groups, images in batch:
        particle, class_index, row, turn, start, shift, weight = groups
        for part in blocks(len(particle), 12 * n_px + 2 * len(phases[0])):
            dense = shift_weights(start, shift, weight, part.start, part.stop, len(phases[0]))
            phase_re, phase_im = dense @ phases[0], dense @ phases[1]
            at = particle[part]
            u_re, u_im = images[0][at], images[1][at]
            sign = (1 - 2 * turn[part]).astype(u_re.dtype)[:, None]
            values = (
                u_re * phase_re - u_im * phase_im,
                sign * (u_re * phase_im + u_im * phase_re),
                dense.sum(axis=1)[:, None] * images[2][at],
            )
            for targets, sources in rounds(class_index[part] * n_rows + row[part]):
                for sums, value in zip(flat, values, strict=True):
                    sums[targets] += value[sources]


def rotate(spectra, table, map_classes):
    """Return real and imaginary parts (k, f, p) of padded half spectra at all angles; see `loops.rotate`."""
    xp = array_module(spectra)
    out_re = xp.empty((len(spectra), *table.sign.shape), table.fraction.dtype)
    out_im = xp.empty_like(out_re)
    below, above = table.index[..., 0], table.index[..., 1]
    fx, fy = table.fraction[..., 0], table.fraction[..., 1]
    for part in blocks(len(spectra), 8 * table.sign.size):
        own = spectra[part]
        low = own[:, below] * (1 - fx) + own[:, below + 1] * fx
        high = own[:, above] * (1 - fx) + own[:, above + 1] * fx
        value = low * (1 - fy) + high * fy
        out_re[part] = value.real
        out_im[part] = value.imag * table.sign
    return out_re, out_im


def rotate_back(sums, table, n_cells, map_classes, out=None):
    """Return un-rotated sums on padded half spectra; see `loops.rotate_back`."""
    re, im, power = sums
    xp, n_classes = array_module(re), len(re)
    below, above = table.index[..., 0], table.index[..., 1]
    fx, fy = (table.fraction[..., axis].astype(xp.float64) for axis in range(2))
    target = xp.stack([below, below + 1, above, above + 1], axis=-1).ravel()
    share = xp.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], axis=-1).ravel()
    turns = [(cells, source // 4, share[source]) for cells, source in rounds(target)]
    if out is None:
        out = xp.zeros((n_classes, n_cells), xp.complex128), xp.zeros((n_classes, n_cells))
    data, weight = out
    for part in blocks(n_classes, 8 * table.sign.size):
        own_re = re[part].reshape(-1, table.sign.size)
        value = own_re + 1j * (im[part] * table.sign).reshape(own_re.shape)
        own_power = power[part].reshape(own_re.shape)
        for cells, source, factor in turns:
            data[part, cells] += value[:, source] * factor
            weight[part, cells] += own_power[:, source] * factor
    return data, weight


def subtract_models(sums, refs, map_classes):
    """Turn back-projected images into residuals, in place: images less weight times reference."""
    n_classes = len(refs[0])
    for first in range(0, len(sums[2]), n_classes):
        half = slice(first, first + n_classes)
        for part, ref in zip(sums[:2], refs, strict=True):
            part[half] -= sums[2][half] * ref
