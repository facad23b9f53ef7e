"""The whole choice of one round: the automatic one, what other rules say of single classes, and what a person says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from winnow2d.decisions import ByHand, ClassDecision
from winnow2d.errors import ConfigError
from winnow2d.selection.choose import Choice, choose_classes
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores


def decide(
    n_particles: np.ndarray,
    scores: ClassScores,
    rules: Rules,
    *,
    is_automatic: bool = True,
    by_hand: ByHand | None = None,
    exceptions: Sequence[ClassDecision] = (),
    n_unclassified: int = 0,
) -> Choice:
    """Return the choice of a round.

    Parameters
    ----------
    n_particles, scores, rules, n_unclassified
        As in `choose.choose_classes`.
    is_automatic : bool
        Whether the rules decide (do_class_ranker). Else those classes are kept that `by_hand` keeps.
    by_hand : ByHand or None
        What a person said; in an automatic round it changes the choice of the rules.
    exceptions : sequence of ClassDecision
        What further rules say of single classes of an automatic choice; a person has the last word.

    Raises
    ------
    ConfigError
        If nobody decides.
    """
    choice = choose_classes(n_particles, scores, rules, n_unclassified).with_decisions(list(exceptions))
    if is_automatic:
        return choice.with_decisions([_in_words(item) for item in by_hand.decisions]) if by_hand else choice
    if by_hand is None:
        raise ConfigError(
            "select: do_class_ranker: No is a choice by hand, and nobody has said which classes to keep: name them in "
            "overrides/round_NN.yaml or own: {selected_classes: ...}."
        )
    return _only(choice, by_hand)


def _in_words(item: ClassDecision) -> ClassDecision:
    """Return a decision with the rule that the ledger shows of it."""
    said = f"{'kept' if item.is_kept else 'dropped'} by hand"
    return item._replace(why=f"{said}: {item.why}" if item.why else said)


def _only(choice: Choice, by_hand: ByHand) -> Choice:
    """Return the choice of a person alone; the rules only tell what they would have done."""
    said = {item.class_index: item for item in by_hand.decisions}
    name = next((item.by for item in by_hand.decisions), by_hand.source)
    others = [ClassDecision(k, False, "not among those kept by hand", name) for k in range(len(choice.kept))]
    decisions = [_in_words(said[k]) if k in said else others[k] for k in range(len(choice.kept))]
    found = choice.with_decisions(decisions)
    return dataclasses.replace(found, order=np.flatnonzero(found.kept).astype(np.int64), faults=[])
