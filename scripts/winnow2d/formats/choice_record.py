"""report/round_NN/choice.yaml: by which rules the classes of a round were chosen, and what else was said of them.

With classes.tsv and particles.tsv beside it, it holds all that is needed to choose again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.errors import WinnowError
from winnow2d.formats.atomic import replaced

NAME = "choice.yaml"
_HEADER = "# How the classes of this round were chosen; scripts/replay.py repeats the choice from this folder.\n"


@dataclass(frozen=True)
class ChoiceRecord:
    """What the ledgers have no column for; paths are relative to the project."""

    classification: str  # run_itNNN_data.star of the round
    selected: str  # particles.star of the Select job
    is_automatic: bool
    rules: Mapping[str, Any]  # name -> value
    by_hand: ByHand | None = None
    exceptions: tuple[ClassDecision, ...] = ()
    particle_rules: Mapping[str, Any] = field(default_factory=dict)  # options that decide on single particles
    filter_limits: Mapping[str, float] = field(default_factory=dict)  # of the filter of particles; empty: none
    moves_ang: Sequence[Sequence[float]] = ()  # x, y of each class, if particles were moved with their averages
    notices: Sequence[str] = ()


def write_choice(folder: str | Path, record: ChoiceRecord) -> None:
    """Write choice.yaml in the report folder of a round."""
    hand = record.by_hand
    told = {
        "classification": record.classification,
        "selected": record.selected,
        "is_automatic": record.is_automatic,
        "rules": dict(record.rules),
        "by_hand": hand
        and {"source": hand.source, "made_for": hand.made_for, "decisions": [_plain(item) for item in hand.decisions]},
        "exceptions": [_plain(item) for item in record.exceptions],
        "particle_rules": dict(record.particle_rules),
        "filter_limits": dict(record.filter_limits),
        "moves_ang": [list(pair) for pair in record.moves_ang],
        "notices": list(record.notices),
    }
    text = _HEADER + yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)
    with replaced(Path(folder) / NAME) as (temporary,):
        temporary.write_bytes(text.encode("utf-8"))


def read_choice(folder: str | Path) -> ChoiceRecord:
    """Return choice.yaml of a report folder.

    Raises
    ------
    WinnowError
        If it is missing or is not what `write_choice` writes.
    """
    path = Path(folder) / NAME
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        hand = raw["by_hand"]
        return ChoiceRecord(
            classification=str(raw["classification"]),
            selected=str(raw["selected"]),
            is_automatic=bool(raw["is_automatic"]),
            rules=dict(raw["rules"]),
            by_hand=hand and ByHand(hand["source"], _decisions(hand["decisions"]), hand["made_for"]),
            exceptions=_decisions(raw["exceptions"]),
            particle_rules=dict(raw["particle_rules"]),
            filter_limits=dict(raw["filter_limits"]),
            moves_ang=tuple(tuple(map(float, pair)) for pair in raw["moves_ang"]),
            notices=tuple(raw["notices"]),
        )
    except OSError as error:
        raise WinnowError(
            f"{path}: cannot be read ({error.strerror}). Run the selection of this round again."
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise WinnowError(f"{path}: is no record of a choice ({type(error).__name__}: {error}).") from None


def _plain(item: ClassDecision) -> dict[str, Any]:
    return {"class": item.class_index + 1, "kept": item.is_kept, "why": item.why, "by": item.by}


def _decisions(raw: Sequence[Mapping[str, Any]]) -> tuple[ClassDecision, ...]:
    return tuple(ClassDecision(int(one["class"]) - 1, bool(one["kept"]), one["why"], one["by"]) for one in raw)
