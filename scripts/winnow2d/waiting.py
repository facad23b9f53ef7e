"""What an earlier start left running: jobs that still work in this project, or that still wait in a queue.

Snakemake that was killed leaves its jobs alone. The next start must not run a second process beside them, nor remove
what they write; so it waits for them before it does anything.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from winnow2d.joblock import described, holder_of

_POLL_S = 2.0
_PATIENCE_S = 20.0  # for the queue's answer
QUEUE_LOGS = Path("logs/slurm")  # there where jobs of the project have been given to Slurm
_GONE = ("CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")


def _working(directories: Iterable[str]) -> dict[str, str]:
    """Return place -> sentence for directories that a living process works in; the place tells queue jobs apart."""
    found = {}
    for directory in directories:
        if holder := holder_of(Path(directory)):
            found[holder.get("queue_job") or directory] = f"{directory}/ is in use by {described(holder)}"
    return found


def _queued() -> dict[str, str]:
    """Return number -> sentence for jobs of Slurm that Snakemake gave it for this project; none where it is not."""
    if not QUEUE_LOGS.is_dir():
        return {}
    command = ["squeue", "--me", "--noheader", "--format", "%i|%T|%k|%Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}  # the locks tell of those that run
    found = {}
    for line in answer.splitlines():
        number, state, comment, folder = (line.split("|") + [""] * 4)[:4]
        if comment.startswith("rule_") and folder == str(Path.cwd()) and state not in _GONE:
            found[number] = f"queue job {number} ({comment}) of this project is {state}"
    return found


def wait_for_others(directories: Iterable[str], tell: Callable[[str], None], poll_s: float = _POLL_S) -> bool:
    """Return when nothing of an earlier start works in the project any more; whether there was anything.

    Parameters
    ----------
    directories : of all jobs that a start may run, relative to the project, which is the working directory
    tell : is given a sentence for each that is waited for, once
    poll_s : seconds between looks
    """
    planned, told = list(directories), set()
    while found := _queued() | _working(planned):
        for place, sentence in found.items():
            if place not in told:
                end = f"; `scancel {place}` ends it" if place.isdigit() else ""
                tell(f"{sentence}. Waiting until it ends. Ctrl-C leaves it alone{end}.")
        told |= set(found)
        time.sleep(poll_s)
    return bool(told)
