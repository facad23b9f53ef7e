"""One small finished project: particles RELION extracted, cleaned by Winnow in a round of EM and one of VDAM."""

from __future__ import annotations

from pathlib import Path

from interop.micrographs import BOX_PX, FOLDER, MICROGRAPHS, SUFFIX, make_micrographs
from interop.programs import run
from workflow import snakemake_runs

ENTERED = "Particles/particles.star"
EM, VDAM = "Class2D/job011/run_it010_", "Class2D/job021/run_it020_"
SELECTED, REGROUPED, CLEAN = "Select/job012", "Select/job013", "Select/job022"
JOBS = ("Extract/job001", "Class2D/job011", SELECTED, REGROUPED, "Class2D/job021", CLEAN)
EXTRACTION = f"--extract --extract_size {BOX_PX} --norm --bg_radius 12 --invert_contrast".split()
CONFIG = {
    "input": {"particles": ENTERED},
    "class2d": {
        "nr_classes": 4, "do_em": True, "nr_iter_em": 10, "particle_diameter": 200, "psi_sampling": 12,
        "offset_range": 4,
    },
    "select": {"rank_threshold": 0.2, "select_nr_parts": 200},
    "rounds": [
        {"select": {"do_regroup": True, "nr_groups": 3}},
        {"class2d": {"do_em": False, "do_grad": True, "nr_iter_grad": 20, "nr_classes": 2}},
    ],
    "own": {"keep_iterations": "last"},
}  # fmt: skip


def make(project: Path) -> None:
    """Make the project in an empty folder."""
    make_micrographs(project)
    places = ("--i", MICROGRAPHS, "--coord_dir", FOLDER, "--coord_suffix", SUFFIX)
    run(project, "relion_preprocess", *places, "--part_dir", "Particles/", "--part_star", ENTERED, *EXTRACTION)
    snakemake_runs.finished(project, CONFIG, "--until", "clean")
