"""Whether a further round is worth its time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from winnow2d.errors import WinnowError
from winnow2d.formats.round_figures import read_round_figures, write_round_figures
from winnow2d.selection.stopping import RoundFigures, figures_of, reason_to_stop

BEFORE = RoundFigures(1000, 800, 0.70, 0.90, 12.0)


@pytest.mark.parametrize(
    ("last", "before", "share", "unimproved", "words"),
    [
        (RoundFigures(1000, 970, 0.9, 0.92, 11.0), BEFORE, 0.95, False, "round 2 kept 97.0%"),
        (RoundFigures(1000, 950, 0.9, 0.92, 11.0), BEFORE, 0.95, False, ""),
        (RoundFigures(1000, 1000, 0.9, 0.9, 12.0), BEFORE, 1.0, False, ""),  # never, unless asked
        (RoundFigures(1000, 900, 0.9, 0.901, 12.0), BEFORE, 1.0, True, "improved nothing"),
        (RoundFigures(1000, 900, 0.9, 0.92, 12.0), BEFORE, 1.0, True, ""),  # fewer bad ones
        (RoundFigures(1000, 900, 0.9, 0.901, 10.0), BEFORE, 1.0, True, ""),  # finer
        (RoundFigures(1000, 900, 0.9, 0.901, 12.0), None, 1.0, True, ""),  # nothing to compare with
        (RoundFigures(9, 1, 0.1, 0.9, 1.0, "round 1 kept all"), BEFORE, 1.0, False, "round 1 kept all"),
    ],
)
def test_a_round_is_the_last_when_it_kept_enough_or_improved_nothing(last, before, share, unimproved, words):
    reason = reason_to_stop(last, before, share, unimproved, "round 2")
    assert (words in reason) if words else not reason


def test_figures_of_a_round():
    counts, shares, resolution = np.array([100, 300, 0]), np.array([0.2, 0.8, 0.0]), np.array([30.0, 10.0, 50.0])
    found = figures_of(counts, shares, resolution, np.array([False, True, False]), 410, 290)
    assert (found.n_entered, found.n_kept) == (410, 290)
    assert found.good_before == pytest.approx(0.65)
    assert found.good_after == pytest.approx(0.8)
    assert found.resolution_ang == 10.0
    none = figures_of(np.array([1]), np.array([0.1]), np.array([9.0]), np.array([False]), 1, 0)
    assert (none.good_after, none.resolution_ang) == (0, 0)


def test_the_file_gives_figures_back(tmp_path):
    path = tmp_path / "figures.tsv"
    write_round_figures(path, dataclasses.asdict(BEFORE))
    assert RoundFigures(**read_round_figures(path)) == BEFORE
    path.write_text("name\tvalue\nn_kept\tmany\n")
    with pytest.raises(WinnowError, match="Run its selection again"):
        read_round_figures(path)
