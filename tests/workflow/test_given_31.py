"""RELION 3.1 classifies, we choose, regroup and classify on, and RELION goes on from what was kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from relion_layouts import GOLDEN
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import read_star, write_star
from workflow.snakemake_runs import fingerprints, finished

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

OPTIONS = (
    "--flatten_solvent --zero_mask --oversampling 1 --norm --scale --pad 2 --j 1 --random_seed 1 --skip_gridding "
    "--particle_diameter 190 --ctf --psi_step 12 --offset_range 5 --offset_step 2 --tau2_fudge 2"
)
OPTIMISER = "Class2D/job002/run_it003_optimiser.star"
PIPELINE = {  # in the columns of RELION 3.1
    "pipeline_general": {"rlnPipeLineJobCounter": 3},
    "pipeline_processes": pd.DataFrame(
        {
            "rlnPipeLineProcessName": ["Class2D/job002/"], "rlnPipeLineProcessAlias": "None",
            "rlnPipeLineProcessType": 8, "rlnPipeLineProcessStatus": 2,
        }
    ),
    "pipeline_nodes": pd.DataFrame({"rlnPipeLineNodeName": [OPTIMISER], "rlnPipeLineNodeType": 9}),
    "pipeline_output_edges": pd.DataFrame(
        {"rlnPipeLineEdgeProcess": ["Class2D/job002/"], "rlnPipeLineEdgeToNode": [OPTIMISER]}
    ),
}  # fmt: skip
CONFIG = {
    "input": {"optimiser": OPTIMISER},
    "class2d": {"nr_classes": 2, "do_em": True, "nr_iter_em": 2, "particle_diameter": 190, "psi_sampling": 12},
    "select": {"rank_threshold": 0.1, "select_nr_classes": 2},
    "rounds": [{"select": {"do_regroup": True, "nr_groups": 3}}, {}],
}


def run(project: Path, command: str) -> str:
    """Return what a program of RELION says; it must succeed."""
    done = subprocess.run(command.split(), cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a project of RELION 3.1 with one Class2D job, in which our chain has gone on."""
    project = tmp_path_factory.mktemp("given31") / "project"
    (project / "Class2D/job002").mkdir(parents=True)
    (project / "Extract").symlink_to(GOLDEN / "Extract")
    table = read_particle_table(GOLDEN / "Extract/job001/particles.star")
    # every other particle, the last first: RELION sorts them by micrograph
    particles = table.particles.iloc[::-2].assign(userNote='kept "as it is"', userNumber="007")
    write_particle_table(project / "particles.star", ParticleTable(table.optics, particles))
    run(project, f"relion_refine --i particles.star --o Class2D/job002/run --iter 3 --K 3 {OPTIONS}")
    write_star(project / "default_pipeline.star", PIPELINE)
    before = fingerprints(project, "Class2D/job002")
    finished(project, CONFIG)
    assert fingerprints(project, "Class2D/job002") == before
    return project


def test_what_is_kept_are_rows_of_relions_file(project):
    given = read_particle_table(project / "Class2D/job002/run_it003_data.star")
    kept = read_particle_table(project / "Select/job012/particles.star")
    assert 0 < len(kept.particles) <= len(given.particles) == 200
    classes = set(kept.particles["rlnClassNumber"])
    expected = given.particles[given.particles["rlnClassNumber"].isin(classes)]
    assert kept.particles.to_numpy().tolist() == expected.to_numpy().tolist()
    assert kept.particles["rlnMicrographName"].is_monotonic_increasing
    assert kept.optics.equals(given.optics)


def test_columns_nobody_knows_come_through_relion_and_us(project):
    for name in ("Select/job012/particles.star", "Class2D/job021/run_it002_data.star", "Select/clean/particles.star"):
        particles = read_particle_table(project / name).particles
        assert set(particles["userNote"]) == {'kept "as it is"'}, name
        assert set(particles["userNumber"]) == {"007"}, name


def test_groups_are_joined_by_the_scales_of_relions_model(project):
    before = read_particle_table(project / "Select/job012/particles.star").particles
    after = read_particle_table(project / "Select/job013/particles.star").particles
    assert after["rlnImageName"].tolist() == before["rlnImageName"].tolist()
    assert 2 <= after["rlnGroupName"].nunique() <= 4 < before["rlnGroupNumber"].nunique()
    groups = read_star(project / "Class2D/job002/run_it003_model.star")["model_groups"]
    scale_of = dict(zip(groups["rlnGroupNumber"], groups["rlnGroupScaleCorrection"].astype(float), strict=True))
    scales = before["rlnGroupNumber"].map(scale_of)
    limits = scales.groupby(after["rlnGroupName"].to_numpy()).agg(["min", "max"]).sort_values("min")
    assert (limits["max"].to_numpy()[:-1] <= limits["min"].to_numpy()[1:]).all()


def test_the_page_shows_it(project):
    html = (project / "report/index.html").read_text(encoding="utf-8")
    for words in ("Class2D/job002", "<b>200</b>", "190 Å", "2 (left) and 3 (right)"):
        assert words in html, words
    assert html.count('class="tile ') == 3 + 2


def test_relion_knows_both_jobs_and_goes_on_from_the_clean_particles(project):
    run(project, "relion_pipeliner --check_job_completion")
    table = read_star(project / "default_pipeline.star")["pipeline_processes"]
    assert {"Class2D/job002/", "Select/job012/", "Class2D/job021/"} <= set(table["rlnPipeLineProcessName"])
    assert set(table["rlnPipeLineProcessStatus"]) == {"2"}
    (project / "tmp").mkdir(exist_ok=True)
    run(project, f"relion_refine --i Select/clean/particles.star --o tmp/run --iter 1 --K 2 {OPTIONS}")
    seen = read_particle_table(project / "tmp/run_it001_data.star").particles
    kept = read_particle_table(project / "Select/clean/particles.star").particles
    assert seen["rlnImageName"].tolist() == kept["rlnImageName"].tolist()
