"""What a round came to, and the choice of one that is passed on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from winnow2d.choosing import Judged
from winnow2d.decisions import EARLY_STOP, ClassDecision
from winnow2d.formats.round_figures import write_round_figures
from winnow2d.selection.choose import Choice
from winnow2d.selection.stopping import figures_of


def decisions_passed_on(judged: Judged, reason: str) -> tuple[ClassDecision, ...]:
    """Return that every class with particles is kept: they are those that the round before kept."""
    if not reason:
        return ()
    live = np.flatnonzero(judged.n_particles > 0)
    return tuple(ClassDecision(int(k), True, f"passed on: {reason}", EARLY_STOP) for k in live)


def write_figures(path: Path, judged: Judged, choice: Choice, is_kept: np.ndarray, passed_on: str) -> None:
    """Write what a round came to."""
    figures = figures_of(
        judged.n_particles, judged.scores.good_share, judged.features["resolution_ang"].to_numpy(), choice.kept,
        len(is_kept), int(is_kept.sum()), passed_on,
    )  # fmt: skip
    write_round_figures(path, asdict(figures))
