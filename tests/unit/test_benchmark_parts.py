"""The parts of the benchmarks that can be wrong without anybody noticing: measures, sums of stages, tables, names."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import runs, stages
from benchmarks.cases import MODES, SETS, find_mode, find_set, option_values, peer_command, unknown_options
from benchmarks.growth import repeated
from benchmarks.tables import Column, as_text, mean_row, ratio, write_tsv
from winnow2d.errors import ConfigError, JobError
from winnow2d.formats import jobs

COLUMNS = [Column("set", "set"), Column("cpu_s", "CPU s", ".1f"), Column("auc", "auc", ".3f"), Column("peer", "peer")]
ROWS = [{"set": "d2", "cpu_s": 61.25, "auc": 0.9}, {"set": "c1", "cpu_s": 8.0, "auc": float("nan")}]


def test_tables_align_words_left_and_numbers_right_and_drop_empty_columns():
    assert as_text(COLUMNS, ROWS).splitlines() == ["set  CPU s    auc", "d2    61.2  0.900", "c1     8.0      -"]


def test_tables_for_programs_have_every_column_and_all_digits(tmp_path):
    write_tsv(tmp_path / "new/bench.tsv", COLUMNS, ROWS)
    lines = (tmp_path / "new/bench.tsv").read_text().splitlines()
    assert lines == ["set\tcpu_s\tauc\tpeer", "d2\t61.25\t0.9\t", "c1\t8.0\tnan\t"]


def test_means_are_over_the_numbers_that_are_there():
    row = mean_row(ROWS, set="mean")
    assert row == {"set": "mean", "cpu_s": pytest.approx(34.625), "auc": 0.9}
    assert (ratio(3.0, 2.0), ratio(None, 2.0), ratio(3.0, 0.0)) == (1.5, None, None)


def test_a_process_is_measured_alone_and_not_with_the_memory_of_whoever_starts_it(tmp_path):
    held = np.ones(40_000_000)  # 320 MB here must not show there
    spin = "import time; x = bytearray(60 << 20)\nwhile time.process_time() < 0.5: pass\ntime.sleep(0.5)"
    measures = runs.run_measured([sys.executable, "-I", "-S", "-c", spin], tmp_path, n_cores=1)
    assert held.sum() > 0
    assert 0.5 <= measures.cpu_s < measures.wall_s - 0.3
    assert 60 < measures.own_peak_mb <= measures.peak_mb < 120


def test_a_process_has_the_cores_it_was_given_and_the_environment_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    code = "import os; print(len(os.sched_getaffinity(0)), os.environ['OPENBLAS_CORETYPE'])"
    runs.run_measured([sys.executable, "-c", code], tmp_path, n_cores=1)
    assert (tmp_path / "output.txt").read_text().split() == ["1", "Haswell"]


def test_a_process_that_fails_is_told_of_with_what_it_said(tmp_path):
    with pytest.raises(JobError, match="out of ideas"):
        runs.run_measured([sys.executable, "-c", "raise SystemExit('out of ideas')"], tmp_path, n_cores=1)


def test_the_peer_is_extrapolated_by_its_later_iterations(tmp_path):
    (tmp_path / "peer").mkdir()
    for number, written in ((0, 10.0), (1, 20.0), (3, 40.0)):  # 10 s each after a first of unknown length
        path = tmp_path / f"peer/run_it{number:03d}_data.star"
        path.touch()
        os.utime(path, (written, written))
    whole = runs.extrapolated(runs.Measures(80.0, 40.0, 100.0, 90.0), tmp_path, 3, 25)
    assert (whole.cpu_s, whole.wall_s, whole.peak_mb) == (pytest.approx(520), pytest.approx(260), 100)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_makes_a_job_that_can_be_read_again(mode, tmp_path):
    mode = find_mode(mode)
    if unknown_options(mode):
        pytest.skip(f"no option {unknown_options(mode)} in this version")
    job = runs.classification(SETS["d2"], mode, seed=4)
    runs.write_job(tmp_path, job, runs.CLASS2D)
    again = jobs.read_job_star(tmp_path / runs.CLASS2D / "job.star", type(job.options))
    assert (again.options, again.own, again.outputs) == (job.options, job.own, job.outputs)
    assert (job.options.n_iterations, job.own.random_seed, job.own.device) == (mode.n_iterations, 4, "cpu")


def test_the_peer_is_asked_for_the_same_as_we_are():
    options = runs.classification(SETS["d2"], find_mode("em"), seed=1).options
    command = peer_command("relion_refine", SETS["d2"], 3, 2)
    said = dict(itertools.pairwise(command))
    # RELION's command takes the coarse steps; oversampling halves them.
    assert float(said["--psi_step"]) == 2 * options.psi_sampling
    assert float(said["--offset_step"]) == 2 * options.offset_step
    assert (int(said["--K"]), float(said["--particle_diameter"])) == (options.nr_classes, options.particle_diameter)
    assert (float(said["--tau2_fudge"]), float(said["--offset_range"])) == (options.tau_fudge, options.offset_range)


def test_options_may_be_added_to_a_mode():
    mode = find_mode("vdam,nr_iter_grad=30,psi_sampling=12,own.precision=double")
    values = option_values(SETS["c1"], mode)
    assert (mode.n_iterations, values["nr_iter_grad"], values["psi_sampling"]) == (30, 30, "12")
    assert runs.classification(SETS["c1"], mode, 1).own.precision == "double"


def test_sets_are_names_or_folders(tmp_path):
    brought = find_set(f"{tmp_path}/b0:30:200:D2")
    assert dataclasses.astuple(brought) == ("b0", 30, 200.0, None, tmp_path / "b0", "D2")
    for wrong in ("d3", f"{tmp_path}:30:200", f"{tmp_path}:many:200:D2"):
        with pytest.raises(ConfigError, match="PATH:CLASSES:MASK_ANG:SYMMETRY"):
            find_set(wrong)


def test_a_repeated_set_has_other_names_for_everything_and_the_same_images():
    table = pd.DataFrame({"rlnImageName": ["000007@E/m.mrcs"], "rlnMicrographName": ["M/m.mrc"], "rlnDefocusU": ["1"]})
    found = repeated(table, 2)
    assert list(found["rlnImageName"]) == ["000007@E/copy000_m.mrcs", "000007@E/copy001_m.mrcs"]
    assert found["rlnMicrographName"].nunique() == 2
    assert list(found["rlnDefocusU"]) == ["1", "1"]


def test_time_without_a_stage_goes_to_the_stages_of_its_callers():
    expect = ("winnow2d/engine/expectation.py", 1, "expect")
    write = ("winnow2d/formats/state.py", 1, "save_state")
    library, inner, main = ("numpy/x.py", 1, "f"), ("~", 0, "<built-in>"), ("scripts/class2d.py", 1, "main")
    stats = {
        main: (1, 1, 0.5, 10.5, {}),
        expect: (1, 1, 2.0, 7.0, {main: (1, 1, 2.0, 7.0)}),
        write: (1, 1, 1.0, 3.0, {main: (1, 1, 1.0, 3.0)}),
        library: (2, 2, 3.0, 7.0, {expect: (1, 1, 2.0, 5.0), write: (1, 1, 1.0, 2.0)}),
        inner: (9, 9, 4.0, 4.0, {library: (9, 9, 4.0, 4.0)}),
    }
    found = stages.seconds_by_stage(stats)
    inner_of_fine = 4.0 * 5 / 7
    assert found == pytest.approx(
        {stages.FINE: 4.0 + inner_of_fine, stages.FILES: 2.0 + 4.0 - inner_of_fine, stages.OTHER: 0.5}
    )
    assert sum(found.values()) == pytest.approx(sum(own for _, _, own, _, _ in stats.values()))
    assert "files of iterations and state" in stages.verdict(found)
    assert "ABOVE" in stages.verdict(found)


def test_the_stages_name_functions_that_exist(repository):
    for place, names, _ in stages.PLACES:
        if place.startswith(("engine/", "formats/")):
            text = (repository / "scripts/winnow2d" / place).read_text()
            assert [name for name in names if f"def {name}(" not in text] == []


def test_the_launcher_needs_nothing_but_the_standard_library(tmp_path):
    """It must stay small: numpy alone would add more memory than some peers use."""
    report = tmp_path / "report.json"
    launcher = [sys.executable, "-I", "-S", str(runs.MEASURED), str(report), "1", "true"]
    subprocess.run(launcher, check=True, cwd=Path("/"))
    assert json.loads(report.read_text())["peak_mb"] < 40
