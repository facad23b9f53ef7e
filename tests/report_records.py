"""Rounds with known numbers for the tests of the report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from winnow2d.records import Changes, Iteration, Model, OpticsGroup, Particles, Sampling
from winnow2d.report.page import Project
from winnow2d.report.tables import RoundRecord

BOX = 16


def make_iteration(class_index: np.ndarray, group_index: np.ndarray, n_classes: int, n_groups: int) -> Iteration:
    """Return an iteration whose group g has defocus 10000 + 1000 g Angstrom and scale 1 + g / 10."""
    n, ones = len(class_index), np.ones((n_classes, BOX // 2 + 1))
    defocus = 10000.0 + 1000 * group_index
    zero, count = np.zeros(n), np.zeros(n, dtype=np.int64)
    names = [f"mic_{g:03d}.mrc" for g in range(n_groups)]
    particles = Particles(
        count, group_index, names, defocus + 300, defocus - 300, zero, zero, zero, zero + 1, zero, np.zeros((n, 2)),
        class_index, zero + 1, zero, zero + 0.5, count,
    )  # fmt: skip
    images = np.random.default_rng(5).normal(size=(n_classes, BOX, BOX))
    model = Model(
        4.0, images, np.full(n_classes, 1 / n_classes), np.zeros((n_classes, 2)), 5.0, ones[:1],
        1 + np.arange(n_groups) / 10, 1.0, 2.0, ones, ones, ones, ones, 5, BOX,
    )  # fmt: skip
    optics = [OpticsGroup("one", 300.0, 2.7, 0.1, 4.0, BOX)]
    return Iteration(4, 4, model, particles, optics, Sampling(6.0, 12.0, 2.0), Changes())


def make_round(number: int, n: int, n_classes: int = 6, n_groups: int = 5) -> RoundRecord:
    """Return a round of n particles dealt to the classes in turn; the first half of the classes is kept."""
    class_index = np.arange(n) % n_classes
    iteration = make_iteration(class_index, np.arange(n) % n_groups, n_classes, n_groups)
    k = np.arange(n_classes)
    is_kept = k < n_classes // 2
    count = np.bincount(class_index, minlength=n_classes)
    classes = pd.DataFrame({"class": k + 1, "image": [f"{i + 1:06d}@x.mrcs" for i in k]})
    classes["good_share"] = 1 - k / n_classes
    classes["score"], classes["threshold"], classes["kept"] = 0.9 - 0.8 * k / n_classes, 0.5, is_kept
    classes["rule"] = [f"rule <{i + 1}>" for i in k]
    classes["decided_by"], classes["n_particles"], classes["share"] = "automatic", count, count / n
    classes["resolution_ang"] = np.where(k == n_classes - 1, np.inf, 10.0 + k)
    classes["edge_power"] = 0.25 + k
    particles = pd.DataFrame({"image_name": [f"{i + 1:06d}@stack.mrcs" for i in range(n)], "class": class_index + 1})
    particles["max_probability"], particles["kept"], particles["reason"] = 0.5, is_kept[class_index], "a rule"
    history = pd.DataFrame({"iteration": [1, 2, 3, 4], "resolution_ang": [40.0, 30.0, 22.0, 18.5]})
    history["average_max_probability"] = [0.1, 0.2, 0.4, 0.6]
    return RoundRecord(
        number=number,
        classification=f"Class2D/job{number:02d}1",
        selected=f"Select/job{number:02d}2/particles.star",
        n_selected=int(particles["kept"].sum()),
        iteration=iteration,
        averages=iteration.model.references,
        class_ledger=classes,
        particle_ledger=particles,
        history=history,
        previous_number=3,
        previous_averages=0.5 * iteration.model.references,
        facts={"T": "2"},
    )


def make_pending(number: int, n: int, **about: int) -> RoundRecord:
    """Return a round of n particles that waits for a choice; the proposal keeps the first half of the classes."""
    record = make_round(number, n, **about)
    nothing = record.particle_ledger.iloc[:0]
    return dataclasses.replace(
        record, is_pending=True, selected="", n_selected=0, particle_ledger=nothing, made_for=f"{number:064x}"
    )


def make_truth(n: int) -> pd.DataFrame:
    """Return a truth in which every fourth particle is ice."""
    kinds = np.where(np.arange(n) % 4 == 3, "empty_ice", "good")
    return pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(n)], "winnowKind": kinds})


def make_project(n: int) -> Project:
    """Return the head of a page."""
    return Project("my <project>", "Extract/job001/particles.star", n, {"Box": "16 px"}, "Select/clean/particles.star")
