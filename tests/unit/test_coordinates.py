"""Coordinates in every form a user may bring them, and what is said of those that cannot be read."""

from __future__ import annotations

import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.formats.coordinates import coordinate_file, is_pattern, micrograph_stem, read_coordinate_list
from winnow2d.formats.coordinates import read_coordinates as read
from winnow2d.formats.star import write_star

MICROGRAPH = "MotionCorr/job002/Movies/2017_0001.frames.mrc"


@pytest.fixture
def file(tmp_path):
    """Return a function that writes text to a file of a name and gives its path."""

    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def places(table):
    return table[["rlnCoordinateX", "rlnCoordinateY"]].astype(float).to_numpy().tolist()


def test_the_first_table_of_a_star_file_is_taken_with_all_its_columns(tmp_path):
    first = pd.DataFrame({"rlnCoordinateX": ["1.5"], "rlnCoordinateY": ["2"], "rlnAutopickFigureOfMerit": ["0.30"]})
    write_star(tmp_path / "a.star", {"": first, "other": first})
    assert read(tmp_path / "a.star").to_dict("list") == first.to_dict("list")


def test_the_mark_of_a_click_is_dropped(tmp_path):
    table = pd.DataFrame({"rlnCoordinateX": ["1"], "rlnCoordinateY": ["2"], "rlnParticleSelectionType": ["2"]})
    write_star(tmp_path / "a.star", {"": table})
    assert list(read(tmp_path / "a.star")) == ["rlnCoordinateX", "rlnCoordinateY"]


@pytest.mark.parametrize("text", ["", "\n\n", "\n# version 30001\n\ndata_\n\nloop_ \n_rlnCoordinateX #1 \n\n"])
def test_a_star_file_of_a_picker_that_found_nothing_has_no_rows(file, text):
    assert len(read(file("a.star", text))) == 0


def test_a_box_file_gives_centres(file):
    assert places(read(file("a.box", "10 20 64 64\n-5\t7 64 64 -3\n"))) == [[42.0, 52.0], [27.0, 39.0]]


def test_plain_text_may_have_a_header(file):
    assert places(read(file("a.txt", "x y\n10 20\n\n3.5 4 7\n"))) == [[10.0, 20.0], [3.5, 4.0]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.star", "data_\n\nloop_\n_rlnCoordinateX #1\n1\n", "a.star: its first table has no column rlnCoordinateY"),
        (
            "a.star",
            "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n3 nan\n",
            "a.star: row 2: rlnCoordinateY is 'nan', expected a number of pixels",
        ),
        ("a.star", "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n3\n", "a.star: line 7"),
        ("a.star", "no star file", "a.star: line 1: expected a table"),
        ("a.box", "10 20 64 64\n10 20\n", "a.box: line 2: expected x y width height, found '10 20'"),
        ("a.txt", "1 2\nx 2\n", "a.txt: line 2: expected x y, found 'x 2'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_row(file, name, text, words):
    with pytest.raises(StarError, match=r"\w") as told:
        read(file(name, text))
    assert words in str(told.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StarError, match=r"none\.star: no such file"):
        read(tmp_path / "none.star")


def test_names_follow_relion():
    assert micrograph_stem(MICROGRAPH) == "Movies/2017_0001.frames"
    assert micrograph_stem("Micrographs/a.mrc.bz2") == "Micrographs/a"
    assert micrograph_stem("/data/x/MotionCorr/job002/Movies/a.tif") == "Movies/a"
    picks = "AutoPick/job004/Movies/2017_0001.frames_pick.star"
    assert coordinate_file("AutoPick/job004/*_pick.star", MICROGRAPH).as_posix() == picks
    assert coordinate_file("AutoPick/job004/coords_suffix_pick.star", MICROGRAPH).as_posix() == picks


def test_the_bare_name_of_a_micrograph_will_do(tmp_path):
    (tmp_path / "2017_0001.frames.box").write_text("")
    found = coordinate_file(f"{tmp_path}/*.box", MICROGRAPH)
    assert found == tmp_path / "2017_0001.frames.box"


def test_what_is_a_pattern():
    assert is_pattern("a/*.star")
    assert is_pattern("AutoPick/job004/coords_suffix_autopick.star")
    assert not is_pattern("AutoPick/job004/autopick.star")


def test_a_micrograph_listed_twice_is_refused():
    table = pd.DataFrame({"rlnMicrographName": ["a", "b", "a"], "rlnMicrographCoordinates": ["1", "2", "3"]})
    with pytest.raises(StarError, match=r"list\.star: rows 1 and 3 name the same micrograph, a"):
        read_coordinate_list("list.star", table)


def test_a_list_without_its_columns_is_refused():
    with pytest.raises(StarError, match="no column rlnMicrographCoordinates"):
        read_coordinate_list("list.star", pd.DataFrame({"rlnMicrographName": ["a"]}))
