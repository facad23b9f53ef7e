"""Which pieces of an extraction are finished: told in a file once they are on disk, and read by the next run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from winnow2d.formats.atomic import flush


class Done(dict[str, str]):
    """Name -> fingerprint of what earlier runs have written, as the file at `path` says."""

    def __init__(self, path: Path, pairs: Iterable[tuple[str, str]] = ()):
        super().__init__(pairs)
        self._path = path

    def forget_other(self, name: str, fingerprint: str) -> None:
        """Take back, on disk, what is said of a piece that is about to be written with another fingerprint.

        Else a run that stops before it tells of the new files would leave them under the old fingerprint. Any
        thread may call this: a line is added in one go.
        """
        if self.get(name, fingerprint) == fingerprint:
            return
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"\n{name}\t\n")  # begins a line of its own, whatever a crash left of the last one
        flush(self._path)


def read_state(path: Path) -> Done:
    """Return name -> fingerprint of what was written; a line cut off by a crash counts as not written."""
    if not path.is_file():
        return Done(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    cells = [line.split("\t") for line in text[: text.rfind("\n") + 1].splitlines()]
    return Done(path, ((line[0], line[1]) for line in cells if len(line) == 2))


class Remembering:
    """Adds a line for each finished piece, when its files are on disk; nobody waits for that but the end.

    Parameters
    ----------
    path : Path
    done : Done
        What the file holds already, name -> fingerprint.
    """

    def __init__(self, path: Path, done: Done):
        self._done, self._file = done, open(path, "a", encoding="utf-8")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="winnow-flush")
        self._waiting: deque[tuple[str, str, Future[None]]] = deque()

    def __enter__(self) -> Remembering:
        return self

    def add(self, name: str, fingerprint: str, files: Sequence[Path]) -> None:
        """Note a finished piece; errors of the disk are raised here or at the end."""
        if self._done.get(name) != fingerprint:
            self._waiting.append((name, fingerprint, self._pool.submit(_flush_all, files)))
        self._tell(is_end=False)

    def _tell(self, is_end: bool) -> None:
        while self._waiting and (is_end or self._waiting[0][2].done()):
            name, fingerprint, flushed = self._waiting.popleft()
            flushed.result()
            self._file.write(f"{name}\t{fingerprint}\n")
            self._file.flush()

    def __exit__(self, *exception: object) -> None:
        try:
            self._tell(is_end=True)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._file.close()


def _flush_all(files: Sequence[Path]) -> None:
    for file in files:
        flush(file)
