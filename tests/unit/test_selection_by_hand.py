"""The script of the rule select_classes with a choice by hand, on an iteration RELION wrote."""

import hashlib
import shutil

import pandas as pd
import pytest

from script_runs import run_from_job_star
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.star import read_star, write_star
from winnow2d.options import OwnOptions, SelectOptions

STEM = "Class2D/job002/run_it004_"
OUTPUTS = {name: f"Select/job012/{name}.star" for name in ("particles", "class_averages", "backup_selection")}
OUTPUTS |= {name: f"report/round_01/{name}.tsv" for name in ("class_ledger", "particle_ledger", "warnings")}


@pytest.fixture
def select(project, repository):
    """Return a function that runs the script from a job.star with do_class_ranker: No."""
    shutil.copytree(repository / "tests/golden/relion5/Class2D", project / "Class2D", dirs_exist_ok=True)
    inputs = {name: f"{STEM}{name}.star" for name in ("data", "model", "optimiser")}

    def run(overrides="", **own):
        extra = {}
        if overrides:
            (project / "overrides").mkdir(exist_ok=True)
            (project / "overrides/round_01.yaml").write_text(overrides)
            extra = {"overrides": ["overrides/round_01.yaml"]}
        job = JobFile(
            label="relion.select.class2dauto", type_number=7, options=SelectOptions(do_class_ranker=False),
            own=OwnOptions(**own), inputs=inputs | extra, outputs=OUTPUTS, params={"particle_diameter": 190.0},
        )  # fmt: skip
        done = run_from_job_star("select_classes.py", "Select/job012", job)
        return done, (project / "Select/job012/run.err").read_text() if done.returncode else ""

    return run


def test_the_classes_named_are_kept_in_their_order(project, select):
    done, _ = select(selected_classes="4,1")
    assert done.returncode == 0, done.stderr
    kept = read_particle_table(project / "Select/job012/particles.star").particles
    assert set(kept["rlnClassNumber"]) == {"1", "4"}
    ledger = read_ledger(project / "report/round_01/class_ledger.tsv")
    assert ledger["kept"].tolist() == [True, False, False, True, False]
    assert set(ledger["decided_by"]) == {"own.selected_classes"}
    images = read_star(project / "Select/job012/class_averages.star")[""]["rlnReferenceImage"]
    assert [name.partition("@")[0] for name in images] == ["00000001", "00000004"]
    selected = read_star(project / "Select/job012/backup_selection.star")[""]["rlnSelected"]
    assert selected.tolist() == ["1", "0", "0", "1", "0"]


def test_a_choice_made_in_relions_display_is_taken_over_and_changed_by_overrides(project, select):
    (project / "Select/job1005").mkdir(parents=True)
    path = "Select/job1005/backup_selection.star"
    write_star(project / path, {"": pd.DataFrame({"rlnSelected": [0, 1, 1, 0, 0]})})
    averages = hashlib.sha256((project / f"{STEM}classes.mrcs").read_bytes()).hexdigest()
    done, _ = select(f"by: Ann\nmade_for: {averages}\ndrop: [{{class: 2, why: ice}}]\n", selected_classes=path)
    assert done.returncode == 0, done.stderr
    ledger = read_ledger(project / "report/round_01/class_ledger.tsv")
    assert ledger["kept"].tolist() == [False, False, True, False, False]
    assert ledger["rule"][1].startswith("dropped by hand: ice (else: ")
    assert ledger["rule"][2].startswith(f"kept by hand: as in {path} (else: ")
    assert ledger["decided_by"].tolist()[1:3] == ["Ann", "own.selected_classes"]


def test_a_choice_made_on_other_averages_is_refused(project, select):
    done, said = select("made_for: abc\nkeep: [1, 6]\n")
    assert done.returncode == 1
    assert "overrides/round_01.yaml: there is no class 6; the round has 5." in said
    assert "the choice was made on other class averages" in said
    assert not (project / "Select/job012/particles.star").exists()
