"""Every job of a finished chain runs again from its job.star alone, to the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from relion_projects import form, run_script
from winnow2d.formats.jobs import LABEL_OF_TYPE, OPTIONS_OF_TYPE
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, fingerprints, finished

pytestmark = pytest.mark.workflow

FOLDERS = ("Extract/job001", "Class2D/job011", "Select/job012", "Select/job013", "report/round_01")
SCRIPTS = {
    "Extract/job001": "extract.py", "Class2D/job011": "class2d.py", "Select/job012": "select_classes.py",
    "Select/job013": "regroup.py",
}  # fmt: skip
KINDS = (".star", ".mrcs", ".tsv")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a finished project of one round with regrouping, on particles that lie elsewhere."""
    folder = tmp_path_factory.mktemp("again")
    for name in ("source", "project"):
        (folder / name).mkdir()
    finished(folder / "source", DEMO, "--until", "simulate")
    config = DEMO | {
        "input": {"particles": "../source/Extract/job001/particles.star"},
        "rounds": [{"select": {"do_regroup": True, "nr_groups": 3}}],
    }
    finished(folder / "project", config, "--until", "regroup")
    return folder / "project"


def results(project: Path) -> dict[str, str]:
    found = fingerprints(project, *FOLDERS)
    skipped = "/default_pipeline.star"
    return {
        name: sums
        for name, (sums, _) in found.items()
        if name.endswith(KINDS) and not name.endswith(skipped) and "/benchmark" not in name
    }


def test_every_script_runs_again(project):
    before = results(project)
    for job, script in SCRIPTS.items():
        for name in before:
            keeps = ("job.star", "job_pipeline.star")
            if name.startswith(f"{job}/") and not name.endswith(keeps) and not (project / name).is_symlink():
                (project / name).unlink()
        if job == "Class2D/job011":
            (project / job / "winnow_state.bin").unlink()
        done = run_script(project, script, job)
        assert done.returncode == 0, done.stderr
    assert results(project) == before


@pytest.mark.parametrize("job", SCRIPTS)
def test_the_form_is_filled_in(project, job):
    kind = job.split("/")[0]
    head = read_star(project / job / "job.star")["job"].iloc[0]
    assert head["rlnJobTypeLabel"].startswith(LABEL_OF_TYPE[kind])
    values = form(project / job / "job.star")
    assert set(OPTIONS_OF_TYPE[kind].__dataclass_fields__) <= set(values)
    named = {
        "Class2D/job011": {"fn_img": "Extract/job001/particles.star"},
        "Select/job012": {"fn_model": "Class2D/job011/run_it003_optimiser.star"},
        "Select/job013": {
            "fn_model": "Class2D/job011/run_it003_optimiser.star", "fn_data": "Select/job012/particles.star",
        },
    }  # fmt: skip
    assert named.get(job, {}).items() <= values.items()
