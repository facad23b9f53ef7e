"""The chain from micrographs to clean particles extracted again, and from ready particles in boxes chosen for them."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

import score_demo
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import copy_project, fingerprints, finished, snakemake

pytestmark = pytest.mark.workflow

CLASS2D = {"nr_classes": 3, "do_em": True, "nr_iter_em": 2, "particle_diameter": 200, "psi_sampling": 12}
COMMON = {
    "class2d": CLASS2D,
    "select": {"rank_threshold": 0.1, "select_nr_parts": 80},
    "own": {"auto_box": True, "resolution": 36, "reextract": True},
    "rounds": [{}, {"class2d": {"nr_classes": 2}, "own": {"resolution": 26}}],
}
FIELDS = {"micrographs": 3, "particles": 150, "width": 600, "height": 400, "pixel_size": 7.08, "shift": 1.5, "snr": 0.5}
MICROGRAPHS = COMMON | {"input": {"demo_micrographs": FIELDS}}
PARTICLES = COMMON | {"input": {"demo": {"particles": 150, "box": 64, "pixel_size": 5.0, "micrographs": 4, "seed": 1}}}


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("micrographs") / "demo"
    project.mkdir()
    finished(project, MICROGRAPHS)
    return project


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("particles") / "demo"
    project.mkdir()
    finished(project, PARTICLES)
    return project


def optics(project: Path, job: str) -> tuple[float, int]:
    """Return pixel size and box of a job's particles."""
    row = read_star(project / job / "particles.star")["optics"].iloc[0]
    return float(row["rlnImagePixelSize"]), int(row["rlnImageSize"])


def test_each_round_has_the_box_it_asks_for(cut):
    first, second = optics(cut, "Extract/job001"), optics(cut, "Extract/job028")
    assert second[0] < first[0] <= 36 / 3
    assert second[0] <= 26 / 3
    said = (cut / "Extract/job028/run.out").read_text()
    assert "own.auto_box: " in said
    options = dict(read_star(cut / "Extract/job028/job.star")["joboptions_values"].to_numpy())
    assert (options["do_rescale"], options["do_reextract"]) == ("Yes", "Yes")
    assert options["rescale"] == str(second[1])
    assert options["fndata_reextract"] == "Select/job012/particles.star"


def test_what_survives_is_extracted_whole_and_recentred(cut):
    pixel_ang, box_px = optics(cut, "Extract/job009")
    assert (pixel_ang, box_px) == (7.08, 48)
    again = read_star(cut / "Extract/job009/particles.star")["particles"]
    kept = read_star(cut / "Select/job022/particles.star")["particles"]
    assert len(again) == len(kept) >= 80
    offsets = again[["rlnOriginXAngst", "rlnOriginYAngst"]].astype(float).to_numpy()
    assert np.abs(offsets).max() <= pixel_ang / 2 + 1e-6
    moved = again[["rlnCoordinateX", "rlnCoordinateY"]].astype(float).to_numpy()
    assert np.array_equal(moved, np.round(moved))
    n_images = 0
    for path in (cut / "Extract/job009/Micrographs").glob("*.mrcs"):
        with mrcfile.mmap(path, permissive=True) as stack:
            assert stack.data.shape[1:] == (48, 48)
            n_images += stack.data.shape[0]
    assert n_images == len(again)
    assert (cut / "Extract/job009/extractpick.star").is_file()


def test_the_truth_is_followed_through_all_boxes(cut, ready):
    for project in (cut, ready):
        first, second = score_demo.score_project(project).rounds.to_dict("records")
        assert first["good_in"] == 105
        assert second["good_in"] == first["good_kept"]
        assert second["junk_in"] == first["junk_kept"]


def test_the_project_knows_the_new_jobs(cut):
    processes = read_star(cut / "default_pipeline.star")["pipeline_processes"]
    status = dict(zip(processes["rlnPipeLineProcessName"], processes["rlnPipeLineProcessStatusLabel"], strict=True))
    for job in ("Extract/job001/", "Extract/job028/", "Extract/job009/"):
        assert status[job] == "Succeeded"
    edges = read_star(cut / "default_pipeline.star")["pipeline_input_edges"].to_numpy().tolist()
    assert ["Select/job022/particles.star", "Extract/job009/"] in edges
    assert ["Extract/job028/particles.star", "Class2D/job021/"] in edges


def test_ready_particles_are_downsampled_by_a_job_of_their_own(ready):
    assert optics(ready, "Extract/job001") == (5.0, 64)
    first, second = optics(ready, "Extract/job018"), optics(ready, "Extract/job028")
    assert first[1] < second[1] < 64
    table = read_star(ready / "Extract/job028/particles.star")["particles"]
    assert table["rlnImageName"].str.contains("@Extract/job028/Particles/").all()
    assert table["winnowFullSizeImageName"].str.contains("@Extract/job001/").all()


def test_ready_particles_have_their_own_images_again_in_the_end(ready):
    final = read_star(ready / "Extract/job009/particles.star")
    assert optics(ready, "Extract/job009") == (5.0, 64)
    assert "winnowFullSizeImageName" not in final["particles"]
    entered = read_star(ready / "Extract/job001/particles.star")["particles"]["rlnImageName"]
    assert set(final["particles"]["rlnImageName"]) <= set(entered)


def test_ready_particles_are_exported_at_full_size(ready, tmp_path):
    project = copy_project(ready, tmp_path / "demo")
    finished(project, PARTICLES | {"own": PARTICLES["own"] | {"export": "relion"}})
    exported, final = (
        read_star(project / name)["particles"]
        for name in ("export/relion/particles.star", "Extract/job009/particles.star")
    )
    assert exported["rlnImageName"].tolist() == final["rlnImageName"].tolist()
    assert optics(project, "export/relion") == (5.0, 64)


def test_a_second_run_does_nothing(cut):
    before = fingerprints(cut, "Extract", "Class2D", "Select")
    assert "Nothing to be done" in finished(cut, MICROGRAPHS)
    assert fingerprints(cut, "Extract", "Class2D", "Select") == before


def test_another_resolution_of_the_second_round_leaves_the_first_alone(cut, tmp_path):
    project = copy_project(cut, tmp_path / "demo")
    before = fingerprints(project, "Extract/job001", "Class2D/job011", "Select/job012")
    rounds = [{}, {"class2d": {"nr_classes": 2}, "own": {"resolution": 30}}]
    finished(project, MICROGRAPHS | {"rounds": rounds})
    assert fingerprints(project, "Extract/job001", "Class2D/job011", "Select/job012") == before
    assert optics(cut, "Extract/job028")[0] < optics(project, "Extract/job028")[0] <= 10


def test_broken_micrographs_end_the_job_with_one_message(cut, tmp_path):
    project = tmp_path / "demo"
    copy_project(cut / "Micrographs", project / "Micrographs")
    for path in (project / "Micrographs").glob("*.mrc"):
        path.write_bytes(path.read_bytes()[:-99])
    files = {"micrographs": "Micrographs/micrographs_ctf.star", "coordinates": "Micrographs/coordinates.star"}
    result = snakemake(project, COMMON | {"input": files})
    assert result.returncode != 0
    assert "ERROR: 2 of 3 micrographs cannot be used" in result.stdout
    assert "mic_0001.mrc: truncated: " in result.stdout
    assert "Traceback" not in result.stdout.split("RuleException")[0]
