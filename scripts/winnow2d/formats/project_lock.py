"""RELION's lock on default_pipeline.star: a directory that whoever changes the file makes and removes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winnow2d.errors import JobError

LOCK = ".relion_lock"
_NOTE = "lock_default_pipeline.star"
_PATIENCE_S = 120.0  # as long as RELION waits
_STEP_S = 0.02  # RELION's programs come and go; they wait 3 s


def is_process_alive(pid: int) -> bool:
    """Return whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def pipeline_lock(project: Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Hold the project's lock inside the block; it is removed however the block is left.

    A lock left by a process of ours on this machine that is no longer there is taken away.

    Parameters
    ----------
    project : path of the project directory
    patience_s : how long to wait for another's lock, in seconds

    Raises
    ------
    JobError
        When another program keeps its lock for longer.
    """
    lock = project / LOCK
    deadline = time.monotonic() + patience_s
    while not _try_lock(lock):
        if _is_left_behind(lock):
            _take_away(lock)
        elif time.monotonic() > deadline:
            raise JobError(
                f"{lock}/ is there for over {patience_s:.0f} s ({_holder(lock) or 'holder unknown'}), so "
                "default_pipeline.star cannot be changed. If no RELION program is running, remove that directory."
            )
        else:
            time.sleep(_STEP_S)
    try:
        (lock / _NOTE).write_text(f"winnow2d {socket.gethostname()} {os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        _remove(lock)


def is_locked(project: Path) -> bool:
    """Return whether a program changes the project's graph just now; a lock left by a dead process of ours is none."""
    lock = project / LOCK
    return lock.is_dir() and not _is_left_behind(lock)


def _try_lock(lock: Path) -> bool:
    try:
        lock.mkdir()
    except FileExistsError:
        return False
    return True


def _holder(lock: Path) -> str:
    """Return what the holder wrote about itself."""
    try:
        return (lock / _NOTE).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _is_left_behind(lock: Path) -> bool:
    """Return whether a process of ours on this machine made the lock and is gone."""
    words = _holder(lock).split()
    is_local = len(words) == 3 and words[0] == "winnow2d" and words[1] == socket.gethostname()
    return is_local and words[2].isdigit() and not is_process_alive(int(words[2]))


def _take_away(lock: Path) -> None:
    """Remove a lock left behind, unless another did and holds it by now."""
    aside = lock.with_name(f"{LOCK}.left.{os.getpid()}")
    try:
        lock.rename(aside)
    except OSError:
        return
    if _is_left_behind(aside):
        _remove(aside)
    else:
        aside.rename(lock)


def _remove(lock: Path) -> None:
    (lock / _NOTE).unlink(missing_ok=True)
    if lock.is_dir():
        lock.rmdir()
