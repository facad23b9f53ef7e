"""The resumable state of a classification: one file, replaced whole after every iteration, exact to the last bit."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from winnow2d.records import Changes, Iteration, Model, Moments, OpticsGroup, Particles, Sampling

from .atomic import Behind, flush

STATE_FILE = "winnow_state.bin"
_HEAD, _PAGE = b"Winnow state 2 %08x %08x\n", 4096
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


class StateFile:
    """The state of a running job: written after every iteration into the pages of the state before the last.

    A file of a few MB costs ten times more to write anew than over one that the system holds in memory. So the
    state that was replaced stays under a hidden name until `close`, and is overwritten next.

    Parameters
    ----------
    directory : path
        The job's directory.
    mark : str
        Fingerprint of what the states belong to.
    """

    def __init__(self, directory: str | os.PathLike, mark: str):
        self._path, self._mark = Path(directory) / STATE_FILE, mark
        self._spare, self._former = (self._path.with_name(f".{STATE_FILE}.{name}") for name in ("spare", "former"))
        self._written: Future[None] | None = None
        self.close()  # left by a job that was killed; one of them may be the state itself under a second name

    def save(self, iteration: Iteration, behind: Behind | None = None) -> None:
        """Write the state, replacing the one before as a whole, at the latest when `behind` ends.

        The iteration may change as soon as this returns. It waits for the state before to be durable.
        """
        if self._written is not None:
            self._written.result()
        with open(os.open(self._spare, os.O_WRONLY | os.O_CREAT, 0o666), "wb", buffering=0) as file:
            _write(file, _parts(iteration, self._mark))
            file.truncate()
        if behind is None:
            self._replace()
        else:
            self._written = behind.do(self._replace)

    def _replace(self) -> None:
        """Make what was written durable and the state; keep the state before for the next."""
        flush(self._spare)
        with suppress(OSError):  # none yet, or a file system without second names
            os.link(self._path, self._former)
        os.replace(self._spare, self._path)
        # Before the state that was replaced is written over, its name must not come back when power is lost.
        with suppress(OSError):  # not every file system does this
            flush(self._path.parent)
        with suppress(FileNotFoundError):
            os.replace(self._former, self._spare)

    def close(self) -> None:
        """Remove what is kept for the next state."""
        self._spare.unlink(missing_ok=True)
        self._former.unlink(missing_ok=True)


def save_state(directory: str | os.PathLike, iteration: Iteration, mark: str) -> None:
    """Write the state of a job once, replacing the one before as a whole; see `StateFile`."""
    file = StateFile(directory, mark)
    file.save(iteration)
    file.close()


def _parts(iteration: Iteration, mark: str) -> list[np.ndarray]:
    """Return what stands in the file of a state, a header and its arrays, as (n,) uint8 each.

    The header is a line with version, check sum and length, and JSON of all that is no array.
    """
    arrays: dict[str, np.ndarray] = {}
    scalars: dict[str, Any] = {"mark": mark}
    for name, record in [(part, getattr(iteration, part)) for part in _PARTS]:
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            key = f"{name}.{field.name}"
            if isinstance(value, np.ndarray):
                arrays[key] = np.ascontiguousarray(value)
            else:
                scalars[key] = value
    scalars |= {name: getattr(iteration, name) for name in _SCALARS}
    if iteration.moments is not None:
        arrays |= {"moments.first": iteration.moments.first, "moments.second": iteration.moments.second}
    scalars["optics"] = [dataclasses.asdict(group) for group in iteration.optics]
    layout = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
    text = json.dumps({"scalars": scalars, "arrays": layout}, default=_plain).encode()
    content = [np.frombuffer(text, np.uint8), *(array.reshape(-1).view(np.uint8) for array in arrays.values())]
    head = _HEAD % (_check_sum(content), len(text))
    return [np.frombuffer(head, np.uint8), *content]


def _check_sum(parts: Iterable[np.ndarray]) -> int:
    """Return a number that tells whether bytes (n,) uint8 are as they were: sums of words page by page, and their CRC.

    The CRC of all bytes would take as long as all the rest of writing them.
    """
    found = 0
    for part in parts:
        whole = len(part) // _PAGE * _PAGE
        sums = part[:whole].view(np.uint64).reshape(-1, _PAGE // 8).sum(axis=1)
        found = zlib.crc32(part[whole:].data, zlib.crc32(sums.data, found))
    return found


def _write(file: io.FileIO, parts: Iterable[np.ndarray]) -> None:
    """Write bytes one part after the other, through to the system."""
    for part in parts:
        left = part.data
        while left:
            left = left[file.write(left) :]


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
        arrays, scalars = _read(np.fromfile(path, np.uint8))
        found = scalars["mark"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None, f"{path} cannot be read"
    if found != mark:
        return None, "the options, the particles or the engine's version have changed since"
    return _iteration(arrays, scalars), ""


def _read(content: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and all else of a state's bytes.

    Raises
    ------
    ValueError, LookupError, TypeError, AttributeError
        They are no whole state.
    """
    begin = len(_HEAD % (0, 0))
    head = bytes(content[:begin])
    n_text = int(head[-9:-1], 16)
    stored = json.loads(bytes(content[begin : begin + n_text]))
    parts, arrays, at = [content[begin : begin + n_text]], {}, begin + n_text
    for name, (dtype, shape) in stored["arrays"].items():
        n_bytes = np.dtype(dtype).itemsize * math.prod(shape)
        parts.append(content[at : at + n_bytes].copy())
        arrays[name] = parts[-1].view(dtype).reshape(shape)
        at += n_bytes
    if at != len(content) or head != _HEAD % (_check_sum(parts), n_text):
        raise ValueError("not what was written")
    return arrays, stored["scalars"]


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
