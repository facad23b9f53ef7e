"""Whole runs of every kind: neither threads, chunks, devices, memory nor interruptions change a byte."""

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest

from classified import differences
from synthetic import make_particles
from winnow2d.engine import evaluation, expectation
from winnow2d.engine.classify import Classifier
from winnow2d.engine.expectation import coarse_products
from winnow2d.engine.iteration import expect_chunk
from winnow2d.errors import ResourceError
from winnow2d.formats.state import load_state, save_state
from winnow2d.numerics import fourier
from winnow2d.numerics.arrays import Device, gpu_is_usable
from winnow2d.options import Class2DOptions, OwnOptions

N_PARTICLES, BOX = 113, 26  # seven blocks of products and one particle; rows of images that fill no register
N_ITERATIONS = 6
EM = Class2DOptions(
    do_em=True, do_grad=False, nr_classes=3, nr_iter_em=N_ITERATIONS, particle_diameter=80.0, psi_sampling=12.0,
    offset_range=3.0,
)  # fmt: skip
VDAM = replace(EM, do_em=False, do_grad=True, nr_iter_grad=N_ITERATIONS)
CASES = {
    "em": (EM, "one"), "vdam": (VDAM, "one"), "em, fixed": (replace(EM, dont_skip_align=False), "one"),
    "vdam, fixed": (replace(VDAM, dont_skip_align=False), "one"), "em, several": (EM, "several"),
    "vdam, several": (VDAM, "several"), "em, fixed, several": (replace(EM, dont_skip_align=False), "several"),
}  # fmt: skip


class Stack:
    """Images of several boxes, those of one box at a time."""

    def __init__(self, images):
        self._images = images

    def read(self, indices):
        return np.stack([self._images[index] for index in indices])


@pytest.fixture(scope="module")
def sets():
    """Return stack, particles and optics: of one geometry, and of two, the second CTF-premultiplied."""
    found = make_particles(k=3, n=N_PARTICLES, box=BOX, snr=0.5, seed=2)
    particles = replace(found.particles, psi_deg=found.truth.psi_deg, offset_ang=found.truth.offset_ang)
    group = (np.arange(N_PARTICLES) % 3 == 1).astype(int)
    images = [fourier.crop(image, BOX - 4) if g else image for image, g in zip(found.images, group, strict=True)]
    first = found.optics[0]
    other = replace(first, name="other", box_px=BOX - 4, is_ctf_premultiplied=True, odd_zernike=(0.5, 0.0, 3.0))
    mixed = replace(particles, optics_group=group, group_index=group, group_names=["one", "other"])
    return {"one": (found, particles, found.optics), "several": (Stack(images), mixed, [first, other])}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Let VDAM's mini-batches be true ones; of six iterations the last is one of EM."""
    monkeypatch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (70, 90))


@pytest.fixture(params=list(CASES))
def start(request, sets):
    """Return what makes a classifier of one kind."""
    options, name = CASES[request.param]

    def classifier(iteration=None, chunk_size=None, **more):
        own = more.pop("own", OwnOptions(random_seed=7, device="cpu"))
        run = Classifier(*sets[name], options, own, iteration, **more)
        run.chunk_size = chunk_size or run.chunk_size
        return run

    return classifier


def history(run):
    """Return all iterations of a run."""
    return [run.update() for _ in range(run.class2d.n_iterations)]


@pytest.fixture
def expected(start):
    """Return all iterations of the run as it usually is."""
    return history(start())


def assert_same_bytes(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert differences(one, other) == []


def test_a_run_of_vdam_ends_with_em(sets):
    run = Classifier(*sets["one"], VDAM, OwnOptions(device="cpu"))
    assert [run.is_gradient(number) for number in range(1, N_ITERATIONS + 1)] == 5 * [True] + [False]


def test_threads_change_no_byte(start, expected):
    assert_same_bytes(history(start(n_threads=2)), expected)


@pytest.mark.parametrize("chunk_size", [16, 48, 128])
def test_chunks_and_batches_change_no_byte(start, expected, monkeypatch, chunk_size):
    monkeypatch.setattr("winnow2d.engine.parallel.CHUNKS_PER_BATCH", 2)
    assert_same_bytes(history(start(chunk_size=chunk_size)), expected)


@pytest.mark.parametrize("chunk_size", [32, 48])
def test_coarse_products_have_one_shape_whatever_the_chunk(sets, monkeypatch, chunk_size):
    """BLAS may sum up in another order where a matrix has another number of rows."""
    shapes = []

    def products(compared, re, *others):
        shapes.append(len(re))
        return coarse_products(compared, re, *others)

    monkeypatch.setattr(expectation, "coarse_products", products)
    run = Classifier(*sets["one"], EM, OwnOptions(device="cpu"))
    run.chunk_size = chunk_size
    run.update()
    assert shapes == 7 * [16] + [1]


# Memory


def run_out(monkeypatch, fails):
    """Let the evaluation of a chunk run out of memory where `fails` says so of its place in the run and its size."""
    calls = itertools.count()

    def evaluate(run, old, worker, view, rows):
        if fails(next(calls), len(rows)):
            raise MemoryError("Unable to allocate 1.00 TiB")
        return expect_chunk(run, old, worker, view, rows)

    monkeypatch.setattr("winnow2d.engine.iteration.expect_chunk", evaluate)


@pytest.mark.parametrize(
    ("fails", "sizes"),
    [
        pytest.param(lambda call, n: call == 3, [48], id="once"),
        pytest.param(lambda call, n: n > 16, [48, 16], id="until-small"),
        pytest.param(lambda call, n: call in (0, 7), [48, 16], id="twice"),
    ],
)
def test_running_out_of_memory_changes_no_byte(start, expected, monkeypatch, caplog, fails, sizes):
    run_out(monkeypatch, fails)
    run = start(chunk_size=96, n_threads=2)
    assert_same_bytes(history(run), expected)
    assert run.chunk_size == sizes[-1]
    assert [record.levelno for record in caplog.records] == len(sizes) * [logging.WARNING]
    for record, size in zip(caplog.records, sizes, strict=True):
        assert f"GiB of this machine's memory are free); going on with {size}" in record.getMessage()


def test_what_never_fits_is_an_error_that_says_what_to_do(sets, monkeypatch):
    run_out(monkeypatch, lambda call, n: True)
    run = Classifier(*sets["one"], EM, OwnOptions(device="cpu"))
    with pytest.raises(ResourceError, match=r"16 images of 26 px at a time and 3 classes.* GiB .*more memory"):
        run.update()
    assert run.iteration.number == 0


def test_another_error_is_not_tried_again(sets, monkeypatch):
    def evaluate(*arguments):
        raise RuntimeError("broken")

    monkeypatch.setattr("winnow2d.engine.iteration.expect_chunk", evaluate)
    with pytest.raises(RuntimeError, match="broken"):
        Classifier(*sets["one"], EM, OwnOptions(device="cpu")).update()


# Devices


@pytest.fixture
def workers(monkeypatch):
    """Return what lets a run have several devices, all of the host, which note what they did."""

    def have(n):
        monkeypatch.setattr(
            "winnow2d.engine.classify.devices_of", lambda name, n_gpus: [Device(np, i) for i in range(n)]
        )

    return have


@pytest.mark.parametrize("n", [2, 3])
def test_devices_change_no_byte(start, expected, workers, n):
    workers(n)
    run = start()
    assert len(run.workers) == n
    assert_same_bytes(history(run), expected)


def test_devices_take_turns_and_share_nothing(sets, workers, monkeypatch):
    workers(2)
    seen = []

    def evaluate(run, old, worker, view, rows):
        seen.append((worker.device.number, rows[0], view.compared, worker.transfer))
        return expect_chunk(run, old, worker, view, rows)

    monkeypatch.setattr("winnow2d.engine.iteration.expect_chunk", evaluate)
    Classifier(*sets["one"], EM, OwnOptions(device="cpu")).update()
    seen.sort(key=lambda call: call[1])
    assert [number for number, *_ in seen] == [0, 1, 0, 1]
    (_, _, one, transfer), (_, _, other, another) = seen[:2]
    assert transfer is not another
    for field in ("fine_re", "coarse_re", "spectra"):
        assert not np.shares_memory(getattr(one.projections, field), getattr(other.projections, field))
    assert not np.shares_memory(one.fine_phases[0], other.fine_phases[0])
    assert not np.shares_memory(one.scale_mask, other.scale_mask)


def test_a_device_that_runs_out_of_memory_changes_no_byte(start, expected, workers, monkeypatch):
    workers(2)
    run_out(monkeypatch, lambda call, n: call == 1)
    run = start(chunk_size=64)
    assert_same_bytes(history(run), expected)
    assert run.chunk_size == 32


def test_results_lie_on_the_first_device(sets, workers, monkeypatch):
    workers(2)
    made, gave = [], []
    on_workers = evaluation._on_workers

    def evaluate(*arguments):
        made.append(expect_chunk(*arguments))
        return made[-1]

    def record(*arguments):
        gave.extend(on_workers(*arguments))
        return gave

    monkeypatch.setattr("winnow2d.engine.iteration.expect_chunk", evaluate)
    monkeypatch.setattr(evaluation, "_on_workers", record)
    Classifier(*sets["one"], EM, OwnOptions(device="cpu")).update()
    same = [any(result.data_re is own.data_re for own, _ in made) for result, _ in gave]
    assert same == [True, False, True, False]


@pytest.mark.gpu
def test_on_a_gpu_threads_and_batches_change_no_byte(start, monkeypatch):
    assert gpu_is_usable()
    own = OwnOptions(random_seed=7, device="gpu")
    expected = history(start(own=own))
    assert_same_bytes(history(start(own=own)), expected)
    monkeypatch.setattr("winnow2d.engine.parallel.CHUNKS_PER_BATCH", 1)
    assert_same_bytes(history(start(own=own, n_threads=2)), expected)


@pytest.mark.gpu
def test_on_a_gpu_twice_the_same_one_changes_no_byte(start, monkeypatch):
    """Two workers on one GPU, with copies of their own; several GPUs have not been tried."""
    import cupy

    own = OwnOptions(random_seed=7, device="gpu")
    expected = history(start(own=own, chunk_size=32))
    monkeypatch.setattr("winnow2d.engine.classify.devices_of", lambda name, n: [Device(cupy, 0), Device(cupy, 0)])
    assert_same_bytes(history(start(own=own, chunk_size=32)), expected)


# Interruptions


@pytest.mark.parametrize("number", range(N_ITERATIONS))
def test_a_run_goes_on_from_any_iteration_to_the_same_bytes(start, number, tmp_path):
    unbroken = start()
    for _ in range(number):
        unbroken.update()
    save_state(tmp_path, unbroken.iteration, "mark")
    state, reason = load_state(tmp_path, "mark")
    assert (state.number, reason) == (number, "")
    going_on = start(state, chunk_size=48)
    while not unbroken.done:
        assert differences(going_on.update(), unbroken.update()) == []
    assert going_on.done
