"""Nothing runs again without a reason, and everything does with one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from conftest import REPOSITORY
from particle_sets import make_particle_set
from winnow2d.formats.star import read_star
from winnow2d.formats.star_writing import write_star
from workflow.snakemake_runs import copy_project

pytestmark = pytest.mark.workflow

CODE = ("Snakefile", "config.yaml", "rules", "scripts", "profiles", "envs", "pyproject.toml")
CONFIG = {
    "input": {"particles": "particles.star"},
    "class2d": {"nr_classes": 2, "do_em": True, "nr_iter_em": 2, "particle_diameter": 28, "psi_sampling": 12},
    "select": {"rank_threshold": 0.01, "select_nr_parts": 30},
    "rounds": [{}, {"class2d": {"nr_classes": 1}}],
}


def copy_code(target: Path) -> Path:
    """Return a copy of what runs, as a fresh clone has it: every file with another time."""
    target.mkdir()
    for name in CODE:
        source = REPOSITORY / name
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target / name)
    return target


def run(code: Path, project: Path, config: dict, *arguments: str) -> str:
    """Return what Snakemake says of a run that must succeed; its rules are those of `code`."""
    path = project.parent / f"{project.name}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(code / "Snakefile"), "--directory", str(project)]
    command += ["--cores", "2", "--nocolor", "--configfile", str(path), *arguments]
    result = subprocess.run(command, cwd=project.parent, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def planned(code: Path, project: Path, config: dict) -> set[str]:
    """Return the rules that would run."""
    said = run(code, project, config, "--dry-run")
    return set(re.findall(r"^\s*(?:local)?rule (\w+):", said, re.MULTILINE)) - {"all"}


def new_project(folder: Path, remark: str) -> Path:
    """Return a finished project; `remark` stands in a column of its particle file that nobody reads."""
    project = folder / "project"
    project.mkdir()
    source = make_particle_set(project, n=60)
    blocks = read_star(source)
    blocks["particles"]["userRemark"] = remark
    write_star(source, blocks)
    run(REPOSITORY, project, CONFIG)
    return project


@pytest.fixture(scope="module")
def finished_project(tmp_path_factory) -> Path:
    return new_project(tmp_path_factory.mktemp("reruns"), "x")


@pytest.fixture
def project(finished_project, tmp_path) -> Path:
    return copy_project(finished_project, tmp_path / "project")


def test_a_finished_project_that_was_moved_runs_nothing(project):
    assert planned(REPOSITORY, project, CONFIG) == set()


def test_a_touched_file_of_100_mb_runs_nothing(tmp_path):
    project = new_project(tmp_path, "x" * 1_700_000)
    assert (project / "particles.star").stat().st_size > 100e6
    os.utime(project / "particles.star")
    assert planned(REPOSITORY, project, CONFIG) == set()


def test_a_fresh_clone_of_the_code_and_a_comment_in_its_scripts_run_nothing(project, tmp_path):
    clone = copy_code(tmp_path / "clone")
    for path in (clone / "scripts/class2d.py", clone / "scripts/winnow2d/engine/classify.py"):
        path.write_text(path.read_text(encoding="utf-8") + "\n# A remark.\n", encoding="utf-8")
    assert planned(clone, project, CONFIG) == set()


def test_another_version_is_told_and_runs_nothing_by_itself(project, tmp_path):
    clone = copy_code(tmp_path / "clone")
    init = clone / "scripts/winnow2d/__init__.py"
    init.write_text(re.sub(r'__version__ = "[^"]+"', '__version__ = "99.0"', init.read_text(encoding="utf-8")))
    said = run(clone, project, CONFIG, "--dry-run")
    assert "this is 99.0. To make them again add --forceall" in said
    assert planned(clone, project, CONFIG) == set()
    assert {"extract", "class2d", "select_classes"} <= set(
        re.findall(r"rule (\w+):", run(clone, project, CONFIG, "--dry-run", "--forceall"))
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"class2d": CONFIG["class2d"] | {"tau_fudge": 4}}, {"class2d", "select_classes", "report", "clean"}),
        ({"rounds": [{}, {"class2d": {"nr_classes": 3}}]}, {"class2d", "select_classes", "report", "clean"}),
        ({"select": CONFIG["select"] | {"rank_threshold": 0.02}}, {"class2d", "select_classes", "report", "clean"}),
        ({"own": {"device": "cpu", "keep_iterations": "last"}}, set()),
    ],
)
def test_a_changed_option_runs_what_reads_it(project, change, expected):
    assert planned(REPOSITORY, project, CONFIG | change) == expected


def test_a_changed_particle_file_runs_everything(project):
    source = project / "particles.star"
    blocks = read_star(source)
    write_star(source, blocks | {"particles": blocks["particles"].iloc[:-1]})
    assert planned(REPOSITORY, project, CONFIG) == {"extract", "class2d", "select_classes", "report", "clean"}


def test_a_changed_result_runs_what_follows(project):
    path = project / "Select/job012/particles.star"
    path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    assert planned(REPOSITORY, project, CONFIG) == {"class2d", "select_classes", "report", "clean"}


def test_each_job_records_what_made_it(finished_project):
    record = json.loads((finished_project / "Class2D/job011/provenance.json").read_text(encoding="utf-8"))
    assert record["config"]["input"] == CONFIG["input"]
    assert record["config"]["rounds"] == CONFIG["rounds"]
    assert record["devices"] == [f"CPU ({os.uname().machine})"]
    assert record["packages"]["numpy"]
    assert record["random_seed"] == 1
    assert record["host"] == os.uname().nodename
    assert len(record["inputs"]["particles"][0]["sha256"]) == 64
    for name in ("wall_s", "cpu_s", "peak_memory_mb"):
        assert record[name] > 0
    for job in ("Extract/job001", "Class2D/job011", "Select/job012", "Class2D/job021", "Select/job022"):
        (file,) = (finished_project / job).glob("benchmark*.tsv")
        header, values = file.read_text(encoding="utf-8").splitlines()[:2]
        assert header.split("\t")[0] == "s"
        assert float(values.split("\t")[0]) >= 0


def test_snakemakes_own_report_holds_the_page(project, tmp_path):
    page = tmp_path / "report.zip"
    run(REPOSITORY, project, CONFIG, "--report", str(page))
    with zipfile.ZipFile(page) as archive:
        assert any(name.endswith("index.html") for name in archive.namelist())


def test_the_file_of_the_workflow_catalogue_says_how_to_use_it():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage["mandatory-flags"]["flags"].startswith("--directory")
    assert usage["report"] is usage["software-stack-deployment"]["report"] is True
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in text
    assert "workflow" in text
