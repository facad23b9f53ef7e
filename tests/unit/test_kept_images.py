"""Images kept on a device: read from their files once where all fit, and never a byte of a result changed by it."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from classified import differences
from synthetic import make_particles
from winnow2d.engine import iteration
from winnow2d.engine.classify import Classifier
from winnow2d.engine.kept_images import KeptImages
from winnow2d.engine.source import ImageSource
from winnow2d.numerics.arrays import Device
from winnow2d.options import Class2DOptions, OwnOptions

N, BOX_PX = 90, 8


class Stack:
    """Images in memory, by row; notes which rows are read."""

    def __init__(self, images):
        self.images, self.rows_read = images, []

    def read(self, indices):
        self.rows_read += np.asarray(indices).tolist()
        box = self.images[indices[0]].shape[-1]
        return np.array([self.images[row] for row in indices], np.float32).reshape(-1, box, box)


@pytest.fixture
def room(monkeypatch):
    """Return what sets how many bytes the host, for a device, can spare."""

    def set_room(n_bytes):
        monkeypatch.setattr(Device, "spare_bytes", lambda device: n_bytes)

    return set_room


@pytest.fixture
def images(rng):
    """Return images that float16 does not hold exactly."""
    return rng.standard_normal((N, BOX_PX, BOX_PX)).astype(np.float32)


def in_float16(images):
    return images.astype(np.float16).astype(np.float32)


def kept(stack, boxes=None, dtype=np.float32):
    boxes = np.full(N, BOX_PX) if boxes is None else boxes
    return KeptImages(ImageSource(stack, len(boxes), np.dtype(dtype)), boxes, Device(np))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_are_read_once_and_come_as_they_are(images, room, dtype):
    room(10**6)
    stack = Stack(images)
    source = kept(stack, dtype=dtype)
    for rows in (np.arange(0, 20, 2), np.arange(20), np.arange(19, -1, -1), np.arange(10, N)):
        found = source.read(rows)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, images[rows])
    assert sorted(stack.rows_read) == list(range(N))
    assert source.is_kept(np.arange(N)).all()


@pytest.mark.parametrize("share", [2, 4])
def test_a_set_that_does_not_fit_is_not_kept(images, room, share):
    """Images of float16 need half the memory."""
    room(share * N * BOX_PX**2 - 1)
    stack = Stack(images if share == 4 else in_float16(images))
    source = kept(stack)
    for _ in range(2):
        np.testing.assert_array_equal(source.read(np.arange(5)), stack.images[:5])
    assert stack.rows_read == 2 * list(range(5))
    room(share * N * BOX_PX**2)
    fitting = kept(stack)
    fitting.read(np.arange(5))
    assert fitting.is_kept(np.arange(N)).tolist() == [True] * 5 + [False] * (N - 5)
    assert not source.give_up()


def test_an_image_that_float16_does_not_hold_is_read_from_its_file(images, room):
    """The first images decide what the others are kept as; none is rounded."""
    room(2 * N * BOX_PX**2)
    images[:40] = in_float16(images[:40])
    images[41, 3, 3] = 1e6  # beyond float16
    stack = Stack(images)
    source = kept(stack)
    source.read(np.arange(40))
    for _ in range(2):
        np.testing.assert_array_equal(source.read(np.arange(35, 45)), images[35:45])
    assert stack.rows_read == [*range(40), *(2 * list(range(40, 45)))]


def test_whole_numbers_are_kept_in_half_the_memory(room, rng):
    room(2 * N * BOX_PX**2)
    stack = Stack(rng.integers(-128, 128, (N, BOX_PX, BOX_PX)))
    source = kept(stack)
    source.read(np.arange(5))
    assert source.is_kept(np.arange(5)).all()


def test_unusable_images_stay_unusable(images, room):
    room(10**6)
    images[3], images[5, 0, 0] = 2.5, np.nan
    stack = Stack(images)
    source = kept(stack)
    for _ in range(2):
        found = source.read(np.arange(8))
        assert np.isnan(found).all(axis=(1, 2)).tolist() == [row in (3, 5) for row in range(8)]
        np.testing.assert_array_equal(found[[0, 7]], images[[0, 7]])
    first = kept(Stack(images))
    first.read(np.array([3, 5]))  # none of the first is usable: they say nothing of the others
    first.read(np.arange(8))
    assert first.is_kept(np.arange(8)).sum() == 6


def test_images_of_several_boxes(room, rng):
    boxes = np.array([8, 12] * 10)
    stack = Stack([rng.standard_normal((box, box)).astype(np.float32) for box in boxes])
    room(4 * 10 * (8**2 + 12**2))
    source = kept(stack, boxes)
    for _ in range(2):
        for first in (0, 1):
            rows = np.arange(first, 20, 2)
            np.testing.assert_array_equal(source.read(rows), [stack.images[row] for row in rows])
    assert len(stack.rows_read) == 20
    room(4 * 10 * (8**2 + 12**2) - 1)
    source = kept(stack, boxes)
    source.read(np.arange(0, 20, 2))
    assert not source.is_kept(np.arange(20)).any()


def test_memory_given_up_is_not_taken_again(images, room):
    room(10**6)
    stack = Stack(images)
    source = kept(stack)
    source.read(np.arange(5))
    assert source.give_up()
    assert not source.give_up()
    np.testing.assert_array_equal(source.read(np.arange(5)), images[:5])
    assert not source.is_kept(np.arange(N)).any()


# Whole runs

EM = Class2DOptions(do_em=True, do_grad=False, nr_classes=3, nr_iter_em=3, particle_diameter=100.0)
VDAM = dataclasses.replace(EM, do_em=False, do_grad=True, nr_iter_grad=6)


class CountedSet:
    def __init__(self, particles):
        self.particles, self.n_read = particles, 0

    def read(self, indices):
        self.n_read += len(indices)
        return self.particles.read(indices)


@pytest.fixture(scope="module")
def particles():
    return make_particles(3, N, 32, 1.0, 5)


def history(particles, options, **more):
    stack = CountedSet(particles)
    own = OwnOptions(random_seed=7, device="cpu")
    run = Classifier(stack, particles.particles, particles.optics, options, own, **more)
    return [run.update() for _ in range(options.n_iterations)], stack.n_read, run


def assert_same_bytes(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert differences(one, other) == []


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
@pytest.mark.parametrize("is_float16", [False, True], ids=["float32", "float16"])
def test_a_run_has_the_same_bytes_whether_images_are_kept_or_not(particles, room, monkeypatch, options, is_float16):
    monkeypatch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (40, 60))
    if is_float16:
        particles = dataclasses.replace(particles, images=in_float16(particles.images))
    expected, n_without, _ = history(particles, options)
    room((2 if is_float16 else 4) * particles.images.size)
    for n_threads in (1, 2):
        found, n_read, run = history(particles, options, n_threads=n_threads)
        assert_same_bytes(found, expected)
        assert run.workers[0].images.is_kept(np.arange(N)).all()
        assert n_read == 2 * N < n_without  # for the first averages and once more


@pytest.mark.parametrize("n", [2, 3])
def test_several_devices_keep_images_of_their_own(particles, room, monkeypatch, n):
    expected, _, _ = history(particles, EM)
    monkeypatch.setattr("winnow2d.engine.classify.devices_of", lambda name, n_gpus: [Device(np, i) for i in range(n)])
    room(10**9)
    assert_same_bytes(history(particles, EM, n_gpus=n)[0], expected)


def test_images_make_room_before_chunks_are_halved(particles, room, monkeypatch, caplog):
    """What the E-step does with its memory does not depend on whether images were kept."""
    expected, _, _ = history(particles, EM)
    room(10**9)
    expect_chunk, held = iteration.expect_chunk, []

    def evaluate(run, old, worker, view, rows):
        held.append(worker.images.is_kept(rows).all())
        if held[-1]:
            raise MemoryError
        return expect_chunk(run, old, worker, view, rows)

    monkeypatch.setattr(iteration, "expect_chunk", evaluate)
    with caplog.at_level(logging.WARNING):
        found, _, run = history(particles, EM)
    assert_same_bytes(found, expected)
    assert held.count(True) == 1
    assert run.chunk_size == 32
    assert "no longer kept" in caplog.text


def test_images_make_room_for_the_m_step(particles, room, monkeypatch):
    expected, _, _ = history(particles, VDAM)
    room(10**9)
    descend, failed = iteration.descend, []

    def out_of_memory_once(run, *arguments):
        if run.workers[0].images.is_kept(np.arange(N)).any():
            failed.append(1)
            raise MemoryError
        return descend(run, *arguments)

    monkeypatch.setattr(iteration, "descend", out_of_memory_once)
    found, _, _ = history(particles, VDAM)
    assert_same_bytes(found, expected)
    assert failed == [1]


def test_without_kept_images_the_m_step_fails_at_once(particles, monkeypatch):
    tried = []

    def fail(*arguments):
        tried.append(1)
        raise MemoryError

    monkeypatch.setattr(iteration, "maximise", fail)
    with pytest.raises(MemoryError):
        history(particles, EM)
    assert tried == [1]
