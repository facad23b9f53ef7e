"""Programs that read pixels: what they measure, turn, shift and reconstruct agrees with our averages."""

from __future__ import annotations

import re

import mrcfile
import numpy as np
import pytest

from interop.micrographs import BOX_PX, CTF, PIXEL_SIZE_ANG
from interop.programs import run
from interop.small_project import CLEAN, EM, SELECTED, VDAM
from winnow2d.formats.star import read_star
from winnow2d.numerics.ctf import ctf_values
from winnow2d.numerics.grids import radius_map

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

STATS = re.compile(
    r"(\d+)@(\S+) : \(x,y,z,n\)= (\d+) x (\d+) x 1 x 1 ; avg= (\S+) stddev= (\S+) minval= (\S+) maxval= (\S+); "
    r"angpix = (\S+)"
)


def correlation(first, second):
    inside = radius_map(BOX_PX) < 0.4 * BOX_PX
    return float(np.corrcoef(first[inside], second[inside])[0, 1])


@pytest.mark.parametrize("stem", [EM, VDAM])
def test_image_handler_measures_our_averages(ours, stem):
    path = f"{stem}classes.mrcs"
    found = STATS.findall(run(ours, "relion_image_handler", "--i", path, "--stats"))
    images = mrcfile.read(ours / path).astype(float)
    assert [(int(number), name) for number, name, *_ in found] == [(n + 1, path) for n in range(len(images))]
    measured = np.array([[float(value) for value in values] for _, _, *values in found])
    np.testing.assert_array_equal(measured[:, :2], BOX_PX)
    moments = [images.mean((1, 2)), images.std((1, 2)), images.min((1, 2)), images.max((1, 2))]
    np.testing.assert_allclose(measured[:, 2:6], np.transpose(moments), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(measured[:, 6], PIXEL_SIZE_ANG, rtol=1e-5)


def test_image_handler_reads_the_names_in_our_selection(ours):
    """A STAR file of images, each taken and written by its name: class_averages.star is one."""
    averages = read_star(ours / SELECTED / "class_averages.star")[""]["rlnReferenceImage"].tolist()
    said = [run(ours, "relion_image_handler", "--i", name, "--stats") for name in averages]
    images = mrcfile.read(ours / f"{EM}classes.mrcs").astype(float)
    for name, text in zip(averages, said, strict=True):
        expected = images[int(name.split("@")[0]) - 1].mean()
        assert float(re.search(r"avg= (\S+)", text)[1]) == pytest.approx(expected, rel=1e-4)


def corrected_average(images, defocus_ang):
    """Return the average (y, x) of aligned images corrected for their CTFs, which have no astigmatism."""
    ky, kx = np.meshgrid(np.fft.fftfreq(BOX_PX), np.fft.rfftfreq(BOX_PX), indexing="ij")
    place = (kx / PIXEL_SIZE_ANG, ky / PIXEL_SIZE_ANG)
    ctf = np.array([ctf_values(*place, defocus, defocus, 0.0, *CTF.values()) for defocus in defocus_ang])
    return np.fft.irfft2((ctf * np.fft.rfft2(images)).sum(0) / ((ctf**2).sum(0) + 1), s=(BOX_PX, BOX_PX))


def test_stack_create_turns_and_shifts_our_particles_onto_their_averages(ours):
    particles = f"{SELECTED}/particles.star"
    run(ours, "relion_stack_create", "--i", particles, "--o", "out/turned", "--apply_transformation", "--one_by_one")
    run(ours, "relion_stack_create", "--i", particles, "--o", "out/plain", "--one_by_one")
    table = read_star(ours / particles)["particles"]
    classes, defocus = table["rlnClassNumber"].astype(int).to_numpy(), table["rlnDefocusU"].astype(float).to_numpy()
    turned, plain = mrcfile.read(ours / "out/turned.mrcs"), mrcfile.read(ours / "out/plain.mrcs")
    averages = mrcfile.read(ours / f"{EM}classes.mrcs")
    assert len(turned) == len(plain) == len(table) == len(read_star(ours / "out/turned.star")["particles"])
    for number in np.unique(classes):
        rows = classes == number
        if rows.sum() < 20:  # single particles of a class that was dropped
            continue
        found = correlation(corrected_average(turned[rows], defocus[rows]), averages[number - 1])
        unturned = correlation(corrected_average(plain[rows], defocus[rows]), averages[number - 1])
        assert found >= (0.95 if rows.sum() > 100 else 0.7)  # a few noisy images say less
        assert found > unturned


def test_reconstruct_in_two_dimensions_gives_our_average(ours):
    """The class's particles put back by their angle and offset, with the CTF: what the average is."""
    for number in (1, 2):
        out = f"out/class{number}.mrc"
        options = ("--refdim", 2, "--class", number, "--ctf", "--maxres", 30)
        run(ours, "relion_reconstruct", "--i", f"{CLEAN}/particles.star", "--o", out, *options)
        with mrcfile.open(ours / out) as file:
            image, pixel = np.squeeze(file.data), float(file.voxel_size.x)
        assert image.shape == (BOX_PX, BOX_PX)
        assert pixel == pytest.approx(PIXEL_SIZE_ANG, rel=1e-5)
        averages = mrcfile.read(ours / f"{VDAM}classes.mrcs")
        assert correlation(image, averages[number - 1]) >= 0.95
        assert correlation(image, averages[2 - number]) < 0.9


def test_reconstruct_takes_2d_particles_for_views_from_one_side(ours):
    """Without --refdim 2 it makes a map; all rot and tilt are 0, so its projection along z is the average of all."""
    run(ours, "relion_reconstruct", "--i", "Select/clean/particles.star", "--o", "out/map.mrc", "--ctf", "--maxres", 30)
    with mrcfile.open(ours / "out/map.mrc") as file:
        density, pixel = file.data.copy(), float(file.voxel_size.x)
    assert density.shape == (BOX_PX,) * 3
    assert pixel == pytest.approx(PIXEL_SIZE_ANG, rel=1e-5)
    averages = mrcfile.read(ours / f"{VDAM}classes.mrcs")
    classes = read_star(ours / CLEAN / "particles.star")["particles"]["rlnClassNumber"].astype(int)
    weights = np.bincount(classes - 1, minlength=len(averages))
    expected = np.average(averages, axis=0, weights=weights)
    assert correlation(density.sum(axis=0), expected) >= 0.9
