import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow2d.errors import ConfigError, WinnowError
from winnow2d.options import SelectOptions
from winnow2d.selection.choose import choose_classes


def choose(scores, counts, **options):
    features = pd.DataFrame({"n_particles": np.array(counts, dtype=np.int64)})
    return choose_classes(features, np.array(scores, dtype=float), SelectOptions(**options))


JOBS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0]), st.integers(0, 50)), min_size=1, max_size=12
)


def test_a_class_at_the_threshold_is_kept_and_the_rule_says_why():
    choice = choose([0.35, 0.3499, 0.9], [10, 20, 0])
    assert choice.kept.tolist() == [True, False, False]
    assert choice.rule == ["score 0.350 >= rank_threshold 0.35", "score 0.350 < rank_threshold 0.35", "no particles"]
    assert choice.sentence == "10 of 30 particles from 1 of 3 classes"


def test_the_sentence_counts_particles_of_no_class():
    features = pd.DataFrame({"n_particles": [10, 20]})
    choice = choose_classes(features, np.array([0.9, 0.1]), SelectOptions(), n_unclassified=5)
    assert choice.sentence == "10 of 35 particles from 1 of 2 classes"


def test_sentence_has_thousands():
    choice = choose([0.9] * 35 + [0.1] * 65, [120] * 34 + [133] + [75] * 64 + [107])
    assert choice.sentence == "4,213 of 9,120 particles from 35 of 100 classes"


def test_particle_floor_adds_the_best_and_stops_when_reached():
    choice = choose([0.1, 0.9, 0.3, 0.2, 0.05], [10, 10, 10, 10, 10], select_nr_parts=25)
    assert choice.order.tolist() == [1, 2, 3]
    assert choice.rule[2] == "added to reach select_nr_parts 25 (score 0.300 < rank_threshold 0.35)"


def test_class_order_comes_before_additions_in_order_of_score():
    choice = choose([0.1, 0.5, 0.2, 0.9, 0.3], [5] * 5, select_nr_classes=4)
    assert choice.order.tolist() == [1, 3, 4, 2]


def test_the_particle_floor_goes_before_the_class_floor():
    choice = choose([0.9, 0.3, 0.2, 0.1], [10, 10, 10, 10], select_nr_parts=15, select_nr_classes=4)
    assert choice.order.tolist() == [0, 1]


@given(JOBS, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_keeps_more(job, one, other):
    scores, counts = zip(*job, strict=True)
    low = choose(scores, counts, rank_threshold=min(one, other)).kept
    high = choose(scores, counts, rank_threshold=max(one, other)).kept
    assert (low | ~high).all()


@given(JOBS, st.integers(-1, 300), st.integers(-1, 12))
def test_floors_hold_whenever_there_is_enough(job, parts, classes):
    scores, counts = (np.array(column) for column in zip(*job, strict=True))
    choice = choose(scores, counts, select_nr_parts=parts, select_nr_classes=classes)
    assert not choice.kept[counts == 0].any()
    assert counts[choice.kept].sum() >= min(parts, counts.sum())
    if parts < 1:
        assert choice.kept.sum() >= min(classes, (counts > 0).sum())
    assert sorted(choice.order) == np.flatnonzero(choice.kept).tolist()


@given(st.lists(st.integers(1, 50), min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_permuted_classes_give_permuted_choices(counts, random):
    scores = np.linspace(0, 1, len(counts))
    order = list(range(len(counts)))
    random.shuffle(order)
    plain = choose(scores, counts, select_nr_parts=60)
    mixed = choose(scores[order], np.array(counts)[order], select_nr_parts=60)
    assert mixed.kept.tolist() == plain.kept[order].tolist()
    assert mixed.rule == [plain.rule[i] for i in order]


def test_nothing_kept_names_a_threshold_that_keeps_the_best_class():
    choice = choose([0.1, 0.237, 0.9], [10, 20, 0])
    with pytest.raises(WinnowError, match=r"best score is 0.237 \(class 2, 20 particles\).*rank_threshold: 0.23\}"):
        choice.check_not_empty("classes.tsv")
    assert choose([0.1, 0.237, 0.9], [10, 20, 0], rank_threshold=0.23).kept.tolist() == [False, True, False]


def test_manual_selection_is_refused():
    with pytest.raises(ConfigError, match="manual selection is not supported yet"):
        choose([0.5], [10], do_class_ranker=False)
