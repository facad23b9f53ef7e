"""What is said of an error that ends a job: what a reader can put right, or where to look."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import NoReturn

from winnow2d.errors import WinnowError

_OF_DISKS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE,
}  # fmt: skip


def problems_to_put_right(error: BaseException, place: object) -> list[str]:
    """Return a sentence for each problem that a reader can put right; none for a mistake of ours.

    Parameters
    ----------
    error : exception
        A WinnowError, or one of a disk: full, read-only, not permitted.
    place : path
        Named where an error of a disk names no file.
    """
    if isinstance(error, WinnowError):
        return list(error.problems)
    if isinstance(error, OSError) and error.errno in _OF_DISKS:
        return [f"{error.filename or place}: {error.strerror}; put that right and start the job again"]
    return []


def refuse(error: Exception, place: object) -> NoReturn:
    """Say on the terminal what is to be put right, and leave; raise what nobody foresaw."""
    problems = problems_to_put_right(error, place)
    if not problems:
        raise error
    sys.stderr.write("".join(f"ERROR: {problem}\n" for problem in problems))
    raise SystemExit(1) from None


def where(error: BaseException, directory: Path) -> str:
    """Return one line on an error nobody foresaw."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    message = " ".join(str(error).split()) or "no message"
    return f"failed: {type(error).__name__} in {place}: {message}. The traceback is in {directory}/run.err."
