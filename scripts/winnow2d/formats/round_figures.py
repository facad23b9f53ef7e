"""report/round_NN/figures.tsv: what a round came to, by which the next one knows whether it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from winnow2d.errors import WinnowError
from winnow2d.formats.atomic import replaced

_TYPES = {
    "n_entered": int, "n_kept": int, "good_before": float, "good_after": float, "resolution_ang": float,
    "passed_on": str,
}  # fmt: skip


def write_round_figures(path: str | Path, figures: Mapping[str, int | float | str]) -> None:
    """Write names and values, one a line."""
    lines = [
        f"{name}\t{figures[name]:.6f}" if kind is float else f"{name}\t{figures[name]}" for name, kind in _TYPES.items()
    ]
    with replaced(path) as (temporary,):
        temporary.write_bytes(("name\tvalue\n" + "\n".join(lines) + "\n").encode("utf-8"))


def read_round_figures(path: str | Path) -> dict[str, int | float | str]:
    """Return names and values.

    Raises
    ------
    WinnowError
        The file is missing or is none of ours.
    """
    try:
        cells = dict(line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()[1:])
        return {name: kind(cells[name]) for name, kind in _TYPES.items()}
    except (OSError, ValueError, KeyError):
        raise WinnowError(f"{path}: does not say what the round came to. Run its selection again.") from None
