"""What is true of simulated particles, carried from the picks on micrographs to the images cut from them."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.coordinates import X, Y
from winnow2d.formats.star import write_star


def write_truth(path: str | os.PathLike, picked: pd.DataFrame, particles: pd.DataFrame) -> None:
    """Write what is true of extracted particles, row by row as they stand in particles.star.

    Parameters
    ----------
    path : path
    picked : DataFrame
        A row per pick: micrograph, coordinates, and what is true of it.
    particles : DataFrame
        Their coordinates are those of the picks, cell by cell.

    Raises
    ------
    StarError
        A particle is none of the picks.
    """
    key = [labels.MICROGRAPH_NAME, X, Y]
    row_of = {cells: row for row, cells in enumerate(picked[key].itertuples(index=False, name=None))}
    rows = [row_of.get(cells, -1) for cells in particles[key].itertuples(index=False, name=None)]
    if -1 in rows:
        raise StarError(f"particle {rows.index(-1) + 1} is none of the simulated picks; simulate them again")
    truth = picked.iloc[np.array(rows)].drop(columns=key).reset_index(drop=True)
    truth.insert(0, labels.IMAGE_NAME, particles[labels.IMAGE_NAME].tolist())
    write_star(path, {"truth": truth})


def write_renamed_truth(
    path: str | os.PathLike, truth: pd.DataFrame, entered: pd.DataFrame, particles: pd.DataFrame
) -> None:
    """Write what is true of particles whose images have other names by now.

    Parameters
    ----------
    path : path
    truth : DataFrame
        A row per particle that entered, by its image name then.
    entered, particles : DataFrame
        data_particles then and now. A particle is known again by its full-size image, or by micrograph and
        coordinates.

    Raises
    ------
    StarError
        A particle did not enter.
    """
    key = [labels.MICROGRAPH_NAME, X, Y]
    if labels.FULL_SIZE_IMAGE_NAME in particles:
        former = particles[labels.FULL_SIZE_IMAGE_NAME].tolist()
    else:
        name_of = dict(zip(entered[key].itertuples(index=False, name=None), entered[labels.IMAGE_NAME], strict=True))
        former = [name_of.get(cells, "") for cells in particles[key].itertuples(index=False, name=None)]
    row_of = {name: row for row, name in enumerate(truth[labels.IMAGE_NAME])}
    rows = [row_of.get(name, -1) for name in former]
    if -1 in rows:
        raise StarError(f"particle {rows.index(-1) + 1} is none of those simulated")
    renamed = truth.iloc[np.array(rows)].reset_index(drop=True)
    renamed[labels.IMAGE_NAME] = particles[labels.IMAGE_NAME].tolist()
    write_star(path, {"truth": renamed})
