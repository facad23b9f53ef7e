"""What the page needs so that a person can choose the classes of a round: the state of each class, and how it came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.decisions import NOBODY
from winnow2d.report.tables import Entry, Override, RoundRecord, kept_mask


def override_of(document: Any) -> Override:
    """Return the parsed file; what cannot be read is left out, for the selection has checked it before.

    Parameters
    ----------
    document : Any
        The file as YAML gives it: keys `by`, `why`, `keep`, `drop`, whose items are class numbers or mappings with
        `class`, `by`, `why`.
    """
    whole = document if isinstance(document, Mapping) else {}
    by, why = _text(whole.get("by")), _text(whole.get("why"))
    entries: dict[int, Entry] = {}
    for name, is_kept in (("keep", True), ("drop", False)):
        items = whole.get(name)
        for item in items if isinstance(items, list) else []:
            facts = item if isinstance(item, Mapping) else {"class": item}
            number = facts.get("class")
            if isinstance(number, int) and not isinstance(number, bool):
                entries[number] = Entry(is_kept, _text(facts.get("by")) or by, _text(facts.get("why")) or why)
    return Override(by, why, entries)


def selection_data(record: RoundRecord, classes: pd.DataFrame, project: str) -> dict[str, Any]:
    """Return what the page's script works on, ready for JSON: numbers that are not known are None.

    Parameters
    ----------
    record : RoundRecord
    classes : DataFrame
        `tables.class_table` of its ledger.
    project : str
        Name of the project; drafts are kept by it.
    """
    ledger = record.class_ledger.set_index(record.class_ledger["class"].astype(int))
    automatic = ledger["automatic"] if "automatic" in ledger else None
    views = ledger["view"] if "view" in ledger else None
    thresholds = classes["threshold"].dropna().unique() if "threshold" in classes else []
    override = record.override or Override("", "", {})
    items = []
    for row in classes.to_dict("records"):
        entry = override.entries.get(row["class_number"]) or _entry_of_ledger(record, row)
        items.append(
            {
                "id": row["class_number"],
                "count": row["n_particles"],
                "score": _number(row["score"], 6),
                "good": _number(row.get("good_share", math.nan), 6),
                "resolution": _number(row["resolution_ang"], 3),
                "view": int(views.at[row["class_number"]]) if views is not None else None,
                "kept": row["is_kept"],
                "automatic": _automatic(record, row, automatic),
                "entry": entry is not None,
                "by": entry.by if entry else "",
                "why": entry.why if entry else "",
            }
        )
    return {
        "project": project,
        "round": record.number,
        "label": record.label,
        "madeFor": record.made_for,
        "isManual": record.is_manual,
        "isPending": record.is_pending,
        "total": record.n_in,
        "threshold": _number(thresholds[0], 4) if len(thresholds) == 1 else None,
        "by": override.by or _one_name(record),
        "why": override.why,
        "classes": items,
    }


def _entry_of_ledger(record: RoundRecord, row: Mapping[str, Any]) -> Entry | None:
    """Return the decision of a person that the ledger tells of, where the file itself is not at hand."""
    if record.is_pending or record.override or row["decided_by"] in NOBODY:
        return None
    return Entry(row["is_kept"], row["decided_by"], "")


def _automatic(record: RoundRecord, row: Mapping[str, Any], automatic: pd.Series | None) -> bool | None:
    """Return what the automatic rule says of a class; None where the ledger does not tell."""
    if automatic is not None:
        value = automatic.at[row["class_number"]]
        return value == "yes" if isinstance(value, str) else bool(value)
    return row["is_kept"] if record.is_pending or row["decided_by"] in NOBODY else None


def _one_name(record: RoundRecord) -> str:
    """Return who decided by hand, where the ledger names one person only."""
    if record.is_pending or "decided_by" not in record.class_ledger:
        return ""
    names = sorted(set(record.class_ledger["decided_by"]) - set(NOBODY))
    return names[0] if len(names) == 1 else ""


def decision_notes(record: RoundRecord) -> dict[str, Any]:
    """Return what became of particles apart from their class: taken out by kind of reason, rescued, returned.

    `pruned`: (kind, particles) of those taken out though their class is kept; the kind is what stands before the
    colon of the reason. `n_rescued`: kept though their class is dropped, those that came
    back in their second chance left out. `second_chance`: came back, had it.
    """
    chance = None if record.n_rejected is None else (record.n_returned, record.n_rejected)
    notes: dict[str, Any] = {"pruned": [], "n_rescued": 0, "second_chance": chance}
    ledger = record.particle_ledger
    if not len(ledger):
        return notes
    class_kept = dict(zip(record.class_ledger["class"].astype(int), record.class_ledger["kept"], strict=True))
    of_kept = ledger["class"].map(class_kept).fillna(False).to_numpy(dtype=bool)
    is_kept = kept_mask(ledger)
    kinds = ledger.loc[of_kept & ~is_kept, "reason"].str.split(":").str[0].value_counts(sort=False)
    notes["pruned"] = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    notes["n_rescued"] = max(int(np.count_nonzero(~of_kept & is_kept)) - record.n_returned, 0)
    return notes


def findings(record: RoundRecord) -> list[dict[str, Any]]:
    """Return the warnings about a round: kind, sentence, and the numbers of the classes they are about."""
    if record.warnings is None:
        return []
    known = set(record.class_ledger["class"].astype(int))
    rows = []
    for row in record.warnings.to_dict("records"):
        words = _text(row.get("classes")).replace(",", " ").split()
        numbers = [int(word) for word in words if word.isdecimal() and int(word) in known]
        kind = _text(row.get("kind")).replace("_", " ")
        rows.append({"kind": kind, "sentence": _text(row.get("sentence")), "classes": numbers})
    return rows


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _number(value: float, decimals: int) -> float | None:
    """Return a number that JSON has; None for what is not finite."""
    return round(float(value), decimals) if math.isfinite(value) else None
