"""Options of RELION that change nothing here are taken at any value; bounds hold through both doors."""

import dataclasses
from types import SimpleNamespace

import pytest

from winnow2d.config import check_config
from winnow2d.devices import VISIBLE, gpu_numbers, with_gpu
from winnow2d.errors import ConfigError
from winnow2d.formats.jobs import options_from
from winnow2d.numerics import arrays
from winnow2d.option_values import unused_of, without_result
from winnow2d.options import Class2DOptions, OwnOptions

# What a RELION user's job.star may hold: a queue's script, threads, disc and memory as on their cluster.
COMPUTE = {
    "do_parallel_discio": "No", "nr_pool": "30", "do_preread_images": "Yes", "scratch_dir": "/ssd",
    "do_combine_thru_disc": "Yes", "nr_mpi": "1", "nr_threads": "12", "qsub": "qsub", "queuename": "gpu",
    "qsubscript": "/opt/relion/qsub.csh", "min_dedicated": "24", "helical_rise": "3", "range_psi": "10",
    "helical_tube_outer_diameter": "150", "do_bimodal_psi": "No", "do_restrict_xoff": "No",
}  # fmt: skip


def test_hints_on_how_to_compute_are_taken_at_any_value():
    options = options_from(Class2DOptions, COMPUTE, "here")
    told = unused_of(options)
    assert {line.split()[0] for line in told} == set(COMPUTE) - {"nr_mpi"}
    assert "nr_pool 30 (Winnow streams its images by itself)" in told
    assert "range_psi 10 (only with do_helix)" in told
    assert unused_of(Class2DOptions()) == []
    config = {"input": {"particles": "a.star"}, "class2d": {"do_em": True} | COMPUTE}
    assert check_config(config).rounds[0].class2d == dataclasses.replace(options, do_em=True, do_grad=False)


def test_what_changes_no_result():
    names = without_result(Class2DOptions)
    assert set(COMPUTE) | {"use_gpu", "gpu_ids"} == set(names)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"do_helix": "Yes"}, "option do_helix: Yes is refused.*helical segments are not supported"),
        ({"do_queue": "Yes"}, "queues belong to the profile"),
        ({"other_args": "--maxsig 5"}, "no hidden arguments"),
        ({"nr_classes": "0"}, "option nr_classes: 0 must be at least 1"),
        ({"psi_sampling": "91"}, "option psi_sampling: 91 must be at most 90 degrees"),
    ],
)
def test_a_job_star_is_held_to_what_a_config_is(values, words):
    with pytest.raises(ConfigError, match=words):
        options_from(Class2DOptions, values, "job.star")


def test_devices_of_our_options_are_checked():
    with pytest.raises(ConfigError, match="option device: gpus is none of auto, cpu, gpu"):
        options_from(OwnOptions, {"device": "gpus"}, "job.star")


# GPUs


@pytest.mark.parametrize(
    ("gpu_ids", "numbers"), [("", []), ("0", [0]), ("1:0", [1, 0]), ("0,1:2,3", [0, 1, 2, 3]), ('"2"', [2])]
)
def test_relions_lists_of_gpus(gpu_ids, numbers):
    assert gpu_numbers(gpu_ids) == numbers


@pytest.mark.parametrize("gpu_ids", ["a", "0:", "-1", "0;1"])
def test_what_names_no_gpu(gpu_ids):
    with pytest.raises(ConfigError, match=r"class2d\.gpu_ids: .* names no devices"):
        gpu_numbers(gpu_ids)


@pytest.mark.parametrize(
    ("gpu_ids", "before", "after", "n"),
    [
        ("", None, None, 1),
        ("1", None, "1", 1),
        ("1:0", "4,7", "7,4", 2),
        ("", "4,7", "4,7", 1),  # given by the queue, or by a login script: nobody asked for both
        ("0:0,2", None, "0,2", 2),
        ("1", "4,7", "7", 1),
    ],
)
@pytest.mark.parametrize(("use_gpu", "device"), [(True, "auto"), (True, "gpu"), (False, "gpu"), (False, "auto")])
def test_the_process_sees_the_gpus_that_are_asked_for(gpu_ids, before, after, n, use_gpu, device):
    environment = {} if before is None else {VISIBLE: before}
    own, n_gpus = with_gpu(Class2DOptions(use_gpu=use_gpu, gpu_ids=gpu_ids), OwnOptions(device=device), environment)
    assert own.device == ("gpu" if use_gpu else device)
    assert environment.get(VISIBLE) == after
    assert n_gpus == n


@pytest.mark.parametrize(("use_gpu", "device"), [(True, "auto"), (False, "gpu")])
@pytest.mark.parametrize(
    ("gpu_ids", "visible", "words"),
    [
        ("0:2", "4,7", r"GPU 2 is not among the 2 given to the job"),
        ("0", "", r"CUDA_VISIBLE_DEVICES names none"),
        ("", "", r"CUDA_VISIBLE_DEVICES names none"),
        ("", "-1", r"CUDA_VISIBLE_DEVICES names none"),
    ],
)
def test_gpus_that_cannot_be_had(use_gpu, device, gpu_ids, visible, words):
    with pytest.raises(ConfigError, match=words):
        with_gpu(Class2DOptions(use_gpu=use_gpu, gpu_ids=gpu_ids), OwnOptions(device=device), {VISIBLE: visible})
    environment = {VISIBLE: visible}
    assert with_gpu(Class2DOptions(gpu_ids=gpu_ids), OwnOptions(), environment) == (OwnOptions(), 1)
    assert environment == {VISIBLE: visible}


def test_auto_takes_as_many_gpus_as_there_are(monkeypatch):
    """The names of GPUs may be right on one machine of a queue and wrong on the next."""
    runtime = SimpleNamespace(getDeviceCount=lambda: 1)
    monkeypatch.setattr(arrays, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    monkeypatch.setattr(arrays, "gpu_is_usable", lambda: True)
    assert [device.number for device in arrays.devices_of("auto", 2)] == [0]
    with pytest.raises(RuntimeError, match="2 GPUs are named, but this process sees 1"):
        arrays.devices_of("gpu", 2)


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu"])
def test_a_malformed_list_of_gpus_is_always_an_error(device):
    with pytest.raises(ConfigError, match="names no devices"):
        with_gpu(Class2DOptions(gpu_ids="0;1"), OwnOptions(device=device), {})
    values = {"class2d": {"do_em": True, "gpu_ids": "0;1"}, "own": {"device": device}}
    with pytest.raises(ConfigError, match="names no devices"):
        check_config({"input": {"particles": "a.star"}, "rounds": [{}]} | values)


def test_use_gpu_contradicts_the_cpu():
    with pytest.raises(ConfigError, match=r"contradicts own\.device: cpu"):
        with_gpu(Class2DOptions(use_gpu=True), OwnOptions(device="cpu"), {})


def test_without_use_gpu_the_device_is_ours_to_say():
    environment = {}
    assert with_gpu(Class2DOptions(gpu_ids="3:4"), OwnOptions(device="cpu"), environment)[0].device == "cpu"
    assert environment == {}


def test_a_config_with_use_gpu_asks_for_the_gpu():
    config = {"input": {"particles": "a.star"}, "class2d": {"do_em": True, "use_gpu": "Yes"}, "rounds": [{}, {}]}
    assert [item.own.device for item in check_config(config).rounds] == ["gpu", "gpu"]
    assert check_config(config | {"class2d": {"do_em": True}}).rounds[0].own.device == "auto"
