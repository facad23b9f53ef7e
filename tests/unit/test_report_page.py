import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from report_records import make_project, make_round, make_truth
from winnow2d.errors import JobError
from winnow2d.report.page import render_page
from winnow2d.report.tables import truth_score

VOID = {"meta", "link", "input", "br", "img", "hr", "path", "circle"}


def render(**changes) -> str:
    rounds = [make_round(1, 60), make_round(2, 30, n_classes=4)]
    rounds[0] = dataclasses.replace(rounds[0], **changes)
    truth = truth_score(make_truth(60), [record.particle_ledger for record in rounds])
    return render_page(make_project(60), rounds, truth)


class Checker(HTMLParser):
    """Collects addresses, and sees that tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_page_needs_nothing_beside_it():
    html = render()
    assert not re.search(r"https?:|//[a-z]|@import|<script[^>]+src|file:", html)
    assert all(uri.startswith("data:image/png;base64,") for uri in re.findall(r"url\(([^)]*)", html))
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert checker.addresses
    loaded = [address for address in checker.addresses if not re.fullmatch(r"round_\d\d/[a-z]+\.tsv", address)]
    assert len(checker.addresses) == len(loaded) + 4  # the ledgers are links, read only when followed
    assert all(address.startswith(("#", "data:,")) for address in loaded)


def test_page_has_every_class_once_in_its_group():
    html = render()
    first = html[html.index('<section id="round-1"') : html.index('<section id="round-2"')]
    tiles = re.findall(r'class="tile (kept|dropped)" data-class="(\d+)"', first)
    assert tiles == [*(("kept", k) for k in "123"), *(("dropped", k) for k in "456")]
    assert len(re.findall('class="pair ', first)) == 6
    assert first.count('class="average before"') == 6


def test_page_shows_the_numbers_of_its_input():
    html = render()
    assert "<b>16</b> of <b>60</b> particles kept (26.7 %) after 2 rounds." in html
    assert "30 of 60 particles (50.0 %) from 3 of 6 classes." in html
    assert "<td>60</td><td>30</td><td>30</td><td>50.0 %</td><td>50.0 %</td><td>3 of 6</td>" in html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert data["classes"][0] == {
        "id": 1, "count": 10, "score": 0.9, "good": 1.0, "resolution": 10.0, "view": None, "kept": True,
        "automatic": True, "entry": False, "by": "", "why": "",
    }  # fmt: skip
    assert "rule &lt;1&gt;" in html
    assert "rule <1>" not in html
    assert "edge power" in html
    assert "5.25" in html  # a feature of class 6
    assert "3 (left) and 4 (right); median correlation 1.000" in html
    truth = truth_score(make_truth(60), [make_round(1, 60).particle_ledger]).rounds.iloc[0]
    assert f"<td>{truth['good_kept']:.0f} <small>of 45</small></td>" in html
    assert f"<td>{100 * truth['precision']:.1f} %</td>" in html


def test_same_input_same_bytes():
    assert render() == render()
    assert render() != render(n_selected=29)


def test_a_disagreement_is_shown_on_the_page():
    assert 'role="alert"' not in render()
    assert 'role="alert">Round 1: report/round_01/particles.tsv keeps 30' in render(n_selected=29)


def test_page_without_truth_earlier_iteration_or_rounds():
    html = render_page(make_project(60), [dataclasses.replace(make_round(1, 60), previous_averages=None)])
    assert "was not kept" in html
    assert 'id="truth"' not in html
    assert "No round has been run." in render_page(make_project(60), [])


def test_a_class_without_an_average_is_refused():
    record = make_round(1, 60)
    with pytest.raises(JobError, match="class 6 is not among the 5 averages of Class2D/job011"):
        render_page(make_project(60), [dataclasses.replace(record, averages=record.averages[:5])])


def test_parts_of_a_first_round_count_together_until_a_second_follows():
    parts = [dataclasses.replace(make_round(number, 60), label=f"Round 1, part {number}") for number in (1, 11)]
    html = render_page(make_project(120), parts)
    assert "<b>60</b> of <b>120</b> particles kept (50.0 %)" in html
    assert 'id="round-11"' in html
    assert "overrides/round_11.yaml" in html
    html = render_page(make_project(120), [*parts, make_round(2, 60)])
    assert "<b>30</b> of <b>120</b> particles kept (25.0 %)" in html


def test_three_rounds_of_two_hundred_classes_stay_below_three_megabytes(rng):
    y, x = np.mgrid[:128, :128] - 63.5
    averages = gaussian_filter(rng.normal(size=(200, 128, 128)).astype(np.float32), (0, 2, 2))
    averages *= gaussian_filter((np.hypot(x, y) < 50).astype(np.float32), 3)  # averages are masked
    rounds = [
        dataclasses.replace(make_round(k, 2000, n_classes=200), averages=averages, previous_averages=averages)
        for k in (1, 2, 3)
    ]
    assert len(render_page(make_project(2000), rounds).encode("utf-8")) < 3_000_000
