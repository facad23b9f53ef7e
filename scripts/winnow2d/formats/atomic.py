"""Files that are whole or absent: written aside, made durable, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(*paths: str | os.PathLike, is_durable: bool = True) -> Iterator[list[Path]]:
    """Yield one temporary sibling per path; rename all of them, in the order given, when the block ends.

    Nothing is renamed before everything is on disk; if the block raises, the temporaries are removed and
    the files that were there stay as they were.

    Parameters
    ----------
    *paths : path
        Files to write. Their folders are made.
    is_durable : bool
        False where someone else waits, by `flush`, until the files are on disk.

    Raises
    ------
    OSError
        When a folder cannot be made or a temporary was not written.
    """
    targets = [Path(path) for path in paths]
    temporaries = [target.with_name(f".{target.name}.{os.getpid()}.tmp") for target in targets]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporaries
        for temporary in temporaries if is_durable else ():
            flush(temporary)
        for temporary, target in zip(temporaries, targets, strict=True):
            os.replace(temporary, target)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def flush(path: str | os.PathLike) -> None:
    """Wait until the content of a file is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
