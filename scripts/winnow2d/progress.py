"""What a job says while it runs: one bar on a terminal, plain lines in run.out, warnings in run.err."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

_BAR_WIDTH = 24
_OURS = ("winnow2d", "__main__")  # whose INFO lines are for the reader; others speak from WARNING on


class ProgressBar:
    """One line on a terminal that is written over; nothing where there is no terminal."""

    def __init__(self, name: str):
        self._name = name
        self._is_shown = False

    def update(self, done: int, total: int, text: str = "") -> None:
        """Show how far the job is, and log the same as a plain line; only the job itself can tell the time left."""
        logger.info("%d/%d %s", done, total, text)
        if sys.stderr is None or not sys.stderr.isatty():
            return
        fraction = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        bar = "#" * round(fraction * _BAR_WIDTH)
        line = f"{self._name} [{bar:-<{_BAR_WIDTH}}] {done}/{total} {text}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{line[:width]}")
        sys.stderr.flush()
        self._is_shown = True

    def end_line(self) -> None:
        """Leave the bar where it stands, so that what follows begins a line of its own."""
        if self._is_shown:
            sys.stderr.write("\n")
            self._is_shown = False


class _Console(logging.Handler):
    """Warnings and errors on the terminal, below the bar."""

    def __init__(self, bar: ProgressBar):
        super().__init__(logging.WARNING)
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        self._bar.end_line()
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class _Log(logging.FileHandler):
    """A file that takes the lines for which the disk has room; that it has none is the job's to say, once."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class _Lines(logging.Formatter):
    """The message, with its level in front from WARNING on; a traceback only where one is wanted."""

    def __init__(self, has_traceback: bool):
        super().__init__()
        self._has_traceback = has_traceback

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname}: {text}"
        if self._has_traceback and record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


@contextlib.contextmanager
def logging_to(directory: Path, bar: ProgressBar, logs: Sequence[str] = ()) -> Iterator[None]:
    """Send log lines to run.out, run.err, the rule's log files and the terminal inside the block.

    Parameters
    ----------
    directory : path of the job
        run.out takes INFO and above, run.err warnings, errors and tracebacks; both are appended to.
    bar : ProgressBar
    logs : files that take the same as run.out
    """
    handlers: list[logging.Handler] = [_Console(bar)]
    for path, level in [(directory / "run.out", logging.INFO), (directory / "run.err", logging.WARNING)]:
        handlers.append(_file_handler(path, level, has_traceback=level == logging.WARNING))
    for log in logs:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_file_handler(Path(log), logging.INFO, has_traceback=True))
    handlers[0].setFormatter(_Lines(has_traceback=False))
    root = logging.getLogger()
    ours = [logging.getLogger(name) for name in _OURS]
    levels = [entry.level for entry in ours]
    for entry in ours:
        entry.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        bar.end_line()
        logging.captureWarnings(False)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        for entry, level in zip(ours, levels, strict=True):
            entry.setLevel(level)


def _file_handler(path: Path, level: int, has_traceback: bool) -> logging.Handler:
    """Return a handler that appends lines to a file."""
    handler = _Log(path, mode="a", encoding="utf-8")
    handler.setLevel(level)
    handler.setFormatter(_Lines(has_traceback))
    return handler
