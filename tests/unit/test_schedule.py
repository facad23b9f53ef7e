"""Image sizes, from the example of a 64 px box of 3.54 A and a mask of 200 A."""

import numpy as np
import pytest

from winnow2d.engine.schedule import (
    expectation_sizes_px,
    first_resolution_shell,
    image_size_px,
    next_resolution_shell,
)
from winnow2d.options import Class2DOptions

OPTIONS = Class2DOptions(particle_diameter=200.0)


@pytest.mark.parametrize(("box", "shell"), [(64, 4), (48, 3), (128, 9), (50, 4), (8, 1)])
def test_first_shell_is_seven_percent_of_the_box(box, shell):
    assert first_resolution_shell(box) == shell


def test_first_iteration_compares_28_pixels():
    size = image_size_px(64, first_resolution_shell(64))
    assert size == 28
    assert expectation_sizes_px(OPTIONS, 64, 3.54, 12.0, size) == (28, 28)


@pytest.mark.parametrize(("psi_step", "coarse"), [(12.0, 34), (11.25, 36)])
def test_the_coarse_pass_sees_what_its_angles_can_tell_apart(psi_step, coarse):
    assert expectation_sizes_px(OPTIONS, 64, 3.54, psi_step, 64) == (coarse, 64)


def test_the_window_grows_ten_shells_ahead_and_ends_at_the_box():
    assert [image_size_px(64, shell) for shell in (5, 12, 22, 31)] == [30, 44, 64, 64]


@pytest.mark.parametrize(
    ("psi_step", "size", "shell", "expected"),
    [
        (12.0, 64, 20, (24, 46)),  # two thirds of 34, upwards and even; three shells beyond the resolution
        (12.0, 64, 31, (24, 64)),
        (12.0, 28, 20, (24, 28)),
        (2.0, 64, 12, (30, 30)),  # never finer than the fine pass
    ],
)
def test_ours_compares_little_beyond_the_resolution(psi_step, size, shell, expected):
    """RELION's rule, without a shell, looks as far as the M-step does."""
    assert expectation_sizes_px(OPTIONS, 64, 3.54, psi_step, size, shell) == expected
    assert expectation_sizes_px(OPTIONS, 64, 3.54, psi_step, size)[1] == size


def test_a_limit_of_resolution_holds_both_passes():
    limited = Class2DOptions(particle_diameter=200.0, highres_limit=10.0)
    assert expectation_sizes_px(limited, 64, 3.54, 12.0, 64) == (46, 46)  # 2 ROUND(226.56 / 10)
    assert expectation_sizes_px(limited, 64, 3.54, 12.0, 30) == (30, 30)


def test_the_next_shell_is_the_best_classes_and_at_least_five():
    spectra = np.zeros((2, 33))
    assert next_resolution_shell(spectra) == 5
    spectra[1, :13] = 3
    assert next_resolution_shell(spectra) == 12
