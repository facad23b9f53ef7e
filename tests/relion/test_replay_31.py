"""RELION 3.1 runs here, and our iterations from its states are its iterations, option by option.

One micrograph name for all particles: RELION 3.1 has one noise spectrum per micrograph, RELION 5 and we one
per optics group. Gridding iterations are off, as they always are in RELION 5; classes are not centred,
which RELION 3.1 cannot do.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from replaying import classifier, compare_models, compare_particles, iteration_of, next_after, options_of
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table

pytestmark = pytest.mark.relion

EXTRACT = Path(__file__).parents[1] / "golden" / "relion5" / "Extract"
COMMON = (
    "--flatten_solvent --zero_mask --oversampling 1 --norm --scale --pad 2 --j 1 --random_seed 1 --skip_gridding "
    "--K 3 --particle_diameter 190"
)
GRID = "--psi_step 12 --offset_range 5 --offset_step 2 --tau2_fudge 2"
VARIANTS = {
    "intact first peak": (f"--ctf --ctf_intact_first_peak {GRID}", {"ctf_intact_first_peak": True}),
    "no CTF": (GRID, {"do_ctf_correction": False}),
    "limited resolution": (f"--ctf --strict_highres_exp 25 {GRID}", {"highres_limit": 25.0}),
    "odd number of angles": ("--ctf --psi_step 8 --offset_range 5 --offset_step 2 --tau2_fudge 2", {}),
    "small shifts, T of 4": ("--ctf --psi_step 12 --offset_range 3 --offset_step 1 --tau2_fudge 4", {"tau_fudge": 4.0}),
    "coarser sampling": (f"--ctf --allow_coarser_sampling {GRID}", {}),
    "few significant poses": (f"--ctf --maxsig 15 {GRID}", {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a project with the particles of one micrograph name: 200 in all.star, 100 in half.star."""
    folder = tmp_path_factory.mktemp("relion31")
    shutil.copytree(EXTRACT, folder / "Extract")
    table = read_particle_table(EXTRACT / "job001" / "particles.star")
    for name, n in (("all", 200), ("half", 100)):
        particles = table.particles.iloc[:n].assign(rlnMicrographName="Micrographs/all.mrc")
        write_particle_table(folder / f"{name}.star", ParticleTable(table.optics, particles))
    return folder


def relion(folder, particles, out, n_iterations, words):
    """Run RELION; return the stem of its files."""
    command = f"relion_refine --i {particles}.star --o {out}/run --iter {n_iterations} {COMMON} {words}"
    (folder / out).mkdir()
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / out / "run"


def replayed(folder, stem, number, max_significant=0, **options):
    """Return our iteration `number` and RELION's."""
    old, theirs = iteration_of(stem, number - 1), iteration_of(stem, number)
    run = classifier(stem, folder, old, options_of(nr_classes=3, do_center=False, **options), "double")
    run.max_significant = max_significant
    return next_after(run, old, theirs.sampling), theirs


@pytest.fixture(scope="module")
def plain(folder):
    return relion(folder, "all", "plain", 3, f"--ctf {GRID}")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_iteration_of_a_run(folder, plain, number):
    ours, theirs = replayed(folder, plain, number)
    compare_particles(ours.particles, theirs.particles)
    compare_models(ours.model, theirs.model)
    np.testing.assert_allclose(ours.particles.log_likelihood, theirs.particles.log_likelihood, rtol=0, atol=3e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_options(folder, variant):
    words, options = VARIANTS[variant]
    stem = relion(folder, "half", variant.replace(" ", "_").replace(",", ""), 2, words)
    ours, theirs = replayed(folder, stem, 2, max_significant=15 if "--maxsig" in words else 0, **options)
    compare_particles(ours.particles, theirs.particles)
    compare_models(ours.model, theirs.model)
    difference = ours.particles.log_likelihood - theirs.particles.log_likelihood
    if variant == "limited resolution":  # RELION counts the volume of shells that it did not compare: a constant
        difference = difference - difference.mean()
    np.testing.assert_allclose(difference, 0, atol=3e-3)
    if variant == "coarser sampling":
        assert theirs.sampling.psi_step_deg > theirs.sampling.original_psi_step_deg
