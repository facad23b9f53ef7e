"""Give the kept particles their rows of another extraction, e.g. of full size (RELION job type Select)."""

import logging
from pathlib import Path

import numpy as np

from winnow2d import runner
from winnow2d.formats.cryosparc import SUFFIX, read_cryosparc_table
from winnow2d.formats.mapping import centres_ang, check_enough, mapped_table, picks_ang, pixel_sizes_of_both
from winnow2d.formats.micrograph_names import matched_micrographs
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.positions import Positions, read_positions
from winnow2d.formats.selection_star import rows_of
from winnow2d.intake.resolve import with_links
from winnow2d.options import OwnOptions
from winnow2d.selection.matching import Match, best_match, match_positions

SPEC = runner.JobSpec(
    type="Select",
    nodes={"particles": "particles"},
    input_nodes={"particles": "particles", "extraction": "particles"},
    option_inputs={"fn_data": "extraction"},
)
UNMATCHED = "unmatched.star"
log = logging.getLogger(__name__)


def micrograph_numbers(ours: Positions, theirs: Positions, names: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the micrograph of each particle as a number that both lists share; -1 for one the other has not."""
    number = {name: index for index, name in enumerate(names.values())}
    return (
        np.array([number.get(names.get(name, ""), -1) for name in ours.micrograph_names], dtype=np.int64),
        np.array([number.get(name, -1) for name in theirs.micrograph_names], dtype=np.int64),
    )


def mapped(kept: ParticleTable, extraction: ParticleTable, own: OwnOptions) -> tuple[ParticleTable, Match]:
    """Return the extraction's rows of the kept particles, and who is whose partner.

    The extraction may have been made at the picks or, re-centred, where the particles lie: both are tried.
    """
    ours, theirs = read_positions(kept, "kept particles"), read_positions(extraction, "own.map_to")
    our_pixel, their_pixel = pixel_sizes_of_both(kept, extraction, own.map_angpix)
    names = matched_micrographs(ours.micrograph_names, theirs.micrograph_names)
    numbers = micrograph_numbers(ours, theirs, names)
    places = {
        "as picked": (picks_ang(ours, our_pixel), picks_ang(theirs, their_pixel)),
        "where the offsets lead": (centres_ang(ours, our_pixel), centres_ang(theirs, their_pixel)),
    }
    match = best_match([match_positions(*pair, *numbers, own.map_tolerance, rule) for rule, pair in places.items()])
    check_enough(match.n_matched, ours, theirs, names, own.map_tolerance)
    poses = (kept, places["where the offsets lead"][0], places["as picked"][1]) if own.map_poses else ()
    return mapped_table(extraction, match.partner, *poses), match


with runner.job(globals(), SPEC) as job:
    (job.directory / UNMATCHED).unlink(missing_ok=True)
    source = Path(job.inputs.extraction)
    kept = read_particle_table(job.inputs.particles)
    extraction = read_cryosparc_table(source) if source.suffix == SUFFIX else read_particle_table(source)
    table, match = mapped(kept, extraction, job.own)
    table = with_links(table, source, Path(), job.directory.as_posix(), job.own.stacks_root)
    n_unmatched = len(kept.particles) - match.n_matched
    log.info(
        "%s of %s particles found in %s (%s, on average %.2f A apart), %s not",
        f"{match.n_matched:,}", f"{len(kept.particles):,}", source, match.rule,
        match.distance_ang[match.partner >= 0].mean(), f"{n_unmatched:,}",
    )  # fmt: skip
    if n_unmatched:
        log.warning("%s particles without a partner stand in %s", f"{n_unmatched:,}", job.directory / UNMATCHED)
        write_particle_table(job.directory / UNMATCHED, rows_of(kept, match.partner < 0))
    write_particle_table(job.outputs.particles, table)
