"""One micrograph under two names: folders, extensions, cryoSPARC's numbers and what motion correction adds."""

from __future__ import annotations

import pytest

from winnow2d.errors import StarError
from winnow2d.formats.micrograph_names import matched_micrographs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("MotionCorr/job002/Movies/mic_0001.mrc", "MotionCorr/job002/Movies/mic_0001.mrc"),
        ("MotionCorr/job002/Movies/mic_0001.mrc", "mic_0001.mrc"),
        ("Movies/mic_0001.mrcs", "elsewhere/mic_0001.tiff"),
        ("Movies/mic_0001_DW.mrc", "Movies/mic_0001.mrc"),
        ("Movies/mic_0001.mrc", "J4/motioncorrected/008134528123450123456_mic_0001_patch_aligned_doseweighted.mrc"),
        ("Movies/20170629_00021_frameImage.tiff", "J1/imported/20170629_00021_frameImage_rigid_aligned.mrc"),
        ("Movies/20170629_00021.mrc", "J1/imported/20170629_00021_fractions.eer"),
    ],
)
def test_the_same_micrograph_is_found_under_another_name(ours, theirs):
    others = ["Movies/mic_00010.mrc", "Movies/20170629_00022.mrc", "x/mic_0002_DW.mrc"]
    assert matched_micrographs([ours, "Movies/other.mrc"], [theirs, *others]) == {ours: theirs}


def test_folders_decide_between_micrographs_of_one_name():
    ours = ["a/session1/m_01.mrc", "a/session2/m_01.mrc"]
    theirs = ["b/c/session2/m_01_DW.mrc", "b/c/session1/m_01_DW.mrc"]
    assert matched_micrographs(ours, theirs) == {ours[0]: theirs[1], ours[1]: theirs[0]}


def test_a_micrograph_that_the_other_set_lacks_takes_no_namesake():
    assert matched_micrographs(["session1/m.mrc", "session2/m.mrc"], ["x/session2/m.mrc"]) == {
        "session2/m.mrc": "x/session2/m.mrc"
    }


def test_what_folders_cannot_tell_is_an_error_that_names_them():
    with pytest.raises(StarError, match=r"m\.mrc may be p/m\.mrc or q/m\.mrc"):
        matched_micrographs(["m.mrc"], ["p/m.mrc", "q/m.mrc"])
    with pytest.raises(StarError, match=r"p/m\.mrc and q/m\.mrc may both be m\.mrc"):
        matched_micrographs(["p/m.mrc", "q/m.mrc"], ["m.mrc"])


def test_a_name_that_is_nothing_but_an_addition_stays():
    assert matched_micrographs(["a/_DW.mrc"], ["b/_DW.mrc"]) == {"a/_DW.mrc": "b/_DW.mrc"}
    assert matched_micrographs(["a/_DW.mrc"], ["b/_aligned.mrc"]) == {}
