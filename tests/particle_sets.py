"""Small particle sets on disk for the tests of the import: light discs on noise, ten to a stack."""

import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table

BOX_PX = 16
N_PER_STACK = 10

read_table = make_table = read_particle_table
write_table = write_particle_table


def draw_images(n, seed=1, contrast=1.0):
    """Return (n, 16, 16) float32 images: a disc in the centre above noise of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:BOX_PX, :BOX_PX] - BOX_PX // 2
    disc = np.hypot(y, x) < BOX_PX / 4
    return (rng.normal(size=(n, BOX_PX, BOX_PX)) + contrast * disc).astype(np.float32)


def write_images(path, images):
    """Write an MRC stack with mrcfile, which is not the code under test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), mrcfile.new(path, overwrite=True) as file:
        warnings.simplefilter("ignore", RuntimeWarning)  # mrcfile tells of NaN pixels, which some tests want
        file.set_data(np.asarray(images, dtype=np.float32))
        file.set_image_stack()
        file.voxel_size = 2.0


def make_particle_set(
    folder,
    n=20,
    star="particles.star",
    stack="m{}.mrcs",
    contrast=1.0,
    scale=1.0,
    shift=0.0,
    constant=(),
    not_finite=(),
    extra=None,
    group="1",
):
    """Write stacks and a STAR file below `folder`; return the path of the STAR file.

    `constant` and `not_finite` are rows (from 0) whose image is dead; `extra` are columns of one value;
    `group` is the number of the one optics group.
    """
    folder = Path(folder)
    images = draw_images(n, contrast=contrast) * scale + shift
    images[list(constant)] = 3.0
    images[list(not_finite), 0, 0] = np.nan
    names = []
    for number, start in enumerate(range(0, n, N_PER_STACK)):
        name = stack.format(number)
        held = images[start : start + N_PER_STACK]
        write_images(folder / name, held)
        names += [f"{index + 1:06d}@{name}" for index in range(len(held))]
    optics = {
        "rlnOpticsGroup": group,
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnVoltage": "300.000000",
        "rlnSphericalAberration": "2.700000",
        "rlnAmplitudeContrast": "0.100000",
        "rlnImagePixelSize": "2.000000",
        "rlnImageSize": str(BOX_PX),
        "rlnImageDimensionality": "2",
    }
    columns = {
        "rlnImageName": names,
        "rlnMicrographName": "mic.mrc",
        "rlnOpticsGroup": group,
        "rlnDefocusU": "10000.5",
        "rlnDefocusV": "9900",
        "rlnDefocusAngle": "12",
    }
    path = folder / star
    path.parent.mkdir(parents=True, exist_ok=True)
    table = ParticleTable(pd.DataFrame(optics, index=[0]), pd.DataFrame(columns | (extra or {})))
    write_particle_table(path, table)
    return path


def make_two_groups(folder, box=24, **columns):
    """Make a set of 20 particles; those of the second stack have the optics group 9, with a box of its own.

    `box` is that of its images, the table says 24; `columns` are cells of the optics table, one per group.
    """
    source = make_particle_set(folder)
    table = read_particle_table(source)
    noise = np.random.default_rng(3).normal(size=(N_PER_STACK, box, box))
    y, x = np.mgrid[:box, :box] - box // 2
    write_images(Path(folder) / "m1.mrcs", noise + (np.hypot(y, x) < BOX_PX / 4))
    optics = table.optics.iloc[[0, 0]].reset_index(drop=True)
    optics = optics.assign(
        rlnOpticsGroup=["1", "9"], rlnOpticsGroupName=["a", "b"], rlnImageSize=["16", "24"], **columns
    )
    groups = ["1"] * N_PER_STACK + ["9"] * N_PER_STACK
    particles = table.particles.assign(rlnOpticsGroup=groups, rlnMicrographName=[f"{g}.mrc" for g in groups])
    write_particle_table(source, ParticleTable(optics, particles))
    return source
