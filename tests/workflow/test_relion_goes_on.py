"""RELION's own programs go on from a project the chain made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from winnow2d.formats.particles import particles_from_table, read_particle_table
from workflow import snakemake_runs

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

CONFIG = snakemake_runs.DEMO | {
    "input": {"demo": {"particles": 400, "box": 32, "pixel_size": 7.08, "micrographs": 8, "seed": 1, "snr": 1.5}},
    "class2d": snakemake_runs.DEMO["class2d"] | {"nr_iter_em": 10},
    "rounds": [{"select": {"do_regroup": True, "nr_groups": 4}}],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a finished project of one round with regrouping."""
    project = tmp_path_factory.mktemp("relion_goes_on") / "project"
    project.mkdir()
    snakemake_runs.finished(project, CONFIG)
    return project


def relion(project: Path, *arguments: str) -> str:
    """Return what relion_refine says; it must succeed."""
    (project / "tmp").mkdir(exist_ok=True)
    result = subprocess.run(
        ["relion_refine", *arguments, "--j", "1"], cwd=project, text=True, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_relion_continues_from_the_last_optimiser(project):
    relion(project, "--continue", "Class2D/job011/run_it010_optimiser.star", "--o", "tmp/run", "--iter", "11")
    ours, _ = particles_from_table(read_particle_table(project / "Class2D/job011/run_it010_data.star"))
    theirs, _ = particles_from_table(read_particle_table(project / "tmp/run_it011_data.star"))
    assert (ours.class_index == theirs.class_index).mean() >= 0.9


def test_relion_starts_from_the_clean_particles(project):
    options = "--K 2 --iter 1 --ctf --tau2_fudge 2 --particle_diameter 200 --flatten_solvent --zero_mask"
    options += " --oversampling 1 --psi_step 24 --offset_range 3 --offset_step 2 --norm --scale --pad 2 --random_seed 1"
    relion(project, "--i", "Select/clean/particles.star", "--o", "tmp/new", *options.split())
    kept = read_particle_table(project / "Select/clean/particles.star")
    seen = read_particle_table(project / "tmp/new_it001_data.star")
    assert sorted(seen.particles["rlnImageName"]) == sorted(kept.particles["rlnImageName"])
    assert seen.particles["rlnGroupNumber"].nunique() == kept.particles["rlnGroupName"].nunique()
