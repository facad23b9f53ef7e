"""Small micrographs with known particles, as RELION's jobs before Extract leave them in a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from winnow2d.demo_options import DemoOptions
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.ctf import ctf_values
from winnow2d.simulation.dataset import Simulation
from winnow2d.simulation.scene import Views

PIXEL_SIZE_ANG = 7.08
BOX_PX = 32
DIAMETER_ANG = 170.0
CELL_PX, CELLS = 44, 10  # one particle at most in each cell of a micrograph
N_MICROGRAPHS, N_PARTICLES, N_EMPTY = 4, 80, 10  # of each micrograph: picked particles and picked nothing
DEFOCUS_ANG = (10000.0, 13000.0, 16000.0, 19000.0)
SIGMA_NOISE = 1.0  # in units of the standard deviation of a projection over its box
MICROGRAPHS = "CtfFind/micrographs_ctf.star"
FOLDER, SUFFIX = "Picks/", "_picked.star"
TRUTH = "Picks/truth.star"
CTF = {"voltage_kv": 300.0, "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.1}


@dataclass(frozen=True)
class Field:
    """One micrograph: its image (y, x), where its particles are, and where something was picked (n, 2), x then y."""

    name: str
    image: np.ndarray
    true_px: np.ndarray
    picked_px: np.ndarray  # the particles first, each near its true place, then places without a particle


def micrograph_names() -> list[str]:
    """Return the names of the micrographs."""
    return [f"Micrographs/mic_{number}.mrc" for number in range(1, N_MICROGRAPHS + 1)]


def make_field(index: int, simulation: Simulation, views: Views) -> Field:
    """Return one micrograph: protein dark, as a camera sees it, in white noise."""
    rng = np.random.default_rng([1, index])
    cells = rng.permutation(CELLS * CELLS)[: N_PARTICLES + N_EMPTY]
    centre = np.stack([cells % CELLS, cells // CELLS], axis=1) * CELL_PX + CELL_PX // 2
    picked_px = centre + rng.integers(-3, 4, centre.shape)
    true_px = picked_px[:N_PARTICLES] + rng.integers(-2, 3, (N_PARTICLES, 2))
    images = simulation.project(np.array([views.draw(rng) for _ in range(N_PARTICLES)]))
    image = np.zeros((CELLS * CELL_PX,) * 2)
    for (x, y), particle in zip(true_px - BOX_PX // 2, images / images.std(), strict=True):
        image[y : y + BOX_PX, x : x + BOX_PX] += particle
    ky, kx = np.meshgrid(np.fft.fftfreq(len(image)), np.fft.rfftfreq(len(image)), indexing="ij")
    defocus = DEFOCUS_ANG[index]
    ctf = ctf_values(
        kx / PIXEL_SIZE_ANG, ky / PIXEL_SIZE_ANG, defocus, defocus, 0.0, *CTF.values(), phase_shift_deg=0.0
    )
    seen = np.fft.irfft2(np.fft.rfft2(image) * ctf, s=image.shape)
    return Field(micrograph_names()[index], rng.normal(0, SIGMA_NOISE, image.shape) - seen, true_px, picked_px)


def make_micrographs(project: Path) -> None:
    """Write micrographs, their CTFs, what was picked on them, and the true places of the particles."""
    options = DemoOptions(box=BOX_PX, pixel_size=PIXEL_SIZE_ANG, diameter=DIAMETER_ANG, particles=1, symmetry="C1")
    simulation, views = Simulation(options), Views(3, np.random.default_rng(5))
    for folder in ("Micrographs", "CtfFind", "Picks/Micrographs"):
        (project / folder).mkdir(parents=True)
    truth = []
    for index in range(N_MICROGRAPHS):
        field = make_field(index, simulation, views)
        with mrcfile.new(project / field.name, data=field.image.astype(np.float32)) as file:
            file.voxel_size = PIXEL_SIZE_ANG
        picks = pd.DataFrame(field.picked_px.astype(float), columns=["rlnCoordinateX", "rlnCoordinateY"])
        write_star(project / f"{FOLDER}{Path(field.name).with_suffix('')}{SUFFIX}", {"": picks})
        truth += [(field.name, float(x), float(y)) for x, y in field.true_px]
    columns = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]
    write_star(project / TRUTH, {"truth": pd.DataFrame(truth, columns=columns)})
    write_star(project / MICROGRAPHS, {"optics": optics(), "micrographs": micrograph_rows()})


def optics() -> pd.DataFrame:
    """Return the optics table of the micrographs."""
    row = {
        "rlnOpticsGroupName": "opticsGroup1", "rlnOpticsGroup": 1, "rlnMicrographOriginalPixelSize": PIXEL_SIZE_ANG,
        "rlnVoltage": CTF["voltage_kv"], "rlnSphericalAberration": CTF["spherical_aberration_mm"],
        "rlnAmplitudeContrast": CTF["amplitude_contrast"], "rlnMicrographPixelSize": PIXEL_SIZE_ANG,
    }  # fmt: skip
    return pd.DataFrame([row])


def micrograph_rows() -> pd.DataFrame:
    """Return the micrographs with their CTFs, as CtfFind writes them."""
    return pd.DataFrame(
        {
            "rlnMicrographName": micrograph_names(),
            "rlnOpticsGroup": 1,
            "rlnDefocusU": list(DEFOCUS_ANG),
            "rlnDefocusV": list(DEFOCUS_ANG),
            "rlnDefocusAngle": 0.0,
            "rlnCtfFigureOfMerit": 0.2,
            "rlnCtfMaxResolution": 5.0,
        }
    )


def true_places(project: Path) -> dict[str, np.ndarray]:
    """Return where the particles of each micrograph are, (n, 2), x then y, in pixels."""
    table = read_star(project / TRUTH)["truth"]
    places = table[["rlnCoordinateX", "rlnCoordinateY"]].astype(float)
    return {name: places[table["rlnMicrographName"] == name].to_numpy() for name in micrograph_names()}


def distances_px(places: np.ndarray, true_px: np.ndarray) -> np.ndarray:
    """Return how far each place (n, 2) is from the nearest true one (m, 2)."""
    return np.linalg.norm(places[:, None] - true_px[None], axis=2).min(axis=1)
