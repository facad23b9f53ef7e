"""run_itNNN_posteriors.npy: for each particle the classes that hold most of its posterior.

A NumPy file of one record per particle, in the order of run_itNNN_data.star: `class` (4 numbers from 1 on, 0 where
there are no more) and `posterior` (4 numbers, descending). RELION has no such file and asks for none.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from winnow2d.errors import StarError
from winnow2d.records import Particles

POSTERIORS_FILE = "posteriors.npy"
N_TOP = 4
_RECORD = np.dtype([("class", "<i4", (N_TOP,)), ("posterior", "<f4", (N_TOP,))])


def posterior_parts(particles: Particles) -> list[bytes]:
    """Return the bytes of the file of particles whose top classes are known."""
    assert particles.top_classes is not None
    records = np.zeros(len(particles), _RECORD)
    records["class"], records["posterior"] = particles.top_classes + 1, particles.top_posteriors
    file = io.BytesIO()
    np.save(file, records, allow_pickle=False)
    return [file.getvalue()]


def posteriors_beside(optimiser_path: Path) -> Path:
    """Return where the posteriors of an iteration are, if there are any."""
    return optimiser_path.with_name(optimiser_path.name.replace("optimiser.star", POSTERIORS_FILE))


def read_posteriors(path: Path, n_particles: int, n_classes: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return classes (n, 4) int32, counted from 0, and posteriors (n, 4) float32; None if there is no such file.

    Raises
    ------
    StarError
        The file is broken, or not of these particles and classes.
    """
    if not path.is_file():
        return None
    try:
        records = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StarError(f"{path}: not a NumPy file ({error}). Classify again, or remove it.") from None
    if records.dtype != _RECORD or records.shape != (n_particles,):
        raise StarError(
            f"{path}: {records.shape} records of {records.dtype}, not {n_particles:,} of classes and posteriors. "
            "Classify again, or remove it."
        )
    classes, held = records["class"] - 1, records["posterior"]
    if not (((classes >= -1) & (classes < n_classes)).all() and ((held >= 0) & (held <= 1.001)).all()):
        raise StarError(
            f"{path}: classes beyond 1 to {n_classes}, or posteriors beyond 0 to 1. Classify again, or remove it."
        )
    return np.ascontiguousarray(classes), np.ascontiguousarray(held)
