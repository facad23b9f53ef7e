"""own.continue_to: a classification that has not converged goes on in a job of its own, another is passed on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from winnow2d.formats.convergence import read_convergence, write_convergence
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, fingerprints, finished

pytestmark = pytest.mark.workflow

CONTINUED = DEMO | {"own": {"continue_to": 5}, "rounds": [{}]}
SETTLED = (False, 0.01, 1.0, 1.0, 0.001, 20.0)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("continued") / "demo"
    project.mkdir()
    finished(project, CONTINUED)
    return project


def test_a_run_of_three_iterations_goes_on_to_the_fifth(project):
    last = read_iteration(project / "Class2D/job014/run_it005_optimiser.star")
    assert last.number == 5
    assert [row[0] for row in read_convergence(project / "Class2D/job014/convergence.tsv")] == [4, 5]
    options = read_star(project / "Class2D/job014/job.star")["joboptions_values"]
    named = dict(zip(options["rlnJobOptionVariable"], options["rlnJobOptionValue"], strict=True))
    assert named["fn_cont"] == "Class2D/job011/run_it003_optimiser.star"
    assert named["nr_iter_em"] == "5"
    chosen_of = read_star(project / "Select/job012/job.star")["joboptions_values"]
    assert "Class2D/job014/run_it005_optimiser.star" in set(chosen_of["rlnJobOptionValue"])


def test_a_converged_one_is_passed_on_and_opens_as_a_job_of_its_own(project):
    before = fingerprints(project, "Class2D/job011")
    history = project / "Class2D/job011/convergence.tsv"
    rows = read_convergence(history)
    write_convergence(history, [(number, *SETTLED) for number in range(1, 7)])
    finished(project, CONTINUED, "--forcerun", "continue_class2d")
    write_convergence(history, rows)
    assert {name: value[0] for name, value in fingerprints(project, "Class2D/job011").items()} == {
        name: value[0] for name, value in before.items()
    }
    assert "Passed on unchanged" in (project / "Class2D/job014/run.out").read_text(encoding="utf-8")
    ours = read_iteration(project / "Class2D/job014/run_it005_optimiser.star")
    assert ours.number == 3
    text = (project / "Class2D/job014/run_it005_optimiser.star").read_text(encoding="utf-8")
    assert "job011" not in text.replace("job011/job.star", "")
    data = [project / f"Class2D/{name}_data.star" for name in ("job011/run_it003", "job014/run_it005")]
    assert data[0].read_bytes() == data[1].read_bytes()
    assert not (project / "Class2D/job014/run_it004_data.star").exists()


@pytest.mark.relion
def test_relion_continues_what_was_passed_on(project):
    test_a_converged_one_is_passed_on_and_opens_as_a_job_of_its_own(project)
    command = ["relion_refine", "--continue", "Class2D/job014/run_it005_optimiser.star", "--iter", "4"]
    result = subprocess.run(
        [*command, "--o", "Class2D/further", "--j", "2"], cwd=project, text=True, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (project / "Class2D/further_it004_data.star").is_file()
