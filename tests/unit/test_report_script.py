import hashlib
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import report
from relion_layouts import continue_as_ct
from winnow2d.errors import JobError
from winnow2d.formats import mrc
from winnow2d.formats.ledger import read_ledger, write_class_ledger, write_particle_ledger
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star, write_star
from winnow2d.report.tables import Entry, Override

K = 5


@pytest.fixture
def finished(project, repository):
    """Return what the rule hands over after one round: RELION 5's own files, and a selection of classes 1 and 3."""
    golden = repository / "tests/golden/relion5"
    for folder in ("Extract/job001", "Class2D/job002"):
        shutil.copytree(golden / folder, project / folder)
    stem = "Class2D/job002/run_it004_"
    data = read_star(stem + "data.star")
    particles = data["particles"]
    index = particles["rlnClassNumber"].astype(int).to_numpy() - 1
    kept, rules = np.array([True, False, True, False, False]), ["good enough"] * K
    (project / "Select/job012").mkdir(parents=True)
    (project / "report/round_01").mkdir(parents=True)
    write_star("Select/job012/particles.star", {**data, "particles": particles[kept[index]]})
    count = np.bincount(index, minlength=K)
    features = pd.DataFrame({"n_particles": count, "share": count / count.sum(), "resolution_ang": 56.64})
    scores = np.linspace(0.9, 0.1, K)
    write_class_ledger("report/round_01/classes.tsv", ["1@x"] * K, scores, scores, 0.35, kept, rules, features)
    names = particles["rlnImageName"].tolist()
    write_particle_ledger("report/round_01/particles.tsv", names, index, np.ones(len(index)), kept, rules)
    return SimpleNamespace(
        extracted="Extract/job001/particles.star",
        data=[stem + "data.star"],
        model=[stem + "model.star"],
        optimiser=[stem + "optimiser.star"],
        classes=[stem + "classes.mrcs"],
        kept="Select/job012/particles.star",
        class_ledgers=["report/round_01/classes.tsv"],
        particle_ledgers="report/round_01/particles.tsv",
        truth=[],
        kept_mask=kept[index],
    )


def test_page_of_a_real_classification(finished, project):
    report.write_page(finished, project / "report/index.html")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    n_kept = int(finished.kept_mask.sum())
    assert f"<b>{n_kept}</b> of <b>400</b> particles kept" in html
    assert 'role="alert"' not in html
    assert "3 (left) and 4 (right)" in html
    assert "Micrographs/mic_005.mrc: scale 0.810" in html
    assert "<title>Iteration 4: 45.3 Å</title>" in html
    assert "<title>Iteration 4: 0.024</title>" in html
    assert html.count('class="tile ') == K
    first = html.encode()
    report.write_page(finished, project / "report/index.html")
    assert (project / "report/index.html").read_bytes() == first


def test_averages_are_the_last_iteration_s_and_the_one_before(finished):
    (record,) = report.read_rounds(finished)
    assert record.previous_number == 3
    assert np.array_equal(record.averages, report.read_stack(Path(finished.classes[0])))
    before = mrc.ParticleStack([f"{k}@Class2D/job002/run_it003_classes.mrcs" for k in range(1, K + 1)])
    assert np.array_equal(record.previous_averages, before.read(np.arange(K)))
    assert not np.array_equal(record.previous_averages, record.averages)
    assert record.history["iteration"].tolist() == [1, 2, 3, 4]
    assert record.facts["Algorithm"] == "EM"
    assert record.facts["Mask diameter"] == "190 Å"


def test_iterations_of_an_earlier_longer_run_are_not_shown(finished):
    shutil.copy("Class2D/job002/run_it004_model.star", "Class2D/job002/run_it009_model.star")
    shutil.copy("Class2D/job002/run_it004_classes.mrcs", "Class2D/job002/run_it009_classes.mrcs")
    (record,) = report.read_rounds(finished)
    assert record.history["iteration"].max() == 4
    assert record.previous_number == 3


def test_only_the_last_iteration_kept(finished):
    for number in range(4):
        for name in ("model.star", "classes.mrcs"):
            os.remove(f"Class2D/job002/run_it{number:03d}_{name}")
    (record,) = report.read_rounds(finished)
    assert record.previous_averages is None
    assert record.history["iteration"].tolist() == [4]
    assert record.iteration.number == read_iteration(finished.optimiser[0]).number == 4


def test_truth_of_a_demo_is_compared(finished, project):
    names = read_star(finished.extracted)["particles"]["rlnImageName"]
    kinds = np.where(np.arange(len(names)) < 300, "good", "blob")
    write_star("Extract/job001/truth.star", {"truth": pd.DataFrame({"rlnImageName": names, "winnowKind": kinds})})
    finished.truth = "Extract/job001/truth.star"
    report.write_page(finished, project / "report/index.html")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    assert "Against the truth: precision" in html
    assert "<small>of 300</small>" in html
    assert "simulated particles (demo)" in html


def test_what_another_program_s_files_do_not_say_is_not_known(finished, project):
    """RELION's job may have lost iterations, hold nan, or come from a version without a column."""
    for name, pattern, new in (
        ("run_it004_optimiser.star", r"_rlnParticleDiameter .*\n|_rlnDoGradientRefine .*\n", ""),
        ("run_it004_model.star", r"_rlnAveragePmax .*\n", ""),
        ("run_it002_model.star", r"(_rlnCurrentResolution +)\S+", r"\1inf"),
        ("run_it002_model.star", r"(_rlnAveragePmax +)\S+", r"\1-nan"),
    ):
        path = project / "Class2D/job002" / name
        text, count = re.subn(pattern, new, path.read_text())
        assert count
        path.write_text(text)
    Path("Class2D/job002/run_it001_model.star").write_text("")
    Path("Class2D/job002/run_it003_classes.mrcs").write_bytes(b"cut short")
    finished.extracted = finished.data[0]
    report.write_page(finished, project / "report/index.html")
    (record,) = report.read_rounds(finished)
    assert record.facts["Mask diameter"] == record.facts["Average Pmax"] == "not known"
    assert record.facts["Algorithm"] == "EM"
    assert record.history["iteration"].tolist() == [2, 3, 4]
    assert record.history["resolution_ang"].isna().tolist() == [True, False, False]
    assert record.previous_averages is None
    html = (project / "report/index.html").read_text(encoding="utf-8")
    assert "not known" in html
    assert "Iteration 2: no resolution" in html
    assert "nan" not in re.sub(r"data:image/png;base64,[^\"')]+", "", html)
    assert html.count('class="tile ') == K


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"rlnDoGradientRefine": "1", "rlnDoStochasticGradientDescent": "0"}, "VDAM"),
        ({"rlnDoGradientRefine": "0", "rlnDoStochasticGradientDescent": "0"}, "EM"),
        ({"rlnDoStochasticGradientDescent": "0"}, "EM"),
        ({"rlnDoStochasticGradientDescent": "1"}, "stochastic gradient descent"),
        ({}, "EM"),
    ],
)
def test_algorithm_of_each_version(flags, name):
    assert report.algorithm_of(pd.DataFrame([flags | {"rlnCurrentIteration": "25"}])) == name


def test_a_job_that_an_old_relion_continued(finished, project):
    last = continue_as_ct(project, "Class2D/job002", after=2)
    finished.optimiser = [last]
    for name in ("data", "model", "classes"):
        kind = "classes.mrcs" if name == "classes" else f"{name}.star"
        setattr(finished, name, [last.replace("optimiser.star", kind)])
    (record,) = report.read_rounds(finished)
    assert record.history["iteration"].tolist() == [1, 2, 3, 4]
    assert record.previous_number == 3
    assert record.iteration.number == 4


def waiting(finished):
    """Return the inputs of a run whose second round waits for a choice."""
    (Path("report/round_02")).mkdir()
    shutil.copy("report/round_01/classes.tsv", "report/round_02/proposal.tsv")
    for name in ("data", "model", "optimiser", "classes"):
        setattr(finished, name, getattr(finished, name) * 2)
    finished.class_ledgers = [*finished.class_ledgers, "report/round_02/proposal.tsv"]
    return finished


def test_a_round_that_waits_has_no_kept_particles(finished, project):
    first, second = report.read_rounds(waiting(finished))
    assert (first.is_pending, second.is_pending) == (False, True)
    assert second.n_in == 400
    assert second.made_for == hashlib.sha256(Path(finished.classes[1]).read_bytes()).hexdigest()
    report.write_page(finished, project / "report/index.html")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    n_kept = int(finished.kept_mask.sum())
    assert f"<b>{n_kept}</b> of <b>400</b> particles kept" in html
    assert "after 1 round." in html
    assert "not yet: round 2 waits for a choice (so far Select/job012/particles.star)" in html
    assert second.made_for in html


def test_the_first_round_may_wait(finished, project):
    shutil.move("report/round_01/classes.tsv", "report/round_01/proposal.tsv")
    finished.class_ledgers = "report/round_01/proposal.tsv"
    finished.kept = finished.particle_ledgers = []
    (record,) = report.read_rounds(finished)
    assert record.is_pending
    report.write_page(finished, project / "report/index.html")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    assert "Round 1 waits for your choice." in html
    assert "No round has been run." not in html


def test_one_part_of_a_first_round_may_wait_before_another_is_decided(finished, project):
    finished = waiting(finished)
    shutil.move("report/round_02", "report/round_11")
    shutil.move("report/round_11", "report/round_01b")
    shutil.move("report/round_01", "report/round_11")
    shutil.move("report/round_01b", "report/round_01")
    finished.class_ledgers = ["report/round_01/proposal.tsv", "report/round_11/classes.tsv"]
    finished.particle_ledgers = ["report/round_11/particles.tsv"]
    first, second = report.read_rounds(finished)
    assert [first.label, second.label] == ["Round 1, part 1", "Round 1, part 2"]
    assert [first.is_pending, second.is_pending] == [True, False]
    assert second.selected == finished.kept
    report.write_page(finished, project / "report/index.html")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    assert "Round 1, part 1 waits for your choice." in html
    assert "overrides/round_01.yaml" in html
    assert "overrides/round_11.yaml" in html


def test_files_that_only_some_rounds_have(finished):
    Path("report/round_01/warnings.tsv").write_text('kind\tsentence\tclasses\nNA\t"mask clips\t3\n')
    Path("report/round_01/views.tsv").write_text("view\tn_in\nA\t12\n")
    Path("overrides").mkdir()
    Path("overrides/round_01.yaml").write_text("by: Jane\nwhy: ice\nkeep: [{class: 3, why: side}]\ndrop: [2]\n")
    ledger = read_ledger(finished.particle_ledgers)
    rejected = ledger["image_name"][~ledger["kept"]].tolist()[:7]
    lines = [f"{name}\t{'yes' if row < 2 else 'no'}\treturned: yes" for row, name in enumerate(rejected)]
    Path("report/round_01/second_chance.tsv").write_text("\n".join(["image_name\tkept\treason", *lines, ""]))
    finished.warnings, finished.views = "report/round_01/warnings.tsv", ["report/round_01/views.tsv"]
    finished.overrides, finished.second_chances = ["overrides/round_01.yaml"], "report/round_01/second_chance.tsv"
    (record,) = report.read_rounds(finished)
    assert record.warnings.to_dict("records") == [{"kind": "NA", "sentence": '"mask clips', "classes": "3"}]
    assert record.views["n_in"].tolist() == [12]
    assert (record.n_returned, record.n_rejected) == (2, 7)
    assert record.particle_ledger["kept"].sum() == ledger["kept"].sum() + 2
    assert record.override == Override("Jane", "ice", {3: Entry(True, "Jane", "side"), 2: Entry(False, "Jane", "ice")})


def test_a_file_of_no_round_is_refused(finished):
    finished.warnings = "report/warnings.tsv"
    with pytest.raises(JobError, match="no round_NN is in its path"):
        report.read_rounds(finished)
