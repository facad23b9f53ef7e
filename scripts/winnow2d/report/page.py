"""The report: one HTML file that needs nothing beside it, and no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from winnow2d.report import decisions, figures, tables
from winnow2d.report.tables import RoundRecord, TruthScore

_FOLDER = Path(__file__).parent
STYLES = ("page.css", "selection.css")
SCRIPTS = ("override_file.js", "choice.js", "draft.js", "gallery.js", "details.js", "saving.js", "page.js")
KIND_WORDS = {
    "good": "good particles",
    "empty_ice": "empty ice",
    "ice_crystal": "ice crystals",
    "carbon_edge": "carbon edges",
    "blob": "blobs",
    "aggregate": "aggregates",
    "off_centre": "off-centre particles",
    "broken": "broken particles",
    "other_species": "another species",
}


@dataclass(frozen=True)
class Project:
    """What the head of the page says."""

    name: str
    source: str  # where the particles come from
    n_input: int
    facts: Mapping[str, str]  # label -> text
    final: str  # the particles.star with the clean particles
    ledger: str = ""  # the table of every particle and every round, from the page on


def render_page(
    project: Project, rounds: Sequence[RoundRecord], truth: TruthScore | None = None, notices: Sequence[str] = ()
) -> str:
    """Return the report as HTML; the same input gives the same bytes.

    Parameters
    ----------
    project : Project
        The head of the page.
    rounds : sequence of RoundRecord
        In order; may be empty, then the page says that no round has been run.
    truth : TruthScore, optional
        For a simulated particle set: what was kept against what is known.
    notices : sequence of str
        Sentences shown above everything else.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "percent": _percent, "ang": _ang, "fixed": _fixed}
    flow = tables.flow_table(rounds, project.n_input)
    return environment.get_template("page.html.j2").render(
        project=project,
        n_final=_n_final(rounds, flow, project.n_input),
        flow=flow.to_dict("records"),
        bars=_bars(project.n_input, flow, truth),
        rounds=[_round(record, project.name) for record in rounds],
        pending=[record for record in rounds if record.is_pending],
        truth=_truth(truth) if truth is not None else None,
        notices=[*notices, *tables.disagreements(rounds)],
        style=_texts(STYLES),
        script=_texts(SCRIPTS),
    )


def _n_final(rounds: Sequence[RoundRecord], flow: pd.DataFrame, n_input: int) -> int:
    """Return how many particles are left: what the last round kept, of a first round in parts all parts together."""
    if not len(flow):
        return n_input
    is_in_parts = len(rounds) > 1 and "part" in rounds[-1].label
    return int(flow["n_kept"].sum() if is_in_parts else flow["n_kept"].iloc[-1])


def _texts(names: Sequence[str]) -> Markup:
    """Return files of this folder one after the other."""
    return Markup("\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names))


def _round(record: RoundRecord, project: str) -> dict[str, Any]:
    """Return what the template shows of a round."""
    classes = tables.class_table(record.class_ledger)
    groups = tables.group_table(record.iteration)
    sheet = figures.class_sheet(record.averages)
    tiles = _tiles(record, classes, sheet)
    data = decisions.selection_data(record, classes, project)
    n_in = record.n_in
    return {
        "number": record.number,
        "label": record.label,
        "classification": record.classification,
        "selected": record.selected,
        "n_in": n_in,
        "n_kept": record.n_selected,
        "kept_fraction": record.n_selected / n_in if n_in else math.nan,
        "facts": dict(record.facts),
        "threshold": math.nan if data["threshold"] is None else data["threshold"],
        "data": data,
        "is_pending": record.is_pending,
        "is_manual": record.is_manual,
        "file": f"round_{record.number:02d}.yaml",
        "ledgers": _ledgers(record),
        "findings": decisions.findings(record),
        "notes": decisions.decision_notes(record),
        "views": _views(record.views),
        "sheet": Markup(sheet.uri),
        "columns": sheet.columns,
        "tiles": [tile for is_kept in (True, False) for tile in tiles if tile["is_kept"] == is_kept],
        "n_kept_classes": int(classes["is_kept"].sum()),
        "features": tables.extra_features(record.class_ledger),
        "best": min(classes["resolution_ang"], default=math.inf),
        "last_number": record.iteration.number,
        "total_number": record.iteration.total,
        "n_groups": len(groups),
        "scale_range": (groups["scale"].min(), groups["scale"].max()) if len(groups) else (math.nan, math.nan),
        **_charts(record, classes, groups),
        **_pairs(record, sheet),
    }


def _ledgers(record: RoundRecord) -> list[str]:
    """Return the names of the round's ledgers, from the page on."""
    names = ["proposal.tsv"] if record.is_pending else ["classes.tsv", "particles.tsv"]
    return [f"round_{record.number:02d}/{name}" for name in names]


def _views(views: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return the table of views as text."""
    if views is None:
        return None
    names = [str(name).replace("_", " ") for name in views.columns]
    return {"names": names, "rows": [[_short(value) for value in row] for row in views.itertuples(index=False)]}


def _charts(record: RoundRecord, classes: pd.DataFrame, groups: pd.DataFrame) -> dict[str, Any]:
    """Return the SVG of each chart, None where there is nothing to draw."""
    history = record.history
    charts = {
        "share_chart": figures.resolution_against_share(classes) if len(classes) else None,
        "scale_chart": figures.scale_against_defocus(groups) if len(groups) else None,
        "resolution_chart": figures.resolution_by_iteration(history) if len(history) else None,
        "pmax_chart": figures.pmax_by_iteration(history) if len(history) else None,
    }
    return {name: chart and Markup(chart) for name, chart in charts.items()}


def _tiles(record: RoundRecord, classes: pd.DataFrame, sheet: figures.Sheet) -> list[dict[str, Any]]:
    """Return one entry per class, best score first."""
    names = tables.extra_features(record.class_ledger)
    ledger = record.class_ledger.set_index(record.class_ledger["class"].astype(int))
    tiles = []
    for row in classes.to_dict("records"):
        number = row["class_number"]
        if not 1 <= number <= len(record.averages):
            raise tables.JobError(
                f"report/{_ledgers(record)[0]}: class {number} is not among the "
                f"{len(record.averages)} averages of {record.classification}. Run the selection of this round again."
            )
        extra = [_short(ledger.at[number, name]) for name in names]
        good = row.get("good_share", math.nan)
        tiles.append(row | {"good_share": good, "position": sheet.position(number - 1), "features": extra})
    return tiles


def _pairs(record: RoundRecord, sheet: figures.Sheet) -> dict[str, Any]:
    """Return the classes of the last two iterations side by side, in class order."""
    if record.previous_averages is None or record.previous_averages.shape != record.averages.shape:
        return {"pairs": [], "previous_sheet": "", "previous_number": None, "median_correlation": math.nan}
    is_large = len(record.averages) > 60
    previous = figures.class_sheet(record.previous_averages, 100_000, 64 if is_large else 128)
    correlations = tables.class_correlations(record.previous_averages, record.averages)
    is_kept = dict(zip(record.class_ledger["class"].astype(int), record.class_ledger["kept"], strict=True))
    pairs = [
        {
            "number": number,
            "position": sheet.position(number - 1),
            "correlation": correlations[number - 1],
            "is_kept": bool(is_kept.get(number, False)),
        }
        for number in range(1, len(record.averages) + 1)
    ]
    finite = correlations[np.isfinite(correlations)]
    return {
        "pairs": pairs,
        "previous_sheet": Markup(previous.uri),
        "previous_number": record.previous_number,
        "median_correlation": float(np.median(finite)) if len(finite) else math.nan,
    }


def _bars(n_input: int, flow: pd.DataFrame, truth: TruthScore | None) -> list[dict[str, Any]]:
    """Return the bars of the funnel: the input and what each round kept, split by truth where it is known."""
    counts: list[tuple[str, int]] = [("Input", n_input)]
    counts += [(row["label"], int(row["n_kept"])) for row in flow.to_dict("records")]
    bars: list[dict[str, Any]] = [
        {"label": label, "count": count, "width": 100 * count / max(n_input, 1), "good": None, "junk": None}
        for label, count in counts
    ]
    if truth is not None:
        good = [_n_good(truth), *(int(number) for number in truth.rounds["good_kept"])]
        junk = [int(truth.kinds["entered"].sum()) - good[0], *(int(number) for number in truth.rounds["junk_kept"])]
        for bar, n_good, n_junk in zip(bars, good, junk, strict=True):
            bar |= {"good": n_good, "junk": n_junk, "good_width": 100 * n_good / max(n_good + n_junk, 1)}
    return bars


def _n_good(truth: TruthScore) -> int:
    """Return the number of good particles in the whole set."""
    return int(truth.kinds.loc[truth.kinds["kind"] == tables.GOOD, "entered"].sum())


def _truth(truth: TruthScore) -> dict[str, Any]:
    """Return the tables of kinds and of rounds as the template wants them."""
    numbers = list(truth.rounds["number"])
    kinds = [
        {
            "word": KIND_WORDS.get(row["kind"], row["kind"].replace("_", " ")),
            "is_good": row["kind"] == tables.GOOD,
            "entered": row["entered"],
            "kept": [{"count": row[n], "fraction": row[n] / row["entered"]} for n in numbers],
        }
        for row in truth.kinds.to_dict("records")
    ]
    return {"kinds": kinds, "rounds": truth.rounds.to_dict("records")}


def _short(value: Any) -> str:
    """Return a feature of the ledger with four significant digits; words stay as they are."""
    if isinstance(value, (str, bool, np.bool_)):
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:.4g}" if math.isfinite(value) else "none"


def _count(value: float) -> str:
    return f"{int(value):,}"


def _percent(value: float, decimals: int = 1) -> str:
    return f"{100 * value:.{decimals}f} %" if math.isfinite(value) else "n/a"


def _ang(value: float) -> str:
    return f"{value:.1f} Å" if math.isfinite(value) else "no resolution"


def _fixed(value: float, decimals: int = 2) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "n/a"
