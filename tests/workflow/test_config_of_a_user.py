"""A user's short config: what it gives in job.star, and how a broken one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conftest import REPOSITORY
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, finished, snakemake

pytestmark = pytest.mark.workflow

DEFAULTS = yaml.safe_load((REPOSITORY / "tests/golden/job_options.yaml").read_text(encoding="utf-8"))


def same(value):
    """Return an option's text so that 2, 2.0 and 2. are one value."""
    try:
        return float(value)
    except ValueError:
        return value


def job_options(path: Path) -> dict[str, str]:
    table = read_star(path)["joboptions_values"]
    return dict(zip(table["rlnJobOptionVariable"], table["rlnJobOptionValue"], strict=True))


def expected(job_type: str, **named) -> dict:
    return {key: same(value) for key, value in (DEFAULTS["running"] | DEFAULTS[job_type] | named).items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return an empty PROJECT after the short config ran in it, on particles that lie elsewhere."""
    folder = tmp_path_factory.mktemp("users")
    source, project = folder / "source", folder / "project"
    source.mkdir()
    project.mkdir()
    finished(source, DEMO, "--until", "simulate")
    mine = {
        "input": {"particles": "../source/Extract/job001/particles.star"},
        "class2d": {"nr_classes": 3, "do_em": True, "nr_iter_em": 2, "particle_diameter": 210},
        "select": {"rank_threshold": 0.01},
        "rounds": [{"select": {"do_regroup": True, "nr_groups": 2}}, {"class2d": {"nr_classes": 2}}],
    }
    finished(project, mine)
    return project


@pytest.mark.parametrize(("job", "n_classes"), [("Class2D/job011", 3), ("Class2D/job021", 2)])
def test_class2d_has_relions_defaults_where_nothing_is_named(project, job, n_classes):
    found = job_options(project / job / "job.star")
    named = dict(nr_classes=n_classes, do_em="Yes", do_grad="No", nr_iter_em=2, particle_diameter=210)
    for key, value in expected("class2d", **named).items():
        assert same(found[key]) == value, key
    assert set(found) - set(expected("class2d")) == {"fn_img", "qsubscript", "nr_iter", "do_fast_subsets"}
    assert found["nr_iter"] == found["nr_iter_em"]  # the name RELION 3.1 reads


def test_select_has_relions_defaults_where_nothing_is_named(project):
    found = job_options(project / "Select/job012/job.star")
    named = dict(do_class_ranker="Yes", rank_threshold=0.01)
    for key, value in expected("select", **named).items():
        assert same(found[key]) == value, key


def test_regroup_has_relions_defaults_where_nothing_is_named(project):
    found = job_options(project / "Select/job013/job.star")
    for key, value in expected("select", do_regroup="Yes", nr_groups=2).items():
        assert same(found[key]) == value, key


def test_extract_has_relions_defaults(project):
    found = job_options(project / "Extract/job001/job.star")
    for key, value in expected("extract").items():
        assert same(found[key]) == value, key


def test_the_next_round_starts_from_the_regrouped_particles(project):
    regrouped = read_star(project / "Select/job013/particles.star")["particles"]
    classified = read_star(project / "Class2D/job021/run_it002_data.star")["particles"]
    assert sorted(regrouped["rlnImageName"]) == sorted(classified["rlnImageName"])
    assert set(classified["rlnGroupName"]) == set(regrouped["rlnGroupName"])
    assert (project / "Select/clean").resolve() == (project / "Select/job022").resolve()


def test_a_broken_config_ends_with_its_message_alone(tmp_path):
    broken = DEMO | {"class2d": {"nr_clases": 3, "tau_fudge": "a"}, "own": {"device": "tpu"}}
    result = snakemake(tmp_path / "project", broken)
    assert result.returncode != 0
    assert "class2d: unknown key 'nr_clases'. Did you mean 'nr_classes'?" in result.stdout
    assert "class2d.tau_fudge: expected a number, found 'a'." in result.stdout
    assert "own.device" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_missing_particle_file_is_named(tmp_path):
    result = snakemake(tmp_path / "project", DEMO | {"input": {"particles": "nowhere.star"}})
    assert result.returncode != 0
    assert "nowhere.star" in result.stdout


def test_a_dry_run_shows_all_rounds_and_writes_no_job(tmp_path):
    project = tmp_path / "project"
    said = finished(project, DEMO, "--dry-run")
    for name in ("simulate", "class2d", "select_classes", "clean", "report"):
        assert name in said
    assert {path.name for path in project.iterdir()} <= {".snakemake", "logs"}


def test_without_a_config_the_demo_is_planned(tmp_path):
    result = snakemake(tmp_path / "project", None, "--dry-run")
    assert result.returncode == 0, result.stdout
    assert "simulate" in result.stdout


def test_iterations_may_have_four_digits(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    config = DEMO | {"class2d": {"nr_classes": 2, "nr_iter_grad": 1000, "particle_diameter": 200}, "rounds": [{}]}
    answer = snakemake(project, config, "--dry-run")
    assert answer.returncode == 0, answer.stdout
    assert "Class2D/job011/run_it1000_optimiser.star" in answer.stdout
