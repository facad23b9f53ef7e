"""What a warning about a run consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Finding:
    """One warning.

    Attributes
    ----------
    kind : str
        One of `winnow2d.selection.diagnosis.KINDS`.
    sentence : str
        What was seen, with its numbers, and what to change.
    numbers : mapping
        The numbers it rests on, and the value suggested, by name.
    classes : (c,) int64 array
        Classes that show it, 0-based, ascending; empty where it is not about classes.
    """

    kind: str
    sentence: str
    numbers: Mapping[str, float]
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
