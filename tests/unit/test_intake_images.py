"""One broken stack per check of headers and pixels."""

import mrcfile
import numpy as np
import pytest

from particle_sets import draw_images, make_particle_set, write_images
from winnow2d.intake.enter import enter_particles
from winnow2d.intake.images import spread_evenly


def refused(source, project):
    with pytest.raises(ValueError, match=r".") as caught:
        enter_particles(source, project)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((10, 16, 18), "the box is not square"),
        ((10, 15, 15), "the box is not even"),
        ((10, 18, 18), "the box is not 16 px"),
    ],
)
def test_wrong_boxes(tmp_path, project, shape, told):
    source = make_particle_set(tmp_path / "data")
    write_images(tmp_path / "data/m0.mrcs", np.random.default_rng(1).normal(size=shape))
    with pytest.raises(ValueError, match=told):
        enter_particles(source, project)


def test_index_beyond_the_end(tmp_path, project):
    source = make_particle_set(tmp_path / "data")
    write_images(tmp_path / "data/m0.mrcs", draw_images(8, seed=2))
    told = refused(source, project)
    assert "rows 9, 10: the image index is beyond the end" in told
    assert "image 9 of m0.mrcs, which holds 8" in told


@pytest.mark.parametrize("n_bytes", [100, 1024 + 500])
def test_truncated_stack(tmp_path, project, n_bytes):
    source = make_particle_set(tmp_path / "data")
    path = tmp_path / "data/m0.mrcs"
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert "stack m0.mrcs cannot be read" in refused(source, project)


def test_more_than_five_percent_dead_images_stop_the_import(tmp_path, project):
    source = make_particle_set(tmp_path / "data", n=20, constant=[0], not_finite=[1])
    told = refused(source, project)
    assert "2 of 20 images" in told
    assert "row 1 (constant image), row 2 (not a number among the pixels)" in told


def test_five_percent_dead_images_do_not(tmp_path, project):
    source = make_particle_set(tmp_path / "data", n=20, constant=[0])
    assert enter_particles(source, project).n_left_out == 1


def test_normal_particles_bring_no_warning(tmp_path, project, caplog):
    enter_particles(make_particle_set(tmp_path / "data", n=100), project)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_dark_particles_warn(tmp_path, project, caplog):
    enter_particles(make_particle_set(tmp_path / "data", n=100, contrast=-1), project)
    assert "dark on a light background" in caplog.text


def test_too_few_particles_to_tell_their_contrast_bring_no_warning(tmp_path, project, caplog):
    enter_particles(make_particle_set(tmp_path / "data", n=100, contrast=0), project)
    assert "dark" not in caplog.text


@pytest.mark.parametrize(("scale", "shift"), [(5.0, 0.0), (0.1, 0.0), (1.0, 3.0), (0.1, 2.0)])
def test_images_that_are_not_normalised_warn(tmp_path, project, caplog, scale, shift):
    enter_particles(make_particle_set(tmp_path / "data", scale=scale, shift=shift), project)
    assert "not normalised" in caplog.text


def test_a_stack_without_map_mark_is_read(tmp_path, project):
    source = make_particle_set(tmp_path / "data")
    path = tmp_path / "data/m0.mrcs"
    content = bytearray(path.read_bytes())
    content[208:216] = bytes(8)
    path.write_bytes(bytes(content))
    with mrcfile.open(tmp_path / "data/m1.mrcs") as other:
        assert other.data.shape == (10, 16, 16)
    assert enter_particles(source, project).n_particles == 20


def test_a_sample_is_spread_evenly_and_bounded():
    rows = spread_evenly(np.arange(100, 20100), 1000)
    assert (len(rows), rows[0], rows[-1]) == (1000, 100, 20099)
    assert np.ptp(np.diff(rows)) <= 1
    assert spread_evenly(np.arange(7), 1000).tolist() == list(range(7))
