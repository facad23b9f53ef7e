"""What a config asks of extraction: which micrographs and coordinates, and whether its options fit together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from winnow2d.demo_options import DemoMicrographsOptions
from winnow2d.extraction.settings import faults_of
from winnow2d.options import ExtractOptions, OwnOptions

SIMULATED = "Micrographs"  # folder of simulated micrographs in the project


@dataclass(frozen=True)
class MicrographInput:
    """Where particles are to be cut from; `demo` are the options of simulated micrographs, or None."""

    micrographs: str
    coordinates: str
    demo: DemoMicrographsOptions | None = None


def micrograph_input(
    raw: Any, values: Callable[[str, Any, type], dict[str, Any]], problems: list[str]
) -> MicrographInput | None:
    """Return the micrographs named under `input`, or None where it names something else.

    Parameters
    ----------
    raw : mapping
        The section, of which other parts are judged elsewhere.
    values : function
        Section, given values and options -> those that are valid; see `config`.
    problems : list
        Takes a sentence for each fault.
    """
    if not isinstance(raw, Mapping):
        return None
    if "demo_micrographs" in raw:
        demo = DemoMicrographsOptions(
            **values("input.demo_micrographs", raw["demo_micrographs"], DemoMicrographsOptions)
        )
        return MicrographInput(f"{SIMULATED}/micrographs_ctf.star", f"{SIMULATED}/coordinates.star", demo)
    if "micrographs" not in raw:
        if "coordinates" in raw:
            problems.append("input.coordinates: only with input.micrographs, which says where they were picked.")
        return None
    paths = [raw.get(key) for key in ("micrographs", "coordinates")]
    if "coordinates" not in raw:
        problems.append(
            "input.coordinates: missing. Say where the particles are, e.g. coordinates: AutoPick/job004/"
            "*_autopick.star, a coordinate list (autopick.star), or a particles STAR file to extract again."
        )
    for key, path in zip(("micrographs", "coordinates"), paths, strict=True):
        if key in raw and not (isinstance(path, str) and path):
            problems.append(f"input.{key}: expected the path of a file, found {path!r}.")
    if not all(isinstance(path, str) and path for path in paths):
        return None
    return MicrographInput(str(paths[0]), str(paths[1]))


def faults_of_extraction(given: Mapping[str, Any], has_micrographs: bool, own: OwnOptions, is_boxed: bool) -> list[str]:
    """Return one sentence per option of `extract` and `own` that cannot be with this input.

    Parameters
    ----------
    given : mapping
        What the section `extract` says.
    has_micrographs : bool
        Whether there are micrographs to cut from.
    own : OwnOptions
        Those of the whole project.
    is_boxed : bool
        Whether some round chooses its box by itself.
    """
    options, default = ExtractOptions(**given), ExtractOptions()
    if has_micrographs or own.reextract_micrographs:
        faults = faults_of(options)
    else:
        used = ("do_float16",) if is_boxed else ()
        changed = [name for name in given if getattr(options, name) != getattr(default, name) and name not in used]
        faults = [
            f"extract.{name}: nothing is cut from particles that are ready; give input.micrographs, or leave it out."
            for name in changed
        ]
    if own.reextract and not (has_micrographs or own.reextract_micrographs or is_boxed):
        faults.append(
            "own.reextract: there is nothing to extract from; name the particles' micrographs with "
            "own.reextract_micrographs: path/to/micrographs_ctf.star."
        )
    if own.reextract_size % 2:
        faults.append(f"own.reextract_size: {own.reextract_size} px is odd; give an even box.")
    return faults


def rounds_of_other_box(config: Any) -> list[int]:
    """Return the rounds whose images are to be made anew: those that ask for another box than the round before.

    The first round of particles that are to be cut gets its box at once, and has no other; so has a first round
    whose classification is given.

    Parameters
    ----------
    config : Config
    """
    asked = [(item.own.resolution if item.own.auto_box else None) for item in config.rounds]
    before = [asked[0] if config.micrographs or config.optimiser else None, *asked[:-1]]
    numbers = [item.number for item in config.rounds]
    return [number for number, now, then in zip(numbers, asked, before, strict=True) if now is not None and now != then]
