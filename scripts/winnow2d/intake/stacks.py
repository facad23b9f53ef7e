"""Where image stacks lie, and the symbolic links that let their names resolve from the project directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from winnow2d.formats.atomic import replaced
from winnow2d.intake.findings import Findings, name_some

RECORD = "links.tsv"  # in the job directory: every link an import made, so that the next one can take it back


@dataclass(frozen=True)
class ImageReferences:
    """rlnImageName of n particles, taken apart.

    Attributes
    ----------
    names : list of str
        The stacks as written in the file, each once, in order of appearance.
    stack : (n,) int64 array
        Position in `names`; -1 where the image name is not of the form index@stack.
    index : (n,) int64 array
        0-based image in its stack; -1 where the file says 0 or nothing readable.
    """

    names: list[str]
    stack: np.ndarray
    index: np.ndarray


def split_image_names(column: pd.Series) -> ImageReferences:
    """Return the stacks and indices of a text column rlnImageName (n cells)."""
    parts = column.str.partition("@")
    is_named = (parts[0].str.fullmatch(r"\d+") & (parts[2] != "")).to_numpy(dtype=bool)
    stack, names = pd.factorize(parts[2].where(is_named))
    index = pd.to_numeric(parts[0].where(is_named), errors="coerce").fillna(0).to_numpy(dtype=np.int64) - 1
    return ImageReferences(names=[str(name) for name in names], stack=stack.astype(np.int64), index=index)


def search_folders(source: Path, project: Path, stacks_root: str) -> list[Path]:
    """Return where relative stack names are looked for: project, the STAR's folder, its parents, stacks_root."""
    folders = [project, *source.absolute().parents, *source.resolve().parents]
    if stacks_root:
        folders.append(project / stacks_root)
    return list(dict.fromkeys(folders))


def find_stacks(names: Iterable[str], folders: Sequence[Path], own_links: dict[str, str]) -> dict[str, Path | None]:
    """Return for each stack name its real path, None where no folder has it.

    `folders[0]` is the project; links an earlier import left there (`own_links`, place -> target) do not
    count, as they may point to the stacks of another particle set.
    """
    found: dict[str, Path | None] = {}
    for name in names:
        found[name] = None
        for folder in [Path("/")] if os.path.isabs(name) else folders:
            if folder == folders[0] and os.path.normpath(name) in own_links:
                continue
            if (folder / name).is_file():
                found[name] = (folder / name).resolve()
                break
    return found


def find_apart(
    names: Sequence[str], folders: Sequence[Path], project: Path, job_directory: str
) -> dict[str, Path | None]:
    """Return what `find_stacks` does, where links of no import count unless there is nothing else.

    Another import may be at work: what it links stands in its record before, so the records are read once more
    after the search.
    """

    def all_links() -> dict[str, str]:
        jobs = [record.parent.relative_to(project).as_posix() for record in sorted(project.glob(f"*/job*/{RECORD}"))]
        return {place: target for job in jobs for place, target in read_own_links(project, job).items()}

    own, links, found = read_own_links(project, job_directory), None, dict[str, Path | None]()
    while links != (links := all_links()):
        found = find_stacks(names, folders, links)
    return found | find_stacks([name for name, path in found.items() if path is None], folders, own)


def check_found(found: dict[str, Path | None], folders: Sequence[Path], source: str, findings: Findings) -> None:
    """Add one error that counts the stacks that were not found and names the first few."""
    missing = [name for name, path in found.items() if path is None]
    if missing:
        looked = ", ".join(str(folder) for folder in folders)
        findings.error(
            f"{source}: data_particles: {len(missing)} of {len(found)} stacks are missing: {name_some(missing)}. "
            f"Relative names were looked for from {looked}. Restore the files, or name their folder in own.stacks_root."
        )


def plan_links(
    found: dict[str, Path],
    project: Path,
    job_directory: str,
    own_links: dict[str, str],
    planned: Iterable[str] = (),
    is_alone: bool = True,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the stack names to use in the project, and the links to make for them.

    A name keeps its place wherever RELION can read it there. Otherwise (not called .mrcs, leading out of the
    project, or into a place that is taken) its link goes below `job_directory`/source/.

    Parameters
    ----------
    found : dict
        Stack name in the file -> real path.
    project : Path
        The project directory.
    job_directory : str
        The importing job, relative to the project.
    own_links : dict
        Links an earlier import made; their places are free.
    planned : iterable of str
        Directories of jobs that are still to be run; nothing is linked below them.
    is_alone : bool
        Whether names may keep their places. Imports beside the first one must not depend on when they come, and
        take no place outside of their own job; only names that are files of the project itself stay.

    Returns
    -------
    names : dict
        Stack name in the file -> stack name in the project.
    links : dict
        Place relative to the project -> where the link points: from its own folder to a stack that lies in the
        project, so that a project may be moved; absolute to any other.
    """
    names: dict[str, str] = {}
    links: dict[str, str] = {}
    free_folders: dict[PurePosixPath, bool] = {}
    closed = {PurePosixPath(directory) for directory in (job_directory, *planned)}
    for name in sorted(found):
        place = os.path.normpath(name)
        is_ours = place in own_links
        names[name] = name
        if name.endswith(".mrcs"):
            if os.path.isabs(name) or (not is_ours and _is_there(project, name, found[name], is_alone)):
                continue
            folder = PurePosixPath(place).parent
            if folder not in free_folders:
                free_folders[folder] = _is_free(folder, project, closed)
            is_taken = os.path.lexists(project / place) and not is_ours
            if ".." not in PurePosixPath(name).parts and free_folders[folder] and not is_taken and is_alone:
                links[place] = _target(place, found[name], project)
                continue
        names[name] = _source_place(name, job_directory, links)
        links[names[name]] = _target(names[name], found[name], project)
    return names, links


def _is_there(project: Path, name: str, stack: Path, through_links: bool) -> bool:
    """Return whether a name leads to a stack from the project, through links or as the file itself."""
    path = project.resolve() / name
    return (path.resolve() if through_links else Path(os.path.normpath(path))) == stack


def _target(place: str, stack: Path, project: Path) -> str:
    """Return what a link at `place` must hold to point to a stack."""
    root, folder = project.resolve(), (project / place).parent.resolve()
    if stack.is_relative_to(root) and folder.is_relative_to(root):
        return os.path.relpath(stack, folder)
    return str(stack)


def _is_free(folder: PurePosixPath, project: Path, closed: set[PurePosixPath]) -> bool:
    """Return whether links may be made in this folder of the project: neither ours nor another job's."""
    if not closed.isdisjoint((folder, *folder.parents)):
        return False
    path = project
    for depth, part in enumerate(folder.parts, start=1):
        path = path / part
        if path.is_symlink():  # what we wrote there would land somewhere else
            return False
        if not path.exists():
            return True
        if not path.is_dir():
            return False
        if depth == 2 and part.startswith("job") and part[3:].isdigit():
            # RELION leaves job.star or note.txt in its jobs; a folder made for our links holds no file
            if any(entry.is_file() and not entry.is_symlink() for entry in path.iterdir()):
                return False
    return True


def _source_place(name: str, job_directory: str, links: dict[str, str]) -> str:
    parts = [part for part in PurePosixPath(os.path.normpath(name)).parts if part not in ("..", "/", "//")]
    path = PurePosixPath(job_directory, "source", *parts)
    stem = str(path.with_suffix("")) if path.suffix in (".mrcs", ".mrc", ".st") else str(path)
    place, number = f"{stem}.mrcs", 1
    while place in links:
        number += 1
        place = f"{stem}_{number}.mrcs"
    return place


def read_own_links(project: Path, job_directory: str) -> dict[str, str]:
    """Return the links an earlier import of this job made and that still point where it let them point."""
    record = project / job_directory / RECORD
    if not record.is_file():
        return {}
    rows = [line.split("\t") for line in record.read_text(encoding="utf-8").splitlines()[1:]]
    return {row[0]: row[1] for row in rows if len(row) == 2 and _points_to(project / row[0], row[1])}


def make_links(
    links: dict[str, str],
    own_links: dict[str, str],
    project: Path,
    job_directory: str,
) -> None:
    """Make the links, take back those of an earlier import that are not needed any more, and record them.

    The record names a link before the link is made, so that an import that dies leaves nothing unaccounted for.
    """
    record = project / job_directory / RECORD
    _write_record(record, own_links | links)
    for place in own_links:
        if place not in links:
            _remove_link(project / place, project)
    for place, target in links.items():
        path = project / place
        if _points_to(path, target):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
    _write_record(record, links)


def _points_to(path: Path, target: str) -> bool:
    return path.is_symlink() and os.readlink(path) == target


def _remove_link(path: Path, project: Path) -> None:
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == project or os.listdir(folder):
            break
        folder.rmdir()


def _write_record(record: Path, links: dict[str, str]) -> None:
    lines = ["place\ttarget", *(f"{place}\t{links[place]}" for place in sorted(links))]
    with replaced(record) as (temporary,):
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
