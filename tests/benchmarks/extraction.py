"""Winnow and relion_preprocess in turn on the same micrographs and cores: python -m benchmarks.extraction.

Micrographs are as large as a camera's; each program reads the same files and writes its own stacks. Both times
are those of whole programs, from their start to their end, so Winnow's hold that of Python and of its checks.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd

from micrograph_sets import FOLDER, OPTICS, PATTERN, micrograph_rows, write_micrograph
from winnow2d.errors import JobError, WinnowError
from winnow2d.formats import jobs
from winnow2d.formats.star import write_star
from winnow2d.options import ExtractOptions, OwnOptions

from . import machine
from .runs import SCRIPTS, run_measured, write_job
from .tables import Column, as_text, write_tsv

JOB, PEER_JOB, PEER = "Extract/job001", "Extract/job500", "relion_preprocess"
SHAPE = (3710, 3838)  # of a K2's micrographs
N_DIFFERENT = 8  # files; more micrographs are links to these, so that the disk is not what is measured
TOLERANCE = 1e-4  # of the standard deviation of the peer's images


@dataclass(frozen=True)
class Case:
    """A way to extract: the box that is cut, and the one of the images."""

    name: str
    box_px: int
    output_px: int

    @property
    def background_px(self) -> int:
        return int(0.375 * self.output_px)


CASES = {
    case.name: case for case in (Case("256 to 64", 256, 64), Case("360 to 96", 360, 96), Case("256 whole", 256, 256))
}
COLUMNS = (
    Column("case", "box (px)"),
    Column("program", "program"),
    Column("n_cores", "cores", "d"),
    Column("wall_s", "wall s", ".2f"),
    Column("cpu_s", "CPU s", ".2f"),
    Column("rate", "particles/s", ",.0f"),
    Column("ratio", "rate x peer's", ".2f"),
    Column("peak_mb", "peak MB", ".0f"),
    Column("difference", "largest difference / s.d.", ".1e"),
)


def make_set(folder: Path, n_micrographs: int, n_particles: int) -> None:
    """Write micrographs and picks, unless they are there."""
    mark = folder / f"made_{n_micrographs}_{n_particles}"
    if mark.is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    names = [f"{FOLDER}/m{number:03d}.mrc" for number in range(n_micrographs)]
    for number, name in enumerate(names):
        rng = np.random.default_rng([3, number])
        if number < N_DIFFERENT:
            image = rng.standard_normal(SHAPE, dtype=np.float32)
            image += 0.5 * np.roll(image, 1, axis=1)
            write_micrograph(folder / name, 900 + 30 * image)
        else:
            (folder / name).symlink_to(Path(names[number % N_DIFFERENT]).name)
        places = np.floor(rng.uniform(0, 1, (n_particles, 2)) * SHAPE[::-1])
        picks = pd.DataFrame(places, columns=["rlnCoordinateX", "rlnCoordinateY"])
        write_star(folder / f"AutoPick/job004/Mic/{Path(name).stem}_pick.star", {"": picks})
    tables = {"optics": pd.DataFrame([OPTICS]), "micrographs": micrograph_rows(names)}
    write_star(folder / "micrographs.star", tables)
    mark.touch()


def extract(project: Path, case: Case, n_cores: int) -> dict[str, Any]:
    """Extract with Winnow, through its script as the workflow does."""
    shutil.rmtree(project / JOB, ignore_errors=True)
    job = jobs.JobFile(
        label="relion.extract",
        type_number=jobs.NUMBER_OF_TYPE["Extract"],
        options=ExtractOptions(
            extract_size=case.box_px, do_rescale=case.output_px != case.box_px, rescale=case.output_px, do_float16=False
        ),
        own=OwnOptions(),
        inputs={"micrographs": "micrographs.star", "coordinates": [], "picked_truth": []},
        outputs={"particles": f"{JOB}/particles.star", "truth": []},
        params={"coordinates": PATTERN, "do_ctf_correction": True, "particle_diameter": 0.0},
    )
    write_job(project, job, JOB)
    command = [sys.executable, str(SCRIPTS / "extract_micrographs.py"), f"{JOB}/job.star", "--threads", str(n_cores)]
    measures = run_measured(command, project, n_cores)
    if jobs.exit_status(project / JOB) != "Succeeded":
        raise JobError(f"the job in {project}/{JOB} did not succeed; see its run.err")
    return vars(measures)


def extract_by_peer(project: Path, case: Case, n_cores: int) -> dict[str, Any]:
    """Extract with relion_preprocess: alone, or as many of its processes as there are cores."""
    shutil.rmtree(project / PEER_JOB, ignore_errors=True)
    (project / PEER_JOB).mkdir(parents=True)
    command = [PEER, "--i", "micrographs.star", "--coord_dir", "AutoPick/job004/", "--coord_suffix", "_pick.star"]
    command += ["--part_star", f"{PEER_JOB}/particles.star", "--part_dir", f"{PEER_JOB}/", "--extract"]
    command += ["--extract_size", str(case.box_px), "--norm", "--bg_radius", str(case.background_px)]
    command += ["--invert_contrast", *(["--scale", str(case.output_px)] if case.output_px != case.box_px else [])]
    if n_cores > 1:
        command[0] += "_mpi"
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(n_cores), *command]
    return vars(run_measured(command, project, n_cores))


def largest_difference(project: Path) -> float:
    """Return the largest difference of any pixel to the peer's, in standard deviations of the peer's stack."""
    found = 0.0
    for path in sorted((project / JOB / "Mic").glob("*.mrcs")):
        ours, theirs = mrcfile.read(path), mrcfile.read(project / PEER_JOB / "Mic" / path.name)
        found = max(found, float(np.abs(ours - theirs).max() / theirs.std()))
    return found


def compare(project: Path, case: Case, n_cores: int, n_particles: int, n_repeats: int) -> list[dict[str, Any]]:
    """Return a row of Winnow and one of the peer: the best of several runs in turn."""
    best: dict[str, dict[str, Any]] = {}
    for _ in range(n_repeats):
        for program, run in (("winnow", extract), (PEER, extract_by_peer)):
            measures = run(project, case, n_cores)
            if program not in best or measures["wall_s"] < best[program]["wall_s"]:
                best[program] = measures
    rows = [
        {
            "case": case.name,
            "program": program,
            "n_cores": n_cores,
            "rate": n_particles / measures["wall_s"],
            **measures,
        }
        for program, measures in best.items()
    ]
    rows[0] |= {"ratio": rows[0]["rate"] / rows[1]["rate"], "difference": largest_difference(project)}
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the table, and write it below --out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/extraction"))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--micrographs", type=int, default=80)
    parser.add_argument("--particles", type=int, default=250, help="per micrograph")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    given = parser.parse_args(arguments)
    project = given.out.absolute() / "project"
    print("\n".join(machine.describe(given.cores, PEER)))  # noqa: T201 (a command talks to its user)
    try:
        make_set(project, given.micrographs, given.particles)
        rows = []
        for name in given.cases:
            for n_cores in sorted({1, given.cores}):
                n_particles = given.micrographs * given.particles
                rows += compare(project, CASES[name], n_cores, n_particles, given.repeats)
    except WinnowError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(as_text(COLUMNS, rows))  # noqa: T201
    write_tsv(given.out / "extraction.tsv", COLUMNS, rows)
    return 1 if max(row.get("difference", 0.0) for row in rows) > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
