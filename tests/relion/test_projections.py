"""Our projections against relion_project's, from the same poses."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest

from winnow2d.simulation.density import density_of_beads
from winnow2d.simulation.projection import Projector
from winnow2d.simulation.protein import build_protein

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_project") is None, reason="relion_project is not installed"),
]


@pytest.mark.parametrize(
    ("pose", "origin_px"),
    [((0, 0, 90), (3, -2)), ((30, 70, -40), (0, 0)), ((120, 33, 15), (3, -2)), ((-75, 140, 200), (-1, 4))],
)
def test_relion_projects_the_same(tmp_path, pose, origin_px):
    """Rot, tilt, psi as in the STAR file; the particle is seen at minus the origin offset."""
    volume = density_of_beads(build_protein("C1", 120.0, np.random.default_rng(3)), 48, 3.54)
    with mrcfile.new(tmp_path / "map.mrc") as file:
        file.set_data(volume)
        file.voxel_size = 3.54
        file.set_volume()
    words = ["--rot", pose[0], "--tilt", pose[1], "--psi", pose[2], "--xoff", origin_px[0], "--yoff", origin_px[1]]
    command = ["relion_project", "--i", "map.mrc", "--o", "seen.mrc", "--angpix", 3.54, *words]
    subprocess.run([str(word) for word in command], cwd=tmp_path, check=True, capture_output=True)
    with mrcfile.open(tmp_path / "seen.mrc", permissive=True) as file:
        theirs = np.squeeze(np.array(file.data))
    ours = np.roll(Projector(volume).project(np.array([pose]))[0], (-origin_px[1], -origin_px[0]), (0, 1))
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.999
