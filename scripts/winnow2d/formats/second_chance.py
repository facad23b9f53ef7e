"""Rejected particles and what returns of them: rows of one classification's data file, told apart by their images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import read_star

TAG = "winnowSecondChance"  # the round whose second chance brought a particle back; 0 for one that was never away
# What the second classification knows better of a particle; its groups stay those of the first.
_KNOWN_BETTER = (
    labels.ANGLE_PSI, labels.ORIGIN_X, labels.ORIGIN_Y, labels.CLASS_NUMBER, labels.NORM_CORRECTION,
    labels.LOG_LIKELIHOOD, labels.MAX_PROBABILITY, labels.N_SIGNIFICANT,
)  # fmt: skip


def read_rejected(path: str | os.PathLike) -> ParticleTable | None:
    """Return the rejected particles of a round; None if there are none.

    Raises
    ------
    StarError
        The file is broken.
    """
    blocks = read_star(path)
    return read_particle_table(path) if len(blocks.get("particles", ())) else None


def read_decisions(path: str | Path, second_chances: Sequence[str | Path]) -> pd.DataFrame:
    """Return a round's ledger of particles, with those that came back in its second chance as kept.

    Parameters
    ----------
    path : path
        report/round_NN/particles.tsv.
    second_chances : paths
        The second_chance.tsv of all rounds that have one.
    """
    ledger = read_ledger(path)
    for beside in second_chances:
        if Path(beside).parent == Path(path).parent:
            again = read_ledger(beside)
            back = dict(zip(again["image_name"][again["kept"]], again["reason"][again["kept"]], strict=True))
            is_back = ledger["image_name"].isin(back) & ~ledger["kept"]
            ledger.loc[is_back, "reason"] = ledger["image_name"][is_back].map(back)
            ledger.loc[is_back, "kept"] = True
    return ledger


def n_rows(path: str | os.PathLike) -> int:
    """Return how many particles a file has."""
    return len(read_star(path).get("particles", ()))


def write_rejected(path: str | Path, table: ParticleTable, is_kept: np.ndarray, duplicates: list[int]) -> None:
    """Write the particles that a choice of classes rejected; a duplicate is none, its partner was kept.

    Parameters
    ----------
    table : ParticleTable
        Of run_itNNN_data.star.
    is_kept : (n,) bool
    duplicates : rows (0-based) of the table
    """
    is_rejected = ~np.asarray(is_kept, dtype=bool)
    is_rejected[duplicates] = False
    rows = table.particles[is_rejected].reset_index(drop=True)
    write_particle_table(path, ParticleTable(table.optics, rows))


def with_returned(
    data: ParticleTable, kept: ParticleTable, again: ParticleTable, is_back: np.ndarray, round_number: int
) -> ParticleTable:
    """Return what a round kept and what came back, in the order of its data file, with the column `TAG`.

    Parameters
    ----------
    data : ParticleTable
        All particles of the round's classification.
    kept : ParticleTable
        Those its choice kept.
    again : ParticleTable
        Those it rejected, as the second classification left them: in any order.
    is_back : (len(again),) bool
        Which of them return, with the pose and the class of the second classification.

    Raises
    ------
    StarError
        A kept or rejected particle is none of the data file.
    """
    place = {key: row for row, key in enumerate(keys_of(data.particles))}
    back = again.particles[is_back].reset_index(drop=True)
    keys_back = [key for key, wanted in zip(keys_of(again.particles), is_back, strict=True) if wanted]
    rows_back = _places(keys_back, place, "second classification")
    rows_kept = _places(keys_of(kept.particles), place, "selection")
    returned = data.particles.iloc[rows_back].reset_index(drop=True)
    returned = returned.assign(**{label: back[label] for label in _KNOWN_BETTER if label in back and label in returned})
    parts = [with_tag(kept).particles, returned.assign(**{TAG: str(round_number)})]
    joined = pd.concat(parts, ignore_index=True)[list(parts[0].columns)]
    order = np.argsort(np.concatenate([rows_kept, rows_back]), kind="stable")
    return ParticleTable(kept.optics, joined.iloc[order].reset_index(drop=True))


def with_tag(table: ParticleTable) -> ParticleTable:
    """Return particles with the column `TAG`: as an earlier round wrote it, or 0."""
    return table if TAG in table.particles else ParticleTable(table.optics, table.particles.assign(**{TAG: "0"}))


def keys_of(particles: pd.DataFrame) -> list[tuple[str, int]]:
    """Return what tells particles apart: the image, and which of its rows it is where an image has several."""
    seen: Counter[str] = Counter()
    keys = []
    for name in particles[labels.IMAGE_NAME]:
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def _places(keys: list[tuple[str, int]], place: dict[tuple[str, int], int], what: str) -> np.ndarray:
    missing = [name for name, number in keys if (name, number) not in place]
    if missing:
        raise StarError(
            f"{len(missing)} particles of the {what} are none of the round's classification, e.g. {missing[0]}. "
            "Run the selection of this round again."
        )
    return np.array([place[key] for key in keys], dtype=np.int64)
