import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

import replay
from winnow2d.choice_replay import replay_project
from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.formats.choice_record import ChoiceRecord, read_choice, write_choice
from winnow2d.formats.jobs import JobFile, write_job_star
from winnow2d.formats.ledger import (
    particle_decisions,
    read_ledger,
    write_class_ledger,
    write_particle_ledger,
    write_whole_ledger,
)
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.selection_star import read_group_scales, write_kept_particles
from winnow2d.formats.star import write_star
from winnow2d.list_replay import regrouped
from winnow2d.options import OwnOptions, SelectOptions
from winnow2d.selection.by_hand import decide
from winnow2d.selection.particle_filter import COLUMN, Limits, deciders, decisions_by
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores

NAMES = [f"{number:06d}@Extract/job001/s.mrcs" for number in range(1, 101)]
INDEX = np.repeat([0, 1, 2, 3, -1], [40, 30, 15, 10, 5])
SHARE, SCORE = np.array([0.95, 0.5, 0.2, 0.9]), np.array([0.9, 0.34, 0.1, 0.2])
COUNTS = np.array([40, 30, 15, 10])
HAND = ByHand("overrides/round_01.yaml", (ClassDecision(3, False, "ice", "Ann"),), "3f2a")
VIEW = (ClassDecision(2, True, "kept for its view"),)
LIMITS = Limits(prune_below=0.2, prune_loss=0.1, rescue_above=0.9)
PROBABILITY = np.where(np.arange(100) % 10 == 3, 0.05, np.where(np.arange(100) % 10 == 4, 0.95, 0.6))


def make_round(project, rules=None, is_automatic=True, hand=HAND, exceptions=VIEW, is_filtered=True, columns=None):
    """Write what a Select job leaves of a choice in round 1."""
    rules = rules or Rules(select_nr_parts=75)
    table = ParticleTable(
        pd.DataFrame({"rlnOpticsGroup": ["1"], "rlnImagePixelSize": ["2.0"]}),
        pd.DataFrame(
            {"rlnImageName": NAMES, "rlnOpticsGroup": "1", "rlnClassNumber": (INDEX + 1).astype(str)} | (columns or {})
        ),
    )
    data, selected = "Class2D/job011/run_it005_data.star", "Select/job012/particles.star"
    folder = project / "report/round_01"
    for path in (data, selected):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
    write_particle_table(project / data, table)
    choice = decide(
        COUNTS, ClassScores(SHARE, SCORE), rules, is_automatic=is_automatic, by_hand=hand, exceptions=exceptions,
        n_unclassified=5,
    )  # fmt: skip
    by = deciders(choice.decided_by, exceptions)
    own = decisions_by(PROBABILITY, INDEX, choice.kept, by, LIMITS) if is_filtered else {}
    features = pd.DataFrame({"n_particles": COUNTS, "share": COUNTS / 100})
    write_class_ledger(
        folder / "classes.tsv", ["1@a"] * 4, SHARE, SCORE, choice.threshold, choice.kept, choice.rule, features,
        choice.decided_by,
    )  # fmt: skip
    write_particle_ledger(
        folder / "particles.tsv", NAMES, INDEX, np.full(100, 0.5), choice.kept, choice.rule, own, {COLUMN: PROBABILITY}
    )
    is_kept, _ = particle_decisions(INDEX, choice.kept, choice.rule, own)
    write_kept_particles(project / selected, table, is_kept)
    record = ChoiceRecord(
        data, selected, is_automatic, dataclasses.asdict(choice.rules), hand, exceptions,
        filter_limits=LIMITS._asdict() if is_filtered else {},
    )  # fmt: skip
    write_choice(folder, record)
    return folder, int(is_kept.sum())


CHOICES = [
    {},
    {"rules": Rules(rank_threshold=0.95), "hand": None},
    {"rules": Rules(relative_threshold=0.3), "exceptions": ()},
    {"rules": Rules(quantile_threshold=0.8), "is_filtered": False},
    {"is_automatic": False, "hand": ByHand("x", (ClassDecision(1, True),)), "exceptions": ()},
]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_list_of_every_kind_of_choice_is_made_again(tmp_path, choice, capsys):
    _, n_kept = make_round(tmp_path, **choice)
    assert replay.main([str(tmp_path)]) == 0
    told = f"report/round_01: identical, {n_kept} particles in Select/job012/particles.star\n"
    assert capsys.readouterr().out == told
    assert 0 < n_kept < 100


def test_the_record_reads_back(tmp_path):
    folder, _ = make_round(tmp_path)
    record = read_choice(folder)
    assert (record.by_hand, record.exceptions) == (HAND, VIEW)
    assert Rules(**record.rules) == Rules(select_nr_parts=75)
    before = (folder / "choice.yaml").read_bytes()
    write_choice(folder, record)
    assert (folder / "choice.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("classes.tsv", "\t0.340000\t", "\t0.360000\t", "class 2: rule is added to reach select_nr_parts 75"),
        ("classes.tsv", "\tno\tdropped by hand", "\tyes\tdropped by hand", "class 4: kept is yes, chosen again"),
        ("classes.tsv", "\tAnn\t", "\tBob\t", "class 4: decided_by is Bob, chosen again it is Ann."),
        ("classes.tsv", "\t30\t0.3", "\t31\t0.3", "class 2: n_particles is 31, chosen again it is 30."),
        ("choice.yaml", "rank_threshold: 0.35", "rank_threshold: 0.3", "class 1: rule is score 0.900 >= rank"),
        ("choice.yaml", "kept for its view", "kept for fun", "class 3: rule is kept for its view"),
        ("particles.tsv", "\tyes\tclass 1: ", "\tno\tclass 1: ", "row 1 (000001@Extract/job001/s.mrcs): kept no"),
        ("particles.tsv", "\tno\tunlikely", "\tyes\tunlikely", "kept yes, unlikely to be good: 0.050 (in class 1)"),
        ("particles.tsv", "\t0.05\n", "\t0.5\n", "chosen again: kept yes, class 1: score 0.900"),
        ("choice.yaml", "prune_below: 0.2", "prune_below: 0.0", "chosen again: kept yes, class 1: score 0.900"),
        ("particles.tsv", "000002@", "000999@", "particles.tsv does not list the particles of Class2D/job011"),
    ],
)  # fmt: skip
def test_a_ledger_that_was_changed_is_found_out(tmp_path, capsys, file, old, new, words):
    folder, _ = make_round(tmp_path)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    assert replay.main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "report/round_01: differs. " in said
    assert words in said


def test_a_list_that_was_changed_or_lost_is_found_out(tmp_path, capsys):
    make_round(tmp_path)
    path = tmp_path / "Select/job012/particles.star"
    path.write_text(path.read_text().replace("000001@", "000002@"))
    assert replay.main([str(tmp_path)]) == 1
    assert "particles.star: line " in capsys.readouterr().out
    path.unlink()
    assert replay.main([str(tmp_path)]) == 1
    assert "particles.star is missing." in capsys.readouterr().out


def test_final_particles_that_no_round_left_are_found_out(tmp_path):
    make_round(tmp_path)
    clean = tmp_path / "Select/clean"
    clean.symlink_to("job012")
    assert [replayed.differences for replayed in replay_project(tmp_path)] == [[]]
    shutil.copytree(tmp_path / "Select/job012", tmp_path / "Select/job022")
    clean.unlink()
    clean.symlink_to("job022")
    *_, final = replay_project(tmp_path)
    assert final.sentence == (
        "Select/clean: differs. It is Select/job022/particles.star, which no choice on record leads to."
    )


def make_regrouped(project):
    """Write what a regrouping job behind round 1 leaves, and a page that names its list."""
    groups = {"rlnMicrographName": ["m1"] * 60 + ["m2"] * 40, "rlnGroupNumber": ["1"] * 60 + ["2"] * 40}
    folder, n_kept = make_round(project, columns=groups | {"rlnGroupName": groups["rlnMicrographName"]})
    model = pd.DataFrame({"rlnGroupNumber": ["1", "2"], "rlnGroupScaleCorrection": ["0.9", "1.1"]})
    write_star(project / "Class2D/job011/run_it005_model.star", {"model_groups": model})
    kept, model = "Select/job012/particles.star", "Class2D/job011/run_it005_model.star"
    (project / "Select/job013").mkdir()
    job = JobFile(
        label="relion.select.interactive", type_number=7,
        options=SelectOptions(do_class_ranker=False, do_regroup=True, nr_groups=2), own=OwnOptions(),
        inputs={"particles": kept, "model": model}, outputs={"particles": "Select/job013/particles.star"},
    )  # fmt: skip
    write_job_star(project / "Select/job013/job.star", job)
    table = regrouped(read_particle_table(project / kept), read_group_scales(project / model), 2)
    write_particle_table(project / "Select/job013/particles.star", table)
    page = {"particle_ledgers": ["report/round_01/particles.tsv"], "kept": ["Select/job013/particles.star"]}
    report = JobFile("winnow.report", None, None, OwnOptions(), page, {"page": "report/index.html"})
    write_job_star(project / "report/job.star", report)
    return folder, n_kept


def test_the_regrouped_list_is_made_again_too(tmp_path, capsys):
    _, n_kept = make_regrouped(tmp_path)
    (tmp_path / "Select/clean").symlink_to("job013")
    assert replay.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"report/round_01: identical, {n_kept} particles in Select/job012/particles.star",
        f"Select/job013: identical, {n_kept} particles in Select/job013/particles.star",
    ]
    path = tmp_path / "Select/job013/particles.star"
    path.write_text(path.read_text().replace("group_2", "group_1"))
    assert replay.main([str(tmp_path)]) == 1
    assert "Select/job013: differs. " in capsys.readouterr().out


def test_where_there_is_no_record_it_is_said(tmp_path, capsys):
    assert replay.main([str(tmp_path)]) == 1
    assert "no record of a choice" in capsys.readouterr().err
    folder, _ = make_round(tmp_path)
    (folder / "choice.yaml").write_text("rules: 3\n")
    assert replay.main([str(tmp_path)]) == 1
    assert "choice.yaml: is no record of a choice" in capsys.readouterr().out


def test_the_table_over_all_rounds_says_where_each_particle_went(tmp_path):
    first = pd.DataFrame({"image_name": ["1@a", "2@a", "3@a"], "class": [1, 2, 1], "kept": [True, False, True]})
    first["reason"] = ["good", "class 2: low", "good"]
    second = pd.DataFrame({"image_name": ["3@a", "1@a"], "class": [4, 5], "kept": [False, True]})
    second["reason"] = ["class 4: low", "good"]
    write_whole_ledger(tmp_path / "particles.tsv", [("01", first), ("02", second)])
    assert (tmp_path / "particles.tsv").read_text().splitlines() == [
        "image_name\tkept\tdropped_in_round\treason\tclass_01\tclass_02",
        "1@a\tyes\t\t\t1\t5",
        "2@a\tno\t01\tclass 2: low\t2\t",
        "3@a\tno\t02\tclass 4: low\t1\t4",
    ]
    assert read_ledger(tmp_path / "particles.tsv")["kept"].tolist() == [True, False, False]
