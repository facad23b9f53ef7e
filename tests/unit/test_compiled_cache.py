"""Where compiled loops are kept: a folder of its own for every state of the sources, wherever one can be written."""

import os
import shutil
import subprocess
import sys

import pytest

ASK = "from winnow2d.numerics.kernels import compiled; print(compiled._CACHE)"


def kept_in(repository, **environment):
    """Return where a new process would keep them, and what it says."""
    known = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    known |= {"PYTHONPATH": str(repository / "scripts")} | environment
    done = subprocess.run([sys.executable, "-c", ASK], env=known, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_beside_the_sources(repository):
    folder, _ = kept_in(repository)
    assert folder.startswith(str(repository / "scripts/winnow2d/numerics/kernels/__pycache__/compiled-"))


def test_a_folder_that_is_named_holds_one_for_every_state(repository, tmp_path):
    folder, _ = kept_in(repository, NUMBA_CACHE_DIR=str(tmp_path))
    assert folder.startswith(f"{tmp_path}/compiled-")


def test_a_folder_that_cannot_be_written_is_passed_over(repository, tmp_path):
    (tmp_path / "file").touch()
    folder, said = kept_in(repository, NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert "__pycache__" in folder
    assert said == ""


@pytest.mark.parametrize("change", ["significance.py", "compiled.py"])
def test_the_folder_is_another_when_a_source_changes(repository, tmp_path, change):
    copy = tmp_path / "repo"
    shutil.copytree(repository / "scripts", copy / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    before, _ = kept_in(copy)
    with (copy / "scripts/winnow2d/numerics/kernels" / change).open("a") as file:
        file.write("# changed\n")
    assert kept_in(copy)[0] != before
