"""The script of an extraction, run from a job.star as RELION's window writes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import REPOSITORY
from micrograph_sets import extract, make_project, stacks
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.windows import Windowing

FORM = {
    "star_mics": "micrographs.star",
    "coords_suffix": "AutoPick/job004/coords_suffix_pick.star",
    "extract_size": "64",
    "do_rescale": "Yes",
    "rescale": "32",
    "do_float16": "No",
    "do_invert": "Yes",
    "do_norm": "Yes",
    "bg_diameter": "-1",
}


@pytest.fixture
def project(tmp_path) -> Path:
    return make_project(tmp_path)


def run(project: Path, **form: str) -> subprocess.CompletedProcess[str]:
    """Run a job.star with RELION's tables alone."""
    rows = FORM | form
    table = pd.DataFrame({"rlnJobOptionVariable": list(rows), "rlnJobOptionValue": list(rows.values())}, dtype=object)
    head = {"rlnJobTypeLabel": "relion.extract", "rlnJobIsContinue": 0, "rlnJobIsTomo": 0}
    (project / "Extract/job007").mkdir(parents=True, exist_ok=True)
    write_star(project / "Extract/job007/job.star", {"job": head, "joboptions_values": table})
    command = [sys.executable, str(REPOSITORY / "scripts/extract_micrographs.py"), "Extract/job007/job.star"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    return subprocess.run(command, cwd=project, env=environment, text=True, capture_output=True, check=False)


def test_a_job_planned_in_relions_window_is_run(project):
    result = run(project)
    assert result.returncode == 0, result.stderr
    extract(project, Windowing(64, 32, True, 12, do_invert=True))
    assert (stacks(project, "Extract/job007") == stacks(project, "Extract/job001")).all()
    options = dict(read_star(project / "Extract/job007/job.star")["joboptions_values"].to_numpy())
    assert (options["star_mics"], options["do_reextract"]) == ("micrographs.star", "No")
    assert (project / "Extract/job007/RELION_JOB_EXIT_SUCCESS").is_file()


def test_and_so_is_one_that_extracts_again(project):
    assert run(project).returncode == 0
    os.rename(project / "Extract/job007", project / "Extract/job006")
    again = {"do_reextract": "Yes", "fndata_reextract": "Extract/job006/particles.star", "coords_suffix": ""}
    result = run(project, **again)
    assert result.returncode == 0, result.stderr
    assert (stacks(project, "Extract/job007") == stacks(project, "Extract/job006")).all()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"star_mics": ""}, "names no input micrographs"),
        ({"coords_suffix": ""}, "coords_suffix is empty; name the file with the particles' coordinates"),
        ({"extract_size": "63"}, "extract.extract_size: 63 px is odd; give an even box."),
    ],
)
def test_what_the_form_lacks_is_told_in_one_line(project, form, words):
    result = run(project, **form)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
