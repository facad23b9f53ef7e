"""Which micrograph particles that are cut again belong to."""

from types import SimpleNamespace

import pandas as pd
import pytest

from winnow2d.extraction.plan import _matching


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["MotionCorr/job002/a/m1.mrc"], {"MotionCorr/job002/a/m1.mrc": 0}),  # behind the job
        (["elsewhere/m1.mrc"], {"elsewhere/m1.mrc": 0}),  # bare name
        (["setA/m1.mrc", "setB/m1.mrc"], {}),  # two of one name: neither is surely the one there is
    ],
)
def test_a_micrograph_is_known_by_its_name_or_by_the_only_one_like_it(wanted, found):
    table = SimpleNamespace(micrographs=pd.DataFrame({"rlnMicrographName": ["MotionCorr/job009/a/m1.mrc"]}))
    assert _matching(table, wanted) == found
