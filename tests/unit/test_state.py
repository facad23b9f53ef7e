"""The state of a classification on disk: exact to the last bit, and refused where it is another's or broken."""

import contextlib
import dataclasses
import os
import threading

import numpy as np
import pytest

from classified import differences
from synthetic import blank_particles, one_optics_group
from winnow2d.formats import atomic
from winnow2d.formats.atomic import Behind
from winnow2d.formats.state import STATE_FILE, StateFile, fingerprint, load_state, save_state
from winnow2d.records import Changes, Iteration, Model, Moments, Sampling

BOX_PX, N_CLASSES, N_PARTICLES = 8, 3, 11
OPTICS = dataclasses.replace(
    one_optics_group(BOX_PX),
    beam_tilt_mrad=(1 / 3, -2.0),
    odd_zernike=(0.1, 1 / 7),
    magnification=(1.01, 0.0, 0.1, 1.0),
)


def make_iteration(has_moments):
    """Return an iteration whose numbers have no short decimal form; VDAM's has moments."""
    rng = np.random.default_rng(3)
    shells = (N_CLASSES, BOX_PX // 2 + 1)
    model = Model(
        pixel_size_ang=4 / 3, references=rng.normal(size=(N_CLASSES, BOX_PX, BOX_PX)).astype(np.float32),
        pdf_class=rng.random(N_CLASSES), prior_offset_ang=rng.normal(size=(N_CLASSES, 2)), sigma_offset_ang=np.pi,
        sigma2_noise=rng.random((1, shells[1])), scale_correction=rng.random(4), norm_correction_average=0.1 + 0.2,
        tau2_fudge=2.0, tau2=rng.random(shells), sigma2_reference=rng.random(shells), data_vs_prior=rng.random(shells),
        fourier_coverage=rng.random(shells), resolution_shell=np.int64(3), image_size_px=8, log_likelihood=-1e9 / 7,
        orientability=None, unmasked_references=None if has_moments else rng.normal(size=(N_CLASSES, BOX_PX, BOX_PX)),
    )  # fmt: skip
    particles = blank_particles(N_PARTICLES, rng)
    particles.psi_deg, particles.max_probability = rng.normal(size=N_PARTICLES), rng.random(N_PARTICLES)
    moments = None
    if has_moments:
        shape = (N_CLASSES, 2 * BOX_PX, BOX_PX + 1)
        first = rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape))
        moments = Moments(first.astype(np.complex64), rng.random(shape).astype(np.float32))
    sampling = Sampling(6.0, 1 / 3, 2 / 3, perturbation=-0.1234567890123456)
    return Iteration(
        7, 25, model, particles, [OPTICS], sampling, Changes(psi_deg=1 / 7), n_left_out=2,
        batch_size=200 if has_moments else -1, step_size=0.9 / 7 if has_moments else 0.0, moments=moments,
    )  # fmt: skip


@pytest.mark.parametrize("has_moments", [False, True], ids=["em", "vdam"])
def test_every_number_comes_back_to_the_last_bit(tmp_path, has_moments):
    iteration = make_iteration(has_moments)
    save_state(tmp_path, iteration, "mark")
    found, reason = load_state(tmp_path, "mark")
    assert reason == ""
    assert differences(found, iteration) == []
    assert isinstance(found.model.resolution_shell, int)  # no float where an index is meant
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_new_state_replaces_the_old_one(tmp_path):
    save_state(tmp_path, make_iteration(True), "old")
    later = dataclasses.replace(make_iteration(False), number=8)
    save_state(tmp_path, later, "new")
    assert differences(load_state(tmp_path, "new")[0], later) == []
    assert load_state(tmp_path, "old")[0] is None


def test_states_one_after_another_take_turns_in_two_files(tmp_path):
    """Each replaces the state as a whole: what is written over is never the state itself."""
    states = [dataclasses.replace(make_iteration(number % 2 == 0), number=number) for number in range(5)]
    file = StateFile(tmp_path, "mark")
    inodes = []
    for state in states:
        file.save(state)
        inodes.append((tmp_path / STATE_FILE).stat().st_ino)
        assert differences(load_state(tmp_path, "mark")[0], state) == []
    assert inodes[2:] == inodes[:3]
    assert inodes[0] != inodes[1]
    file.close()
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_state_is_whole_wherever_replacing_it_ends(tmp_path, monkeypatch):
    """Killed before any step: the next process finds the state before or the new one, and never writes over it."""
    before, after, later = (dataclasses.replace(make_iteration(True), number=number) for number in (1, 2, 3))
    for step in ("flush", "link", "replace", "second flush", "second replace", "nothing"):
        folder = tmp_path / step
        folder.mkdir()
        file = StateFile(folder, "mark")
        file.save(before)
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            with pytest.raises(Killed) if step != "nothing" else contextlib.nullcontext():
                file.save(after)
        found = load_state(folder, "mark")[0]
        assert differences(found, before if step in ("flush", "link", "replace") else after) == []
        next_process = StateFile(folder, "mark")
        assert differences(load_state(folder, "mark")[0], found) == []
        with monkeypatch.context() as patch:
            stop_at(patch, "flush")
            with pytest.raises(Killed):
                next_process.save(later)
        assert differences(load_state(folder, "mark")[0], found) == []


class Killed(BaseException):
    pass


def stop_at(patch, step):
    """Have replacing a state end before a step."""
    replace, calls, flushed = os.replace, [], []

    def end(*arguments):
        raise Killed

    def replace_or_end(*arguments):
        calls.append(arguments)
        if len(calls) == {"replace": 1, "second replace": 2}.get(step):
            raise Killed
        replace(*arguments)

    def flush_or_end(path):
        flushed.append(path)
        if len(flushed) == {"flush": 1, "second flush": 2}.get(step):
            raise Killed

    patch.setattr("winnow2d.formats.state.flush", flush_or_end)
    if step == "link":
        patch.setattr("os.link", end)
    patch.setattr("os.replace", replace_or_end)


def test_the_name_of_a_state_is_durable_before_the_one_before_is_written_over(tmp_path, monkeypatch):
    """Else a machine that loses power may come back with the old name on half of the new content."""
    file, steps = StateFile(tmp_path, "mark"), []
    replace, flush = os.replace, atomic.flush
    monkeypatch.setattr("os.replace", lambda a, b: (replace(a, b), steps.append(os.path.basename(b))))
    monkeypatch.setattr("winnow2d.formats.state.flush", lambda path: (steps.append(path.name), flush(path)))
    for _ in range(2):
        file.save(make_iteration(True))
    spare = f".{STATE_FILE}.spare"
    assert steps == [spare, STATE_FILE, tmp_path.name, spare, STATE_FILE, tmp_path.name, spare]


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    def flush(path):
        if path.is_dir():
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("winnow2d.formats.state.flush", flush)
    save_state(tmp_path, make_iteration(True), "mark")
    assert load_state(tmp_path, "mark")[0] is not None


def test_without_second_names_states_are_replaced_all_the_same(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    file = StateFile(tmp_path, "mark")
    for number in range(3):
        state = dataclasses.replace(make_iteration(False), number=number)
        file.save(state)
        assert differences(load_state(tmp_path, "mark")[0], state) == []


def test_an_iteration_may_change_once_it_is_given_to_be_saved(tmp_path, monkeypatch):
    """What is waited for behind the next iteration is the disk, not the numbers."""
    go_on, iteration, expected = threading.Event(), make_iteration(True), make_iteration(True)
    monkeypatch.setattr("winnow2d.formats.state.flush", lambda path: go_on.wait(10))
    with Behind() as behind:
        StateFile(tmp_path, "mark").save(iteration, behind)
        assert load_state(tmp_path, "mark") == (None, "")  # not before it is durable
        iteration.moments.first[:] = 0
        iteration.particles.psi_deg[:] = 0
        go_on.set()
    assert differences(load_state(tmp_path, "mark")[0], expected) == []


def test_another_mark_is_no_state(tmp_path):
    save_state(tmp_path, make_iteration(False), "mark")
    state, reason = load_state(tmp_path, "another")
    assert state is None
    assert "changed since" in reason


def test_no_file_is_no_state_and_needs_no_reason(tmp_path):
    assert load_state(tmp_path, "mark") == (None, "")


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def longer(path):
    path.write_bytes(path.read_bytes() + b"x")


def torn(path):
    """Leave old content in a page, as a machine does that loses power."""
    content = path.read_bytes()
    at = content.index(b"}}") + 4096
    path.write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])


def archive(path):
    with path.open("wb") as file:
        np.savez(file, other=np.zeros(3))


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        flip,
        longer,
        torn,
        archive,
        pytest.param(lambda path: path.write_bytes(path.read_bytes().replace(b"state 2", b"state 1")), id="layout"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes().replace(b'"mark"', b'"kram"', 1)), id="text"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"no state"), id="words"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_state(tmp_path, spoil):
    save_state(tmp_path, make_iteration(True), "mark")
    before = (tmp_path / STATE_FILE).read_bytes()
    spoil(tmp_path / STATE_FILE)
    assert (tmp_path / STATE_FILE).read_bytes() != before
    state, reason = load_state(tmp_path, "mark")
    assert state is None
    assert reason.endswith(f"{STATE_FILE} cannot be read")


def test_the_fingerprint_tells_values_order_and_content_apart(tmp_path):
    path = tmp_path / "particles.star"
    path.write_text("one")
    first = fingerprint("1.0", {"a": 1, "b": 2.5}, path)
    assert fingerprint("1.0", {"b": 2.5, "a": 1}, path) == first
    assert fingerprint("1.1", {"a": 1, "b": 2.5}, path) != first
    assert fingerprint("1.0", {"a": 2, "b": 2.5}, path) != first
    path.write_text("two")
    assert fingerprint("1.0", {"a": 1, "b": 2.5}, path) != first
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
