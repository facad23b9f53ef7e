"""Small projects with micrographs and coordinates, and the real relion_preprocess run on them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from winnow2d.extraction.job import Sources, extract_particles
from winnow2d.extraction.settings import Settings
from winnow2d.formats.star import write_star
from winnow2d.numerics.windows import Windowing

OPTICS = {
    "rlnOpticsGroupName": "opticsGroup1",
    "rlnOpticsGroup": 1,
    "rlnMicrographOriginalPixelSize": 1.0,
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnMicrographPixelSize": 2.0,
}
FOLDER = "MotionCorr/job002/Mic"


def pixels(rng: np.random.Generator, shape: tuple[int, int] = (300, 400)) -> np.ndarray:
    """Return a micrograph with grain, a gradient, a high mean as of counts, and some hot and dead pixels."""
    image = 1000 + 30 * gaussian_filter(rng.normal(size=shape), 1) + 0.1 * np.arange(shape[1])
    image.ravel()[rng.integers(0, image.size, image.size // 4000)] += 400
    image.ravel()[rng.integers(0, image.size, image.size // 4000)] -= 300
    return image.astype(np.float32)


def write_micrograph(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(image)


def micrograph_rows(names: list[str]) -> pd.DataFrame:
    """Return data_micrographs with a CTF of its own for each."""
    return pd.DataFrame(
        {
            "rlnMicrographName": names,
            "rlnOpticsGroup": 1,
            "rlnDefocusU": [10000.0 + 100 * number for number in range(len(names))],
            "rlnDefocusV": 9000.0,
            "rlnDefocusAngle": 30.0,
            "rlnCtfFigureOfMerit": 0.1,
            "rlnCtfMaxResolution": 5.0,
            "rlnPhaseShift": 0.0,
        }
    )


def coordinate_rows(rng: np.random.Generator, n: int, shape: tuple[int, int] = (300, 400)) -> pd.DataFrame:
    """Return picks all over a micrograph; those of the first rows reach over each edge, or a little outside."""
    y, x = shape
    edges = [(5.3, 7.9), (x - 2.5, y - 0.2), (-3.7, y / 2), (x / 2, -0.5), (x + 9, y + 9), (x / 2 + 0.9, y / 2 + 0.1)]
    some = np.concatenate([edges, rng.uniform(0, 1, (n, 2)) * [x, y]])[:n]
    return pd.DataFrame(
        {"rlnCoordinateX": some[:, 0], "rlnCoordinateY": some[:, 1], "rlnAutopickFigureOfMerit": np.linspace(0, 2, n)}
    ).round(6)


def make_project(folder: Path, n_micrographs: int = 2, n_particles: int = 12, shape: tuple[int, int] = (300, 400)):
    """Write micrographs.star, micrographs and AutoPick/job004/Mic/*_pick.star below a folder, and return it."""
    rng = np.random.default_rng(5)
    names = [f"{FOLDER}/m{number}.mrc" for number in range(1, n_micrographs + 1)]
    for name in names:
        write_micrograph(folder / name, pixels(rng, shape))
        picks = folder / f"AutoPick/job004/Mic/{Path(name).stem}_pick.star"
        write_star(picks, {"": coordinate_rows(rng, n_particles, shape)})
    write_star(folder / "micrographs.star", {"optics": pd.DataFrame([OPTICS]), "micrographs": micrograph_rows(names)})
    return folder


PATTERN = "AutoPick/job004/*_pick.star"


def extract(
    project: Path,
    windowing: Windowing,
    coordinates: str = PATTERN,
    job: str = "Extract/job001",
    n_threads: int = 1,
    needs_ctf: bool = True,
    **settings,
):
    """Extract by our own means."""
    return extract_particles(
        Sources("micrographs.star", coordinates, needs_ctf),
        Settings(windowing, **settings),
        project,
        job,
        n_threads,
        lambda *told: None,
    )


def relion_extract(project: Path, *arguments: object, job: str = "Extract/job500", **instead: str) -> Path:
    """Extract by RELION 3.1.3 and return the job's folder."""
    (project / job).mkdir(parents=True, exist_ok=True)
    source = ["--coord_dir", "AutoPick/job004/", "--coord_suffix", "_pick.star"]
    if "particles" in instead:
        source = ["--reextract_data_star", instead["particles"]]
    command = ["relion_preprocess", "--i", "micrographs.star", *source, "--part_dir", f"{job}/"]
    command += ["--part_star", f"{job}/particles.star", "--extract", *map(str, arguments)]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return project / job


def stacks(project: Path, job: str) -> np.ndarray:
    """Return all images of a job, micrograph by micrograph."""
    files = sorted((project / job / "Mic").glob("*.mrcs"))
    assert files
    images = [mrcfile.read(file) for file in files]
    return np.concatenate([image.reshape(-1, *image.shape[-2:]) for image in images])
