"""The CCP-EM Pipeliner, a program of its own in an environment of its own, opens our project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import PIPELINER
from interop.graph import read_graph
from interop.programs import refused, run
from interop.small_project import CLEAN, EM, JOBS, REGROUPED, SELECTED, VDAM
from winnow2d.formats.pipeline_star import PIPELINE, read_pipeline
from winnow2d.formats.project import changed_pipeline

pytestmark = [pytest.mark.pipeliner, pytest.mark.relion, pytest.mark.workflow]

COMPLETE = ("relion_pipeliner", "--check_job_completion")
CLIENT = Path(__file__).with_name("pipeliner_client.py")
PARTICLES, AVERAGES = "ParticleGroupMetadata.star.relion", "Image2DGroupMetadata.star.relion.classaverages"
DATA, OPTIMISER = f"{PARTICLES}.class2d", "OptimiserData.star.relion.class2d"
MODEL = "ProcessData.star.relion.class2d.model"  # a node in RELION 3.1 alone


def ask(project, question, *arguments):
    """Return what the program's own Python, which knows nothing of ours, finds."""
    said = run(project, "env", "-u", "PYTHONPATH", PIPELINER / "python", CLIENT, question, *arguments)
    return json.loads(said.splitlines()[-1])


def files_of(stem):
    return [[f"{stem}data.star", DATA], [f"{stem}model.star", MODEL], [f"{stem}optimiser.star", OPTIMISER]]


EXPECTED = {
    "Extract/job001/": ("relion.extract", [], [["Extract/job001/particles.star", PARTICLES]]),
    "Class2D/job011/": ("relion.class2d", [["Extract/job001/particles.star", PARTICLES]], files_of(EM)),
    f"{SELECTED}/": (
        "relion.select.class2dauto",
        files_of(EM),
        [[f"{SELECTED}/class_averages.star", AVERAGES], [f"{SELECTED}/particles.star", PARTICLES]],
    ),
    f"{REGROUPED}/": (
        "relion.select.interactive",
        [*files_of(EM), [f"{SELECTED}/particles.star", PARTICLES]],
        [[f"{REGROUPED}/particles.star", PARTICLES]],
    ),
    "Class2D/job021/": ("relion.class2d", [[f"{REGROUPED}/particles.star", PARTICLES]], files_of(VDAM)),
    f"{CLEAN}/": (
        "relion.select.class2dauto",
        files_of(VDAM),
        [[f"{CLEAN}/class_averages.star", AVERAGES], [f"{CLEAN}/particles.star", PARTICLES]],
    ),
}


def test_it_lists_every_job_with_type_status_inputs_and_outputs(ours):
    listed = ask(ours, "jobs")
    found, graph, processes = listed["jobs"], read_graph(ours), read_pipeline(ours / PIPELINE).processes
    assert listed["counter"] == graph.counter == 1001
    assert {job["name"] for job in found} == set(EXPECTED) == {f"{name}/" for name in JOBS}
    for job in found:
        kind, inputs, outputs = EXPECTED[job["name"]]
        assert (job["type"], job["status"]) == (kind, "Succeeded")
        assert (job["inputs"], job["outputs"]) == (inputs, outputs)
        assert job["alias"] == ("Select/clean/" if job["name"] == f"{CLEAN}/" else None)
    # and it is our own list
    assert {job["name"]: job["type"] for job in found} == {
        row["rlnPipeLineProcessName"]: row["rlnPipeLineProcessTypeLabel"] for row in processes
    }
    assert {(path, job["name"]) for job in found for path, _ in job["inputs"]} == graph.inputs
    assert {(job["name"], path) for job in found for path, _ in job["outputs"]} == graph.outputs


def test_it_reads_the_options_of_our_jobs(ours):
    files = {name: f"{name}/job.star" for name in JOBS}
    read = ask(ours, "options", *files.values())
    types = ["extract", "class2d.em", "select.class2dauto", "select.interactive", "class2d.vdam", "select.class2dauto"]
    assert [read[path]["type"] for path in files.values()] == [f"relion.{name}" for name in types]
    em, vdam, regrouped = (read[files[name]]["options"] for name in ("Class2D/job011", "Class2D/job021", REGROUPED))
    assert (em["fn_img"], em["nr_classes"], em["nr_iter_em"]) == ("Extract/job001/particles.star", "4", "10")
    assert (vdam["fn_img"], vdam["nr_iter_grad"]) == (f"{REGROUPED}/particles.star", "20")
    # it wants micrographs of an extraction; ours takes particles that are there
    assert [name for path in files.values() for name, value in read[path]["options"].items() if value is None] == [
        "star_mics"
    ]
    assert (regrouped["fn_model"], regrouped["nr_groups"]) == (f"{EM}optimiser.star", "3")


def test_it_adds_a_job_of_our_job_star_and_we_read_what_it_wrote(ours):
    before = read_graph(ours)
    run(ours, "env", "-u", "PYTHONPATH", PIPELINER / "pipeliner", "--schedule_job", "Class2D/job011/job.star")
    after = read_graph(ours)
    assert after.holds(before)
    assert after.jobs["Class2D/job1001/"] == ("8", "1", "None")
    assert after.inputs_of("Class2D/job1001/") == ["Extract/job001/particles.star"]
    assert after.outputs_of("Class2D/job1001/") == [
        f"Class2D/job1001/run_it010_{name}.star" for name in ("data", "optimiser")
    ]


def test_what_each_program_makes_of_the_graph_is_read_by_the_others_once_we_have_written_it(ours):
    """RELION 3.1 keeps numbers and the Pipeliner labels; neither opens what the other left, and we give back both."""
    listed = ask(ours, "jobs")
    run(ours, *COMPLETE)
    said = refused(ours, "env", "-u", "PYTHONPATH", PIPELINER / "python", CLIENT, "jobs")
    assert "appears to be an older RELION STAR file" in said
    with changed_pipeline(ours):
        pass
    again = ask(ours, "jobs")
    generic = [job | {"type": ".".join(job["type"].split(".")[:2])} for job in listed["jobs"]]
    for job, known in zip(again["jobs"], generic, strict=True):
        assert (job["name"], job["status"], job["alias"]) == (known["name"], known["status"], known["alias"])
        assert job["type"].startswith(known["type"])
        assert [path for path, _ in job["inputs"]] == [path for path, _ in known["inputs"]]
        assert [path for path, _ in job["outputs"]] == [path for path, _ in known["outputs"]]

    run(ours, "env", "-u", "PYTHONPATH", PIPELINER / "pipeliner", "--schedule_job", "Class2D/job011/job.star")
    before = read_graph(ours)
    assert "cannot find name or type in pipeline_nodes table" in refused(ours, *COMPLETE)
    shutil.rmtree(ours / ".relion_lock")  # RELION 3.1 leaves it behind when it stops
    with changed_pipeline(ours):
        pass
    run(ours, *COMPLETE)
    assert read_graph(ours) == before
