"""Where the time of a run goes: thread time and wall time of named stages, added up over all threads.

The figures belong to the process, like its CPU time: threads come and go. No result depends on them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import dataclass
from typing import Any

# A stage inside another one counts for itself alone.
READ, PREPARE, COARSE, FINE, SUMS = "read", "prepare", "coarse", "fine", "sums"
REFERENCES, M_STEP, ACCURACIES, FIRST, FILES = "references", "m-step", "accuracies", "first averages", "files"
OTHER = "other"
STAGES = (READ, PREPARE, COARSE, FINE, SUMS, REFERENCES, M_STEP, ACCURACIES, FIRST, FILES)


@dataclass(frozen=True)
class StageTime:
    """Seconds of a stage, added up over threads; waiting for disks, devices and other threads is in `wall_s` alone."""

    cpu_s: float
    wall_s: float


class _Stage(ContextDecorator):
    """A stage of a clock, entered as often as one likes, by any thread."""

    def __init__(self, clock: StageClock, name: str | None):
        self._clock, self._name = clock, name

    def __enter__(self) -> None:
        self._clock.enter(self._name)

    def __exit__(self, *exception: object) -> None:
        self._clock.leave()


class StageClock:
    """Adds up the time of stages; any number of threads may be in any of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = threading.local()
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._sums = {name: [0.0, 0.0] for name in STAGES}
            self._began = time.process_time(), time.perf_counter()

    def stage(self, name: str | None) -> _Stage:
        """Return a context, or a decorator, in which the time of a thread counts for a stage; for none if None."""
        return _Stage(self, name)

    def enter(self, name: str | None) -> None:
        """Count the time of this thread for a stage from now on, and no more for the one it is in."""
        names = self._names()
        self._count(names[-1] if names else None)
        names.append(name)

    def leave(self) -> None:
        """End the stage this thread is in; go on with the one around it."""
        self._count(self._within.names.pop())

    def _names(self) -> list[str | None]:
        """Return the stages this thread is in, the innermost last."""
        try:
            return self._within.names
        except AttributeError:
            self._within.names = []
            return self._within.names

    def _count(self, name: str | None) -> None:
        """Count the time since this thread last came here for a stage."""
        cpu, wall = time.thread_time(), time.perf_counter()
        if name is not None:
            since_cpu, since_wall = self._within.since
            with self._lock:
                total = self._sums[name]
                total[0] += cpu - since_cpu
                total[1] += wall - since_wall
        self._within.since = cpu, wall

    @property
    def current(self) -> str | None:
        """The stage this thread is in."""
        names = self._names()
        return names[-1] if names else None

    def carried(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts for the stage of the thread that called this, wherever it is called."""
        name = self.current

        def within(*arguments: Any) -> Any:
            with self.stage(name):
                return function(*arguments)

        return function if name is None else within

    def times(self) -> dict[str, StageTime]:
        """Return the time of each stage since the beginning, in the order of `STAGES`, and of everything else.

        The wall time of everything else is 0: with several threads it cannot be told.
        """
        with self._lock:
            sums = {name: tuple(total) for name, total in self._sums.items()}
            began = self._began[0]
        rest = time.process_time() - began - sum(cpu for cpu, _ in sums.values())
        return {name: StageTime(*total) for name, total in sums.items()} | {OTHER: StageTime(max(rest, 0.0), 0.0)}


CLOCK = StageClock()
stage = CLOCK.stage


def lines(times: dict[str, StageTime]) -> list[str]:
    """Return a line for each stage that took any time: seconds of CPU and their share, and seconds of waiting."""
    total = sum(each.cpu_s for each in times.values())
    said = []
    for name, each in times.items():
        if each.cpu_s <= 0:
            continue
        waited = f", {each.wall_s - each.cpu_s:.1f} s waiting" if each.wall_s - each.cpu_s >= 0.05 else ""
        said.append(f"{name:<14} {each.cpu_s:8.1f} s {each.cpu_s / total:6.1%}{waited}")
    return said
