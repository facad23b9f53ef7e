"""The files of an iteration under the name of another job's: what a job that has nothing to do passes on."""

from __future__ import annotations

import re
from pathlib import Path

from winnow2d.errors import StarError
from winnow2d.formats.atomic import replaced

_END = "_optimiser.star"


def pass_on(optimiser: Path, named: str) -> list[str]:
    """Copy the files of an iteration, with the names that stand in them.

    Parameters
    ----------
    optimiser : Path
        run_itNNN_optimiser.star of a job of ours, relative to the project directory.
    named : str
        What the copies begin with, e.g. "Class2D/job014/run_it040".

    Returns
    -------
    list of str
        The copies.

    Raises
    ------
    StarError
        The iteration has no files.
    """
    old = optimiser.as_posix().removesuffix(_END)
    sources = sorted(optimiser.parent.glob(f"{Path(old).name}_*"))
    if not optimiser.name.endswith(_END) or optimiser not in sources:
        raise StarError(f"{optimiser}: no optimiser file of an iteration that could be passed on")
    stem, new_stem = old.rpartition("_it")[0], named.rpartition("_it")[0]
    copies = {Path(named + source.as_posix().removeprefix(old)): source for source in sources}
    unmasked = Path(f"{stem}_unmasked_classes.mrcs")
    if unmasked.is_file():
        copies[Path(f"{new_stem}_unmasked_classes.mrcs")] = unmasked
    with replaced(*copies) as temporaries:
        for source, temporary in zip(copies.values(), temporaries, strict=True):
            content = source.read_bytes()
            if source.suffix == ".star":
                content = content.replace(f"{old}_".encode(), f"{named}_".encode())
                content = content.replace(f"{stem}_".encode(), f"{new_stem}_".encode())
                content = re.sub(rf"(?<=\s){re.escape(stem)}(?=\s)".encode(), new_stem.encode(), content)
            temporary.write_bytes(content)
    return [path.as_posix() for path in copies]
