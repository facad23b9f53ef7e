"""Decisions on single classes and particles, as they go between the rules, the ledgers and whoever decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

AUTOMATIC = "automatic"
EARLY_STOP = "early stop"
NOBODY = ("", AUTOMATIC, EARLY_STOP)  # no person decided


class ClassDecision(NamedTuple):
    """What was said of one class, beside its score."""

    class_index: int  # 0-based
    is_kept: bool
    why: str = ""
    by: str = AUTOMATIC


class ParticleDecision(NamedTuple):
    """What was said of one particle, beside its class."""

    is_kept: bool
    reason: str


@dataclass(frozen=True)
class ByHand:
    """What a person said of the classes of one round.

    Attributes
    ----------
    source : str
        The file or the option that says it.
    decisions : tuple of ClassDecision
        At most one for a class.
    made_for : str
        SHA-256 of the class averages that were looked at; empty where that is not known.
    """

    source: str
    decisions: tuple[ClassDecision, ...] = field(default=())
    made_for: str = ""
