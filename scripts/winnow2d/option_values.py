"""Values of options: in their type, within their bounds, as the config shows them, and which change nothing."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from winnow2d.errors import ConfigError

_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def typed_value(given: Any, kind: type) -> Any:
    """Return `given` as bool, int, float or str, tolerant only where YAML is: Yes/No, 25.0, 1e3."""
    expected = {bool: "Yes or No", int: "a whole number", float: "a number", str: "a text"}[kind]
    if given is None:
        raise ValueError(f"expected {expected}, found nothing.")
    if kind is bool and isinstance(given, bool):
        return given
    if kind is bool and isinstance(given, str) and given.lower() in _WORDS:
        return _WORDS[given.lower()]
    if kind is str and isinstance(given, str):
        return given
    if kind in (int, float) and not isinstance(given, bool):
        try:
            number = float(given)
        except (TypeError, ValueError):
            number = math.nan
        if math.isfinite(number) and (kind is float or number == int(number)):
            return kind(number)
    raise ValueError(f"expected {expected}, found {given!r}.")


def option_value(kind: type, value: Any, name: str) -> Any:
    """Return a value, which may be RELION's text, in the type of its option.

    Raises
    ------
    ConfigError
        If it cannot be read as that type.
    """
    try:
        if kind is bool:
            if isinstance(value, str):
                return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[value.lower()]
            return bool(value)
        if kind is int:
            if float(value) != int(float(value)):
                raise ValueError
            return int(float(value))
        return kind(value)
    except (KeyError, ValueError, TypeError):
        expected = {bool: "Yes or No", int: "a whole number", float: "a number"}.get(kind, "text")
        raise ConfigError(f"option {name}: expected {expected}, found '{value}'") from None


def listed_classes(given: Any) -> Any:
    """Return class numbers that YAML has as a number or a list as the text that options have: [1, 5] is 1,5."""
    if isinstance(given, list) and all(isinstance(one, (int, str)) and not isinstance(one, bool) for one in given):
        return ",".join(str(one) for one in given)
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


def class_numbers(text: str) -> list[int]:
    """Return the class numbers of a text such as "1,3,5-9", 1-based, in order and each once.

    Raises
    ------
    ConfigError
        If a part of it is no number of 1 or more and no range of such.
    """
    found: set[int] = set()
    for part in text.split(","):
        bounds = [bound.strip() for bound in part.split("-")]
        if not (len(bounds) <= 2 and all(bound.isdecimal() and int(bound) > 0 for bound in bounds)):
            raise ConfigError(f"expected class numbers from 1 on, e.g. 1,3,5-9, found {part.strip() or 'nothing'!r}")
        first, last = int(bounds[0]), int(bounds[-1])
        if last < first:
            raise ConfigError(f"expected a range that goes up, found {part.strip()!r}")
        found.update(range(first, last + 1))
    return sorted(found)


def fault_of(item: dataclasses.Field, value: Any) -> str:
    """Return what is wrong with the value of an option, which is of its type; nothing if it can be used."""
    facts = item.metadata
    if facts["refused"] and value != facts["relion_default"]:
        return f"is refused, only RELION's default {shown(item.default)} is possible: {facts['refused']}."
    if facts["is_class_list"] and value and not value.endswith(".star"):
        try:
            class_numbers(value)
        except ConfigError as error:
            return f"cannot be used: {error}."
    if facts["choices"] and value not in facts["choices"]:
        return f"is none of {', '.join(facts['choices'])}."
    unit = f" {facts['unit']}" if facts["unit"] else ""
    if facts["minimum"] is not None and value < facts["minimum"]:
        return f"must be at least {facts['minimum']:g}{unit}."
    if facts["maximum"] is not None and value > facts["maximum"]:
        return f"must be at most {facts['maximum']:g}{unit}."
    return ""


def shown(value: Any) -> str:
    """Return a value as the config shows it: Yes and No, text in quotes, numbers short."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str):
        return value or '""'
    return f"{value:g}"


def without_result(options: type) -> tuple[str, ...]:
    """Return the options that change no result: those that are unused, and how and where a job computes."""
    items = dataclasses.fields(options)
    return tuple(item.name for item in items if item.metadata["unused"] or item.metadata["tab"] == "Compute")


def unused_of(options: Any) -> list[str]:
    """Return `name value (reason)` of every option that was set and changes nothing here."""
    return [
        f"{item.name} {shown(getattr(options, item.name))} ({item.metadata['unused']})"
        for item in dataclasses.fields(options)
        if item.metadata["unused"] and getattr(options, item.name) != item.default
    ]
