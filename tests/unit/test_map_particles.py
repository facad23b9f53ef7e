"""The script that maps the kept particles onto another extraction, run from a job.star."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from particle_sets import write_images
from placed_particles import placed
from script_runs import run_map_particles
from winnow2d.errors import StarError
from winnow2d.formats.mapping import pixel_sizes_of_both
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import read_star

JOB = "Select/job008"
N = 60
BINNED = {
    "rlnImagePixelSize": ["4.0", "3.0"],
    "rlnMicrographOriginalPixelSize": ["1.0", "1.5"],
    "rlnImageSize": ["16"] * 2,
}
FULL = {
    "rlnImagePixelSize": ["1.0", "1.5"],
    "rlnMicrographOriginalPixelSize": ["1.0", "1.5"],
    "rlnImageSize": ["24"] * 2,
}


@pytest.fixture
def truth(rng):
    """Return coordinates (n, 2), micrograph (n,) 0 to 5 and optics group (n,) 1 or 2 of the particles of both sets."""
    coordinates = np.stack(np.meshgrid(np.arange(10), np.arange(6)), axis=-1).reshape(-1, 2) * 100.0 + 50
    micrograph = rng.integers(0, 6, N)
    return coordinates + rng.uniform(-20, 20, (N, 2)), micrograph, 1 + micrograph // 3


@pytest.fixture
def other(tmp_path_factory, truth, rng):
    """Return the folder of a full-size extraction by another program: own order and names, more particles."""
    folder = tmp_path_factory.mktemp("other")
    coordinates, micrograph, group = truth
    order = rng.permutation(N)
    names = [f"J4/motion/{m:021d}_mic_{m:02d}_patch_aligned_doseweighted.mrc" for m in micrograph[order]]
    columns = {"rlnAnglePsi": "0.0", "rlnNote": [f"particle {i}" for i in order]}
    table = placed(coordinates[order], names, groups=group[order], stack="stacks/all.mrcs", optics=FULL, **columns)
    write_images(folder / "stacks/all.mrcs", np.zeros((N, 24, 24)))
    write_particle_table(folder / "particles.star", table)
    return folder


@pytest.fixture
def kept(project, truth, rng):
    """Write the kept set, 40 of the particles and 3 that nobody else has; return which they are and the offsets."""
    coordinates, micrograph, _ = truth
    rows = np.sort(rng.choice(N, 40, replace=False))
    offsets = rng.normal(0, 3, (43, 2))
    strangers = np.array([[2000.0, 30], [3000, 30], [4000, 30]])
    numbers = np.concatenate([micrograph[rows], [0, 1, 2]])
    table = placed(
        np.concatenate([coordinates[rows], strangers]), [f"Movies/mic_{m:02d}.mrc" for m in numbers], offsets,
        groups=1 + numbers // 3, stack="stacks/all.mrcs", optics=BINNED, rlnAnglePsi=[f"{i}.5" for i in range(43)],
    )  # fmt: skip
    write_particle_table(project / "Select/job022/particles.star", table)
    return rows, offsets


@pytest.fixture
def run(other):
    return lambda **own: run_map_particles(other / "particles.star", **own)


def test_the_kept_particles_get_the_rows_of_the_other_extraction(project, other, kept, run):
    rows, _ = kept
    done = run()
    assert done.returncode == 0, done.stderr
    there, mapped = (read_particle_table(path) for path in (other / "particles.star", f"{JOB}/particles.star"))
    is_kept = there.particles["rlnNote"].isin([f"particle {i}" for i in rows])
    assert mapped.particles.to_numpy().tolist() == there.particles[is_kept].to_numpy().tolist()
    assert mapped.optics.to_numpy().tolist() == there.optics.to_numpy().tolist()
    assert Path("stacks/all.mrcs").resolve() == (other / "stacks/all.mrcs").resolve()
    said = (project / JOB / "run.out").read_text()
    assert "40 of 43 particles found in" in said
    assert "as picked, on average 0.00 A apart" in said
    assert "3 particles without a partner stand in Select/job008/unmatched.star" in said
    assert len(read_star(f"{JOB}/unmatched.star")["particles"]) == 3
    values = read_star(f"{JOB}/job.star")["joboptions_values"]
    assert values["rlnJobOptionValue"][values["rlnJobOptionVariable"] == "fn_data"].tolist() == [
        str(other / "particles.star")
    ]
    edges = read_star("default_pipeline.star")["pipeline_input_edges"]["rlnPipeLineEdgeFromNode"]
    assert "Select/job022/particles.star" in edges.tolist()


def test_our_poses_are_carried_over_in_angstrom(kept, run):
    rows, offsets = kept
    assert run(map_poses=True).returncode == 0
    table = read_particle_table(f"{JOB}/particles.star").particles
    row_of = {f"particle {i}": place for place, i in enumerate(rows)}
    ours = [row_of[note] for note in table["rlnNote"]]
    assert table["rlnAnglePsi"].tolist() == [f"{i}.5" for i in ours]
    found = table[["rlnOriginXAngst", "rlnOriginYAngst"]].astype(float).to_numpy()
    np.testing.assert_allclose(found, offsets[ours], atol=2e-6)


def test_a_re_centred_extraction_is_found_where_the_offsets_lead(project, other, kept, truth, run):
    """It was extracted at our particles' centres, up to whole pixels: too far from the picks for this tolerance."""
    rows, _ = kept
    path = project / "Select/job022/particles.star"
    table = read_particle_table(path)
    far = table.particles.assign(rlnOriginXAngst="30.2", rlnOriginYAngst="-24.0")
    write_particle_table(path, ParticleTable(table.optics, far))
    there = read_particle_table(other / "particles.star")
    pixel = np.where(there.particles["rlnOpticsGroup"] == "1", 1.0, 1.5)
    moved = {
        label: [f"{float(c) - round(o / p):.6f}" for c, p in zip(there.particles[label], pixel, strict=True)]
        for label, o in (("rlnCoordinateX", 30.2), ("rlnCoordinateY", -24.0))
    }
    write_particle_table(other / "particles.star", ParticleTable(there.optics, there.particles.assign(**moved)))
    done = run(map_tolerance=2, map_poses=True)
    assert done.returncode == 0, done.stderr
    assert "40 of 43 particles found" in (project / JOB / "run.out").read_text()
    assert "where the offsets lead" in (project / JOB / "run.out").read_text()
    mapped = read_particle_table(f"{JOB}/particles.star").particles
    assert set(mapped["rlnNote"]) == {f"particle {i}" for i in rows}
    pixel = np.where(mapped["rlnOpticsGroup"] == "1", 1.0, 1.5)
    residual = np.array([30.2 - round(30.2 / p) * p for p in pixel])
    np.testing.assert_allclose(mapped["rlnOriginXAngst"].astype(float), residual, atol=3e-6)


def test_stacks_of_the_same_name_as_those_classified_are_told_apart(project, other, kept, run):
    write_images(project / "stacks/all.mrcs", np.zeros((43, 16, 16)))  # the binned images the rounds have read
    assert run().returncode == 0
    names = read_particle_table(f"{JOB}/particles.star").particles
    stacks = set(names["rlnImageName"].str.partition("@")[2])
    assert stacks == {"Select/job008/source/stacks/all.mrcs"}
    assert (project / stacks.pop()).resolve() == (other / "stacks/all.mrcs").resolve()
    assert set(names["winnowSourceImageName"].str.partition("@")[2]) == {"stacks/all.mrcs"}


def test_stacks_that_are_not_there_are_a_warning_and_those_of_another_box_an_error(project, other, kept, run):
    (other / "stacks/all.mrcs").unlink()
    done = run()
    assert done.returncode == 0, done.stderr
    assert "1 of 1 stacks" in (project / JOB / "run.out").read_text()
    write_images(other / "stacks/all.mrcs", np.zeros((N, 16, 16)))
    assert run().returncode == 1
    assert "the box is not 24 px" in (project / JOB / "run.err").read_text()


@pytest.mark.parametrize(("name", "told"), [("mic_01.mrcs", "not of the form"), ("000000@a.mrcs", "index 0")])
def test_a_broken_image_name_is_an_error(project, other, kept, run, name, told):
    table = read_particle_table(other / "particles.star")
    write_particle_table(
        other / "particles.star", ParticleTable(table.optics, table.particles.assign(rlnImageName=name))
    )
    assert run().returncode == 1
    assert told in Path(JOB, "run.err").read_text()


def test_more_than_half_without_a_partner_is_an_error_with_advice(project, other, kept, run):
    there = read_particle_table(other / "particles.star")
    half = there.particles.assign(rlnCoordinateX=[f"{float(x) * 0.5}" for x in there.particles["rlnCoordinateX"]])
    write_particle_table(other / "particles.star", ParticleTable(there.optics, half))
    assert run().returncode == 1
    told = (project / JOB / "run.err").read_text()
    assert "of 43 particles were found within 20 A. 6 of 6 micrographs have a partner" in told
    assert "own.map_angpix" in told
    assert not (project / JOB / "particles.star").exists()
    other_names = there.particles.assign(rlnMicrographName="another.mrc")
    write_particle_table(other / "particles.star", ParticleTable(there.optics, other_names))
    assert run().returncode == 1
    told = (project / JOB / "run.err").read_text()
    assert "0 of 6 micrographs have a partner; without one is Movies/mic_0" in told


def test_where_the_pixel_of_the_micrographs_comes_from(caplog):
    place = np.zeros((2, 2))
    with_pixel = placed(place, ["m"] * 2, groups=[1, 2], optics=BINNED)
    one_pixel = placed(place, ["m"] * 2, optics={"rlnMicrographOriginalPixelSize": ["0.8"]})
    without = placed(place, ["m"] * 2, optics={"rlnImagePixelSize": ["3.0"]})
    smaller = placed(place, ["m"] * 2, optics={"rlnImagePixelSize": ["1.1"]})

    def sizes(*arguments):
        return [list(one) for one in pixel_sizes_of_both(*arguments)]

    assert sizes(with_pixel, one_pixel, -1.0) == [[1.0, 1.5], [0.8, 0.8]]
    assert sizes(with_pixel, one_pixel, 1.2) == [[1.2, 1.2], [1.2, 1.2]]
    assert sizes(one_pixel, without, -1.0) == [[0.8, 0.8], [0.8, 0.8]]
    with pytest.raises(StarError, match=r"several pixel sizes \(1, 1\.5 A\)"):
        sizes(with_pixel, without, -1.0)
    assert not caplog.records
    assert sizes(without, smaller, -1.0) == [[1.1, 1.1], [1.1, 1.1]]
    assert "1.1 A, the smaller one of the images, is taken" in caplog.text
