"""A choice made again from its record: report/round_NN and the particles that entered give the list that left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.choosing import duplicates_of
from winnow2d.decisions import ParticleDecision
from winnow2d.errors import WinnowError
from winnow2d.formats.choice_record import ChoiceRecord, read_choice
from winnow2d.formats.jobs import as_list, read_job_star
from winnow2d.formats.ledger import particle_decisions, read_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.formats.selection_star import rows_of
from winnow2d.list_replay import differences, jobs_after, made_again
from winnow2d.options import SelectOptions
from winnow2d.recentring import moved_with_averages
from winnow2d.selection.by_hand import decide
from winnow2d.selection.choose import Choice
from winnow2d.selection.particle_filter import COLUMN, Limits, deciders, decisions_by
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores

REPORT = "report"
JOINED = "JoinStar/job017/join_particles.star"


@dataclass
class Replay:
    """What came of choosing again in one round, or of a job behind the choices."""

    folder: Path  # report/round_NN, or the job
    selected: str = ""
    n_kept: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        if self.differences:
            return f"{self.folder.as_posix()}: differs. " + " ".join(self.differences)
        return f"{self.folder.as_posix()}: identical, {self.n_kept:,} particles in {self.selected}"


def replay_project(project: Path) -> list[Replay]:
    """Return what comes of choosing again in every round of a project that its report names, in their order.

    Raises
    ------
    WinnowError
        If there is no record of any choice.
    """
    replays = [_replayed(project, folder) for folder in _rounds(project)]
    if not replays:
        raise WinnowError(f"{project / REPORT}: no record of a choice (round_NN/choice.yaml). Name a project.")
    alias = project / "Select/clean/particles.star"
    root, target = project.resolve(), alias.resolve()
    final = target.relative_to(root).as_posix() if alias.is_file() and target.is_relative_to(root) else ""
    try:
        following = _following(project, [replay.selected for replay in replays], final)
    except WinnowError as error:
        following = []
        replays.append(Replay(Path("what follows the choices"), "", differences=[str(error)]))
    for directory in following:
        replays.append(_made_again(project, directory))
    if final and not final.startswith("Select/job008/"):  # rows of another extraction (own.map_to)
        reached = [replay.selected for replay in replays]
        if final not in reached:
            said = f"It is {final}, which no choice on record leads to."
            replays.append(Replay(Path("Select/clean"), final, differences=[said]))
    return replays


def _following(project: Path, chosen: Sequence[str], final: str) -> list[str]:
    """Return the jobs behind the choices whose lists are made from theirs: as the page names them, and joined parts."""
    page, found = project / REPORT / "job.star", list[str]()
    kept = as_list(read_job_star(page, None).inputs.get("kept", [])) if page.is_file() else []
    for start, end in zip(chosen, kept, strict=False):
        found += jobs_after(project, end, start)
    if (project / JOINED).is_file() and (len(kept) > 1 or final == JOINED):
        parts = as_list(read_job_star(project / Path(JOINED).parent / "job.star", None).inputs.get("particles", []))
        found += [Path(JOINED).parent.as_posix()] if set(parts) <= set(kept) else []
    return found


def _made_again(project: Path, directory: str) -> Replay:
    found = Replay(Path(directory))
    try:
        table = made_again(project, directory)
        name = Path(JOINED).name if directory.startswith("JoinStar/") else "particles.star"
        found.selected, found.n_kept = f"{directory}/{name}", len(table.particles)
        found.differences += _first_of(differences(table, project / found.selected))
    except (WinnowError, KeyError) as error:
        found.differences.append(f"{error}")
    return found


def _rounds(project: Path) -> list[Path]:
    """Return the report folders of rounds, relative to the project: those of the page, or all where there is none."""
    page = project / REPORT / "job.star"
    if page.is_file():  # there may be folders of rounds that were taken out of the config since
        ledgers = as_list(read_job_star(page, None).inputs.get("particle_ledgers", []))
        return [Path(ledger).parent for ledger in ledgers]
    return sorted(path.parent.relative_to(project) for path in project.glob(f"{REPORT}/round_*/choice.yaml"))


def _replayed(project: Path, folder: Path) -> Replay:
    found = Replay(folder)
    try:
        record = read_choice(project / folder)
        found.selected = record.selected
        classes = read_ledger(project / folder / "classes.tsv")
        particles = read_ledger(project / folder / "particles.tsv")
        _compare(found, project, record, classes, particles)
    except (WinnowError, KeyError) as error:
        found.differences.append(f"{error}" if isinstance(error, WinnowError) else f"No column {error}.")
    return found


def _compare(
    found: Replay, project: Path, record: ChoiceRecord, classes: pd.DataFrame, particles: pd.DataFrame
) -> None:
    """Choose again, and note each first difference: of the classes, the particles, and the list that left."""
    index = particles["class"].to_numpy(dtype=np.int64) - 1
    counts = np.bincount(index[index >= 0], minlength=len(classes))
    if len(counts) > len(classes):
        found.differences.append(f"particles.tsv has class {len(counts)}, classes.tsv has {len(classes)} classes.")
        return
    choice = decide(
        counts,
        ClassScores(classes["good_share"].to_numpy(), classes["score"].to_numpy()),
        Rules(**record.rules),
        is_automatic=record.is_automatic,
        by_hand=record.by_hand,
        exceptions=record.exceptions,
        n_unclassified=int((index < 0).sum()),
    )
    found.differences += _first_of(_class_differences(choice, counts, classes))
    entered = (project / record.selected).with_name("rank_data.star")  # names as they are found from the project
    table = read_particle_table(entered if entered.is_file() else project / record.classification)
    if list(table.particles["rlnImageName"]) != particles["image_name"].tolist():
        found.differences.append(f"particles.tsv does not list the particles of {record.classification}.")
        return
    table = moved_with_averages(table, record.moves_ang, record.classification)
    own = _own_decisions(table, choice, record, index, particles)
    is_kept, reason = particle_decisions(index, choice.kept, choice.rule, own)
    found.differences += _first_of(_particle_differences(is_kept, reason, particles))
    found.n_kept = int(is_kept.sum())
    found.differences += _first_of(differences(rows_of(table, is_kept), project / record.selected))


def _first_of(differences: Iterator[str]) -> list[str]:
    return [sentence for sentence, _ in zip(differences, range(1), strict=False)]


def _class_differences(choice: Choice, counts: np.ndarray, classes: pd.DataFrame) -> Iterator[str]:
    """Yield what classes.tsv says otherwise, class by class."""
    for k in range(len(classes)):
        row = classes.iloc[k]
        pairs: list[tuple[str, Any, Any]] = [
            ("n_particles", int(row["n_particles"]), int(counts[k])),
            ("kept", _yes(row["kept"]), _yes(choice.kept[k])),
            ("rule", row["rule"], choice.rule[k]),
            ("decided_by", row["decided_by"], choice.decided_by[k]),
            ("threshold", f"{row['threshold']:g}", f"{choice.threshold:g}"),
        ]
        for name, said, again in pairs:
            if said != again:
                yield f"classes.tsv, class {k + 1}: {name} is {said}, chosen again it is {again}."


def _own_decisions(
    table: ParticleTable, choice: Choice, record: ChoiceRecord, index: np.ndarray, particles: pd.DataFrame
) -> dict[int, ParticleDecision]:
    """Return the decisions on single particles: duplicates found again, the filter's from the recorded numbers."""
    filtered: dict[int, ParticleDecision] = {}
    if record.filter_limits and COLUMN in particles:  # else there are no posteriors, as of RELION's files
        by, limits = deciders(choice.decided_by, record.exceptions), Limits(**record.filter_limits)
        numbers = particles[COLUMN].to_numpy(dtype=np.float64)
        filtered = dict(decisions_by(numbers, index, choice.kept, by, limits))
    is_kept, _ = particle_decisions(index, choice.kept, choice.rule, filtered)
    options = SelectOptions(**record.particle_rules)
    return {**filtered, **duplicates_of(table, is_kept, options, record.classification)}


def _particle_differences(is_kept: np.ndarray, reason: np.ndarray, particles: pd.DataFrame) -> Iterator[str]:
    """Yield what particles.tsv says otherwise, particle by particle."""
    said_kept, said = particles["kept"].to_numpy(dtype=bool), particles["reason"].to_numpy()
    for row in np.flatnonzero((said_kept != is_kept) | (said != reason)):
        yield (
            f"particles.tsv, row {row + 1} ({particles['image_name'][row]}): kept {_yes(said_kept[row])}, {said[row]}; "
            f"chosen again: kept {_yes(is_kept[row])}, {reason[row]}."
        )


def _yes(flag: Any) -> str:
    return "yes" if flag else "no"
