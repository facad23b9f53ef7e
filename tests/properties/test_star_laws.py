"""read(write(table)) is the table, bit for bit."""

import tempfile
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow2d.errors import StarError
from winnow2d.formats.star import read_star, write_star

CELL = st.one_of(
    st.text(alphabet=st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=12),
    st.text(alphabet="ab_#'\"\\ \t;-", max_size=8),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["nan", "NaN", "<NA>", "data_x", "loop_", "_rlnA", "007", "1.50", "[1,2,3]", "\x0261", "None"]),
)


@st.composite
def tables(draw):
    """Draw a frame of text with any number of columns and rows."""
    labels = draw(
        st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,12}", fullmatch=True), min_size=1, max_size=5, unique=True)
    )
    rows = draw(st.lists(st.lists(CELL, min_size=len(labels), max_size=len(labels)), min_size=1, max_size=6))
    return pd.DataFrame(rows, columns=labels, dtype=object)


@settings(max_examples=300, deadline=None)
@given(loop=tables(), single=tables())
def test_read_of_write_is_the_table(loop, single):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.star")
        pair = single.iloc[0].to_dict()
        try:
            write_star(path, {"loop": loop, "": pair}, comments=["data_ in a comment"])
        except StarError as error:
            if "both kinds of quotes" not in str(error):
                raise
            return
        back = read_star(path)
    pd.testing.assert_frame_equal(back["loop"], loop)
    assert back[""].iloc[0].to_dict() == pair
