"""Rejected particles classified once more by themselves, under the real Snakemake: who comes back, and what says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import REPOSITORY
from winnow2d.choice_replay import replay_project
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.second_chance import TAG
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, finished, snakemake

pytestmark = pytest.mark.workflow
CONFIG = DEMO | {
    # the best class alone is kept, so that some hundred particles get a second chance, in which all come back
    "select": {"rank_threshold": 1.0, "select_nr_classes": 1},
    "own": {"second_chance": True, "second_chance_threshold": 0.0, "guard": "warn", "particle_filter": False},
    "rounds": [{}, {"class2d": {"nr_classes": 2}, "select": {"rank_threshold": 0.0}}],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("second_chance") / "demo"
    found.mkdir()
    finished(found, CONFIG)
    return found


def particles(project, path):
    return read_star(project / path)["particles"]


def test_kept_and_rejected_are_all(project):
    kept, rejected = (particles(project, f"Select/job012/{name}.star") for name in ("particles", "rejected"))
    data = particles(project, "Class2D/job011/run_it003_data.star")
    assert sorted([*kept["rlnImageName"], *rejected["rlnImageName"]]) == sorted(data["rlnImageName"])
    assert len(rejected) >= 100


def test_the_rejected_are_classified_by_themselves(project):
    again = particles(project, "Class2D/job015/run_it003_data.star")
    rejected = particles(project, "Select/job012/rejected.star")
    assert sorted(again["rlnImageName"]) == sorted(rejected["rlnImageName"])
    model = read_star(project / "Class2D/job015/run_it003_model.star")["model_classes"]
    assert len(model) == min(max(round(3 * len(rejected) / 200), 5), len(rejected) // 20)


def test_who_comes_back_is_tagged_and_stands_where_it_was(project):
    joined = particles(project, "Select/job016/particles.star")
    data = particles(project, "Class2D/job011/run_it003_data.star")
    kept = particles(project, "Select/job012/particles.star")
    ledger = read_ledger(project / "report/round_01/second_chance.tsv")
    back = set(ledger["image_name"][ledger["kept"]])
    assert back
    order = [name for name in data["rlnImageName"] if name in back or name in set(kept["rlnImageName"])]
    assert joined["rlnImageName"].tolist() == order
    assert set(joined["rlnImageName"][joined[TAG] == "1"]) == back
    assert set(joined[TAG]) == {"0", "1"}
    assert ledger["reason"].str.contains("returned in the second chance of round 1: score").any()
    again = particles(project, "Class2D/job015/run_it003_data.star").set_index("rlnImageName")
    one = joined[joined[TAG] == "1"].iloc[0]
    for name in ("rlnAnglePsi", "rlnClassNumber", "rlnOriginXAngst"):
        assert one[name] == again.loc[one["rlnImageName"], name]
    assert list(joined.columns) == [*kept.columns, TAG]


def test_the_next_round_starts_from_all_of_them(project):
    entered = particles(project, "Class2D/job021/run_it003_data.star")
    joined = particles(project, "Select/job016/particles.star")
    assert sorted(entered["rlnImageName"]) == sorted(joined["rlnImageName"])
    assert TAG in entered


def test_too_few_are_passed_on_and_the_tags_stay(project):
    passed = json.loads((project / "Class2D/job025/provenance.json").read_text())
    assert passed["passed_on"] == "Class2D/job021/run_it003_optimiser.star"
    assert "too few to be classified" in passed["reason"]
    one, other = (particles(project, f"Select/job{number}/particles.star") for number in ("022", "026"))
    assert one.equals(other)
    assert set(other[TAG]) == {"0", "1"}
    assert (project / "Select/clean").resolve() == (project / "Select/job026").resolve()


def test_the_page_counts_who_came_back_and_the_choice_can_be_made_again(project):
    page = (project / "report/index.html").read_text(encoding="utf-8")
    assert "Run the selection of this round again" not in page
    replays = replay_project(project)
    assert [replay.differences for replay in replays] == [[], [], [], []]
    assert [replay.selected.split("/")[1] for replay in replays] == ["job012", "job022", "job016", "job026"]


def test_nothing_is_to_be_done_again(project):
    assert "Nothing to be done" in snakemake(project, CONFIG, "--dry-run").stdout


def test_a_classification_that_is_given_has_none(tmp_path):
    given = REPOSITORY / "tests/golden/relion5/Class2D/job002/run_it004_optimiser.star"
    config = {"input": {"optimiser": str(given)}, "own": {"second_chance": True}, "rounds": [{}]}
    (tmp_path / "project").mkdir()
    result = snakemake(tmp_path / "project", config, "--dry-run")
    assert result.returncode != 0
    assert "own.second_chance: not in round 1" in result.stdout
