"""The machine a benchmark ran on, as lines above its table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from threadpoolctl import threadpool_info

from winnow2d import __version__

_THREADS_AND_BLAS = re.compile(r"(_NUM_THREADS$|^OPENBLAS_|^MKL_|^BLIS_|^NUMBA_)")
BUSY = 0.5  # load beyond which wall times are not to be trusted


def describe(n_cores: int, peer: str) -> list[str]:
    """Return what ran where: processor, cores, versions, and the variables that steer BLAS (never changed here)."""
    lines = [f"Winnow {__version__}, {n_cores} cores of {_processor()}"]
    if peer:
        lines.append(f"Peer: {_version_of(peer)}")
    blas = [f"{each['internal_api']} {each['version']} ({each.get('architecture', '?')})" for each in threadpool_info()]
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if _THREADS_AND_BLAS.search(name)]
    lines.append(f"BLAS: {', '.join(sorted(set(blas)))}; set: {' '.join(variables) or 'nothing'}")
    load = os.getloadavg()[0]
    if load > BUSY:
        lines.append(f"Other work is running (load {load:.1f}): trust CPU times before wall times.")
    return lines


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return name[1] if name else "an unknown processor"


def _version_of(program: str) -> str:
    """Return how a program of RELION names itself."""
    if shutil.which(program) is None:
        return f"{program} (not found)"
    said = subprocess.run([program, "--version"], text=True, capture_output=True, check=False)
    return next((line for line in said.stdout.splitlines() if "version" in line.lower()), program)
