"""relion_refine goes on from what Winnow left."""

from __future__ import annotations

import mrcfile
import pytest

from interop.micrographs import BOX_PX, PIXEL_SIZE_ANG
from interop.programs import refused, run
from interop.small_project import CLEAN, EM, SELECTED, VDAM
from winnow2d.formats.particles import particles_from_table, read_particle_table
from winnow2d.formats.star import read_star

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

FROM_PARTICLES = (
    "--K 2 --iter 1 --ctf --tau2_fudge 2 --particle_diameter 200 --flatten_solvent --zero_mask --oversampling 1 "
    "--psi_step 24 --offset_range 3 --offset_step 2 --norm --scale --pad 2 --random_seed 1"
).split()


def classes_of(path):
    particles, _ = particles_from_table(read_particle_table(path))
    return particles.class_index


def go_on(project, stem, total):
    optimiser = f"{stem}optimiser.star"
    return run(project, "relion_refine", "--continue", optimiser, "--o", "out/run", "--iter", total, "--j", 1)


def test_it_continues_from_an_em_optimiser(ours):
    go_on(ours, EM, 11)
    before, after = classes_of(ours / f"{EM}data.star"), classes_of(ours / "out/run_it011_data.star")
    assert len(after) == len(before)
    assert (before == after).mean() >= 0.9


def test_relion_31_knows_no_vdam_but_goes_on_by_em_where_the_flag_says_so(ours):
    """RELION 3.1 takes VDAM for its own gradient descent, which has one class and other files."""
    optimiser = ours / f"{VDAM}optimiser.star"
    command = ("relion_refine", "--continue", f"{VDAM}optimiser.star", "--o", "out/run", "--iter", 21, "--j", 1)
    assert "windowFourierTransform ERROR: dimension should be 1, 2 or 3!" in refused(ours, *command)
    lines = optimiser.read_text().splitlines(keepends=True)
    flag = next(n for n, line in enumerate(lines) if line.startswith("_rlnDoStochasticGradientDescent"))
    lines[flag] = "_rlnDoStochasticGradientDescent 0\n"
    optimiser.write_text("".join(lines))
    go_on(ours, VDAM, 21)
    agree = classes_of(ours / f"{VDAM}data.star") == classes_of(ours / "out/run_it021_data.star")
    assert agree.mean() >= 0.7  # two classes of the same views: many particles fit both


def test_it_starts_from_the_clean_particles(ours):
    run(ours, "relion_refine", "--i", "Select/clean/particles.star", "--o", "out/new", *FROM_PARTICLES, "--j", 1)
    kept = read_particle_table(ours / CLEAN / "particles.star").particles
    seen = read_particle_table(ours / "out/new_it001_data.star").particles
    assert sorted(seen["rlnImageName"]) == sorted(kept["rlnImageName"])
    assert seen["rlnGroupNumber"].nunique() == kept["rlnGroupName"].nunique() > 1
    general = read_star(ours / "out/new_it001_model.star")["model_general"]
    assert int(general["rlnNrGroups"][0]) == kept["rlnGroupName"].nunique()


def test_it_takes_our_class_averages_star_as_references(ours):
    """With the kept averages handed over, its first iteration finds the classes ours ended with."""
    data = ("--i", f"{SELECTED}/particles.star", "--ref", f"{SELECTED}/class_averages.star", "--ini_high", 20)
    run(ours, "relion_refine", *data, "--o", "out/ref", *FROM_PARTICLES[2:], "--j", 1)
    images = read_star(ours / SELECTED / "class_averages.star")[""]["rlnReferenceImage"]
    class_of_row = [int(name.split("@")[0]) - 1 for name in images]
    before, after = classes_of(ours / f"{SELECTED}/particles.star"), classes_of(ours / "out/ref_it001_data.star")
    assert len(read_star(ours / "out/ref_it001_model.star")["model_classes"]) == len(class_of_row) >= 2
    assert ([class_of_row[index] for index in after] == before).mean() >= 0.8


def test_it_begins_a_map_from_the_clean_particles(ours):
    """The next step of the user: an initial model in three dimensions."""
    search = "--healpix_order 1 --offset_range 3 --offset_step 2 --oversampling 0 --pad 1 --tau2_fudge 2".split()
    options = "--K 1 --iter 1 --ctf --particle_diameter 200 --sym C1 --flatten_solvent --zero_mask --norm".split()
    kept = ("--i", "Select/clean/particles.star", "--o", "out/map", "--denovo_3dref")
    run(ours, "relion_refine", *kept, *options, *search, "--random_seed", 1, "--j", 2)
    with mrcfile.open(ours / "out/map_it001_class001.mrc") as file:
        density, pixel = file.data.copy(), float(file.voxel_size.x)
    assert density.shape == (BOX_PX,) * 3
    assert pixel == pytest.approx(PIXEL_SIZE_ANG, rel=1e-5)
    assert density.std() > 0
    seen = read_particle_table(ours / "out/map_it001_data.star").particles
    assert len(seen) == len(read_particle_table(ours / CLEAN / "particles.star").particles)
