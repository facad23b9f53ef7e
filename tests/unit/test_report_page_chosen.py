"""The report in a real browser: classes are chosen with mouse and keys, and the sums follow."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from chromium import wait_for
from page_steps import MADE_FOR, a_round, is_kept, save, shown_classes, sort_by, sums, tile, try_threshold
from report_records import make_pending, make_round
from winnow2d.report.tables import Entry, Override

pytestmark = pytest.mark.browser


def test_clicks_change_the_choice_and_its_sums(shown):
    page = shown(a_round())
    assert sums(page)[:2] == ["30 of 60 particles (50.0 %)", "3 of 6 classes"]
    page.click(tile(1))
    page.click(tile(5))
    page.click(tile(6))
    assert [is_kept(page, k) for k in range(1, 7)] == [False, True, True, False, True, True]
    good = 10 * (1 - np.arange(6) / 6)
    kept = good[[1, 2, 4, 5]].sum()
    assert sums(page) == [
        "40 of 60 particles (66.7 %)",
        "4 of 6 classes",
        f"{kept:.0f} good ones expected, {good.sum() - kept:.0f} lost",
        "3 differ from automatic",
    ]
    assert page.texts("#round-1 .chips b") == ["6", "4", "2", "3"]
    page.click(tile(6))
    assert sums(page)[0] == "30 of 60 particles (50.0 %)"


def test_keys_move_and_choose(shown):
    page = shown(a_round())
    page.js(f"document.querySelector('{tile(1)}').focus()")
    page.press("ArrowRight", " ", "ArrowRight", "Enter")
    assert [is_kept(page, k) for k in (1, 2, 3)] == [True, False, False]
    page.press("End", " ", "Home", "i")
    assert is_kept(page, 6)
    assert page.text("#round-1 dialog[open] h3") == "Class 1"
    page.press("Escape")
    assert page.js("document.activeElement.closest('.tile').dataset.class") == "1"
    page.press("z", modifiers=2)
    assert not is_kept(page, 6)
    page.press("y", modifiers=2)
    assert is_kept(page, 6)
    stops = page.js("document.querySelectorAll('#round-1 .gallery [tabindex=\"0\"]').length")
    assert stops == 2  # one stop for all averages, and the button beside the one that is current
    outline = page.js(f"document.querySelector('{tile(1)}').matches(':focus-visible')")
    assert outline


def test_arrows_follow_the_rows_on_screen(shown):
    page = shown(dataclasses.replace(make_round(1, 60, n_classes=30), made_for=MADE_FOR), width=700)
    page.click(".sort")
    page.js("s = document.querySelector('.sort'); s.value = 'id'; s.dispatchEvent(new Event('change'))")
    page.js(f"document.querySelector('{tile(1)}').focus()")
    page.press("ArrowDown", "ArrowRight")
    columns = int(page.js("document.activeElement.closest('.tile').dataset.class")) - 2
    assert columns == page.js(
        "getComputedStyle(document.querySelector('.gallery')).gridTemplateColumns.split(' ').length"
    )


def test_orders(shown):
    record = a_round()
    ledger = record.class_ledger.assign(
        score=[0.2, 0.9, 0.6, 0.4, 0.8, 0.1],
        good_share=[0.5, 0.6, 0.7, 0.8, 0.9, 0.1],
        n_particles=[10, 30, 5, 4, 8, 3],
        resolution_ang=[9.0, 8.0, 30.0, 20.0, np.inf, 7.0],
    )
    page = shown(dataclasses.replace(record, class_ledger=ledger))
    assert shown_classes(page) == [2, 3, 1, 5, 4, 6]
    assert sort_by(page, "score") == [2, 5, 3, 4, 1, 6]
    assert sort_by(page, "good") == [5, 4, 3, 2, 1, 6]
    assert sort_by(page, "count") == [2, 1, 5, 3, 4, 6]
    assert sort_by(page, "resolution") == [6, 2, 1, 4, 3, 5]
    assert sort_by(page, "id") == [1, 2, 3, 4, 5, 6]
    page.click(tile(6))
    assert shown_classes(page) == [1, 2, 3, 4, 5, 6]  # nothing moves under the pointer
    assert sort_by(page, "decision") == [2, 3, 1, 6, 5, 4]


def test_filters(shown):
    page = shown(a_round())
    page.click('[data-show="changed"]')
    assert shown_classes(page) == []
    assert page.text(".nothing") == "No class to show here."
    page.click('[data-show="dropped"]')
    assert shown_classes(page) == [4, 5, 6]
    page.click(tile(5))
    assert shown_classes(page) == [4, 5, 6]
    page.click('[data-show="kept"]')
    assert shown_classes(page) == [1, 2, 3, 5]
    page.click('[data-show="changed"]')
    assert shown_classes(page) == [5]


def test_a_threshold_is_tried_without_changing_anything(shown):
    page = shown(a_round())
    try_threshold(page, 0.3)  # scores: 0.9, 0.77, 0.63, 0.5, 0.37, 0.23
    assert page.text(".outcome") == (
        "50 of 60 particles (83.3 %) from 5 of 6 classes; 33 good ones expected, 2 lost; "
        "2 classes differ from your choice."
    )
    assert page.js("[...document.querySelectorAll('.would-keep')].map((t) => t.dataset.class)") == ["4", "5"]
    assert "rank_threshold: 0.30" in page.text(".trial-body")
    assert sums(page)[1] == "3 of 6 classes"
    page.click('[data-act="end-trial"]')
    assert page.js("document.querySelectorAll('.would-keep').length") == 0
    try_threshold(page, 0.8)
    page.click('[data-act="adopt"]')
    assert sums(page)[1] == "1 of 6 classes"
    page.click('[data-act="undo"]')
    assert sums(page)[1] == "3 of 6 classes"


def test_undo_redo_and_reset(shown):
    page = shown(a_round())
    for number in (1, 2, 6):
        page.click(tile(number))
    page.click('[data-act="undo"]')
    assert [is_kept(page, k) for k in (1, 2, 6)] == [False, False, False]
    page.click('[data-act="redo"]')
    assert is_kept(page, 6)
    page.click('[data-act="reset"]')
    assert [is_kept(page, k) for k in range(1, 7)] == [True] * 3 + [False] * 3
    page.click('[data-act="undo"]')
    assert not is_kept(page, 1)


def test_details_reasons_and_names(shown):
    page = shown(a_round())
    page.click(tile(5, ".more"))
    facts = page.text("dialog.about[open]")
    assert "Decision: dropped, rule <5> (automatic)." in facts
    for words in ("Good share", "0.333", "Edge power", "4.25"):
        assert words in facts
    page.click(".about .turn")
    page.write(".about .why", 'rare "side" view: keep')
    page.press("Tab")
    assert "Now: kept by you, not yet saved." in page.text(".about .reason")
    page.click('.about [data-step="1"]')
    assert page.text(".about h3") == "Class 6"
    page.click('.about [data-step="-1"]')
    assert page.js("document.querySelector('.about .why').value") == 'rare "side" view: keep'
    page.write(".about .by", "Ann")
    page.press("Escape")  # what was typed last counts too
    page.click(tile(2))
    assert save(page) == {
        "round": 1, "by": "Jane Doe", "made_for": MADE_FOR, "drop": [2],
        "keep": [{"class": 5, "why": 'rare "side" view: keep', "by": "Ann"}],
    }  # fmt: skip


def test_a_file_that_is_there_is_shown_and_goes_on(shown):
    ledger = a_round().class_ledger
    ledger["decided_by"] = ["automatic", "Jane", "automatic", "automatic", "Ann", "automatic"]
    ledger["kept"] = [True, False, True, False, True, False]
    entries = {2: Entry(False, "Jane", "ice"), 5: Entry(True, "Ann", "side view")}
    page = shown(a_round(class_ledger=ledger, override=Override("Jane", "ice", entries)))
    assert [is_kept(page, k) for k in (2, 5)] == [False, True]
    assert page.text(tile(5, ".flag")) == "by Ann"
    page.click(tile(5, ".more"))
    assert "rule <5> (Ann)" in page.text("dialog.about[open]")
    assert page.js("document.querySelector('.about .why').value") == "side view"
    page.press("Escape")
    page.click(tile(4))
    before = {"round": 1, "by": "Jane", "why": "ice", "made_for": MADE_FOR}
    assert save(page, by=None) == before | {"keep": [4, {"class": 5, "why": "side view", "by": "Ann"}], "drop": [2]}
    page.click(tile(5, ".more"))
    page.click(".about .release")
    page.press("Escape")
    assert not is_kept(page, 5)  # below the threshold of 0.5: what the rule would say
    assert save(page, by=None) == before | {"keep": [4], "drop": [2]}


def test_a_round_that_waits(shown):
    page = shown(a_round(), make_pending(2, 30))
    assert page.texts("main > .waiting")[0].startswith("Round 2 waits for your choice.")
    assert "overrides/" in page.text("#round-2 .waiting")
    assert sums(page, of=2)[:2] == ["15 of 30 particles (50.0 %)", "3 of 6 classes"]
    assert page.texts("#round-2 .facts a") == ["proposal.tsv"]
    page.click(tile(1, of=2))
    page.click(tile(6, of=2))
    found = save(page, "round_02.yaml", of=2)
    assert found == {"round": 2, "by": "Jane Doe", "made_for": f"{2:064x}", "keep": [2, 3, 6], "drop": []}
    assert sums(page)[1] == "3 of 6 classes"  # round 1 is as it was


def test_the_suggestion_can_be_saved_as_it_is(shown):
    page = shown(make_pending(1, 60))
    assert save(page)["keep"] == [1, 2, 3]


def test_a_ledger_without_good_share_says_so(shown):
    page = shown(a_round(class_ledger=a_round().class_ledger.drop(columns="good_share")))
    assert "not known, the ledger has no good_share" in sums(page)[2]
    page.click(tile(1))
    assert save(page)["drop"] == [1]


def test_classes_without_particles_cannot_be_chosen(shown):
    ledger = a_round().class_ledger
    ledger.loc[5, "n_particles"] = 0
    page = shown(a_round(class_ledger=ledger))
    page.click(tile(6))
    assert not is_kept(page, 6)
    page.click(tile(6, ".more"))
    assert page.text(".about .turn") == "No particles"


def test_rounds_without_classes_or_no_rounds(shown):
    empty = a_round()
    empty = dataclasses.replace(
        empty, class_ledger=empty.class_ledger.iloc[:0], particle_ledger=empty.particle_ledger.iloc[:0], n_selected=0
    )
    page = shown(empty)
    assert page.text(".gallery") == "This round has no classes."
    assert sums(page)[0] == "0 of 0 particles (n/a)"
    assert "No round has been run." in shown(name="none.html").text("#particles")


def test_two_hundred_classes_and_a_narrow_screen(shown):
    rounds = [dataclasses.replace(make_round(k, 2000, n_classes=200), made_for=MADE_FOR) for k in (1, 2, 3)]
    page = shown(*rounds)
    assert page.js("document.documentElement.scrollWidth - innerWidth") == 0
    started = page.js("performance.now()")
    page.click(tile(200, of=3))
    assert page.js("performance.now()") - started < 3000
    for part in ("undo", "redo", "undo"):
        page.click(f'#round-3 [data-act="{part}"]')
    page.js("document.querySelectorAll('#round-3 .tile .pick').forEach((part) => part.click())")
    found = save(page, "round_03.yaml", of=3)
    assert found["drop"] == list(range(1, 101))
    assert found["keep"] == list(range(101, 201))
    narrow = shown(rounds[0], name="narrow.html", width=360, height=700)
    assert narrow.js("document.documentElement.scrollWidth - innerWidth") == 0


def test_what_was_found_is_shown_and_leads_to_the_classes(shown):
    warnings = pd.DataFrame(
        {
            "kind": ["overfitting", "few_particles"],
            "sentence": ["<b>Streaks</b> in 2 averages.", "2 groups."],
            "classes": ["4,6", ""],
        }
    )
    views = pd.DataFrame({"view": ["top", "side"], "n_in": [1200, 40], "kept_share": [0.91234, 1.0]})
    ledger = a_round().particle_ledger
    ledger.loc[[0, 6, 12], "kept"] = False
    ledger.loc[[0, 6], "reason"] = "outlier: norm correction 3.1"
    ledger.loc[12, "reason"] = "duplicate: 3 A from 1@x"
    ledger.loc[[3, 9, 15], "kept"] = True
    record = a_round(warnings=warnings, views=views, particle_ledger=ledger, n_selected=30, n_returned=2, n_rejected=32)
    page = shown(record)
    assert page.texts(".findings li") == [
        "Overfitting. <b>Streaks</b> in 2 averages. \n4\n6",
        "Few particles. 2 groups.",
    ]
    page.click('[data-show="kept"]')
    page.click('[data-go="6"]')
    assert page.js("document.activeElement.closest('.tile').dataset.class") == "6"
    assert page.texts(".notes li") == [
        "2 taken out of kept classes: outlier",
        "1 taken out of kept classes: duplicate",
        "1 kept though their class was dropped",
        "Second chance: 2 of 32 came back",
    ]
    assert page.texts(".views td") == ["top", "1,200", "0.9123", "side", "40", "1"]
    assert page.texts(".notice") == []
    assert page.texts(".facts a") == ["classes.tsv", "particles.tsv"]


def test_the_browser_tells_of_complaints_and_of_the_network(browser, tmp_path):
    """Otherwise the other tests could not fail for them."""
    path = tmp_path / "bad.html"
    path.write_text("<script>console.log('hello'); fetch('http://localhost:9/x').catch(() => 0); nothing()</script>")
    page = browser.open(path, tmp_path)
    wait_for(lambda: len(page.complaints()) >= 3, "three complaints")
    told = "".join(page.complaints())
    assert "hello" in told
    assert "nothing is not defined" in told
    assert "http://localhost:9/x" in page.complaints()
    page.close()


def test_views_that_would_be_lost(shown):
    ledger = a_round().class_ledger.assign(view=[1, 1, 2, 3, 2, 4])
    page = shown(a_round(class_ledger=ledger))
    assert sums(page)[3] == "2 of 3 views shown"  # view 4 has a good share of 0.17: no evidence
    assert page.js("document.querySelector('.views-shown').title") == "View 3: no class is kept, of 4."
    page.click(tile(4))
    page.click(tile(3))
    assert sums(page)[3] == "2 of 3 views shown"
    page.click(tile(5))
    assert sums(page)[3] == "3 of 3 views shown"
    try_threshold(page, 0.6)
    assert "; 2 of 3 views shown; " in page.text(".outcome")
    assert sort_by(page, "view") == [1, 2, 3, 5, 4, 6]
    assert len(sums(shown(a_round(), name="none.html"))) == 4  # an older ledger knows no views
