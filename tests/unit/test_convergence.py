"""Whether a run has converged is told from how far its iterations move."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from winnow2d.engine.convergence import Step, change_of_averages, verdict
from winnow2d.errors import WinnowError
from winnow2d.formats.convergence import read_convergence, write_convergence


def steps(classes, averages, resolution=None, is_gradient=False):
    resolution = resolution or [10.0] * len(classes)
    rows = zip(classes, averages, resolution, strict=True)
    return [Step(i, is_gradient, c, 1.0, 2.0, a, r) for i, (c, a, r) in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (steps([0.5, 0.3, 0.1, 0.04, 0.03, 0.02], [0.1, 0.1, 0.1, 0.01, 0.005, 0.002]), True),  # hardly anything moves
        (steps([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.03] * 6), False),  # classes still settle
        (steps([0.2] * 6, [0.2, 0.2, 0.2, 0.05, 0.05, 0.05]), False),  # averages still settle
        (steps([0.2, 0.21, 0.2, 0.19, 0.2, 0.21], [0.03] * 6), True),  # junk changes class for ever
        (steps([0.2] * 6, [0.03] * 6, [20, 19, 18, 16, 15, 14]), False),  # resolution still improves
        (steps([0.2] * 3, [0.03] * 3), False),  # too few to tell
        ([], False),
    ],
)
def test_a_run_has_converged_when_nothing_moves_or_nothing_settles_any_more(run, expected):
    assert verdict(run).is_converged is expected


def test_mini_batches_are_not_compared_with_iterations_over_all_particles():
    ends = steps([0.2, 0.2, 0.2, 0.2], [0.03] * 4)
    before = [dataclasses.replace(step, is_gradient=True, classes=0.9) for step in ends]
    assert verdict([*before, *ends]).is_converged
    assert "(20.0% in the 2 before)" in verdict([*before, *ends]).sentence


def test_a_shift_is_no_change_of_an_average_and_another_image_is():
    rng = np.random.default_rng(1)
    images = rng.normal(size=(3, 16, 16))
    moved = np.roll(images, (2, -3), axis=(1, 2))
    assert change_of_averages(images, moved, np.ones(3)) == pytest.approx(0, abs=1e-9)
    assert change_of_averages(images, 5 * images + 2, np.ones(3)) == pytest.approx(0, abs=1e-9)
    other = np.concatenate([images[:2], rng.normal(size=(1, 16, 16))])
    one_of_three = change_of_averages(images, other, np.ones(3))
    assert one_of_three > 0.15
    assert change_of_averages(images, other, np.array([1, 1, 0])) == pytest.approx(0, abs=1e-9)
    assert change_of_averages(np.zeros((1, 8, 8)), np.zeros((1, 8, 8)), np.ones(1)) == 0


def test_the_file_gives_back_what_was_written_and_names_a_broken_line(tmp_path):
    path = tmp_path / "convergence.tsv"
    rows = [dataclasses.astuple(step) for step in steps([0.5, 0.25], [0.125, 0.5])]
    write_convergence(path, rows)
    assert read_convergence(path) == rows
    assert read_convergence(path, up_to=1) == rows[:1]
    assert read_convergence(tmp_path / "none.tsv") == []
    path.write_text(path.read_text() + "3\tall\tx\n")
    with pytest.raises(WinnowError, match="line 4 is no row"):
        read_convergence(path)
