"""Whether the rounds planned fit the particles that enter: told before the first round, not after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlannedRound:
    """The options of a round whose bounds are set by the particles."""

    number: int
    particle_diameter_ang: float
    n_classes: int


def planned(rounds: Iterable[Any]) -> list[PlannedRound]:
    """Return what is planned for rounds that have `number` and `class2d` (the options of the classification)."""
    return [PlannedRound(item.number, item.class2d.particle_diameter, item.class2d.nr_classes) for item in rounds]


def given_classification(
    raw_input: Any, class2d: Mapping[str, Any], differences: Sequence[Mapping[str, Any]], problems: list[str]
) -> str:
    """Return the optimiser file that a config names as the classification of round 1; "" for none.

    Parameters
    ----------
    raw_input : the section `input` of the config, unchecked
    class2d : the options said for all rounds
    differences : what each round says beside them
    problems : receives a sentence for each fault
    """
    if not isinstance(raw_input, Mapping) or "optimiser" not in raw_input:
        return ""
    path = raw_input["optimiser"]
    if not isinstance(path, str) or not path:
        problems.append(f"input.optimiser: expected the path of a run_itNNN_optimiser.star, found {path!r}.")
        return ""
    if class2d.get("fn_cont"):
        problems.append(
            "class2d.fn_cont: round 1 goes on from no file, as its classification is given (input.optimiser). To "
            "classify on from that file, give its particles under input.particles and the file here."
        )
    if differences and differences[0].get("class2d"):
        problems.append(
            "round 1: class2d: its classification is given (input.optimiser); options for later rounds stand above "
            "the rounds or in their entries."
        )
    return path


def misfits(rounds: Iterable[PlannedRound], box_px: int, pixel_size_ang: float, n_particles: int) -> list[str]:
    """Return one sentence for each option that these particles cannot be classified with, by EM or by VDAM.

    Parameters
    ----------
    rounds : PlannedRound of every round
    box_px : int
        Box of the images; 0 where it is not known: then diameters are not judged.
    pixel_size_ang : float
        Not above 0 or NaN where it is not known, likewise.
    n_particles : int
        How many particles enter the first round; later rounds have no more.
    """
    too_wide: dict[float, list[int]] = {}
    too_many: dict[int, list[int]] = {}
    length_ang = box_px * pixel_size_ang
    for item in rounds:
        if length_ang > 0 and item.particle_diameter_ang > length_ang:
            too_wide.setdefault(item.particle_diameter_ang, []).append(item.number)
        if item.n_classes > n_particles:
            too_many.setdefault(item.n_classes, []).append(item.number)
    box = f"{box_px} px of {pixel_size_ang:g} A = {length_ang:g} A"
    told = [
        f"{_named(numbers)}: class2d.particle_diameter: {diameter:g} A is larger than the box ({box}); give the mask "
        "diameter of your particle."
        for diameter, numbers in too_wide.items()
    ]
    return told + [
        f"{_named(numbers)}: class2d.nr_classes: {n_classes:,} classes for {n_particles:,} particles; ask for fewer."
        for n_classes, numbers in too_many.items()
    ]


def _named(numbers: list[int]) -> str:
    return ("round " if len(numbers) == 1 else "rounds ") + ", ".join(map(str, numbers))
