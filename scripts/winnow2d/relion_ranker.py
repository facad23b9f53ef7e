"""The scorer that RELION's class ranker (relion_class_ranker of RELION 4 and 5) calls: relion_python_classranker DIR.

RELION writes features.npy and images.npy into DIR and reads one score per class from this program's standard
output, each followed by a blank. RELION 5 calls `relion_python_classranker DIR`; RELION 4 calls
`PYTHON SCRIPT [MODEL] DIR`, where PYTHON may be this program: script and model are then passed over.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from winnow2d.errors import ImageError, WinnowError
from winnow2d.failures import problems_to_put_right
from winnow2d.selection.relion_features import NAMES, PICTURE_PX

FEATURES, PICTURES = "features.npy", "images.npy"
_SHAPES = {FEATURES: (len(NAMES),), PICTURES: (PICTURE_PX, PICTURE_PX)}
_HELP = "where RELION's class ranker has written features.npy and images.npy"
_PASSED_OVER = "what RELION 4 names before it: its own script, and its network's weights"


def main(arguments: list[str] | None = None) -> int:
    """Print the scores of the classes in a directory; return 0, or 1 after telling on standard error what is wrong."""
    parser = argparse.ArgumentParser(prog="relion_python_classranker", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("passed_over", nargs="*", metavar="SCRIPT [MODEL]", help=_PASSED_OVER)
    parser.add_argument("directory", type=Path, metavar="DIR", help=_HELP)
    chosen = parser.parse_args(arguments)
    if len(chosen.passed_over) > 2:
        parser.error("one directory is expected, or RELION 4's script, model and directory")
    try:
        features, pictures = read_classes(chosen.directory)
    except (WinnowError, OSError) as error:
        problems = problems_to_put_right(error, chosen.directory) or [str(error)]
        sys.stderr.write("".join(f"relion_python_classranker: {problem}\n" for problem in problems))
        return 1
    from winnow2d.selection.relion_score import relion_scores  # takes a moment: not needed to refuse

    sys.stdout.write(as_relion_reads(relion_scores(features, pictures)))
    return 0


def as_relion_reads(scores: np.ndarray) -> str:
    """Return scores (k,) as text, each followed by a blank: RELION counts the blanks.

    Six decimals, since its reader refuses numbers too small for single precision.
    """
    return "".join(f"{score:.6f} " for score in scores)


def read_classes(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what RELION tells of k classes, float64: features (k, 24) and pictures (k, 64, 64).

    Raises
    ------
    ImageError
        If a file is missing or no array, has another shape, or a number that is not finite; all problems together.
    """
    arrays: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for name in _SHAPES:
        try:
            arrays[name] = _array(directory / name)
        except WinnowError as error:
            problems += error.problems
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        told = " and ".join(f"{n} in {name}" for name, n in counts.items())
        problems.append(f"{directory}: numbers of classes differ, {told}; let relion_class_ranker write both anew.")
    if problems:
        raise ImageError(*problems)
    return arrays[FEATURES], arrays[PICTURES]


def _array(path: Path) -> np.ndarray:
    """Return one of RELION's two arrays, checked."""
    wanted = _SHAPES[path.name]
    shape_told = " x ".join(["classes", *map(str, wanted)])
    if not path.is_file():
        raise ImageError(f"{path}: no such file; relion_class_ranker writes it before it calls this program.")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{path}: not a NumPy array file of numbers ({reason}); expected {shape_told}.") from None
    if not isinstance(array, np.ndarray) or array.shape[1:] != wanted or not array.ndim:
        shape = " x ".join(map(str, array.shape)) if isinstance(array, np.ndarray) else "several arrays"
        raise ImageError(f"{path}: {shape or 'a single number'}, expected {shape_told}.")
    if array.dtype.kind != "f":
        raise ImageError(f"{path}: numbers of type {array.dtype}, expected floating point.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        k, *place = bad[0]
        where = NAMES[place[0]] if path.name == FEATURES else "pixel " + ", ".join(str(i) for i in place)
        raise ImageError(f"{path}: class {k + 1}, {where}: {array[tuple(bad[0])]} ({len(bad)} numbers are not finite).")
    return array.astype(np.float64)


if __name__ == "__main__":
    sys.exit(main())
