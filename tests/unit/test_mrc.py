"""Stacks: RELION's header, images by name, damage refused."""

import errno
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from winnow2d.errors import ImageError
from winnow2d.formats.mrc import ParticleStack, read_stack_header, split_image_name, write_stack


@pytest.fixture
def images():
    return np.random.default_rng(3).normal(size=(5, 8, 8)).astype(np.float32)


def test_a_stack_reads_back_and_its_header_is_relions(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images, 3.54)
    write_stack(tmp_path / "b.mrcs", images, 3.54)
    assert (tmp_path / "a.mrcs").read_bytes() == (tmp_path / "b.mrcs").read_bytes()
    header = read_stack_header(tmp_path / "a.mrcs")
    assert (header.n_images, header.box_y, header.box_x, header.mode) == (5, 8, 8, 2)
    assert header.pixel_size_ang == pytest.approx(3.54)
    with mrcfile.open(tmp_path / "a.mrcs") as file:
        assert np.array_equal(file.data, images)
        assert file.header.cella.z == 5.0
        assert file.header.ispg == 0
        assert file.header.rms == pytest.approx(images.std())
        assert file.header.dmean == pytest.approx(images.mean())
        assert file.header.label[0] == b"Winnow image stack"
    raw = (tmp_path / "a.mrcs").read_bytes()
    assert raw[96:208] == b"\0" * 112
    assert raw[208:216] == b"MAP \x44\x41\0\0"


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16, np.float32])
def test_every_mode_is_read_as_float32(tmp_path, images, dtype):
    pixels = (images * 20).astype(np.uint8).astype(dtype) if dtype == np.uint16 else (images * 20).astype(dtype)
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(pixels)
        file.set_extended_header(np.zeros(64, dtype="V1"))
    read = ParticleStack(["2@a.mrcs", "000001@a.mrcs"], tmp_path).read([1, 0])
    assert read.dtype == np.float32
    assert np.array_equal(read, pixels[:2].astype(np.float32))


def test_images_come_in_the_order_asked_from_many_files(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images[:2], 1.0)
    write_stack(tmp_path / "b.mrcs", images[2:], 1.0)
    names = ["1@a.mrcs", "3@b.mrcs", "2@a.mrcs", f"1@{tmp_path}/b.mrcs", "2@b.mrcs"]
    stack = ParticleStack(names, tmp_path)
    assert len(stack) == 5
    assert stack.box_px == 8
    assert np.array_equal(stack.read([4, 0, 1, 3, 2]), images[[3, 0, 4, 2, 1]])
    assert stack.read([]).shape == (0, 8, 8)


def test_byte_swapped_stacks_are_read(tmp_path, images):
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(images.astype(">f4"))
    assert read_stack_header(tmp_path / "a.mrcs").dtype == np.dtype(">f4")
    assert np.array_equal(ParticleStack(["5@a.mrcs"], tmp_path).read([0])[0], images[4])


def test_damage_is_refused(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images, 1.0)
    with pytest.raises(ImageError, match="image 6 asked for, but the stack has 5"):
        ParticleStack(["6@a.mrcs"], tmp_path).read([0])
    with pytest.raises(ImageError, match="8 x 8 pixels, expected 16 x 16"):
        ParticleStack(["1@a.mrcs"], tmp_path, box_px=16).read([0])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ImageError, match="truncated: 2300 bytes"):
        read_stack_header(path)
    path.write_text("not an image")
    with pytest.raises(ImageError, match="not an MRC file"):
        read_stack_header(path)
    with pytest.raises(ImageError, match="no such file"):
        read_stack_header(tmp_path / "none.mrcs")
    with pytest.raises(ImageError, match="nan"):
        write_stack(path, images * np.nan, 1.0)


@pytest.mark.parametrize("place", ["links/a.mrcs", "folder/a.mrcs"])
def test_a_link_to_nothing_is_named_with_the_way_out(tmp_path, images, place):
    write_stack(tmp_path / "raw/a.mrcs", images, 2.0)
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.mrcs").symlink_to("../raw/a.mrcs")
    (tmp_path / "folder").symlink_to("raw")
    assert len(ParticleStack([f"1@{place}"], tmp_path).read([0])) == 1
    (tmp_path / "raw").rename(tmp_path / "moved")
    with pytest.raises(ImageError, match=rf"{place.split('/')[0]}.* is a link to (\.\./)?raw.*--forcerun extract"):
        ParticleStack([f"1@{place}"], tmp_path).read([0])
    with pytest.raises(ImageError, match="no such file"):
        read_stack_header(tmp_path / "links/b.mrcs")


def test_image_names():
    assert split_image_name("000001@a/b@c.mrcs") == (0, "a/b@c.mrcs")
    assert split_image_name("a.mrc") == (0, "a.mrc")
    for name in ("0@a.mrcs", "x@a.mrcs", "@a.mrcs", "-1@a.mrcs", "1@"):
        with pytest.raises(ImageError, match="number from 1"):
            split_image_name(name)
    with pytest.raises(ImageError, match="row 2"):
        ParticleStack(["1@a", "0@a"], ".")


def test_a_stack_of_particles_with_several_boxes(tmp_path, rng):
    small, large = rng.normal(size=(2, 8, 8)), rng.normal(size=(2, 12, 12))
    write_stack(tmp_path / "a.mrcs", small, 1.0)
    write_stack(tmp_path / "b.mrcs", large, 1.0)
    boxes = np.array([8, 12, 8, 12])
    stack = ParticleStack(["1@a.mrcs", "2@b.mrcs", "2@a.mrcs", "1@b.mrcs"], tmp_path, box_px=boxes)
    assert stack.box_px == 8
    np.testing.assert_allclose(stack.read([2, 0]), small[[1, 0]], rtol=1e-6)
    np.testing.assert_allclose(stack.read([1, 3]), large[[1, 0]], rtol=1e-6)
    with pytest.raises(ImageError, match="12 x 12 pixels, expected 8 x 8"):
        stack.read([0, 1])
    with pytest.raises(ImageError, match="12 x 12 pixels, expected 8 x 8"):
        ParticleStack(["1@b.mrcs"], tmp_path, box_px=np.array([8])).read([0])


def test_images_next_to_one_another_are_read_in_one_go(tmp_path, images, monkeypatch):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    stack, calls = ParticleStack([f"{i + 1}@a.mrcs" for i in (0, 1, 2, 4, 3)], tmp_path), []
    stack.read([0])
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *arguments: calls.append(1) or read(*arguments))
    assert np.array_equal(stack.read(np.arange(5)), images[[0, 1, 2, 4, 3]])
    assert len(calls) == 3


def test_a_read_that_the_system_cuts_short_goes_on(tmp_path, images, monkeypatch):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    stack, read = ParticleStack([f"{i + 1}@a.mrcs" for i in range(5)], tmp_path), os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: read(file, [buffers[0][:100]], offset))
    assert np.array_equal(stack.read([1, 2, 4]), images[[1, 2, 4]])


def test_a_stack_cut_short_while_it_is_open_is_named(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    stack = ParticleStack(["1@a.mrcs", "5@a.mrcs"], tmp_path)
    stack.read([0])
    os.truncate(tmp_path / "a.mrcs", 2000)
    with pytest.raises(ImageError, match=r"a\.mrcs: ends before image 5"):
        stack.read([0, 1])


def test_few_files_are_open_and_all_are_closed(tmp_path, images, monkeypatch):
    monkeypatch.setattr("winnow2d.formats.mrc.OPEN_STACKS", 2)
    names = [f"s{i}.mrcs" for i in range(5)]
    for name in names:
        write_stack(tmp_path / name, images, 1.0)

    def n_open():
        links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        return sum(Path(link).name in names for link in links)

    stack = ParticleStack([f"2@{name}" for name in names], tmp_path)
    assert np.array_equal(stack.read(np.arange(5)), images[[1] * 5])
    assert n_open() == 2
    del stack
    assert n_open() == 0


def test_images_are_asked_for_before_they_are_read(tmp_path, rng, monkeypatch):
    """What lies far apart is asked for apart; a fault is left for whoever reads."""
    images, asked = rng.normal(size=(40, 128, 128)), []
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    names = [f"{i + 1}@a.mrcs" for i in range(40)]
    stack = ParticleStack([*names, "1@none.mrcs", "99@a.mrcs"], tmp_path, box_px=128)
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *what: asked.append(what[:2]))
    stack.will_read(np.array([5, 1, 2, 0, 30, 40]))
    assert asked == [(1024, 6 * 65536), (1024 + 30 * 65536, 65536)]
    with pytest.raises(ImageError, match="no such file"):
        stack.read([40])


def test_asking_ahead_closes_no_file_that_is_read_from(tmp_path, images, monkeypatch):
    monkeypatch.setattr("winnow2d.formats.mrc.OPEN_STACKS", 2)
    for i in range(4):
        write_stack(tmp_path / f"s{i}.mrcs", images, 1.0)
    stack = ParticleStack([f"2@s{i}.mrcs" for i in range(4)], tmp_path)
    stack.read([0, 1])
    asked, opened, read_headers = [], [], []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *what: asked.append(what[:2]))
    real_open, real_header = os.open, read_stack_header
    monkeypatch.setattr(os, "open", lambda path, *how, **more: opened.append(path) or real_open(path, *how, **more))
    monkeypatch.setattr(
        "winnow2d.formats.mrc.read_stack_header", lambda path: read_headers.append(path) or real_header(path)
    )
    stack.will_read(np.arange(4))
    assert asked == [(1024 + 256, 256)] * 4
    opened.clear()
    stack.read([0, 1])
    assert opened == []
    stack.read([2, 3])
    assert [Path(path).name for path in opened] == ["s2.mrcs", "s3.mrcs"]
    assert [path.name for path in read_headers] == ["s2.mrcs", "s3.mrcs"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("place", ["os.open", "mrcfile.open"])
def test_a_stack_that_cannot_be_opened_is_named(tmp_path, images, monkeypatch, number, place):
    write_stack(tmp_path / "a.mrcs", images, 1.0)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(place, refuse)
    with pytest.raises(ImageError, match=rf"a\.mrcs: cannot be opened \({os.strerror(number)}\)"):
        ParticleStack(["1@a.mrcs"], tmp_path, box_px=8).read([0])
