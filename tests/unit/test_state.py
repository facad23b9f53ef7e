"""The state of a classification on disk: exact to the last bit, and refused where it is another's or broken."""

import dataclasses

import numpy as np
import pytest

from classified import differences
from synthetic import blank_particles, one_optics_group
from winnow2d.formats.state import STATE_FILE, fingerprint, load_state, save_state
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


def without_mark(path):
    np.savez(path, scalars=np.frombuffer(b"{}", np.uint8))


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        flip,
        without_mark,
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"no archive"), id="text"),
        pytest.param(lambda path: np.savez(path, other=np.zeros(3)), id="other-arrays"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_state(tmp_path, spoil):
    save_state(tmp_path, make_iteration(False), "mark")
    spoil(tmp_path / STATE_FILE)
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
