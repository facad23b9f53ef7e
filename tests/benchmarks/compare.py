"""Winnow and a peer in turn on the same particles, options and cores: python -m benchmarks.compare, or make bench.

For every set, Winnow's whole job runs as a process of its own from its job.star, files read and written
included, once per mode and seed; three iterations of the peer (RELION's EM) run after its first EM. CPU time
is user and system time of the process, memory its peak with mapped files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from winnow2d.errors import WinnowError

from . import machine, runs
from .cases import DEFAULT_SETS, MODES, RECORDED, SETS, Mode, ParticleSet, find_mode, find_set, unknown_options
from .scores import Truth, read_truth, score_file
from .tables import Column, as_text, mean_row, ratio, write_tsv

QUALITY = (
    Column("auc", "auc", ".3f"),
    Column("purity", "purity", ".3f"),
    Column("precision", "prec.", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("view_deg", "view", ".1f"),
    Column("view_random_deg", "random", ".1f"),
    Column("psi_deg", "psi", ".1f"),
)
COLUMNS = (
    Column("set", "set"),
    Column("mode", "mode"),
    Column("seed", "seed"),
    Column("cpu_s", "CPU s", ".1f"),
    Column("wall_s", "wall s", ".1f"),
    Column("wall_per_cpu", "wall/CPU", ".2f"),
    Column("peak_mb", "MB", ".0f"),
    Column("peer_cpu_s", "peer CPU s", ".0f"),
    Column("peer_wall_s", "wall s", ".0f"),
    Column("peer_peak_mb", "MB", ".0f"),
    Column("cpu_ratio", "CPU x", ".1f"),
    Column("wall_ratio", "wall x", ".1f"),
    Column("memory_ratio", "MB x", ".2f"),
    *QUALITY,
    Column("effective_classes", "eff. classes", ".1f"),
    Column("live_classes", "live", ".0f"),
    Column("largest_share", "largest", ".3f"),
)
RECORDED_COLUMNS = (
    Column("set", "set"),
    Column("program", "recorded elsewhere"),
    Column("recorded_cpu_s", "CPU s there", ".0f"),
    Column("scaled_cpu_s", "carried over", ".0f"),
    Column("mode", "ours"),
    Column("cpu_s", "CPU s", ".1f"),
    Column("cpu_ratio", "CPU x", ".1f"),
    *QUALITY,
)
NOTES = """\
view, psi: degrees, smaller is better (random: any two good particles). eff. classes: exp(entropy) of the classes'
shares; live: classes with particles; largest: share of the fullest class."""
PEER_NOTES = """\
CPU x, wall x, MB x: the peer's over ours. The peer did {n} iterations of EM per set, extrapolated to as many as ours;
what was measured is in peer.tsv."""

RECORDED_NOTES = """\
Not measured here, but on two cores of another machine. Carried over: by the time of the peer's three iterations on
this set, there and here. CPU x: carried over, over ours."""


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (a command talks to its user)


class Comparison:
    """The runs of one benchmark and the rows they leave."""

    def __init__(self, given: argparse.Namespace):
        self._given = given
        self._has_peer = bool(given.peer) and shutil.which(given.peer) is not None
        self.rows: list[dict[str, Any]] = []
        self.peer_rows: list[dict[str, Any]] = []
        self.recorded_rows: list[dict[str, Any]] = []

    def run_set(self, particle_set: ParticleSet, modes: Sequence[Mode]) -> None:
        """Run all modes and seeds on a set, the peer after the first EM."""
        folder = runs.set_folder(particle_set, self._given.cache)
        truth = read_truth(folder)
        peer: runs.Measures | None = None
        for mode in modes:
            rows = []
            for seed in self._given.seeds:
                row = self._run(particle_set, folder, truth, mode, seed)
                if mode.is_em and self._has_peer and peer is None:
                    peer = self._run_peer(particle_set, folder)
                rows.append(row | (self._compared(row, particle_set, peer, mode) if mode.is_em and peer else {}))
            self.rows += rows
            if len(rows) > 1:
                self.rows.append(mean_row(rows, set=particle_set.name, mode=mode.name, seed="mean"))
            self._add_recorded(particle_set, len(truth.names), mode, mean_row(rows), peer)

    def _project(self, particle_set: ParticleSet, *parts: str) -> Path:
        return self._given.cache.joinpath("runs", particle_set.name, *parts)

    def _run(self, particle_set: ParticleSet, folder: Path, truth: Truth, mode: Mode, seed: int) -> dict[str, Any]:
        """Run one classification of ours and return its row."""
        project = runs.fresh_project(self._project(particle_set, mode.name.replace("/", "_"), f"seed{seed}"), folder)
        job = runs.classification(particle_set, mode, seed)
        measures, data_star = runs.classify(project, job, self._given.cores)
        quality = asdict(score_file(data_star, truth, particle_set.symmetry))
        row = {"set": particle_set.name, "mode": mode.name, "seed": seed, **asdict(measures), **quality}
        _tell(f"{particle_set.name}, {mode.name}, seed {seed}: {measures.cpu_s:.1f} CPU s, {measures.wall_s:.1f} s")
        return row | {"wall_per_cpu": ratio(measures.wall_s, measures.cpu_s)}

    def _run_peer(self, particle_set: ParticleSet, folder: Path) -> runs.Measures:
        """Run the peer's few iterations."""
        project = runs.fresh_project(self._project(particle_set, "peer"), folder)
        given = self._given
        measures = runs.run_peer(project, given.peer, particle_set, given.peer_iterations, given.cores)
        row = {"set": particle_set.name, "program": given.peer, "iterations": given.peer_iterations}
        self.peer_rows.append({**row, **asdict(measures)})
        _tell(f"{particle_set.name}, peer, {given.peer_iterations} iterations: {measures.cpu_s:.1f} CPU s")
        return measures

    def _compared(self, row: dict[str, Any], particle_set: ParticleSet, peer: runs.Measures, mode: Mode) -> dict:
        """Return the cells that hold the peer, extrapolated to the iterations of the mode, against ours."""
        project = self._project(particle_set, "peer")
        whole = runs.extrapolated(peer, project, self._given.peer_iterations, mode.n_iterations)
        return {
            "peer_cpu_s": whole.cpu_s,
            "peer_wall_s": whole.wall_s,
            "peer_peak_mb": whole.peak_mb,
            "cpu_ratio": ratio(whole.cpu_s, row["cpu_s"]),
            "wall_ratio": ratio(whole.wall_s, row["wall_s"]),
            "memory_ratio": ratio(whole.peak_mb, row["peak_mb"]),
        }

    def _add_recorded(
        self, particle_set: ParticleSet, n_particles: int, mode: Mode, mean: dict[str, Any], peer: runs.Measures | None
    ) -> None:
        """Add what was recorded elsewhere for this set, its time carried over by the peer's on both machines."""
        for known in RECORDED:
            if (known.set_name, known.n_particles) != (particle_set.name, n_particles):
                continue
            if known.mode != mode.name.split("-")[0]:
                continue
            is_same_work = peer is not None and known.machine_s is not None and self._given.peer_iterations == 3
            scaled = known.cpu_s * peer.cpu_s / known.machine_s if is_same_work else None
            quality = dict(zip((column.key for column in QUALITY), known.figures, strict=True))
            row = {"set": known.set_name, "program": known.program, "recorded_cpu_s": known.cpu_s, **quality}
            ours = {"mode": mode.name, "cpu_s": mean["cpu_s"], "cpu_ratio": ratio(scaled, mean["cpu_s"])}
            self.recorded_rows.append(row | {"scaled_cpu_s": scaled} | ours)

    def rows_with_means(self, sets: Sequence[ParticleSet], modes: Sequence[Mode]) -> list[dict[str, Any]]:
        """Return the rows, and below them the mean of each mode over several sets."""
        means = []
        for mode in modes if len(sets) > 1 else ():
            own = [row for row in self.rows if row["mode"] == mode.name and row["seed"] != "mean"]
            means.append(mean_row(own, set="mean", mode=mode.name, seed="all"))
        return [*self.rows, *means]


def report(comparison: Comparison, rows: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Print the tables and write them to the folder of results."""
    _tell("\n" + as_text(COLUMNS, rows))
    _tell("\n" + NOTES)
    if comparison.peer_rows:
        _tell(PEER_NOTES.format(n=given.peer_iterations))
    if comparison.recorded_rows:
        _tell("\n" + as_text(RECORDED_COLUMNS, comparison.recorded_rows))
        _tell(RECORDED_NOTES)
    write_tsv(given.out / "bench.tsv", COLUMNS, rows)
    keys = ("set", "program", "iterations", "cpu_s", "wall_s", "peak_mb", "own_peak_mb")
    write_tsv(given.out / "peer.tsv", [Column(key, key) for key in keys], comparison.peer_rows)
    write_tsv(given.out / "recorded.tsv", RECORDED_COLUMNS, comparison.recorded_rows)
    _tell(f"\nAlso in {given.out}: bench.tsv, peer.tsv, recorded.tsv")


def warm_up(cache: Path, n_cores: int) -> None:
    """Run EM and VDAM once on a tiny set, unmeasured: loops are compiled once per machine and kept in a cache."""
    particle_set = SETS["tiny"]
    folder = runs.set_folder(particle_set, cache)
    seconds = 0.0
    for name in ("em,nr_iter_em=1", "vdam,nr_iter_grad=2"):
        project = runs.fresh_project(cache / "runs" / "warm_up", folder)
        seconds += runs.classify(project, runs.classification(particle_set, find_mode(name), 1), n_cores)[0].wall_s
    _tell(f"Two tiny jobs first, {seconds:.0f} s: where this is long, loops were compiled")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what all benchmarks may be told."""
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="default: all this may use")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where sets and runs are kept")
    parser.add_argument("--out", type=Path, default=Path("build/bench/results"), help="where tables are written")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=DEFAULT_SETS, help=f"{', '.join(SETS)}, or PATH:K:MASK:SYMMETRY")
    parser.add_argument("--modes", nargs="+", default=list(MODES), help=f"{', '.join(MODES)}; or em,nr_iter_em=5")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peer", default="relion_refine", help="program of the peer; none: without")
    parser.add_argument("--peer-iterations", type=int, default=3)
    add_common(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    given = _parser().parse_args(arguments)
    given.cache, given.peer = given.cache.resolve(), "" if given.peer == "none" else given.peer
    try:
        sets, modes = [find_set(text) for text in given.sets], [find_mode(text) for text in given.modes]
        for mode in modes:
            if unknown_options(mode):
                _tell(f"{mode.name} is left out: this version has no option {', '.join(unknown_options(mode))}")
        modes = [mode for mode in modes if not unknown_options(mode)]
        for line in machine.describe(given.cores, given.peer):
            _tell(line)
        warm_up(given.cache, given.cores)
        comparison = Comparison(given)
        for particle_set in sets:
            comparison.run_set(particle_set, modes)
    except WinnowError as error:
        _tell(f"ERROR: {error}")
        return 1
    report(comparison, comparison.rows_with_means(sets, modes), given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
