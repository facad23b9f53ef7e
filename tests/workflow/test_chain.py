"""The whole chain under the real Snakemake: what it leaves, and what it never touches again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import score_demo
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, copy_project, fingerprints, finished, snakemake, start

pytestmark = pytest.mark.workflow

ROUND_1 = ("Extract/job001", "Class2D/job011", "Select/job012", "report/round_01")
ROUND_2 = ("Class2D/job021", "Select/job022", "report/round_02")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """Return a finished project of two rounds; tests that change it work on a copy."""
    project = tmp_path_factory.mktemp("chain") / "demo"
    project.mkdir()
    finished(project, DEMO)
    return project


def n_particles(path: Path) -> int:
    return len(read_star(path)["particles"])


def test_every_job_has_its_files(demo):
    for name in ("data.star", "model.star", "optimiser.star", "sampling.star", "classes.mrcs"):
        assert (demo / f"Class2D/job011/run_it003_{name}").is_file()
        assert (demo / f"Class2D/job021/run_it003_{name}").is_file()
    for folder in ("Extract/job001", "Class2D/job011", "Select/job012", "Class2D/job021", "Select/job022"):
        for name in ("job.star", "job_pipeline.star", "note.txt", "run.out", "run.err", "provenance.json"):
            assert (demo / folder / name).is_file(), f"{folder}/{name}"
        assert (demo / folder / "RELION_JOB_EXIT_SUCCESS").is_file()
    for name in ("particles.star", "class_averages.star", "backup_selection.star"):
        assert (demo / "Select/job012" / name).is_file()
    assert (demo / "report/round_02/particles.tsv").is_file()
    assert "<html" in (demo / "report/index.html").read_text(encoding="utf-8")


def test_particles_only_become_fewer(demo):
    counts = [
        n_particles(demo / name)
        for name in ("Extract/job001/particles.star", "Select/job012/particles.star", "Select/job022/particles.star")
    ]
    assert counts[0] == 200
    assert counts == sorted(counts, reverse=True)
    assert counts[2] >= 100


def test_each_round_starts_from_the_one_before(demo):
    assert len(read_star(demo / "Class2D/job021/run_it003_data.star")["particles"]) == n_particles(
        demo / "Select/job012/particles.star"
    )
    assert len(read_star(demo / "Class2D/job021/run_it003_model.star")["model_classes"]) == 2


def test_clean_is_the_alias_of_the_last_selection(demo):
    assert (demo / "Select/clean").is_symlink()
    assert (demo / "Select/clean").resolve() == (demo / "Select/job022").resolve()


def test_the_project_knows_its_jobs(demo):
    tables = read_star(demo / "default_pipeline.star")
    status = dict(
        zip(
            tables["pipeline_processes"]["rlnPipeLineProcessName"],
            tables["pipeline_processes"]["rlnPipeLineProcessStatusLabel"],
            strict=True,
        )
    )
    expected = ["Class2D/job011/", "Class2D/job021/", "Extract/job001/", "Select/job012/", "Select/job022/"]
    assert sorted(status) == expected
    assert set(status.values()) == {"Succeeded"}
    assert int(tables["pipeline_general"]["rlnPipeLineJobCounter"].iloc[0]) >= 1001


def test_a_second_run_does_nothing(demo):
    before = fingerprints(demo, *ROUND_1, *ROUND_2, "report")
    assert "Nothing to be done" in finished(demo, DEMO)
    assert fingerprints(demo, *ROUND_1, *ROUND_2, "report") == before


def test_a_touched_input_is_not_a_changed_input(demo, tmp_path):
    project = copy_project(demo, tmp_path / "touched")
    os.utime(project / "Extract/job001/particles.star")
    assert "Nothing to be done" in finished(project, DEMO)


def test_adding_and_removing_a_round_leaves_the_others_alone(demo, tmp_path):
    project = copy_project(demo, tmp_path / "longer")
    before = fingerprints(project, *ROUND_1, *ROUND_2)
    finished(project, DEMO | {"rounds": [*DEMO["rounds"], {"class2d": {"nr_classes": 1}}]})
    assert fingerprints(project, *ROUND_1, *ROUND_2) == before
    assert (project / "Select/clean").resolve() == (project / "Select/job032").resolve()
    finished(project, DEMO)
    assert fingerprints(project, *ROUND_1, *ROUND_2) == before
    assert (project / "Select/clean").resolve() == (project / "Select/job022").resolve()
    assert len(score_demo.score_project(project).rounds) == 2
    finished(project, DEMO | {"rounds": DEMO["rounds"][:1]})
    assert len(score_demo.score_project(project).rounds) == 1
    assert fingerprints(project, *ROUND_1, *ROUND_2) == before
    assert (project / "Select/clean").resolve() == (project / "Select/job012").resolve()


def test_a_changed_round_runs_again_and_no_earlier_one(demo, tmp_path):
    project = copy_project(demo, tmp_path / "changed")
    before = fingerprints(project, *ROUND_1)
    changed = DEMO | {"rounds": [{}, {"class2d": {"nr_classes": 1}}]}
    said = finished(project, changed, "--dry-run")
    assert "Class2D/job021" in said
    assert fingerprints(project, *ROUND_1) == before


def test_more_iterations_go_on_from_the_last_one(demo, tmp_path):
    project = tmp_path / "shorter"
    project.mkdir()
    shorter = DEMO | {"class2d": DEMO["class2d"] | {"nr_iter_em": 2}, "rounds": [{}]}
    finished(project, shorter, "--until", "class2d")
    before = fingerprints(project, "Class2D/job011")
    finished(project, DEMO | {"rounds": [{}]}, "--until", "class2d")
    after = fingerprints(project, "Class2D/job011")
    for name in before:
        if "run_it001" in name:  # the last one is written again: Snakemake deletes declared outputs
            assert after[name] == before[name], name
    for name, (checksum, _) in fingerprints(demo, "Class2D/job011").items():
        if "run_it003" in name:
            assert after[name][0] == checksum, name


def test_a_killed_run_goes_on_after_unlock(tmp_path):
    project = tmp_path / "killed"
    project.mkdir()
    config = DEMO | {"class2d": DEMO["class2d"] | {"nr_iter_em": 40}, "rounds": [{}]}
    third = project / "Class2D/job011/run_it003_optimiser.star"
    process = start(project, config, "--until", "class2d")
    try:
        deadline = time.monotonic() + 120
        while not third.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert third.is_file()
    assert not (project / "Class2D/job011/run_it040_data.star").exists()
    first = project / "Class2D/job011/run_it001_optimiser.star"
    before = first.stat().st_mtime_ns
    finished(project, config, "--unlock")
    finished(project, config, "--until", "class2d")
    assert (project / "Class2D/job011/run_it040_data.star").is_file()
    assert first.stat().st_mtime_ns == before
    said = (project / "Class2D/job011/run.out").read_text()
    assert said.count("\n1/40 ") == 1
    assert "Going on after iteration" in said


def test_the_same_config_gives_the_same_bytes_with_one_thread_and_newly_compiled(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "compiled"))
    project = tmp_path / "again"
    project.mkdir()
    finished(project, DEMO | {"rounds": DEMO["rounds"][:1]}, "--until", "select_classes", "--set-threads", "class2d=1")
    names = (".star", ".mrcs", ".tsv")
    there = fingerprints(project, *ROUND_1)
    for name, (checksum, _) in fingerprints(demo, *ROUND_1).items():
        of_times = "/benchmark" in name or name.endswith("/default_pipeline.star")  # the latter grows with every job
        if name.endswith(names) and not of_times:
            assert there[name][0] == checksum, name


def test_a_job_directory_of_others_is_never_written_into(tmp_path):
    project = tmp_path / "taken"
    (project / "Extract/job001").mkdir(parents=True)
    (project / "Extract/job001/job.star").write_text("# another program's\n")
    result = snakemake(project, DEMO)
    assert result.returncode != 0
    assert [path.name for path in (project / "Extract/job001").iterdir()] == ["job.star"]
