"""A choice of classes, their particles re-centred and regrouped, all in one run; the next round starts from that."""

import numpy as np
import pandas as pd
import pytest

from winnow2d.choice_replay import replay_project
from winnow2d.formats.choice_record import read_choice
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.poses import read_poses
from winnow2d.formats.refinement import read_iteration
from winnow2d.selection.recentre import moves_to_centre, offsets_after
from workflow.snakemake_runs import DEMO, copy_project, fingerprints, finished

pytestmark = pytest.mark.workflow
CONFIG = DEMO | {
    "select": DEMO["select"] | {"do_recenter": True, "do_regroup": True},
    "own": {"min_group_size": 40},
    # the poses are left as they come, so that its file tells what the second round started from
    "rounds": [{}, {"class2d": {"nr_classes": 1, "nr_iter_em": 1, "dont_skip_align": False, "do_center": False}}],
}
KEPT, GROUPED = "Select/job012/particles.star", "Select/job013/particles.star"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = tmp_path_factory.mktemp("recentred") / "demo"
    project.mkdir()
    finished(project, CONFIG)
    return project


def table_of(project, path):
    return read_particle_table(project / path)


def test_the_kept_particles_are_moved_with_their_averages(project, monkeypatch):
    monkeypatch.chdir(project)
    iteration = read_iteration("Class2D/job011/run_it003_optimiser.star")
    model, found = iteration.model, iteration.particles
    assert model.centring_ang is not None
    moves = model.centring_ang + moves_to_centre(model.references) * model.pixel_size_ang
    expected = offsets_after(found.offset_ang, found.psi_deg, moves[found.class_index])
    names = read_particle_table("Class2D/job011/run_it003_data.star").particles["rlnImageName"]
    row_of = {name: row for row, name in enumerate(names)}
    kept = read_particle_table(KEPT)
    rows = [row_of[name] for name in kept.particles["rlnImageName"]]
    offsets = read_poses(kept, KEPT)[1]
    np.testing.assert_allclose(offsets, expected[rows], atol=1e-4)
    assert np.abs(offsets - found.offset_ang[rows]).max() > 1


def test_groups_have_enough_and_names_and_numbers_agree(project):
    grouped, kept = table_of(project, GROUPED).particles, table_of(project, KEPT).particles
    assert grouped.groupby("rlnGroupName").size().min() >= 40
    assert len(grouped.groupby(["rlnGroupName", "rlnGroupNumber"])) == grouped["rlnGroupName"].nunique() > 1
    others = [name for name in kept if name not in ("rlnGroupName", "rlnGroupNumber")]
    pd.testing.assert_frame_equal(grouped[others], kept[others])  # the offsets among them


def test_the_next_round_starts_from_both(project):
    after = table_of(project, "Class2D/job021/run_it001_data.star")
    before = table_of(project, GROUPED)
    order = dict(zip(after.particles["rlnImageName"], range(len(after.particles)), strict=True))
    rows = [order[name] for name in before.particles["rlnImageName"]]
    np.testing.assert_allclose(read_poses(after, "")[1][rows], read_poses(before, "")[1], atol=1e-5)
    assert after.particles["rlnGroupName"].iloc[rows].tolist() == before.particles["rlnGroupName"].tolist()
    assert after.particles["rlnGroupNumber"].iloc[rows].tolist() == before.particles["rlnGroupNumber"].tolist()


def test_another_size_of_groups_classifies_only_what_follows_again(project, tmp_path):
    copy = copy_project(project, tmp_path / "demo")
    before = fingerprints(copy, "Class2D/job011", "Select/job012")
    said = finished(copy, CONFIG | {"own": {"min_group_size": 60}})
    assert fingerprints(copy, "Class2D/job011", "Select/job012") == before
    assert "rule regroup" in said
    assert table_of(copy, GROUPED).particles.groupby("rlnGroupName").size().min() >= 60


def test_the_record_leads_to_the_same_particles_moved(project):
    record = read_choice(project / "report/round_01")
    assert np.abs(record.moves_ang).max() > 1
    for replay in replay_project(project):
        assert replay.differences == []


def test_the_ledger_tells_the_view_of_each_class(project):
    ledger = read_ledger(project / "report/round_01/classes.tsv")
    assert ((ledger["view"] > 0) == (ledger["n_particles"] > 0)).all()
    said = (project / "Select/job012/run.out").read_text()
    assert "The kept classes show" in said
