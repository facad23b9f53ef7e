"""The decision ledger: report/round_NN/classes.tsv and particles.tsv, tab separated text with a header.

proposal.tsv has the columns of classes.tsv: what the rules would do, where a person is yet to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.decisions import AUTOMATIC, ParticleDecision
from winnow2d.errors import WinnowError
from winnow2d.formats.atomic import replaced


def write_class_ledger(
    path: str | Path,
    image_names: Sequence[str],
    good_share: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    kept: np.ndarray,
    rules: Sequence[str],
    features: pd.DataFrame,
    decided_by: str | Sequence[str] = AUTOMATIC,
) -> None:
    """Write one row per class: its scores, whether it was kept, the rule that decided, and every feature.

    Parameters
    ----------
    image_names : k strings
        The class averages, `000001@stack`.
    good_share, scores, kept, rules : length k
    features : DataFrame, k rows
        Has `n_particles` and `share`; its other columns follow in their order.
    decided_by : str, or k strings
        Who decided: "automatic" or a name.
    """
    table = pd.DataFrame(
        {
            "class": [str(number) for number in range(1, len(scores) + 1)],
            "image": list(image_names),
            "good_share": [f"{value:.6f}" for value in good_share],
            "score": [f"{score:.6f}" for score in scores],
            "threshold": f"{threshold:g}",
            "kept": _yes_no(kept),
            "rule": list(rules),
            "decided_by": decided_by if isinstance(decided_by, str) else list(decided_by),
        }
    )
    first = ["n_particles", "share"]
    for name in first + [column for column in features.columns if column not in first]:
        table[name] = [_number(value) for value in features[name]]
    _write(path, table)


def particle_decisions(
    class_index: np.ndarray,
    kept_classes: np.ndarray,
    rules: Sequence[str],
    own: Mapping[int, ParticleDecision] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which particles are kept, (n,) bool, and why, (n,) object.

    Parameters
    ----------
    class_index : (n,) int array
        0-based; -1 for a particle that was never classified.
    kept_classes, rules : length k
        The decision on each class.
    own : mapping or None
        Row (0-based) -> decision, for particles decided on for a reason of their own.
    """
    reasons = np.array([*(f"class {k}: {rule}" for k, rule in enumerate(rules, 1)), "never classified"], dtype=object)
    kept = np.append(np.asarray(kept_classes, dtype=bool), False)  # the last entry answers for class_index -1
    is_kept, reason = kept[class_index], reasons[class_index]
    for row, decision in (own or {}).items():
        is_kept[row], reason[row] = decision
    return is_kept, reason


def write_particle_ledger(
    path: str | Path,
    image_names: Sequence[str],
    class_index: np.ndarray,
    max_probability: np.ndarray,
    kept_classes: np.ndarray,
    rules: Sequence[str],
    own: Mapping[int, ParticleDecision] | None = None,
    numbers: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write one row per particle: its class, its largest posterior, whether it was kept and why.

    Parameters
    ----------
    image_names : n strings
    class_index, kept_classes, rules, own
        As in `particle_decisions`.
    max_probability : (n,) float array
    numbers : mapping or None
        Name -> (n,) array, of what decided on single particles.
    """
    is_kept, reason = particle_decisions(class_index, kept_classes, rules, own)
    table = pd.DataFrame(
        {
            "image_name": list(image_names),
            "class": (np.asarray(class_index) + 1).astype(str),
            "max_probability": [f"{value:.6f}" for value in max_probability],
            "kept": _yes_no(is_kept),
            "reason": reason,
        }
    )
    for name, values in (numbers or {}).items():
        table[name] = [_number(value) for value in values]
    _write(path, table)


def write_whole_ledger(path: str | Path, rounds: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """Write one row per particle over all rounds: whether it is kept in the end, which round dropped it, and why.

    Parameters
    ----------
    rounds : sequence of (name, particles.tsv of the round)
        In order. A particle whose image is made anew in another box has a row under each of its names; the row of
        the former says nothing of it after that.
    """
    columns = {"image_name": "", "kept": "no", "dropped_in_round": "", "reason": ""}
    rows: dict[str, dict[str, str]] = {}
    classes = [f"class_{name}" for name, _ in rounds]
    for (name, ledger), column in zip(rounds, classes, strict=True):
        for image, k, kept, why in ledger[["image_name", "class", "kept", "reason"]].itertuples(index=False):
            row = rows.setdefault(image, {**columns, "image_name": image} | dict.fromkeys(classes, ""))
            row |= {column: str(k), "kept": "yes" if kept else "no"}
            row |= {"dropped_in_round": "" if kept else name, "reason": "" if kept else why}
    _write(path, pd.DataFrame(list(rows.values()), columns=[*columns, *classes], dtype=object))


def read_ledger(path: str | Path) -> pd.DataFrame:
    """Return a ledger as text cells, except that the columns of numbers are numbers and `kept` is bool.

    Raises
    ------
    WinnowError
        If the file is missing or a row has another number of fields than the header.
    """
    if not Path(path).is_file():
        raise WinnowError(f"{path}: the ledger is missing. Run the selection of that round again.")
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t") if lines else []
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise WinnowError(f"{path}: line {number} has {len(row)} fields, the header {len(header)}.")
    table = pd.DataFrame(rows, columns=header)
    for name in table.columns:
        if name == "kept":
            table[name] = table[name] == "yes"
        elif name not in ("image", "rule", "decided_by", "image_name", "reason"):
            table[name] = pd.to_numeric(table[name])
    return table


def _yes_no(flags: np.ndarray) -> list[str]:
    return ["yes" if flag else "no" for flag in flags]


def _number(value: float | int) -> str:
    """Return integers as such and other numbers with six significant digits."""
    return str(int(value)) if isinstance(value, (int, np.integer)) else f"{float(value):.6g}"


def _write(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table of text whole or not at all."""
    lines = ["\t".join(table.columns), *("\t".join(row) for row in table.itertuples(index=False, name=None))]
    with replaced(path) as (temporary,):
        temporary.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))
