"""overrides/round_NN.yaml: what a person says of the classes of a round. Also RELION's own file of such a choice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from winnow2d.decisions import NOBODY as RULES
from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.errors import ConfigError, StarError
from winnow2d.formats.cells import numbers_of
from winnow2d.formats.star import read_star

FOLDER = "overrides"
KEYS = ("round", "by", "why", "made_for", "keep", "drop")
ENTRY_KEYS = ("class", "why", "by")
NOBODY = "by hand"
_FORM = "expected e.g. keep: [3, {class: 7, why: good side view}]"


def path_of(block: str) -> str:
    """Return the file for a round, or for a part of the first one, by the name in its report folder."""
    return f"{FOLDER}/round_{block}.yaml"


def read_overrides(path: str | Path, is_automatic: bool = True) -> ByHand:
    """Return what an overrides file says.

    Parameters
    ----------
    path : path
        overrides/round_NN.yaml.
    is_automatic : bool
        Whether the round chooses by itself; else `keep` is the choice and must name classes.

    Raises
    ------
    ConfigError
        With one sentence for each fault.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, bytes that are no text
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path}: expected keys ({', '.join(KEYS)}), found {raw!r}.")
    reader = _Reader(str(path), raw)
    found = reader.read(is_automatic)
    if reader.problems:
        raise ConfigError(*(f"{path}: {problem}" for problem in reader.problems))
    return found


def check_overrides(files: Iterable[tuple[str, bool, int | None]]) -> None:
    """Raise ConfigError with all faults of some overrides files that can be told before the classes are there.

    Parameters
    ----------
    files : (path, is_automatic, number of classes or None where it is not known) of each file
    """
    problems: list[str] = []
    for path, is_automatic, n_classes in files:
        try:
            decisions = read_overrides(path, is_automatic).decisions
        except ConfigError as error:
            problems += error.problems
            continue
        problems += _beyond(path, decisions, n_classes) if n_classes else []
    if problems:
        raise ConfigError(*problems)


def _beyond(source: str, decisions: Iterable[ClassDecision], n_classes: int) -> list[str]:
    numbers = [item.class_index + 1 for item in decisions if item.class_index >= n_classes]
    return [f"{source}: there is no class {number}; the round has {n_classes}." for number in numbers]


@dataclass
class _Reader:
    """Collects the faults of one file."""

    path: str
    raw: Mapping[Any, Any]
    problems: list[str] = field(default_factory=list)

    def read(self, is_automatic: bool) -> ByHand:
        known = ", ".join(KEYS)
        self.problems += [f"unknown key {key!r}; known are {known}." for key in self.raw if key not in KEYS]
        self._round()
        self.by, self.why, made_for = (self._text(self.raw, name) for name in ("by", "why", "made_for"))
        keep, drop = self._entries("keep", True), self._entries("drop", False)
        classes = [item.class_index for item in (*keep, *drop)]
        for k in sorted({k for k in classes if classes.count(k) > 1}):
            is_both = {item.is_kept for item in (*keep, *drop) if item.class_index == k} == {True, False}
            self.problems.append(f"class {k + 1} is {'in both keep and drop' if is_both else 'named twice'}.")
        if not is_automatic and not keep and not self.problems:
            self.problems.append(
                f"keep: names no class, but in a round chosen by hand it is the choice; {_FORM}. Without the file the "
                "run stops before this choice."
            )
        return ByHand(self.path, tuple(sorted((*keep, *drop))), made_for.lower())

    def _round(self) -> None:
        expected = Path(self.path).stem.rpartition("_")[2]
        if not expected.isdecimal():
            self.problems.append("expected a file called round_NN.yaml.")
            return
        number = self.raw.get("round", expected)
        if isinstance(number, bool) or not str(number).isdecimal() or int(number) != int(expected):
            self.problems.append(f"round: {number}, but by its name the file is that of round {int(expected)}.")

    def _text(self, raw: Mapping[Any, Any], name: str, place: str = "") -> str:
        value = raw.get(name)
        if isinstance(value, (list, Mapping, bool)):
            self.problems.append(f"{place}{name}: expected a text, found {value!r}.")
            return ""
        text = "" if value is None else " ".join(str(value).split())
        if name == "by" and text and text.lower() in RULES:
            self.problems.append(f"{place}by: {text} is what Winnow calls its own rules; give a person's name.")
        return text

    def _entries(self, name: str, is_kept: bool) -> list[ClassDecision]:
        raw = self.raw.get(name)
        if raw is None:
            return []
        if not isinstance(raw, list):
            self.problems.append(f"{name}: expected a list of classes, found {raw!r}; {_FORM}.")
            return []
        found = []
        for place, entry in enumerate(raw, 1):
            where = f"{name}, entry {place}: "
            item = entry if isinstance(entry, Mapping) else {"class": entry}
            number = item.get("class")
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                self.problems.append(f"{where}expected the number of a class, 1 or more, found {entry!r}.")
                continue
            unknown = [key for key in item if key not in ENTRY_KEYS]
            self.problems += [f"{where}unknown key {key!r}; known are {', '.join(ENTRY_KEYS)}." for key in unknown]
            by, why = (self._text(item, key, where) for key in ("by", "why"))
            found.append(ClassDecision(number - 1, is_kept, why or self.why, by or self.by or NOBODY))
        return found


def check_fits(by_hand: ByHand, n_classes: int, averages: str | Path) -> None:
    """Raise ConfigError if a choice by hand names classes that are not there, or was made on other averages.

    Parameters
    ----------
    by_hand : ByHand
    n_classes : int
        How many classes the round has.
    averages : path
        Its run_itNNN_classes.mrcs.
    """
    problems = _beyond(by_hand.source, by_hand.decisions, n_classes)
    if by_hand.made_for:
        found = hashlib.sha256(Path(averages).read_bytes()).hexdigest()
        if not found.startswith(by_hand.made_for):
            problems.append(
                f"{by_hand.source}: made_for: {by_hand.made_for}, but {averages} is {found}: the choice was made on "
                "other class averages. Remove the file, start again, and choose on the page that is made then; or "
                "take out made_for if the numbers of the classes are still right."
            )
    if problems:
        raise ConfigError(*problems)


def selected_in(path: str | Path, n_classes: int) -> list[int]:
    """Return the classes, 0-based, that are selected in a backup_selection.star, as RELION's display writes it.

    Raises
    ------
    StarError
        If it is none, or is one of another number of classes.
    """
    table = next((table for table in read_star(path).values() if "rlnSelected" in table), None)
    if table is None:
        raise StarError(f"{path}: no column rlnSelected; give a backup_selection.star of RELION, or class numbers.")
    selected = numbers_of(table, "rlnSelected", where=str(path))
    if len(selected) != n_classes:
        raise StarError(f"{path}: selects among {len(selected)} classes, but the round has {n_classes}.")
    return [int(k) for k in np.flatnonzero(selected)]
