"""The GPU's kernels: what compiles them, what starts them, and what happens where they go wrong.

Without a GPU they are compiled as C++ and run on the CPU, thread by thread; `twin` in the other tests of this folder
does the same. What this cannot show is how a GPU runs them: there each is tried against its plain twin first.
"""

import inspect
import logging

import numpy as np
import pytest

import nvrtc
from cuda_sources import HostModule, declared
from winnow2d.numerics.kernels import KERNELS, cuda, loops, plain
from winnow2d.numerics.kernels.cuda import launch, trial
from winnow2d.numerics.kernels.cuda.problems import PROBLEMS, serially

REALS = [np.dtype(np.float32), np.dtype(np.float64)]
reals = pytest.mark.parametrize("real", REALS, ids=str)


# What there is


def test_kernels_of_all_kinds_keep_one_contract():
    assert KERNELS == {"numpy": loops, "cupy": cuda}
    assert sorted(cuda.__all__) == sorted(plain.__all__) == sorted(loops.__all__)
    for name in cuda.__all__:
        names = [list(inspect.signature(getattr(module, name)).parameters) for module in (cuda, plain, loops)]
        shortest = min(map(len, names))
        assert names[0][:shortest] == names[1][:shortest] == names[2][:shortest], name


def test_every_kernel_that_is_not_plain_is_tried_first():
    own = {name for name in cuda.__all__ if getattr(cuda, name) is not getattr(plain, name)}
    assert own == set(PROBLEMS)
    assert all(hasattr(getattr(cuda, name), "__wrapped__") for name in own)


def test_every_source_is_listed_and_travels_with_the_package(repository):
    folder = repository / "scripts/winnow2d/numerics/kernels/cuda"
    assert sorted(path.stem for path in folder.glob("*.cu")) == sorted(launch.SOURCES)
    assert '"winnow2d.numerics.kernels.cuda" = ["*.cu"]' in (repository / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", launch.SOURCES)
def test_no_kernel_adds_floating_point_numbers_where_others_do(name):
    """Atomic additions are of whole numbers only, or results would depend on timing."""
    text = launch.source(name)
    for line in text.splitlines():
        if "atomicAdd" in line:
            assert any(place in line for place in ("&counts[b]", "&weights[b]", "&kept", "&n_found"))
    for place in ("weights[BINS]", "counts[BINS]", "kept", "n_found"):
        for line in text.splitlines():
            if "__shared__" in line and place in line:
                assert "unsigned" in line


# NVIDIA's compiler


@reals
@pytest.mark.parametrize("name", launch.SOURCES)
@pytest.mark.parametrize("architecture", ["compute_75", "compute_90"])
def test_nvrtc_compiles_every_source_without_a_warning(name, real, architecture):
    compiler = nvrtc.compiler()
    if compiler is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12): no CUDA compiler to ask")
    options = [*launch.options(name, real), f"--gpu-architecture={architecture}"]
    ptx, log = nvrtc.compiled(compiler, launch.source(name), f"{name}.cu", options)
    assert (bool(ptx), log.strip()) == (True, "")
    for kernel in declared(launch.source(name)):
        assert f".entry {kernel}(".encode() in ptx


# On the CPU


@reals
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_order_of_threads_changes_no_byte(host_modules, monkeypatch, name, real):
    """Forwards and backwards: a missing barrier, or a sum that two threads share, would show."""
    found = []
    for is_backwards in (False, True):
        monkeypatch.setattr(launch, "module_of", lambda n, r, b=is_backwards: host_modules(n, r, b))
        arguments = PROBLEMS[name](real, np)
        returned = getattr(cuda, name).__wrapped__(*arguments)
        found.append(trial._arrays(arguments if returned is None else returned))
    assert len(found[0]) > 0
    for one, other in zip(*found, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_trial_finds_every_kernel_good(host_modules, monkeypatch, caplog, name):
    monkeypatch.setattr(launch, "module_of", host_modules)
    assert trial.is_good.__wrapped__(getattr(cuda, name).__wrapped__, np), caplog.text
    assert not caplog.records


def test_no_problem_of_a_trial_is_on_the_edge():
    """Another order of sums in single precision must not change which poses are significant or kept."""
    for name in ("select_coarse", "score_fine"):
        for seed in range(5):
            found = []
            for change in (0.0, 1e-5):
                arguments, rng = PROBLEMS[name](REALS[1], np), np.random.default_rng(seed)
                for array in trial._arrays(arguments):
                    if array.dtype == REALS[1]:
                        array *= 1 + change * rng.normal(size=array.shape)
                found.append(
                    [part for part in trial._arrays(getattr(plain, name)(*arguments)) if part.dtype.kind == "i"]
                )
            for one, other in zip(*found, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@pytest.mark.parametrize("fault", ["differs", "raises"])
def test_a_kernel_that_goes_wrong_is_told_of_once_and_not_used(caplog, name, fault):
    """Whatever goes wrong, the plain twin gives the result."""

    def wrong(*arguments):
        if fault == "raises":
            raise OSError("no such driver")
        returned = getattr(plain, name)(*arguments)
        result = trial._arrays(arguments if returned is None else returned)[-1]
        result[...] = result * 1.001 + 1  # the last of what is returned, or was written into
        return returned

    wrong.__name__ = name
    caplog.set_level(logging.WARNING)
    either, real = trial.tried(wrong), REALS[1]
    for _ in range(2):
        ours, theirs = PROBLEMS[name](real, np), PROBLEMS[name](real, np)
        results = [(either(*ours), ours), (getattr(plain, name)(*theirs), theirs)]
        found, expected = (trial._arrays(given if returned is None else returned) for returned, given in results)
        for mine, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, other)
    assert len(caplog.records) == 1
    reason = "OSError: no such driver" if fault == "raises" else "float64 and float32"
    assert name in caplog.text
    assert reason in caplog.text


def test_arrays_out_of_memory_order_are_never_started_with(monkeypatch):
    """A kernel writes where it thinks the places are."""
    monkeypatch.setattr(launch, "module_of", lambda name, real: pytest.fail("started"))
    with pytest.raises(ValueError, match=r"images\.shifted_rows.*not contiguous"):
        launch.launch("images", "shifted_rows", REALS[0], (1,), 4, np.zeros((4, 4)).T)


def test_without_a_compiler_the_plain_operations_do_the_work(monkeypatch, caplog):
    def missing(name, real):
        raise RuntimeError("no nvrtc")

    monkeypatch.setattr(launch, "module_of", missing)
    assert not trial.is_good.__wrapped__(cuda.shifted_rows.__wrapped__, np)
    assert "RuntimeError: no nvrtc" in caplog.text


# The tool that runs kernels on the CPU


UNEVEN = """
extern "C" __global__ void kernel(long long n, long long *out)
{
    if ((long long)threadIdx.x >= n)
        return;
    __syncthreads();
    out[threadIdx.x] = 1;
}
"""
UNGUARDED = """
extern "C" __global__ void kernel(long long n, long long *out)
{
    __shared__ long long last;
    last = threadIdx.x;
    BARRIER
    out[threadIdx.x] = last;
}
"""


def started(folder, code, n, is_backwards=False):
    out = np.zeros(4, np.int64)
    folder.mkdir(exist_ok=True)
    HostModule("text", REALS[0], folder, is_backwards, code).get_function("kernel")((1,), (4,), (np.int64(n), out))
    return out.tolist()


def test_a_barrier_that_only_some_threads_reach_is_an_error(host_modules, tmp_path):
    assert started(tmp_path, UNEVEN, 4) == [1, 1, 1, 1]
    with pytest.raises(AssertionError, match="some threads end"):
        started(tmp_path, UNEVEN, 2)


def test_a_missing_barrier_shows(host_modules, tmp_path):
    without, with_one = UNGUARDED.replace("BARRIER", ""), UNGUARDED.replace("BARRIER", "__syncthreads();")
    assert started(tmp_path / "a", without, 4) == [0, 1, 2, 3]
    assert started(tmp_path / "b", with_one, 4) == [3, 3, 3, 3]
    assert started(tmp_path / "c", with_one, 4, True) == [0, 0, 0, 0]


def test_arguments_of_another_type_are_refused(host_modules, tmp_path):
    module = HostModule("text", REALS[0], tmp_path, code=UNEVEN)
    for arguments in ((np.int64(1), np.zeros(4)), (np.float64(1), np.zeros(4, np.int64)), (np.int64(1),)):
        with pytest.raises(AssertionError):
            module.get_function("kernel")((1,), (4,), arguments)


def test_classes_are_taken_one_after_the_other():
    seen = []
    serially(seen.append, range(3))
    assert seen == [0, 1, 2]
