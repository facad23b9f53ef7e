"""Particles that were moved with their re-centred average give that average in RELION 3.1, too (--skip_align).

One class each, so that every particle counts wholly and at the pose its file gives it.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from replaying import relative_rms
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.poses import read_poses, with_offsets
from winnow2d.formats.refinement import read_iteration
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.selection.recentre import moves_to_centre, offsets_after, recentred

pytestmark = pytest.mark.relion

GOLDEN = Path(__file__).parents[1] / "golden" / "relion5"
COMMAND = (
    "relion_refine --i {name}.star --o {name}/run --iter 1 --flatten_solvent --zero_mask --oversampling 1 --norm "
    "--scale --pad 2 --j 1 --random_seed 1 --skip_gridding --K 1 --particle_diameter 190 --ctf --psi_step 12 "
    "--offset_range 5 --offset_step 2 --tau2_fudge 2 --skip_align"
)
AWAY_ANG = np.array([14.0, -9.0])  # the class is moved this far to one side first, so that there is something to centre


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recentred")
    shutil.copytree(GOLDEN / "Extract", folder / "Extract")
    table = read_particle_table(GOLDEN / "Class2D" / "job002" / "run_it004_data.star")
    largest = table.particles["rlnClassNumber"].value_counts().index[0]
    own = table.particles[table.particles["rlnClassNumber"] == largest].reset_index(drop=True)
    return folder, ParticleTable(table.optics, own.assign(rlnMicrographName="Micrographs/all.mrc"))


def averaged(folder, name, table):
    """Return RELION's average of particles at the poses of a table, (y, x), and its pixel size."""
    (folder / name).mkdir()
    write_particle_table(folder / f"{name}.star", table)
    command = COMMAND.format(name=name).split()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    model = read_iteration(folder / name / "run_it001_optimiser.star").model
    return model.references[0], model.pixel_size_ang


def moved(table, moves_ang):
    psi_deg, offset_ang = read_poses(table, "")
    n = len(psi_deg)
    return with_offsets(table, offsets_after(offset_ang, psi_deg, np.tile(moves_ang, (n, 1))), np.ones(n, bool))


def test_relion_averages_what_was_moved_in_the_middle(folder):
    where, table = folder
    beside = moved(table, AWAY_ANG)
    before, pixel_ang = averaged(where, "before", beside)
    moves_px = moves_to_centre(before[None])
    assert np.hypot(*moves_px[0]) > 2
    after, _ = averaged(where, "after", moved(beside, moves_px[0] * pixel_ang))
    assert np.hypot(*positive_centre_of_mass(after)) < 0.15
    expected = recentred(before[None])
    difference = relative_rms(after[None], expected)[0]
    assert difference < 0.1, difference  # measured: 0.063, as the one was moved with bilinear interpolation
    assert relative_rms(before[None], expected)[0] > 4 * difference
