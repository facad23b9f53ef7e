"""Accuracies and orientability are RELION 3.1's where it cannot choose among particles: a set of ten, and one class.

What it still draws is whether a shift is along x or along y.
"""

import subprocess

import numpy as np
import pandas as pd
import pytest

from replaying import classifier, iteration_of, next_after, options_of
from synthetic import make_particles
from winnow2d.engine.accuracy import N_PARTICLES
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.particles import ParticleTable, write_particle_table

pytestmark = pytest.mark.relion

BOX, STEPS = 48, [1, 2, 3, 4]
COMMAND = (
    "relion_refine --i particles.star --o one/run --iter 4 --flatten_solvent --zero_mask --oversampling 1 --norm "
    "--scale --pad 2 --j 1 --random_seed 1 --skip_gridding --K 1 --particle_diameter 150 --ctf --psi_step 12 "
    "--offset_range 5 --offset_step 2 --tau2_fudge 8"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a project with RELION's run on ten particles with little noise."""
    folder = tmp_path_factory.mktemp("accuracies")
    (folder / "one").mkdir()
    particles = make_particles(k=1, n=N_PARTICLES, box=BOX, snr=20.0, seed=1)
    group, known = particles.optics[0], particles.particles
    write_stack(folder / "p.mrcs", particles.images, group.pixel_size_ang)
    optics = {
        "rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", "rlnVoltage": group.voltage_kv,
        "rlnSphericalAberration": group.spherical_aberration_mm, "rlnAmplitudeContrast": group.amplitude_contrast,
        "rlnImagePixelSize": group.pixel_size_ang, "rlnImageSize": BOX, "rlnImageDimensionality": 2,
    }  # fmt: skip
    rows = {
        "rlnImageName": [f"{number:06d}@p.mrcs" for number in range(1, N_PARTICLES + 1)],
        "rlnMicrographName": "m.mrc", "rlnOpticsGroup": 1, "rlnDefocusU": known.defocus_u_ang,
        "rlnDefocusV": known.defocus_v_ang, "rlnDefocusAngle": known.defocus_angle_deg,
    }  # fmt: skip
    table = ParticleTable(pd.DataFrame(optics, index=[0]), pd.DataFrame(rows))
    write_particle_table(folder / "particles.star", table)
    done = subprocess.run(COMMAND.split(), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("number", STEPS)
def test_accuracies(folder, number):
    stem = folder / "one/run"
    old, theirs = iteration_of(stem, number - 1), iteration_of(stem, number)
    options = options_of(nr_classes=1, do_center=False, particle_diameter=150.0, tau_fudge=8.0)
    ours = next_after(classifier(stem, folder, old, options, "double"), old, theirs.sampling).model
    theirs = theirs.model
    assert 1 < theirs.accuracy_rotation_deg[0] < 5  # neither beyond what is tried nor as small as can be
    np.testing.assert_allclose(ours.accuracy_rotation_deg, theirs.accuracy_rotation_deg, atol=1e-6)
    np.testing.assert_allclose(ours.orientability, theirs.orientability, atol=2e-5)
    np.testing.assert_allclose(ours.accuracy_offset_ang, theirs.accuracy_offset_ang, rtol=0.1)  # measured: 0.03
