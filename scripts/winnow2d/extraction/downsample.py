"""Ready particles in a smaller box of the same length: their stacks cut in Fourier space, and back to full size."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.extraction.remembering import Done, Remembering, read_state
from winnow2d.extraction.settings import background_radius_px
from winnow2d.formats import labels
from winnow2d.formats.extracted_stack import write_extracted
from winnow2d.formats.extraction import image_names
from winnow2d.formats.mrc import ParticleStack
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.star import format_float
from winnow2d.numerics.windows import Windowing, processed

logger = logging.getLogger(__name__)

STACK_SIZE = 2048  # images per stack written: what a thread does at a time, and what is done again after a crash
_AT_ONCE = 64  # images in memory per thread
STATE = "winnow_downsampled.tsv"
ENGINE = "1"  # raised when the same options would give other images


@dataclass(frozen=True)
class Rescaling:
    """How the images of each optics group become smaller: boxes in pixels, before and after (g,)."""

    boxes_px: np.ndarray
    outputs_px: np.ndarray
    is_float16: bool = False


def full_size(table: ParticleTable, entered: ParticleTable) -> ParticleTable:
    """Return particles with the images and optics groups they had before any down-sampling.

    Parameters
    ----------
    table : ParticleTable
    entered : ParticleTable
        As particles were entered, with the optics groups of the images at full size; found by name.

    Raises
    ------
    StarError
        An optics group is not among those entered.
    """
    particles = table.particles.copy()
    if labels.FULL_SIZE_IMAGE_NAME in particles:
        whole = particles.pop(labels.FULL_SIZE_IMAGE_NAME)
        if whole.isin(set(entered.particles[labels.IMAGE_NAME])).all():  # else of a project these come from
            particles[labels.IMAGE_NAME] = whole
    row_of = {name: row for row, name in enumerate(entered.optics[labels.OPTICS_GROUP_NAME])}
    optics = table.optics.copy()
    for row, name in enumerate(optics[labels.OPTICS_GROUP_NAME]):
        if name not in row_of:
            raise StarError(f"optics group {name} is not among those that entered ({', '.join(row_of)})")
        for label in (labels.IMAGE_PIXEL_SIZE, labels.IMAGE_SIZE):
            optics.loc[optics.index[row], label] = entered.optics[label].iloc[row_of[name]]
    return ParticleTable(optics, particles)


def downsampled(
    table: ParticleTable,
    rescaling: Rescaling,
    project: Path,
    job_directory: str,
    n_threads: int,
    on_done: Callable[[int, int, str], None],
) -> ParticleTable:
    """Write smaller images of all particles below `job_directory`, and return the particles with these.

    Every image is cut in Fourier space and its background normalised again, as relion_preprocess --operate_on does
    with --scale and --norm; what lies in the columns stays, offsets being lengths. Optics groups whose box stays
    keep their images. A stack that an earlier run has finished is not written again.

    Parameters
    ----------
    table : ParticleTable
        With images at full size; see `full_size`.
    rescaling : Rescaling
    on_done : function
        Called with number done, total and a few words after every stack; may raise to end the work.
    """
    group = table.particles[labels.OPTICS_GROUP].astype(int).to_numpy() - 1
    names = table.particles[labels.IMAGE_NAME].to_numpy(dtype=object).copy()
    parts = _parts(group, rescaling)
    directory = project / job_directory
    directory.mkdir(parents=True, exist_ok=True)
    done = read_state(directory / STATE)
    pixel_ang = table.optics[labels.IMAGE_PIXEL_SIZE].astype(float).to_numpy()
    work = _Work(names, rescaling, pixel_ang, project, job_directory, done)
    with Remembering(directory / STATE, done) as remembering:
        for number, (part, stack, fingerprint) in enumerate(_in_order(work, parts, n_threads), 1):
            remembering.add(stack, fingerprint, [project / stack])
            on_done(number, len(parts), f"{len(part.rows)} images in {stack}")
    particles = table.particles.copy()
    for part in parts:
        names[part.rows] = image_names(len(part.rows), work.stack_of(part))
    particles[labels.FULL_SIZE_IMAGE_NAME] = particles[labels.IMAGE_NAME]
    particles[labels.IMAGE_NAME] = names
    optics = table.optics.copy()
    sizes = pixel_ang * (rescaling.boxes_px / rescaling.outputs_px)
    optics[labels.IMAGE_PIXEL_SIZE] = pd.Series([format_float(size) for size in sizes], dtype=object)
    optics[labels.IMAGE_SIZE] = pd.Series([str(px) for px in rescaling.outputs_px], dtype=object)
    return ParticleTable(optics, particles)


@dataclass(frozen=True)
class _Part:
    """Particles of one optics group that make a stack."""

    number: int
    group: int
    rows: np.ndarray


def _parts(group: np.ndarray, rescaling: Rescaling) -> list[_Part]:
    """Return the stacks to be written, cut by the order of the particles alone."""
    parts: list[_Part] = []
    for number in np.flatnonzero(rescaling.boxes_px != rescaling.outputs_px).tolist():
        rows = np.flatnonzero(group == number)
        for start in range(0, len(rows), STACK_SIZE):
            parts.append(_Part(len(parts) + 1, number, rows[start : start + STACK_SIZE]))
    return parts


@dataclass(frozen=True)
class _Work:
    """What is common to all stacks."""

    names: np.ndarray
    rescaling: Rescaling
    pixel_ang: np.ndarray
    project: Path
    job_directory: str
    done: Done

    def stack_of(self, part: _Part) -> str:
        return f"{self.job_directory}/Particles/part_{part.number:06d}.mrcs"

    def write(self, part: _Part) -> tuple[_Part, str, str]:
        """Write one stack unless it is there; return it with its name and fingerprint."""
        stack, names = self.stack_of(part), self.names[part.rows].tolist()
        box_px, output_px = (int(px[part.group]) for px in (self.rescaling.boxes_px, self.rescaling.outputs_px))
        source = ParticleStack(names, self.project, box_px)
        scale = (box_px, output_px, self.rescaling.is_float16, float(self.pixel_ang[part.group]))
        facts = repr((ENGINE, *scale, [_state_of(self.project / file) for file in source.files]))
        fingerprint = hashlib.sha256("\0".join([facts, *names]).encode()).hexdigest()[:32]
        if self.done.get(stack) == fingerprint and (self.project / stack).is_file():
            return part, stack, fingerprint
        radius = background_radius_px(-1, box_px, output_px)
        windowing = Windowing(box_px, output_px, True, radius)
        pixel_ang = float(self.pixel_ang[part.group]) * box_px / output_px
        parts = self._images(source, len(names), windowing)
        self.done.forget_other(stack, fingerprint)
        write_extracted(self.project / stack, parts, pixel_ang, self.rescaling.is_float16)
        return part, stack, fingerprint

    @staticmethod
    def _images(source: ParticleStack, n: int, windowing: Windowing) -> Iterator[np.ndarray]:
        for start in range(0, n, _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, n))
            yield processed(source.read(rows), windowing, rows)


def _state_of(file: Path) -> tuple[int, int]:
    """Return size and time of a stack, which tell whether it is the same; zeros where reading will find none."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _in_order(work: _Work, parts: Sequence[_Part], n_threads: int) -> Iterator[tuple[_Part, str, str]]:
    """Yield each stack once it is written, in their order."""
    waiting: deque[Future] = deque()
    pool = ThreadPoolExecutor(max(1, n_threads), thread_name_prefix="winnow-downsample")
    try:
        for part in parts:
            waiting.append(pool.submit(work.write, part))
            if len(waiting) >= 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
