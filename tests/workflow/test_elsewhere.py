"""Back to full size and to other programs, under the real Snakemake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from particle_sets import make_particle_set, write_images
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import fingerprints, finished, snakemake

pytestmark = pytest.mark.workflow

N = 80
CONFIG = {
    "input": {"particles": "../data/particles.star"},
    "class2d": {"nr_classes": 2, "do_em": True, "nr_iter_em": 2, "particle_diameter": 30, "psi_sampling": 30},
    "select": {"rank_threshold": 0, "do_remove_duplicates": True, "duplicate_threshold": 15, "image_angpix": 1},
    "own": {"map_to": "../full/particles.star", "map_poses": True, "export": "all"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with particles (data), their extraction at full size (full) and the finished project."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source = make_particle_set(folder / "data", n=N, stack="stacks/m{}.mrc")
    table = read_particle_table(source)
    pixel = {"rlnMicrographOriginalPixelSize": "1.0"}
    # the second of two particles lies 1 px beside the first, the pairs 200 px apart: offsets are at most 10 px
    coordinates = [200.0 * (row // 2) + row % 2 for row in range(N)]
    places = {"rlnCoordinateX": [f"{x}" for x in coordinates], "rlnCoordinateY": "500.0"}
    given = ParticleTable(table.optics.assign(**pixel), table.particles.assign(**places, rlnMicrographName="a/mic.mrc"))
    write_particle_table(source, given)
    names = [f"{row + 1:06d}@all.mrcs" for row in range(N)]
    full = given.particles.assign(rlnImageName=names, rlnMicrographName="J1/mic_DW.mrc").iloc[::-1][: N - 4]
    sizes = {"rlnImagePixelSize": "1.0", "rlnImageSize": "32"}
    write_particle_table(folder / "full/particles.star", ParticleTable(given.optics.assign(**sizes), full))
    write_images(folder / "full/all.mrcs", np.zeros((N, 32, 32)))
    (folder / "project").mkdir()
    finished(folder / "project", CONFIG)
    return folder


def test_duplicates_are_gone_and_told(folder):
    ledger = read_ledger(folder / "project/report/round_01/particles.tsv")
    is_duplicate = ledger["reason"].str.startswith("duplicate: ")
    kept = read_particle_table(folder / "project/Select/job012/particles.star").particles
    removed = read_star(folder / "project/Select/job012/particles_removed.star")[""]
    assert 20 < is_duplicate.sum() == len(removed)
    assert len(kept) == ledger["kept"].sum() == N - len(removed)
    assert not ledger["kept"][is_duplicate].any()


def test_the_kept_particles_stand_in_select_job008_at_full_size(folder):
    project = folder / "project"
    kept = read_particle_table(project / "Select/job012/particles.star").particles
    mapped = read_particle_table(project / "Select/job008/particles.star")
    assert mapped.optics["rlnImageSize"].tolist() == ["32"]
    there = read_particle_table(folder / "full/particles.star").particles
    expected = there[there["rlnCoordinateX"].isin(kept["rlnCoordinateX"])]
    assert mapped.particles["rlnImageName"].tolist() == expected["rlnImageName"].tolist()
    psi_of = dict(zip(kept["rlnCoordinateX"], kept["rlnAnglePsi"], strict=True))
    assert mapped.particles["rlnAnglePsi"].tolist() == [psi_of[x] for x in mapped.particles["rlnCoordinateX"]]
    assert f"{len(expected)} of {len(kept)} particles found" in (project / "Select/job008/run.out").read_text()
    assert (project / "all.mrcs").resolve() == (folder / "full/all.mrcs").resolve()
    assert (project / "Select/clean").resolve() == (project / "Select/job012").resolve()
    status = read_star(project / "default_pipeline.star")["pipeline_processes"]
    names = dict(zip(status["rlnPipeLineProcessName"], status["rlnPipeLineProcessStatusLabel"], strict=True))
    assert names["Select/job008/"] == "Succeeded"


def test_both_exports_name_the_images_as_they_came(folder):
    mapped = read_particle_table(folder / "project/Select/job008/particles.star").particles
    for program in ("relion", "cryosparc"):
        table = read_particle_table(folder / f"project/export/{program}/particles.star")
        assert table.particles["rlnImageName"].tolist() == mapped["rlnImageName"].tolist()
        assert table.optics["rlnImageSize"].tolist() == ["32"]


def test_without_map_to_the_kept_set_is_exported_and_no_round_runs_again(folder):
    project = folder / "project"
    before = fingerprints(project, "Extract", "Class2D/job011", "Select/job012", "report")
    assert "Nothing to be done" in finished(project, CONFIG)
    changed = CONFIG | {"own": {"export": "cryosparc"}}
    finished(project, changed)
    assert fingerprints(project, "Extract", "Class2D/job011", "Select/job012", "report") == before
    kept = read_particle_table(project / "Select/job012/particles.star").particles
    exported = read_particle_table(project / "export/cryosparc/particles.star").particles
    assert kept["rlnImageName"].str.contains("source/stacks").all()
    assert exported["rlnImageName"].str.fullmatch(r"\d{6}@stacks/m\d\.mrc").all()
    assert len(exported) == len(kept)


def test_an_export_of_others_is_not_overwritten(tmp_path):
    mine = tmp_path / "project/export/relion/particles.star"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = snakemake(tmp_path / "project", CONFIG, "--dry-run")
    assert result.returncode != 0
    assert "export/relion/particles.star was not made by Winnow" in result.stdout
    assert mine.read_text() == "mine"
