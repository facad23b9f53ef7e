"""Fixtures every test may use, and what happens when a program or a device is missing."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest

import slurm_cluster

REPOSITORY = Path(__file__).resolve().parent.parent
hypothesis.settings.register_profile("winnow", deadline=None)  # no test is about how busy a machine is
hypothesis.settings.load_profile("winnow")
PIPELINER = REPOSITORY / ".venv-pipeliner/bin"  # the CCP-EM Pipeliner has an environment of its own


def _has_gpu() -> bool:
    try:
        import cupy
    except ImportError:
        return False
    return cupy.cuda.runtime.getDeviceCount() > 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip visibly what cannot run here; where it must be able to run (WINNOW_CI), fail instead."""
    if item.get_closest_marker("relion") and shutil.which("relion_refine") is None:
        if os.environ.get("WINNOW_CI"):
            pytest.fail("RELION is not installed, and WINNOW_CI asks for every RELION test to run")
        pytest.skip("RELION is not installed (no relion_refine on PATH)")
    if item.get_closest_marker("pipeliner") and not (PIPELINER / "pipeliner").exists():
        if os.environ.get("WINNOW_CI"):
            pytest.fail("the CCP-EM Pipeliner is not installed, and WINNOW_CI asks for every test of it to run")
        pytest.skip("the CCP-EM Pipeliner is not installed (make pipeliner)")
    if item.get_closest_marker("browser") and shutil.which("chromium") is None:
        if os.environ.get("WINNOW_CI"):
            pytest.fail("Chromium is not installed, and WINNOW_CI asks for every browser test to run")
        pytest.skip("Chromium is not installed (no chromium on PATH)")
    if item.get_closest_marker("slurm") and (lacking := slurm_cluster.missing()):
        if os.environ.get("WINNOW_CI"):
            pytest.fail(f"no {', '.join(lacking)}, and WINNOW_CI asks for every test of the queue to run")
        pytest.skip(f"a Slurm of its own needs {', '.join(lacking)} (apt-get install slurm-wlm munge, and be root)")
    if item.get_closest_marker("gpu") and not _has_gpu():
        if os.environ.get("WINNOW_GPU_CI"):
            pytest.fail("no GPU found, and WINNOW_GPU_CI asks for every GPU test to run")
        pytest.skip("no CuPy or no GPU on this machine")


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    """Return the array module a test body runs on."""
    return pytest.importorskip(request.param)


@pytest.fixture(scope="session")
def host_modules(tmp_path_factory):
    """Return what compiles the CUDA sources as C++ for this CPU, in place of the GPU's compiler."""
    if shutil.which("g++") is None:
        if os.environ.get("WINNOW_CI"):
            pytest.fail("g++ is not installed, and WINNOW_CI asks for every test of the CUDA sources to run")
        pytest.skip("g++ is not installed: the CUDA sources cannot be compiled for this CPU")
    from cuda_sources import HostModule

    folder = tmp_path_factory.mktemp("cuda")
    return lru_cache(lambda name, real, is_backwards=False: HostModule(name, real, folder, is_backwards))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Return a headless Chromium, one for all tests; each opens pages of its own."""
    from chromium import Browser

    program = shutil.which("chromium")
    assert program is not None
    started = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


@pytest.fixture
def shown(browser, tmp_path):
    """Return a function that opens the page of some rounds; it must not have complained when the test ends."""
    from report_records import make_project
    from winnow2d.report.page import render_page

    pages = []

    def show(*rounds, name="index.html", **about):
        path = tmp_path / name
        path.write_text(render_page(make_project(60), rounds), encoding="utf-8")
        pages.append(browser.open(path, tmp_path / "downloads", **about))
        return pages[-1]

    yield show
    for page in pages:
        assert page.complaints() == []
        page.close()


@pytest.fixture(
    params=[
        "plain", pytest.param("plain, gpu", marks=pytest.mark.gpu), "cuda source",
        pytest.param("cuda, gpu", marks=pytest.mark.gpu),
    ]
)  # fmt: skip
def twin(request, monkeypatch):
    """Return kernels that keep the contract of the compiled loops, and the array module they run on.

    The CUDA kernels are those that do the work, never their twins; without a GPU they are run as C++ on the CPU.
    """
    from winnow2d.numerics.kernels import cuda, plain
    from winnow2d.numerics.kernels.cuda import launch

    name, _, device = request.param.partition(", ")
    xp = pytest.importorskip("cupy") if device else np
    if name == "plain":
        return SimpleNamespace(kernels=plain, xp=xp)
    if not device:
        monkeypatch.setattr(launch, "module_of", request.getfixturevalue("host_modules"))
    own = {name: getattr(cuda, name) for name in cuda.__all__}
    return SimpleNamespace(kernels=SimpleNamespace(**{n: getattr(f, "__wrapped__", f) for n, f in own.items()}), xp=xp)


@pytest.fixture(scope="session")
def cluster():
    """Return a running Slurm of two nodes with two GPUs each; it ends with the tests."""
    with slurm_cluster.running_cluster() as found:
        yield found


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(1)


@pytest.fixture
def repository() -> Path:
    """Return the folder of the repository."""
    return REPOSITORY


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Return an empty project directory, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
