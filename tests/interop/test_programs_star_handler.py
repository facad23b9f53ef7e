"""relion_star_handler on our particle files: rows and columns come out as they must."""

from __future__ import annotations

import re

import numpy as np
import pytest

from interop.programs import run
from interop.small_project import CLEAN, EM, SELECTED
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.star import read_star, write_star

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

DATA, KEPT = f"{EM}data.star", f"{CLEAN}/particles.star"


def handle(project, *arguments):
    return run(project, "relion_star_handler", *arguments)


def rows(path):
    return read_particle_table(path).particles


def names(path):
    return rows(path)["rlnImageName"].tolist()


def test_select_by_class(ours):
    handle(ours, "--i", DATA, "--select", "rlnClassNumber", "--minval", 2, "--maxval", 3, "--o", "out/two.star")
    before, after = rows(ours / DATA), rows(ours / "out/two.star")
    expected = before[before["rlnClassNumber"].isin(["2", "3"])]
    assert after.columns.tolist() == before.columns.tolist()
    assert after["rlnImageName"].tolist() == expected["rlnImageName"].tolist()
    assert 0 < len(after) < len(before)
    assert len(read_star(ours / "out/two.star")["optics"]) == 1


def test_selecting_all_loses_no_digit_that_relion_keeps(ours):
    """RELION writes six decimals, of negative numbers five, and seven digits of very large and small ones."""
    handle(ours, "--i", KEPT, "--select", "rlnClassNumber", "--minval", 0, "--o", "out/all.star")
    before, after = rows(ours / KEPT), rows(ours / "out/all.star")
    assert after.columns.tolist() == before.columns.tolist()
    texts = {"rlnImageName", "rlnMicrographName", "rlnGroupName"}
    assert texts <= set(before.columns)
    for label in before.columns:
        if label in texts:
            assert after[label].tolist() == before[label].tolist()
        else:
            np.testing.assert_allclose(after[label].astype(float), before[label].astype(float), rtol=1e-6, atol=6e-6)


@pytest.mark.parametrize(("option", "size"), [("--nr_split 3", None), ("--size_split 150", 150)])
def test_split_and_combine_give_back_the_particles(ours, option, size):
    handle(ours, "--i", KEPT, "--split", *option.split(), "--o", "out/part.star")
    parts = [f"out/part_split{number}.star" for number in (1, 2, 3)]
    whole = rows(ours / KEPT)
    n = len(whole)
    sizes = [(n + 2) // 3, (n + 1) // 3, n // 3] if size is None else [size, size, n - 2 * size]
    assert [len(rows(ours / part)) for part in parts] == sizes
    assert [name for part in parts for name in names(ours / part)] == whole["rlnImageName"].tolist()
    check = ("--check_duplicates", "rlnImageName")
    said = handle(ours, "--combine", "--i", " ".join(parts), *check, "--o", "out/whole.star")
    assert "duplicate entry" not in said
    joined = rows(ours / "out/whole.star")
    assert joined["rlnImageName"].tolist() == whole["rlnImageName"].tolist()
    assert joined["rlnOpticsGroup"].unique().tolist() == ["1"]
    # the intensity groups are numbered anew, and are told apart by the part they come from
    assert set(whole.columns) - set(joined.columns) <= {"rlnGroupNumber"}


def test_combine_of_two_rounds_keeps_the_common_columns_and_tells_of_duplicates(ours):
    both = f"{SELECTED}/particles.star {KEPT}"
    said = handle(ours, "--combine", "--i", both, "--check_duplicates", "rlnImageName", "--o", "out/both.star")
    first, second, joined = rows(ours / SELECTED / "particles.star"), rows(ours / KEPT), rows(ours / "out/both.star")
    shared = set(first["rlnImageName"]) & set(second["rlnImageName"])
    assert len(joined) == len(first) + len(second)
    assert set(joined.columns) == set(first.columns) & set(second.columns) - {"rlnGroupNumber"}
    assert f"Total number of duplicate rlnImageName entries: {len(shared)}" in said


def with_offsets_in_coordinates(path, target):
    """Write the same particles with each offset put into the coordinate: they lie where they lay."""
    tables = read_star(path)
    particles, pixel_ang = tables["particles"], float(tables["optics"]["rlnImagePixelSize"][0])
    for axis in "XY":
        coordinate, origin = f"rlnCoordinate{axis}", f"rlnOrigin{axis}Angst"
        place = particles[coordinate].astype(float) - particles[origin].astype(float) / pixel_ang
        particles[coordinate] = [f"{value:.6f}" for value in place]
        particles[origin] = "0.000000"
    write_star(target, tables)


def test_remove_duplicates_by_our_offsets(ours):
    kept = names(ours / KEPT)
    said = handle(ours, "--i", KEPT, "--remove_duplicates", 100, "--o", "out/none.star")
    assert f"Removed 0 duplicated objects from {len(kept)} objects" in said
    assert names(ours / "out/none.star") == kept

    with_offsets_in_coordinates(ours / KEPT, ours / "out/moved.star")
    handle(ours, "--combine", "--i", f"{KEPT} out/moved.star", "--o", "out/twice.star")
    handle(ours, "--i", "out/twice.star", "--remove_duplicates", 2, "--o", "out/once.star")
    assert sorted(names(ours / "out/once.star")) == sorted(kept)
    removed = read_star(ours / "out/once_removed.star")[""]  # RELION gives this table no name
    assert sorted(removed["rlnImageName"]) == sorted(kept)


def test_histogram_of_a_column(ours):
    bins = ("--hist_bins", 5, "--hist_min", 0, "--hist_max", 1)
    said = handle(ours, "--i", DATA, "--hist_column", "rlnMaxValueProbDistribution", *bins, "--o", "out/hist.star")
    values = rows(ours / DATA)["rlnMaxValueProbDistribution"].astype(float)
    counts = [int(count) for count in re.findall(r"^\[0(?:\.\d)?, [\d.]+\): (\d+)", said, flags=re.M)]
    assert f"Number of items: {len(values)}" in said
    assert counts == np.histogram(values.clip(upper=0.99999), bins=5, range=(0, 1))[0].tolist()
    assert float(re.search(r"Mean: (\S+)", said)[1]) == pytest.approx(values.mean(), rel=1e-4)


def test_printtable_reads_the_tables_of_our_model(ours):
    labels = ["rlnReferenceImage", "rlnClassDistribution"]
    said = run(ours, "relion_star_printtable", f"{EM}model.star", "data_model_classes", *labels)
    table = read_star(ours / f"{EM}model.star")["model_classes"]
    assert [line.split() for line in said.splitlines()] == table[labels].to_numpy().tolist()


def test_import_takes_our_particles_and_renames_their_optics_group(ours):
    target = ("--odir", "out/", "--ofile", "particles.star", "--particles_optics_group_name", "winnowed")
    run(ours, "relion_import", "--do_particles", "--i", KEPT, *target)
    tables = read_star(ours / "out/particles.star")
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["winnowed"]
    assert tables["particles"]["rlnImageName"].tolist() == names(ours / KEPT)
