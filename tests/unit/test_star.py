"""Reading refuses every trap by line number; writing has RELION's layout."""

import numpy as np
import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.formats.star import format_float, number_column, read_star, write_star

LOOP = "\n# version 30001\n\ndata_t\n\nloop_ \n_rlnA #1 \n_rlnB #2 \n"


def write(tmp_path, text):
    path = tmp_path / "a.star"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_cells_stay_the_text_they_are(tmp_path):
    rows = LOOP + "007 1.50\nnan <NA>\n1e5 '' \n\"a b\" it's\na#b c\\d # comment\ndata_1.mrc _x\n"
    table = read_star(write(tmp_path, rows))["t"]
    assert table.to_numpy().tolist() == [
        ["007", "1.50"],
        ["nan", "<NA>"],
        ["1e5", ""],
        ["a b", "it's"],
        ["a#b", "c\\d"],
        ["data_1.mrc", "_x"],
    ]


def test_lists_unnamed_and_empty_tables(tmp_path):
    text = 'data_g\n_rlnA 1\n_rlnB ""\n\ndata_\nloop_\n_name\nx\n\ndata_e\nloop_\n_rlnA\n\n# c\n'
    text += 'data_n\n\ndata_z\n_q "a b"\n'
    tables = read_star(write(tmp_path, text))
    assert list(tables) == ["g", "", "e", "n", "z"]
    assert tables["g"].to_dict("records") == [{"rlnA": "1", "rlnB": ""}]
    assert tables[""]["name"].tolist() == ["x"]
    assert list(tables["e"].columns) == ["rlnA"]
    assert len(tables["e"]) == 0
    assert len(tables["n"].columns) == 0
    assert tables["z"]["q"].tolist() == ["a b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LOOP + "1 2\n\n3 4\n", "line 11: a row of table data_t after a blank"),
        (LOOP + "1 2\n# x\n3 4\n", "line 11: a row of table data_t after a blank or comment"),
        (LOOP + "1 2\n3\n", "line 10: table data_t: 1 values for 2 labels"),
        (LOOP + "1 2\n3 4 5\n", "line 10: table data_t: 3 values for 2 labels"),
        ("data_t\nloop_\n_rlnA\n_rlnA\n1 2\n", "rlnA stands there twice"),
        ("data_t\nloop_\n_rlnA#1\n1\n", "line 3: '_rlnA#1' is not a label"),
        ("data_t\n_rlnA 1\n\ndata_t\n_rlnA 2\n", "line 4: a second table data_t"),
        ("data_t\n_rlnA 1 2\n", "line 2: table data_t: expected one label and one value"),
        ("", "no table"),
        ("hello\n", "line 1: expected a table"),
        (b"\x00\x01", "not a text file"),
        (b"data_t\n_a \xff\n", "not UTF-8"),
    ],
)
def test_traps_are_refused_by_line(tmp_path, text, found):
    with pytest.raises(StarError) as error:
        read_star(write(tmp_path, text))
    assert found in str(error.value)


def test_many_problems_are_counted_and_a_missing_file_is_named(tmp_path):
    with pytest.raises(StarError) as error:
        read_star(write(tmp_path, LOOP + "1\n" * 9))
    assert len(error.value.problems) == 6
    assert "4 more problems" in error.value.problems[-1]
    with pytest.raises(StarError, match="no such file"):
        read_star(tmp_path / "none.star")


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    table = read_star(write(tmp_path, b"\xef\xbb\xbf" + (LOOP + "1 2\n3 4\n").replace("\n", "\r\n").encode()))["t"]
    assert table["rlnB"].tolist() == ["2", "4"]


def test_layout_is_relions(tmp_path):
    path = tmp_path / "o" / "a.star"
    blocks = {
        "g": {"rlnIterationNo": 3, "rlnA": "x", "rlnB": "", "rlnC": 0.5, "rlnD": True},
        "t": pd.DataFrame({"rlnA": ["a", "b c"], "rlnB": [1, 2]}),
        "none": pd.DataFrame({"rlnA": []}),
        "": pd.DataFrame({"rlnQ": ["it's"]}),
    }
    write_star(path, blocks, comments=("one", "two"))
    assert path.read_text() == (
        "# one\n# two\n\n# version 30001\n\ndata_g\n\n"
        f"_rlnIterationNo{'3':>24}\n"
        f"_rlnA{'x':>23}\n"
        '_rlnB                      ""\n'
        f"_rlnC{'0.5':>34}\n"
        f"_rlnD{'1':>34}\n"
        " \n\n# version 30001\n\ndata_t\n\nloop_ \n_rlnA #1 \n_rlnB #2 \n"
        "         a            1 \n"
        '     "b c"            2 \n'
        " \n\n# version 30001\n\ndata_\n\nloop_ \n_rlnQ #1 \n      it's \n \n"
    )
    assert [file.name for file in path.parent.iterdir()] == ["a.star"]


@pytest.mark.parametrize("value", [np.nan, np.inf, None, "a\nb", object(), "' \" "])
def test_what_cannot_be_written_is_refused_and_the_old_file_stays(tmp_path, value):
    path = tmp_path / "a.star"
    path.write_text("old")
    with pytest.raises(StarError, match="table data_t: rlnA"):
        write_star(path, {"t": pd.DataFrame({"rlnA": pd.Series([value], dtype=object)})})
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_numbers_read_back_exactly():
    values = np.random.default_rng(1).normal(size=100) * 10.0 ** np.arange(-50, 50)
    assert [float(text) for text in number_column(values)] == values.tolist()
    assert number_column(np.array([1.23456789]), decimals=6) == ["1.234568"]
    assert number_column(np.array([True, False])) == ["1", "0"]
    assert float(format_float(0.1)) == 0.1
    with pytest.raises(StarError, match="row 2"):
        number_column([1.0, np.inf])


def test_a_long_table_is_written_some_rows_at_a_time(tmp_path, monkeypatch):
    table = pd.DataFrame({"rlnImageName": [f"{i}@a b" for i in range(10)], "rlnAnglePsi": np.arange(10) / 3})
    write_star(tmp_path / "whole.star", {"particles": table, "none": table.iloc[:, :0], "short": table[:1]})
    monkeypatch.setattr("winnow2d.formats.star_writing.ROWS", 3)
    write_star(tmp_path / "parts.star", {"particles": table, "none": table.iloc[:, :0], "short": table[:1]})
    assert (tmp_path / "parts.star").read_bytes() == (tmp_path / "whole.star").read_bytes()
    assert list(read_star(tmp_path / "parts.star")) == ["particles", "short"]
    table.loc[7, "rlnAnglePsi"] = np.nan
    with pytest.raises(StarError, match=r"parts\.star: table data_particles: rlnAnglePsi: row 8: nan"):
        write_star(tmp_path / "parts.star", {"particles": table})
    assert (tmp_path / "parts.star").read_bytes() == (tmp_path / "whole.star").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2
