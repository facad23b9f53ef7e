import hashlib

import numpy as np
import pandas as pd
import pytest

from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.errors import ConfigError, StarError
from winnow2d.formats.overrides import check_fits, check_overrides, path_of, read_overrides, selected_in
from winnow2d.formats.star import write_star


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="round_02.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write_text


def test_entries_have_reasons_and_names_of_their_own_or_of_all(write):
    path = write(
        "round: 2\nby: Jane Doe\nwhy: carbon edges\nmade_for: 3F2a\n"
        "keep: [3, {class: 7, why: good side view, by: Ann}]\n"
        "drop: [12, {class: 13, why: ice}]\n"
    )
    assert read_overrides(path) == ByHand(
        str(path),
        (
            ClassDecision(2, True, "carbon edges", "Jane Doe"),
            ClassDecision(6, True, "good side view", "Ann"),
            ClassDecision(11, False, "carbon edges", "Jane Doe"),
            ClassDecision(12, False, "ice", "Jane Doe"),
        ),
        "3f2a",
    )


def test_a_file_without_a_name_is_by_hand_and_its_text_is_one_cell_of_a_table(write):
    (item,) = read_overrides(write('drop: [{class: 1, why: "a\\tb\\nc"}]\n')).decisions
    assert item == ClassDecision(0, False, "a b c", "by hand")


def test_all_faults_are_told_at_once(write):
    path = write("round: 3\nBy: x\nwhy: [1]\nkeep: [3, 4, 4, zero, {class: 5, whi: x}]\ndrop: [3, 0]\n")
    with pytest.raises(ConfigError) as caught:
        read_overrides(path)
    assert list(caught.value.problems) == [
        f"{path}: unknown key 'By'; known are round, by, why, made_for, keep, drop.",
        f"{path}: round: 3, but by its name the file is that of round 2.",
        f"{path}: why: expected a text, found [1].",
        f"{path}: keep, entry 4: expected the number of a class, 1 or more, found 'zero'.",
        f"{path}: keep, entry 5: unknown key 'whi'; known are class, why, by.",
        f"{path}: drop, entry 2: expected the number of a class, 1 or more, found 0.",
        f"{path}: class 3 is in both keep and drop.",
        f"{path}: class 4 is named twice.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keep: [1", "is not valid YAML"),
        ("", "expected keys"),
        ("keep: 3", "keep: expected a list of classes, found 3"),
        ("keep: [true]", "expected the number of a class"),
    ],
)
def test_what_is_no_overrides_file(write, text, words):
    with pytest.raises(ConfigError, match=words):
        read_overrides(write(text))


def test_a_round_by_hand_needs_classes_to_keep(write):
    path = write("drop: [1]\n")
    assert read_overrides(path).decisions
    with pytest.raises(ConfigError, match="keep: names no class, but in a round chosen by hand it is the choice"):
        read_overrides(path, is_automatic=False)


def test_classes_and_averages_must_be_those_of_the_round(tmp_path):
    averages = tmp_path / "run_it003_classes.mrcs"
    averages.write_bytes(b"averages")
    right = hashlib.sha256(b"averages").hexdigest()
    hand = ByHand("o.yaml", (ClassDecision(4, True),), right)
    check_fits(hand, 5, averages)
    with pytest.raises(ConfigError) as caught:
        check_fits(ByHand("o.yaml", (ClassDecision(4, True),), "abc"), 3, averages)
    first, second = caught.value.problems
    assert first == "o.yaml: there is no class 5; the round has 3."
    assert second.startswith(f"o.yaml: made_for: abc, but {averages} is {right}: the choice was made on other class")


def test_faults_of_several_files_come_together_before_anything_runs(write):
    files = [(write("keep: [9]"), False, 5), (write("round: 1", "round_03.yaml"), True, None)]
    with pytest.raises(ConfigError) as caught:
        check_overrides([(str(path), *rest) for path, *rest in files])
    assert [problem.rpartition("/")[2] for problem in caught.value.problems] == [
        "round_02.yaml: there is no class 9; the round has 5.",
        "round_03.yaml: round: 1, but by its name the file is that of round 3.",
    ]


def test_relions_own_file_of_a_choice(tmp_path):
    path = tmp_path / "backup_selection.star"
    write_star(path, {"": pd.DataFrame({"rlnSelected": np.array([0, 1, 1])})})
    assert selected_in(path, 3) == [1, 2]
    with pytest.raises(StarError, match="selects among 3 classes, but the round has 4"):
        selected_in(path, 4)
    write_star(path, {"": pd.DataFrame({"rlnImageName": ["a"]})})
    with pytest.raises(StarError, match="no column rlnSelected"):
        selected_in(path, 1)


def test_the_file_has_the_name_of_its_report_folder():
    assert path_of("02") == "overrides/round_02.yaml"
    assert path_of("11") == "overrides/round_11.yaml"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("round_02.yaml", "why: 2026-02-30\nkeep: [1]\n", "is not valid YAML"),
        ("round_02.yaml", 'round: "\u00b2"\nkeep: [1]\n', "by its name the file is that of round 2"),
        ("mine.yaml", "keep: [1]\n", "expected a file called round_NN.yaml"),
        ("round_02.yaml", "by: Automatic\nkeep: [1]\n", "is what Winnow calls its own rules"),
    ],
)
def test_odd_files_end_with_one_sentence(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_overrides(path)
