"""Whatever columns particles came with, and whatever stands in them, leaves the chain as it entered."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow2d.formats import labels
from winnow2d.formats.assigned_rows import AssignedRows
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.particles import (
    ParticleTable,
    particles_from_table,
    read_particle_table,
    sort_by_micrograph,
)
from winnow2d.formats.selection_star import write_kept_particles
from winnow2d.formats.star import write_star
from winnow2d.intake.enter import enter_particles

N, BOX = 6, 16
DEFINED = (
    labels.GROUP_NUMBER, labels.ANGLE_ROT, labels.ANGLE_TILT, labels.ANGLE_PSI, labels.ORIGIN_X, labels.ORIGIN_Y,
    labels.CLASS_NUMBER, labels.NORM_CORRECTION, labels.LOG_LIKELIHOOD, labels.MAX_PROBABILITY, labels.N_SIGNIFICANT,
)  # fmt: skip
TEXT = st.one_of(
    st.sampled_from(
        [
            "007",
            "1.50",
            "1e3",
            "-0",
            "+1.0",
            "",
            "None",
            "nan",
            "-nan",
            "inf",
            "<NA>",
            "a b",
            'say "so"',
            "it's",
            "# no",
        ]
    ),
    st.sampled_from(["x" * 3000, "[0.1,-2,0]", "data_x", "loop_", "_rlnA", "000001@a.mrcs", "é°Å", "a\tb", "a;b,c"]),
    st.text(alphabet=st.characters(exclude_characters="\n\r\0\"'", exclude_categories=["Cs"]), max_size=10),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
LABEL = st.one_of(
    st.sampled_from(
        ["rlnBeamTiltClass", "rlnRandomSubset", "rlnHelicalTubeID", "rlnAutopickFigureOfMerit", "rlnCtfMaxResolution",
         "rlnCoordinateX", "rlnGroupName", "rlnOriginX", "rlnImageOriginalName"]
    ),
    st.from_regex(r"[a-z][A-Za-z0-9.]{0,10}Odd", fullmatch=True),
)  # fmt: skip
OPTICS_LABEL = st.one_of(
    st.sampled_from(["rlnMicrographOriginalPixelSize", "rlnTomoTiltSeriesPixelSize", "rlnMicrographPixelSize"]),
    st.from_regex(r"[a-z][A-Za-z0-9.]{0,10}Odd", fullmatch=True),
)


@st.composite
def tables(draw):
    """Draw the optics and particle tables of six particles of one or two optics groups."""
    n_optics = draw(st.integers(1, 2))
    optics = {
        labels.OPTICS_GROUP_NAME: draw(st.lists(TEXT.filter(bool), min_size=n_optics, max_size=n_optics, unique=True)),
        labels.OPTICS_GROUP: [str(row + 1) for row in range(n_optics)],
        labels.VOLTAGE: draw(
            st.lists(st.sampled_from(["300", "300.0000", "2e2"]), min_size=n_optics, max_size=n_optics)
        ),
        labels.SPHERICAL_ABERRATION: ["2.7", "002.70"][:n_optics],
        labels.AMPLITUDE_CONTRAST: ["0.1"] * n_optics,
        labels.IMAGE_PIXEL_SIZE: ["3.540000000001"] * n_optics,
        labels.IMAGE_SIZE: [str(BOX)] * n_optics,
        labels.IMAGE_DIMENSIONALITY: ["2"] * n_optics,
    }
    for label in draw(st.lists(OPTICS_LABEL, max_size=3, unique=True)):
        optics[label] = draw(st.lists(TEXT, min_size=n_optics, max_size=n_optics))
    width = draw(st.sampled_from([1, 6, 8]))
    particles = {
        labels.IMAGE_NAME: [f"{number:0{width}d}@stack.mrcs" for number in range(1, N + 1)],
        labels.MICROGRAPH_NAME: draw(st.lists(st.sampled_from(["b.mrc", "B.mrc", "a b.mrc", "é.mrc", "z"]), min_size=N,
                                              max_size=N)),
        labels.OPTICS_GROUP: [str(row % n_optics + 1) for row in range(N)],
        labels.DEFOCUS_U: ["10000.0"] * N,
    }  # fmt: skip
    for label in draw(st.lists(LABEL, max_size=4, unique=True)):
        particles[label] = draw(st.lists(TEXT, min_size=N, max_size=N))
    order = draw(st.permutations(list(particles)))
    return ParticleTable(pd.DataFrame(optics, dtype=object), pd.DataFrame(particles, dtype=object)[order])


def classified(source: str, target: str, kept: np.ndarray) -> None:
    """Write what a classification in three classes makes of particles, and what a choice among these leaves."""
    table = sort_by_micrograph(read_particle_table(source))
    particles, _ = particles_from_table(table)
    rows = np.arange(len(particles))
    particles = replace(particles, class_index=rows % 3, psi_deg=rows / 7.0, max_probability=rows / 10.0)
    write_star("data.star", {"optics": table.optics, "particles": AssignedRows(table.particles).at(particles, 1)})
    write_kept_particles(target, read_particle_table("data.star"), kept[rows % 3])


def expected(table: ParticleTable, kept: np.ndarray) -> pd.DataFrame:
    """Return the rows that a round keeps: in the order of the bytes of their micrographs' names, else as they came."""
    names = [name.encode() for name in table[labels.MICROGRAPH_NAME]]
    order = sorted(range(len(names)), key=names.__getitem__)
    return table.iloc[[row for at, row in enumerate(order) if kept[at % 3]]].reset_index(drop=True)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_columns_and_optics_leave_two_rounds_as_they_entered(table):
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            write_stack("stack.mrcs", np.random.default_rng(1).normal(size=(N, BOX, BOX)).astype(np.float32), 3.54)
            write_star("particles.star", {"optics": table.optics, "foo": {"rlnA": "1"}, "particles": table.particles})
            enter_particles(Path("particles.star"), Path())
            first, second = np.array([True, False, True]), np.array([True, True, False])
            classified("Extract/job001/particles.star", "one.star", first)
            classified("one.star", "two.star", second)
            found = read_particle_table("two.star")
        finally:
            os.chdir(here)
    wanted = expected(expected(table.particles, first), second)
    others = [label for label in wanted if label not in DEFINED]
    pd.testing.assert_frame_equal(found.particles[others], wanted[others])
    assert [label for label in found.particles if label in set(wanted)] == list(wanted)
    assert set(found.particles) - set(wanted) == set(DEFINED)
    pd.testing.assert_frame_equal(found.optics, table.optics)
