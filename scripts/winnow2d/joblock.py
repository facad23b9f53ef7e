"""The lock of a job's directory: one living job at a time, and a dead one's lock is taken over.

The lock is a file that says who holds it; its modification time is the heartbeat. Times are compared by
the clock of the file system alone, as machines of a cluster disagree.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from winnow2d.errors import JobError
from winnow2d.formats import jobs, project
from winnow2d.formats.project_lock import is_process_alive

LOCK = ".winnow_lock"
HEARTBEAT_S = 15.0
SILENCE_S = 120.0  # a lock of another machine without heartbeat for so long is dead
_QUEUE_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
_LOOK_S = 1.0  # between looks for a sign of life

logger = logging.getLogger(__name__)


def queue_job_id() -> str:
    """Return the number a queueing system gave this process, or empty."""
    return next((os.environ[name] for name in _QUEUE_VARIABLES if os.environ.get(name)), "")


def _restarts() -> int:
    """Return how often the queue has put this job back, after a preemption or when its node failed."""
    try:
        return int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    except ValueError:
        return 0


def _birth(pid: int) -> str:
    """Return when a process began, in the kernel's ticks; tells a reused process number from the old one.

    Empty where that cannot be known, and "ended" for a dead process that nobody has asked how it ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        return "ended" if stat[0] == "Z" else stat[19]
    except (OSError, IndexError):
        return ""


def _read(lock: Path) -> dict[str, Any] | None:
    """Return what a lock says, {} if its holder has not written yet, None without a lock."""
    try:
        return dict(json.loads(lock.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}


def _silence_s(lock: Path) -> float:
    """Return the seconds since the last heartbeat, by the file system's clock."""
    probe = lock.with_name(f"{LOCK}.now.{uuid.uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - lock.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _is_living(lock: Path, holder: dict[str, Any]) -> bool:
    """Return whether the holder of a lock still works."""
    if holder.get("host") == socket.gethostname():
        pid = int(holder.get("pid", 0))
        return is_process_alive(pid) and holder.get("birth", "") in ("", _birth(pid))
    if holder.get("queue_job") and holder["queue_job"] == queue_job_id() and holder.get("restarts", 0) < _restarts():
        return False  # ourselves, before the queue put us back
    return _silence_s(lock) < SILENCE_S


def _shows_life(lock: Path, holder: dict[str, Any]) -> bool:
    """Return whether a living holder gives a sign of life before it counts as dead; on this machine it need not."""
    if holder.get("host") == socket.gethostname():
        return _is_living(lock, holder)
    try:
        last = lock.stat().st_mtime_ns
        while _is_living(lock, holder):
            if lock.stat().st_mtime_ns != last or _read(lock) != holder:
                return True
            time.sleep(_LOOK_S)
    except FileNotFoundError:
        pass  # it has ended
    return False


def holder_of(directory: Path) -> dict[str, Any] | None:
    """Return what is known of the living job that holds a directory: host, pid, queue_job; None if none does."""
    lock = directory / LOCK
    holder = _read(lock)
    return holder if holder is not None and _is_living(lock, holder) else None


def is_held(directory: Path) -> bool:
    """Return whether a living job holds a directory."""
    return holder_of(directory) is not None


def described(holder: dict[str, Any]) -> str:
    """Return where a job runs, in words."""
    where = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown machine')}"
    return where + (f", queue job {holder['queue_job']}" if holder.get("queue_job") else "")


class JobLock:
    """A lock of a job's directory that this process holds between `acquire` and `release`."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.path = directory / LOCK
        self.token = uuid.uuid4().hex
        self.is_lost = False  # another machine took us for dead
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock and keep it alive from a thread.

        Raises
        ------
        JobError
            A living job holds it; the message says where it runs. One of another machine is given the time to
            show that it lives, so that a job the queue starts again takes over from its dead predecessor.
        """
        while not self._try():
            holder = _read(self.path)
            if holder is None:
                continue
            if _is_living(self.path, holder):
                if holder.get("host") != socket.gethostname():
                    logger.warning(
                        "%s/ was in use by %s; waiting for a sign of life", self.directory, described(holder)
                    )
                if _shows_life(self.path, holder):
                    raise JobError(self._refusal(holder))
                continue
            self._take_away(holder)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _try(self) -> bool:
        try:
            stream = open(self.path, "x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with stream:
                json.dump(self._content(), stream)
        except OSError:  # a full disk; an empty lock would be taken for another machine's
            self.path.unlink(missing_ok=True)
            raise
        return True

    def _content(self) -> dict[str, Any]:
        pid = os.getpid()
        who = {"host": socket.gethostname(), "pid": pid, "birth": _birth(pid), "queue_job": queue_job_id()}
        return who | {"restarts": _restarts(), "token": self.token}

    def _refusal(self, holder: dict[str, Any]) -> str:
        return (
            f"{self.directory}/ is in use by {described(holder)}. Wait until it ends, or stop it; a job that died "
            f"without a word on another machine is taken over {SILENCE_S:.0f} s after its last sign of life."
        )

    def _take_away(self, dead: dict[str, Any]) -> None:
        """Remove a dead holder's lock, unless another took it over in the meantime."""
        aside = self.path.with_name(f"{LOCK}.dead.{self.token}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if _read(aside) == dead:
            aside.unlink()
        else:
            aside.rename(self.path)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            holder = _read(self.path)
            if holder == {}:
                continue  # not to be read, or not yet written by whoever took it; the next beat tells
            self.is_lost = holder is None or holder.get("token") != self.token
            if self.is_lost:
                return
            try:
                os.utime(self.path)
            except OSError:
                continue  # a file system that is away for a moment; the next beat tells

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        holder = _read(self.path)
        if holder is not None and holder.get("token") == self.token:
            self.path.unlink(missing_ok=True)


def mark_dead_jobs(directory: Path | str = ".") -> list[str]:
    """Set jobs of ours that are said to run, but do so no longer, to Failed (or to what their exit file says).

    Parameters
    ----------
    directory : path of the project

    Returns
    -------
    names : list of str
        The jobs that were put right, e.g. Class2D/job011/.
    """
    root = Path(directory)
    fixed = []
    for name in project.running_jobs(root):
        place = root / name
        if not jobs.is_ours(place) or is_held(place):
            continue
        status = jobs.exit_status(place) or "Failed"
        jobs.write_exit_file(place, status)
        project.set_status(root, name, status)
        fixed.append(name)
    return fixed
