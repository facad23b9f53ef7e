"""What a Select job writes, as RELION does: kept particles, their class averages, and every class's score.

The particles keep the order of the classification's data file, and every column verbatim.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats.cells import number_of, numbers_of
from winnow2d.formats.optimiser_star import TABLE
from winnow2d.formats.particles import ParticleTable, write_particle_table
from winnow2d.formats.star import number_column, read_star, write_star

_ACCURACIES = ("rlnAccuracyRotations", "rlnAccuracyTranslationsAngst")
_AVERAGE_COLUMNS = ("rlnClassDistribution", *_ACCURACIES, "rlnEstimatedResolution")
_RANK_COLUMNS = (*_AVERAGE_COLUMNS, "rlnOverallFourierCompleteness", "rlnClassPriorOffsetX", "rlnClassPriorOffsetY")
SELECTION_FILES = (
    "particles.star", "particles_removed.star", "rejected.star", "class_averages.star", "class_averages.mrcs",
    "backup_selection.star", "rank_optimiser.star", "rank_data.star", "rank_model.star",
)  # fmt: skip
_UNKNOWN = "999.000000"  # RELION itself writes inf for a class without resolution, and reads it as 0


def remove_selection(folder: str | Path) -> None:
    """Delete what an earlier selection left in the folder of a Select job, so that nothing of it outlives a failure."""
    for name in SELECTION_FILES:
        (Path(folder) / name).unlink(missing_ok=True)


def class_indices(table: ParticleTable, k: int) -> np.ndarray:
    """Return the class of each particle, (n,) int64, 0-based; -1 where none was ever assigned."""
    if "rlnClassNumber" not in table.particles:
        raise StarError("data_particles has no column rlnClassNumber: it is not the result of a classification.")
    index = numbers_of(table.particles, "rlnClassNumber", where="data_particles").astype(np.int64) - 1
    check_class_indices(index, k)
    return index


def check_class_indices(index: np.ndarray, k: int) -> None:
    """Raise StarError if a particle is of a class, 0-based, that the model does not have."""
    if len(index) and (index.max() >= k or index.min() < -1):
        row = int(np.flatnonzero((index >= k) | (index < -1))[0])
        found = index[row] + 1
        raise StarError(f"data_particles row {row + 1}: rlnClassNumber {found}, but the model has {k} classes.")


def classified_particles(table: ParticleTable, k: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return image name, class (0-based, -1 for none) and largest posterior of each particle."""
    probability = table.particles.get("rlnMaxValueProbDistribution")
    values = np.zeros(len(table.particles)) if probability is None else _known_numbers(probability)
    return list(table.particles["rlnImageName"]), class_indices(table, k), values


def class_image_names(classes: pd.DataFrame) -> list[str]:
    """Return the image of each class, `000001@stack`."""
    return list(classes["rlnReferenceImage"])


def write_kept_particles(
    path: str | Path, table: ParticleTable, is_kept: np.ndarray, removed: Sequence[int] = ()
) -> None:
    """Write particles.star of a Select job and, beside it, the duplicates that were taken out of it.

    Parameters
    ----------
    table : ParticleTable
        Of run_itNNN_data.star.
    is_kept : (n,) bool array
        Which particles are kept; they keep their order and all columns.
    removed : rows (0-based) of the table
        The duplicates. They stand in particles_removed.star, as RELION writes it: an unnamed block without optics.
        Without any there is no such file, since RELION reads none without rows.
    """
    write_particle_table(path, rows_of(table, is_kept))
    if len(removed):
        write_star(Path(path).with_name("particles_removed.star"), {"": table.particles.iloc[sorted(removed)]})


def rows_of(table: ParticleTable, rows: np.ndarray) -> ParticleTable:
    """Return some particles (bool or row numbers), with all columns; optics verbatim."""
    return ParticleTable(optics=table.optics, particles=table.particles.iloc[rows].reset_index(drop=True))


def write_backup_selection(path: str | Path, kept_classes: np.ndarray) -> None:
    """Write which classes are selected, in the unnamed block RELION's display reloads."""
    write_star(path, {"": pd.DataFrame({"rlnSelected": np.asarray(kept_classes).astype(np.int64)})})


def write_class_averages(
    path: str | Path, classes: pd.DataFrame, order: np.ndarray, scores: np.ndarray, stack: str = ""
) -> None:
    """Write class_averages.star: the kept averages with their scores, in an unnamed block.

    Parameters
    ----------
    classes : DataFrame of text, k rows
        model_classes of the classification.
    order : int array
        0-based classes in the order wanted.
    scores : (k,) float array
    stack : str
        Where the kept averages lie in that order, if not where the classification has them.
    """
    rows = classes.iloc[order]
    own = [f"{number:06d}@{stack}" for number in range(1, len(rows) + 1)]
    images = pd.Series(own, index=rows.index, dtype=object) if stack else rows["rlnReferenceImage"]
    table = {"rlnReferenceImage": images, "rlnPredictedClassScore": number_column(scores[order])}
    table |= {label: _finite(rows[label]) for label in _AVERAGE_COLUMNS if label in rows}
    write_star(path, {"": pd.DataFrame(table).reset_index(drop=True)})


def write_rank_files(
    folder: str | Path, optimiser_path: str | Path, table: ParticleTable, classes: pd.DataFrame, scores: np.ndarray
) -> None:
    """Write rank_{model,data,optimiser}.star, from which RELION's display shows the scores of all classes.

    Parameters
    ----------
    folder : path
        Of the Select job, as it shall stand in rank_optimiser.star.
    optimiser_path : path
        Of the classification.
    table : ParticleTable
        All its particles.
    classes, scores
        As in `write_class_averages`.
    """
    folder = Path(folder)
    ranked = {"rlnReferenceImage": classes["rlnReferenceImage"], "rlnClassScore": number_column(scores)}
    ranked |= {label: _finite(classes[label]) for label in _RANK_COLUMNS if label in classes}
    write_star(folder / "rank_model.star", {"model_classes": pd.DataFrame(ranked)})
    write_particle_table(folder / "rank_data.star", table)
    optimiser = _optimiser(optimiser_path).iloc[0].to_dict()
    optimiser["rlnModelStarFile"] = (folder / "rank_model.star").as_posix()
    optimiser["rlnExperimentalDataStarFile"] = (folder / "rank_data.star").as_posix()
    write_star(folder / "rank_optimiser.star", {TABLE: optimiser})


def _optimiser(path: str | Path) -> pd.DataFrame:
    """Return the table of an optimiser file."""
    blocks = read_star(path)
    if TABLE not in blocks:
        raise StarError(f"{path}: no table {TABLE}. Name a run_itNNN_optimiser.star file.")
    return blocks[TABLE]


def mask_diameter_ang(optimiser_path: str | Path) -> float:
    """Return the mask diameter of a classification in Angstrom; 0 if its optimiser file tells of none."""
    return max(float(number_of(_optimiser(optimiser_path), "rlnParticleDiameter", 0.0, where=str(optimiser_path))), 0.0)


def centres_classes(optimiser_path: str | Path) -> bool:
    """Return whether a classification moved its averages to their centre of mass after every iteration."""
    return number_of(_optimiser(optimiser_path), "rlnDoCenterClasses", 0.0, where=str(optimiser_path)) > 0


def highres_limit_ang(optimiser_path: str | Path) -> float:
    """Return the resolution limit of the E-step of a classification in Angstrom; -1 if it had none."""
    where = str(optimiser_path)
    return float(number_of(_optimiser(optimiser_path), "rlnHighresLimitExpectation", -1.0, where=where))


def read_group_scales(model_path: str | Path) -> np.ndarray:
    """Return the intensity scale of every group of a model, (m,) float64; row i is group number i + 1.

    Raises
    ------
    StarError
        If model_groups is missing (as in rank_model.star) or its groups are not numbered 1, 2, 3 ...
    """
    blocks = read_star(model_path)
    if "model_groups" not in blocks:
        raise StarError(f"{model_path}: no table model_groups. Regroup with the run_itNNN_model.star of the class job.")
    groups = blocks["model_groups"]
    numbers = numbers_of(groups, "rlnGroupNumber", where=f"{model_path}: model_groups")
    if not np.array_equal(numbers, np.arange(1, len(groups) + 1)):
        raise StarError(f"{model_path}: model_groups: rlnGroupNumber must run from 1 to {len(groups)} in row order.")
    return numbers_of(groups, "rlnGroupScaleCorrection", where=f"{model_path}: model_groups")


def group_and_optics(table: ParticleTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the intensity group and the optics group of each particle, (n,) int64 each, 0-based."""
    for label in ("rlnGroupNumber", "rlnOpticsGroup"):
        if label not in table.particles:
            raise StarError(f"data_particles has no column {label}: regrouping needs the result of a classification.")
    optics_numbers = {number: row for row, number in enumerate(table.optics["rlnOpticsGroup"])}
    optics = table.particles["rlnOpticsGroup"].map(optics_numbers)
    if optics.isna().any():
        row = int(np.flatnonzero(optics.isna())[0])
        found = table.particles["rlnOpticsGroup"].iloc[row]
        raise StarError(f"data_particles row {row + 1}: rlnOpticsGroup {found} is not in data_optics.")
    groups = numbers_of(table.particles, "rlnGroupNumber", where="data_particles").astype(np.int64)
    return groups - 1, optics.to_numpy(dtype=np.int64)


def with_groups(table: ParticleTable, names: Sequence[str], numbers: np.ndarray) -> ParticleTable:
    """Return the particles with new group names and the numbers that go with them; all else verbatim."""
    particles = table.particles.assign(rlnGroupName=list(names), rlnGroupNumber=number_column(numbers))
    return ParticleTable(optics=table.optics, particles=particles)


def micrograph_names(table: ParticleTable) -> list[str] | None:
    """Return the micrograph of each particle, or None without that column."""
    names = table.particles.get("rlnMicrographName")
    return None if names is None else list(names)


def _known_numbers(column: pd.Series) -> np.ndarray:
    """Return text cells as float64, 0 where they are no finite number, as RELION reads them."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(values), values, 0.0)


def _finite(column: pd.Series) -> list[str]:
    """Return text cells of numbers, those that are not finite replaced by 999."""
    is_finite = np.isfinite(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64))
    return [cell if good else _UNKNOWN for cell, good in zip(column, is_finite, strict=True)]
