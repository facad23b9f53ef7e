"""The user's config: read, checked in full and merged into the options of every round.

Keys and meanings are those of `options`; this module only knows the shape around them. All problems of
a config are collected and raised together, each naming the place where it stands.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from winnow2d import devices
from winnow2d.demo_options import DemoOptions
from winnow2d.errors import ConfigError
from winnow2d.extraction.asked import MicrographInput, faults_of_extraction, micrograph_input
from winnow2d.intake.parts import faults_of_parts
from winnow2d.intake.rounds import given_classification, misfits, planned
from winnow2d.option_values import fault_of, listed_classes, typed_value
from winnow2d.options import (
    PRESETS,
    PROJECT_WIDE,
    SECTIONS,
    Class2DOptions,
    ExtractOptions,
    OwnOptions,
    SelectOptions,
)
from winnow2d.selection.rules import faults_of_rules

TOP_LEVEL = ("input", "extract", "class2d", "select", "rounds", "own")
ROUND_SECTIONS = ("class2d", "select", "own")
INPUTS = ("particles", "optimiser", "micrographs", "demo", "demo_micrographs")
SUPPORTED_INPUTS = ("particles", "optimiser", "micrographs", "demo", "demo_micrographs")
MAX_ROUNDS = 99  # RELION's own jobs start at 1001, round 99 ends at 999
FIRST_ROUND_ONLY = ("fn_cont",)  # said above the rounds: later ones have other particles


@dataclass(frozen=True)
class Round:
    """The merged options of one round, counted from 1."""

    number: int
    class2d: Class2DOptions
    select: SelectOptions
    own: OwnOptions

    @property
    def is_by_hand(self) -> bool:
        """Whether a person chooses the classes."""
        return not self.select.do_class_ranker

    @property
    def selection(self) -> SelectOptions:
        """The Select job that chooses classes; regrouping is a job of its own, as in RELION's class ranker."""
        return dataclasses.replace(self.select, do_regroup=False, nr_groups=1)

    @property
    def regroup(self) -> SelectOptions | None:
        """The Select job that regroups the kept particles, or None where the round has none."""
        if not self.select.do_regroup:
            return None
        return SelectOptions(
            do_class_ranker=False, rank_threshold=0.5, do_regroup=True, nr_groups=self.select.nr_groups
        )


@dataclass(frozen=True)
class Config:
    """A checked config: where particles come from, and what is done to them in each round."""

    particles: tuple[str, ...]  # STAR files; empty for the demo and for a given classification
    optimiser: str  # of the job that is round 1's classification; empty where that is ours
    demo: DemoOptions | None
    extract: ExtractOptions
    own: OwnOptions
    rounds: tuple[Round, ...]
    micrographs: MicrographInput | None = None  # to be cut into particles


def load_config(path: str | Path) -> dict[str, Any]:
    """Return the YAML file as a dictionary, unchecked.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not YAML; the message says where.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    return {} if raw is None else raw


def check_config(raw: Any) -> Config:
    """Return the checked config with the merged options of every round.

    Parameters
    ----------
    raw : mapping
        As read from YAML: `input`, `extract`, `class2d`, `select`, `rounds`, `own`.

    Raises
    ------
    ConfigError
        With one sentence per problem: unknown keys (and the nearest known one), wrong types, values out
        of bounds, options Winnow refuses and why, an input that is not exactly one.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"config: expected sections ({', '.join(TOP_LEVEL)}), found {raw!r}.")
    check = _Check()
    for key in raw:
        if key not in TOP_LEVEL:
            check.problem(_unknown(str(key), TOP_LEVEL, "config"))
    particles, demo = check.input(raw.get("input"))
    micrographs = micrograph_input(raw.get("input"), check.values, check.problems)
    base = {name: check.values(name, raw.get(name), options) for name, options in SECTIONS.items()}
    differences = check.rounds(raw.get("rounds", [{}]))
    optimiser = given_classification(raw.get("input"), base["class2d"], differences, check.problems)
    rounds = tuple(check.merge(number, base, difference) for number, difference in enumerate(differences, 1))
    if demo:
        check.problems += misfits(planned(rounds), demo.box, demo.pixel_size, demo.particles)
    if base["own"].get("selected_classes") and len(rounds) > 1:
        check.problem("own.selected_classes: are those of one round; say it under own in the entry of that round.")
    own, is_boxed = OwnOptions(**base["own"]), any(item.own.auto_box for item in rounds)
    check.problems += faults_of_extraction(base["extract"], micrographs is not None, own, is_boxed)
    n_parts = max(1, len(particles)) * own.splits
    if optimiser and rounds and rounds[0].own.second_chance:
        check.problem("own.second_chance: not in round 1, whose classification is given; say it in later rounds.")
    check.problems += faults_of_parts(n_parts, len(particles), len(rounds), rounds[0].own if rounds else own, optimiser)
    if check.problems:
        raise ConfigError(*dict.fromkeys(check.problems))
    return Config(particles, optimiser, demo, ExtractOptions(**base["extract"]), own, rounds, micrographs)


@dataclass
class _Check:
    """Collects the problems of one config."""

    problems: list[str] = field(default_factory=list)

    def problem(self, sentence: str) -> None:
        self.problems.append(sentence)

    def input(self, raw: Any) -> tuple[tuple[str, ...], DemoOptions | None]:
        """Return the particle STAR files, or the options of the demo."""
        if not isinstance(raw, Mapping) or not raw:
            self.problem("input: missing. Say where the particles are, e.g. input: {particles: particles.star}.")
            return (), None
        known = (*INPUTS, "coordinates")
        for key in raw:
            if key not in known:
                self.problem(_unknown(str(key), known, "input"))
        given = [key for key in INPUTS if key in raw]
        if len(given) != 1:
            found = ", ".join(given) or "none"
            self.problem(f"input: exactly one of {', '.join(INPUTS)} must be given, found {found}.")
            return (), None
        for key in given:
            if key not in SUPPORTED_INPUTS:
                self.problem(f"input.{key}: not supported yet; use {' or '.join(SUPPORTED_INPUTS)}.")
        if "particles" in raw:
            return self._paths(raw["particles"]), None
        if "demo" in raw:
            return (), DemoOptions(**self.values("input.demo", raw["demo"], DemoOptions))
        return (), None

    def _paths(self, raw: Any) -> tuple[str, ...]:
        paths = [raw] if isinstance(raw, str) else raw
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
            self.problem(f"input.particles: expected the path of a STAR file or a list of paths, found {raw!r}.")
            return ()
        again = sorted({path for path in paths if paths.count(path) > 1})
        if again:
            self.problem(f"input.particles: {', '.join(again)} is named more than once.")
        return tuple(paths)

    def values(self, section: str, raw: Any, options: type) -> dict[str, Any]:
        """Return the valid values given in one section; each wrong one becomes a problem."""
        if raw is None:
            return {}
        if not isinstance(raw, Mapping):
            self.problem(f"{section}: expected keys with values, found {raw!r}.")
            return {}
        fields = {item.name: item for item in dataclasses.fields(options)}
        good: dict[str, Any] = {}
        for key, given in raw.items():
            if key not in fields:
                self.problem(_unknown(str(key), tuple(fields), section))
                continue
            try:
                good[key] = _value(given, fields[key])
            except ValueError as error:
                self.problem(f"{section}.{key}: {error}")
        if section.endswith("class2d") and ("do_em" in good) != ("do_grad" in good):
            given, other = ("do_em", "do_grad") if "do_em" in good else ("do_grad", "do_em")
            good[other] = not good[given]
        return good

    def rounds(self, raw: Any) -> list[Mapping[str, Any]]:
        """Return the differences of each round, shape checked; a bad entry keeps its place with none."""
        if not isinstance(raw, list) or not raw:
            self.problem(f"rounds: expected a list with one entry per round, e.g. rounds: [{{}}, {{}}], found {raw!r}.")
            return []
        if len(raw) > MAX_ROUNDS:
            self.problem(f"rounds: {len(raw)} entries; at most {MAX_ROUNDS} rounds have job numbers.")
            return []
        entries: list[Mapping[str, Any]] = []
        for number, entry in enumerate(raw, 1):
            is_sections = entry is None or isinstance(entry, Mapping)
            if not is_sections:
                self.problem(f"round {number}: expected sections ({', '.join(ROUND_SECTIONS)}), found {entry!r}.")
            entries.append(entry or {} if is_sections else {})
        return entries

    def merge(self, number: int, base: dict[str, dict[str, Any]], difference: Mapping[str, Any]) -> Round:
        """Return the options of one round: the sections above with the differences laid over them."""
        place = f"round {number}"
        for key in difference:
            if key not in ROUND_SECTIONS:
                self.problem(_unknown(str(key), ROUND_SECTIONS, place))
        merged, given = {}, dict[str, None]()
        for name in ROUND_SECTIONS:
            own_values = self.values(f"{place}: {name}", difference.get(name), SECTIONS[name])
            above = {key: value for key, value in base[name].items() if number == 1 or key not in FIRST_ROUND_ONLY}
            merged[name] = SECTIONS[name](**(above | own_values))
            given.update(dict.fromkeys(above | own_values))
            for key in PROJECT_WIDE:
                if name == "own" and key in own_values:
                    self.problem(f"{place}: own.{key}: belongs to the whole project; say it under own: at top level.")
        preset = {key: value for key, value in PRESETS[merged["own"].preset].items() if key not in given}
        merged["class2d"] = dataclasses.replace(merged["class2d"], **preset)
        for fault in devices.faults(merged["class2d"], merged["own"]):
            self.problem(f"{place}: {fault}.")
        if merged["class2d"].use_gpu:
            merged["own"] = dataclasses.replace(merged["own"], device="gpu")
        result = Round(number, **merged)
        total, further = result.class2d.n_iterations, result.own.continue_to
        if result.class2d.do_em and further > 999:
            self.problem(f"{place}: own.continue_to: {further} found, at most 999 with do_em.")
        if 0 < further <= total:
            self.problem(
                f"{place}: own.continue_to: {further} counts all iterations, also the {total} before; give more."
            )
        self._algorithm(place, difference, result.class2d)
        for fault in faults_of_rules(result.select, result.own):
            self.problem(f"{place}: {fault}.")
        return result

    def _algorithm(self, place: str, difference: Mapping[str, Any], class2d: Class2DOptions) -> None:
        prefix = _prefix(place, difference, "class2d", ("do_em", "do_grad"))
        if class2d.do_em and class2d.do_grad:
            self.problem(f"{prefix}class2d: do_em and do_grad are both on; choose one.")
        elif not class2d.do_em and not class2d.do_grad:
            self.problem(f"{prefix}class2d: do_em and do_grad are both off; choose one.")


def _prefix(place: str, difference: Mapping[str, Any], section: str, keys: tuple[str, ...]) -> str:
    """Return the place if the fault is the round's own; a fault of every round is told once, without it."""
    given = difference.get(section)
    return f"{place}: " if isinstance(given, Mapping) and any(key in given for key in keys) else ""


def _value(given: Any, item: dataclasses.Field) -> Any:
    """Return the value in the type of the option; ValueError says what is wrong with it."""
    facts = item.metadata
    given = listed_classes(given) if facts["is_class_list"] else given
    value = typed_value(given, type(item.default))
    if facts["is_input"] and value != item.default:
        instead = facts["is_input"] if isinstance(facts["is_input"], str) else "name the particles under input"
        raise ValueError(f"the workflow fills this in; {instead}.")
    fault = fault_of(item, value)
    if fault and facts["choices"]:
        raise ValueError(
            f"expected one of {', '.join(facts['choices'])}, found {given!r}.{_nearest(str(value), facts['choices'])}"
        )
    if fault:
        raise ValueError(f"{given!r} {fault}" if facts["refused"] else f"{fault.rstrip('.')}, found {given!r}.")
    return value


def _unknown(key: str, known: tuple[str, ...], place: str) -> str:
    """Return the sentence about an unknown key: where it belongs, or the nearest name."""
    for section, options in SECTIONS.items():
        if key in {item.name for item in dataclasses.fields(options)} and not place.endswith(section):
            return f"{place}: unknown key '{key}'; it belongs under {section}."
    return f"{place}: unknown key '{key}'.{_nearest(key, known) or ' Known: ' + ', '.join(known) + '.'}"


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""
