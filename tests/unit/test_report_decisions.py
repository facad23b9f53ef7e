import dataclasses

import pandas as pd
import pytest

from report_records import make_pending, make_round
from winnow2d.report import decisions, tables
from winnow2d.report.tables import Entry, Override


def data_of(record):
    return decisions.selection_data(record, tables.class_table(record.class_ledger), "project")


def of_class(data, number):
    return next(item for item in data["classes"] if item["id"] == number)


@pytest.mark.parametrize(
    "document", [None, [], "text", {}, {"keep": None, "drop": "all"}, {"keep": [{"why": "x"}, True]}]
)
def test_a_file_that_says_nothing_has_no_entries(document):
    assert decisions.override_of(document) == Override("", "", {})


def test_entries_take_who_and_why_from_the_file_unless_they_have_their_own():
    document = {"by": "Jane", "why": "ice", "keep": [3, {"class": 7, "by": "Ann"}], "drop": [{"class": 2, "why": 5}]}
    entries = {3: Entry(True, "Jane", "ice"), 7: Entry(True, "Ann", "ice"), 2: Entry(False, "Jane", "5")}
    assert decisions.override_of(document) == Override("Jane", "ice", entries)


def test_what_the_rule_would_do_is_not_guessed_where_a_person_decided():
    ledger = make_round(1, 60).class_ledger
    ledger["decided_by"] = ["automatic", "Jane", *["automatic"] * 4]
    record = dataclasses.replace(make_round(1, 60), class_ledger=ledger)
    data = data_of(record)
    assert (data["isManual"], data["isPending"], data["by"]) == (False, False, "Jane")
    assert of_class(data, 2) | {"automatic": None, "entry": True, "by": "Jane"} == of_class(data, 2)
    assert of_class(data, 1)["automatic"] is True
    told = ledger.assign(automatic=["yes", "no", "yes", "no", "no", "no"])
    assert of_class(data_of(dataclasses.replace(record, class_ledger=told)), 2)["automatic"] is False


def test_a_round_is_manual_by_its_record_and_not_because_a_person_named_every_class():
    record = make_round(1, 60)
    assert not record.is_manual
    assert not dataclasses.replace(record, class_ledger=record.class_ledger.assign(decided_by="Jane")).is_manual
    assert dataclasses.replace(record, is_by_hand=True).is_manual
    assert make_pending(1, 60).is_manual
    assert not dataclasses.replace(record, class_ledger=record.class_ledger.drop(columns="decided_by")).is_manual


def test_a_proposal_is_nobody_s_decision():
    data = data_of(make_pending(2, 60))
    assert data["total"] == 60
    assert data["by"] == ""
    assert [item["automatic"] for item in data["classes"]] == [item["kept"] for item in data["classes"]]
    assert not any(item["entry"] for item in data["classes"])


def test_numbers_that_are_not_known_are_none():
    ledger = make_round(1, 60).class_ledger.drop(columns=["good_share", "threshold"])
    ledger.loc[0, "score"] = float("nan")
    item = of_class(data_of(dataclasses.replace(make_round(1, 60), class_ledger=ledger)), 1)
    assert (item["good"], item["score"]) == (None, None)
    assert data_of(dataclasses.replace(make_round(1, 60), class_ledger=ledger))["threshold"] is None
    assert of_class(data_of(make_round(1, 60)), 6)["resolution"] is None


def test_findings_name_known_classes_only():
    warnings = pd.DataFrame({"kind": ["a_b"], "sentence": [" s "], "classes": ["3, 99 x 5"]})
    record = dataclasses.replace(make_round(1, 60), warnings=warnings)
    assert decisions.findings(record) == [{"kind": "a b", "sentence": "s", "classes": [3, 5]}]
    assert decisions.findings(make_round(1, 60)) == []
