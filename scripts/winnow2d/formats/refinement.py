"""The files of one iteration, run_itNNN_{data,model,optimiser,sampling}.star and _classes.mrcs <-> Iteration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d import __version__
from winnow2d.errors import StarError, problems_of
from winnow2d.formats.assigned_rows import AssignedRows
from winnow2d.formats.atomic import Behind, replaced
from winnow2d.formats.cells import number_of, text_of
from winnow2d.formats.model_star import MOMENT_FILES, model_from_blocks
from winnow2d.formats.model_writing import model_blocks
from winnow2d.formats.moments import first_moment_parts, read_moments, second_moment_parts
from winnow2d.formats.mrc import ParticleStack, split_image_name
from winnow2d.formats.named_files import find_named, image_from_here
from winnow2d.formats.optimiser_star import TABLE, changes_from_table, gradient_state, optimiser_blocks
from winnow2d.formats.particles import (
    ParticleTable,
    particles_from_table,
    read_particle_table,
)
from winnow2d.formats.posteriors import POSTERIORS_FILE, posterior_parts, posteriors_beside, read_posteriors
from winnow2d.formats.sampling_star import sampling_blocks, sampling_from_blocks
from winnow2d.formats.stack_writing import Bytes, stack_parts
from winnow2d.formats.star import read_star
from winnow2d.formats.star_writing import Blocks, star_parts
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Iteration, Model, Moments, Sampling

ITERATION_FILES = (
    "optimiser.star", "sampling.star", "model.star", "data.star", "classes.mrcs", "1moment.mrcs", "2moment.mrcs",
    POSTERIORS_FILE,
)  # fmt: skip


class IterationWriter:
    """Writes the files of a job's iterations, all of one or none: classes, data, model, sampling, the optimiser last.

    Parameters
    ----------
    table : ParticleTable
        The particles in the order of the iterations' particles, sorted by micrograph; columns that
        classification does not define are kept verbatim.
    options, own : options of the job
    command : str
        Stands as a comment in the optimiser file.
    """

    def __init__(self, table: ParticleTable, options: Class2DOptions, own: OwnOptions, command: str):
        self._optics, self._rows = table.optics, AssignedRows(table.particles)
        self._options, self._own = options, own
        self._comments = (f"Winnow optimiser; version {__version__}", f"{' '.join(command.split())} ")

    def write(self, stem: str, iteration: Iteration, behind: Behind | None = None) -> None:
        """Write the files of an iteration, at the latest when `behind` ends; the iteration may change after this.

        Parameters
        ----------
        stem : str
            Relative to the project, such as Class2D/job011/run.
        iteration : Iteration
            Iteration 0 has no sampling file, as in RELION; the last one also the classes of largest posterior.

        Raises
        ------
        StarError, ImageError
            A number is nan or infinite, or sizes disagree. No file of the iteration is changed then.
        """
        parts = self._parts(stem, iteration)
        with replaced(*parts, behind=behind) as temporaries:
            for (path, content), temporary in zip(parts.items(), temporaries, strict=True):
                with open(temporary, "wb") as file, problems_of(path):
                    file.writelines(content)

    def _parts(self, stem: str, iteration: Iteration) -> dict[str, Iterable[Bytes]]:
        """Return the content of each file of an iteration, in the order in which they appear."""
        named, model, moments = f"{stem}_it{iteration.number:03d}", iteration.model, iteration.moments
        pixel_size = model.pixel_size_ang
        parts: dict[str, Iterable[Bytes]] = {}
        if moments is not None:
            parts[f"{named}_1moment.mrcs"] = first_moment_parts(moments)
            parts[f"{named}_2moment.mrcs"] = second_moment_parts(moments)
        data: Blocks = {"optics": self._optics, "particles": self._rows.at(iteration.particles, iteration.number)}
        parts[f"{named}_classes.mrcs"] = stack_parts(model.references, pixel_size)
        parts[f"{named}_data.star"] = star_parts(data)
        parts[f"{named}_model.star"] = star_parts(model_blocks(iteration, f"{named}_classes.mrcs"))
        if iteration.number > 0:
            parts[f"{named}_sampling.star"] = star_parts(sampling_blocks(iteration.sampling))
        if model.unmasked_references is not None:
            parts[f"{stem}_unmasked_classes.mrcs"] = stack_parts(model.unmasked_references, pixel_size)
        if iteration.number == iteration.total and iteration.particles.top_classes is not None:
            parts[f"{named}_{POSTERIORS_FILE}"] = posterior_parts(iteration.particles)
        optimiser = optimiser_blocks(stem, iteration, self._options, self._own)
        parts[f"{named}_optimiser.star"] = star_parts(optimiser, self._comments)
        return parts


def write_iteration(
    stem: str,
    iteration: Iteration,
    table: ParticleTable,
    options: Class2DOptions,
    own: OwnOptions,
    command: str,
) -> None:
    """Write the files of one iteration; see `IterationWriter`."""
    IterationWriter(table, options, own, command).write(stem, iteration)


def remove_iteration(stem: str, number: int) -> None:
    """Delete the files of an iteration, the optimiser first, so that what is left never looks whole."""
    for name in ITERATION_FILES:
        Path(f"{stem}_it{number:03d}_{name}").unlink(missing_ok=True)


def iteration_numbers(stem: str) -> list[int]:
    """Return the numbers of the iterations of which any file is there, ascending."""
    name = re.compile(rf"{re.escape(Path(stem).name)}_it(\d{{3,}})_({'|'.join(map(re.escape, ITERATION_FILES))})")
    matches = (name.fullmatch(path.name) for path in Path(stem).parent.glob("*"))
    return sorted({int(match[1]) for match in matches if match})


def remove_iterations_after(stem: str, number: int) -> None:
    """Delete the files of all iterations beyond `number`, the last first; with -1 nothing of any is left.

    Files that a killed job was writing go as well.

    Raises
    ------
    OSError
        A file cannot be deleted.
    """
    for later in reversed(iteration_numbers(stem)):
        if later > number:
            remove_iteration(stem, later)
    for unfinished in Path(stem).parent.glob(f".{Path(stem).name}_*.tmp"):
        unfinished.unlink(missing_ok=True)
    if number < 0:
        Path(f"{stem}_unmasked_classes.mrcs").unlink(missing_ok=True)


def read_iteration(optimiser_path: str | os.PathLike) -> Iteration:
    """Return an iteration from its optimiser file, ours or one of RELION 3.1 to 5.

    Parameters
    ----------
    optimiser_path : path
        The files it names are those of the project it lies in; see `named_files`.

    Returns
    -------
    iteration : Iteration
        `model.unmasked_references` is None; steps of the search grid are 0 where no sampling file is
        (iteration 0).

    Raises
    ------
    StarError, ImageError
        A file is missing or broken, or the files do not fit together.
    """
    path = Path(optimiser_path)
    optimiser = _tables(path, TABLE)[TABLE]
    files = _named_files(optimiser, path)
    number = int(number_of(optimiser, "rlnCurrentIteration", where=str(path)))
    particles, optics = particles_from_table(read_particle_table(files["data"]))
    blocks = _model_tables(files["model"])
    classes, model_path = blocks["model_classes"], files["model"]
    names = _image_names(classes, "rlnReferenceImage", model_path, path)
    references = ParticleStack(names).read(np.arange(len(names)))
    model = model_from_blocks(blocks, references, particles, len(optics), str(files["model"]))
    has_moments = set(MOMENT_FILES) <= set(classes.columns)
    tops = read_posteriors(posteriors_beside(path), len(particles), model.n_classes)
    if tops is not None:
        particles.top_classes, particles.top_posteriors = tops
    return Iteration(
        number=number,
        total=int(number_of(optimiser, "rlnNumberOfIterations", number, where=str(path))),
        model=model,
        particles=particles,
        optics=optics,
        sampling=_sampling(files.get("sampling")),
        changes=changes_from_table(optimiser, str(path)),
        **gradient_state(optimiser, str(path)),
        moments=_moments(classes, model, model_path, path) if has_moments else None,
    )


def _moments(classes: pd.DataFrame, model: Model, model_path: Path, optimiser_path: Path) -> Moments:
    first, second = (_image_names(classes, label, model_path, optimiser_path) for label in MOMENT_FILES)
    return read_moments(first, second, model.n_classes, model.box_px)


def read_class_table(model_path: str | os.PathLike) -> pd.DataFrame:
    """Return data_model_classes of a model file as text, one row per class.

    Raises
    ------
    StarError
        If the file is broken or has no such table.
    """
    return _tables(Path(model_path), "model_classes")["model_classes"]


def class_table_from_here(model_path: str | os.PathLike, optimiser_path: str | os.PathLike) -> pd.DataFrame:
    """Return data_model_classes with class averages called as they are found from the working directory."""
    classes = read_class_table(model_path)
    if "rlnReferenceImage" not in classes.columns:
        raise StarError(f"{model_path}: table data_model_classes has no column rlnReferenceImage")
    names = [image_from_here(name, optimiser_path) for name in classes["rlnReferenceImage"]]
    return classes.assign(rlnReferenceImage=names)


def _tables(path: Path, *needed: str) -> dict[str, pd.DataFrame]:
    """Return the tables asked for."""
    blocks = read_star(path, wanted=lambda name: name in needed)
    _check(blocks, needed, path)
    return blocks


def _check(blocks: dict[str, pd.DataFrame], needed: tuple[str, ...], path: Path) -> None:
    missing = [name for name in needed if name not in blocks or len(blocks[name]) == 0]
    if missing:
        raise StarError(*(f"{path}: no table data_{name}, or no rows in it" for name in missing))


def _model_tables(path: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a model file; noise per intensity group only if there is none per optics group."""
    blocks = read_star(path, wanted=lambda name: not name.startswith("model_group_"))
    _check(blocks, ("model_general", "model_classes"), path)
    return blocks if "model_optics_group_1" in blocks else read_star(path)


def _image_names(classes: pd.DataFrame, label: str, model_path: Path, optimiser_path: Path) -> list[str]:
    """Return number@file of each class average or moment, with the file as it is found from here."""
    if label not in classes.columns:
        raise StarError(f"{model_path}: table data_model_classes has no column {label}")
    pairs = [split_image_name(name) for name in classes[label]]
    found = {file: find_named(file, optimiser_path) for file in {file for _, file in pairs}}
    return [f"{number + 1}@{found[file]}" for number, file in pairs]


def _sampling(file: Path | None) -> Sampling:
    """Return the search grid of an iteration; iteration 0 has none."""
    return Sampling(0.0, 0.0, 0.0) if file is None else sampling_from_blocks(read_star(file), str(file))


def _named_files(optimiser: pd.DataFrame, path: Path) -> dict[str, Path]:
    """Return the tables an optimiser file names: model, data and, but for iteration 0, sampling."""
    named = {"model": "rlnModelStarFile", "data": "rlnExperimentalDataStarFile"}
    if int(number_of(optimiser, "rlnCurrentIteration", where=str(path))) > 0:
        named["sampling"] = "rlnOrientSamplingStarFile"
    return {kind: find_named(text_of(optimiser, label, where=str(path)), path) for kind, label in named.items()}


def files_of_iteration(optimiser_path: str | os.PathLike) -> dict[str, Path]:
    """Return the files an optimiser file and its model name, as they are found from here; see `read_iteration`.

    Returns
    -------
    files : dict
        model, data; sampling unless it is iteration 0; classes1 and, of VDAM, further files of images.

    Raises
    ------
    StarError
        One is missing, or the tables that name them are broken.
    """
    path = Path(optimiser_path)
    files = _named_files(_tables(path, TABLE)[TABLE], path)
    classes = read_class_table(files["model"])
    images: dict[Path, None] = {}
    for label in ("rlnReferenceImage", *MOMENT_FILES):
        if label in classes.columns:
            names = _image_names(classes, label, files["model"], path)
            images |= dict.fromkeys(Path(name.partition("@")[2]) for name in names)
    return files | {f"classes{number}": file for number, file in enumerate(images, start=1)}
