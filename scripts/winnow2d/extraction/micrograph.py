"""One micrograph from its pixels to its stack and its rows, or to the sentence that says why not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from winnow2d.errors import StarError, WinnowError
from winnow2d.extraction.plan import PlannedMicrograph
from winnow2d.extraction.recentre import recentred
from winnow2d.extraction.remembering import Done
from winnow2d.extraction.settings import Settings
from winnow2d.formats import labels
from winnow2d.formats.coordinates import FIGURE_OF_MERIT, X, Y, micrograph_stem, read_coordinates
from winnow2d.formats.extracted_stack import write_extracted
from winnow2d.formats.extraction import image_names
from winnow2d.formats.micrograph_image import read_micrograph
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.windows import extracted, overlaps

ENGINE = "1"  # raised when the same options would give other images


@dataclass(frozen=True)
class Outcome:
    """What became of one micrograph: its rows (none if nothing is on it), or why it was left out."""

    row: int
    name: str
    rows: pd.DataFrame | None
    fingerprint: str = ""
    problem: str = ""
    is_resumed: bool = False


def stack_of(job_directory: str, micrograph: str) -> str:
    """Return the stack of a micrograph, as RELION names it."""
    return (PurePosixPath(job_directory) / f"{micrograph_stem(micrograph)}.mrcs").as_posix()


def table_of(job_directory: str, micrograph: str) -> str:
    """Return the STAR file with the rows of a micrograph, as RELION names it."""
    return (PurePosixPath(job_directory) / f"{micrograph_stem(micrograph)}_extract.star").as_posix()


def extract_micrograph(
    planned: PlannedMicrograph, settings: Settings, project: Path, job_directory: str, done: Done
) -> Outcome:
    """Write the stack and the rows of one micrograph, unless an earlier run has; never raises what a user can mend.

    Parameters
    ----------
    planned : PlannedMicrograph
    settings : Settings
    project : Path
    job_directory : str
        Relative to the project.
    done : Done
        Micrograph -> fingerprint of what an earlier run has written.
    """
    try:
        fingerprint = _fingerprint(planned, settings)
        stack, table = (project / name(job_directory, planned.name) for name in (stack_of, table_of))
        if done.get(planned.name) == fingerprint and stack.is_file() and table.is_file():
            return Outcome(planned.row, planned.name, read_star(table)["images"], fingerprint, is_resumed=True)
        rows = particle_rows(planned, settings, stack_of(job_directory, planned.name))
        if not len(rows):
            return Outcome(planned.row, planned.name, rows, fingerprint)
        done.forget_other(planned.name, fingerprint)
        _write_stack(planned, settings, rows, stack)
        write_star(table, {"images": rows}, is_durable=False)
        return Outcome(planned.row, planned.name, rows, fingerprint)
    except WinnowError as error:
        return Outcome(planned.row, planned.name, None, problem=" ".join(error.problems))
    except (OSError, MemoryError) as error:
        told = getattr(error, "strerror", None) or type(error).__name__
        return Outcome(planned.row, planned.name, None, problem=f"{planned.image}: {told}")


def _fingerprint(planned: PlannedMicrograph, settings: Settings) -> str:
    """Return what tells whether a micrograph, its coordinates and what is done with them are still the same."""
    if planned.image is None:
        raise StarError(f"{planned.name}: no such file")
    status = planned.image.stat()
    facts = (ENGINE, settings, planned.name, planned.pixel_size_ang, planned.optics_number, planned.ctf)
    digest = hashlib.sha256(repr((*facts, status.st_size, status.st_mtime_ns)).encode())
    if planned.particles is not None:
        digest.update(
            repr((planned.particles.columns.tolist(), np.asarray(planned.particle_pixel_ang).tolist())).encode()
        )
        digest.update("\0".join(map(str, planned.particles.to_numpy().ravel())).encode())
    elif planned.coordinates is not None:
        if not planned.coordinates.is_file():
            raise StarError(f"{planned.coordinates}: no such file; it is named as the coordinates of {planned.name}")
        digest.update(planned.coordinates.read_bytes())
    return digest.hexdigest()[:32]


def particle_rows(planned: PlannedMicrograph, settings: Settings, stack: str) -> pd.DataFrame:
    """Return the rows of data_particles of one micrograph, in Extract's order of columns; none if it has none.

    Raises
    ------
    StarError
        Coordinates that cannot be read, or lack the figure of merit that is asked for.
    """
    if planned.particles is not None:
        rows = recentred(
            planned.particles, settings.recentring, planned.pixel_size_ang, np.asarray(planned.particle_pixel_ang)
        )
        rows = rows.drop(columns=labels.FULL_SIZE_IMAGE_NAME, errors="ignore")  # of images that these replace
        rows[labels.IMAGE_NAME] = image_names(len(rows), stack)
        rows[labels.MICROGRAPH_NAME] = planned.name
        rows[labels.OPTICS_GROUP] = planned.optics_number
        return rows
    assert planned.coordinates is not None
    rows = _worth_it(read_coordinates(planned.coordinates), settings.minimum_fom, planned.coordinates)
    added = {labels.IMAGE_NAME: image_names(len(rows), stack), labels.MICROGRAPH_NAME: planned.name}
    added |= {labels.OPTICS_GROUP: planned.optics_number, **planned.ctf}
    rows = rows.drop(columns=list(added), errors="ignore")
    return rows.assign(**added).astype(object)


def _worth_it(rows: pd.DataFrame, minimum_fom: float | None, source: Path) -> pd.DataFrame:
    """Return the rows whose figure of merit lies above the threshold."""
    if minimum_fom is None or not len(rows):
        return rows
    if FIGURE_OF_MERIT not in rows:
        raise StarError(f"{source}: has no column {FIGURE_OF_MERIT}; say extract: {{do_fom_threshold: No}}")
    merit = pd.to_numeric(rows[FIGURE_OF_MERIT], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isnan(merit))
    if len(bad):
        found = rows[FIGURE_OF_MERIT].iloc[bad[0]]
        raise StarError(f"{source}: row {bad[0] + 1}: {FIGURE_OF_MERIT} is '{found}', expected a number")
    return rows[merit > minimum_fom].reset_index(drop=True)


def _write_stack(planned: PlannedMicrograph, settings: Settings, rows: pd.DataFrame, stack: Path) -> None:
    assert planned.image is not None
    windowing = settings.windowing
    pixels = read_micrograph(planned.image)
    centres_px = rows[[X, Y]].astype(float).to_numpy()
    is_outside = ~overlaps(pixels.shape, centres_px, windowing.box_px)
    if is_outside.any():
        row, source = int(np.argmax(is_outside)), planned.coordinates or "the particles STAR file"
        raise StarError(
            f"{source}: row {row + 1} on {planned.name}: the box of {windowing.box_px} px around "
            f"({centres_px[row, 0]:g}, {centres_px[row, 1]:g}) lies outside the micrograph of {pixels.shape[1]} x "
            f"{pixels.shape[0]} px; {int(is_outside.sum())} such particles. Were they picked at another pixel size?"
        )
    seeds = _seeds(settings.seed, planned.name, len(rows))
    parts = extracted(pixels, centres_px, windowing, seeds)
    pixel_size_ang = planned.pixel_size_ang * windowing.box_px / windowing.output_px
    write_extracted(stack, parts, pixel_size_ang, settings.is_float16)


def _seeds(seed: int, name: str, n: int) -> np.ndarray:
    """Return a seed (n,) uint64 for each particle of a micrograph, the same whatever else is extracted."""
    first = int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:6], "big")
    return np.arange(first, first + n, dtype=np.uint64)
