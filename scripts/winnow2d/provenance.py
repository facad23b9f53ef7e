"""provenance.json: what made a job's files, from what, where, and how long it took.

By this file a job directory is known to be Winnow's. It is not a result: times and hosts stand in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow2d import __version__
from winnow2d.formats.atomic import replaced
from winnow2d.formats.jobs import PROGRAM, PROVENANCE, JobFile, as_list

HASHED_UP_TO_BYTES = 200_000_000  # larger files are known by their size alone
_PACKAGES = ("numpy", "scipy", "numba", "pandas", "starfile", "mrcfile", "snakemake", "cupy")


def describe_file(path: Path) -> dict[str, Any]:
    """Return path, size in bytes and, unless the file is large, SHA-256."""
    facts: dict[str, Any] = {"path": path.as_posix()}
    if not path.is_file():
        return facts | {"is_file": False}
    facts["size_bytes"] = path.stat().st_size
    if facts["size_bytes"] < HASHED_UP_TO_BYTES:
        with open(path, "rb") as stream:
            facts["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    return facts


def package_versions() -> dict[str, str]:
    """Return the versions of what does the work, of the packages that are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


class Provenance:
    """The record of one run; `begin` writes it, `end` adds how it went, for `write`."""

    def __init__(self, directory: Path, job: JobFile, facts: Mapping[str, Any]):
        self._path = directory / PROVENANCE
        self._started = time.time()
        self._record: dict[str, Any] = {
            "program": PROGRAM,
            "version": __version__,
            **facts,
            "job_type": job.label,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": package_versions(),
            "random_seed": job.own.random_seed if "random_seed" in job.own_names else None,
            "options": None if job.options is None else dataclasses.asdict(job.options),
            "own": {name: getattr(job.own, name) for name in job.own_names},
            "params": dict(job.params),
        }
        self._inputs = {name: [Path(path) for path in as_list(paths)] for name, paths in job.inputs.items()}

    def begin(self) -> None:
        """Write the record of a run that has begun."""
        self._record |= {"started": _clock(self._started), "status": "Running"}
        self.write()
        self._record["inputs"] = {name: [describe_file(path) for path in paths] for name, paths in self._inputs.items()}
        self.write()

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add facts for `write`."""
        self._record |= facts

    def end(self, status: str) -> dict[str, float]:
        """Add how the run ended; return its wall time and CPU time in s and its peak memory in MB."""
        ended = time.time()
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        measures = {
            "wall_s": round(ended - self._started, 3),
            "cpu_s": round(cpu, 3),
            "peak_memory_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),  # Linux counts KiB
        }
        self._record |= {"ended": _clock(ended), "status": status} | measures
        return measures

    def write(self) -> None:
        """Replace the record on disk."""
        with replaced(self._path) as (temporary,):
            temporary.write_text(json.dumps(self._record, indent=2) + "\n", encoding="utf-8")


def _clock(seconds: float) -> str:
    """Return local time with its offset, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
