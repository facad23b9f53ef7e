"""The same micrograph under the names two programs, or two projects, have for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from winnow2d.errors import StarError

_CRYOSPARC_UID = re.compile(r"^\d{18,22}_(?=.)")  # cryoSPARC puts a number of 21 digits before names
_EXTENSIONS = (".mrc", ".mrcs", ".tif", ".tiff", ".eer", ".rec", ".dm4", ".em")
# What programs of motion correction and extraction add to a name, one or several of them.
_ADDED = re.compile(
    r"([_.-](patch|rigid|local|full|aligned|aligned_mic|mic|dw|nodw|dws|non|dose|weighted|doseweighted|corrected|"
    r"denoised|fractions|frames|frameimage|movie|movies|eer|bin\d|particles))+$",
    re.IGNORECASE,
)


def matched_micrographs(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Return our name -> their name of every micrograph that both have.

    Names may differ in folders, in the extension, in the number cryoSPARC puts in front and in what motion
    correction adds behind (_DW, _patch_aligned_doseweighted, _frameImage ...). Where micrographs of several folders
    have the same name, the one with the most folders in common is taken.

    Raises
    ------
    StarError
        If folders do not tell which micrograph is meant.
    """
    by_key: dict[str, list[str]] = {}
    for name in sorted(set(theirs)):
        by_key.setdefault(_key(name), []).append(name)
    claims: dict[str, list[str]] = {}
    problems = []
    for name in sorted(set(ours)):
        best = _most_alike(name, by_key.get(_key(name), []))
        if len(best) > 1:
            problems.append(f"micrograph {name} may be {' or '.join(best[:3])}: their folders do not tell which.")
        elif best:
            claims.setdefault(best[0], []).append(name)
    found = {}
    for name, claimants in claims.items():
        best = _most_alike(name, claimants)
        if len(best) > 1:
            problems.append(
                f"micrographs {' and '.join(best[:3])} may both be {name}: their folders do not tell which."
            )
        else:
            found[best[0]] = name
    if problems:
        raise StarError(*problems[:5], *([f"{len(problems) - 5} more of this kind"] if len(problems) > 5 else []))
    return found


def _key(name: str) -> str:
    """Return what is left of a name without folders, extension, number in front and additions behind."""
    stem = _stem(name)
    return _ADDED.sub("", stem) or stem


def _stem(name: str) -> str:
    file = _CRYOSPARC_UID.sub("", PurePosixPath(name).name)
    lower = file.lower()
    extension = next((end for end in _EXTENSIONS if lower.endswith(end)), "")
    return file[: len(file) - len(extension)]


def _most_alike(name: str, candidates: list[str]) -> list[str]:
    """Return the candidates most like a name: the same text, else the same stem, else the most folders in common."""
    if not candidates:
        return []
    likeness = [(other == name, _stem(other) == _stem(name), _common_folders(other, name)) for other in candidates]
    best = max(likeness)
    return [other for other, one in zip(candidates, likeness, strict=True) if one == best]


def _common_folders(one: str, other: str) -> int:
    """Return how many folders two paths have in common, counted from the file upwards."""
    folders = [PurePosixPath(path).parent.parts[::-1] for path in (one, other)]
    count = 0
    for a, b in zip(*folders, strict=False):
        if a != b:
            break
        count += 1
    return count
