"""The benchmark of extraction runs, compares the same images, and says so in its table."""

from __future__ import annotations

import pytest

from benchmarks import extraction

pytestmark = pytest.mark.relion


def test_both_programs_are_measured_on_the_same_images(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extraction, "SHAPE", (200, 260))
    monkeypatch.setattr(extraction, "N_DIFFERENT", 2)
    monkeypatch.setitem(extraction.CASES, "64 to 32", extraction.Case("64 to 32", 64, 32))
    size = ["--micrographs", "3", "--particles", "5", "--repeats", "1", "--cores", "1"]
    assert extraction.main(["--out", str(tmp_path), "--cases", "64 to 32", *size]) == 0
    rows = [line.split("\t") for line in (tmp_path / "extraction.tsv").read_text().splitlines()]
    ours, theirs = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert (ours["program"], theirs["program"]) == ("winnow", "relion_preprocess")
    assert 0 < float(ours["difference"]) < 1e-4
    assert float(ours["ratio"]) == pytest.approx(float(ours["rate"]) / float(theirs["rate"]))
    assert "64 to 32" in capsys.readouterr().out
