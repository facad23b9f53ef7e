"""Where the time of a job goes, stage by stage: python -m benchmarks.stages, or make profile.

The job runs under Python's profiler on one thread. The time of a function counts for the stage it is named in
below; the time of any other for the stages of those who called it.
"""

from __future__ import annotations

import argparse
import pstats
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from winnow2d.errors import WinnowError

from . import machine, runs
from .cases import find_mode, find_set
from .compare import add_common, warm_up
from .tables import Column, as_text, write_tsv

Function = tuple[str, int, str]  # file, line, name

START_UP, READING, FILES = "start-up", "reading and preparing images", "files of iterations and state"
COARSE, FINE, M_STEP, OTHER = "E-step, coarse pass", "E-step, weights and fine pass", "M-step", "other"
ESTIMATES, FIRST = "accuracies of classes", "first averages"
E_AND_M = (COARSE, FINE, M_STEP)
LIMIT = 0.25  # of the time, for a stage outside the E-step and the M-step

# End of a file's path (or a part of it), the functions ("" for all), the stage; the first that fits counts.
PLACES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("", ("<module>", "_find_and_load", "exec_module"), START_UP),
    ("/numba/", (), START_UP),
    ("/llvmlite/", (), START_UP),
    ("engine/expectation.py", ("coarse_products",), COARSE),
    ("engine/expectation.py", (), FINE),
    ("engine/evaluation.py", ("evaluated", "_on_workers", "_views_of"), FINE),
    ("engine/iteration.py", ("expect_chunk", "expectation_over", "_log_prior", "_assign"), FINE),
    ("engine/projections.py", (), FINE),
    ("engine/priors.py", (), FINE),
    ("engine/sampling.py", (), FINE),
    ("engine/accuracy.py", (), ESTIMATES),
    ("engine/images.py", (), READING),
    ("engine/source.py", (), READING),
    ("engine/kept_images.py", (), READING),
    ("engine/transfer.py", (), READING),
    ("formats/mrc.py", ("read", "will_read", "_stack", "read_stack_header"), READING),
    ("formats/open_stack.py", (), READING),
    ("formats/particles.py", (), READING),
    ("engine/initialise.py", (), FIRST),
    ("engine/sums.py", (), M_STEP),
    ("engine/maximisation.py", (), M_STEP),
    ("engine/model_update.py", (), M_STEP),
    ("engine/gradient_step.py", (), M_STEP),
    ("engine/vdam.py", (), M_STEP),
    ("winnow2d/formats/", (), FILES),
    ("winnow2d/provenance.py", (), FILES),
)
COLUMNS = (
    Column("set", "set"),
    Column("mode", "mode"),
    Column("stage", "stage"),
    Column("seconds", "s", ".1f"),
    Column("share", "share", ".1%"),
)


def stage_named(function: Function) -> str | None:
    """Return the stage a function is named in, or None."""
    file, _, name = function
    file = file.replace("\\", "/")
    return next((stage for place, names, stage in PLACES if place in file and (not names or name in names)), None)


def seconds_by_stage(stats: Mapping[Function, Any]) -> dict[str, float]:
    """Return the own time of all functions of a profile, by stage.

    Parameters
    ----------
    stats : as `pstats.Stats.stats` holds it: function -> (calls, all calls, own s, cumulative s, callers),
        callers: function -> the same four of the calls from there
    """
    seconds: dict[str, float] = defaultdict(float)
    known: dict[Function, dict[str, float]] = {}
    for function, (_, _, own, _, callers) in stats.items():
        if stage_named(function) or not callers:
            seconds[stage_named(function) or OTHER] += own
            continue
        for caller, (_, _, own_from_there, _) in callers.items():
            for stage, share in _shares(caller, stats, known).items():
                seconds[stage] += own_from_there * share
    return dict(seconds)


def _shares(function: Function, stats: Mapping[Function, Any], known: dict[Function, dict[str, float]]) -> dict:
    """Return how the time of a function is shared out among stages; `known` keeps what was found before."""
    if function in known:
        return known[function]
    stage = stage_named(function)
    callers = stats[function][4] if function in stats else {}
    known[function] = {stage or OTHER: 1.0}  # what a recursion falls back on
    total = sum(cumulative for _, _, _, cumulative in callers.values())
    if stage is None and total > 0:
        shares: dict[str, float] = defaultdict(float)
        for caller, (_, _, _, cumulative) in callers.items():
            for name, share in _shares(caller, stats, known).items():
                shares[name] += share * cumulative / total
        known[function] = dict(shares)
    return known[function]


def rows_of(seconds: Mapping[str, float], **named: str) -> list[dict[str, Any]]:
    """Return the rows of a table of stages, the longest first, and their sum."""
    total = sum(seconds.values())
    order = sorted(seconds, key=lambda stage: -seconds[stage])
    rows = [{**named, "stage": stage, "seconds": seconds[stage], "share": seconds[stage] / total} for stage in order]
    return [*rows, {**named, "stage": "sum", "seconds": total, "share": 1.0}]


def verdict(seconds: Mapping[str, float]) -> str:
    """Return the sentence about the longest stage outside the E-step and the M-step."""
    outside = {stage: value for stage, value in seconds.items() if stage not in E_AND_M}
    if not outside:
        return "Nothing outside the E-step and the M-step took any time."
    longest = max(outside, key=lambda stage: outside[stage])
    share = outside[longest] / sum(seconds.values())
    judgement = "within" if share <= LIMIT else "ABOVE"
    return f"Longest outside the E-step and the M-step: {longest}, {share:.1%}, {judgement} the limit of {LIMIT:.0%}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__.split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["d2"], help="as for the comparison")
    parser.add_argument("--modes", nargs="+", default=["vdam", "em,nr_iter_em=5"], help="as for the comparison")
    add_common(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Profile a job per set and mode; return the exit status."""
    given = _parser().parse_args(arguments)
    given.cache = given.cache.resolve()
    rows: list[dict[str, Any]] = []
    try:
        print("\n".join(machine.describe(1, "")))  # noqa: T201 (a command talks to its user)
        warm_up(given.cache, 1)
        for particle_set in map(find_set, given.sets):
            folder = runs.set_folder(particle_set, given.cache)
            for mode in map(find_mode, given.modes):
                project = runs.fresh_project(given.cache / "runs" / particle_set.name / "profile", folder)
                profile, job = project / "profile.out", runs.classification(particle_set, mode, seed=1)
                runs.classify(project, job, 1, before=["-m", "cProfile", "-o", str(profile)])
                seconds = seconds_by_stage(pstats.Stats(str(profile)).stats)  # type: ignore[attr-defined]
                these = rows_of(seconds, set=particle_set.name, mode=mode.name)
                print(f"\n{as_text(COLUMNS, these)}\n{verdict(seconds)}", flush=True)  # noqa: T201
                rows += these
    except WinnowError as error:
        print(f"ERROR: {error}")  # noqa: T201
        return 1
    write_tsv(given.out / "stages.tsv", COLUMNS, rows)
    print(f"\nAlso in {given.out}: stages.tsv")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
