"""Fixtures every test may use, and what happens when a program or a device is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


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
    if item.get_closest_marker("browser") and shutil.which("chromium") is None:
        if os.environ.get("WINNOW_CI"):
            pytest.fail("Chromium is not installed, and WINNOW_CI asks for every browser test to run")
        pytest.skip("Chromium is not installed (no chromium on PATH)")
    if item.get_closest_marker("gpu") and not _has_gpu():
        if os.environ.get("WINNOW_GPU_CI"):
            pytest.fail("no GPU found, and WINNOW_GPU_CI asks for every GPU test to run")
        pytest.skip("no CuPy or no GPU on this machine")


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    """Return the array module a test body runs on."""
    return pytest.importorskip(request.param)


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
