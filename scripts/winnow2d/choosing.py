"""From the files of a classification to the choice of its classes and the ledgers, for all scripts that choose."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.decisions import AUTOMATIC, ByHand, ClassDecision, ParticleDecision
from winnow2d.errors import problems_of
from winnow2d.formats.choice_record import ChoiceRecord, write_choice
from winnow2d.formats.ledger import write_class_ledger
from winnow2d.formats.overrides import check_fits, read_overrides, selected_in
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.positions import image_pixel_size, micrograph_indices, micrograph_pixel_sizes, read_positions
from winnow2d.formats.refinement import class_table_from_here, read_iteration
from winnow2d.formats.run_warnings import write_run_warnings
from winnow2d.formats.selection_star import (
    check_class_indices,
    class_image_names,
    highres_limit_ang,
    mask_diameter_ang,
    rows_of,
)
from winnow2d.option_values import class_numbers
from winnow2d.options import OwnOptions, SelectOptions
from winnow2d.recentring import Moves
from winnow2d.records import Iteration
from winnow2d.selection.by_hand import decide
from winnow2d.selection.choose import Choice
from winnow2d.selection.diagnosis import Finding, diagnose
from winnow2d.selection.duplicates import later_duplicates
from winnow2d.selection.features import class_features
from winnow2d.selection.guards import Notice
from winnow2d.selection.particle_filter import Filtered, Limits, deciders, filter_particles
from winnow2d.selection.rules import Rules
from winnow2d.selection.scores import ClassScores, score_classes
from winnow2d.selection.views import ViewGuard, Views, find_views, guard_views

logger = logging.getLogger("winnow2d")
PARTICLE_RULES = ("do_remove_duplicates", "duplicate_threshold", "image_angpix")
SELECTED_CLASSES = "own.selected_classes"


@dataclass(frozen=True)
class Judged:
    """The classes of a round with all that is known of them."""

    iteration: Iteration
    diameter_ang: float
    features: pd.DataFrame
    scores: ClassScores
    classes: pd.DataFrame  # model_classes, stacks as they are found from the project
    views: Views

    @property
    def n_particles(self) -> np.ndarray:
        """Members of each class, (k,) int64."""
        return self.features["n_particles"].to_numpy().astype(np.int64)

    @property
    def n_unclassified(self) -> int:
        """How many particles belong to no class."""
        return int((self.iteration.particles.class_index < 0).sum())


def judge(data: Path, optimiser: Path, model: Path, diameter_ang: float = 0.0) -> Judged:
    """Return the classes of a classification, scored.

    Parameters
    ----------
    data, optimiser, model : path
        Files of its last iteration.
    diameter_ang : float
        Of its mask; 0: as the optimiser file says, or the whole box.
    """
    iteration = read_iteration(optimiser)
    with problems_of(data):
        check_class_indices(iteration.particles.class_index, iteration.model.n_classes)
    box_ang = iteration.model.box_px * iteration.model.pixel_size_ang
    diameter_ang = diameter_ang or mask_diameter_ang(optimiser) or box_ang
    features = class_features(iteration, diameter_ang)
    is_picture = has_average(iteration.model.references, str(model))
    scores = ClassScores(*(np.where(is_picture, values, 0.0) for values in score_classes(features)))
    counts, references = features["n_particles"].to_numpy(), iteration.model.references
    views = find_views(references, iteration.model.pixel_size_ang, diameter_ang, counts, scores.good_share)
    features = features.assign(view=views.view)
    return Judged(iteration, diameter_ang, features, scores, class_table_from_here(model, optimiser), views)


def has_average(references: np.ndarray, where: str) -> np.ndarray:
    """Return which class averages (k, y, x) are pictures, (k,) bool: RELION may leave NaN of a class it lost."""
    is_whole = np.isfinite(references).all(axis=(1, 2))
    if not is_whole.all():
        classes = ", ".join(map(str, np.flatnonzero(~is_whole) + 1))
        logger.warning("%s: NaN or infinite pixels in class %s; the score is 0", where, classes)
    return is_whole


def by_hand(select: SelectOptions, own: OwnOptions, overrides: Path | None, averages: Path, k: int) -> ByHand | None:
    """Return what a person said of the k classes of a round; None if nothing.

    Parameters
    ----------
    select, own
        The options of the round.
    overrides : path or None
        Its file in overrides/, where there is one. It has the last word over own.selected_classes.
    averages : path
        Its run_itNNN_classes.mrcs.

    Raises
    ------
    ConfigError, StarError
        If what was said does not fit the classes.
    """
    said = None
    if own.selected_classes and not select.do_class_ranker:
        said = _selected(own.selected_classes, k)
        check_fits(said, k, averages)
    if overrides is None:
        return said
    found = read_overrides(overrides, is_automatic=select.do_class_ranker or said is not None)
    check_fits(found, k, averages)
    if said is None:
        return found
    first = {item.class_index: item for item in said.decisions} | {item.class_index: item for item in found.decisions}
    return ByHand(f"{SELECTED_CLASSES}, {found.source}", tuple(sorted(first.values())), found.made_for)


def _selected(value: str, k: int) -> ByHand:
    """Return what own.selected_classes says: numbers, or RELION's file of a choice in its display."""
    if value.endswith(".star"):
        classes, why = selected_in(value, k), f"as in {value}"
    else:
        classes, why = [number - 1 for number in class_numbers(value)], ""
    return ByHand(SELECTED_CLASSES, tuple(ClassDecision(one, True, why, SELECTED_CLASSES) for one in classes))


def choose(
    judged: Judged,
    select: SelectOptions,
    own: OwnOptions,
    hand: ByHand | None,
    exceptions: tuple[ClassDecision, ...] = (),
    is_proposal: bool = False,
) -> Choice:
    """Return the choice of a round; of a proposal what the rules alone would do."""
    return decide(
        judged.n_particles,
        judged.scores,
        Rules.of(select, own),
        is_automatic=select.do_class_ranker or is_proposal,
        by_hand=hand,
        exceptions=exceptions,
        n_unclassified=judged.n_unclassified,
    )


def guard_of_views(
    judged: Judged, select: SelectOptions, own: OwnOptions, hand: ByHand | None, is_proposal: bool = False
) -> ViewGuard:
    """Return the views that the choice of a round would lose, and the exceptions that keep them.

    What a person decided stays as it is; a choice by hand is only told.
    """
    choice = choose(judged, select, own, hand, is_proposal=is_proposal)
    may_raise = own.keep_rare_views and (select.do_class_ranker or is_proposal)
    raisable = np.array([who == AUTOMATIC for who in choice.decided_by]) & may_raise
    return guard_views(judged.views, judged.n_particles, judged.scores.good_share, choice.kept, raisable)


def write_classes(path: Path, judged: Judged, choice: Choice) -> None:
    """Write the ledger of classes, or a proposal, which looks the same."""
    write_class_ledger(
        path, class_image_names(judged.classes), choice.scores.good_share, choice.score, choice.threshold, choice.kept,
        choice.rule, judged.features, choice.decided_by,
    )  # fmt: skip


def notices_of(choice: Choice, guard: ViewGuard) -> list[Notice]:
    """Return what is to be said of a choice."""
    return [*choice.notices, *(guard.notices if choice.kept.any() else ())]


def tell_of_run(path: Path, judged: Judged, choice: Choice, guard: ViewGuard, optimiser: Path) -> None:
    """Say what is to be said of a choice and of the settings of its classification, and write the warnings."""
    notices, none = notices_of(choice, guard), np.array([], dtype=np.int64)
    found = diagnose(judged.iteration, judged.diameter_ang, judged.scores.good_share, highres_limit_ang(optimiser))
    of_choice = [Finding(one.kind, one.sentence, {}, none) for one in notices if one.is_warning]
    write_run_warnings(path, [*of_choice, *found])
    for notice in notices:
        logger.log(logging.WARNING if notice.is_warning else logging.INFO, "%s", notice.sentence)
    for finding in found:
        logger.warning("%s", finding.sentence)


def record_choice(
    folder: Path,
    data: Path,
    selected: Path,
    choice: Choice,
    select: SelectOptions,
    own: OwnOptions,
    hand: ByHand | None,
    guard: ViewGuard,
    moves_ang: Moves = (),
) -> None:
    """Write choice.yaml, from which the choice can be made again, and say what is to be said of it."""
    write_choice(
        folder,
        ChoiceRecord(
            classification=data.as_posix(),
            selected=selected.as_posix(),
            is_automatic=select.do_class_ranker,
            rules=dataclasses.asdict(choice.rules),
            by_hand=hand,
            exceptions=guard.exceptions,
            particle_rules={name: getattr(select, name) for name in PARTICLE_RULES},
            filter_limits=limits_of(own)._asdict() if own.particle_filter else {},
            moves_ang=moves_ang,
            notices=[notice.sentence for notice in notices_of(choice, guard)],
        ),
    )


def limits_of(own: OwnOptions) -> Limits:
    """Return where the filter of particles decides otherwise than their classes."""
    return Limits(own.prune_below, own.prune_loss, own.rescue_above)


def filtered(judged: Judged, choice: Choice, own: OwnOptions, guard: ViewGuard | None = None) -> Filtered:
    """Return what is decided on single particles of an automatic choice, beside their classes.

    Classes that hold a rare view are left alone: their members are unlike the others.
    """
    if not own.particle_filter:
        return Filtered({}, {})
    by = deciders(choice.decided_by, guard.exceptions if guard else ())
    found = filter_particles(judged.iteration.particles, choice.scores.good_share, choice.kept, by, limits_of(own))
    if found.decisions:
        logger.info("%s", found.sentence)
    return found


def duplicates_of(
    table: ParticleTable, is_kept: np.ndarray, options: SelectOptions, where: str
) -> Mapping[int, ParticleDecision]:
    """Return the rows of duplicates among particles that are kept (n,), with the reason for the ledger."""
    if not (options.do_remove_duplicates and is_kept.any()):
        return {}
    rows = np.flatnonzero(is_kept)
    kept = rows_of(table, rows)
    positions = read_positions(kept, f"{where}, of kept particles")
    pixel = options.image_angpix if options.image_angpix > 0 else image_pixel_size(table, where)
    micrograph_pixels = micrograph_pixel_sizes(kept, where)
    if micrograph_pixels is not None and not np.allclose(micrograph_pixels, pixel, rtol=1e-3):
        logger.warning(
            "Distances between particles are taken with pixels of %g A, but data_optics tells of micrographs with "
            "%s A: if those are the pixels of rlnCoordinateX, set select.image_angpix.",
            pixel, ", ".join(f"{value:g}" for value in np.unique(micrograph_pixels)),
        )  # fmt: skip
    place = positions.coordinate_px - positions.offset_ang * (1 / pixel)
    micrograph = micrograph_indices(positions.micrograph_names)
    partner = later_duplicates(place, micrograph, options.duplicate_threshold / pixel)
    distance = pixel * np.sqrt(((place - place[partner]) ** 2).sum(axis=1))
    names = kept.particles["rlnImageName"].tolist()
    return {
        int(rows[row]): ParticleDecision(False, f"duplicate: {distance[row]:.1f} A from {names[partner[row]]}")
        for row in np.flatnonzero(partner >= 0)
    }
