"""The benchmarks end to end on the tiny set: what a change of options, job.star or files would break."""

import pstats

import pandas as pd
import pytest

from benchmarks import compare, growth, runs, stages
from benchmarks.cases import SETS, find_mode

MODE = "em,nr_iter_em=2"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Return a folder in which the tiny set is simulated once."""
    return tmp_path_factory.mktemp("bench")


def rows(path):
    return pd.read_csv(path, sep="\t")


@pytest.mark.relion
def test_both_programs_run_on_the_same_particles(cache, tmp_path, capsys):
    command = ["--sets", "tiny", "--modes", MODE, "--seeds", "1", "--peer-iterations", "1", "--cores", "1"]
    assert compare.main([*command, "--cache", str(cache), "--out", str(tmp_path)]) == 0
    [row] = rows(tmp_path / "bench.tsv").to_dict("records")
    [peer] = rows(tmp_path / "peer.tsv").to_dict("records")
    assert row["cpu_ratio"] == pytest.approx(row["peer_cpu_s"] / row["cpu_s"])
    assert peer["cpu_s"] < row["peer_cpu_s"] <= 2 * peer["cpu_s"] * (1 + 1e-9)
    assert 1 <= row["effective_classes"] <= row["live_classes"] <= 4
    assert 0 < row["auc"] < 1
    assert "tiny  em,nr_iter_em=2" in capsys.readouterr().out


def test_a_set_is_simulated_once_and_stages_of_a_job_add_up(cache):
    folder = runs.set_folder(SETS["tiny"], cache)
    written = (folder / "made_of.json").stat().st_mtime_ns
    assert runs.set_folder(SETS["tiny"], cache) == folder
    assert (folder / "made_of.json").stat().st_mtime_ns == written
    project = runs.fresh_project(cache / "profiled", folder)
    profile, job = project / "profile.out", runs.classification(SETS["tiny"], find_mode(MODE), seed=1)
    measures, data_star = runs.classify(project, job, 1, before=["-m", "cProfile", "-o", str(profile)])
    stats = pstats.Stats(str(profile))
    seconds = stages.seconds_by_stage(stats.stats)
    assert data_star.is_file()
    assert {stages.COARSE, stages.FINE, stages.M_STEP, stages.READING, stages.FILES, stages.START_UP} <= set(seconds)
    assert sum(seconds.values()) == pytest.approx(stats.total_tt, rel=1e-3)  # the profiler rounds too
    assert stats.total_tt < measures.wall_s
    assert seconds.get(stages.OTHER, 0) < 0.1 * stats.total_tt


def test_a_repeated_set_can_be_classified(cache):
    folder = growth.make_copies(runs.set_folder(SETS["tiny"], cache), cache / "copies", 2)
    project = runs.fresh_project(cache / "grown", folder)
    runs.classify(project, runs.classification(SETS["tiny"], find_mode(MODE), seed=1), n_cores=1)
    assert len(list((folder / "Extract/job001/Micrographs").glob("copy*.mrcs"))) == 2 * 4
