import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from report_records import make_round
from winnow2d.report import figures, tables


def picture(sheet):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.uri.split(",", 1)[1]))))


def test_sheet_holds_every_average_at_its_place():
    averages = np.random.default_rng(3).normal(size=(7, 20, 20))
    sheet = figures.class_sheet(averages)
    pixels = picture(sheet)
    assert pixels.shape == (sheet.rows * 20, sheet.columns * 20)
    for index in range(7):
        row, column = divmod(index, sheet.columns)
        tile = pixels[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
        assert np.array_equal(tile, figures.grey_levels(averages[index]))
    assert sheet.position(0) == "0.0000% 0.0000%"
    assert sheet.position(sheet.columns - 1) == "100.0000% 0.0000%"


def test_grey_scale_is_each_average_s_own():
    average = np.random.default_rng(4).normal(size=(24, 24))
    assert np.array_equal(figures.grey_levels(average), figures.grey_levels(1e-4 * average + 7))
    assert np.ptp(figures.grey_levels(average)) > 150
    assert np.ptp(figures.grey_levels(np.zeros((24, 24)))) == 0
    assert np.ptp(figures.grey_levels(np.full((24, 24), np.nan))) == 0


def test_two_hundred_large_averages_stay_reasonable():
    averages = np.random.default_rng(5).normal(size=(200, 128, 128)).astype(np.float32)
    sheet = figures.class_sheet(averages)  # white noise: the worst case
    assert sheet.uri.startswith("data:image/jpeg;base64,")
    assert len(sheet.uri) < 1_200_000
    exact = picture(figures.class_sheet(averages, largest_exact=10_000_000)).astype(float)
    assert np.corrcoef(exact.ravel(), picture(sheet).ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 17.0), (0.981, 0.983), (5.0, 5.0), (0.0, 4e6)])
def test_ticks_are_round_and_within(low, high):
    ticks = figures.nice_ticks(low, high)
    assert 1 <= len(ticks) <= 11
    assert all(low - 1e-9 * abs(low) <= tick <= high * (1 + 1e-9) for tick in ticks)


def test_share_chart_marks_every_class_with_its_numbers():
    classes = tables.class_table(make_round(1, 60).class_ledger)
    svg = figures.resolution_against_share(classes)
    assert len(re.findall('class="kept" data-class', svg)) == 3
    assert len(re.findall('class="dropped" data-class', svg)) == 3
    assert "<title>Class 2, kept: 10 particles, 16.67 %, 11.0 Å</title>" in svg
    assert "<title>Class 6, dropped: 10 particles, 16.67 %, no resolution</title>" in svg
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)" r="5"', svg)]
    assert heights == sorted(heights)  # classes 1, 2, 3 at 10, 11, 12 A: finer lies higher


def test_group_chart_names_groups_until_there_are_too_many():
    groups = tables.group_table(make_round(1, 60).iteration)
    assert "mic_003.mrc: scale 1.300, 1.30 µm, 12 particles" in figures.scale_against_defocus(groups)
    many = pd.DataFrame({"name": "m", "n_particles": 3, "scale": 1.0, "defocus_um": np.linspace(1, 3, 5000)})
    svg = figures.scale_against_defocus(many)
    assert svg.count("h0") == 5000
    assert len(svg) < 100_000


def test_curves_leave_a_gap_where_there_is_no_number():
    history = pd.DataFrame({"iteration": [1, 2, 3, 4], "resolution_ang": [30.0, 20.0, 15.0, 12.0]})
    history["average_max_probability"] = [0.1, np.nan, 0.3, 0.4]
    svg = figures.pmax_by_iteration(history)
    path = re.search(r'class="curve" d="([^"]*)"', svg).group(1)
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert "Iteration 3: 15.0 Å" in figures.resolution_by_iteration(history)
    one = figures.resolution_by_iteration(history[:1])
    assert "nan" not in one
