import numpy as np
import pandas as pd
import pytest

from winnow2d.errors import WinnowError
from winnow2d.formats.ledger import read_ledger, write_class_ledger, write_particle_ledger


def test_class_ledger_has_the_agreed_columns_and_reads_back(tmp_path):
    features = pd.DataFrame({"resolution_ang": [8.5, 1 / 3], "share": [0.75, 0.25], "n_particles": [30, 10]})
    path = tmp_path / "report/round_01/classes.tsv"
    write_class_ledger(
        path, ["000001@a.mrcs", "000002@a.mrcs"], np.array([0.95, 0.5]), np.array([0.9, 0.123456]), 0.35,
        np.array([True, False]), ["score 0.900 >= rank_threshold 0.35", "low"], features,
    )  # fmt: skip
    lines = path.read_text().splitlines()
    assert lines[0].split("\t") == [
        "class", "image", "good_share", "score", "threshold", "kept", "rule", "decided_by", "n_particles", "share",
        "resolution_ang",
    ]  # fmt: skip
    assert lines[2] == "2\t000002@a.mrcs\t0.500000\t0.123456\t0.35\tno\tlow\tautomatic\t10\t0.25\t0.333333"
    table = read_ledger(path)
    assert table["kept"].tolist() == [True, False]
    assert table["n_particles"].tolist() == [30, 10]
    assert table["image"].tolist() == ["000001@a.mrcs", "000002@a.mrcs"]


def test_particle_ledger_gives_the_reason_of_the_class(tmp_path):
    path = tmp_path / "particles.tsv"
    write_particle_ledger(
        path, ["1@a", "2@a", "3@a"], np.array([1, -1, 0]), np.array([0.5, 0, 1]), np.array([False, True]), ["low", "ok"]
    )
    assert path.read_text().splitlines() == [
        "image_name\tclass\tmax_probability\tkept\treason",
        "1@a\t2\t0.500000\tyes\tclass 2: ok",
        "2@a\t0\t0.000000\tno\tnever classified",
        "3@a\t1\t1.000000\tno\tclass 1: low",
    ]


def test_a_broken_ledger_is_named_with_its_line(tmp_path):
    path = tmp_path / "classes.tsv"
    path.write_text("class\tkept\n1\tyes\n2\n")
    with pytest.raises(WinnowError, match="line 3 has 1 fields, the header 2"):
        read_ledger(path)
    with pytest.raises(WinnowError, match="missing"):
        read_ledger(tmp_path / "none.tsv")
