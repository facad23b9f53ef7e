import multiprocessing
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from winnow2d.errors import JobError
from winnow2d.formats import jobs, project
from winnow2d.formats.pipeline_star import NODE_KINDS, PIPELINE, read_pipeline
from winnow2d.formats.project_lock import LOCK, pipeline_lock
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, ExtractOptions, OwnOptions, SelectOptions

RELION_5 = """
# version 50001

data_pipeline_general

_rlnPipeLineJobCounter                       18


# version 50001

data_pipeline_processes

loop_
_rlnPipeLineProcessName #1
_rlnPipeLineProcessAlias #2
_rlnPipeLineProcessTypeLabel #3
_rlnPipeLineProcessStatusLabel #4
Import/job001/       None relion.import.movies  Succeeded
Refine3D/job017/ Refine3D/first/ relion.refine3d    Running


# version 50001

data_pipeline_nodes

loop_
_rlnPipeLineNodeName #1
_rlnPipeLineNodeTypeLabel #2
_rlnPipeLineNodeTypeLabelDepth #3
Import/job001/movies.star MicrographMovieGroupMetadata.star.relion            1
Refine3D/job017/run_class001.mrc DensityMap.mrc.relion.refine3d            1


# version 50001

data_pipeline_input_edges

loop_
_rlnPipeLineEdgeFromNode #1
_rlnPipeLineEdgeProcess #2
Import/job001/movies.star Refine3D/job017/

"""

RELION_31 = """
# version 30001

data_pipeline_general

_rlnPipeLineJobCounter                       1205


# version 30001

data_pipeline_processes

loop_
_rlnPipeLineProcessName #1
_rlnPipeLineProcessAlias #2
_rlnPipeLineProcessType #3
_rlnPipeLineProcessStatus #4
Class3D/job1204/       None            9            2


# version 30001

data_pipeline_nodes

loop_
_rlnPipeLineNodeName #1
_rlnPipeLineNodeType #2
Class3D/job1204/run_it025_data.star            3
Class3D/job1204/run_it025_model.star            8

"""

EXTRACT = project.JobEntry(
    "Extract/job001/", "relion.extract", 5, outputs=[("Extract/job001/particles.star", NODE_KINDS["particles"])]
)


def class2d_entry(number=11, iteration=25):
    stem = f"Class2D/job{number:03d}/run_it{iteration:03d}"
    kinds = [("data", NODE_KINDS["class2d_data"]), ("optimiser", NODE_KINDS["class2d_optimiser"])]
    return project.JobEntry(
        f"Class2D/job{number:03d}/",
        "relion.class2d",
        8,
        inputs=[("Extract/job001/particles.star", NODE_KINDS["particles"]), ("other.star", None)],
        outputs=[(f"{stem}_{name}.star", kind) for name, kind in kinds],
    )


def select_entry(number):
    path = f"Select/job{number:03d}/particles.star"
    return project.JobEntry(
        f"Select/job{number:03d}/", "relion.select.class2dauto", 7, (), [(path, NODE_KINDS["particles"])]
    )


def make_outputs(root, entry):
    for path, _ in entry.outputs:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def finish(root, entry):
    make_outputs(root, entry)
    project.set_status(root, entry.name, "Succeeded")


def test_new_project_gets_a_graph_both_relions_read(tmp_path):
    project.register(tmp_path, EXTRACT)
    project.register(tmp_path, class2d_entry())
    finish(tmp_path, EXTRACT)
    tables = read_star(tmp_path / PIPELINE)
    assert tables["pipeline_general"].iloc[0]["rlnPipeLineJobCounter"] == "1001"
    first, second = tables["pipeline_processes"].to_dict("records")
    assert list(first.values()) == ["Extract/job001/", "None", "5", "2", "relion.extract", "Succeeded"]
    assert list(second.values()) == ["Class2D/job011/", "None", "8", "0", "relion.class2d", "Running"]
    # by its last column the CCP-EM Pipeliner takes the file for one of RELION 4 and later
    assert tables["pipeline_processes"].columns[-1] == "rlnPipeLineProcessStatusLabel"
    assert list(tables["pipeline_nodes"]["rlnPipeLineNodeType"]) == ["3", "3", "9"]
    assert len(tables["pipeline_input_edges"]) == 1  # other.star is no node
    assert len(tables["pipeline_output_edges"]) == 3
    assert (tmp_path / ".gui_projectdir").exists()
    assert (tmp_path / ".pipeline_has_changed").exists()
    assert (tmp_path / ".Nodes/ParticleGroupMetadata/Extract/job001/particles.star").exists()
    assert (tmp_path / ".Nodes/3/Extract/job001/particles.star").exists()
    assert not (tmp_path / LOCK).exists()


def test_rows_of_relion_5_survive(tmp_path):
    (tmp_path / PIPELINE).write_text(RELION_5)
    before = read_star(tmp_path / PIPELINE)
    project.register(tmp_path, class2d_entry())
    after = read_star(tmp_path / PIPELINE)
    for name in ("pipeline_processes", "pipeline_nodes", "pipeline_input_edges"):
        kept = after[name].head(len(before[name]))[list(before[name].columns)]
        assert kept.to_dict("records") == before[name].to_dict("records")
    assert list(after["pipeline_processes"]["rlnPipeLineProcessType"]) == ["0", "10", "8"]
    assert list(after["pipeline_processes"]["rlnPipeLineProcessStatus"]) == ["2", "0", "0"]
    assert list(after["pipeline_nodes"]["rlnPipeLineNodeType"])[:2] == ["0", "6"]


def test_rows_of_relion_31_get_labels_and_the_counter_stays(tmp_path):
    (tmp_path / PIPELINE).write_text(RELION_31)
    project.register(tmp_path, class2d_entry())
    pipeline = read_pipeline(tmp_path / PIPELINE)
    assert pipeline.counter == 1205
    row = pipeline.process("Class3D/job1204/")
    assert (row["rlnPipeLineProcessTypeLabel"], row["rlnPipeLineProcessStatusLabel"]) == ("relion.class3d", "Succeeded")
    assert pipeline.nodes[0]["rlnPipeLineNodeTypeLabel"] == "ParticleGroupMetadata.star.relion"
    assert pipeline.nodes[1]["rlnPipeLineNodeType"] == "8"


def test_job_registered_again_replaces_its_edges(tmp_path):
    project.register(tmp_path, EXTRACT)
    project.register(tmp_path, class2d_entry(iteration=25))
    project.register(tmp_path, class2d_entry(iteration=30))
    pipeline = read_pipeline(tmp_path / PIPELINE)
    assert [row["rlnPipeLineProcessName"] for row in pipeline.processes] == ["Extract/job001/", "Class2D/job011/"]
    names = [row["rlnPipeLineNodeName"] for row in pipeline.nodes]
    assert names == [path for path, _ in [*EXTRACT.outputs, *class2d_entry(iteration=30).outputs]]
    assert len(pipeline.input_edges) == 1


def test_unknown_tables_and_not_a_pipeline(tmp_path):
    (tmp_path / PIPELINE).write_text(RELION_31 + "data_of_others\n\nloop_\n_a\nx\n\n")
    project.register(tmp_path, EXTRACT)
    assert read_star(tmp_path / PIPELINE)["of_others"].iloc[0, 0] == "x"
    (tmp_path / PIPELINE).write_text("data_x\n\n_a 1\n")
    with pytest.raises(JobError, match="not a RELION pipeline"):
        project.register(tmp_path, EXTRACT)
    assert (tmp_path / PIPELINE).read_text() == "data_x\n\n_a 1\n"
    assert not (tmp_path / LOCK).exists()


def _register_many(root, start):
    for number in range(start, start + 6):
        project.register(Path(root), class2d_entry(number))


def test_processes_that_register_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_many, args=(str(tmp_path), start)) for start in (11, 111, 211)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    names = {row["rlnPipeLineProcessName"] for row in read_pipeline(tmp_path / PIPELINE).processes}
    assert names == {f"Class2D/job{start + number:03d}/" for start in (11, 111, 211) for number in range(6)}


def test_lock_of_another_program_is_waited_for(tmp_path):
    (tmp_path / LOCK).mkdir()
    (tmp_path / LOCK / "lock_default_pipeline.star").write_text("the window of RELION")
    with pytest.raises(JobError, match="the window of RELION"), pipeline_lock(tmp_path, patience_s=0.2):
        pass
    assert (tmp_path / LOCK).exists()


def test_lock_left_behind_by_our_dead_process_is_taken_away(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / LOCK).mkdir()
    (tmp_path / LOCK / "lock_default_pipeline.star").write_text(f"winnow2d {socket.gethostname()} {dead.pid}\n")
    with pipeline_lock(tmp_path, patience_s=0.5):
        assert str(os.getpid()) in (tmp_path / LOCK / "lock_default_pipeline.star").read_text()
    assert not (tmp_path / LOCK).exists()


def test_alias_moves_from_job_to_job(tmp_path):
    for number in (12, 22):
        project.register(tmp_path, select_entry(number))
        finish(tmp_path, select_entry(number))
        (tmp_path / f"Select/job{number:03d}" / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    project.alias(tmp_path, "Select/job012", "Select/clean")
    assert os.readlink(tmp_path / "Select/clean") == "../Select/job012/"
    nodes = tmp_path / ".Nodes/ParticleGroupMetadata/Select"
    assert (nodes / "clean/particles.star").exists()
    assert not (nodes / "job012/particles.star").exists()
    project.alias(tmp_path, "Select/job022/", "Select/clean/")
    assert os.readlink(tmp_path / "Select/clean") == "../Select/job022/"
    pipeline = read_pipeline(tmp_path / PIPELINE)
    assert (pipeline.alias("Select/job012/"), pipeline.alias("Select/job022/")) == ("", "Select/clean/")
    assert (nodes / "job012/particles.star").exists()
    assert not (nodes / "job022/particles.star").exists()
    project.register(tmp_path, class2d_entry())
    assert read_pipeline(tmp_path / PIPELINE).real_path("Select/clean/particles.star") == "Select/job022/particles.star"


@pytest.mark.parametrize("name", ["Select/a", "Select/jobs", "Select/a(b)", "Class2D/clean", "clean"])
def test_alias_relion_would_refuse(tmp_path, name):
    project.register(tmp_path, select_entry(12))
    with pytest.raises(JobError):
        project.alias(tmp_path, "Select/job012", name)


def test_alias_never_replaces_a_directory(tmp_path):
    project.register(tmp_path, select_entry(12))
    (tmp_path / "Select/clean").mkdir(parents=True)
    (tmp_path / "Select/clean/mine.star").touch()
    with pytest.raises(JobError, match="no alias"):
        project.alias(tmp_path, "Select/job012", "Select/clean")
    assert (tmp_path / "Select/clean/mine.star").exists()


@pytest.mark.parametrize("has_link", [True, False])
def test_alias_of_a_job_of_others_is_not_taken(tmp_path, has_link):
    for number in (12, 1005):
        project.register(tmp_path, select_entry(number))
        finish(tmp_path, select_entry(number))
    with project.changed_pipeline(tmp_path) as pipeline:
        pipeline.set_alias("Select/job1005/", "Select/clean/")
    if has_link:
        (tmp_path / "Select/clean").symlink_to("../Select/job1005/")
    before = (tmp_path / PIPELINE).read_bytes()
    with pytest.raises(JobError, match=r"Select/job1005/.* Winnow"):
        project.alias(tmp_path, "Select/job012", "Select/clean")
    assert (tmp_path / PIPELINE).read_bytes() == before
    assert (tmp_path / "Select/clean").is_symlink() == has_link


def test_alias_of_a_job_that_is_gone_is_free(tmp_path):
    for number in (12, 22):
        project.register(tmp_path, select_entry(number))
    (tmp_path / "Select/job022").mkdir(parents=True)
    (tmp_path / "Select/job022" / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    project.alias(tmp_path, "Select/job022", "Select/clean")
    shutil.rmtree(tmp_path / "Select/job022")
    project.alias(tmp_path, "Select/job012", "Select/clean")
    assert os.readlink(tmp_path / "Select/clean") == "../Select/job012/"


def relion(root, *arguments):
    command = [shutil.which("relion_pipeliner"), *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.relion
def test_relion_completes_our_running_jobs(tmp_path):
    project.register(tmp_path, EXTRACT)
    finish(tmp_path, EXTRACT)
    project.register(tmp_path, class2d_entry())
    make_outputs(tmp_path, class2d_entry())
    jobs.write_exit_file(tmp_path / "Class2D/job011", "Succeeded")
    answer = relion(tmp_path, "--check_job_completion")
    assert answer.returncode == 0, answer.stderr
    pipeline = read_pipeline(tmp_path / PIPELINE)  # RELION 3.1 has dropped the labels; they are filled in
    assert pipeline.status("Class2D/job011/") == "Succeeded"
    assert pipeline.status("Extract/job001/") == "Succeeded"
    assert pipeline.counter == 1001
    assert list((tmp_path / ".Nodes").rglob("run_it025_data.star"))
    assert not (tmp_path / LOCK).exists()
    project.register(tmp_path, select_entry(12))  # and we go on with what RELION wrote
    assert len(read_pipeline(tmp_path / PIPELINE).processes) == 3
    assert relion(tmp_path, "--check_job_completion").returncode == 0


@pytest.mark.relion
@pytest.mark.parametrize(
    ("folder", "label", "number", "options"),
    [
        ("Extract", "relion.extract", 5, ExtractOptions(star_mics="mics.star", coords_suffix="_pick.star")),
        ("Class2D", "relion.class2d", 8, Class2DOptions(fn_img="Extract/job001/particles.star", nr_classes=37)),
        ("Select", "relion.select.class2dauto", 7, SelectOptions(fn_model="Class2D/job011/run_it025_optimiser.star")),
        (
            "Select",
            "relion.select.interactive",
            7,
            SelectOptions(fn_model="a_model.star", do_regroup=True, nr_groups=5),
        ),
    ],
)
def test_relion_adds_a_job_from_our_job_star(tmp_path, folder, label, number, options):
    project.register(tmp_path, EXTRACT)
    finish(tmp_path, EXTRACT)
    job = jobs.JobFile(label, number, options, OwnOptions(), {"particles": "x.star"}, {"data": "y.star"})
    jobs.write_job_star(tmp_path / "our_job.star", job)
    answer = relion(tmp_path, "--addJobFromStar", "our_job.star")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    added = tmp_path / f"{folder}/job1001/job.star"
    assert added.exists(), answer.stdout + answer.stderr
    table = read_star(added)["joboptions_values"]
    values = dict(zip(table["rlnJobOptionVariable"], table["rlnJobOptionValue"], strict=True))
    assert values.get("nr_classes", "37") == "37"
    assert values.get("do_regroup", "Yes") == jobs.option_text(getattr(options, "do_regroup", True))


def test_the_graph_is_read_when_the_other_program_has_written_it(tmp_path):
    """RELION writes the file in place under its lock: before that it is empty, and then half of it is there."""
    project.register(tmp_path, EXTRACT)
    project.register(tmp_path, class2d_entry())
    whole = (tmp_path / PIPELINE).read_text()
    (tmp_path / LOCK).mkdir()
    half = whole.index("Class2D/job011/ ")
    (tmp_path / PIPELINE).write_text(whole[:half])

    def write_the_rest():
        (tmp_path / PIPELINE).write_text(whole)
        (tmp_path / LOCK).rmdir()

    writer = threading.Timer(0.4, write_the_rest)
    writer.start()
    assert project.running_jobs(tmp_path) == ["Extract/job001/", "Class2D/job011/"]
    writer.join()


def test_browse_entries_of_all_versions_of_relion(tmp_path):
    project.register(tmp_path, class2d_entry())
    finish(tmp_path, class2d_entry())
    folders = {path.parents[2].name for path in (tmp_path / ".Nodes").rglob("*.star")}
    assert folders == {"ParticleGroupMetadata", "ParticlesData", "3", "OptimiserData", "ProcessData", "9"}


def test_jobs_on_disk_that_the_graph_has_lost_are_counted(tmp_path):
    (tmp_path / "Refine3D/job1204").mkdir(parents=True)
    project.register(tmp_path, EXTRACT)
    assert read_pipeline(tmp_path / PIPELINE).counter == 1205
