"""Make every file that repeats what `options` and pyproject.toml say: `python -m winnow2d.generate`.

These are the config's schema, the list of options in config.yaml, the tables of the manual and the conda
environments. A test compares the files with what this module makes.
"""

from __future__ import annotations

import dataclasses
import logging
import tomllib
from pathlib import Path
from typing import Any

import yaml

from winnow2d.config import INPUTS, ROUND_SECTIONS
from winnow2d.demo_options import DemoMicrographsOptions, DemoOptions
from winnow2d.option_fields import RunOptions
from winnow2d.option_values import shown
from winnow2d.options import SECTIONS

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = "make generated"
MARK = "# ---- Every option and its default; this part is generated (make generated) ----"
CONDA_NAMES = {"snakemake": "snakemake-minimal"}
TITLES = {
    "extract": "RELION: Particle extraction",
    "class2d": "RELION: 2D classification",
    "select": "RELION: Subset selection",
    "own": "What RELION has no field for",
    "demo": "The simulated particles, under input: {demo: ...}",
    "demo_micrographs": "Or simulated micrographs, under input: {demo_micrographs: ...}",
}
DEMOS: dict[str, type] = {"demo": DemoOptions, "demo_micrographs": DemoMicrographsOptions}
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}


def generated_files(repository: Path = REPOSITORY) -> dict[str, str]:
    """Return the text every generated file should have, by its path in the repository."""
    user_part = (repository / "config.yaml").read_text(encoding="utf-8").split(MARK)[0]
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "config.yaml": user_part + MARK + "\n" + config_listing(),
        "docs/options.md": manual(),
        "rules/config.schema.yaml": _HEADER + yaml.safe_dump(schema(), sort_keys=False, width=110, allow_unicode=True),
        "envs/cpu.yaml": environment(project["dependencies"]),
        "envs/gpu.yaml": environment(project["dependencies"] + project["optional-dependencies"]["gpu"]),
    }


_HEADER = "# Generated from scripts/winnow2d and pyproject.toml by `make generated`; do not edit.\n"


def _fields(options: type) -> list[dataclasses.Field]:
    """Return the options of one job in the order of RELION's window: its own tabs, then Running."""
    everywhere = {item.name for item in dataclasses.fields(RunOptions)}
    fields = list(dataclasses.fields(options))
    return sorted(fields, key=lambda item: item.name in everywhere)


def _users(options: type) -> list[dataclasses.Field]:
    """Return the options a user sets: not those the workflow fills in, nor those refused or without effect."""
    hidden = ("is_input", "refused", "unused")
    return [item for item in _fields(options) if not any(item.metadata[fact] for fact in hidden)]


def _label(item: dataclasses.Field) -> str:
    facts = item.metadata
    text = facts["label"] + (f" ({facts['unit']})" if facts["unit"] else "")
    if facts["choices"]:
        text += f": {', '.join(facts['choices'])}"
    if facts["relion_default"] != item.default:
        text += f" (RELION: {shown(facts['relion_default'])})"
    return text


def config_listing() -> str:
    """Return every option a user may set as commented-out YAML, by section and tab."""
    lines = []
    for name, options in {"demo": DemoOptions, **SECTIONS}.items():
        users, is_input = _users(options), name == "demo"
        lines += ["#", f"# {'input' if is_input else name}:  # {TITLES[name]}"]
        lines += ["#   demo:"] if is_input else []
        indent, tab = "    " if is_input else "  ", ""
        for item in users:
            if item.metadata["tab"] != tab and name in ("extract", "class2d", "select"):
                tab = item.metadata["tab"]
                lines.append(f"# {indent}# {tab}")
            lines.append(f"# {indent}{item.name}: {shown(item.default)}".ljust(36) + f"  # {_label(item)}")
    return "\n".join(lines) + "\n"


def manual() -> str:
    """Return the manual's tables of options as Markdown."""
    lines = ["# Options", "", "Generated from `scripts/winnow2d/options.py` by `make generated`; do not edit.", ""]
    lines += [
        "Keys and meanings are RELION's. An option with a reason in the last column is accepted at RELION's",
        "default and refused otherwise, unless it begins with *changes nothing*: then any value is taken.",
    ]
    for name, options in {**SECTIONS, **DEMOS}.items():
        place = f"input: {{{name}: ...}}" if name in DEMOS else name
        lines += ["", f"## `{place}`", "", f"{TITLES[name]}.", ""]
        lines += ["| key | default | meaning | tab | bounds | remarks |", "|---|---|---|---|---|---|"]
        for item in _fields(options):
            facts = item.metadata
            bounds = " to ".join("" if edge is None else f"{edge:g}" for edge in (facts["minimum"], facts["maximum"]))
            bounds = (
                "" if bounds == " to " else (bounds.rstrip("to ") + " or more" if bounds.endswith("to ") else bounds)
            )
            remark = "filled in by the workflow" if facts["is_input"] else facts["refused"]
            remark = f"changes nothing: {facts['unused']}" if facts["unused"] else remark
            cells = (f"`{item.name}`", shown(item.default), _label(item), facts["tab"], bounds, remark)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _property(item: dataclasses.Field) -> dict[str, Any]:
    facts = item.metadata
    told: dict[str, Any] = {"type": _KINDS[type(item.default)], "description": _label(item), "default": item.default}
    if facts["refused"]:
        told |= {"const": facts["relion_default"], "description": f"{_label(item)}. Fixed: {facts['refused']}"}
    if facts["unused"]:
        told["description"] = f"{_label(item)}. Changes nothing: {facts['unused']}"
    if facts["choices"]:
        told["enum"] = list(facts["choices"])
    if facts["minimum"] is not None:
        told["minimum"] = facts["minimum"]
    if facts["maximum"] is not None:
        told["maximum"] = facts["maximum"]
    return told


def _section(options: type) -> dict[str, Any]:
    properties = {item.name: _property(item) for item in _fields(options) if not item.metadata["is_input"]}
    return {"type": ["object", "null"], "additionalProperties": False, "properties": properties}


def schema() -> dict[str, Any]:
    """Return the JSON schema of the config, for editors; `config.check_config` is the judge."""
    one_or_many = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1}]
    }
    inputs: dict[str, Any] = {name: {} for name in INPUTS} | {"particles": one_or_many}
    inputs |= {"micrographs": {"type": "string"}, **{name: _section(options) for name, options in DEMOS.items()}}
    inputs["optimiser"] = {"type": "string", "description": "Optimiser file of a Class2D job: round 1's classification"}
    sections = {name: _section(options) for name, options in SECTIONS.items()}
    one_round = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/properties/{name}"} for name in ROUND_SECTIONS},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Winnow's config",
        "type": "object",
        "additionalProperties": False,
        "required": ["input"],
        "properties": {
            "input": {
                "type": "object",
                "description": "Where the particles come from; exactly one key",
                "additionalProperties": False,
                "properties": {**inputs, "coordinates": {"type": "string"}},
                "oneOf": [{"required": [name]} for name in INPUTS],
            },
            **sections,
            "rounds": {
                "type": "array",
                "description": "One entry per round: what differs from the sections",
                "minItems": 1,
                "maxItems": 99,
                "items": one_round,
            },
        },
    }


def environment(dependencies: list[str]) -> str:
    """Return a conda environment file with these packages of pyproject.toml."""
    lines = [_HEADER.rstrip(), "channels: [conda-forge, bioconda]", "dependencies:", "  - python>=3.11"]
    for requirement in dependencies:
        name, bound = requirement.split(">=")
        lines.append(f"  - {CONDA_NAMES.get(name, name)}>={bound}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every generated file that differs from what it should be."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, text in generated_files().items():
        path = REPOSITORY / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        log.info("made %s", name)


if __name__ == "__main__":
    main()
