"""What a job asks a queue for: memory and time, from the number of its particles.

Estimates, on the large side: 2.4 kB of memory per particle of a table were measured, the rest comes from the sizes of
arrays and a guess of the time per particle, iteration and class. Nothing depends on their being right: a job that ran
out goes on from its last iteration with more.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from winnow2d.config import Round
from winnow2d.plan import Block, Plan

UNKNOWN = 500_000  # particles, where nothing tells how many there will be
LIGHT = 500_000  # particles up to which choosing classes, regrouping and the page are light work
LONGEST_MIN = 1440  # a longer job is one that no partition of a day or less would take
_BOX_PX = 256  # a large one: the box is known only when particles have been entered
_START_MIN = 30  # to start, to compile, and on a slow disk
_STEP_MB = 500


@lru_cache(maxsize=256)
def _rows_at(path: str, size: int, mtime_ns: int) -> int:
    """Return the rows of a file; its size and time are there for the memory of earlier answers."""
    with open(path, "rb") as stream:
        if path.endswith(".cs"):
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return int(math.prod(read(stream)[0]))
        return sum(part.count(b"\n") for part in iter(lambda: stream.read(1 << 24), b""))


def count_rows(path: str | Path) -> int | None:
    """Return about how many particles a file has: the lines of a STAR file; None if it cannot be read.

    Parameters
    ----------
    path : of a STAR file, or of a .cs file of cryoSPARC
    """
    try:
        facts = Path(path).stat()
        return _rows_at(str(path), facts.st_size, facts.st_mtime_ns)
    except (OSError, ValueError):
        return None


def _entering(plan: Plan) -> int:
    """Return how many particles enter, of all files together."""
    config = plan.config
    if config.demo:
        return config.demo.particles
    if config.micrographs and config.micrographs.demo:
        return config.micrographs.demo.particles
    found = [
        count_rows(path) for path in config.particles or plan.all_entered
    ]  # a list of coordinate files has a line per micrograph
    known = [number for number in found if number is not None]
    return sum(known) if known and len(known) == len(found) else UNKNOWN


def expected_particles(plan: Plan, block: Block | None = None) -> int:
    """Return how many particles a block has, at most, or, without one, the whole run: of the file that holds most.

    Parameters
    ----------
    plan : of the run
    block : its particles are counted if they are there already
    """
    if block is not None and (found := count_rows(plan.entering(block))) is not None:
        return found
    total = _entering(plan)
    if block is None or block.round.number > 1 or plan.n_parts == 1:
        return total
    return math.ceil(total / plan.n_parts)


def grown(value: float, attempt: int, step: int) -> int:
    """Return what an attempt asks for: twice as much as the one before, rounded up to a multiple of a step."""
    return step * math.ceil(value * 2 ** (attempt - 1) / step)


def table_mb(n_particles: int, attempt: int = 1) -> int:
    """Return the memory of a job that reads tables of particles, in MB: 2.4 kB a particle, several times over."""
    return grown(2000 + 0.01 * n_particles, attempt, _STEP_MB)


def micrographs_mb(threads: int, n_particles: int, attempt: int = 1) -> int:
    """Return the memory of an extraction, in MB: a thread holds one micrograph."""
    return grown(1500 + 600 * threads + 0.005 * n_particles, attempt, _STEP_MB)


def class2d_mb(item: Round, n_particles: int, threads: int, attempt: int = 1) -> int:
    """Return the memory of a classification, in MB: its table, its references, and what each thread works on."""
    references = item.class2d.nr_classes * (2 * _BOX_PX) ** 2 * 16 * 3 / 1e6
    return grown(2000 + 0.005 * n_particles + references + 250 * threads, attempt, _STEP_MB)


def full_passes(item: Round) -> float:
    """Return how often a classification looks at each particle, about: VDAM's mini-batches are parts of the set."""
    if item.class2d.do_em:
        return item.class2d.n_iterations
    return 0.05 * item.class2d.n_iterations + item.own.grad_em_iters


def class2d_min(item: Round, n_particles: int, threads: int, attempt: int = 1) -> int:
    """Return the time of a classification, in minutes."""
    work = n_particles * full_passes(item) * item.class2d.nr_classes * 6e-4 / 60  # minutes of one core
    return min(grown(_START_MIN + work / max(1, threads), attempt, 10), LONGEST_MIN)


def table_min(n_particles: int, attempt: int = 1) -> int:
    """Return the time of a job that reads and writes particles, in minutes: 1,000 in a second at the slowest."""
    return min(grown(_START_MIN + n_particles / 60_000, attempt, 10), LONGEST_MIN)
