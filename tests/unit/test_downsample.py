"""Ready particles made smaller for a round: same rows, other images, and back to the ones they came with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.extraction import downsample
from winnow2d.extraction.asked import rounds_of_other_box
from winnow2d.extraction.downsample import Rescaling, downsampled, full_size
from winnow2d.extraction.truth import write_renamed_truth
from winnow2d.formats.mrc import ParticleStack, write_stack
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.star import read_star
from winnow2d.numerics.windows import Windowing, processed

N, JOB = 90, "Extract/job018"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return particles of two optics groups, mixed, in stacks below tmp_path; stacks written hold 20 images."""
    monkeypatch.setattr(downsample, "STACK_SIZE", 20)
    rng = np.random.default_rng(1)
    names, group = [], np.arange(N) % 3 // 2 + 1  # 1, 1, 2
    for number, box_px in ((1, 48), (2, 32)):
        n = int((group == number).sum())
        write_stack(tmp_path / f"g{number}.mrcs", rng.normal(0, 1, (n, box_px, box_px)), 2.0)
        names.append([f"{row + 1:06d}@g{number}.mrcs" for row in range(n)])
    image_names = [names[g - 1].pop(0) for g in group]
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": ["1", "2"],
            "rlnOpticsGroupName": ["a", "b"],
            "rlnImagePixelSize": ["2.0", "3.0"],
            "rlnImageSize": ["48", "32"],
        },
        dtype=object,
    )
    particles = pd.DataFrame(
        {"rlnImageName": image_names, "rlnOpticsGroup": group.astype(str), "rlnOriginXAngst": "1.25"}, dtype=object
    )
    return ParticleTable(optics, particles)


def run(table, folder, n_threads=1, outputs=(24, 32)):
    rescaling = Rescaling(np.array([48, 32]), np.array(outputs))
    return downsampled(table, rescaling, folder, JOB, n_threads, lambda *told: None)


def test_each_particle_keeps_its_row_and_gets_its_own_smaller_image(table, tmp_path):
    result = run(table, tmp_path)
    is_first = table.particles["rlnOpticsGroup"] == "1"
    names, before = result.particles["rlnImageName"], table.particles["rlnImageName"]
    assert names[is_first].str.contains(f"@{JOB}/Particles/part_").all()
    assert names[~is_first].tolist() == before[~is_first].tolist()  # the box of the second group stays
    assert result.particles["winnowFullSizeImageName"].tolist() == before.tolist()
    given = ParticleStack(before[is_first].tolist(), tmp_path).read(np.arange(int(is_first.sum())))
    small = ParticleStack(names[is_first].tolist(), tmp_path).read(np.arange(int(is_first.sum())))
    expected = processed(given, Windowing(48, 24, True, 9), np.arange(len(given), dtype=np.uint64))
    assert np.array_equal(small, expected)
    assert result.optics["rlnImageSize"].tolist() == ["24", "32"]
    assert result.optics["rlnImagePixelSize"].tolist() == ["4.0", "3.0"]


def test_the_number_of_threads_changes_no_byte(table, tmp_path):
    one = run(table, tmp_path)
    first = {path.name: path.read_bytes() for path in (tmp_path / JOB / "Particles").iterdir()}
    for path in (tmp_path / JOB).glob("*.tsv"):
        path.unlink()
    three = run(table, tmp_path, 3)
    assert {path.name: path.read_bytes() for path in (tmp_path / JOB / "Particles").iterdir()} == first
    assert one.particles.equals(three.particles)


def test_stacks_that_are_there_are_not_written_again(table, tmp_path, monkeypatch):
    run(table, tmp_path)
    monkeypatch.setattr(downsample, "write_extracted", lambda *given: pytest.fail("a stack was written again"))
    run(table, tmp_path)


def test_another_box_is_written_anew(table, tmp_path):
    run(table, tmp_path)
    assert run(table, tmp_path, outputs=(16, 16)).optics["rlnImageSize"].tolist() == ["16", "16"]
    assert ParticleStack([f"1@{JOB}/Particles/part_000001.mrcs"], tmp_path).box_px == 16


def test_a_stack_replaced_under_its_name_is_read_again(table, tmp_path):
    first = run(table, tmp_path)
    names = first.particles["rlnImageName"].tolist()[:1]
    before = ParticleStack(names, tmp_path).read([0])
    write_stack(tmp_path / "g1.mrcs", np.random.default_rng(2).normal(0, 1, (60, 48, 48)), 2.0)
    run(table, tmp_path)
    assert not np.array_equal(ParticleStack(names, tmp_path).read([0]), before)


def test_a_box_changed_and_changed_back_leaves_no_other_images(table, tmp_path):
    """What a run with another box wrote, but stopped before it could tell, is not taken for the first run's."""

    def stop(done, total, text):
        raise InterruptedError

    run(table, tmp_path)
    with pytest.raises(InterruptedError):
        downsampled(table, Rescaling(np.array([48, 32]), np.array([16, 32])), tmp_path, JOB, 2, stop)
    names = run(table, tmp_path).particles["rlnImageName"]
    assert [ParticleStack([name], tmp_path).box_px for name in names if name.startswith("000001@Extract")] == [24] * 3


def test_what_survives_has_its_full_images_again(table, tmp_path):
    small = run(table, tmp_path)
    kept = ParticleTable(small.optics, small.particles.iloc[10:40].reset_index(drop=True))
    back = full_size(kept, table)
    assert back.particles.equals(table.particles.iloc[10:40].reset_index(drop=True))
    assert back.optics.equals(table.optics)


def test_full_size_images_of_the_project_particles_come_from_are_not_meant(table, tmp_path):
    names = [f"{row + 1:06d}@Extract/job001/elsewhere.mrcs" for row in range(N)]
    entered = ParticleTable(table.optics, table.particles.assign(winnowFullSizeImageName=names))
    assert full_size(entered, entered).particles.equals(table.particles)
    small = run(full_size(entered, entered), tmp_path)
    assert full_size(small, entered).particles["rlnImageName"].equals(table.particles["rlnImageName"])


def test_an_optics_group_that_did_not_enter_is_told(table, tmp_path):
    other = ParticleTable(table.optics.assign(rlnOpticsGroupName=["a", "x"]), table.particles)
    with pytest.raises(StarError, match=r"optics group x is not among those that entered \(a, b\)"):
        full_size(other, table)


def test_truth_follows_the_images(table, tmp_path):
    truth = pd.DataFrame({"rlnImageName": table.particles["rlnImageName"], "winnowKind": [str(n) for n in range(N)]})
    small = run(table, tmp_path)
    some = small.particles.iloc[[5, 3]]
    write_renamed_truth(tmp_path / "truth.star", truth, table.particles, some)
    renamed = read_star(tmp_path / "truth.star")["truth"]
    assert renamed["winnowKind"].tolist() == ["5", "3"]
    assert renamed["rlnImageName"].tolist() == some["rlnImageName"].tolist()


@pytest.mark.parametrize(
    ("given", "rounds", "expected"),
    [
        ("particles", [None, None], []),
        ("particles", [0, 0, 0], [1]),
        ("particles", [20, 10, 10, 6], [1, 2, 4]),
        ("particles", [None, 10, None, 10], [2, 4]),
        ("micrographs", [20, 10, 10], [2]),
        ("optimiser", [20, 20, 10], [3]),
    ],
)
def test_rounds_that_ask_for_another_box_get_one(given, rounds, expected):
    from winnow2d.config import check_config

    inputs = {"particles": "p.star", "micrographs": "m.star", "optimiser": "run_it025_optimiser.star"}
    raw = {"input": {given: inputs[given]} | ({"coordinates": "c.star"} if given == "micrographs" else {})}
    raw["rounds"] = [{} if value is None else {"own": {"auto_box": True, "resolution": value}} for value in rounds]
    assert rounds_of_other_box(check_config(raw)) == expected
