"""Names of the files of an iteration: run_itNNN_model.star, and run_ctNN_itNNN_model.star of a run RELION continued."""

from __future__ import annotations

import re
from pathlib import Path

_ITERATION = re.compile(r"run(?:_ct(\d+))?_it(\d{3,})_(.+)")


def iteration_number(path: Path) -> int:
    """Return the number of the iteration a file belongs to.

    Raises
    ------
    ValueError
        Its name is of another kind.
    """
    return _parts(path)[1]


def _parts(path: Path) -> tuple[int, int, str]:
    """Return after which iteration the run was continued (0: it was not), the iteration, and the kind of file."""
    match = _ITERATION.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: not a file of an iteration")
    return int(match[1] or 0), int(match[2]), match[3]


def iterations_up_to(last: Path, kind: str) -> dict[int, Path]:
    """Return the files that are there of the iterations that led to a file and of its own, by number, ascending.

    Parameters
    ----------
    last : Path
        A file of the last iteration; where its run was continued, the iterations before are those of the run that
        has the iteration it was continued from.
    kind : str
        Which of the files, e.g. "model.star".
    """
    files: dict[int, dict[int, Path]] = {}  # by iteration after which the run was continued, and iteration
    for path in last.parent.glob(f"run_*{kind}"):
        if _ITERATION.fullmatch(path.name) and _parts(path)[2] == kind:
            origin, number, _ = _parts(path)
            files.setdefault(origin, {})[number] = path
    origin, end, _ = _parts(last)
    found: dict[int, Path] = {}
    while True:
        found = {number: path for number, path in files.get(origin, {}).items() if origin <= number <= end} | found
        earlier = [other for other in files if other < origin]
        if not earlier:
            return {number: found[number] for number in sorted(found)}
        end, origin = origin, max(earlier, key=lambda other: (origin in files[other], other))
