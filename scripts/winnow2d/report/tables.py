"""What the page counts: classes in order, particles in and out, intensity groups, agreement with a known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.errors import JobError
from winnow2d.records import Iteration

GOOD = "good"
_NUMBERS = ("good_share", "score", "threshold", "n_particles", "share", "resolution_ang")
_TEXTS = ("image", "kept", "automatic", "rule", "decided_by")


@dataclass(frozen=True)
class Entry:
    """What overrides/round_NN.yaml says of one class."""

    is_kept: bool
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Override:
    """The file overrides/round_NN.yaml as the page shows it: who, why, and an entry per class named in it."""

    by: str
    why: str
    entries: Mapping[int, Entry]  # by class number, 1-based


@dataclass(frozen=True)
class RoundRecord:
    """One round as its jobs left it.

    The ledgers are those of report/round_NN: columns of numbers hold numbers, `kept` holds bool.
    `averages` is (k, y, x). A round that waits for a person's choice (`is_pending`) has the proposal as its class
    ledger (`kept`: what the automatic rule would do), an empty particle ledger and nothing selected.
    """

    number: int  # NN of report/round_NN
    classification: str  # job directory, e.g. Class2D/job011
    selected: str  # the particles.star that leaves the round
    n_selected: int  # its rows
    iteration: Iteration
    averages: np.ndarray
    class_ledger: pd.DataFrame
    particle_ledger: pd.DataFrame
    history: pd.DataFrame  # iteration, resolution_ang, average_max_probability
    previous_number: int | None = None
    previous_averages: np.ndarray | None = None
    facts: dict[str, str] = field(default_factory=dict)  # options worth naming, label -> text
    label: str = ""  # "Round 1", or "Round 1, part 2"
    is_pending: bool = False
    is_by_hand: bool = False  # a person chooses, not a rule that a person may correct
    made_for: str = ""  # SHA-256 of the file of averages, in hex
    override: Override | None = None  # overrides/round_NN.yaml, where there is one
    warnings: pd.DataFrame | None = None  # kind, sentence, classes ("3,7")
    views: pd.DataFrame | None = None  # shown as it is
    n_returned: int = 0  # particles of the second chance that came back, and those that had it
    n_rejected: int | None = None

    def __post_init__(self) -> None:
        """Call the round by its number where nothing else is said."""
        if not self.label:
            object.__setattr__(self, "label", f"Round {self.number}")

    @property
    def n_in(self) -> int:
        """Particles that entered the round."""
        return len(self.iteration.particles.class_index) if self.is_pending else len(self.particle_ledger)

    @property
    def is_manual(self) -> bool:
        """Whether a person chooses the classes, not a rule that a person may correct."""
        return self.is_pending or self.is_by_hand


@dataclass(frozen=True)
class TruthScore:
    """Agreement of the rounds with the truth of a simulated particle set.

    `kinds`: a row per kind of particle, columns `kind`, `entered` and a number per round.
    `rounds`: a row per round with good_kept, junk_kept, good_in, junk_in, precision, recall, recall_total.
    """

    kinds: pd.DataFrame
    rounds: pd.DataFrame


def class_table(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return the classes of a ledger with numbers as numbers, best score first.

    Parameters
    ----------
    ledger : DataFrame, k rows
        report/round_NN/classes.tsv.

    Returns
    -------
    DataFrame, k rows
        class_number, is_kept, rule, decided_by, score, n_particles, share (0 to 1), resolution_ang (inf where a
        class has none); threshold and good_share where the ledger has them. Equal scores: more particles first,
        then the lower class number.

    Raises
    ------
    JobError
        If a column is missing.
    """
    required = ("class", "score", "kept", "rule", "n_particles", "share", "resolution_ang")
    missing = [name for name in required if name not in ledger.columns]
    if missing:
        raise JobError(f"classes.tsv: no column {', '.join(missing)}. Run the selection of this round again.")
    table = pd.DataFrame({"class_number": ledger["class"].astype(int)})
    table["is_kept"] = ledger["kept"].astype(bool)
    table["rule"] = ledger["rule"]
    table["decided_by"] = ledger["decided_by"] if "decided_by" in ledger else ""
    for name in _NUMBERS:
        if name in ledger:
            table[name] = ledger[name].astype(float)
    table["n_particles"] = table["n_particles"].fillna(0).round().astype(int)
    table["share"] = table["share"].fillna(0.0)
    resolution = table["resolution_ang"].fillna(np.inf)
    table["resolution_ang"] = resolution.where((resolution > 0) & (resolution < 999), np.inf)
    order = np.lexsort((table["class_number"], -table["n_particles"], -table["score"].fillna(-1.0)))
    return table.iloc[order].reset_index(drop=True)


def extra_features(ledger: pd.DataFrame) -> list[str]:
    """Return the names of the ledger's feature columns that `class_table` does not hold, in file order."""
    return [name for name in ledger.columns if name != "class" and name not in _NUMBERS and name not in _TEXTS]


def flow_table(rounds: Sequence[RoundRecord], n_input: int) -> pd.DataFrame:
    """Return particles and classes in and out of each round.

    Columns: number, label, n_in, n_kept, n_dropped, kept_fraction (of the round), total_fraction (of n_input),
    n_classes, n_classes_kept, selected. A round that waits for a choice has no row.
    """
    rows = []
    for record in decided(rounds):
        classes = class_table(record.class_ledger)
        n_in, n_kept = record.n_in, record.n_selected
        row: dict[str, Any] = {"number": record.number, "label": record.label, "n_in": n_in, "n_kept": n_kept}
        row |= {"n_dropped": n_in - n_kept}
        row |= {"kept_fraction": _fraction(n_kept, n_in), "total_fraction": _fraction(n_kept, n_input)}
        row |= {"n_classes": len(classes), "n_classes_kept": int(classes["is_kept"].sum())}
        rows.append(row | {"selected": record.selected})
    return pd.DataFrame(rows)


def round_labels(numbers: Sequence[int]) -> list[str]:
    """Return what rounds are called, from the NN of their report/round_NN in order.

    The parts of a first round that is classified in parts come first and are numbered 1, 11, 21 and so on.
    """
    n_parts = 0
    while n_parts < len(numbers) and numbers[n_parts] == 10 * n_parts + 1:
        n_parts += 1
    parts = [f"Round 1, part {part + 1}" for part in range(n_parts)] if n_parts > 1 else []
    return parts + [f"Round {number}" for number in numbers[len(parts) :]]


def decided(rounds: Sequence[RoundRecord]) -> list[RoundRecord]:
    """Return the rounds that do not wait for a person's choice."""
    return [record for record in rounds if not record.is_pending]


def disagreements(rounds: Sequence[RoundRecord]) -> list[str]:
    """Return one sentence for each round whose ledger keeps another number of particles than its selection."""
    found = []
    for record in decided(rounds):
        n_ledger = int(kept_mask(record.particle_ledger).sum())
        if n_ledger != record.n_selected:
            found.append(
                f"{record.label}: report/round_{record.number:02d}/particles.tsv keeps {n_ledger:,} particles, "
                f"{record.selected} holds {record.n_selected:,}. Run the selection of this round again."
            )
    return found


def kept_mask(particle_ledger: pd.DataFrame) -> np.ndarray:
    """Return which particles of report/round_NN/particles.tsv are kept, (n,) bool."""
    return particle_ledger["kept"].to_numpy(dtype=bool)


def group_table(iteration: Iteration) -> pd.DataFrame:
    """Return the intensity groups that have particles, with their scale and mean defocus.

    Columns: name, n_particles, defocus_um (mean of both axes over the group's particles, micrometre,
    underfocus positive), scale (group scale correction).
    """
    particles = iteration.particles
    scale = np.asarray(iteration.model.scale_correction, dtype=float)
    n_groups = len(scale)
    index = np.asarray(particles.group_index)
    defocus_ang = 0.5 * (np.asarray(particles.defocus_u_ang) + np.asarray(particles.defocus_v_ang))
    count = np.bincount(index, minlength=n_groups)[:n_groups]
    total = np.bincount(index, weights=defocus_ang, minlength=n_groups)[:n_groups]
    names = list(particles.group_names) + [f"group {i + 1}" for i in range(len(particles.group_names), n_groups)]
    used = count > 0
    table = pd.DataFrame({"name": names[:n_groups], "n_particles": count, "scale": scale})[used].copy()
    table["defocus_um"] = total[used] / count[used] / 1e4
    return table.reset_index(drop=True)


def class_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each class with itself in another iteration, (k,); NaN for a flat image."""
    a = np.asarray(first, dtype=np.float64).reshape(len(first), -1)
    b = np.asarray(second, dtype=np.float64).reshape(len(second), -1)
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def truth_score(
    truth: pd.DataFrame, particle_ledgers: Sequence[pd.DataFrame], renamed: Sequence[pd.DataFrame] = ()
) -> TruthScore:
    """Return how many good and other particles each round kept.

    Parameters
    ----------
    truth : DataFrame
        Columns rlnImageName and winnowKind ("good" or a kind of junk), one row per particle of the set.
    particle_ledgers : sequence of DataFrame
        report/round_NN/particles.tsv of each round, in order; columns image_name, kept.
    renamed : sequence of DataFrame
        As `truth`, of particles whose images were made again in another box and have other names.

    Returns
    -------
    TruthScore
        `recall` counts against the good particles that entered the round, `recall_total` against all of the set.

    Raises
    ------
    JobError
        If a ledger names a particle the truth does not have.
    """
    kind_of = pd.Series(truth["winnowKind"].to_numpy(), index=truth["rlnImageName"].to_numpy())
    n_good = int((kind_of == GOOD).sum())
    whole = pd.concat([truth, *renamed]).drop_duplicates("rlnImageName")
    known = pd.Series(whole["winnowKind"].to_numpy(), index=whole["rlnImageName"].to_numpy())
    kinds = pd.DataFrame({"entered": kind_of.value_counts()})
    rows = []
    for number, ledger in enumerate(particle_ledgers, start=1):
        entered = known.reindex(ledger["image_name"].to_numpy())
        if entered.isna().any():
            name = entered.index[int(np.argmax(entered.isna().to_numpy()))]
            raise JobError(f"report/round_{number:02d}/particles.tsv: {name} is not in the truth of the simulated set.")
        kept = entered[kept_mask(ledger)]
        kinds[number] = kept.value_counts().reindex(kinds.index).fillna(0).astype(int)
        good_in, good_kept = int((entered == GOOD).sum()), int((kept == GOOD).sum())
        row: dict[str, Any] = {"number": number, "good_in": good_in, "junk_in": len(entered) - good_in}
        row |= {"good_kept": good_kept, "junk_kept": len(kept) - good_kept}
        row |= {"precision": _fraction(good_kept, len(kept)), "recall": _fraction(good_kept, good_in)}
        rows.append(row | {"recall_total": _fraction(good_kept, n_good)})
    kinds = kinds.rename_axis("kind").reset_index()
    order = np.lexsort((kinds["kind"], -kinds["entered"], kinds["kind"] != GOOD))
    return TruthScore(kinds.iloc[order].reset_index(drop=True), pd.DataFrame(rows))


def _fraction(part: int, whole: int) -> float:
    """Return part / whole; nan when there is nothing to divide."""
    return part / whole if whole else float("nan")
