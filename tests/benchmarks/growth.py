"""How time and memory grow with particles and with classes: python -m benchmarks.growth, or make bench-growth.

One small set is simulated; larger ones repeat it: every stack gets more names (hard links), every name is a
micrograph of its own, and the table has a row for every image of every name. So files, rows, micrographs and
intensity groups all grow, and nothing can be shared but the disk's blocks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from winnow2d.demo_options import DemoOptions
from winnow2d.errors import WinnowError
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.star import read_star, write_star

from . import machine, runs
from .cases import ParticleSet, find_mode
from .compare import add_common, warm_up
from .tables import Column, as_text, ratio, write_tsv

# Small images and a coarse search: growth is the question here, not speed.
BASE = DemoOptions(seed=3, particles=2500, micrographs=25, box=32, pixel_size=7.08)
DIAMETER_ANG = 200.0
COARSE = {"psi_sampling": 12.0, "offset_range": 3.0}
COPIES = (4, 16, 64)  # 10,000, 40,000 and 160,000 particles
N_CLASSES_OF_COPIES = 10
N_CLASSES = (25, 50, 100, 200)

COLUMNS = (
    Column("mode", "mode"),
    Column("n_particles", "particles", ",d"),
    Column("n_classes", "classes", "d"),
    Column("cpu_s", "CPU s", ".1f"),
    Column("wall_s", "wall s", ".1f"),
    Column("size_ratio", "size x", ".1f"),
    Column("cpu_ratio", "CPU x", ".2f"),
    Column("cpu_ms_per_particle", "CPU ms/particle", ".2f"),
    Column("peak_mb", "peak MB", ".0f"),
    Column("own_peak_mb", "own MB", ".0f"),
    Column("own_kb_more_per_particle", "own kB/particle more", ".2f"),
)
NOTES = """\
size x, CPU x, and kB more: against the row before; linear growth is CPU x at most size x (below it where start-up
counts). peak MB has the pages of programs and libraries in it, own MB not."""


def repeated(table: pd.DataFrame, n_copies: int) -> pd.DataFrame:
    """Return the rows of a particle table n times, each time with other stacks and micrographs."""
    copies = []
    for number in range(n_copies):
        copy = table.copy()
        copy["rlnImageName"] = [renamed(name, number) for name in table["rlnImageName"]]
        copy["rlnMicrographName"] = [_prefixed(name, number) for name in table["rlnMicrographName"]]
        copies.append(copy)
    return pd.concat(copies, ignore_index=True)


def renamed(image_name: str, number: int) -> str:
    """Return the name of the same image in a copy of its stack."""
    row, stack = split_image_name(image_name)
    return f"{row + 1:06d}@{_prefixed(stack, number)}"


def _prefixed(path: str, number: int) -> str:
    whole = PurePosixPath(path)
    return (whole.parent / f"copy{number:03d}_{whole.name}").as_posix()


def make_copies(base: Path, folder: Path, n_copies: int) -> Path:
    """Return a folder with n copies of a set, made now unless it is there."""
    if (folder / "particles.star").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    tables = read_star(runs.particles_of(base))
    stacks = {split_image_name(name)[1] for name in tables["particles"]["rlnImageName"]}
    for stack in sorted(stacks):
        for number in range(n_copies):
            link = folder / _prefixed(stack, number)
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(base / stack, link)
    tables["particles"] = repeated(tables["particles"], n_copies)
    write_star(folder / "particles.star", tables)
    return folder


def measured_rows(given: argparse.Namespace, base: Path) -> Iterator[dict[str, Any]]:
    """Yield the row of every run: growing sets, then growing numbers of classes, for every mode."""
    for name in given.modes:
        cases = [(copies, N_CLASSES_OF_COPIES) for copies in given.copies]
        for sizes in (cases, [(1, n_classes) for n_classes in given.classes]):
            before: dict[str, Any] = {}
            for n_copies, n_classes in sizes:
                folder = make_copies(base, given.cache / "growth" / f"copies{n_copies}", n_copies)
                row = _run(given, name, folder, n_copies * BASE.particles, n_classes)
                yield row | (_growth(before, row) if before else {})
                before = row


def _run(given: argparse.Namespace, name: str, folder: Path, n_particles: int, n_classes: int) -> dict[str, Any]:
    """Return the row of one run."""
    mode = find_mode(name)
    mode = replace(mode, class2d={**COARSE, **mode.class2d})
    particle_set = ParticleSet("growth", n_classes, DIAMETER_ANG, None, folder)
    project = runs.fresh_project(given.cache / "runs" / "growth", folder)
    measures, _ = runs.classify(project, runs.classification(particle_set, mode, seed=1), given.cores)
    row = {"mode": name, "n_particles": n_particles, "n_classes": n_classes, **asdict(measures)}
    return row | {"cpu_ms_per_particle": 1000 * measures.cpu_s / n_particles}


def _growth(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return how much more a row took than the one before it."""
    sizes = [each["n_particles"] * each["n_classes"] for each in (row, before)]
    more = row["n_particles"] - before["n_particles"]
    own_kb = 1024 * (row["own_peak_mb"] - before["own_peak_mb"])
    return {
        "size_ratio": sizes[0] / sizes[1],
        "cpu_ratio": ratio(row["cpu_s"], before["cpu_s"]),
        "own_kb_more_per_particle": own_kb / more if more else None,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--modes", nargs="+", default=["em,nr_iter_em=3"], help="as for the comparison")
    parser.add_argument("--copies", nargs="*", type=int, default=COPIES, help=f"of {BASE.particles} particles")
    parser.add_argument("--classes", nargs="*", type=int, default=N_CLASSES, help="numbers of classes, one copy")
    add_common(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    given = _parser().parse_args(arguments)
    given.cache = given.cache.resolve()
    rows = []
    try:
        for line in machine.describe(given.cores, ""):
            print(line)  # noqa: T201 (a command talks to its user)
        base = runs.set_folder(ParticleSet("growth", 0, DIAMETER_ANG, BASE), given.cache)
        warm_up(given.cache, given.cores)
        for row in measured_rows(given, base):
            rows.append(row)
            size = f"{row['n_particles']:,} particles, {row['n_classes']} classes"
            print(f"{row['mode']}, {size}: {row['cpu_s']:.1f} CPU s", flush=True)  # noqa: T201
    except WinnowError as error:
        print(f"ERROR: {error}")  # noqa: T201
        return 1
    print(f"\n{as_text(COLUMNS, rows)}\n\n{NOTES}")  # noqa: T201
    write_tsv(given.out / "growth.tsv", COLUMNS, rows)
    print(f"\nAlso in {given.out}: growth.tsv")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
