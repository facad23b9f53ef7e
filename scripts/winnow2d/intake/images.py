"""Checks of stack headers (all of them) and of pixels (a sample): boxes, indices, dead images, contrast."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from winnow2d.errors import ImageError
from winnow2d.formats.mrc import ParticleStack, StackHeader, read_stack_header
from winnow2d.intake.findings import Findings, name_rows, name_some
from winnow2d.intake.stacks import ImageReferences

N_LOOKED_AT = 1000  # images per optics group whose pixels are read
MAX_DEAD_SHARE = 0.05
_BATCH_PIXELS = 2**24

MAX_BACKGROUND_MEAN = 0.5  # in background standard deviations
MIN_BACKGROUND_SD, MAX_BACKGROUND_SD = 0.5, 2.0
_MANY = 0.05  # share of images that must be off before a warning: a few carbon edges are nothing to tell
_DARK_T = -4.0  # t value of the mean central density below which the contrast counts as dark on light


def check_headers(
    found: dict[str, Path | None],
    references: ImageReferences,
    group: np.ndarray,
    boxes_px: np.ndarray,
    source: str,
    findings: Findings,
) -> tuple[np.ndarray, np.ndarray]:
    """Add what is wrong with stack headers and image indices; return which particles have a readable image.

    Parameters
    ----------
    found : dict
        Stack name -> real path, or None where missing (told elsewhere).
    references : ImageReferences
        Stack and index of n particles.
    group : (n,) int array
        Optics group of each particle, from 0.
    boxes_px : (g,) float array
        rlnImageSize of each optics group; NaN if the optics table has none: then all stacks of the group must agree
        with its first.
    source : str
        The STAR file, for messages.
    findings : Findings
        Receives the errors.

    Returns
    -------
    is_readable : (n,) bool array
    boxes_px : (g,) int array
        The box expected of each group's stacks; 0 if there is neither rlnImageSize nor a readable stack.
    """
    headers: dict[str, StackHeader] = {}
    for name, path in found.items():
        if path is None:
            continue
        try:
            headers[name] = read_stack_header(path)
        except ImageError as error:
            findings.errors.extend(f"{source}: stack {name} cannot be read: {problem}" for problem in error.problems)
    # (stack, group) of which any particle is; stack -1 is a particle without a readable image name
    pairs = [(references.names[stack], g) for stack, g in _distinct(references.stack, group) if stack >= 0]
    is_given = np.isfinite(boxes_px)
    boxes = np.nan_to_num(boxes_px).astype(np.int64)
    for g in np.flatnonzero(~is_given):
        boxes[g] = next((headers[name].box_x for name, of in pairs if of == g and name in headers), 0)
    bad = _check_boxes(headers, pairs, boxes, is_given, source, findings)
    n_images = np.array(
        [headers[name].n_images if name in headers else -1 for name in references.names], dtype=np.int64
    )
    is_good_stack = np.array([name in headers and name not in bad for name in references.names], dtype=bool)
    # position -1 picks the appended entry: a particle without a readable image name
    held = np.append(n_images, -1)[references.stack]
    is_beyond = (held >= 0) & (references.index >= held)
    if is_beyond.any():
        row = int(np.argmax(is_beyond))
        findings.error(
            f"{source}: data_particles {name_rows(is_beyond)}: the image index is beyond the end of the stack, "
            f"{int(is_beyond.sum())} in all; row {row + 1} asks for image {references.index[row] + 1} of "
            f"{references.names[references.stack[row]]}, which holds {held[row]}. The stack and the STAR file do not "
            "belong together."
        )
    return np.append(is_good_stack, False)[references.stack] & (references.index >= 0) & ~is_beyond, boxes


def _distinct(stack: np.ndarray, group: np.ndarray) -> list[tuple[int, int]]:
    """Return every pair of a stack and an optics group that occurs, in order of appearance."""
    return list(dict.fromkeys(zip(stack.tolist(), group.tolist(), strict=True)))


def _check_boxes(
    headers: dict[str, StackHeader],
    pairs: list[tuple[str, int]],
    boxes_px: np.ndarray,
    is_given: np.ndarray,
    source: str,
    findings: Findings,
) -> set[str]:
    """Return the stacks that cannot be used, adding one error per kind of wrong box."""
    kinds: dict[str, set[str]] = {
        "the box is not square; extract the particles again with a square box": {
            name for name, h in headers.items() if h.box_y != h.box_x
        },
        "the box is not even; extract the particles again with an even box": {
            name for name, h in headers.items() if h.box_x % 2 or h.box_y % 2
        },
    }
    for name, g in pairs:
        where = "rlnImageSize in data_optics" if is_given[g] else "the first stack's box"
        told = f"the box is not {boxes_px[g]} px ({where}); correct the table or extract again"
        if name in headers and headers[name].box_x != boxes_px[g]:
            kinds.setdefault(told, set()).add(name)
    for told, names in kinds.items():
        if names:
            listed = name_some([f"{name} ({h.box_y} x {h.box_x} px)" for name, h in headers.items() if name in names])
            findings.error(f"{source}: {len(names)} of {len(headers)} stacks: {told}: {listed}.")
    return set().union(*kinds.values())


def spread_evenly(rows: np.ndarray, n_most: int) -> np.ndarray:
    """Return at most `n_most` of the rows, first and last among them, at even distances."""
    if len(rows) <= n_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, n_most).round().astype(np.int64)]


@dataclass
class PixelStatistics:
    """What the pixels of n images say; NaN where an image is dead.

    `background_*` are taken outside the circle that fills the box; `central` is the mean density weighted towards
    the centre, above the background and in its standard deviations: positive for light particles.
    """

    is_not_finite: np.ndarray  # (n,) bool
    is_constant: np.ndarray  # (n,) bool
    background_mean: np.ndarray
    background_sd: np.ndarray
    central: np.ndarray

    @property
    def is_dead(self) -> np.ndarray:
        """(n,) bool: the image carries nothing that could be classified."""
        return self.is_not_finite | self.is_constant


def measure_pixels(stack: ParticleStack, n_images: int, box_px: int) -> PixelStatistics:
    """Return the statistics of images 0 ... n_images - 1 of `stack`, read in batches of a fixed size."""
    offset_px = np.arange(box_px) - box_px // 2
    radius = np.hypot(offset_px[:, None], offset_px[None, :]) / box_px
    is_background = radius > 0.5
    # low frequencies carry the sign of the contrast (below the first zero of the CTF), hence a wide smooth weight
    weight = np.where(is_background, 0.0, np.cos(np.pi * np.minimum(radius, 0.5)) ** 2)
    weight /= weight.sum()
    parts = []
    step = max(1, _BATCH_PIXELS // box_px**2)
    for start in range(0, n_images, step):
        images = np.asarray(stack.read(np.arange(start, min(start + step, n_images))), dtype=np.float64)
        parts.append(_measure_batch(images, is_background, weight))
    return PixelStatistics(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _measure_batch(images: np.ndarray, is_background: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return not finite, constant, background mean and sd, and central density of (n, y, x) images, each (n,)."""
    is_not_finite = ~np.isfinite(images).all(axis=(1, 2))
    images = np.where(is_not_finite[:, None, None], 0.0, images)
    is_constant = (images.max(axis=(1, 2)) == images.min(axis=(1, 2))) & ~is_not_finite
    is_dead = is_not_finite | is_constant
    background = images[:, is_background]
    mean, sd = background.mean(axis=1), background.std(axis=1)
    # a background masked to a constant has no spread: measure the contrast in the spread of the whole image
    spread = np.where(sd > 0, sd, images.std(axis=(1, 2)))
    central = (np.tensordot(images, weight, axes=([1, 2], [0, 1])) - mean) / np.where(is_dead, 1.0, spread)
    mean, sd, central = (np.where(is_dead, np.nan, values) for values in (mean, sd, central))
    return is_not_finite, is_constant, mean, sd, central


def check_pixels(
    paths: list[Path],
    references: ImageReferences,
    group: np.ndarray,
    rows: np.ndarray,
    boxes_px: np.ndarray,
    source: str,
    findings: Findings,
) -> dict[int, str]:
    """Return the particles to leave out (row from 0 -> reason) after looking at an even sample of `rows`.

    Parameters
    ----------
    paths : list of Path
        Real path of every stack in `references.names`.
    references : ImageReferences
        Stack and index of n particles.
    group : (n,) int array
        Optics group of each particle, from 0.
    rows : (r,) int64 array
        Particles whose image can be read.
    boxes_px : (g,) int array
        Box of each optics group.
    source : str
        The STAR file, for messages.
    findings : Findings
        Receives an error if more than 5 % of the images looked at are dead, and the warnings on grey values.
    """
    looked_at = [spread_evenly(rows[group[rows] == value], N_LOOKED_AT) for value in np.unique(group[rows])]
    if not looked_at:
        return {}
    sample = np.concatenate(looked_at)
    parts = []
    for chosen in looked_at:
        names = [f"{references.index[row] + 1}@{paths[references.stack[row]]}" for row in chosen]
        box_px = int(boxes_px[group[chosen[0]]])
        parts.append(measure_pixels(ParticleStack(names, Path("/"), box_px), len(chosen), box_px))
    statistics = PixelStatistics(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(PixelStatistics))
    )
    left_out = {int(row): "not a number among the pixels" for row in sample[statistics.is_not_finite]}
    left_out |= {int(row): "constant image" for row in sample[statistics.is_constant]}
    if left_out:
        listed = name_some([f"row {row + 1} ({left_out[row]})" for row in sorted(left_out)])
        told = f"{source}: data_particles: {len(left_out)} of {len(sample)} images looked at cannot be used: {listed}"
        if len(left_out) > MAX_DEAD_SHARE * len(sample):
            findings.error(f"{told}; more than {MAX_DEAD_SHARE:.0%} stops the import. Extract the particles again.")
        else:
            findings.warn(f"{told}. They are left out.")
    _warn_of_grey_values(statistics, source, findings)
    return left_out


def _warn_of_grey_values(statistics: PixelStatistics, source: str, findings: Findings) -> None:
    is_live = ~statistics.is_dead
    mean, sd, central = (v[is_live] for v in (statistics.background_mean, statistics.background_sd, statistics.central))
    if len(mean) == 0:
        return
    is_off = (np.abs(mean) > MAX_BACKGROUND_MEAN * sd) | (sd < MIN_BACKGROUND_SD) | (sd > MAX_BACKGROUND_SD)
    if is_off.mean() > _MANY:
        findings.warn(
            f"{source}: data_particles: images are not normalised: the background of {int(is_off.sum())} of "
            f"{len(is_off)} images looked at has a mean of {np.median(mean):.3g} and a standard deviation of "
            f"{np.median(sd):.3g} (medians), expected about 0 and 1. Normalise them on extraction."
        )
    error = central.std(ddof=1) / np.sqrt(len(central)) if len(central) > 1 else np.inf
    if central.mean() < _DARK_T * error:
        findings.warn(
            f"{source}: data_particles: particles seem to be dark on a light background: the mean central density of "
            f"{len(central)} images is {central.mean():.3f} background standard deviations, expected above 0. "
            "Invert the contrast on extraction."
        )
