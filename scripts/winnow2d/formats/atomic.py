"""Files that are whole or absent: written aside, made durable, then renamed, at once or behind what follows."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
_NUMBERS = count()


@contextmanager
def replaced(*paths: str | os.PathLike, behind: Behind | None = None, is_durable: bool = True) -> Iterator[list[Path]]:
    """Yield one temporary sibling per path; rename all of them, in the order given, when the block ends.

    Nothing is renamed before everything is on disk; if the block raises, the temporaries are removed and
    the files that were there stay as they were.

    Parameters
    ----------
    *paths : path
        Files to write. Their folders are made.
    behind : Behind, optional
        Waits for the disk and renames in place of this, so that the block's end is left at once.
    is_durable : bool
        False where someone else waits, by `flush`, until the files are on disk; they are renamed at once.

    Raises
    ------
    OSError
        When a folder cannot be made or a temporary was not written.
    """
    targets = [Path(path) for path in paths]
    number = next(_NUMBERS)  # one of the same name may be waiting for the disk
    temporaries = [target.with_name(f".{target.name}.{os.getpid()}.{number}.tmp") for target in targets]
    for folder in {target.parent for target in targets}:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield temporaries
    except BaseException:
        _remove(temporaries)
        raise
    finish = partial(_finish, temporaries, targets, is_durable)
    if behind is None:
        finish()
        return
    try:
        begun = behind.do(finish)
    except BaseException:  # an earlier task's error, or a signal while the disk holds this up
        _remove(temporaries)
        raise
    # After an error no task is done, so none removes what it had.
    begun.add_done_callback(lambda done: _remove(temporaries) if done.exception() else None)


def _finish(temporaries: list[Path], targets: list[Path], is_durable: bool) -> None:
    """Make temporaries durable, then rename all; remove them if that cannot be done."""
    try:
        for temporary in temporaries if is_durable else ():
            flush(temporary)
        for temporary, target in zip(temporaries, targets, strict=True):
            os.replace(temporary, target)
    finally:
        _remove(temporaries)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def flush(path: str | os.PathLike) -> None:
    """Wait until the content of a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Behind:
    """One thread that waits for the disk while its owner computes: what it is given is done in that order.

    As a context it ends when all is done. An error is raised from the next `do` or from the context's end, and
    nothing that was given later is done then.

    Parameters
    ----------
    counted : function, optional
        What each task is wrapped in, such as a clock.
    """

    _MOST_WAITING = 4  # tasks; a disk that cannot follow holds the owner up

    def __init__(self, counted: Callable[[Callable[[], Any]], Callable[[], Any]] = lambda task: task):
        self._counted = counted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="winnow-files")
        self._begun: deque[Future[None]] = deque()
        self._error: BaseException | None = None

    def do(self, task: Callable[[], Any]) -> Future[None]:
        """Have a task done after all that were given before; return what tells of its end.

        Raises
        ------
        OSError
            Or whatever else an earlier task met.
        """
        while self._begun and (len(self._begun) >= self._MOST_WAITING or self._begun[0].done()):
            self._begun[0].result()
            self._begun.popleft()
        self._begun.append(self._thread.submit(self._one, self._counted(task)))
        return self._begun[-1]

    def _one(self, task: Callable[[], Any]) -> None:
        if self._error is not None:
            raise self._error
        try:
            task()
        except BaseException as error:
            self._error = error
            raise

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            wait(self._begun)
        except BaseException:  # a signal: what was given must not go on when its owner is gone
            wait(self._begun)
            raise
        finally:
            self._thread.shutdown()
        if self._error is None:
            return
        if kind is None:
            raise self._error
        logger.error("A file was not written: %s", self._error)
