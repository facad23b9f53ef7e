"""RELION's class ranker asks our program for scores: its files, its ways of calling, its way of reading the answer."""

import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from winnow2d.relion_ranker import as_relion_reads

GOLDEN = Path(__file__).parents[1] / "golden" / "relion5" / "Select"
NAME = "relion_python_classranker"


def entry_point(repository):
    """Return the program as pip's wrapper of the declared console script starts it."""
    declared = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"][NAME]
    module, function = declared.split(":")
    return [sys.executable, "-c", f"import sys; from {module} import {function}; sys.exit({function}())"]


@pytest.fixture
def ask(repository):
    """Return a function that starts the program with arguments, where only the package can be imported."""

    def ask(*arguments, program=None):
        command = [*(program or entry_point(repository)), *map(str, arguments)]
        environment = {"PYTHONPATH": str(repository / "scripts"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return ask


def as_relion_does(answer, n_classes):
    """Return the scores RELION finds in an answer: what stands before each blank, as single precision numbers.

    What follows the last blank is not looked at; with another number of scores RELION stops.
    """
    *tokens, _ = answer.split(" ")
    scores = np.array([float(token) for token in tokens])
    assert len(scores) == n_classes
    assert np.isfinite(scores).all()
    assert ((scores == 0) | (np.abs(scores) > 1.2e-38)).all()  # its reader refuses smaller ones
    return scores


def write(folder, features, pictures):
    np.save(folder / "features.npy", features)
    np.save(folder / "images.npy", pictures)


def job(n_classes=3):
    features = np.load(GOLDEN / "job004" / "features.npy")[:n_classes]
    return features, np.load(GOLDEN / "job004" / "images.npy")[:n_classes]


def test_relions_own_files(ask):
    done = ask(GOLDEN / "job005")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "\n" not in done.stdout
    scores = as_relion_does(done.stdout, 5)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(set(scores)) == 5


def test_scores_are_in_the_order_of_the_classes(ask, tmp_path):
    features, pictures = job(5)
    order = [3, 1, 4, 0, 2]
    write(tmp_path, features[order], pictures[order])
    there, here = ask(GOLDEN / "job004"), ask(tmp_path)
    np.testing.assert_allclose(as_relion_does(here.stdout, 5), as_relion_does(there.stdout, 5)[order], atol=2e-6)


def test_a_folder_named_with_a_slash_as_relion_names_it(ask):
    assert ask(f"{GOLDEN / 'job005'}/").stdout == ask(GOLDEN / "job005").stdout


@pytest.mark.parametrize("before", [["/usr/bin/relion_class_ranker.py"], ["relion_class_ranker.py", "model.pt"]])
def test_relion_4_names_its_script_and_maybe_its_weights_first(ask, before):
    """Found by running relion_class_ranker 4.0.2 with and without weights."""
    done = ask(*before, GOLDEN / "job005")
    assert done.stdout == ask(GOLDEN / "job005").stdout
    as_relion_does(done.stdout, 5)


def test_as_a_module_of_any_python(ask):
    done = ask(GOLDEN / "job005", program=[sys.executable, "-m", "winnow2d.relion_ranker"])
    assert done.stdout == ask(GOLDEN / "job005").stdout
    as_relion_does(done.stdout, 5)


def test_installed_beside_python(ask):
    installed = Path(sys.executable).with_name(NAME)
    if not installed.exists():
        pytest.skip("the environment was made before this program was declared: make test")
    assert ask(GOLDEN / "job005", program=[installed]).stdout == ask(GOLDEN / "job005").stdout


def test_no_class_is_no_score(ask, tmp_path):
    write(tmp_path, *(array[:0] for array in job()))
    done = ask(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_class(ask, tmp_path):
    write(tmp_path, *job(1))
    as_relion_does(ask(tmp_path).stdout, 1)


def test_it_starts_fast_and_needs_little(ask):
    """Neither torch nor scikit-learn nor the network; nor what takes long to import."""
    code = f"""
import sys
from winnow2d.relion_ranker import main
main([{str(GOLDEN / "job005")!r}])
sys.stderr.write(" ".join(sorted(set(name.split(".")[0] for name in sys.modules))))
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    imported = set(ask(program=[sys.executable, "-c", code]).stderr.split())
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2.5  # 0.3 s where nothing else runs
    assert "numpy" in imported
    assert not imported & {"torch", "sklearn", "pandas", "numba", "cupy", "snakemake", "ssl", "http", "matplotlib"}


def test_two_hundred_classes(ask, tmp_path):
    features, pictures = (np.concatenate([array] * 40) for array in job(5))
    write(tmp_path, features, pictures)
    as_relion_does(ask(tmp_path).stdout, 200)


def told(done):
    """Return what a refusal says; nothing may be on standard output, since RELION would take it for scores."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert all(line.startswith(f"{NAME}: ") for line in done.stderr.splitlines())
    return done.stderr


def test_both_files_are_missing(ask, tmp_path):
    said = told(ask(tmp_path))
    assert len(said.splitlines()) == 2
    assert f"{tmp_path}/features.npy: no such file" in said
    assert f"{tmp_path}/images.npy: no such file" in said


def spoiled(name):
    features, pictures = (array.copy() for array in job())
    if name == "columns":
        features = features[:, :23]
    elif name == "pixels":
        pictures = pictures[:, :, :63]
    elif name == "flat":
        pictures = pictures.reshape(3, -1)
    elif name == "counts":
        pictures = pictures[:2]
    elif name == "nan":
        features[1, 2] = np.nan
    elif name == "infinite":
        pictures[2, 5, 7] = np.inf
    elif name == "integers":
        features = features.astype(int)
    elif name == "objects":
        features = np.array([None] * 3)
    elif name == "number":
        features = np.float32(3)
    return features, pictures


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("columns", r"features.npy: 3 x 23, expected classes x 24"),
        ("pixels", r"images.npy: 3 x 64 x 63, expected classes x 64 x 64"),
        ("flat", r"images.npy: 3 x 4096, expected classes x 64 x 64"),
        ("counts", r"numbers of classes differ, 3 in features.npy and 2 in images.npy"),
        ("nan", r"features.npy: class 2, weighted_resolution: nan \(1 numbers are not finite\)"),
        ("infinite", r"images.npy: class 3, pixel 5, 7: inf"),
        ("integers", r"features.npy: numbers of type int64, expected floating point"),
        ("objects", r"features.npy: not a NumPy array file of numbers"),
        ("number", r"features.npy: a single number, expected classes x 24"),
    ],
)
def test_files_that_are_not_as_relion_writes_them(ask, tmp_path, name, said):
    write(tmp_path, *spoiled(name))
    problem = told(ask(tmp_path))
    assert len(problem.splitlines()) == 1
    assert re.search(said, problem)


@pytest.mark.parametrize("length", [0, 5, 100, 400])
def test_a_file_that_was_not_written_to_the_end(ask, tmp_path, length):
    write(tmp_path, *job())
    whole = (tmp_path / "features.npy").read_bytes()
    (tmp_path / "features.npy").write_bytes(whole[:length])
    assert "features.npy: not a NumPy array file" in told(ask(tmp_path))


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c", "d"]])
def test_arguments_of_neither_relion(ask, arguments):
    done = ask(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: relion_python_classranker" in done.stderr


def test_small_and_large_scores_as_text():
    assert as_relion_reads(np.array([0.0, 1e-45, 0.5, 1.0])) == "0.000000 0.000000 0.500000 1.000000 "
