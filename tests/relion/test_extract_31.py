"""Extraction against the real relion_preprocess of RELION 3.1.3, pixel by pixel and cell by cell.

The tolerance is 1e-4 of the standard deviation of RELION's images; micrographs have a mean far above their
spread, hot and dead pixels, and particles over every edge.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import subprocess

import mrcfile
import numpy as np
import pytest

from micrograph_sets import FOLDER, PATTERN, extract, make_project, relion_extract, stacks, write_micrograph
from winnow2d.extraction.settings import background_radius_px
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.windows import Windowing

pytestmark = pytest.mark.relion
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("extract"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("thousands"), 4, 500, (1000, 1300))


def farthest(project, windowing, *arguments):
    """Return the largest difference to RELION's pixels, in their standard deviations."""
    relion_extract(project, "--extract_size", windowing.box_px, *arguments)
    extract(project, windowing, n_threads=2)
    ours, theirs = stacks(project, "Extract/job001"), stacks(project, "Extract/job500")
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(np.float64) - theirs).max() / theirs.std())


NORM = ("--norm", "--bg_radius")
CASES = {
    "as cut": (Windowing(64, 64, False), ()),
    "inverted": (Windowing(64, 64, False, do_invert=True), ("--invert_contrast",)),
    "halved": (Windowing(64, 32, False), ("--scale", 32)),
    "by a ratio that is no whole number": (Windowing(64, 50, False), ("--scale", 50)),
    "enlarged": (Windowing(48, 64, False), ("--scale", 64)),
    "normalised": (Windowing(64, 64, True, 24), (*NORM, 24)),
    "with a small circle": (Windowing(64, 64, True, 9), (*NORM, 9)),
    "halved, normalised, inverted": (
        Windowing(64, 32, True, 12, do_invert=True),
        ("--scale", 32, *NORM, 12, "--invert_contrast"),
    ),
    "box larger than the micrograph": (Windowing(512, 64, True, 24), ("--scale", 64, *NORM, 24)),
}


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_relions(project, name):
    windowing, arguments = CASES[name]
    assert farthest(project, windowing, *arguments) < TOLERANCE


def test_thousands_of_particles_are_relions(large):
    windowing = Windowing(128, 64, True, 24, do_invert=True)
    assert farthest(large, windowing, "--scale", 64, *NORM, 24, "--invert_contrast") < TOLERANCE
    assert len(stacks(large, "Extract/job001")) == 2000


def test_dust_is_replaced_where_relion_replaces_it_by_noise_of_that_mean_and_spread(large):
    dust = ("--white_dust", 4, "--black_dust", 4)
    relion_extract(large, "--extract_size", 64, *NORM, 24, *dust)
    extract(large, Windowing(64, 64, True, 24, 4.0, 4.0))
    ours, theirs = stacks(large, "Extract/job001"), stacks(large, "Extract/job500")
    extract(large, Windowing(64, 64, True, 24), job="Extract/job002")
    plain = stacks(large, "Extract/job002")
    # each draws its own noise, which moves plane and deviation a little: a pixel replaced differs by more than that
    is_ours, is_theirs = np.abs(ours - plain) > 1.5, np.abs(theirs - plain) > 1.5
    has_dust = is_ours.any(axis=(1, 2))
    assert has_dust.mean() > 0.5
    assert np.array_equal(has_dust, is_theirs.any(axis=(1, 2)))
    assert (is_ours & is_theirs).sum() > 0.93 * max(is_ours.sum(), is_theirs.sum())
    both = is_ours & is_theirs
    assert abs(ours[both].mean() - theirs[both].mean()) < 4 / np.sqrt(both.sum())
    assert abs(ours[both].std() / theirs[both].std() - 1) < 4 / np.sqrt(2 * both.sum())


@pytest.mark.parametrize(("box", "scale", "radius"), [(64, 64, 24), (64, 32, 12), (128, 50, 18), (100, 36, 13)])
def test_the_default_circle_is_three_quarters_of_the_box_cut_off_after_scaling(box, scale, radius):
    assert background_radius_px(-1, box, scale) == radius


def same_cells(ours, theirs, but=()):
    """Compare tables: same columns in the same order, same text or the same number to the digits RELION writes."""
    assert list(ours.columns) == list(theirs.columns)
    for label in theirs.columns:
        if label in but:
            continue
        for one, other in zip(ours[label], theirs[label], strict=True):
            try:
                assert float(one) == pytest.approx(float(other), rel=1e-6, abs=1.1e-5), label
            except ValueError:
                assert one == other, label


def test_tables_and_header_are_relions(project):
    relion_extract(project, "--extract_size", 64, "--scale", 32, *NORM, 12)
    extract(project, Windowing(64, 32, True, 12))
    ours, theirs = (read_star(project / f"Extract/{job}/particles.star") for job in ("job001", "job500"))
    same_cells(ours["optics"].drop(columns="rlnCtfDataAreCtfPremultiplied"), theirs["optics"])
    same_cells(ours["particles"], theirs["particles"], but=("rlnImageName",))
    assert ours["particles"]["rlnImageName"].str.replace("job001", "job500").tolist() == (
        theirs["particles"]["rlnImageName"].tolist()
    )
    name = "Mic/m1_extract.star"
    ours, theirs = (read_star(project / f"Extract/{job}/{name}") for job in ("job001", "job500"))
    assert list(ours) == list(theirs) == ["images"]
    same_cells(ours["images"], theirs["images"], but=("rlnImageName",))
    ours, theirs = (
        mrcfile.open(project / f"Extract/{job}/Mic/m1.mrcs", permissive=True, header_only=True).header
        for job in ("job001", "job500")
    )
    for field in ("nx", "ny", "nz", "mode", "mx", "my", "mz", "mapc", "mapr", "maps"):
        assert ours[field] == theirs[field], field
    assert (ours.cella.x, ours.cella.y) == (theirs.cella.x, theirs.cella.y)
    for field in ("dmin", "dmax", "dmean", "rms"):
        assert float(ours[field]) == pytest.approx(float(theirs[field]), rel=1e-4, abs=1e-4), field


def test_relion_reads_what_was_extracted(project, tmp_path):
    extract(project, Windowing(64, 32, True, 12))
    command = ["relion_stack_create", "--i", "Extract/job001/particles.star", "--o", str(tmp_path / "out")]
    result = subprocess.run([*command, "--one_by_one"], cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(mrcfile.read(tmp_path / "out.mrcs"), stacks(project, "Extract/job001"))


def renamed(folder, suffix):
    """Let micrographs.star name the micrographs with another suffix."""
    tables = read_star(folder / "micrographs.star")
    names = tables["micrographs"]["rlnMicrographName"].str.replace(".mrc", suffix)
    write_star(
        folder / "micrographs.star", tables | {"micrographs": tables["micrographs"].assign(rlnMicrographName=names)}
    )


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint16, np.float32])
def test_every_type_of_pixels_is_read_as_relion_reads_it(tmp_path, kind):
    make_project(tmp_path, 1)
    image = np.round((mrcfile.read(tmp_path / FOLDER / "m1.mrc") - 1000) / 4).clip(-120, 120)
    write_micrograph(tmp_path / FOLDER / "m1.mrc", (image + (0 if np.dtype(kind).kind != "u" else 200)).astype(kind))
    assert farthest(tmp_path, Windowing(64, 64, False)) == 0


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiff_is_read_as_relion_reads_it(tmp_path, kind):
    from PIL import Image

    make_project(tmp_path, 1)
    image = np.round((mrcfile.read(tmp_path / FOLDER / "m1.mrc") - 1000) / 4).clip(-120, 120) + 122
    Image.fromarray(image.astype(kind)).save(tmp_path / FOLDER / "m1.tif")
    renamed(tmp_path, ".tif")
    assert farthest(tmp_path, Windowing(64, 64, False)) == 0


def test_half_precision_and_packed_micrographs_are_those_of_the_plain_file(tmp_path):
    make_project(tmp_path, 1)
    path = tmp_path / FOLDER / "m1.mrc"
    image = mrcfile.read(path).astype(np.float16)
    write_micrograph(path, image.astype(np.float32))
    relion_extract(tmp_path, "--extract_size", 64)
    theirs = stacks(tmp_path, "Extract/job500")
    write_micrograph(path, image)
    extract(tmp_path, Windowing(64, 64, False))
    assert np.array_equal(stacks(tmp_path, "Extract/job001"), theirs)
    for suffix, packed in ((".gz", gzip.open), (".bz2", bz2.open)):
        with open(path, "rb") as plain, packed(f"{path}{suffix}", "wb") as stream:
            shutil.copyfileobj(plain, stream)
        renamed(tmp_path, ".mrc" + suffix)
        extract(tmp_path, Windowing(64, 64, False), job=f"Extract/job00{2 + (suffix == '.gz')}")
        assert np.array_equal(stacks(tmp_path, f"Extract/job00{2 + (suffix == '.gz')}"), theirs)
        renamed_back = read_star(tmp_path / "micrographs.star")
        names = renamed_back["micrographs"]["rlnMicrographName"].str.removesuffix(suffix)
        renamed_back["micrographs"] = renamed_back["micrographs"].assign(rlnMicrographName=names)
        write_star(tmp_path / "micrographs.star", renamed_back)


def test_the_pattern_means_what_relions_folder_and_suffix_mean(project):
    assert PATTERN == "AutoPick/job004/*_pick.star"
    extract(project, Windowing(64, 64, False))
    first = stacks(project, "Extract/job001")
    extract(project, Windowing(64, 64, False), "AutoPick/job004/coords_suffix_pick.star", "Extract/job002")
    assert np.array_equal(stacks(project, "Extract/job002"), first)
