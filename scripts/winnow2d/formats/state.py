"""The resumable state of a classification: one file, replaced whole after every iteration, exact to the last bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from winnow2d.records import Changes, Iteration, Model, Moments, OpticsGroup, Particles, Sampling

from .atomic import replaced

STATE_FILE = "winnow_state.npz"
_PARTS: dict[str, Any] = {"model": Model, "particles": Particles, "sampling": Sampling, "changes": Changes}
_SCALARS = ("number", "total", "n_left_out", "batch_size", "step_size", "batch_limits")


def fingerprint(*parts: object) -> str:
    """Return a hash of everything a state depends on; parts are JSON-able values or paths, whose content counts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def save_state(directory: str | os.PathLike, iteration: Iteration, mark: str) -> None:
    """Write the state of a job, replacing the one before as a whole.

    Parameters
    ----------
    directory : path
        The job's directory.
    iteration : Iteration
    mark : str
        Fingerprint of what the state belongs to.
    """
    arrays: dict[str, np.ndarray] = {}
    scalars: dict[str, Any] = {"mark": mark}
    for name, record in [(part, getattr(iteration, part)) for part in _PARTS]:
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            key = f"{name}.{field.name}"
            if isinstance(value, np.ndarray):
                arrays[key] = value
            else:
                scalars[key] = value
    scalars |= {name: getattr(iteration, name) for name in _SCALARS}
    if iteration.moments is not None:
        arrays |= {"moments.first": iteration.moments.first, "moments.second": iteration.moments.second}
    scalars["optics"] = [dataclasses.asdict(group) for group in iteration.optics]
    arrays["scalars"] = np.frombuffer(json.dumps(scalars, default=_plain).encode(), dtype=np.uint8)
    with replaced(Path(directory) / STATE_FILE) as [temporary], temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _frozen(value: Any) -> Any:
    """Return a list, as JSON gives back a tuple, as a tuple again."""
    return tuple(value) if isinstance(value, list) else value


def _plain(number: np.generic) -> Any:
    """Return a NumPy scalar as Python's int, float or bool."""
    return number.item()


def load_state(directory: str | os.PathLike, mark: str) -> tuple[Iteration | None, str]:
    """Return the state of a job, or None with the reason why there is none to go on from.

    A file that cannot be read, or that belongs to other options or particles, is no state.
    """
    path = Path(directory) / STATE_FILE
    if not path.exists():
        return None, ""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {key: stored[key] for key in stored.files}
        scalars = json.loads(bytes(arrays.pop("scalars")))
        found = scalars["mark"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None, f"{path} cannot be read"
    if found != mark:
        return None, "the options, the particles or the engine's version have changed since"
    return _iteration(arrays, scalars), ""


def _iteration(arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> Iteration:
    records = {}
    for name, record in _PARTS.items():
        keys = [(field.name, f"{name}.{field.name}") for field in dataclasses.fields(record)]
        values: Iterable[tuple[str, Any]] = (
            (field, arrays[key] if key in arrays else scalars[key]) for field, key in keys
        )
        records[name] = record(**dict(values))
    optics = [OpticsGroup(**{key: _frozen(value) for key, value in group.items()}) for group in scalars["optics"]]
    if scalars["batch_limits"] is not None:
        scalars["batch_limits"] = tuple(scalars["batch_limits"])
    moments = Moments(arrays["moments.first"], arrays["moments.second"]) if "moments.first" in arrays else None
    return Iteration(optics=optics, moments=moments, **records, **{name: scalars[name] for name in _SCALARS})
