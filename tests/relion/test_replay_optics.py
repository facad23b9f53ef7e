"""RELION 3.1 runs on particles of every kind of optics, and one iteration of ours from its state is its own.

Every optics group has one micrograph name: RELION 3.1 has one noise spectrum per micrograph, RELION 5 and we one per
optics group. The images are RELION 5's (tests/golden), so most of what the tables say of them is not true; that both
programs draw the same conclusions from it is what is shown.
"""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replaying import classifier, compare_models, compare_particles, iteration_of, next_after, options_of
from synthetic import ctfs_of
from winnow2d.engine import iteration as engine_iteration
from winnow2d.engine.classify import Classifier
from winnow2d.formats.mrc import ParticleStack, write_stack
from winnow2d.formats.particles import (
    ParticleTable,
    particles_from_table,
    read_particle_table,
    write_particle_table,
)
from winnow2d.formats.refinement import read_iteration, write_iteration
from winnow2d.numerics.grids import half_plane
from winnow2d.options import OwnOptions
from winnow2d.records import OpticsGroup

pytestmark = pytest.mark.relion

GOLDEN = Path(__file__).parents[1] / "golden" / "relion5"
N = 200
WORDS = (
    "--iter 2 --flatten_solvent --zero_mask --oversampling 1 --norm --scale --pad 2 --j 1 --random_seed 1 --K 3 "
    "--skip_gridding --particle_diameter 160 --ctf --psi_step 12 --offset_range 5 --offset_step 2 --tau2_fudge 2"
)
PIXEL, BOX = 4.72, 48
LAST = np.arange(N) >= N // 2  # the particles of the second optics group, where there are two
EVEN = "[0.2,12,-20,30,150,-80,200,-120,90]"
ODD = "[1.5,-2.5,40,-60,80,30]"
ODD_WITH_TILT = "[1.5,-2.5,40,0,0,30]"  # coma stands in the beam tilt, as CTF refinement writes both
MAGNIFIED = dict(rlnMagMat00="1.03", rlnMagMat01="0.02", rlnMagMat10="-0.01", rlnMagMat11="0.96")


def cells(low, high, seed):
    return [f"{value:.4f}" for value in np.random.default_rng(seed).uniform(low, high, N)]


def one_group(optics, particles):
    """Return optics columns and particle columns of one group."""
    return {name: [cell] for name, cell in optics.items()}, particles


CTFS = dict(
    rlnPhaseShift=cells(20, 120, 1), rlnDefocusU=cells(14000, 18000, 2), rlnDefocusV=cells(6000, 9000, 3),
    rlnDefocusAngle=cells(0, 180, 4), rlnCtfBfactor=cells(0, 300, 5), rlnCtfScalefactor=cells(0.6, 1.4, 6),
)  # fmt: skip
# optics columns (a cell per group), particle columns, and the fields of OpticsGroup that are looked at
CASES = {
    "phase plates, astigmatism, B-factors": (*one_group({}, CTFS), ()),
    "even Zernike": (*one_group({"rlnEvenZernike": EVEN}, {}), ("even_zernike",)),
    "odd Zernike": (*one_group({"rlnOddZernike": ODD}, {}), ("odd_zernike",)),
    "beam tilt": (*one_group({"rlnBeamTiltX": "3", "rlnBeamTiltY": "-7"}, {}), ("beam_tilt_mrad",)),
    "anisotropic magnification": (*one_group(MAGNIFIED, {}), ("magnification",)),
    "all at once in one of two groups": (
        {
            "rlnVoltage": ["200", "300"], "rlnSphericalAberration": ["1.4", "2.7"], "rlnEvenZernike": ["[0,0]", EVEN],
            "rlnOddZernike": ["[0,0]", ODD_WITH_TILT], "rlnBeamTiltX": ["0", "20"], "rlnBeamTiltY": ["0", "-50"],
            **{name: [one, other] for (name, other), one in zip(MAGNIFIED.items(), "1001", strict=True)},
        },
        CTFS,
        ("voltage_kv", "even_zernike", "odd_zernike", "beam_tilt_mrad", "magnification"),
    ),
    "premultiplied": (*one_group({"rlnCtfDataAreCtfPremultiplied": "1"}, {}), ("is_ctf_premultiplied",)),
    "premultiplied in one of two groups": (
        {"rlnCtfDataAreCtfPremultiplied": ["0", "1"]}, {}, ("is_ctf_premultiplied",),
    ),
}  # fmt: skip


def write_particles(folder, optics, columns, images, second=None):
    """Write the table `folder`/particles.star and its stacks; `second` is (images, pixel size) of the second group."""
    table = read_particle_table(GOLDEN / "Extract" / "job001" / "particles.star")
    n_groups = max([1, *(len(values) for values in optics.values())]) if second is None else 2
    group = LAST.astype(int) if n_groups == 2 else np.zeros(N, int)
    names = np.array([f"{row + 1:06d}@one.mrcs" for row in range(N)], dtype=object)
    write_stack(folder / "one.mrcs", images, PIXEL)
    table.optics = pd.concat([table.optics] * n_groups, ignore_index=True)
    table.optics = table.optics.assign(
        rlnOpticsGroup=[str(g + 1) for g in range(n_groups)], rlnOpticsGroupName=["one", "two"][:n_groups], **optics
    )
    if second is not None:
        others, pixel = second
        write_stack(folder / "two.mrcs", others, pixel)
        names[LAST] = [f"{row + 1:06d}@two.mrcs" for row in range(len(others))]
        table.optics["rlnImageSize"] = [str(BOX), str(others.shape[-1])]
        table.optics["rlnImagePixelSize"] = [f"{PIXEL:.6f}", f"{pixel:.6f}"]
    micrographs = np.array(["Micrographs/a.mrc", "Micrographs/b.mrc"], dtype=object)
    particles = table.particles.iloc[:N].reset_index(drop=True).assign(
        rlnImageName=names, rlnMicrographName=micrographs[group], rlnOpticsGroup=(group + 1).astype(str), **columns
    )  # fmt: skip
    write_particle_table(folder / "particles.star", ParticleTable(table.optics, particles))


def images_of():
    table = read_particle_table(GOLDEN / "Extract" / "job001" / "particles.star")
    return ParticleStack(list(table.particles["rlnImageName"]), root=GOLDEN).read(np.arange(N))


def premultiply(folder):
    """Multiply the images of groups flagged so by their CTF."""
    particles, optics = particles_from_table(read_particle_table(folder / "particles.star"))
    plane, images = half_plane(BOX), images_of().astype(np.float64)
    spectra = np.fft.rfft2(images)
    full = np.zeros((N, BOX * (BOX // 2 + 1)))
    ctf = ctfs_of(particles, np.arange(N), optics, plane, len(plane.kx))
    full[:, plane.flat_index] = ctf
    full = full.reshape(spectra.shape)
    rows = np.arange(1, BOX // 2)
    full[:, BOX - rows, 0] = full[:, rows, 0]
    multiplied = np.fft.irfft2(spectra * full, s=(BOX, BOX))
    flagged = np.array([group.is_ctf_premultiplied for group in optics])[particles.optics_group]
    write_stack(folder / "one.mrcs", np.where(flagged[:, None, None], multiplied, images), PIXEL)
    shells = np.array([(ctf[flagged][:, plane.shell == r] ** 2).mean() for r in range(plane.n_shells)])
    return shells * flagged.mean()


def run_relion(folder):
    (folder / "out").mkdir()
    command = f"relion_refine --i particles.star --o out/run {WORDS}"
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def replayed(folder, forget=()):
    """Return our second iteration and RELION's; ours without fields of the optics groups in `forget`."""
    stem = folder / "out" / "run"
    old, theirs = iteration_of(stem, 1), iteration_of(stem, 2)
    plain = OpticsGroup("", old.optics[0].voltage_kv, 0, 0, PIXEL, BOX)
    optics = [replace(group, **{name: getattr(plain, name) for name in forget}) for group in old.optics]
    options = options_of(nr_classes=3, do_center=False, particle_diameter=160.0)
    run = classifier(stem, folder, replace(old, optics=optics), options, "double")
    return next_after(run, old, theirs.sampling), theirs


def compare(ours, theirs, ctf2=None):
    compare_particles(ours.particles, theirs.particles)
    compare_models(ours.model, theirs.model, ctf2)
    np.testing.assert_allclose(ours.particles.log_likelihood, theirs.particles.log_likelihood, rtol=0, atol=3e-3)


@pytest.fixture
def weights_of_relion_31(monkeypatch):
    """Weigh CTF-premultiplied images by their group's intensity scale twice, as RELION 3.1 does; RELION 5 does once."""
    right = engine_iteration.expect

    def expect(compared, spectra, ctf, scale, optics_group, offset, prior, draws, data_factor):
        chunk = right(compared, spectra, ctf, scale, optics_group, offset, prior, draws, data_factor)
        if data_factor is None:
            return chunk
        is_premultiplied = (data_factor != ctf).any(axis=1)
        return replace(chunk, power=chunk.power * np.where(is_premultiplied, scale, 1.0)[:, None])

    monkeypatch.setattr(engine_iteration, "expect", expect)


@pytest.mark.usefixtures("weights_of_relion_31")
@pytest.mark.parametrize("case", CASES)
def test_optics(tmp_path, case):
    optics, columns, fields = CASES[case]
    write_particles(tmp_path, optics, columns, images_of())
    ctf2 = premultiply(tmp_path) if "premultiplied" in case else None
    run_relion(tmp_path)
    if ctf2 is not None:
        ctf2 = ctf2 * iteration_of(tmp_path / "out" / "run", 1).model.scale_correction[-1]
    compare(*replayed(tmp_path), ctf2)
    for field in fields:  # the replay would notice if it were not looked at
        ours, theirs = replayed(tmp_path, (field,))
        assert np.abs(ours.particles.max_probability - theirs.particles.max_probability).max() > 5e-5, field


def fourier_scaled(images, box):
    """Return images with as many pixels as `box` for the same length."""
    n = images.shape[-1]
    spectra = np.fft.fftshift(np.fft.fft2(images, norm="forward"), axes=(1, 2))
    kept = min(n, box)
    start, to = n // 2 - kept // 2, box // 2 - kept // 2
    scaled = np.zeros((len(images), box, box), complex)
    scaled[:, to : to + kept, to : to + kept] = spectra[:, start : start + kept, start : start + kept]
    moved = np.fft.ifft2(np.fft.ifftshift(scaled, axes=(1, 2)), norm="forward").real
    return moved.astype(np.float32)


def cut(images, box):
    start = images.shape[-1] // 2 - box // 2
    return images[:, start : start + box, start : start + box]


GEOMETRIES = {
    "coarser pixels": lambda images: (fourier_scaled(images, 40), PIXEL * BOX / 40),
    "finer pixels": lambda images: (fourier_scaled(images, 60), PIXEL * BOX / 60),
    "a smaller box": lambda images: (cut(images, 42), PIXEL),
    "finer pixels in a smaller box": lambda images: (cut(fourier_scaled(images, 60), 54), PIXEL * BOX / 60),
    "pixels 3 % larger than they would be": lambda images: (fourier_scaled(images, 50), 1.03 * PIXEL * BOX / 50),
}


@pytest.fixture
def shifts_of_relions_cpu_code(monkeypatch):
    """Shift images by RELION's CPU code: it takes phases for a box as large as the model's, whatever the image's.

    RELION's accelerated code (`--gpu`, `--cpu`) shifts them right, and so do we.
    """
    right = engine_iteration.compare_with

    def compare_with(projections, grid, plane, *others, **named):
        factor = plane.box_px / BOX
        searched, fine = grid.searched_shifts_px * factor, grid.fine_shifts_px * factor
        wrong = replace(grid, searched_shifts_px=searched, fine_shifts_px=fine)
        return replace(right(projections, wrong, plane, *others, **named), grid=grid)

    monkeypatch.setattr(engine_iteration, "compare_with", compare_with)


@pytest.mark.usefixtures("shifts_of_relions_cpu_code")
@pytest.mark.parametrize("case", GEOMETRIES)
def test_two_boxes_and_pixel_sizes(tmp_path, case):
    """The model has box and pixel size of the first group; the second's particles carry beam tilt in addition."""
    images = images_of()
    optics = {"rlnBeamTiltX": ["0", "3"], "rlnBeamTiltY": ["0", "-7"], "rlnVoltage": ["200", "300"]}
    write_particles(tmp_path, optics, {}, images, GEOMETRIES[case](images[LAST]))
    run_relion(tmp_path)
    ours, theirs = replayed(tmp_path)
    assert (ours.model.box_px, ours.model.pixel_size_ang) == (theirs.model.box_px, theirs.model.pixel_size_ang)
    assert ours.model.box_px == BOX
    compare(ours, theirs)


def test_two_groups_of_different_noise(tmp_path):
    """Equal geometry; the second group's images have white noise added, and another microscope."""
    images = images_of()
    images[LAST] += np.random.default_rng(1).normal(0, 0.7, images[LAST].shape).astype(np.float32)
    optics = {"rlnVoltage": ["200", "300"], "rlnSphericalAberration": ["1.4", "2.7"]}
    write_particles(tmp_path, optics, {}, images)
    run_relion(tmp_path)
    ours, theirs = replayed(tmp_path)
    compare(ours, theirs)
    first = iteration_of(tmp_path / "out" / "run", 0)
    like = classifier(tmp_path / "out" / "run", tmp_path, first, options_of(particle_diameter=160.0), "double")
    started = Classifier(like.images, first.particles, first.optics, like.class2d, like.own)
    np.testing.assert_allclose(started.iteration.model.sigma2_noise, first.model.sigma2_noise, rtol=1e-5)
    assert not np.allclose(ours.model.sigma2_noise[1], ours.model.sigma2_noise[0], rtol=0.1)


def test_relion_goes_on_from_our_iteration_of_two_boxes(tmp_path, monkeypatch):
    """Our files of RELION's iteration 1, with aberrations and two boxes, are files RELION continues from.

    (Even aberrations with two boxes stop RELION 3.1 before its first iteration.)
    """
    images = images_of()
    optics = {"rlnOddZernike": ["[0,0]", ODD_WITH_TILT], "rlnBeamTiltX": ["0", "3"], "rlnBeamTiltY": ["0", "-7"]}
    write_particles(tmp_path, optics, {}, images, GEOMETRIES["finer pixels"](images[LAST]))
    run_relion(tmp_path)
    monkeypatch.chdir(tmp_path)
    iteration, table = read_iteration("out/run_it001_optimiser.star"), read_particle_table("out/run_it001_data.star")
    Path("ours").mkdir()
    options = options_of(nr_classes=3, do_center=False, particle_diameter=160.0)
    write_iteration("ours/run", iteration, table, options, OwnOptions(), "class2d")
    command = "relion_refine --continue ours/run_it001_optimiser.star --o ours/run --iter 2 --j 1"
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    after, theirs = read_iteration("ours/run_it002_optimiser.star"), read_iteration("out/run_it002_optimiser.star")
    for ours, other in zip(after.model.sigma2_noise, theirs.model.sigma2_noise, strict=True):
        np.testing.assert_allclose(ours[2:20], other[2:20], rtol=0.1)
    assert after.model.average_max_probability == pytest.approx(theirs.model.average_max_probability, rel=0.2)


def test_one_detector_response_changes_nothing_in_relion(tmp_path):
    """So it is passed through; where groups differ in it, RELION corrects the difference and the import refuses."""
    images = images_of()
    shutil.copytree(GOLDEN / "Extract", tmp_path / "Extract")
    mtf = "data_\n\nloop_\n_rlnResolutionInversePixel #1\n_rlnMtfValue #2\n"
    (tmp_path / "mtf.star").write_text(mtf + "".join(f"{f / 20:.3f} {1 - f / 25:.3f}\n" for f in range(11)))
    optics = {"rlnMtfFileName": ["mtf.star"], "rlnMicrographOriginalPixelSize": [f"{PIXEL / 2:.3f}"]}
    write_particles(tmp_path, optics, {}, images)
    run_relion(tmp_path)
    compare(*replayed(tmp_path))
