import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.errors import ConfigError, WinnowError
from winnow2d.selection.by_hand import decide
from winnow2d.selection.choose import choose_classes
from winnow2d.selection.guards import LOSS_TO_WARN, loss_to_tell_of
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores


def choose(scores, counts, good_share=None, **rules):
    """By default without the guard, which has its own tests."""
    scores = np.array(scores, dtype=float)
    shares = scores if good_share is None else np.array(good_share, dtype=float)
    return choose_classes(counts, ClassScores(shares, scores), Rules(**({"guard": "warn"} | rules)))


JOBS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0]), st.integers(0, 50)), min_size=1, max_size=12
)


def test_a_class_at_the_threshold_is_kept_and_the_rule_says_why():
    choice = choose([0.35, 0.3499, 0.9], [10, 20, 0])
    assert choice.kept.tolist() == [True, False, False]
    assert choice.rule == ["score 0.350 >= rank_threshold 0.35", "score 0.350 < rank_threshold 0.35", "no particles"]
    assert choice.sentence == "10 of 30 particles from 1 of 3 classes"


def test_the_sentence_counts_particles_of_no_class():
    scores = np.array([0.9, 0.1])
    choice = choose_classes([10, 20], ClassScores(scores, scores), Rules(), n_unclassified=5)
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


@given(JOBS, st.floats(0.01, 1))
def test_a_relative_threshold_is_a_threshold_relative_to_the_best(job, part):
    scores, counts = (np.array(column) for column in zip(*job, strict=True))
    choice = choose(scores, counts, relative_threshold=part, rank_threshold=0.99)
    best = scores[counts > 0].max(initial=0)
    assert choice.kept.tolist() == choose(scores, counts, rank_threshold=round(part * best, 6)).kept.tolist()
    assert choice.kept.any() == (counts > 0).any()


def test_the_rule_of_a_relative_threshold_has_its_value():
    choice = choose([0.6, 0.31, 0.29], [10, 10, 10], relative_threshold=0.5)
    assert choice.kept.tolist() == [True, True, False]
    assert choice.rule[2] == "score 0.290 < relative_threshold 0.5 of the best score 0.600 = 0.300"
    assert choice.threshold == 0.3


@given(JOBS, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_quantile_keeps_the_best_classes_that_hold_the_share_and_none_more(job, one, other):
    scores, counts = (np.array(column) for column in zip(*job, strict=True))
    choice = choose(scores, counts, quantile_threshold=one)
    held, wanted = counts[choice.kept].sum(), one * counts.sum()
    assert held >= wanted - 1e-6
    if choice.kept.any():
        worst = min(np.flatnonzero(choice.kept), key=lambda k: (scores[k], counts[k], -k))
        assert held - counts[worst] < wanted
        assert scores[~choice.kept & (counts > 0)].max(initial=0) <= scores[choice.kept].min()
    more = choose(scores, counts, quantile_threshold=max(one, other)).kept
    assert (choose(scores, counts, quantile_threshold=min(one, other)).kept <= more).all()


def test_the_guard_adds_the_best_until_the_share_is_kept_and_says_so():
    choice = choose([0.3, 0.9, 0.2, 0.1], [10, 5, 40, 45], [0.9, 1.0, 0.9, 0.9], guard="keep", least_kept=0.12)
    assert choice.order.tolist() == [1, 0]
    assert choice.rule[0] == "added by the guard (own.least_kept 0.12) (score 0.300 < rank_threshold 0.35)"
    said = {notice.kind: notice.sentence for notice in choice.notices}
    assert said["guard"].startswith("Only 5 of 100 particles (5.0%) are kept by rank_threshold 0.35, fewer than own")
    assert "(1; 10 particles)" in said["guard"]
    warned = choose([0.3, 0.9, 0.2, 0.1], [10, 5, 40, 45], [0.9, 1.0, 0.9, 0.9], least_kept=0.12)
    assert warned.kept.tolist() == [False, True, False, False]
    assert {notice.kind for notice in warned.notices} == {"nearly_nothing_kept", "expected_loss"}


def test_the_guard_leaves_a_set_that_is_nearly_all_junk_alone_and_says_how_little_is_kept():
    choice = choose([0.9, 0.1], [5, 95], [1.0, 0.001], guard="keep")
    assert choice.kept.tolist() == [True, False]
    assert [notice.kind for notice in choice.notices] == ["nearly_nothing_kept"]


@given(JOBS, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_with_the_guard_something_is_kept_and_higher_thresholds_still_keep_no_more(job, one, other, least):
    scores, counts = zip(*job, strict=True)
    low = choose(scores, counts, rank_threshold=min(one, other), guard="keep", least_kept=least)
    high = choose(scores, counts, rank_threshold=max(one, other), guard="keep", least_kept=least)
    assert (low.kept | ~high.kept).all()
    assert high.kept.any() == (sum(counts) > 0)
    n_kept = high.n_particles[high.kept].sum()
    loss = loss_to_tell_of(high.n_particles, high.scores.good_share, high.kept)
    assert n_kept >= least * sum(counts) or loss <= LOSS_TO_WARN


def test_nearly_everything_kept_is_a_warning_only_where_junk_is_expected():
    (notice,) = choose([0.9, 0.8], [99, 1], [1.0, 1.0]).notices
    assert (notice.kind, notice.is_warning) == ("nearly_all_kept", False)
    (notice,) = choose([0.9, 0.8], [99, 1], [0.8, 1.0]).notices
    assert (notice.kind, notice.is_warning) == ("nearly_all_kept", True)
    assert "100 of 100 particles (100.0%), of which about 20% are expected to be junk" in notice.sentence
    assert not choose([0.9, 0.1], [90, 10], [1.0, 0.0]).notices


def test_the_expected_loss_is_warned_of_beyond_3_percent():
    def lost(n_lost):
        choice = choose([0.9, 0.1], [1000 - n_lost, n_lost], [1.0, 1.0])
        return [notice.sentence for notice in choice.notices if notice.kind == "expected_loss"]

    assert lost(20) == []
    assert lost(50) == [
        "About 5.0% of the good particles are expected to be lost: 50 of 1,000. A lower threshold keeps more of them."
    ]


def test_a_class_that_is_nearly_all_junk_is_no_loss_to_tell_of():
    assert not choose([0.9, 0.15], [60, 40], [1.0, 0.15]).notices
    assert choose([0.9, 0.25], [60, 40], [1.0, 0.25]).notices[0].kind == "expected_loss"


def test_a_floor_out_of_reach_is_a_notice():
    (notice,) = choose([0.9, 0.1], [10, 5], [1.0, 1.0], select_nr_parts=20, most_kept=1.0).notices[:1]
    assert notice.sentence == "select_nr_parts 20 cannot be reached: all classes together have 15"


HAND = ByHand(
    "overrides/round_01.yaml",
    (ClassDecision(0, False, "ice", "Ann"), ClassDecision(2, True, "side view", "Bob"), ClassDecision(3, True)),
)


def test_a_hand_changes_the_automatic_choice_and_the_rule_tells_both():
    scores = np.array([0.9, 0.8, 0.1, 0.9])
    choice = decide(np.array([10, 10, 10, 0]), ClassScores(scores, scores), Rules(), by_hand=HAND)
    assert choice.kept.tolist() == [False, True, True, False]
    assert choice.order.tolist() == [1, 2]
    assert choice.decided_by == ["Ann", "automatic", "Bob", "automatic"]
    assert choice.rule[0] == "dropped by hand: ice (else: score 0.900 >= rank_threshold 0.35)"
    assert choice.rule[2] == "kept by hand: side view (else: score 0.100 < rank_threshold 0.35)"
    assert choice.rule[3] == "no particles (kept by hand)"


def test_in_a_round_by_hand_only_what_is_named_is_kept():
    scores = np.array([0.9, 0.8, 0.1, 0.9])
    counts = np.array([10, 10, 10, 10])
    choice = decide(counts, ClassScores(scores, scores), Rules(), is_automatic=False, by_hand=HAND)
    assert choice.order.tolist() == [2, 3]
    assert choice.rule[1] == "not among those kept by hand (else: score 0.800 >= rank_threshold 0.35)"
    assert choice.decided_by[1] == "Ann"
    with pytest.raises(ConfigError, match="nobody has said which classes to keep"):
        decide(counts, ClassScores(scores, scores), Rules(), is_automatic=False)
