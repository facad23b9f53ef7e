"""The box of a round: wide enough, fine enough, quick to transform, and never finer than what there is."""

from __future__ import annotations

import pytest

from winnow2d.extraction.auto_box import box_around, chosen_box, next_smooth


@pytest.mark.parametrize(("wanted", "expected"), [(1, 2), (63.2, 64), (64, 64), (65, 72), (97, 100), (127, 128)])
def test_boxes_are_even_and_smooth(wanted, expected):
    assert next_smooth(wanted) == expected


def test_the_box_is_one_and_a_half_masks_wide():
    assert box_around(200, 1.5) == 200
    assert box_around(180, 0.885) >= 1.5 * 180 / 0.885


@pytest.mark.parametrize("pixel_ang", [0.5, 0.885, 1.77, 3.54])
@pytest.mark.parametrize("diameter_ang", [90, 200, 400])
def test_without_a_resolution_images_have_64_to_128_px(pixel_ang, diameter_ang):
    cut_px = box_around(diameter_ang, pixel_ang)
    box = chosen_box(cut_px, pixel_ang, diameter_ang, 0)
    assert min(64, cut_px) <= box.output_px <= 128


@pytest.mark.parametrize("resolution_ang", [5, 8, 12, 20])
def test_a_resolution_asked_for_is_allowed_by_the_pixels(resolution_ang):
    box = chosen_box(360, 0.885, 200, resolution_ang)
    assert 3 * box.pixel_size_ang <= resolution_ang
    assert box.pixel_size_ang == pytest.approx(360 * 0.885 / box.output_px)
    assert f"become {box.output_px} px" in box.sentence


def test_a_finer_resolution_never_gives_fewer_pixels():
    sizes = [chosen_box(360, 0.885, 200, resolution).output_px for resolution in (30, 20, 12, 8, 5, 3, 2)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 360


def test_more_than_the_pixels_allow_is_told():
    box = chosen_box(96, 3.54, 200, 4)
    assert (box.output_px, box.is_rescaled) == (96, False)
    assert box.sentence.endswith("4 A were asked for, finer than these pixels allow")
