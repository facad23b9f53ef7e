"""Files that an optimiser file names: its project, and where they are found from here.

Names are relative to the directory of the project the job was made in, which may be another than ours, and may lie
below ours or hold jobs of the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from winnow2d.errors import StarError


def find_named(name: str, optimiser_path: str | os.PathLike) -> Path:
    """Return the absolute path of a file that an optimiser file (or a file named by it) names.

    Looked for in this order: the project that the optimiser file lies in, if it lies in the folder named; beside the
    optimiser file, for a job that was moved; the working directory, if the job lies in it; the folders above the job;
    the working directory.

    Raises
    ------
    StarError
        It is in none of them.
    """
    for path in _candidates(name, Path(optimiser_path)):
        if path.is_file():
            return path
    raise StarError(
        f"{optimiser_path}: it names {name}, which was not found beside it or below a folder above it; keep "
        "the files of a job together, in the project that made it"
    )


def _candidates(name: str, optimiser_path: Path) -> Iterator[Path]:
    """Yield the places where a file may lie, the surest first."""
    folders = [Path(os.path.abspath(optimiser_path)).parent, optimiser_path.resolve().parent]  # RELION's aliases: links
    stated = PurePosixPath(os.path.normpath(name)).parent.parts
    for folder in folders:
        if stated and folder.parts[-len(stated) :] == stated:
            yield folder.parents[len(stated) - 1] / name
    for folder in folders:
        yield folder / PurePosixPath(name).name
    here, above = Path.cwd(), [folders[0], *folders[0].parents, folders[1], *folders[1].parents]
    if here in above:
        yield here / name
    for folder in [*above, here]:
        yield folder / name


def from_here(path: Path, is_absolute: bool = False) -> str:
    """Return how a file is called from the working directory: relative to it, or absolute."""
    return path.as_posix() if is_absolute else Path(os.path.relpath(path)).as_posix()


def image_from_here(name: str, optimiser_path: str | os.PathLike) -> str:
    """Return number@stack of an image that the model of an optimiser file names, so that it is found from here.

    The name is kept as it is wherever it leads to the file from here; an image that is not there keeps it, too.
    """
    number, at, file = name.rpartition("@")
    try:
        found = find_named(file, optimiser_path)
    except StarError:
        return name
    is_same = Path(file).is_file() and Path(file).samefile(found)
    return name if is_same else f"{number}{at}{from_here(found, Path(optimiser_path).is_absolute())}"
