"""Rounds that a person chooses from: the run stops for them, goes on after them, and can be chosen anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY
from page_steps import is_kept, save, tile
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, copy_project, fingerprints, finished, snakemake

pytestmark = pytest.mark.workflow

BY_HAND = {"select": {"do_class_ranker": False}}
CONFIG = DEMO | {"class2d": DEMO["class2d"] | {"nr_classes": 2, "nr_iter_em": 1}, "rounds": [BY_HAND, {}]}
BEFORE = ("Extract/job001", "Class2D/job011")
OVERRIDES = "round: 1\nby: Jane Doe\nkeep: [{class: 1, why: side view}]\n"


@pytest.fixture(scope="module")
def waiting(tmp_path_factory) -> tuple[Path, str]:
    """Return a project whose first round waits for a choice by hand, and what was said of it."""
    project = tmp_path_factory.mktemp("by_hand") / "project"
    project.mkdir()
    return project, finished(project, CONFIG)


@pytest.fixture(scope="module")
def chosen(waiting, tmp_path_factory) -> Path:
    """Return a copy of it that was chosen from, and is finished."""
    project = copy_project(waiting[0], tmp_path_factory.mktemp("chosen") / "project")
    before = fingerprints(project, *BEFORE)
    (project / "overrides").mkdir()
    (project / "overrides/round_01.yaml").write_text(OVERRIDES)
    finished(project, CONFIG)
    assert fingerprints(project, *BEFORE) == before
    return project


def test_the_run_ends_well_before_the_choice_and_says_what_to_do(waiting):
    project, said = waiting
    assert f"Report: {project}/report/index.html" in said
    assert said.count(f"write the classes to keep into {project}/overrides/round_01.yaml") == 1
    for name in ("Select", "Class2D/job021", "report/round_01/classes.tsv"):
        assert not (project / name).exists(), name
    assert read_ledger(project / "report/round_01/proposal.tsv")["decided_by"].tolist() == ["automatic"] * 2
    assert "Round 1 waits for your choice." in (project / "report/index.html").read_text(encoding="utf-8")
    again = finished(project, CONFIG)
    assert "Nothing to be done" in again
    assert again.count("overrides/round_01.yaml") == 1


def test_the_next_start_goes_on_with_the_classes_named(chosen):
    ledger = read_ledger(chosen / "report/round_01/classes.tsv")
    proposal = read_ledger(chosen / "report/round_01/proposal.tsv")
    assert list(ledger.columns) == list(proposal.columns)
    assert ledger["kept"].tolist() == [True, False]
    assert ledger["rule"][0] == f"kept by hand: side view (else: {proposal['rule'][0]})"
    assert ledger["decided_by"].tolist() == ["Jane Doe"] * 2
    kept = read_star(chosen / "Select/job012/particles.star")["particles"]
    assert set(kept["rlnClassNumber"]) == {"1"}
    assert (chosen / "Select/clean").resolve() == (chosen / "Select/job022").resolve()
    assert "waits for" not in (chosen / "report/index.html").read_text(encoding="utf-8")
    assert "Nothing to be done" in finished(chosen, CONFIG)


def test_another_choice_reruns_what_follows_it_and_nothing_before(chosen, tmp_path):
    project = copy_project(chosen, tmp_path / "again")
    before = fingerprints(project, *BEFORE, "Select/job012", "Class2D/job021")
    (project / "overrides/round_02.yaml").write_text("keep: [1, 2]\n")
    finished(project, CONFIG)
    assert fingerprints(project, *BEFORE, "Select/job012", "Class2D/job021") == before
    assert read_ledger(project / "report/round_02/classes.tsv")["kept"].all()
    (project / "overrides/round_01.yaml").write_text(OVERRIDES.replace("class: 1", "class: 2"))
    said = finished(project, CONFIG, "--dry-run")
    made = [line.split()[1] for line in said.splitlines() if line.strip().startswith("output: ")]
    assert "Class2D/job021/run_it001_data.star," in made
    assert not any("job011" in path or "job001" in path for path in made)
    (project / "overrides/round_01.yaml").unlink()
    assert "waits for a choice" in finished(project, CONFIG)
    assert not (project / "Select/clean").is_symlink()
    assert fingerprints(project, *BEFORE) == {path: mark for path, mark in before.items() if path.startswith(BEFORE)}


@pytest.mark.browser
def test_what_the_page_saves_is_the_choice(waiting, tmp_path, browser):
    project = copy_project(waiting[0], tmp_path / "clicked")
    page = browser.open(project / "report/index.html", tmp_path / "downloads")
    for number, is_wanted in ((1, False), (2, True)):
        if is_kept(page, number) != is_wanted:
            page.click(tile(number))
    page.click(tile(2, ".more"))
    page.write(".about .why", 'a "rare" view: keep')
    page.press("Escape")
    save(page, folder=project / "overrides")
    assert page.complaints() == []
    finished(project, CONFIG, "--", "report/round_01/classes.tsv")
    ledger = read_ledger(project / "report/round_01/classes.tsv")
    assert ledger["kept"].tolist() == [False, True]
    assert ledger["decided_by"].tolist() == ["Jane Doe"] * 2
    assert 'kept by hand: a "rare" view: keep' in ledger["rule"][1]


def test_faults_of_overrides_are_told_before_anything_runs(tmp_path):
    project = tmp_path / "faults"
    (project / "overrides").mkdir(parents=True)
    (project / "overrides/round_01.yaml").write_text("keep: [5]\n")
    (project / "overrides/round_02.yaml").write_text("keep: [1]\ndrop: [1]\n")
    result = snakemake(project, CONFIG, "--dry-run")
    assert result.returncode
    assert "overrides/round_01.yaml: there is no class 5; the round has 2." in result.stdout
    assert "overrides/round_02.yaml: class 1 is in both keep and drop." in result.stdout
    assert "Traceback" not in result.stdout


def replay(project: Path) -> tuple[int, str]:
    script = REPOSITORY / "scripts/replay.py"
    done = subprocess.run([sys.executable, script, project], text=True, capture_output=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_the_whole_choice_is_made_again_from_its_record(chosen, tmp_path):
    code, said = replay(chosen)
    assert code == 0, said
    n_kept = len(read_star(chosen / "Select/clean/particles.star")["particles"])
    assert said.splitlines()[1:] == [
        f"report/round_02: identical, {n_kept} particles in Select/job022/particles.star",
    ]
    whole = read_ledger(chosen / "report/particles.tsv")
    assert (len(whole), whole["kept"].sum()) == (200, n_kept)
    assert set(whole["dropped_in_round"][~whole["kept"]]) <= {1, 2}

    project = copy_project(chosen, tmp_path / "changed")
    ledger = project / "report/round_01/classes.tsv"
    lines = ledger.read_text().splitlines()
    cells = lines[2].split("\t")
    cells[4:7] = ["0.35", "yes", cells[6].replace("not among those kept", "kept")]
    ledger.write_text("\n".join([*lines[:2], "\t".join(cells), *lines[3:], ""]))
    code, said = replay(project)
    assert code == 1
    assert said.startswith("report/round_01: differs. classes.tsv, class 2: kept is yes, chosen again it is no.")
    assert said.count("identical") == 1
