"""Many micrographs at a time: results in their order, bad ones left out, and what is done remembered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from winnow2d.errors import StarError
from winnow2d.extraction.micrograph import Outcome, extract_micrograph, stack_of, table_of
from winnow2d.extraction.plan import PlannedMicrograph
from winnow2d.extraction.remembering import Done, Remembering, read_state
from winnow2d.extraction.settings import Settings
from winnow2d.formats.atomic import replaced

logger = logging.getLogger(__name__)

MAX_BAD_SHARE = 0.1  # of micrographs; one bad one never stops the rest
FEW_PARTICLES = 10
STATE, LEFT_OUT = "winnow_extracted.tsv", "left_out_micrographs.tsv"
_AHEAD = 2  # micrographs begun per thread before the first of them is asked for


@dataclass(frozen=True)
class Extracted:
    """All rows of data_particles, and how many micrographs did what."""

    particles: pd.DataFrame
    names: list[str]  # of micrographs with particles
    n_empty: int
    n_bad: int
    n_resumed: int


def extract_micrographs(
    plan: Sequence[PlannedMicrograph],
    settings: Settings,
    project: Path,
    job_directory: str,
    n_threads: int,
    on_done: Callable[[int, int, str], None],
) -> Extracted:
    """Extract the particles of all micrographs; results do not depend on the number of threads.

    Each thread holds one micrograph and the few images it works on. A micrograph that an earlier run has finished,
    by its fingerprint, is not done again.

    Parameters
    ----------
    on_done : function
        Called with number done, total, and a few words after every micrograph; may raise to end the work.

    Raises
    ------
    StarError
        Too many micrographs are bad (their reasons are told), or no particle was found at all.
    """
    directory = project / job_directory
    directory.mkdir(parents=True, exist_ok=True)
    done = read_state(directory / STATE)
    tables, names, bad, counts = [], [], [], {"empty": 0, "resumed": 0}
    with Remembering(directory / STATE, done) as remembering:
        for number, outcome in enumerate(_in_order(plan, settings, project, job_directory, done, n_threads), 1):
            if outcome.rows is None:
                bad.append(outcome)
                logger.warning("micrograph %d left out: %s: %s", outcome.row, outcome.name, outcome.problem)
                _check_bad(bad, len(plan), directory)
            else:
                files = [project / name(job_directory, outcome.name) for name in (stack_of, table_of)]
                remembering.add(outcome.name, outcome.fingerprint, files if len(outcome.rows) else [])
                counts["empty"] += not len(outcome.rows)
                counts["resumed"] += outcome.is_resumed
                if len(outcome.rows):
                    tables.append(outcome.rows)
                    names.append(outcome.name)
            n_here = 0 if outcome.rows is None else len(outcome.rows)
            on_done(number, len(plan), f"{outcome.name} {n_here} particles")
    _write_left_out(directory / LEFT_OUT, bad)
    if not tables:
        raise StarError(
            f"{job_directory}: no particle on any of {len(plan)} micrographs ({len(bad)} of them bad); look at the "
            "coordinates, and at extract.minimum_pick_fom where that is used"
        )
    particles = joined(tables)
    if len(particles) < FEW_PARTICLES:
        logger.warning("Only %d particles were extracted", len(particles))
    return Extracted(particles, names, counts["empty"], len(bad), counts["resumed"])


def _in_order(
    plan: Sequence[PlannedMicrograph],
    settings: Settings,
    project: Path,
    job_directory: str,
    done: Done,
    n_threads: int,
) -> Iterator[Outcome]:
    """Yield what becomes of each micrograph, in their order; only a few are begun before they are asked for."""
    waiting: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(max(1, n_threads), thread_name_prefix="winnow-extract")
    try:
        for planned in plan:
            waiting.append(pool.submit(extract_micrograph, planned, settings, project, job_directory, done))
            if len(waiting) >= _AHEAD * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check_bad(bad: Sequence[Outcome], n_planned: int, directory: Path) -> None:
    if len(bad) <= max(1, MAX_BAD_SHARE * n_planned):
        return
    _write_left_out(directory / LEFT_OUT, bad)
    told = [f"row {outcome.row}: {outcome.name}: {outcome.problem}" for outcome in bad[:5]]
    raise StarError(
        f"{len(bad)} of {n_planned} micrographs cannot be used, more than a tenth; all so far are in "
        f"{directory.parent.name}/{directory.name}/{LEFT_OUT}. What is wrong with the first of them:",
        *told,
    )


def _write_left_out(path: Path, bad: Sequence[Outcome]) -> None:
    lines = ["micrograph\trow\treason", *(f"{one.name}\t{one.row}\t{one.problem}" for one in bad)]
    with replaced(path) as (temporary,):
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return all rows in one table; where a table lacks a column of another, RELION's 0 or empty text stands."""
    columns = list(dict.fromkeys(label for table in tables for label in table.columns))
    whole = pd.concat(tables, ignore_index=True)[columns]
    for label in columns:
        column = whole[label]
        if column.isna().any():
            is_number = bool(pd.to_numeric(column.dropna(), errors="coerce").notna().all())
            whole[label] = column.where(column.notna(), "0" if is_number else "")
    return whole
