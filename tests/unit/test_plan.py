import pytest

from winnow2d.config import check_config
from winnow2d.plan import CLEAN, Plan

BY_HAND = {"select": {"do_class_ranker": False}}


def plan(rounds, overridden=(), **own):
    raw = {"input": {"particles": "a.star"}, "class2d": {"nr_classes": 5}, "rounds": rounds, "own": own}
    return Plan(check_config(raw), overridden=frozenset(overridden))


def names(blocks):
    return [block.name for block in blocks]


def test_without_a_choice_by_hand_everything_is_decided():
    found = plan([{}, {}], export="relion")
    assert (names(found.decided), found.undecided) == (["01", "02"], ())
    assert found.ends == [CLEAN, "export/relion/particles.star"]


def test_the_run_stops_at_the_first_round_that_nobody_has_chosen_from():
    found = plan([{}, BY_HAND, {}, BY_HAND])
    assert (names(found.decided), names(found.undecided), names(found.shown)) == (["01"], ["02"], ["01", "02"])
    assert found.ends == []
    assert [found.class_ledger(block) for block in found.shown] == [
        "report/round_01/classes.tsv",
        "report/round_02/proposal.tsv",
    ]
    assert len(found.of_all_blocks("model.star")) == 2
    found = plan([{}, BY_HAND, {}, BY_HAND], ["02"])
    assert (names(found.decided), names(found.undecided)) == (["01", "02", "03"], ["04"])
    assert found.overrides(found.blocks[1]) == ["overrides/round_02.yaml"]
    assert plan([{}, BY_HAND, {}, BY_HAND], ["02", "04"]).ends == [CLEAN]


def test_classes_in_the_config_decide_too():
    named = BY_HAND | {"own": {"selected_classes": "1,3-4"}}
    assert plan([named]).ends == [CLEAN]
    (block,) = plan([named]).blocks
    assert plan([named]).selection_file(block) == []
    star = BY_HAND | {"own": {"selected_classes": "Select/job1005/backup_selection.star"}}
    found = plan([star])
    assert found.selection_file(found.blocks[0]) == ["Select/job1005/backup_selection.star"]
    assert ("own.selected_classes", "Select/job1005/backup_selection.star", "Select/job012") in found.named_files


def test_parts_of_the_first_round_are_chosen_from_each_by_itself():
    found = plan([BY_HAND, {}], ["11"], splits=3)
    assert names(found.undecided) == ["01", "21"]
    assert names(found.decided) == ["11"]
    assert names(found.shown) == ["01", "11", "21"]
    assert plan([BY_HAND, {}], ["01", "11", "21"], splits=3).undecided == ()


GIVEN = [([1, 5, 9], "1,5,9"), (3, "3"), ("1,3,5-9", "1,3,5-9"), ([2, "4-6"], "2,4-6")]


@pytest.mark.parametrize(("given", "text"), GIVEN)
def test_class_numbers_may_be_a_list(given, text):
    found = plan([BY_HAND | {"own": {"selected_classes": given}}])
    assert found.config.rounds[0].own.selected_classes == text
